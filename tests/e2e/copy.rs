//! COPY and MOVE (RFC 9051 6.4.7, RFC 4315, RFC 6851), within a backend and across.

use murder_mailbox::MailboxName;
use murder_store::{AppendMessage, Flags, InternalDate, QuotaLimits};
use murder_testkit::corpus::Generator;
use murder_testkit::{Answer, ImapClient, Murder};

use crate::over_quota::{limit, while_stopped};
use crate::{Tested, message};

/// user2's Box on be2, with these rights for user1, whose home is on be1.
async fn other_box(murder: &Murder, rights: &str) -> anyhow::Result<ImapClient> {
    let mut other = murder.imap(2, "user2").await?;
    other.ok("CREATE Box").await?;
    other.ok(&format!("SETACL Box user1 {rights}")).await?;
    Ok(other)
}

/// `(UIDVALIDITY, UIDs there, UIDs here)`; of MOVE it comes untagged.
fn copyuid(answer: &Answer) -> (u32, Vec<u32>, Vec<u32>) {
    let replies = answer.untagged.iter().chain([&answer.tagged]);
    let codes: Vec<String> = replies
        .filter_map(murder_testkit::Reply::code)
        .filter(|code| code.starts_with("COPYUID "))
        .collect();
    assert_eq!(codes.len(), 1, "{answer:?}");
    let words: Vec<&str> = codes[0].split(' ').collect();
    (
        words[1].parse().unwrap(),
        numbers(words[2]),
        numbers(words[3]),
    )
}

