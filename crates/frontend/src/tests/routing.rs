//! From names to backends: misses, moved mailboxes, backends that are down, changes that show.

use murder_location::{Activate, Reserve, SpecialUses, UserUpdate};
use murder_mailbox::{Acl, MailboxId};

use super::{Murder, name};

#[tokio::test]
async fn names_are_canonical_at_backends_and_the_clients_own_here() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    murder.make("user/eve/Entw\u{fc}rfe", "be2", "bob").await;
    let mut client = murder.login("bob").await;
    client
        .send("a STATUS \"Other Users/eve/Entw&APw-rfe\" (MESSAGES UNSEEN)\r\n")
        .await;
    let mut backend = murder.imap_at("be2").await;
    assert_eq!(backend.user, "bob");
    backend
        .answer(
            "STATUS \"user/eve/Entw\u{fc}rfe\" (MESSAGES UNSEEN)",
            "* STATUS \"user/eve/Entw\u{fc}rfe\" (MESSAGES 1 UNSEEN 0)\r\n{tag} OK [X-OURS 1] done\r\n",
        )
        .await;
    client
        .expect("* STATUS \"Other Users/eve/Entw&APw-rfe\" (MESSAGES 1 UNSEEN 0)")
        .await;
    assert_eq!(client.line().await, "a OK done");

    // The same connection is used again, within the same session.
    client.send("b GETACL {30}\r\n").await;
    client.expect("+ ").await;
    client.send("Other Users/eve/Entw&APw-rfe  \r\n").await;
    client.expect("b NO [NONEXISTENT] ").await;
    client
        .send("c MYRIGHTS {28+}\r\nOther Users/eve/Entw&APw-rfe\r\n")
        .await;
    backend
        .answer(
            "MYRIGHTS \"user/eve/Entw\u{fc}rfe\"",
            "* MYRIGHTS \"user/eve/Entw\u{fc}rfe\" lrs\r\n{tag} OK done\r\n",
        )
        .await;
    client
        .expect("* MYRIGHTS \"Other Users/eve/Entw&APw-rfe\" lrs")
        .await;
    client.expect("c OK ").await;
    murder.stop().await;
}

/// What is held of a backend's answers to one command has a bound, whatever each of them is.
#[tokio::test]
async fn a_backend_that_answers_without_end_is_given_up() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    let mut client = murder.login("bob").await;
    client.send("a STATUS x (MESSAGES)\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    backend.expect("STATUS \"user/bob/x\" (MESSAGES)").await;
    let answer = format!("* STATUS {} (MESSAGES 1)\r\n", "x".repeat(900 << 10));
    let flood =
        tokio::spawn(async move { while backend.peer.try_send(answer.as_bytes()).await {} });
    client.expect("a NO [UNAVAILABLE] ").await;
    flood.await.unwrap();
    murder.stop().await;
}

/// What is held for one command is what is held for its session: the next one waits for its end.
#[tokio::test]
async fn a_session_holds_the_answers_to_one_command() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    murder.make("user/bob/y", "be2", "bob").await;
    let mut client = murder.login("bob").await;
    client
        .send("a STATUS x (MESSAGES)\r\nb STATUS y (MESSAGES)\r\n")
        .await;
    let mut first = murder.imap_at("be1").await;
    first.expect("STATUS \"user/bob/x\" (MESSAGES)").await;
    let answer = format!("* STATUS {} (MESSAGES 1)\r\n", "x".repeat(900 << 10));
    assert!(first.peer.try_send(answer.as_bytes()).await);
    assert!(murder.is_left_alone("be2"));
    let flood = tokio::spawn(async move { while first.peer.try_send(answer.as_bytes()).await {} });
    // It does not wait for the answer to the second command.
    client.expect("a NO [UNAVAILABLE] ").await;
    flood.await.unwrap();
    let mut second = murder.imap_at("be2").await;
    let tag = second.expect("STATUS \"user/bob/y\" (MESSAGES)").await;
    second.peer.send(&format!("{tag} NO gone\r\n")).await;
    client.expect("b NO ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_miss_costs_a_barrier_and_no_backend() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    let before = murder.frontend().replica().counters().barriers;
    for command in [
        "SELECT x",
        "STATUS x (MESSAGES)",
        "DELETE x",
        "SETACL x eve lr",
    ] {
        let answer = client.tagged("a", command).await;
        assert_eq!(answer, "NO [NONEXISTENT] Mailbox does not exist");
    }
    let asked = murder.frontend().replica().counters().barriers - before;
    assert_eq!(asked, 4);
    assert!(murder.is_left_alone("be1") && murder.is_left_alone("be2"));
    // Without the master the map's word counts.
    murder.kill_master().await;
    let answer = client.tagged("b", "SELECT x").await;
    assert_eq!(answer, "NO [NONEXISTENT] Mailbox does not exist");
    let list = client.command("c", "LIST \"\" *").await;
    assert_eq!(list[0], "* LIST (\\HasNoChildren) \"/\" \"INBOX\"");
    murder.stop().await;
}

