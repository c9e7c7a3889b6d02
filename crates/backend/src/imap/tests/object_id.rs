//! OBJECTID (RFC 8474), SAVEDATE (RFC 8514), STATUS=SIZE (RFC 8438) and PARTIAL of UID FETCH
//! (RFC 9394).

use murder_imap::{FetchData, Untagged};

use super::support::{Client, Server, short};

async fn mailbox_id(client: &mut Client, name: &str) -> String {
    let lines = client.ask(&format!("STATUS {name} (MAILBOXID)")).await;
    let id = lines[0].strip_prefix(&format!("* STATUS \"{name}\" (MAILBOXID ("));
    let id = id.unwrap().strip_suffix("))").unwrap();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    assert!(
        !id.is_empty() && id.len() <= 255 && id.chars().all(legal),
        "{id}"
    );
    id.to_owned()
}

async fn email_ids(client: &mut Client) -> Vec<String> {
    let (told, completion) = client.get("FETCH 1:* (EMAILID THREADID)").await;
    assert!(completion.starts_with("OK "), "{completion}");
    let mut ids = Vec::new();
    for response in told {
        let Untagged::Fetch { items, .. } = response else {
            continue;
        };
        match &items[..] {
            [FetchData::EmailId(id), FetchData::ThreadId(None)] => ids.push(id.clone()),
            other => panic!("{other:?}"),
        }
    }
    ids
}

/// The examples of section 4.
#[tokio::test]
async fn mailboxes_have_ids() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let created = bob.ask("CREATE foo").await;
    let _ = bob.ask("CREATE bar").await;
    let (foo, bar) = (
        mailbox_id(&mut bob, "foo").await,
        mailbox_id(&mut bob, "bar").await,
    );
    assert_ne!(foo, bar);
    assert_eq!(
        created,
        [format!("OK [MAILBOXID ({foo})] CREATE completed")]
    );
    assert_eq!(
        bob.ask("CREATE foo").await,
        ["NO [ALREADYEXISTS] Mailbox exists already"]
    );
    for command in ["SELECT", "EXAMINE"] {
        let lines = bob.ask(&format!("{command} foo")).await;
        let told = format!("* OK [MAILBOXID ({foo})] Mailbox ID");
        assert!(lines.contains(&told), "{lines:?}");
    }
    let _ = bob.ask("RENAME foo renamed").await;
    assert_eq!(mailbox_id(&mut bob, "renamed").await, foo);
    let lines = bob.ask("LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))").await;
    for (name, id) in [("renamed", &foo), ("bar", &bar)] {
        let told = format!("* STATUS \"{name}\" (MAILBOXID ({id}))");
        assert!(lines.contains(&told), "{lines:?}");
    }
    // Made anew it is another.
    let _ = bob.ask("DELETE bar").await;
    let _ = bob.ask("CREATE bar").await;
    assert_ne!(mailbox_id(&mut bob, "bar").await, bar);
    // RENAME of INBOX makes a new mailbox, and INBOX stays what it was.
    let inbox = mailbox_id(&mut bob, "INBOX").await;
    let _ = bob.ask("RENAME INBOX old").await;
    assert_eq!(mailbox_id(&mut bob, "INBOX").await, inbox);
    assert_ne!(mailbox_id(&mut bob, "old").await, inbox);
}

/// The examples of sections 5.3 and 6, without threads: EMAILID stays with COPY and MOVE, within
/// a home, to another, and to another partition.
#[tokio::test]
async fn messages_have_ids() {
    let server = Server::with_partitions(&["p1", "p2"]);
    server.create("user/bob").await;
    let mut admin = server.login("admin").await;
    let mut bob = server.login("bob").await;
    for command in [
        "CREATE \"Shared Folders/near\" (PARTITION p1)",
        "CREATE \"Shared Folders/far\" (PARTITION p2)",
        "SETACL \"Shared Folders/near\" bob lrswite",
        "SETACL \"Shared Folders/far\" bob lrswite",
    ] {
        let answer = admin.ask(command).await;
        assert!(answer[0].starts_with("OK"), "{command}: {answer:?}");
    }
    for text in ["A", "Re: A", "C"] {
        server.put("user/bob", short(text)).await;
    }
    bob.select("INBOX").await;
    let mut ids = email_ids(&mut bob).await;
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((ids.len(), unique.len()), (3, 3));
    let found = bob.ask(&format!("SEARCH EMAILID {}", ids[1])).await;
    assert_eq!(found[0], "* SEARCH 2");
    let found = bob
        .ask(&format!("SEARCH OR EMAILID {} THREADID {}", ids[0], ids[2]))
        .await;
    assert_eq!(found[0], "* SEARCH 1");
    let _ = bob.ask("CREATE foo").await;
    for (way, target) in [
        ("COPY", "INBOX"),
        ("COPY", "foo"),
        ("COPY", "Shared Folders/near"),
        ("COPY", "Shared Folders/far"),
        ("MOVE", "Shared Folders/far"),
    ] {
        let answer = bob.ask(&format!("{way} 2 \"{target}\"")).await;
        assert!(answer.last().unwrap().starts_with("OK"), "{answer:?}");
        let mut other = server.login("bob").await;
        other.select(target).await;
        let there = email_ids(&mut other).await;
        assert_eq!(there.last(), Some(&ids[1]), "{way} {target}");
    }
    ids.push(ids[1].clone());
    ids.remove(1);
    assert_eq!(email_ids(&mut bob).await, ids);
}

