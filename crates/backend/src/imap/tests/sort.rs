//! SORT and THREAD.

use murder_store::InternalDate;

use super::support::{Client, Server, message};

/// Messages in the order of the mailbox: subject, sent date, From, To, Cc, further fields.
type Mail<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

async fn mailbox(server: &Server, mail: &[Mail<'_>]) -> Client {
    let mut bob = server.login("bob").await;
    for (at, (subject, date, from, to, cc, rest)) in mail.iter().enumerate() {
        let mut raw = String::new();
        for (name, value) in [
            ("Subject", subject),
            ("Date", date),
            ("From", from),
            ("To", to),
            ("Cc", cc),
        ] {
            if !value.is_empty() {
                raw.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        raw.push_str(&format!(
            "{rest}\r\n{}",
            "x".repeat(100 * (mail.len() - at))
        ));
        let mut message = message(raw);
        message.internal_date = InternalDate {
            seconds: 1_700_000_000 - 60 * (at as i64 % 2),
            zone: 0,
        };
        server.put_message("user/bob", message).await;
    }
    bob.select("INBOX").await;
    bob
}

#[tokio::test]
async fn sorting() {
    let server = Server::start();
    let mut bob = mailbox(
        &server,
        &[
            (
                "Re: beta",
                "3 Jan 2020 00:00:00 +0000",
                "=?utf-8?q?=C3=89mile?= <zola@e>",
                "b@x",
                "",
                "",
            ),
            (
                "alpha",
                "1 Jan 2020 23:00:00 -0300",
                "Bob <adam@e>",
                "A Name <a@x>",
                "c@x",
                "",
            ),
            (
                "[list] Beta",
                "1 Jan 2020 23:00:00 +0300",
                "mike@e",
                "",
                "B@x",
                "",
            ),
            ("", "", "", "B@x", "b@x", ""),
        ],
    )
    .await;
    for (criteria, wanted) in [
        ("ARRIVAL", "2 4 1 3"),
        ("REVERSE ARRIVAL", "1 3 2 4"),
        ("SIZE", "4 3 2 1"),
        ("DATE", "3 2 1 4"),
        ("REVERSE DATE", "4 1 2 3"),
        ("SUBJECT", "4 2 1 3"),
        ("SUBJECT DATE", "4 2 3 1"),
        ("REVERSE SUBJECT DATE", "3 1 2 4"),
        ("SUBJECT REVERSE SUBJECT", "4 2 1 3"),
        ("FROM", "4 2 3 1"),
        ("TO", "3 2 1 4"),
        ("CC", "1 3 4 2"),
        ("DISPLAYFROM", "4 2 1 3"),
        ("DISPLAYTO", "3 2 1 4"),
        ("CC SIZE", "1 4 3 2"),
    ] {
        let lines = bob.ask(&format!("SORT ({criteria}) UTF-8 ALL")).await;
        assert_eq!(
            lines,
            [&format!("* SORT {wanted}"), "OK SORT completed"],
            "{criteria}"
        );
    }
    bob.play(
        "C: a SORT (SUBJECT) US-ASCII TEXT \"not in mailbox\"
         S: * SORT
         S: a OK SORT completed
         C: b UID SORT (REVERSE SIZE) UTF-8 2:3
         S: * SORT 2 3
         S: b OK SORT completed
         C: c SORT RETURN () (SIZE) UTF-8 ALL
         S: * ESEARCH (TAG \"c\") ALL 4,3,2,1
         S: c OK SORT completed
         C: d UID SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL
         S: * ESEARCH (TAG \"d\") UID MIN 3 MAX 4 COUNT 4
         S: d OK SORT completed
         C: e SORT RETURN (PARTIAL 2:3 SAVE) (DATE) UTF-8 ALL
         S: * ESEARCH (TAG \"e\") PARTIAL (2:3 2,1)
         S: e OK SORT completed
         C: f SEARCH $
         S: * SEARCH 1 2
         S: f OK …
         C: g SORT (SUBJECT) X-NONE ALL
         S: g NO [BADCHARSET …] …
         C: h SORT () UTF-8 ALL
         S: h BAD …
         C: i SORT (NOSUCH) UTF-8 ALL
         S: i BAD …
         C: j SORT (SIZE) UTF-8 MODSEQ 1
         S: * SORT 4 3 2 1 (MODSEQ 5)
         S: * OK [HIGHESTMODSEQ 5] …
         S: j OK …",
    )
    .await;
}

#[tokio::test]
async fn threads() {
    let server = Server::start();
    let mut bob = mailbox(
        &server,
        &[
            (
                "one",
                "1 Jan 2020 00:00:00 +0000",
                "",
                "",
                "",
                "Message-ID: <1@x>\r\n",
            ),
            (
                "Re: one",
                "3 Jan 2020 00:00:00 +0000",
                "",
                "",
                "",
                "Message-ID: <\"2\"@x>\r\nReferences: <1@x>\r\n",
            ),
            (
                "Re: one",
                "2 Jan 2020 00:00:00 +0000",
                "",
                "",
                "",
                "Message-ID: <3@x>\r\nIn-Reply-To: <1@x>\r\n",
            ),
            (
                "other",
                "4 Jan 2020 00:00:00 +0000",
                "",
                "",
                "",
                "Message-ID: <4@x>\r\nReferences: <1@x>\r\n <2@x>\r\n",
            ),
            ("two", "31 Dec 2019 00:00:00 +0000", "", "", "", ""),
            (
                "Fwd: two",
                "5 Jan 2020 00:00:00 +0000",
                "",
                "",
                "",
                "In-Reply-To: nothing\r\n",
            ),
        ],
    )
    .await;
    bob.play(
        "C: a THREAD REFERENCES UTF-8 ALL
         S: * THREAD (5 6)(1 (3)(2 4))
         S: a OK THREAD completed
         C: b UID THREAD ORDEREDSUBJECT UTF-8 ALL
         S: * THREAD (5 6)(1 (3)(2))(4)
         S: b OK THREAD completed
         C: c THREAD REFERENCES UTF-8 NOT 1
         S: * THREAD (5 6)((3)(2 4))
         S: c OK THREAD completed
         C: d THREAD ORDEREDSUBJECT US-ASCII TEXT gewp
         S: * THREAD
         S: d OK THREAD completed
         C: e THREAD REFS UTF-8 ALL
         S: e BAD …
         C: f THREAD REFERENCES X-NONE ALL
         S: f NO [BADCHARSET …] …",
    )
    .await;
}

#[tokio::test]
async fn expunges_wait_for_numbers() {
    let server = Server::start();
    let mut bob = mailbox(
        &server,
        &[("a", "", "", "", "", ""), ("b", "", "", "", "", "")],
    )
    .await;
    let mut other = server.login("bob").await;
    other.select("INBOX").await;
    other
        .play(
            "C: a STORE 1 +FLAGS.SILENT (\\Deleted)
         S: a OK …
         C: b EXPUNGE
         S: * 1 EXPUNGE
         S: b OK …",
        )
        .await;
    bob.play(
        "C: a SORT (SUBJECT) UTF-8 ALL
         S: * SORT 2
         S: a OK …
         C: b THREAD REFERENCES UTF-8 ALL
         S: * THREAD (2)
         S: b OK …
         C: c UID SORT (SUBJECT) UTF-8 ALL
         S: * SORT 2
         S: * 1 EXPUNGE
         S: c OK …",
    )
    .await;
}