#[tokio::test]
async fn clients_see_the_namespace_and_backends_do_not() {
    let mut murder = Murder::with(&[("bob", "be1"), ("eve", "be1")], |config| {
        config.namespace.separator = '.';
        config.namespace.personal = "INBOX".into();
        config.namespace.other_users = "user".into();
    })
    .await;
    murder.make("user/bob/v1.2/x", "be1", "bob").await;
    murder.make("user/eve/a^b", "be1", "bob").await;
    let mut client = murder.login("bob").await;
    assert_eq!(
        client.command("a", "NAMESPACE").await[0],
        "* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"Shared Folders.\" \".\"))"
    );
    assert_eq!(
        client.command("b", "LIST inbox. %").await[0],
        "* LIST (\\Noselect \\HasChildren) \".\" \"INBOX.v1^2\""
    );
    assert_eq!(
        client.tagged("c", "SELECT v1^2.x").await,
        "NO [CANNOT] Mailbox name is in no namespace; your mailboxes are below INBOX"
    );
    for (shown, name) in [
        ("INBOX.v1^2.x", "user/bob/v1.2/x"),
        ("user.eve.a/b", "user/eve/a^b"),
    ] {
        client.send(&format!("d MYRIGHTS {shown}\r\n")).await;
        let mut backend = murder.imap_at("be1").await;
        backend
            .answer(
                &format!("MYRIGHTS \"{name}\""),
                &format!("* MYRIGHTS \"{name}\" lr\r\n{{tag}} OK done\r\n"),
            )
            .await;
        client.expect(&format!("* MYRIGHTS {shown} lr")).await;
        client.expect("d OK ").await;
        client.command("e", "LOGOUT").await;
        client = murder.login("bob").await;
    }
    murder.stop().await;
}

#[tokio::test]
async fn a_mailbox_that_has_moved_is_looked_for_again() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    let mut client = murder.login("bob").await;
    client.send("a SELECT x\r\n").await;
    let mut old = murder.imap_at("be1").await;
    let tag = old.expect("SELECT \"user/bob/x\"").await;
    murder.unmake("user/bob/x", "be1").await;
    murder.make("user/bob/x", "be2", "bob").await;
    old.send(&format!("{tag} NO [X-NOT-HERE] not here\r\n"))
        .await;
    let mut new = murder.imap_at("be2").await;
    new.answer(
        "SELECT \"user/bob/x\"",
        "* 0 EXISTS\r\n{tag} OK [READ-WRITE] done\r\n",
    )
    .await;
    client.expect("* 0 EXISTS").await;
    client.expect("a OK [READ-WRITE] ").await;
    // It is the new one that is selected.
    client.send("b NOOP\r\n").await;
    new.answer("NOOP", "{tag} OK nothing\r\n").await;
    client.expect("b OK nothing").await;

    // A command about another mailbox goes the same way.
    murder.make("user/bob/y", "be1", "bob").await;
    client.send("c STATUS y (UIDNEXT)\r\n").await;
    old.expect("UNSELECT").await;
    let mut other = murder.imap_at("be1").await;
    let tag = other.expect("STATUS \"user/bob/y\" (UIDNEXT)").await;
    murder.unmake("user/bob/y", "be1").await;
    other
        .send(&format!("{tag} NO [X-NOT-HERE] not here\r\n"))
        .await;
    assert_eq!(
        client.line().await,
        "c NO [NONEXISTENT] Mailbox does not exist"
    );
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_that_denies_what_the_map_says() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a SELECT INBOX\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    for _ in 0..2 {
        backend
            .answer("SELECT \"user/bob\"", "{tag} NO [X-NOT-HERE] what?\r\n")
            .await;
    }
    client.expect("a NO [UNAVAILABLE] ").await;
    client.send("b SUBSCRIBE INBOX\r\n").await;
    for _ in 0..2 {
        backend
            .answer("SUBSCRIBE \"user/bob\"", "{tag} NO [X-NOT-HERE] what?\r\n")
            .await;
    }
    client.expect("b NO [UNAVAILABLE] ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_that_is_down_takes_only_its_mailboxes_along() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    murder.make("user/bob/away", "be2", "bob").await;
    murder.stop_listening("be2").await;
    let mut client = murder.login("bob").await;
    for command in [
        "SELECT away",
        "STATUS away (MESSAGES)",
        "DELETE away",
        "GETACL away",
        "CREATE away/more",
        "APPEND away {1+}\r\nx",
    ] {
        let answer = client.tagged("a", command).await;
        assert!(
            answer.starts_with("NO [UNAVAILABLE] "),
            "{command}: {answer}"
        );
        assert!(!answer.contains("be2"), "{answer}");
    }
    // The others are as ever; only the STATUS of what is away is left out.
    client
        .send("b LIST \"\" * RETURN (STATUS (MESSAGES))\r\n")
        .await;
    let mut backend = murder.imap_at("be1").await;
    backend
        .answer(
            "STATUS \"user/bob\" (MESSAGES)",
            "* STATUS \"user/bob\" (MESSAGES 5)\r\n{tag} OK done\r\n",
        )
        .await;
    assert_eq!(
        client.until("b ").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* STATUS INBOX (MESSAGES 5)",
            "* LIST (\\HasNoChildren) \"/\" \"away\"",
            "b OK LIST completed"
        ]
    );
    murder.stop().await;
}