#[tokio::test]
async fn a_copy_was_saved_now() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    server.put("user/bob", short("x")).await;
    bob.select("INBOX").await;
    bob.play(
        "C: a COPY 1 INBOX
         S: * 2 EXISTS
         S: * 2 RECENT
         S: a OK …
         C: A101 FETCH 1 (SAVEDATE)
         S: * 1 FETCH (SAVEDATE \"14-Nov-2023 22:15:00 +0000\")
         S: A101 OK FETCH completed
         C: A102 SEARCH SAVEDON 14-Nov-2023
         S: * SEARCH 1
         S: A102 OK …
         C: A103 SEARCH SAVEDSINCE 15-Nov-2023
         S: * SEARCH 2
         S: A103 OK …
         C: A104 SEARCH SAVEDBEFORE 14-Nov-2023
         S: * SEARCH
         S: A104 OK …
         C: A105 SEARCH SAVEDATESUPPORTED
         S: * SEARCH 1 2
         S: A105 OK …",
    )
    .await;
}

#[tokio::test]
async fn sizes() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let raw = short("x");
    let size = 3 * raw.len();
    for _ in 0..3 {
        server.put("user/bob", raw.clone()).await;
    }
    bob.select("INBOX").await;
    bob.play(&format!(
        "C: a STORE 2 +FLAGS.SILENT \\Deleted
         S: a OK …
         C: A01 STATUS INBOX (MESSAGES SIZE UIDNEXT DELETED DELETED-STORAGE)
         S: * STATUS \"INBOX\" (MESSAGES 3 SIZE {size} UIDNEXT 4 DELETED 1 DELETED-STORAGE {})
         S: A01 OK STATUS completed
         C: A04 LIST \"\" % RETURN (STATUS (MESSAGES SIZE))
         S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
         S: * STATUS \"INBOX\" (MESSAGES 3 SIZE {size})
         S: A04 OK LIST completed",
        raw.len()
    ))
    .await;
}

/// The examples of RFC 9394 sections 3.3 and 3.4.
#[tokio::test]
async fn pages_of_a_fetch() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for n in 1..=8 {
        server.put("user/bob", short(&n.to_string())).await;
    }
    bob.select("INBOX").await;
    bob.select("INBOX").await;
    bob.play(
        "C: x STORE 1,4 +FLAGS.SILENT \\Deleted
         S: x OK …
         C: y EXPUNGE
         S: * 4 EXPUNGE
         S: * 1 EXPUNGE
         S: y OK …
         C: 10 UID FETCH 2:7 (UID FLAGS) (PARTIAL -1:-3)
         S: * 3 FETCH (UID 5 FLAGS ())
         S: * 4 FETCH (UID 6 FLAGS ())
         S: * 5 FETCH (UID 7 FLAGS ())
         S: 10 OK FETCH completed
         C: 11 UID FETCH 2:7 FLAGS (PARTIAL 2:1)
         S: * 1 FETCH (UID 2 FLAGS ())
         S: * 2 FETCH (UID 3 FLAGS ())
         S: 11 OK FETCH completed
         C: 12 UID FETCH 1:* FLAGS (PARTIAL 7:9)
         S: 12 OK FETCH completed
         C: 13 UID FETCH 1:* FLAGS (PARTIAL 6:4294967295)
         S: * 6 FETCH (UID 8 FLAGS ())
         S: 13 OK FETCH completed
         C: z STORE 1,4 +FLAGS.SILENT \\Flagged
         S: z OK …
         C: 101 UID FETCH 1:7 (UID FLAGS) (PARTIAL -1:-3 CHANGEDSINCE 1)
         S: * 3 FETCH (UID 5 FLAGS () MODSEQ (6))
         S: * 4 FETCH (UID 6 FLAGS (\\Flagged) MODSEQ (12))
         S: * 5 FETCH (UID 7 FLAGS () MODSEQ (8))
         S: * OK [HIGHESTMODSEQ 12] …
         S: 101 OK …
         C: 102 UID FETCH 1:7 (UID FLAGS) (CHANGEDSINCE 8 PARTIAL -1:-3)
         S: * 4 FETCH (UID 6 FLAGS (\\Flagged) MODSEQ (12))
         S: 102 OK …
         C: 14 FETCH 1:* FLAGS (PARTIAL 1:2)
         S: 14 BAD PARTIAL is for UID FETCH
         C: 15 UID FETCH 1:* FLAGS (PARTIAL 0:2)
         S: 15 BAD …
         C: 16 UID FETCH 1:* FLAGS (PARTIAL -1:2)
         S: 16 BAD …
         C: 17 UID FETCH 1:* FLAGS (PARTIAL 1:99999999999)
         S: 17 BAD …",
    )
    .await;
}