fn numbers(set: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for part in set.split(',') {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        let (low, high): (u32, u32) = (low.parse().unwrap(), high.parse().unwrap());
        all.extend(low.min(high)..=low.max(high));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_true() -> Tested {
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lrswi").await?;
    other.append("Box", "", &message("there already")).await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Near").await?;
    let messages = Generator::new(5).messages(20);
    for (number, message) in messages.iter().enumerate() {
        let flags = ["", "\\Seen", "\\Flagged $Work", "\\Answered \\Draft"][number % 4];
        let line = format!(
            "APPEND INBOX ({flags}) \"{:02}-Mar-2019 11:22:33 +0100\" {{{}+}}\r\n",
            number % 28 + 1,
            message.len()
        );
        client.send_raw(b"x ").await?;
        client.send_raw(line.as_bytes()).await?;
        client.send_raw(message).await?;
        client.send_raw(b"\r\n").await?;
        client.finish("x").await?;
    }
    client.select("INBOX").await?;
    client.ok("UID STORE 1 +FLAGS (\\Deleted)").await?;
    client.ok("EXPUNGE").await?;
    for (destination, first) in [("Near", 1), ("Other Users/user2/Box", 2)] {
        let answer = client
            .ok(&format!("UID COPY 3,5:9,20 \"{destination}\""))
            .await?;
        let (uidvalidity, from, to) = copyuid(&answer);
        assert_eq!(from, [3, 5, 6, 7, 8, 9, 20], "{destination}");
        assert_eq!(
            to,
            (first..first + 7).collect::<Vec<u32>>(),
            "{destination}"
        );
        let mut reader = murder.imap(2, "user1").await?;
        assert_eq!(reader.select(destination).await?.uidvalidity, uidvalidity);
        for (from, to) in from.iter().zip(&to) {
            let items = "(FLAGS INTERNALDATE BODY.PEEK[])";
            let here = &client.uid_fetch(&from.to_string(), items).await?[0];
            let there = &reader.uid_fetch(&to.to_string(), items).await?[0];
            assert!(here.bytes("BODY[]")? == messages[*from as usize - 1]);
            for item in ["INTERNALDATE", "BODY[]"] {
                assert!(
                    here.bytes(item)? == there.bytes(item)?,
                    "{destination}: {from} {item}"
                );
            }
            assert_eq!(here.flags(), there.flags(), "{destination}: {from}");
        }
        // By message numbers too; what is not there is no error by UID.
        let answer = client.ok(&format!("COPY 1:2 \"{destination}\"")).await?;
        assert_eq!(copyuid(&answer).1, [2, 3]);
        let answer = client
            .ok(&format!("UID COPY 1,500 \"{destination}\""))
            .await?;
        assert_eq!(answer.code(), "");
        client.bad(&format!("COPY 500 \"{destination}\"")).await?;
        assert_eq!(
            reader.status(destination, "MESSAGES").await?,
            u64::from(first) + 8
        );
    }
    assert_eq!(client.uid_search("ALL").await?.len(), 19);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_leave_nothing_behind() -> Tested {
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lrswi").await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Near").await?;
    for number in 1..=8 {
        client
            .append("INBOX", "\\Flagged", &message(&format!("m{number}")))
            .await?;
    }
    client.select("INBOX").await?;
    let answer = client.ok("UID MOVE 2:3 Near").await?;
    assert_eq!(copyuid(&answer).2, [1, 2]);
    // In either order: the numbers are those of the moment.
    let expunged = answer.expunged();
    assert!(expunged == [2, 2] || expunged == [3, 2], "{answer:?}");
    let answer = client.ok("MOVE 1,3:4 \"Other Users/user2/Box\"").await?;
    let (_, from, to) = copyuid(&answer);
    assert_eq!((from, to), (vec![1, 5, 6], vec![1, 2, 3]));
    assert_eq!(answer.expunged().len(), 3);
    // COPYUID comes before the numbers change (RFC 6851 section 4.3).
    let code_at = answer.untagged.iter().position(|reply| reply.is("OK"));
    let expunge_at = answer.untagged.iter().position(|reply| reply.is("EXPUNGE"));
    assert!(code_at < expunge_at, "{answer:?}");
    assert_eq!(client.uid_search("ALL").await?, [4, 7, 8]);
    other.select("Box").await?;
    assert_eq!(other.fetch_body(2).await?, message("m5"));
    assert_eq!(
        other.uid_fetch("2", "(FLAGS)").await?[0].flags(),
        ["\\Flagged"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_changes_nothing() -> Tested {
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lr").await?;
    other.append("Box", "", &message("theirs")).await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Near").await?;
    client.append("INBOX", "", &message("mine")).await?;
    client.select("INBOX").await?;
    for command in ["COPY", "MOVE"] {
        client
            .no(&format!("{command} 1 nowhere"), "TRYCREATE")
            .await?;
        client
            .no(&format!("{command} 1 \"Other Users/user2/nowhere\""), "")
            .await?;
        client
            .no(&format!("{command} 1 \"Other Users/user2/Box\""), "NOPERM")
            .await?;
        client.bad(&format!("{command} 1")).await?;
        client.bad(&format!("{command} x Near")).await?;
    }
    assert_eq!(client.uid_search("ALL").await?, [1]);
    // From there: COPY needs r only, MOVE needs t and e too.
    client.select("Other Users/user2/Box").await?;
    for destination in ["INBOX", "Near"] {
        client.no(&format!("MOVE 1 {destination}"), "").await?;
    }
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 1);
    assert_eq!(client.status("Near", "MESSAGES").await?, 0);
    client.ok("COPY 1 INBOX").await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 2);
    assert_eq!(other.status("Box", "MESSAGES").await?, 1);
    Ok(())
}

/// More than one buffer, window or batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_cross() -> Tested {
    const COUNT: u32 = 300;
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lrswite").await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut generator = Generator::new(9);
    let mut tags = Vec::new();
    let mut messages = Vec::new();
    for _ in 0..COUNT {
        let message = generator.plain();
        let text = String::from_utf8(message.clone())?;
        tags.push(
            client
                .send(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()))
                .await?,
        );
        messages.push(message);
    }
    for tag in tags {
        client.finish(&tag).await?;
    }
    client.select("INBOX").await?;
    let answer = client.ok("MOVE 1:* \"Other Users/user2/Box\"").await?;
    let (_, from, to) = copyuid(&answer);
    assert_eq!((from.len(), to.len()), (COUNT as usize, COUNT as usize));
    assert!(client.uid_search("ALL").await?.is_empty());
    other.select("Box").await?;
    let bodies = other.fetch_all().await?;
    assert_eq!(bodies.len(), COUNT as usize);
    for ((_, body), message) in bodies.iter().zip(&messages) {
        assert!(body == message);
    }
    Ok(())
}

/// LMTP may deliver what APPEND refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_nothing_can_be_copied() -> Tested {
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lrswi").await?;
    murder.lmtp(1).await?.deliver_one("user1", b"").await?;
    let mut client = murder.imap(1, "user1").await?;
    client.select("INBOX").await?;
    client.ok("COPY 1 \"Other Users/user2/Box\"").await?;
    assert_eq!(other.status("Box", "MESSAGES").await?, 1);
    Ok(())
}