#[tokio::test]
async fn backends_are_asked_for_their_statuses_side_by_side() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/far", "be2", "bob").await;
    let mut client = murder.login("bob").await;
    client
        .send("a LIST \"\" * RETURN (STATUS (MESSAGES))\r\n")
        .await;
    // Neither waits for the answer of the other.
    let mut near = murder.imap_at("be1").await;
    let asked_near = near.expect("STATUS \"user/bob\" (MESSAGES)").await;
    let mut far = murder.imap_at("be2").await;
    let asked_far = far.expect("STATUS \"user/bob/far\" (MESSAGES)").await;
    near.send(&format!(
        "* STATUS \"user/bob\" (MESSAGES 5)\r\n{asked_near} OK done\r\n"
    ))
    .await;
    far.send(&format!(
        "* STATUS \"user/bob/far\" (MESSAGES 6)\r\n{asked_far} OK done\r\n"
    ))
    .await;
    assert_eq!(
        client.until("a ").await,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* STATUS INBOX (MESSAGES 5)",
            "* LIST (\\HasNoChildren) \"/\" \"far\"",
            "* STATUS far (MESSAGES 6)",
            "a OK LIST completed"
        ]
    );
    murder.stop().await;
}

#[tokio::test]
async fn lists_do_not_wait_for_backends_and_subscriptions_are_never_empty() {
    let mut murder = Murder::start(&[("eve", "be2")]).await;
    murder.make("board", "be1", "eve").await;
    let mut client = murder.login("eve").await;
    let list = client
        .command("a", "LIST \"\" * RETURN (SPECIAL-USE)")
        .await;
    assert_eq!(
        list,
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren) \"/\" \"Shared Folders/board\"",
            "a OK LIST completed"
        ]
    );
    let top = client.command("a", "LIST \"\" %").await;
    assert_eq!(
        top[1],
        "* LIST (\\Noselect \\HasChildren) \"/\" \"Shared Folders\""
    );
    client.send("b LSUB \"\" *\r\n").await;
    let mut home = murder.imap_at("be2").await;
    home.answer(
        "LSUB \"\" *",
        "* LSUB () \"/\" board\r\n* LSUB () \"/\" \"user/eve\"\r\n* LSUB () \"/\" \"user/eve/gone\"\r\n{tag} OK done\r\n",
    )
    .await;
    assert_eq!(
        client.until("b ").await,
        [
            "* LSUB () \"/\" \"INBOX\"",
            "* LSUB () \"/\" \"Shared Folders/board\"",
            "* LSUB () \"/\" \"gone\"",
            "b OK LSUB completed"
        ]
    );
    // What is there but must not be known is not there.
    murder.make("secret", "be1", "bob").await;
    let answer = client
        .tagged("x", "SUBSCRIBE \"Shared Folders/secret\"")
        .await;
    assert!(answer.starts_with("NO [NONEXISTENT] "), "{answer}");
    // Now the home's backend goes.
    drop(home);
    murder.stop_listening("be2").await;
    for command in [
        "LSUB \"\" *",
        "LIST (SUBSCRIBED) \"\" *",
        "SUBSCRIBE \"Shared Folders/board\"",
    ] {
        let answer = client.tagged("c", command).await;
        assert!(answer.starts_with("NO [UNAVAILABLE] "), "{answer}");
    }
    let list = client.command("d", "LIST \"\" *").await;
    assert_eq!(list.len(), 3, "{list:?}");
    murder.stop().await;
}

