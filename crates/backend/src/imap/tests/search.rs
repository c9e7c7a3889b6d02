//! SEARCH.

use murder_store::{Flags, InternalDate};

use super::support::{Server, message, short};

const FIRST: &str = concat!(
    "From: =?utf-8?q?Andr=C3=A9?= <andre@example.org>\r\n",
    "To: bob@example.org\r\n",
    "Cc: carol@example.org\r\n",
    "Subject: =?iso-8859-1?q?Gr=FC=DFe?= from\r\n",
    " far away\r\n",
    "Date: Tue, 24 Nov 2026 01:02:03 +0100\r\n",
    "X-Empty:\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "\r\n",
    "--b\r\n",
    "Content-Type: text/plain; charset=utf-8\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "\r\n",
    // "Ein schöner Tag"
    "RWluIHNjaMO2bmVyIFRhZw==\r\n",
    "--b\r\n",
    "Content-Type: message/rfc822\r\n",
    "\r\n",
    "Subject: enclosed\r\n",
    "\r\n",
    "deep inside\r\n",
    "--b--\r\n",
);

#[tokio::test]
async fn keys() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut first = message(FIRST);
    first.flags = Flags::SEEN | Flags::FLAGGED;
    first.keywords = vec!["$Work".into()];
    // 2 January 2024, 23:30 in its zone, but the 3rd in UTC.
    first.internal_date = InternalDate {
        seconds: 1_704_238_200 + 3 * 3600,
        zone: -180,
    };
    first.save_date = 1_704_238_200;
    server.put_message("user/bob", first).await;
    server.put("user/bob", short("second")).await;
    let mut third = message(format!(
        "From: Zoe\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n\r\n{}",
        "word ".repeat(1000)
    ));
    third.flags = Flags::ANSWERED | Flags::DELETED | Flags::DRAFT;
    server.put_message("user/bob", third).await;
    bob.select("INBOX").await;
    server.put("user/bob", short("fourth")).await;
    let _ = bob.ask("NOOP").await;
    for (keys, wanted) in [
        ("ALL", "1 2 3 4"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3 4"),
        ("FLAGGED", "1"),
        ("UNFLAGGED", "2 3 4"),
        ("ANSWERED DELETED DRAFT", "3"),
        ("UNANSWERED UNDELETED UNDRAFT", "1 2 4"),
        ("RECENT", "1 2 3 4"),
        ("NEW", "2 3 4"),
        ("OLD", ""),
        ("KEYWORD $work", "1"),
        ("UNKEYWORD $work", "2 3 4"),
        ("KEYWORD none", ""),
        ("UNKEYWORD none", "1 2 3 4"),
        ("2:3", "2 3"),
        ("4,1", "1 4"),
        ("*", "4"),
        ("9", ""),
        ("UID 3:*", "3 4"),
        ("UID 1:4294967295", "1 2 3 4"),
        ("NOT 2:3", "1 4"),
        ("OR 1 4", "1 4"),
        ("OR (1 SEEN) (OR 2 3 ANSWERED)", "1 3"),
        ("(1:3) NOT (2 UNSEEN)", "1 3"),
        ("LARGER 1000", "3"),
        ("SMALLER 1000", "1 2 4"),
        ("BEFORE 2-Jan-2024", "2 3 4"),
        ("ON 2-Jan-2024", "1"),
        ("SINCE 2-Jan-2024", "1"),
        ("SINCE 3-Jan-2024", ""),
        ("SENTON 24-Nov-2026", "1"),
        ("SENTBEFORE 1-Jan-2021", "3"),
        ("SENTSINCE 1-Jan-2020", "1 3"),
        ("NOT SENTSINCE 1-Jan-1990", "2 4"),
        ("SAVEDON 2-Jan-2024", "1"),
        ("SAVEDSINCE 1-Jan-2024", "1"),
        ("SAVEDATESUPPORTED", "1 2 3 4"),
        ("OLDER 1", "1 2 3 4"),
        ("YOUNGER 1", ""),
        ("FROM \"andré\"", "1"),
        ("FROM EXAMPLE.org", "1 2 4"),
        ("FROM zoe", "3"),
        ("TO bob", "1"),
        ("CC carol", "1"),
        ("BCC carol", ""),
        ("SUBJECT \"GRÜßE FROM FAR\"", "1"),
        ("SUBJECT second", "2"),
        ("HEADER X-Empty \"\"", "1"),
        ("HEADER Subject \"\"", "1 2 4"),
        ("HEADER date 2026", "1"),
        ("BODY \"SCHÖNER tag\"", "1"),
        ("BODY inside", "1"),
        ("BODY enclosed", "1"),
        ("BODY Andre", ""),
        ("BODY \"text of\"", "2 4"),
        ("BODY \"\"", "1 2 3 4"),
        ("TEXT andre", "1"),
        ("TEXT \"schöner\"", "1"),
        ("TEXT second", "2"),
        ("TEXT word", "3"),
        ("NOT TEXT word", "1 2 4"),
        ("NOT BODY text", "1 3"),
        ("OR BODY inside SUBJECT fourth", "1 4"),
        ("BODY text NOT SUBJECT fourth", "2"),
        ("UNSEEN BODY inside", ""),
        ("EMAILID nothing", ""),
        ("THREADID nothing", ""),
    ] {
        let lines = bob.ask(&format!("UID SEARCH CHARSET utf-8 {keys}")).await;
        let wanted = format!("* SEARCH {wanted}");
        assert_eq!(lines, [wanted.trim_end(), "OK SEARCH completed"], "{keys}");
    }
}