/// What a command came to: its status, its code, and how many messages there are then at either
/// end, and of these with `\Deleted` here.
async fn outcome(
    client: &mut ImapClient,
    reader: &mut ImapClient,
    there: &mut ImapClient,
    setting: &Setting<'_>,
    command: &str,
) -> anyhow::Result<String> {
    there.command("UNSELECT").await?;
    there.command("DELETE Box").await?;
    there.ok("CREATE Box").await?;
    let rights = match setting.rights {
        "" => "\"\"",
        rights => rights,
    };
    there.ok(&format!("SETACL Box user1 {rights}")).await?;
    client.command("UNSELECT").await?;
    client.command("DELETE Source").await?;
    client.ok("CREATE Source").await?;
    for (number, flags) in [(1, "\\Flagged $a"), (2, "\\Seen"), (3, "\\Draft b c")] {
        let message = message(&format!("m{number}"));
        client.append("Source", flags, &message).await?;
    }
    client.ok(&format!("{} Source", setting.select)).await?;
    // Another session removes one of which this client is not told.
    if setting.gone {
        reader.select("Source").await?;
        reader.ok("UID STORE 1 +FLAGS (\\Deleted)").await?;
        reader.ok("EXPUNGE").await?;
    }
    let command = command.replace("BOX", &format!("\"Other Users/{}/Box\"", setting.owner));
    let answer = client.command(&command).await?;
    let codes = answer
        .untagged
        .iter()
        .filter_map(murder_testkit::Reply::code);
    let mut codes: Vec<String> = codes.chain([answer.code()]).collect();
    for code in &mut codes {
        if let Some(rest) = code.strip_prefix("COPYUID ") {
            *code = rest.split_once(' ').unwrap().1.to_owned();
        }
    }
    codes.retain(|code| !code.is_empty() && !code.starts_with("HIGHESTMODSEQ"));
    let expunged = answer.expunged().len();
    reader.select("Source").await?;
    let here = reader.uid_search("ALL").await?;
    let deleted = reader.uid_search("DELETED").await?;
    there.select("Box").await?;
    let mut arrived = Vec::new();
    for (uid, body) in there.fetch_all().await? {
        let flags = there.uid_fetch(&uid.to_string(), "(FLAGS)").await?[0].flags();
        let text = String::from_utf8(body)?;
        let subject = text.split("Subject: ").nth(1).unwrap_or_default();
        arrived.push((uid, subject[..2].to_owned(), flags));
    }
    Ok(format!(
        "{:?} {codes:?} told of {expunged}, here {here:?}, deleted {deleted:?}, there {arrived:?}",
        answer.status
    ))
}

struct Setting<'a> {
    /// Whose the destination is.
    owner: &'a str,
    /// What user1 may there.
    rights: &'a str,
    select: &'a str,
    /// Message 1 was expunged meanwhile.
    gone: bool,
}