#[tokio::test]
async fn a_failed_select_leaves_nothing_selected() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    // Tried on the connection that is there; the backend's own code survives.
    client.send("a EXAMINE x\r\n").await;
    backend
        .answer(
            "EXAMINE \"user/bob/x\"",
            "* OK [CLOSED] left\r\n* OK [ALERT] the disk smells\r\n{tag} NO [NOPERM] you may not\r\n",
        )
        .await;
    client
        .expect("* OK [CLOSED] Previous mailbox is now closed")
        .await;
    assert_eq!(
        client.line().await,
        "* OK [ALERT] The mail server says: the disk smells"
    );
    assert_eq!(client.line().await, "a NO [NOPERM] you may not");
    assert!(
        client
            .tagged("b", "FETCH 1 FLAGS")
            .await
            .starts_with("BAD ")
    );
    // A name that cannot be also leaves the mailbox.
    let (mut client, mut backend) = murder.select_again("bob", backend).await;
    client.send("a SELECT a//b\r\n").await;
    client.expect("* OK [CLOSED] ").await;
    client.expect("a NO [CANNOT] ").await;
    backend.answer("UNSELECT", "{tag} OK left\r\n").await;
    assert!(client.tagged("b", "CHECK").await.starts_with("BAD "));
    murder.stop().await;
}

impl Murder {
    /// Another session of the user, on the backend's connection that is in the pool.
    async fn select_again(
        &mut self,
        user: &str,
        mut backend: super::FakeImap,
    ) -> (super::Peer, super::FakeImap) {
        let mut client = self.login(user).await;
        client.send("sel SELECT INBOX\r\n").await;
        let first = backend.session.clone();
        backend
            .answer("SELECT \"user/bob\"", "{tag} OK [READ-WRITE] done\r\n")
            .await;
        assert!(!first.is_empty());
        assert_ne!(backend.session, first, "the ID tells of the new session");
        client.expect("sel OK ").await;
        (client, backend)
    }
}

/// A backend ends what acts for an account that was away; another session has no part in it.
#[tokio::test]
async fn no_connection_outlives_the_account() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a STATUS INBOX (MESSAGES)\r\n").await;
    let mut old = murder.imap_at("be1").await;
    old.answer("STATUS \"user/bob\" (MESSAGES)", "{tag} OK before\r\n")
        .await;
    client.expect("a OK before").await;
    for disabled in [true, false] {
        let update = UserUpdate {
            disabled: Some(disabled),
            ..UserUpdate::default()
        };
        murder.operator.update_user("bob", update).await.unwrap();
    }
    murder.catch_up().await;
    let mut client = murder.login("bob").await;
    client.send("a STATUS INBOX (MESSAGES)\r\n").await;
    let mut new = murder.imap_at("be1").await;
    new.answer("STATUS \"user/bob\" (MESSAGES)", "{tag} OK after\r\n")
        .await;
    client.expect("a OK after").await;
    murder.stop().await;
}

#[tokio::test]
async fn changes_are_answered_when_the_own_map_shows_them() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    client.send("a CREATE Sent (USE (\\Sent))\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    let tag = backend
        .expect("CREATE \"user/bob/Sent\" (PARTITION \"be1!default\" USE (\\Sent))")
        .await;
    // The backend is faster than the map: the revision is still to come.
    let now = murder.frontend().replica().revision();
    let coming = now + 2;
    backend
        .send(&format!("{tag} OK [X-REVISION {coming}] created\r\n"))
        .await;
    assert_eq!(murder.make("user/bob/Sent", "be1", "bob").await, coming);
    assert_eq!(client.line().await, "a OK created");
    assert!(murder.frontend().replica().revision() >= coming);
    assert!(
        client
            .tagged("b", "CREATE Sent")
            .await
            .starts_with("NO [ALREADYEXISTS] ")
    );

    for (command, at_backend) in [
        ("SETACL Sent eve lr", "SETACL \"user/bob/Sent\" eve lr"),
        ("DELETEACL Sent eve", "DELETEACL \"user/bob/Sent\" eve"),
        (
            "RENAME Sent Gone",
            "RENAME \"user/bob/Sent\" \"user/bob/Gone\"",
        ),
        ("DELETE Sent", "DELETE \"user/bob/Sent\""),
    ] {
        client.send(&format!("c {command}\r\n")).await;
        let tag = backend.expect(at_backend).await;
        let coming = murder.frontend().replica().revision() + 1;
        backend
            .send(&format!("{tag} OK [X-REVISION {coming}] done\r\n"))
            .await;
        murder.add_user(&format!("u{coming}"), |_| {}).await;
        assert_eq!(client.line().await, "c OK done", "{command}");
        assert!(murder.frontend().replica().revision() >= coming);
    }
    murder.stop().await;
}

