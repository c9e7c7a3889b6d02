//! CREATE, DELETE, RENAME, STATUS: seen everywhere before they are answered.

use murder_testkit::{ImapClient, Murder};

use crate::{Tested, message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_frontend_has_answered_is_seen_on_the_other() -> Tested {
    let murder = Murder::start().await?;
    for user in ["user1", "user2"] {
        let mut one = murder.imap(1, user).await?;
        let mut two = murder.imap(2, user).await?;
        for number in 0..10 {
            one.ok(&format!("CREATE box{number}")).await?;
            two.ok(&format!("SELECT box{number}")).await?;
            two.ok(&format!("RENAME box{number} other{number}")).await?;
            one.no(&format!("EXAMINE box{number}"), "NONEXISTENT")
                .await?;
            one.ok(&format!("STATUS other{number} (MESSAGES)")).await?;
            one.ok(&format!("DELETE other{number}")).await?;
            two.no(&format!("SELECT other{number}"), "NONEXISTENT")
                .await?;
            // And again, with the name that has just been given up.
            two.ok(&format!("CREATE other{number}")).await?;
            one.ok(&format!("DELETE other{number}")).await?;
        }
        assert_eq!(one.list("*").await?, ["INBOX"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_exists_once() -> Tested {
    let murder = Murder::start().await?;
    let mut one = murder.imap(1, "user1").await?;
    let mut two = murder.imap(2, "user1").await?;
    one.ok("CREATE Work").await?;
    for client in [&mut one, &mut two] {
        client.no("CREATE Work", "ALREADYEXISTS").await?;
        client.no("CREATE INBOX", "ALREADYEXISTS").await?;
        client.no("CREATE inbox", "ALREADYEXISTS").await?;
    }
    one.ok("CREATE Play").await?;
    two.no("RENAME Play Work", "ALREADYEXISTS").await?;

    // Twenty at the same time for ten names: each is made once.
    let race = async |client: &mut ImapClient| {
        let mut made = 0;
        for number in 0..10 {
            let answer = client.command(&format!("CREATE race{number}")).await?;
            match answer.code().as_str() {
                "ALREADYEXISTS" => {}
                _ => {
                    assert_eq!(answer.status, murder_testkit::Status::Ok, "{answer:?}");
                    made += 1;
                }
            }
        }
        anyhow::Ok(made)
    };
    let (by_one, by_two) = tokio::try_join!(race(&mut one), race(&mut two))?;
    assert_eq!(by_one + by_two, 10);
    assert_eq!(one.list("race*").await?.len(), 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_cannot_be() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    let long = "x".repeat(2_000);
    let deep = vec!["d"; 300].join("/");
    for name in [
        "\"\"",
        "a//b",
        "/a",
        "\"Other Users\"",
        "\"Shared Folders\"",
        "\"Other Users/user2\"",
        "\"Other Users/nobody/x\"",
        "\"Shared Folders/mine\"",
        "\"a*b\"",
        "\"a%b\"",
        &long,
        &deep,
    ] {
        let answer = client.command(&format!("CREATE {name}")).await?;
        assert_ne!(answer.status, murder_testkit::Status::Ok, "{name}");
    }
    // Modified UTF-7 that is none.
    client.no("CREATE \"a&b\"", "").await?;
    assert_eq!(client.list("*").await?, ["INBOX"]);
    // What looks odd and is not.
    for name in ["\"with space\"", "a.b", "Entw&APw-rfe", "a&-b", "trailing/"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    assert_eq!(
        client.list("*").await?,
        [
            "Entw&APw-rfe",
            "INBOX",
            "a&-b",
            "a.b",
            "trailing",
            "with space"
        ]
    );
    client.no("DELETE INBOX", "").await?;
    client.no("DELETE nothing", "NONEXISTENT").await?;
    client.no("RENAME nothing else", "NONEXISTENT").await?;
    client
        .no("STATUS nothing (MESSAGES)", "NONEXISTENT")
        .await?;
    client.no("SELECT nothing", "NONEXISTENT").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_select_leaves_nothing_selected() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.append("INBOX", "", &message("one")).await?;
    client.select("INBOX").await?;
    client.no("SELECT nothing", "NONEXISTENT").await?;
    client.bad("FETCH 1 FLAGS").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn special_uses() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    client.ok("CREATE Drafts (USE (\\Drafts))").await?;
    client.ok("CREATE Junk (USE (\\Junk))").await?;
    client.no("CREATE Odd (USE (\\Odd))", "USEATTR").await?;
    client
        .no("CREATE Everything (USE (\\All))", "USEATTR")
        .await?;
    for number in [1, 2] {
        let mut client = murder.imap(number, "user1").await?;
        let answer = client.ok("LIST (SPECIAL-USE) \"\" *").await?;
        let mut rows: Vec<String> = answer
            .rows("LIST")?
            .iter()
            .map(|row| format!("{} {}", row.name, row.attributes.join(" ")))
            .collect();
        rows.sort();
        assert_eq!(
            rows,
            [
                "Drafts \\Drafts \\HasNoChildren",
                "Junk \\HasNoChildren \\Junk"
            ]
        );
    }
    client.ok("RENAME Drafts Entwürfe").await.unwrap_err(); // 8-bit without UTF8=ACCEPT
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_takes_everything_below_along() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for name in ["a", "a/b", "a/b/c", "ab"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    client
        .append("a/b/c", "\\Flagged", &message("deep"))
        .await?;
    let before = client.select("a/b/c").await?;
    client.ok("UNSELECT").await?;
    client.ok("RENAME a new/place").await?;
    let mut client = murder.imap(2, "user1").await?;
    let after = client.select("new/place/b/c").await?;
    assert_eq!(
        (after.uidvalidity, after.uidnext, after.exists),
        (before.uidvalidity, before.uidnext, 1)
    );
    let names = client.list("*").await?;
    for name in ["new/place", "new/place/b", "new/place/b/c", "ab", "INBOX"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    assert!(
        !names
            .iter()
            .any(|name| name == "a" || name.starts_with("a/")),
        "{names:?}"
    );
    client.no("RENAME new/place new/place/below", "").await?;
    Ok(())
}

/// RFC 9051 section 6.3.6, for a name that is no mailbox itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_above_mailboxes_is_renamed() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for name in ["a/b", "a/c/d"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    client.append("a/c/d", "", &message("deep")).await?;
    client.ok("RENAME a new").await?;
    client.no("RENAME a other", "NONEXISTENT").await?;
    let mut client = murder.imap(2, "user1").await?;
    let names = client.list("*").await?;
    assert_eq!(names, ["INBOX", "new/b", "new/c/d"]);
    assert_eq!(client.status("new/c/d", "MESSAGES").await?, 1);
    Ok(())
}

/// RFC 3501 section 6.3.5: the messages move, INBOX stays, empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renaming_inbox_empties_it() -> Tested {
    let murder = Murder::start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for subject in ["one", "two"] {
        client.append("INBOX", "", &message(subject)).await?;
    }
    client.ok("RENAME INBOX Archive").await?;
    let mut client = murder.imap(2, "user1").await?;
    assert_eq!(client.status("Archive", "MESSAGES").await?, 2);
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 0);
    assert_eq!(client.append("INBOX", "", &message("three")).await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_mailbox_of_an_old_name_is_another() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    let mut last = 0;
    for _ in 0..3 {
        client.ok("CREATE again").await?;
        client.append("again", "", &message("x")).await?;
        let selected = client.select("again").await?;
        assert_eq!((selected.exists, selected.uidnext), (1, 2));
        assert!(selected.uidvalidity > last);
        last = selected.uidvalidity;
        client.ok("UNSELECT").await?;
        client.ok("DELETE again").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_makes_shared_trees_where_they_shall_be() -> Tested {
    let murder = Murder::start().await?;
    let mut admin = murder.admin(1).await?;
    for (tree, node) in [("one", "be1"), ("two", "be2")] {
        admin
            .ok(&format!(
                "CREATE \"Shared Folders/{tree}\" (PARTITION {node})"
            ))
            .await?;
        admin
            .ok(&format!("SETACL \"Shared Folders/{tree}\" anyone lrsip"))
            .await?;
    }
    admin
        .no("CREATE \"Shared Folders/three\" (PARTITION nowhere)", "")
        .await?;
    for (number, tree) in [(1, "one"), (2, "two")] {
        let mut direct = murder.imap_at_backend(number, "user1").await?;
        assert_eq!(
            direct.list("Shared*").await?,
            [format!("Shared Folders/{tree}")]
        );
    }
    let mut user = murder.imap(2, "user1").await?;
    for tree in ["one", "two"] {
        let name = format!("Shared Folders/{tree}");
        assert_eq!(user.append(&name, "", &message(tree)).await?, 1);
        assert_eq!(user.select(&name).await?.exists, 1);
    }
    user.no("CREATE \"Shared Folders/one/below\"", "NOPERM")
        .await?;
    Ok(())
}