/// Where the destination is makes no difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_backend_and_across_it_is_the_same() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut reader = murder.imap(2, "user1").await?;
    // user1's and user3's homes are on be1, user2's on be2.
    let mut near = murder.imap(2, "user3").await?;
    let mut far = murder.imap(2, "user2").await?;
    let all = [
        "COPY 1 BOX",
        "COPY 1:* BOX",
        "COPY 4 BOX",
        "COPY 0 BOX",
        "COPY $ BOX",
        "UID COPY 2:3,9 BOX",
        "UID COPY 9 BOX",
        "MOVE 2 BOX",
        "MOVE 4 BOX",
        "UID MOVE 1:2 BOX",
        "UID MOVE 9 BOX",
    ];
    let some = ["COPY 4 BOX", "UID COPY 9 BOX", "MOVE 2:3 BOX"];
    let cases = [
        ("lrswite", "SELECT", false, &all[..]),
        ("li", "SELECT", false, &some[..]),
        ("lit", "SELECT", false, &some[..]),
        ("lrste", "SELECT", false, &some[..]),
        ("", "SELECT", false, &some[..]),
        ("lrswi", "EXAMINE", false, &some[..]),
        ("lrswi", "SELECT", true, &all[..]),
    ];
    for (rights, select, gone, commands) in cases {
        for command in commands {
            let setting = |owner| Setting {
                owner,
                rights,
                select,
                gone,
            };
            let within = outcome(
                &mut client,
                &mut reader,
                &mut near,
                &setting("user3"),
                command,
            )
            .await?;
            let across = outcome(
                &mut client,
                &mut reader,
                &mut far,
                &setting("user2"),
                command,
            )
            .await?;
            assert_eq!(
                within, across,
                "{command} with {rights:?}, {select}, {gone}"
            );
        }
    }
    client.bad("COPY 9 nowhere").await?;
    client.no("MOVE 1 nowhere", "TRYCREATE").await?;
    Ok(())
}

/// All or nothing, also where the user may do no more than put messages in; and the connection to
/// there is as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_leaves_nothing() -> Tested {
    let mut murder = Murder::start().await?;
    let mut other = other_box(&murder, "li").await?;
    let limits = QuotaLimits {
        message: Some(2),
        ..QuotaLimits::default()
    };
    limit(&mut murder, 2, "user2", limits).await?;
    let mut client = murder.imap(1, "user1").await?;
    for number in 1..=3 {
        let message = message(&format!("m{number}"));
        client.append("INBOX", "", &message).await?;
    }
    client.select("INBOX").await?;
    for command in ["COPY", "MOVE"] {
        let command = format!("{command} 1:3 \"Other Users/user2/Box\"");
        client.no(&command, "OVERQUOTA").await?;
        assert_eq!(other.status("Box", "MESSAGES").await?, 0);
        assert_eq!(client.uid_search("DELETED").await?, Vec::<u32>::new());
        assert_eq!(client.uid_search("ALL").await?, [1, 2, 3]);
    }
    client.ok("MOVE 2:3 \"Other Users/user2/Box\"").await?;
    assert_eq!(other.status("Box", "MESSAGES").await?, 2);
    assert_eq!(client.uid_search("ALL").await?, [1]);
    Ok(())
}

/// Several sessions move the same messages at once, to another backend, to another home and within
/// one: each message gets to one place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_at_the_same_time_do_not_multiply() -> Tested {
    const COUNT: u32 = 40;
    let murder = Murder::start().await?;
    let mut far = other_box(&murder, "lrswite").await?;
    let mut near = murder.imap(2, "user3").await?;
    near.ok("CREATE Box").await?;
    near.ok("SETACL Box user1 lrswite").await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Own").await?;
    for number in 1..=COUNT {
        let message = message(&format!("m{number}"));
        client.append("INBOX", "", &message).await?;
    }
    let targets = [
        "\"Other Users/user2/Box\"",
        "\"Other Users/user3/Box\"",
        "Own",
        "\"Other Users/user2/Box\"",
    ];
    let mut sessions = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        let mut session = murder.imap(number % 2 + 1, "user1").await?;
        session.select("INBOX").await?;
        let tag = session.send(&format!("UID MOVE 1:* {target}")).await?;
        sessions.push((session, tag));
    }
    let mut moved = Vec::new();
    for (session, tag) in &mut sessions {
        let answer = session.finish(tag).await?;
        assert_eq!(answer.status, murder_testkit::Status::Ok, "{answer:?}");
        if answer
            .untagged
            .iter()
            .any(|r| r.code().is_some_and(|c| c.starts_with("COPYUID")))
        {
            moved.extend(copyuid(&answer).1);
        }
    }
    moved.sort_unstable();
    assert_eq!(moved, (1..=COUNT).collect::<Vec<u32>>());
    let there = far.status("Box", "MESSAGES").await?
        + near.status("Box", "MESSAGES").await?
        + client.status("Own", "MESSAGES").await?;
    assert_eq!(there, u64::from(COUNT));
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 0);
    Ok(())
}