#[tokio::test]
async fn where_new_mailboxes_go() {
    let mut murder = Murder::start(&[("bob", "be2"), ("eve", "be1")]).await;
    murder
        .add_user("root", |account| account.admin = true)
        .await;
    murder.catch_up().await;
    let mut client = murder.login("bob").await;
    // Below one's own, to one's own backend; below others', nowhere, and no backend is asked.
    client.send("a CREATE x/y\r\n").await;
    let mut two = murder.imap_at("be2").await;
    two.answer(
        "CREATE \"user/bob/x/y\" (PARTITION \"be2!default\")",
        "{tag} NO [OVERQUOTA] full\r\n",
    )
    .await;
    client.expect("a NO [OVERQUOTA] full").await;
    for command in [
        "CREATE \"Other Users/eve/x\"",
        "CREATE \"Other Users/nobody/x\"",
        "CREATE \"Shared Folders/board\"",
        "CREATE x (PARTITION be1)",
    ] {
        let answer = client.tagged("c", command).await;
        assert!(answer.starts_with("NO [NOPERM] "), "{command}: {answer}");
    }
    assert!(murder.is_left_alone("be1"));
    let mut admin = murder.login("root").await;
    let mut one = None;
    for partition in ["be1", "be1!default"] {
        admin
            .send(&format!(
                "d CREATE \"Shared Folders/board\" (PARTITION {partition})\r\n"
            ))
            .await;
        let one = match &mut one {
            Some(one) => one,
            None => one.insert(murder.imap_at("be1").await),
        };
        assert_eq!(one.user, "root");
        one.answer(
            "CREATE \"board\" (PARTITION \"be1!default\")",
            "{tag} NO [LIMIT] no\r\n",
        )
        .await;
        admin.expect("d NO [LIMIT] no").await;
    }
    let answer = admin
        .tagged("e", "CREATE \"Shared Folders/x\" (PARTITION be9)")
        .await;
    assert!(answer.starts_with("NO [CANNOT] "), "{answer}");
    murder.stop().await;
}

#[tokio::test]
async fn renaming_stays_on_one_backend() {
    let mut murder = Murder::start(&[("bob", "be1"), ("eve", "be2")]).await;
    murder.make("user/bob/x", "be1", "bob").await;
    let mut client = murder.login("bob").await;
    for (command, code) in [
        ("RENAME x \"Other Users/eve/x\"", "CANNOT"),
        ("RENAME y z", "NONEXISTENT"),
        ("RENAME x INBOX", "ALREADYEXISTS"),
    ] {
        let answer = client.tagged("a", command).await;
        assert!(
            answer.starts_with(&format!("NO [{code}] ")),
            "{command}: {answer}"
        );
    }
    assert!(murder.is_left_alone("be1") && murder.is_left_alone("be2"));
    murder.stop().await;
}