#[tokio::test]
async fn answers() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=5 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.play(
        "C: a STORE 1:2 +FLAGS.SILENT \\Deleted
         S: a OK …
         C: b EXPUNGE
         S: * 2 EXPUNGE
         S: * 1 EXPUNGE
         S: b OK …
         C: c SEARCH ALL
         S: * SEARCH 1 2 3
         S: c OK …
         C: d UID SEARCH ALL
         S: * SEARCH 3 4 5
         S: d OK …
         C: e UID SEARCH RETURN (MIN MAX COUNT) ALL
         S: * ESEARCH (TAG \"e\") UID MIN 3 MAX 5 COUNT 3
         S: e OK …
         C: f SEARCH RETURN () ALL
         S: * ESEARCH (TAG \"f\") ALL 1:3
         S: f OK …
         C: g SEARCH RETURN (ALL COUNT) SEEN
         S: * ESEARCH (TAG \"g\") COUNT 0
         S: g OK …
         C: h SEARCH RETURN (SAVE) ALL
         S: h BAD …
         C: i SEARCH CHARSET ISO-8859-1 ALL
         S: i NO [BADCHARSET (US-ASCII UTF-8)] …
         C: j SEARCH FUZZY ALL
         S: j BAD …
         C: k SEARCH $
         S: k BAD …
         C: l SEARCH MODSEQ 1
         S: * SEARCH 1 2 3 (MODSEQ 6)
         S: l OK …",
    )
    .await;
    let keys = "BODY a ".repeat(2) + &"SUBJECT b ".repeat(300);
    let lines = bob.ask(&format!("SEARCH {}", keys.trim_end())).await;
    assert_eq!(lines, ["NO [LIMIT] Too many strings to search for"]);
    bob.send(b"m SEARCH SUBJECT {2+}\r\n\xff\xfe\r\n").await;
    bob.play("S: m BAD Search strings must be UTF-8").await;
}

#[tokio::test]
async fn large_messages_are_searched_too() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let filler = "some filler text\r\n".repeat(100_000);
    server
        .put("user/bob", format!("Subject: a\r\n\r\n{filler}needle\r\n"))
        .await;
    server
        .put("user/bob", format!("Subject: b\r\n\r\n{filler}"))
        .await;
    bob.select("INBOX").await;
    for (keys, wanted) in [
        ("BODY needle", "* SEARCH 1"),
        ("TEXT needle", "* SEARCH 1"),
        ("NOT TEXT needle", "* SEARCH 2"),
        ("BODY filler SUBJECT b", "* SEARCH 2"),
    ] {
        let lines = bob.ask(&format!("SEARCH {keys}")).await;
        assert_eq!(lines[0], wanted, "{keys}");
    }
}