/// Messages of which one is many blocks, and a COPYUID that is longer than what other answers may
/// be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_ones_and_long_answers_cross() -> Tested {
    let murder = Murder::start().await?;
    let mut other = other_box(&murder, "lrswite").await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut large = message("large");
    while large.len() < 9_000_000 {
        let line = format!(
            "{} of a large message, in lines that differ\r\n",
            large.len()
        );
        large.extend_from_slice(line.as_bytes());
    }
    client.append("INBOX", "", &message("m1")).await?;
    client.append("INBOX", "\\Seen", &large).await?;
    client.append("INBOX", "", &message("m3")).await?;
    client.select("INBOX").await?;
    client.ok("MOVE 1:3 \"Other Users/user2/Box\"").await?;
    other.select("Box").await?;
    assert!(other.fetch_body(2).await? == large);
    assert_eq!(other.fetch_body(3).await?, message("m3"));
    // Every second of 24,000.
    client.append("INBOX", "", &message("x")).await?;
    client.ok("CREATE Many").await?;
    client.ok("COPY 1 Many").await?;
    client.select("Many").await?;
    for _ in 0..11 {
        client.ok("COPY 1:* Many").await?;
    }
    client.ok("COPY 1:* Many").await?;
    for first in (1..4096).step_by(1024) {
        let uids: Vec<String> = (first..first + 1024)
            .step_by(2)
            .map(|u: u32| u.to_string())
            .collect();
        client
            .ok(&format!(
                "UID STORE {} +FLAGS.SILENT (\\Deleted)",
                uids.join(",")
            ))
            .await?;
    }
    client.ok("EXPUNGE").await?;
    let answer = client.ok("UID MOVE 1:* \"Other Users/user2/Box\"").await?;
    let (_, from, to) = copyuid(&answer);
    assert_eq!((from.len(), to.len()), (2048, 2048));
    assert_eq!(answer.expunged().len(), 2048);
    assert_eq!(client.uid_search("ALL").await?, Vec::<u32>::new());
    Ok(())
}

/// No door takes a NUL any more; what was stored before must be able to leave its backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_nuls_can_leave_their_backend() -> Tested {
    let mut murder = Murder::start().await?;
    let inbox = MailboxName::inbox_of("user1")?;
    while_stopped(&mut murder, 1, async |partition| {
        for body in [
            "Subject: a\0b\r\n\r\ntext\r\n",
            "Subject: c\r\n\r\nd\0e\r\n",
        ] {
            let message = AppendMessage {
                body: bytes::Bytes::from_static(body.as_bytes()).into(),
                flags: Flags::default(),
                keywords: Vec::new(),
                internal_date: InternalDate {
                    seconds: 1_600_000_000,
                    zone: 0,
                },
                save_date: 1_600_000_000,
                seen_by: None,
            };
            partition.append(&inbox, vec![message]).await?;
        }
        Ok(())
    })
    .await?;
    let mut other = other_box(&murder, "lrswi").await?;
    let mut client = murder.imap(1, "user1").await?;
    client.select("INBOX").await?;
    client.ok("COPY 1:2 \"Other Users/user2/Box\"").await?;
    client.ok("MOVE 1:2 \"Other Users/user2/Box\"").await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 0);
    assert_eq!(other.select("Box").await?.exists, 4);
    for number in 1..=4 {
        let answer = other.ok(&format!("FETCH {number} BODY.PEEK[]")).await?;
        let text = format!("{:?}", answer.untagged);
        assert!(text.contains("Subject: "), "{text}");
        assert!(!text.contains("\\0") && !text.contains('\0'), "{text}");
    }
    Ok(())
}
