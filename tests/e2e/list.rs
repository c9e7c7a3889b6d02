//! LIST, LSUB and subscriptions (RFC 9051 6.3.9, RFC 3501 6.3.9, RFC 5258, RFC 5819, RFC 6154).

use murder_testkit::{ImapClient, Listed, Murder};

use crate::{Tested, message};

async fn rows(client: &mut ImapClient, line: &str) -> anyhow::Result<Vec<Listed>> {
    let keyword = line.split(' ').next().unwrap();
    let mut rows = client.ok(line).await?.rows(keyword)?;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// `name attribute attribute …`, a row.
async fn shown(client: &mut ImapClient, line: &str) -> anyhow::Result<Vec<String>> {
    let row = |row: Listed| {
        let mut words = vec![row.name];
        words.extend(row.attributes);
        words.join(" ")
    };
    Ok(rows(client, line).await?.into_iter().map(row).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_on_two_backends_share_a_mailbox() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    for name in ["Work", "Work/Plans", "Private"] {
        owner.ok(&format!("CREATE {name}")).await?;
    }
    owner.ok("SETACL Work user2 lrs").await?;
    for number in [1, 2] {
        let mut owner = murder.imap(number, "user1").await?;
        let mut other = murder.imap(number, "user2").await?;
        assert_eq!(
            shown(&mut owner, "LIST \"\" *").await?,
            [
                "INBOX \\HasNoChildren",
                "Private \\HasNoChildren",
                "Work \\HasChildren",
                "Work/Plans \\HasNoChildren",
            ]
        );
        // Of Work/Plans user2 may not know, so that Work has no children.
        assert_eq!(
            shown(&mut other, "LIST \"\" *").await?,
            [
                "INBOX \\HasNoChildren",
                "Other Users/user1/Work \\HasNoChildren",
            ]
        );
        let top = shown(&mut other, "LIST \"\" %").await?;
        assert_eq!(top.len(), 2, "{top:?}");
        assert!(
            top[1].starts_with("Other Users \\HasChildren") && top[1].contains("\\No"),
            "{top:?}"
        );
        assert_eq!(
            shown(&mut other, "LIST \"Other Users/user1/\" %").await?,
            ["Other Users/user1/Work \\HasNoChildren"]
        );
        assert_eq!(other.select("Other Users/user1/Work").await?.exists, 0);
    }
    // Taken back, it is gone from every frontend at once.
    owner.ok("DELETEACL Work user2").await?;
    assert_eq!(murder.imap(1, "user2").await?.list("*").await?, ["INBOX"]);
    let mut other = murder.imap(2, "user2").await?;
    assert_eq!(other.list("*").await?, ["INBOX"]);
    other
        .no("SELECT \"Other Users/user1/Work\"", "NONEXISTENT")
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_and_names() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for name in ["a", "a/b", "a/b/c", "a/d", "\"x y\"", "Entw&APw-rfe"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    let mut names = async |arguments: &str| {
        let answer = client.ok(&format!("LIST {arguments}")).await?;
        let mut names = answer.names("LIST")?;
        names.sort();
        anyhow::Ok(names.join(","))
    };
    for (arguments, expected) in [
        ("\"\" \"\"", ""),
        ("\"\" a", "a"),
        ("\"\" a/%", "a/b,a/d"),
        ("a/ *", "a/b,a/b/c,a/d"),
        ("\"\" a*", "a,a/b,a/b/c,a/d"),
        ("\"\" %/b", "a/b"),
        ("\"\" inbox", "INBOX"),
        ("\"\" \"x%\"", "x y"),
        ("\"\" Entw&APw-%", "Entw&APw-rfe"),
        ("\"\" nothing*", ""),
        ("\"\" (a/b INBOX)", "INBOX,a/b"),
    ] {
        assert_eq!(names(arguments).await?, expected, "{arguments}");
    }
    client
        .script(
            "C: s1 LIST \"\" \"\"
             S: * LIST (\\Noselect) \"/\" \"\"
             S: s1 OK ...",
        )
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_the_users_on_every_frontend() -> Tested {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    owner.ok("CREATE Work").await?;
    owner.ok("SETACL Work user2 lr").await?;

    let mut client = murder.imap(1, "user2").await?;
    client.ok("CREATE Lists/rust").await?;
    client.ok("CREATE Gone").await?;
    for name in ["INBOX", "Lists/rust", "Gone", "\"Other Users/user1/Work\""] {
        client.ok(&format!("SUBSCRIBE {name}")).await?;
    }
    client.ok("DELETE Gone").await?;

    let mut client = murder.imap(2, "user2").await?;
    assert_eq!(
        shown(&mut client, "LSUB \"\" *").await?,
        ["Gone", "INBOX", "Lists/rust", "Other Users/user1/Work"]
    );
    // What is not subscribed, but above something that is.
    let top = shown(&mut client, "LSUB \"\" %").await?;
    assert_eq!(
        top,
        [
            "Gone",
            "INBOX",
            "Lists \\Noselect",
            "Other Users \\Noselect"
        ]
    );
    let listed = shown(&mut client, "LIST (SUBSCRIBED) \"\" *").await?;
    assert_eq!(listed.len(), 4, "{listed:?}");
    assert!(listed[0].starts_with("Gone ") && listed[0].contains("\\NonExistent"));
    assert!(
        listed.iter().all(|row| row.contains("\\Subscribed")),
        "{listed:?}"
    );

    client.ok("UNSUBSCRIBE Gone").await?;
    client.ok("UNSUBSCRIBE Lists/rust").await?;
    let mut client = murder.imap(1, "user2").await?;
    assert_eq!(
        shown(&mut client, "LSUB \"\" *").await?,
        ["INBOX", "Other Users/user1/Work"]
    );
    // They are nobody else's.
    assert!(shown(&mut owner, "LSUB \"\" *").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_extended() -> Tested {
    let murder = Murder::builder().frontends(1).start().await?;
    let mut client = murder.imap(1, "user1").await?;
    for name in ["Fruit", "Fruit/Apple", "Fruit/Pear"] {
        client.ok(&format!("CREATE {name}")).await?;
    }
    client.ok("CREATE Sent (USE (\\Sent))").await?;
    client.ok("SUBSCRIBE Fruit/Pear").await?;
    client.append("Fruit/Pear", "", &message("one")).await?;
    client
        .append("Fruit/Pear", "\\Seen", &message("two"))
        .await?;

    assert_eq!(
        shown(
            &mut client,
            "LIST \"\" Fruit/% RETURN (SUBSCRIBED CHILDREN)"
        )
        .await?,
        [
            "Fruit/Apple \\HasNoChildren",
            "Fruit/Pear \\HasNoChildren \\Subscribed"
        ]
    );
    let found = rows(&mut client, "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].name, "Fruit");
    assert_eq!(
        format!("{:?}", found[0].extended).to_uppercase(),
        "[[\"CHILDINFO\", [\"SUBSCRIBED\"]]]"
    );
    let found = shown(&mut client, "LIST (SPECIAL-USE) \"\" *").await?;
    assert_eq!(found, ["Sent \\HasNoChildren \\Sent"]);
    let found = shown(&mut client, "LIST \"\" Sent RETURN (SPECIAL-USE)").await?;
    assert_eq!(found, ["Sent \\HasNoChildren \\Sent"]);

    let answer = client
        .ok("LIST \"\" (Fruit/Pear INBOX) RETURN (STATUS (MESSAGES UNSEEN))")
        .await?;
    let statuses: Vec<String> = answer.all("STATUS").map(|reply| reply.text()).collect();
    assert_eq!(statuses.len(), 2, "{statuses:?}");
    assert!(
        statuses.contains(&"* STATUS Fruit/Pear (MESSAGES 2 UNSEEN 1)".to_owned()),
        "{statuses:?}"
    );
    client.bad("LIST (NONSENSE) \"\" *").await?;
    client.bad("LIST (RECURSIVEMATCH) \"\" *").await?;
    Ok(())
}

/// Nobody waits for a push: LIST shows what any frontend has acknowledged before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_frontend_acknowledges_the_other_lists() -> Tested {
    let murder = Murder::start().await?;
    let mut one = murder.imap(1, "user1").await?;
    let mut two = murder.imap(2, "user1").await?;
    for number in 0..50 {
        let (old, new) = (format!("Old{number}"), format!("New{number}"));
        one.ok(&format!("CREATE {old}")).await?;
        assert_eq!(two.list("Old*").await?, [old.as_str()]);
        two.ok(&format!("RENAME {old} {new}")).await?;
        assert_eq!(one.list("%w*").await?, [new.as_str()]);
        one.ok(&format!("DELETE {new}")).await?;
        assert_eq!(two.list("*").await?, ["INBOX"]);
    }
    Ok(())
}
