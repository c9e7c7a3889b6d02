//! Messages: APPEND, FETCH, SEARCH, STORE, EXPUNGE, and two sessions on one mailbox.

use murder_testkit::corpus::Generator;
use murder_testkit::{ImapClient, Murder, Status, Value, wait_until};

use crate::{Tested, message};

const MULTIPART: &str = "From: \"Crow, A.\" <crow@example.org>\r\n\
To: You <you@example.org>\r\n\
Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\
Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n\
Message-ID: <B27397-0100000@example.org>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"xx\"\r\n\
\r\n\
preamble\r\n\
--xx\r\n\
Content-Type: text/plain; charset=us-ascii\r\n\
X-Part: one\r\n\
\r\n\
Hello Joe\r\n\
--xx\r\n\
Content-Type: message/rfc822\r\n\
\r\n\
Subject: inner\r\n\
\r\n\
inner text\r\n\
--xx--\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_in_full() -> Tested {
    let murder = Murder::start().await?;
    let mut writer = murder.imap(1, "user1").await?;
    let line = format!(
        "APPEND INBOX (\\Flagged $Work) \"17-Jul-1996 02:44:25 -0700\" {{{}+}}\r\n{MULTIPART}",
        MULTIPART.len()
    );
    let code = writer.ok(&line).await?.code();
    assert!(
        code.starts_with("APPENDUID ") && code.ends_with(" 1"),
        "{code}"
    );

    let mut client = murder.imap(2, "user1").await?;
    client.select("INBOX").await?;
    let answer = client
        .ok(
            "FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY \
             BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2] \
             BODY.PEEK[2.HEADER] BODY.PEEK[2.TEXT] BODY.PEEK[2.1] \
             BODY.PEEK[HEADER.FIELDS (SUBJECT X-NONE)] BODY.PEEK[HEADER.FIELDS.NOT (FROM TO DATE \
             MESSAGE-ID MIME-VERSION CONTENT-TYPE)] BODY.PEEK[]<5.9> BODY.PEEK[]<100000.5> \
             BODY.PEEK[9])",
        )
        .await?;
    let fetch = &answer.fetches()?[0];
    assert_eq!((fetch.seq, fetch.uid()), (1, 1));
    assert_eq!(fetch.flags(), ["$Work", "\\Flagged"]);
    assert_eq!(fetch.bytes("INTERNALDATE")?, b"17-Jul-1996 02:44:25 -0700");
    let size = fetch.get("RFC822.SIZE").and_then(Value::number);
    assert_eq!(size, Some(MULTIPART.len() as u64));
    assert_eq!(
        format!("{:?}", fetch.get("ENVELOPE").unwrap()),
        "[\"Mon, 7 Feb 1994 21:52:25 -0800 (PST)\", \"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\", \
         [[\"Crow, A.\", NIL, \"crow\", \"example.org\"]], \
         [[\"Crow, A.\", NIL, \"crow\", \"example.org\"]], \
         [[\"Crow, A.\", NIL, \"crow\", \"example.org\"]], \
         [[\"You\", NIL, \"you\", \"example.org\"]], NIL, NIL, NIL, \
         \"<B27397-0100000@example.org>\"]"
    );
    let structure = fetch.get("BODYSTRUCTURE").unwrap().list();
    assert_eq!(structure.len(), 7, "{structure:?}");
    assert_eq!(structure[0].list()[0].text().to_lowercase(), "text");
    assert_eq!(structure[1].list()[1].text().to_lowercase(), "rfc822");
    assert_eq!(structure[2].text().to_lowercase(), "mixed");
    assert_eq!(fetch.get("BODY").unwrap().list().len(), 3);
    let (header, text) = MULTIPART.split_once("\r\n\r\n").unwrap();
    for (item, expected) in [
        ("BODY[HEADER]", format!("{header}\r\n\r\n")),
        ("BODY[TEXT]", text.to_owned()),
        ("BODY[1]", "Hello Joe".to_owned()),
        (
            "BODY[1.MIME]",
            "Content-Type: text/plain; charset=us-ascii\r\nX-Part: one\r\n\r\n".to_owned(),
        ),
        ("BODY[2]", "Subject: inner\r\n\r\ninner text".to_owned()),
        ("BODY[2.HEADER]", "Subject: inner\r\n\r\n".to_owned()),
        ("BODY[2.TEXT]", "inner text".to_owned()),
        ("BODY[2.1]", "inner text".to_owned()),
        (
            "BODY[HEADER.FIELDS (SUBJECT X-NONE)]",
            "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n".to_owned(),
        ),
        (
            "BODY[HEADER.FIELDS.NOT (FROM TO DATE MESSAGE-ID MIME-VERSION CONTENT-TYPE)]",
            "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n".to_owned(),
        ),
        ("BODY[]<5>", MULTIPART[5..14].to_owned()),
        ("BODY[]<100000>", String::new()),
    ] {
        let found = String::from_utf8_lossy(fetch.bytes(item)?).into_owned();
        assert_eq!(found, expected, "{item}");
    }
    // A part that is not there: NIL or empty.
    let missing = fetch.get("BODY[9]").unwrap();
    assert!(missing.bytes().unwrap_or_default().is_empty());

    for (macro_name, items) in [
        ("FAST", &["FLAGS", "INTERNALDATE", "RFC822.SIZE"][..]),
        ("ALL", &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]),
        (
            "FULL",
            &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
        ),
    ] {
        let fetch = client
            .ok(&format!("FETCH 1 {macro_name}"))
            .await?
            .fetches()?;
        let mut names: Vec<&str> = fetch[0].items.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let mut items = items.to_vec();
        items.sort_unstable();
        assert_eq!(names, items, "{macro_name}");
    }

    // \Seen comes with what is read, not with what is looked at.
    assert!(
        !client.uid_fetch("1", "(FLAGS)").await?[0]
            .flags()
            .contains(&"\\Seen".to_owned())
    );
    let fetch = client.ok("FETCH 1 (RFC822.HEADER)").await?.fetches()?;
    assert_eq!(
        fetch[0].bytes("RFC822.HEADER")?,
        format!("{header}\r\n\r\n").as_bytes()
    );
    assert!(
        !client.uid_fetch("1", "(FLAGS)").await?[0]
            .flags()
            .contains(&"\\Seen".to_owned())
    );
    let answer = client.ok("FETCH 1 (RFC822 RFC822.TEXT)").await?;
    let fetch = &answer.fetches()?[0];
    assert_eq!(fetch.bytes("RFC822")?, MULTIPART.as_bytes());
    assert_eq!(fetch.bytes("RFC822.TEXT")?, text.as_bytes());
    let seen = answer
        .fetches()?
        .iter()
        .any(|f| f.flags().contains(&"\\Seen".to_owned()));
    assert!(seen, "{answer:?}");
    // Nor in a mailbox that is only looked at.
    writer.append("INBOX", "", &message("two")).await?;
    client.ok("EXAMINE INBOX").await?;
    client.ok("FETCH 2 (BODY[])").await?;
    client.no("STORE 2 +FLAGS (\\Seen)", "").await?;
    assert!(
        client.uid_fetch("2", "(FLAGS)").await?[0]
            .flags()
            .is_empty()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_comes_out_byte_for_byte() -> Tested {
    let murder = Murder::start().await?;
    let mut messages = Generator::new(2).messages(60);
    // APPEND takes any line ends, and messages that are none.
    messages.push(b"Subject: bare LF\n\nbody\nwith\nlines".to_vec());
    messages.push(b"no end of line".to_vec());
    messages.push(b"\r\n".to_vec());
    messages.push(Generator::new(3).sized(3 << 20));
    for user in ["user1", "user2"] {
        let mut writer = murder.imap(1, user).await?;
        for (number, message) in messages.iter().enumerate() {
            let uid = u32::try_from(number)? + 1;
            if number % 2 == 0 {
                assert_eq!(writer.append("INBOX", "", message).await?, uid);
            } else {
                let answer = writer
                    .append_synchronising("INBOX", "\\Seen", message)
                    .await?;
                assert_eq!(answer.status, Status::Ok, "{answer:?}");
            }
        }
        let mut reader = murder.imap(2, user).await?;
        assert_eq!(
            reader.select("INBOX").await?.exists as usize,
            messages.len()
        );
        for (uid, body) in reader.fetch_all().await? {
            assert!(body == messages[uid as usize - 1], "message {uid}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    let append = async |client: &mut ImapClient, flags: &str, date: &str, text: &str| {
        let line = format!(
            "APPEND INBOX ({flags}) \"{date}\" {{{}+}}\r\n{text}",
            text.len()
        );
        client.ok(&line).await
    };
    append(
        &mut client,
        "\\Seen",
        "01-Jan-2020 10:00:00 +0000",
        "From: alice@example.org\r\nTo: bob@example.org\r\nSubject: Winter\r\n\
         Date: Wed, 01 Jan 2020 10:00:00 +0000\r\n\r\nsnow and ice\r\n",
    )
    .await?;
    append(
        &mut client,
        "\\Flagged $Todo",
        "15-Jun-2021 23:30:00 -0500",
        "From: carol@example.org\r\nCc: alice@example.org\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\
         X-Colour: blue\r\nDate: Tue, 15 Jun 2021 23:30:00 -0500\r\n\r\nsummer sun\r\n",
    )
    .await?;
    append(
        &mut client,
        "\\Answered \\Deleted",
        "24-Dec-2022 00:00:00 +0000",
        "From: bob@example.org\r\nTo: alice@example.org\r\nSubject: re: winter\r\n\
         Date: Sat, 24 Dec 2022 00:00:00 +0000\r\n\r\nsnow again, and a longer text than the others \
         have\r\n",
    )
    .await?;
    client.select("INBOX").await?;
    for (keys, expected) in [
        ("ALL", &[1, 2, 3][..]),
        ("SEEN", &[1]),
        ("UNSEEN", &[2, 3]),
        ("FLAGGED", &[2]),
        ("KEYWORD $Todo", &[2]),
        ("UNKEYWORD $Todo", &[1, 3]),
        ("ANSWERED DELETED", &[3]),
        ("NOT DELETED", &[1, 2]),
        ("OR FLAGGED SEEN", &[1, 2]),
        ("SUBJECT winter", &[1, 3]),
        ("SUBJECT \"\"", &[1, 2, 3]),
        ("FROM bob", &[3]),
        ("TO bob", &[1]),
        ("CC ALICE", &[2]),
        ("BODY snow", &[1, 3]),
        ("TEXT carol", &[2]),
        ("HEADER X-Colour blue", &[2]),
        ("HEADER X-Colour \"\"", &[2]),
        ("CHARSET UTF-8 SUBJECT {8+}\r\ngr\u{fc}\u{df}e", &[2]),
        ("BEFORE 1-Jan-2021", &[1]),
        ("SINCE 24-Dec-2022", &[3]),
        ("ON 15-Jun-2021", &[2]),
        ("SENTSINCE 15-Jun-2021 SENTBEFORE 16-Jun-2021", &[2]),
        ("UID 2:3 NOT FLAGGED", &[3]),
        ("1:2", &[1, 2]),
        ("*", &[3]),
        ("(OR SEEN FLAGGED) NOT (BODY sun)", &[1]),
        ("BODY nothing-like-it", &[]),
    ] {
        let keys = keys.replace("{8+}", &format!("{{{}+}}", "gr\u{fc}\u{df}e".len()));
        assert_eq!(client.uid_search(&keys).await?, expected, "{keys}");
    }
    let sizes: Vec<u64> = client
        .uid_fetch("1:3", "(RFC822.SIZE)")
        .await?
        .iter()
        .filter_map(|fetch| fetch.get("RFC822.SIZE")?.number())
        .collect();
    let middle = sizes[1];
    for (keys, found) in [
        (format!("LARGER {}", middle - 1), true),
        (format!("LARGER {middle}"), false),
        (format!("SMALLER {middle}"), false),
        (format!("SMALLER {}", middle + 1), true),
    ] {
        let uids = client.uid_search(&keys).await?;
        assert_eq!(uids.contains(&2), found, "{keys}: {uids:?}");
    }
    client
        .no("SEARCH CHARSET KLINGON ALL", "BADCHARSET")
        .await?;
    client.bad("SEARCH NONSENSE").await?;
    // Message numbers, not UIDs.
    client.ok("UID EXPUNGE 3").await?;
    client.ok("STORE 1 +FLAGS (\\Deleted)").await?;
    client.ok("EXPUNGE").await?;
    assert_eq!(client.ok("SEARCH ALL").await?.search()?, [1]);
    assert_eq!(client.uid_search("ALL").await?, [2]);
    Ok(())
}

/// What is left of so many messages after EXPUNGEs of these numbers, by their first numbers.
fn remaining(count: u32, expunged: &[u32]) -> Vec<u32> {
    let mut left: Vec<u32> = (1..=count).collect();
    for seq in expunged {
        left.remove(*seq as usize - 1);
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_and_expunge() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user2").await?;
    for number in 1..=6 {
        client
            .append("INBOX", "", &message(&format!("m{number}")))
            .await?;
    }
    client.select("INBOX").await?;
    let fetches = client
        .ok("STORE 2:3 FLAGS (\\Seen $One)")
        .await?
        .fetches()?;
    assert_eq!(fetches.len(), 2);
    assert_eq!(fetches[0].flags(), ["$One", "\\Seen"]);
    let fetches = client.ok("UID STORE 2 +FLAGS (\\Draft)").await?.fetches()?;
    assert_eq!((fetches[0].seq, fetches[0].uid()), (2, 2));
    assert_eq!(fetches[0].flags(), ["$One", "\\Draft", "\\Seen"]);
    let fetches = client.ok("STORE 2 -FLAGS (\\Seen)").await?.fetches()?;
    assert_eq!(fetches[0].flags(), ["$One", "\\Draft"]);
    let answer = client.ok("STORE 2 FLAGS.SILENT ()").await?;
    assert!(answer.fetches()?.is_empty());
    assert!(
        client.uid_fetch("2", "(FLAGS)").await?[0]
            .flags()
            .is_empty()
    );
    // A flag of the future is no error, and nothing that is kept (RFC 9051, flag-extension).
    client.ok("STORE 1 FLAGS (\\Nonsense)").await?;
    assert!(
        client.uid_fetch("1", "(FLAGS)").await?[0]
            .flags()
            .is_empty()
    );
    client.bad("STORE 99 FLAGS ()").await?;
    client.ok("UID STORE 99 +FLAGS (\\Seen)").await?; // RFC 3501 6.4.8: no such UID is no error

    client.ok("STORE 2,4,6 +FLAGS.SILENT (\\Deleted)").await?;
    // Its numbers may come in any order: what is left tells.
    let answer = client.ok("UID EXPUNGE 1:4").await?;
    assert_eq!(remaining(6, &answer.expunged()), [1, 3, 5, 6]);
    let answer = client.ok("EXPUNGE").await?;
    assert_eq!(answer.expunged(), [4]);
    assert_eq!(client.uid_search("ALL").await?, [1, 3, 5]);
    // CLOSE expunges without a word; UNSELECT does not.
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await?;
    client.ok("UNSELECT").await?;
    assert_eq!(client.select("INBOX").await?.exists, 3);
    let answer = client.ok("CLOSE").await?;
    assert!(answer.expunged().is_empty());
    let selected = client.select("INBOX").await?;
    assert_eq!((selected.exists, selected.uidnext), (2, 7));
    assert_eq!(client.uid_search("ALL").await?, [3, 5]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_see_each_other() -> Tested {
    let murder = Murder::start().await?;
    let mut one = murder.imap(1, "user1").await?;
    let mut two = murder.imap(2, "user1").await?;
    for number in 1..=3 {
        one.append("INBOX", "", &message(&format!("m{number}")))
            .await?;
    }
    assert_eq!(one.select("INBOX").await?.exists, 3);
    assert_eq!(two.select("INBOX").await?.exists, 3);
    // Its own changes a session hears of at once.
    let answer = one.ok("STORE 1 +FLAGS (\\Flagged \\Deleted)").await?;
    assert_eq!(answer.fetches()?[0].flags(), ["\\Deleted", "\\Flagged"]);
    let flags = wait_until("the flags are told", async || {
        let answer = two.ok("NOOP").await.ok()?;
        answer
            .fetches()
            .ok()?
            .first()
            .map(murder_testkit::Fetch::flags)
    });
    assert_eq!(flags.await?, ["\\Deleted", "\\Flagged"]);
    assert_eq!(one.ok("EXPUNGE").await?.expunged(), [1]);
    // Not while message numbers are in use (RFC 3501 section 7.4.1).
    let answer = two.ok("FETCH 2 (UID)").await?;
    assert!(answer.expunged().is_empty(), "{answer:?}");
    assert_eq!(answer.fetches()?[0].uid(), 2);
    assert!(two.ok("SEARCH ALL").await?.expunged().is_empty());
    wait_until("the expunge is told", async || {
        let answer = two.ok("NOOP").await.ok()?;
        (answer.expunged() == [1]).then_some(())
    })
    .await?;
    two.append("INBOX", "", &message("m4")).await?;
    wait_until("the arrival is told", async || {
        let answer = one.ok("NOOP").await.ok()?;
        answer
            .all("EXISTS")
            .next()?
            .number()
            .filter(|exists| *exists == 3)
    })
    .await?;
    assert_eq!(one.uid_search("ALL").await?, [2, 3, 4]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_are_answered_in_order() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client
        .script(
            "C: p1 CREATE one\\r\\np2 APPEND one {6+}\\r\\na\\r\\nb\\r\\n\\r\\np3 SELECT one\\r\\np4 FETCH 1 (UID)\\r\\np5 NAMESPACE\\r\\np6 STATUS INBOX (MESSAGES)\\r\\np7 UNSELECT\\r\\np8 DELETE one\\r\\np9 SELECT one
             S: p1 OK ...",
        )
        .await?;
    let mut tags = Vec::new();
    loop {
        let reply = client.reply().await?;
        if reply.word(0) != "*" {
            tags.push(reply.text()[..5].to_owned());
        }
        if reply.word(0) == "P9" {
            break;
        }
    }
    assert_eq!(
        tags,
        [
            "p2 OK", "p3 OK", "p4 OK", "p5 OK", "p6 OK", "p7 OK", "p8 OK", "p9 NO"
        ]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_are_refused() -> Tested {
    let murder = Murder::builder()
        .frontends(1)
        .imap_setting("append_limit = 1000")
        .start()
        .await?;
    for user in ["user1", "user2"] {
        let mut client = murder.imap(1, user).await?;
        let answer = client.try_append("nothing", "", &message("x")).await?;
        assert_eq!((answer.status, &*answer.code()), (Status::No, "TRYCREATE"));
        let answer = client
            .append_synchronising("nothing", "", &message("x"))
            .await?;
        assert_eq!((answer.status, &*answer.code()), (Status::No, "TRYCREATE"));
        let big = Generator::new(1).sized(3_000);
        let answer = client.try_append("INBOX", "", &big).await?;
        assert_eq!(
            (answer.status, &*answer.code()),
            (Status::No, "TOOBIG"),
            "{answer:?}"
        );
        let answer = client.append_synchronising("INBOX", "", &big).await?;
        assert_eq!(
            (answer.status, &*answer.code()),
            (Status::No, "TOOBIG"),
            "{answer:?}"
        );
        let capability = client.ok("CAPABILITY").await?;
        assert!(capability.untagged[0].text().contains("APPENDLIMIT=1000"));
        client.append("INBOX", "", &message("fits")).await?;
        assert_eq!(client.status("INBOX", "MESSAGES").await?, 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_items() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user2").await?;
    client.append("INBOX", "", &message("one")).await?;
    client.append("INBOX", "\\Seen", &message("two")).await?;
    let selected = murder.imap(2, "user2").await?.select("INBOX").await?;
    let answer = client
        .ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)")
        .await?;
    for (item, expected) in [
        ("MESSAGES", 2),
        ("UIDNEXT", 3),
        ("UNSEEN", 1),
        ("UIDVALIDITY", u64::from(selected.uidvalidity)),
    ] {
        assert_eq!(answer.status_item(item)?, expected, "{item}");
    }
    client.bad("STATUS INBOX ()").await?;
    client.bad("STATUS INBOX (NONSENSE)").await?;
    Ok(())
}