#[tokio::test]
async fn a_home_is_not_split() {
    let mut murder = Murder::with(&[("bob", "")], |c| {
        c.imap.autocreate_inbox = false;
        c.placement.exclude = vec!["be2".into()];
    })
    .await;
    // All that there is of the home is on be2, where new homes are not put.
    murder.make("user/bob/x", "be2", "bob").await;
    let mut client = murder.login("bob").await;
    client.send("a CREATE y\r\n").await;
    let mut backend = murder.imap_at("be2").await;
    backend
        .answer(
            "CREATE \"user/bob/y\" (PARTITION \"be2!default\")",
            "{tag} NO no\r\n",
        )
        .await;
    client.expect("a NO no").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_backend_dies_under_a_session() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    // Quiet: the next command is told.
    let (mut client, mut backend) = murder.select("bob", "INBOX", "be1", "user/bob").await;
    backend.send("* BYE be1 goes to sleep\r\n").await;
    backend.peer.closed().await;
    let answer = client.tagged("a", "NOOP").await;
    assert!(answer.starts_with("NO [UNAVAILABLE] "), "{answer}");
    assert!(client.tagged("b", "CLOSE").await.starts_with("NO "));
    // With commands under way: each is answered.
    client.send("c SELECT INBOX\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    backend
        .answer("SELECT \"user/bob\"", "{tag} OK [READ-WRITE] done\r\n")
        .await;
    client.expect("c OK ").await;
    client.send("d NOOP\r\ne FETCH 1 FLAGS\r\n").await;
    backend.expect("NOOP").await;
    backend.expect("FETCH 1 FLAGS").await;
    drop(backend);
    client.expect("d NO [UNAVAILABLE] ").await;
    client.expect("e NO [UNAVAILABLE] ").await;
    assert!(client.tagged("f", "UNSELECT").await.starts_with("OK "));
    // In IDLE, where no tagged answer is due for long: the client must not wait for ever.
    client.send("g SELECT INBOX\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    backend
        .answer("SELECT \"user/bob\"", "{tag} OK [READ-WRITE] done\r\n")
        .await;
    client.expect("g OK ").await;
    client.send("h IDLE\r\n").await;
    backend.answer("IDLE", "+ come on\r\n").await;
    client.expect("+ idling").await;
    backend.send("* BYE be1 secret words\r\n").await;
    let bye = client.expect("* BYE [UNAVAILABLE] ").await;
    assert!(!bye.contains("secret"), "{bye}");
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn a_name_new_in_the_murder_is_found_at_once() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.login("bob").await;
    let mut at = None;
    // Whatever was answered before is found, however the map lags: many times over.
    for n in 0..20 {
        let mailbox = format!("user/bob/n{n}");
        let backend = &murder.backends["be1"].client;
        let id = MailboxId::new();
        let reserve = Reserve {
            name: name(&mailbox),
            id,
            partition: "be1!default".into(),
            acl: Acl::parse("bob\tlr\t").unwrap(),
            special_use: SpecialUses::default(),
        };
        backend.reserve(reserve).await.unwrap();
        let activate = Activate::new(name(&mailbox), id);
        backend.activate(activate).await.unwrap();
        client.send(&format!("a STATUS n{n} (MESSAGES)\r\n")).await;
        let at = match &mut at {
            Some(at) => at,
            None => at.insert(murder.imap_at("be1").await),
        };
        at.answer(
            &format!("STATUS \"{mailbox}\" (MESSAGES)"),
            "{tag} OK done\r\n",
        )
        .await;
        client.expect("a OK ").await;
    }
    murder.stop().await;
}

/// When the answer to a change of names is lost, the map tells whether it was made; when it does not,
/// nothing is said of it.
#[tokio::test]
async fn lost_answers_about_names_are_found_out() {
    let patient = |config: &mut crate::FrontendConfig| {
        config.imap.backend_connect_timeout_seconds = 2;
    };
    let mut murder = Murder::with(&[("bob", "be1")], patient).await;
    let mut client = murder.login("bob").await;
    for (command, made) in [
        ("CREATE x", true),
        ("RENAME x y", true),
        ("DELETE y", true),
        ("CREATE z", false),
    ] {
        client.send(&format!("a {command}\r\n")).await;
        let mut backend = murder.imap_at("be1").await;
        backend.next().await.unwrap();
        let id = u128::from_str_radix(&backend.next_id, 16).unwrap_or_default();
        drop(backend);
        let (x, y) = (name("user/bob/x"), name("user/bob/y"));
        match command {
            "CREATE x" => {
                let id = MailboxId::from_bytes(id.to_be_bytes());
                murder.make_as(id, "user/bob/x", "be1", "bob").await;
            }
            "RENAME x y" => {
                let backend = &murder.backends["be1"].client;
                backend.rename(&x, &y, true).await.unwrap();
            }
            "DELETE y" => murder.unmake("user/bob/y", "be1").await,
            // Somebody else's.
            _ => {
                murder.make("user/bob/z", "be1", "bob").await;
            }
        }
        let verb = command.split(' ').next().unwrap();
        match made {
            true => client.expect(&format!("a OK {verb} completed")).await,
            false => client.expect("* BYE [UNAVAILABLE] ").await,
        };
    }
    client.closed().await;
    murder.stop().await;
}
