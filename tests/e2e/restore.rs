//! What was expunged or deleted comes back, by the operator's hand.

use murder_testkit::{ImapClient, Murder};
use serde_json::json;

use crate::operator::{done, operate, refused, told};
use crate::{Tested, message};

/// Marks and expunges these UIDs.
async fn expunge(client: &mut ImapClient, uids: &str) -> anyhow::Result<()> {
    client
        .ok(&format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)"))
        .await?;
    client.ok("EXPUNGE").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expunged_messages_come_back_under_new_uids() -> Tested {
    let murder = Murder::start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    for subject in ["one", "two", "three"] {
        lmtp.deliver_one("user1", &message(subject)).await?;
    }
    let mut client = murder.imap(1, "user1").await?;
    client.select("INBOX").await?;
    client.ok("UID STORE 1 +FLAGS (\\Flagged $Work)").await?;
    let said = done(&murder, &["restore", "list", "user/user1"]).await?;
    assert!(said.contains("nothing to restore"), "{said}");
    let why = refused(&murder, &["restore", "messages", "user/user1"]).await?;
    assert!(why.contains("nothing of the kind"), "{why}");
    expunge(&mut client, "1,3").await?;

    let listed = told(&murder, &["restore", "list", "user/user1"]).await?;
    assert_eq!(listed["mailboxes"], json!([]));
    let shown: Vec<_> = listed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["uid"].as_u64().unwrap(),
                one["subject"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(shown, [(1, "one"), (3, "three")]);
    let first = &listed["messages"][0];
    assert_eq!(
        (&first["from"], &first["bytes"]),
        (&json!("a@example.org"), &json!(message("one").len()))
    );
    let kept = first["keep_until"].as_i64().unwrap() - first["expunged_at"].as_i64().unwrap();
    assert_eq!(kept, 7 * 24 * 3600);
    let table = done(&murder, &["restore", "list", "user/user1", "--exact"]).await?;
    assert!(table.contains("UTC") && table.contains("three"), "{table}");
    // Others have lost nothing.
    let others = told(&murder, &["restore", "list", "user/user2"]).await?;
    assert_eq!(others["messages"], json!([]));

    let words = ["restore", "messages", "user/user1", "--uids", "1,2"];
    let would = told(&murder, &[&words[..], &["--dry-run"]].concat()).await?;
    assert_eq!(
        (&would["old_uids"], &would["new_uids"]),
        (&json!([1]), &json!([]))
    );
    // Somebody who looks at the mailbox is told at once.
    let mut watcher = murder.imap(2, "user1").await?;
    assert_eq!(watcher.select("INBOX").await?.exists, 1);
    let idle = watcher.idle().await?;
    let restored = told(&murder, &words).await?;
    assert_eq!(
        (&restored["old_uids"], &restored["new_uids"]),
        (&json!([1]), &json!([4]))
    );
    watcher.wait_for("EXISTS").await?;
    watcher.done(&idle).await?;
    let said = done(
        &murder,
        &["restore", "messages", "user/user1", "--since", "1h"],
    )
    .await?;
    assert!(
        said.contains("1 message restored, UIDs 3 are 5 now"),
        "{said}"
    );

    client.ok("NOOP").await?;
    assert_eq!(client.uid_search("ALL").await?, [2, 4, 5]);
    assert_eq!(client.fetch_body(4).await?, message("one"));
    assert_eq!(client.fetch_body(5).await?, message("three"));
    let flags = client.uid_fetch("4", "FLAGS").await?[0].flags();
    assert!(flags.contains(&"\\Flagged".to_owned()), "{flags:?}");
    assert!(flags.contains(&"$Work".to_owned()), "{flags:?}");
    assert!(!flags.contains(&"\\Deleted".to_owned()), "{flags:?}");
    refused(&murder, &["restore", "messages", "user/user1"]).await?;
    // The new ones can go and come again, and what went before a time does not.
    expunge(&mut client, "4,5").await?;
    refused(
        &murder,
        &["restore", "messages", "user/user1", "--since", "2100-01-01"],
    )
    .await?;
    let restored = told(&murder, &["restore", "messages", "user/user1"]).await?;
    assert_eq!(restored["new_uids"], json!([6, 7]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_mailbox_comes_back_under_its_name_or_another() -> Tested {
    let murder = Murder::start().await?;
    let mut one = murder.imap(1, "user1").await?;
    let mut two = murder.imap(2, "user1").await?;
    one.ok("CREATE Work (USE (\\Archive))").await?;
    one.ok("SETACL Work user2 lr").await?;
    for (subject, flags) in [("first", "\\Seen \\Flagged"), ("second", "")] {
        one.append("Work", flags, &message(subject)).await?;
    }
    let before = one.select("Work").await?;
    expunge(&mut one, "2").await?;
    one.ok("UNSELECT").await?;
    one.ok("DELETE Work").await?;
    // It is gone for everybody, and its name is free.
    assert_eq!(two.list("*").await?, ["INBOX"]);
    two.no("SELECT Work", "NONEXISTENT").await?;

    let listed = told(&murder, &["restore", "list", "user/user1"]).await?;
    let deleted = &listed["mailboxes"][0];
    assert_eq!(
        (
            &deleted["name"],
            &deleted["messages"],
            &deleted["partition"]
        ),
        (&json!("user/user1/Work"), &json!(1), &json!("be1!default"))
    );
    // What had been expunged from it comes after it.
    assert_eq!(listed["messages"], json!([]));
    for (name, why) in [
        ("user/user1/None", "no deleted mailbox user/user1/None"),
        ("user//x", "no canonical mailbox name"),
    ] {
        let said = refused(&murder, &["restore", "mailbox", name]).await?;
        assert!(said.contains(why), "{said}");
    }
    let said = done(&murder, &["restore", "mailbox", "user/user1/Work"]).await?;
    assert!(
        said.contains("user/user1/Work restored with 1 message, on be1!default"),
        "{said}"
    );
    for client in [&mut one, &mut two] {
        let after = client.select("Work").await?;
        assert_eq!((after.exists, after.uidnext), (1, before.uidnext));
        assert!(after.uidvalidity > before.uidvalidity);
        assert_eq!(client.fetch_body(1).await?, message("first"));
        let flags = client.uid_fetch("1", "FLAGS").await?[0].flags();
        assert!(flags.contains(&"\\Flagged".to_owned()), "{flags:?}");
    }
    let restored = told(&murder, &["restore", "messages", "user/user1/Work"]).await?;
    assert_eq!(restored["new_uids"], json!([3]));
    // With its ACL.
    let mut other = murder.imap(1, "user2").await?;
    assert_eq!(other.select("Other Users/user1/Work").await?.exists, 2);
    other.no("STORE 1 +FLAGS (\\Deleted)", "NOPERM").await?;

    // Deleted again, and its name is taken by a new one.
    one.ok("UNSELECT").await?;
    two.ok("UNSELECT").await?;
    one.ok("DELETE Work").await?;
    one.ok("CREATE Work").await?;
    let said = refused(&murder, &["restore", "mailbox", "user/user1/Work"]).await?;
    assert!(
        said.contains("is a mailbox user/user1/Work already"),
        "{said}"
    );
    assert!(said.contains("--as"), "{said}");
    let elsewhere = [
        "restore",
        "mailbox",
        "user/user1/Work",
        "--as",
        "user/user2/Work",
    ];
    let said = refused(&murder, &elsewhere).await?;
    assert!(said.contains("within its home"), "{said}");
    let words = [
        "restore",
        "mailbox",
        "user/user1/Work",
        "--as",
        "user/user1/Old/Work",
    ];
    let restored = told(&murder, &words).await?;
    assert_eq!(
        (&restored["name"], &restored["messages"]),
        (&json!("user/user1/Old/Work"), &json!(2))
    );
    assert_eq!(two.select("Old/Work").await?.exists, 2);
    assert_eq!(two.select("Work").await?.exists, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_deleted_ones_it_is_the_last_or_the_one_with_the_id() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for subjects in [&["a"][..], &["b", "c"]] {
        client.ok("CREATE Work").await?;
        for subject in subjects {
            client.append("Work", "", &message(subject)).await?;
        }
        client.ok("DELETE Work").await?;
    }
    let listed = told(&murder, &["restore", "list", "user/user1/Work"]).await?;
    let counts: Vec<_> = [0, 1].map(|at| &listed["mailboxes"][at]["messages"]).into();
    assert_eq!(counts, [&json!(2), &json!(1)], "the last one first");
    let first = listed["mailboxes"][1]["id"].as_str().unwrap();
    let id = format!("--id={first}");
    let words = [
        "restore",
        "mailbox",
        "user/user1/Work",
        &id,
        "--as",
        "user/user1/First",
    ];
    told(&murder, &words).await?;
    assert_eq!(client.select("First").await?.exists, 1);
    told(&murder, &["restore", "mailbox", "user/user1/Work"]).await?;
    assert_eq!(client.select("Work").await?.exists, 2);
    refused(&murder, &["restore", "mailbox", "user/user1/Work", &id]).await?;
    Ok(())
}

/// A whole user, and a backend that dies in between: what is hidden stays hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_user_comes_back_after_a_crash() -> Tested {
    let mut murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user2").await?;
    client.ok("CREATE Sent").await?;
    client.append("Sent", "", &message("sent")).await?;
    client.append("INBOX", "", &message("mail")).await?;
    client.logout().await?;
    let mut admin = murder.imap_at_backend(2, "admin").await?;
    for name in ["Other Users/user2/Sent", "Other Users/user2"] {
        admin.ok(&format!("DELETE \"{name}\"")).await?;
    }
    murder.kill_backend(2).await;
    let said = operate(&murder, &["restore", "list", "user/user1"]).await?;
    assert!(!said.ok, "{}", said.output);
    assert!(
        said.error.contains("not everything is shown"),
        "{}",
        said.error
    );
    assert!(said.error.contains("be2"), "{}", said.error);
    let why = refused(&murder, &["restore", "mailbox", "user/user2"]).await?;
    assert!(why.contains("not every backend was asked"), "{why}");

    murder.start_backend(2).await?;
    let found = murder
        .operator()
        .list(murder_location::client::Selection {
            prefix: "user/user2",
            ..Default::default()
        })
        .await?
        .collect()
        .await?;
    assert!(found.is_empty(), "{found:?}");
    let why = refused(&murder, &["restore", "messages", "user/user2/Sent"]).await?;
    assert!(why.contains("there is no mailbox user/user2/Sent"), "{why}");
    assert!(
        why.contains("murder restore mailbox user/user2/Sent"),
        "{why}"
    );
    for name in ["user/user2", "user/user2/Sent"] {
        done(&murder, &["restore", "mailbox", name]).await?;
    }
    let mut client = murder.imap(1, "user2").await?;
    assert_eq!(client.list("*").await?, ["INBOX", "Sent"]);
    client.select("Sent").await?;
    assert_eq!(client.fetch_body(1).await?, message("sent"));
    // And stays through another.
    murder.kill_backend(2).await;
    murder.start_backend(2).await?;
    let mut client = murder.imap(1, "user2").await?;
    assert_eq!(client.select("INBOX").await?.exists, 1);
    assert_eq!(client.append("INBOX", "", &message("more")).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_delays_nothing_is_kept() -> Tested {
    let murder = Murder::builder()
        .frontends(1)
        .partition_setting("expunge_delay_days = 0")
        .partition_setting("delete_delay_days = 0")
        .start()
        .await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("x")).await?;
    client.select("INBOX").await?;
    expunge(&mut client, "1").await?;
    client.ok("CREATE Work").await?;
    client.ok("DELETE Work").await?;
    let listed = told(&murder, &["restore", "list", "user/user1"]).await?;
    assert_eq!(
        (&listed["messages"], &listed["mailboxes"]),
        (&json!([]), &json!([]))
    );
    refused(&murder, &["restore", "mailbox", "user/user1/Work"]).await?;
    Ok(())
}

/// A backend that works alone is told directly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backend_by_its_address() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Work").await?;
    client.ok("DELETE Work").await?;
    let first = murder.backend(1).admin.to_string();
    let listed = told(
        &murder,
        &["restore", "list", "user/user1", "--backend", &first],
    )
    .await?;
    assert_eq!(listed["mailboxes"][0]["name"], "user/user1/Work");
    let second = murder.backend(2).admin.to_string();
    let listed = told(
        &murder,
        &["restore", "list", "user/user1", "--backend", &second],
    )
    .await?;
    assert_eq!(listed["mailboxes"], json!([]));
    // No port where anybody listens.
    let why = refused(
        &murder,
        &["restore", "list", "user/user1", "--backend", "127.0.0.1:1"],
    )
    .await?;
    assert!(why.contains("127.0.0.1:1 cannot be reached"), "{why}");
    // One that is no backend.
    let master = murder.backend(1).imap.to_string();
    refused(
        &murder,
        &["restore", "list", "user/user1", "--backend", &master],
    )
    .await?;
    Ok(())
}
