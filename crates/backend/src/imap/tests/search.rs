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
         C: h SEARCH RETURN (SAVE OTHER) ALL
         S: h BAD …
         C: i SEARCH CHARSET X-NONE ALL
         S: i NO [BADCHARSET (US-ASCII UTF-8 ISO-8859-1 …)] …
         C: j SEARCH FUZZY ALL
         S: * SEARCH 1 2 3
         S: j OK …
         C: k SEARCH $
         S: * SEARCH
         S: k OK …
         C: l SEARCH MODSEQ 1
         S: * SEARCH 1 2 3 (MODSEQ 6)
         S: * OK [HIGHESTMODSEQ 8] …
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

#[tokio::test]
async fn saved_results() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=9 {
        let mut message = message(short(&format!("s{n}")));
        message.flags = match n % 3 {
            0 => Flags::FLAGGED,
            _ => Flags::NONE,
        };
        server.put_message("user/bob", message).await;
    }
    bob.play(
        "C: 0 CREATE Other
         S: 0 OK …",
    )
    .await;
    bob.select("INBOX").await;
    // RFC 5182 section 2.2, examples 1, 2 and 6.
    bob.play(
        "C: a FETCH $ UID
         S: a OK …
         C: b SEARCH RETURN (SAVE) FLAGGED
         C: c FETCH $ UID
         S: b OK SEARCH completed
         S: * 3 FETCH (UID 3)
         S: * 6 FETCH (UID 6)
         S: * 9 FETCH (UID 9)
         S: c OK …
         C: d UID FETCH $ (UID)
         S: * 3 FETCH (UID 3)
         S: * 6 FETCH (UID 6)
         S: * 9 FETCH (UID 9)
         S: d OK …
         C: e UID SEARCH UID $ NOT SUBJECT s6
         S: * SEARCH 3 9
         S: e OK …
         C: f SEARCH CHARSET UTF-8 (OR $ 1,8:20) NOT 8
         S: * SEARCH 1 3 6 9
         S: f OK …
         C: g SEARCH RETURN (SAVE COUNT) NOT $
         S: * ESEARCH (TAG \"g\") COUNT 6
         S: g OK …
         C: h SEARCH RETURN (ALL) $
         S: * ESEARCH (TAG \"h\") ALL 1:2,4:5,7:8
         S: h OK …
         C: i SEARCH RETURN (SAVE) SUBJECT nowhere
         S: i OK …
         C: j COPY $ Other
         S: j OK COPY completed
         C: k SEARCH RETURN (SAVE) 2:3
         S: k OK …
         C: l COPY $ Other
         S: l OK [COPYUID …] COPY completed
         C: m STORE $ +FLAGS (\\Deleted)
         S: * 2 FETCH (FLAGS (\\Deleted \\Recent))
         S: * 3 FETCH (FLAGS (\\Flagged \\Deleted \\Recent))
         S: m OK …
         C: n SEARCH RETURN (SAVE) 1:4
         S: n OK …
         C: o UID EXPUNGE $
         S: * 3 EXPUNGE
         S: * 2 EXPUNGE
         S: o OK …
         C: p UID SEARCH RETURN (COUNT ALL) $
         S: * ESEARCH (TAG \"p\") UID ALL 1,4 COUNT 2
         S: p OK …
         C: q MOVE $ Other
         S: * OK [COPYUID …] Moved
         S: * 2 EXPUNGE
         S: * 1 EXPUNGE
         S: q OK …
         C: r SEARCH RETURN (COUNT) $
         S: * ESEARCH (TAG \"r\") COUNT 0
         S: r OK …",
    )
    .await;
}

#[tokio::test]
async fn what_is_saved() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=6 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    // RFC 5182 section 2.4 and RFC 9394 section 3.2.
    for (options, answer, saved) in [
        ("SAVE", "", "2:5"),
        ("SAVE MIN", "MIN 2", "2"),
        ("SAVE MAX", "MAX 5", "5"),
        ("MAX SAVE MIN", "MIN 2 MAX 5", "2,5"),
        ("SAVE MIN COUNT", "MIN 2 COUNT 4", "2:5"),
        ("SAVE ALL MAX", "MAX 5 ALL 2:5", "2:5"),
        ("SAVE PARTIAL 2:3", "PARTIAL (2:3 3:4)", "3:4"),
        (
            "SAVE PARTIAL -1:-2 MIN",
            "MIN 2 PARTIAL (-1:-2 4:5)",
            "2,4:5",
        ),
        ("SAVE PARTIAL 1:1 MAX", "MAX 5 PARTIAL (1:1 2)", "2,5"),
        (
            "SAVE PARTIAL 2:2 MIN MAX",
            "MIN 2 MAX 5 PARTIAL (2:2 3)",
            "2:3,5",
        ),
        ("SAVE PARTIAL 2:2 COUNT", "COUNT 4 PARTIAL (2:2 3)", "2:5"),
    ] {
        let mut lines = bob.ask(&format!("SEARCH RETURN ({options}) 2:5")).await;
        assert_eq!(lines.pop().as_deref(), Some("OK SEARCH completed"));
        let wanted = match answer {
            "" => Vec::new(),
            answer => vec![format!("* ESEARCH (TAG \"ask\") {answer}")],
        };
        assert_eq!(lines, wanted, "{options}");
        let lines = bob.ask("SEARCH RETURN () $").await;
        assert_eq!(
            lines[0],
            format!("* ESEARCH (TAG \"ask\") ALL {saved}"),
            "{options}"
        );
    }
    bob.play(
        "C: a SEARCH RETURN (ALL PARTIAL 1:2) ALL
         S: a BAD …
         C: b SEARCH RETURN (PARTIAL 1:2 PARTIAL 2:3) ALL
         S: b BAD …
         C: c SEARCH RETURN (RELEVANCY) ALL
         S: c BAD …
         C: d SEARCH RETURN (SAVE) 3
         S: d OK …
         C: e SEARCH RETURN (SAVE) NOSUCHKEY
         S: e BAD …
         C: f SEARCH RETURN (COUNT) CHARSET X-NONE TEXT a
         S: f NO [BADCHARSET …] …
         C: g SEARCH $
         S: * SEARCH 3
         S: g OK …
         C: h SEARCH RETURN (SAVE) CHARSET X-NONE TEXT a
         S: h NO [BADCHARSET …] …
         C: i SEARCH $
         S: * SEARCH
         S: i OK …
         C: j SEARCH RETURN (SAVE) 3
         S: j OK …
         C: k UID SEARCH RETURN (PARTIAL 24000:24500) ALL
         S: * ESEARCH (TAG \"k\") UID PARTIAL (24000:24500 NIL)
         S: k OK …
         C: l SEARCH RETURN (MIN MAX) MODSEQ 1
         S: * ESEARCH (TAG \"l\") MIN 1 MAX 6 MODSEQ 7
         S: * OK [HIGHESTMODSEQ 7] …
         S: l OK …
         C: m SEARCH RETURN (MIN) MODSEQ 1
         S: * ESEARCH (TAG \"m\") MIN 1 MODSEQ 2
         S: m OK …",
    )
    .await;
    bob.select("INBOX").await;
    assert_eq!(bob.ask("SEARCH $").await[0], "* SEARCH");
}

#[tokio::test]
async fn charsets() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", FIRST).await;
    let cafe = "Subject: Cafe\u{301}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
                <p>See the <b>new</b>\r\n menu &agrave; la carte</p>";
    server.put("user/bob", cafe).await;
    bob.select("INBOX").await;
    for (charset, octets, wanted) in [
        ("ISO-8859-1", &b"Gr\xfc\xdfe"[..], "* SEARCH 1"),
        ("windows-1252", b"gR\xdc\xdfE", "* SEARCH 1"),
        ("UTF-8", "GRÜSSE".as_bytes(), "* SEARCH"),
        ("utf-8", "café".as_bytes(), "* SEARCH 2"),
        ("us-ascii", b"cafe", "* SEARCH"),
        ("us-ascii", b"FAR AWAY", "* SEARCH 1"),
        ("us-ascii", b"the new menu", "* SEARCH 2"),
        ("utf-8", "à la".as_bytes(), "* SEARCH 2"),
        ("us-ascii", b"<b>", "* SEARCH"),
    ] {
        let mut command = format!("x SEARCH CHARSET {charset} TEXT {{{}+}}\r\n", octets.len());
        let mut command = std::mem::take(&mut command).into_bytes();
        command.extend_from_slice(octets);
        command.extend_from_slice(b"\r\n");
        bob.send(command).await;
        assert_eq!(bob.line().await, wanted, "{charset} {octets:?}");
        assert_eq!(bob.line().await, "x OK SEARCH completed");
    }
    bob.send(b"m SEARCH CHARSET Shift_JIS SUBJECT {1+}\r\n\x83\r\n")
        .await;
    bob.play("S: m BAD A search string is not in the charset")
        .await;
}

#[tokio::test]
async fn fuzzy() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for subject in ["IMAP break", "broken IMAP is", "Meeting at café", "nothing"] {
        server.put("user/bob", short(subject)).await;
    }
    bob.select("INBOX").await;
    for (command, wanted) in [
        ("SEARCH FUZZY SUBJECT \"imap brok\"", "* SEARCH 2"),
        ("SEARCH FUZZY (SUBJECT imap FROM example)", "* SEARCH 1 2"),
        ("SEARCH FUZZY SUBJECT \"CAFE meetnig\"", "* SEARCH 3"),
        ("SEARCH FUZZY TEXT \"break imap\"", "* SEARCH 1"),
        ("SEARCH NOT FUZZY BODY imap", "* SEARCH 3 4"),
        (
            "SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT \"imap br\"",
            "* ESEARCH (TAG \"ask\") ALL 1:2 RELEVANCY (90 90)",
        ),
        (
            "SEARCH RETURN (RELEVANCY PARTIAL 2:9) OR 4 FUZZY SUBJECT nothin",
            "* ESEARCH (TAG \"ask\") PARTIAL (2:9 NIL)",
        ),
        (
            "SORT RETURN (RELEVANCY ALL) (RELEVANCY) UTF-8 OR FUZZY SUBJECT reak FUZZY SUBJECT broken",
            "* ESEARCH (TAG \"ask\") ALL 2,1 RELEVANCY (100 60)",
        ),
        (
            "SORT (REVERSE RELEVANCY) UTF-8 OR FUZZY SUBJECT reak FUZZY SUBJECT broken",
            "* SORT 1 2",
        ),
        (
            "SORT (RELEVANCY) UTF-8 ALL",
            "BAD RELEVANCY without a FUZZY key",
        ),
    ] {
        assert_eq!(bob.ask(command).await[0], wanted, "{command}");
    }
}

/// FROM, TO, CC and BCC find addresses as ENVELOPE shows them, and as they stand.
#[tokio::test]
async fn addresses() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for header in [
        "From: user@domain.org\r\nCc: x@domain.org",
        "From: <user (c)@ (d) domain.org>\r\nTo: g: a@domain.org;",
        "To: user (c) @ domain.org, <b@ domain.org>\r\nBcc: \"b\"@domain.org",
    ] {
        let message = format!("{header}\r\n\r\nbody\r\n");
        server.put("user/bob", message.into_bytes()).await;
    }
    bob.select("INBOX").await;
    for (keys, found) in [
        ("FROM user@domain.org", " 1 2"),
        ("FROM \"user (c)@\"", " 2"),
        ("TO a@domain.org", " 2"),
        ("TO g", " 2 3"),
        ("TO user@domain.org", " 3"),
        ("TO \"c <user@\"", " 3"),
        ("TO b@domain.org", " 3"),
        ("BCC b@domain.org", " 3"),
        ("CC domain.org", " 1"),
        ("FROM user@domain.com", ""),
        ("HEADER FROM user@domain.org", " 1"),
        ("FUZZY FROM user", " 1 2"),
    ] {
        let lines = bob.ask(&format!("SEARCH {keys}")).await;
        assert_eq!(lines[0], format!("* SEARCH{found}"), "{keys}");
    }
}
