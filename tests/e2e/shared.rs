//! Access control (RFC 4314), and other people's mailboxes on the other backend.

use murder_testkit::{ImapClient, Murder};

use crate::{Tested, message};

const SHARED: &str = "Other Users/user1/Work";

/// user1's Work on be1, with these rights for user2, whose home is on be2.
async fn share(murder: &Murder, rights: &str) -> anyhow::Result<(ImapClient, ImapClient)> {
    let mut owner = murder.imap(1, "user1").await?;
    owner.ok("CREATE Work").await?;
    if !rights.is_empty() {
        owner.ok(&format!("SETACL Work user2 {rights}")).await?;
    }
    Ok((owner, murder.imap(2, "user2").await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_used_like_ones_own() -> Tested {
    let murder = Murder::start().await?;
    let (mut owner, mut other) = share(&murder, "lrswitekx").await?;
    assert_eq!(other.append(SHARED, "\\Flagged", &message("one")).await?, 1);
    assert_eq!(owner.append("Work", "", &message("two")).await?, 2);
    let selected = other.select(SHARED).await?;
    assert_eq!((selected.exists, &*selected.mode), (2, "READ-WRITE"));
    assert_eq!(other.fetch_body(2).await?, message("two"));
    other.ok("UID STORE 2 +FLAGS (\\Answered $x)").await?;
    assert_eq!(other.uid_search("SUBJECT two ANSWERED").await?, [2]);
    other.ok("UID COPY 1:2 INBOX").await?;
    other.ok("UID STORE 1 +FLAGS (\\Deleted)").await?;
    assert_eq!(other.ok("EXPUNGE").await?.expunged(), [1]);
    other.ok(&format!("CREATE \"{SHARED}/Below\"")).await?;
    other
        .ok(&format!("RENAME \"{SHARED}/Below\" \"{SHARED}/Beneath\""))
        .await?;
    assert_eq!(owner.status("Work/Beneath", "MESSAGES").await?, 0);
    other.ok(&format!("DELETE \"{SHARED}/Beneath\"")).await?;
    owner.no("SELECT Work/Beneath", "NONEXISTENT").await?;
    assert_eq!(other.status("INBOX", "MESSAGES").await?, 2);
    owner.select("Work").await?;
    let fetches = owner.uid_fetch("1:*", "(FLAGS)").await?;
    assert_eq!(fetches.len(), 1);
    assert_eq!(fetches[0].flags(), ["$x", "\\Answered"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_is_needed() -> Tested {
    let murder = Murder::start().await?;
    let (mut owner, mut other) = share(&murder, "").await?;
    owner.append("Work", "", &message("one")).await?;
    // Without l one does not even know that it is there.
    for line in [
        format!("SELECT \"{SHARED}\""),
        format!("STATUS \"{SHARED}\" (MESSAGES)"),
        format!("MYRIGHTS \"{SHARED}\""),
        format!("DELETE \"{SHARED}\""),
        format!("GETACL \"{SHARED}\""),
    ] {
        other.no(&line, "NONEXISTENT").await?;
    }
    owner.ok("SETACL Work user2 l").await?;
    for line in [
        format!("SELECT \"{SHARED}\""),
        format!("STATUS \"{SHARED}\" (MESSAGES)"),
        format!("CREATE \"{SHARED}/Below\""),
        format!("DELETE \"{SHARED}\""),
        format!("RENAME \"{SHARED}\" \"{SHARED}2\""),
        format!("GETACL \"{SHARED}\""),
        format!("SETACL \"{SHARED}\" user2 lrswipkxtea"),
        format!("DELETEACL \"{SHARED}\" user1"),
        format!("LISTRIGHTS \"{SHARED}\" user2"),
    ] {
        other.no(&line, "NOPERM").await?;
    }
    let answer = other.try_append(SHARED, "", &message("x")).await?;
    assert_eq!(answer.code(), "NOPERM");

    owner.ok("SETACL Work user2 lr").await?;
    assert_eq!(other.select(SHARED).await?.mode, "READ-ONLY");
    other.ok("UNSELECT").await?;

    // Each flag has its right.
    owner.ok("SETACL Work user2 lri").await?;
    other.select(SHARED).await?;
    other.ok("FETCH 1 (BODY[])").await?;
    other.no("STORE 1 +FLAGS (\\Flagged)", "").await?;
    other.no("STORE 1 +FLAGS (\\Deleted)", "").await?;
    other.no("STORE 1 +FLAGS (\\Seen)", "").await?;
    other.no("EXPUNGE", "").await?;
    other.ok("UNSELECT").await?;
    owner.ok("SETACL Work user2 lrt").await?;
    other.select(SHARED).await?;
    other.ok("STORE 1 +FLAGS (\\Deleted)").await?;
    other.no("EXPUNGE", "").await?;
    other.ok("CLOSE").await?;
    // Flags that one may not set are dropped from an APPEND, not refused (RFC 4314 section 4).
    owner.ok("SETACL Work user2 lri").await?;
    let uid = other
        .append(SHARED, "\\Flagged \\Deleted", &message("two"))
        .await?;
    owner.select("Work").await?;
    let flags = owner.uid_fetch(&uid.to_string(), "(FLAGS)").await?[0].flags();
    assert!(flags.is_empty(), "{flags:?}");
    assert_eq!(owner.uid_search("ALL").await?, [1, 2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acl_commands() -> Tested {
    let murder = Murder::start().await?;
    let (mut owner, mut other) = share(&murder, "lr").await?;
    owner.ok("SETACL Work user2 +sw").await?;
    owner.ok("SETACL Work user2 -r").await?;
    owner.ok("SETACL Work anyone lrp").await?;
    owner.ok("SETACL Work -user3 r").await?;
    owner
        .no("SETACL Work user2 Z", "")
        .await
        .or(owner.bad("SETACL Work user2 Z").await)?;
    let answer = owner.ok("GETACL Work").await?;
    let values = answer.all("ACL").next().unwrap().values()?;
    let mut entries: Vec<String> = values[3..]
        .chunks(2)
        .map(|pair| {
            // The obsolete c and d stand beside what they stand for.
            let rights: String = pair[1]
                .text()
                .chars()
                .filter(|c| !"cd".contains(*c))
                .collect();
            format!("{} {rights}", pair[0].text())
        })
        .collect();
    entries.sort();
    assert_eq!(entries[0], "-user3 r");
    assert_eq!(entries[1], "anyone lrp");
    assert!(entries.contains(&"user2 lsw".to_owned()), "{entries:?}");
    assert!(
        entries.iter().any(|entry| entry.starts_with("user1 lrswi")),
        "{entries:?}"
    );

    let rights = |answer: &murder_testkit::Answer| {
        let reply = answer.all("MYRIGHTS").next().unwrap().values().unwrap();
        reply[3].text()
    };
    // Rights of anyone and of oneself add up.
    assert_eq!(
        rights(&other.ok(&format!("MYRIGHTS \"{SHARED}\"")).await?),
        "lrswp"
    );
    let mut third = murder.imap(1, "user3").await?;
    assert_eq!(
        rights(&third.ok(&format!("MYRIGHTS \"{SHARED}\"")).await?),
        "lp"
    );
    third.no(&format!("SELECT \"{SHARED}\""), "NOPERM").await?;
    let answer = owner.ok("LISTRIGHTS Work user2").await?;
    assert_eq!(answer.all("LISTRIGHTS").count(), 1);

    owner.ok("DELETEACL Work user2").await?;
    owner.ok("DELETEACL Work -user3").await?;
    owner.ok("DELETEACL Work anyone").await?;
    third
        .no(&format!("MYRIGHTS \"{SHARED}\""), "NONEXISTENT")
        .await?;
    other
        .no(&format!("MYRIGHTS \"{SHARED}\""), "NONEXISTENT")
        .await?;
    // Who owns it cannot be shut out for good.
    owner.ok("SETACL Work user1 lr").await?;
    owner.ok("SETACL Work user1 lrswipkxtea").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_has_their_own_seen() -> Tested {
    let murder = Murder::start().await?;
    let (mut owner, mut other) = share(&murder, "lrsw").await?;
    for subject in ["one", "two", "three"] {
        owner.append("Work", "", &message(subject)).await?;
    }
    owner.select("Work").await?;
    owner.ok("STORE 1:2 +FLAGS (\\Seen)").await?;
    owner.ok("STORE 3 +FLAGS (\\Flagged)").await?;
    other.select(SHARED).await?;
    assert_eq!(other.uid_search("UNSEEN").await?, [1, 2, 3]);
    assert_eq!(other.uid_search("FLAGGED").await?, [3]);
    other.ok("STORE 3 +FLAGS (\\Seen)").await?;
    assert_eq!(other.uid_search("SEEN").await?, [3]);
    assert_eq!(owner.uid_search("SEEN").await?, [1, 2]);
    assert_eq!(
        murder
            .imap(1, "user2")
            .await?
            .status(SHARED, "UNSEEN")
            .await?,
        2
    );
    assert_eq!(
        murder
            .imap(2, "user1")
            .await?
            .status("Work", "UNSEEN")
            .await?,
        1
    );
    // What others mark as read is no news.
    assert!(owner.ok("NOOP").await?.fetches()?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_taken_back_hold_at_once() -> Tested {
    let murder = Murder::start().await?;
    let (mut owner, mut other) = share(&murder, "lrswit").await?;
    owner.append("Work", "", &message("one")).await?;
    other.select(SHARED).await?;
    other.ok("STORE 1 +FLAGS (\\Flagged)").await?;
    owner.ok("SETACL Work user2 l").await?;
    let answer = other.command("STORE 1 +FLAGS (\\Answered)").await?;
    assert_ne!(answer.status, murder_testkit::Status::Ok, "{answer:?}");
    owner.select("Work").await?;
    assert_eq!(
        owner.uid_fetch("1", "(FLAGS)").await?[0].flags(),
        ["\\Flagged"]
    );
    Ok(())
}

/// No octets of eight bits in quoted strings for a client that has not enabled UTF-8, whatever
/// the session is between a frontend and its backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_and_previews_are_written_for_this_client() -> Tested {
    const WHO: &str = "m\u{fc}ller\"\\x";
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    owner.ok("CREATE Work").await?;
    let literal = format!("{{{}+}}\r\n{WHO}", WHO.len());
    let preview = "Gr\u{fc}\u{df}e";
    let text = format!("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{preview}");
    owner.append("Work", "", text.as_bytes()).await?;
    owner.ok(&format!("SETACL Work {literal} lr")).await?;
    for mut client in [owner, murder.imap_at_backend(1, "user1").await?] {
        client.select("Work").await?;
        for command in [
            "GETACL Work".to_owned(),
            format!("LISTRIGHTS Work {literal}"),
            "FETCH 1 (PREVIEW)".to_owned(),
        ] {
            let wanted = if command.starts_with("FETCH") {
                preview
            } else {
                WHO
            };
            let answer = client.ok(&command).await?;
            let wanted = format!("{{{}}}\r\n{wanted}", wanted.len());
            let found = answer
                .untagged
                .iter()
                .any(|reply| reply.text().contains(&wanted));
            assert!(found, "{command}: {answer:?}");
        }
    }
    Ok(())
}
