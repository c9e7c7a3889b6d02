//! Accounts: what is left of one that was deleted is nobody else's.

use murder_testkit::{ImapClient, Murder};

use crate::operator::{done, refused, told};
use crate::{Tested, message};

/// The password of the new user1.
const FRESH: &str = "fresh-password";

/// user1 has mail, and rights on a mailbox of user2's, whose home is on the other backend.
async fn with_mail_and_rights() -> anyhow::Result<Murder> {
    let murder = Murder::start().await?;
    let mut owner = murder.imap(1, "user1").await?;
    owner.ok("CREATE Old").await?;
    owner.append("Old", "", &message("secret")).await?;
    owner.ok("SUBSCRIBE Old").await?;
    let mut other = murder.imap(2, "user2").await?;
    other.ok("CREATE Shared").await?;
    other.append("Shared", "", &message("shared")).await?;
    other.ok("SETACL Shared user1 lrs").await?;
    other.ok("SETACL Shared -user1 w").await?;
    Ok(murder)
}

async fn add(murder: &Murder, words: &[&str]) -> anyhow::Result<String> {
    let add = ["user", "add", "user1", "--password", FRESH];
    done(murder, &[&add, words].concat()).await
}

async fn log_in(murder: &Murder) -> anyhow::Result<ImapClient> {
    let mut client = ImapClient::connect(murder.frontend(1).imap).await?;
    client.login("user1", FRESH).await?;
    Ok(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_gets_nothing_of_a_deleted_one() -> Tested {
    let murder = with_mail_and_rights().await?;
    let said = done(&murder, &["user", "delete", "user1"]).await?;
    for part in ["user/user1/Old", "user/user2/Shared", "--with-mail"] {
        assert!(said.contains(part), "{said}");
    }
    let why = add(&murder, &[]).await.unwrap_err().to_string();
    for part in ["not free", "user/user1", "user/user2/Shared"] {
        assert!(why.contains(part), "{why}");
    }
    // Neither in bulk, as programs add accounts.
    let account = murder_auth::Account {
        name: "user1".to_owned(),
        password_hash: murder_testkit::cheap_hash(FRESH)?,
        ..murder_auth::Account::default()
    };
    let bulk = murder.operator().add_users(std::slice::from_ref(&account));
    assert!(bulk.await.is_err());

    let cleared = told(&murder, &["user", "delete", "user1", "--with-mail"]).await?;
    assert_eq!(cleared["name_is_free"], true, "{cleared}");
    assert_eq!(cleared["mailboxes_deleted"], 2, "{cleared}");
    assert_eq!(cleared["acls_changed"], 1, "{cleared}");
    add(&murder, &[]).await?;
    let mut fresh = log_in(&murder).await?;
    assert_eq!(fresh.list("*").await?, ["INBOX"]);
    let subscribed = fresh.ok("LSUB \"\" *").await?;
    assert_eq!(subscribed.all("LSUB").count(), 0);
    fresh
        .no("SELECT \"Other Users/user2/Shared\"", "NONEXISTENT")
        .await?;
    let mut other = murder.imap_at_backend(2, "user2").await?;
    let acl = other.ok("GETACL Shared").await?;
    assert!(!format!("{acl:?}").contains("user1"), "{acl:?}");
    // What is not there cannot be deleted once more.
    done(&murder, &["user", "delete", "user1", "--with-mail"]).await?;
    let why = refused(&murder, &["user", "delete", "user1", "--with-mail"]).await?;
    assert!(why.contains("no user user1"), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_give_the_mail_to_the_new_account() -> Tested {
    let murder = with_mail_and_rights().await?;
    let deleted = told(&murder, &["user", "delete", "user1"]).await?;
    assert_eq!(deleted["name_is_free"], false, "{deleted}");
    assert_eq!(deleted["mailbox_count"], 2, "{deleted}");
    assert_eq!(deleted["granting_count"], 1, "{deleted}");
    add(&murder, &["--with-mail"]).await?;
    let mut back = log_in(&murder).await?;
    assert_eq!(back.select("Old").await?.exists, 1);
    assert_eq!(back.select("Other Users/user2/Shared").await?.exists, 1);
    Ok(())
}

/// What a backend that is down holds keeps the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_removed_keeps_the_name() -> Tested {
    let mut murder = with_mail_and_rights().await?;
    murder.kill_backend(2).await;
    let why = refused(&murder, &["user", "delete", "user1", "--with-mail"]).await?;
    assert!(why.contains("be2"), "{why}");
    assert!(add(&murder, &[]).await.is_err());
    murder.start_backend(2).await?;
    let cleared = told(&murder, &["user", "delete", "user1", "--with-mail"]).await?;
    assert_eq!(cleared["name_is_free"], true, "{cleared}");
    add(&murder, &[]).await?;
    Ok(())
}

/// Base64 of NUL, the name, NUL, `secret`.
const DECOMPOSED: &str = "AHpvZcyIAHNlY3JldA==";
const COMPOSED: &str = "AHpvw6sAc2VjcmV0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_one_name_however_it_is_typed() -> Tested {
    let murder = Murder::start().await?;
    let (typed, name, group) = ("Zoe\u{308}", "zo\u{eb}", "Bu\u{308}ro");
    let password = ["--password", murder.password()];
    let add = [&["user", "add", typed][..], &password, &["--group", group]].concat();
    done(&murder, &add).await?;
    let listed = told(&murder, &["user", "list"]).await?;
    let zoe = listed
        .as_array()
        .and_then(|all| all.iter().find(|user| user["name"] == name));
    assert_eq!(
        zoe.map(|user| &user["groups"][0]),
        Some(&"B\u{fc}ro".into()),
        "{listed}"
    );

    let mut owners = [
        murder.imap(1, "user1").await?,
        murder.imap_at_backend(1, "user1").await?,
    ];
    for (owner, who) in owners
        .iter_mut()
        .zip([typed.to_owned(), format!("group:{group}")])
    {
        owner
            .ok(&format!("SETACL INBOX {{{}+}}\r\n{who} lr", who.len()))
            .await?;
        for (door, plain) in [
            (murder.frontend(2).imap, DECOMPOSED),
            (murder.backend(1).imap, COMPOSED),
        ] {
            let mut client = ImapClient::connect(door).await?;
            client.ok(&format!("AUTHENTICATE PLAIN {plain}")).await?;
            client.select("Other Users/user1").await?;
        }
        owner
            .ok(&format!("DELETEACL INBOX {{{}+}}\r\n{who}", who.len()))
            .await?;
    }
    let mut lmtp = murder.lmtp(1).await?;
    for recipient in [typed, name] {
        lmtp.deliver_one(recipient, &message("x")).await?;
    }
    let mut client = ImapClient::connect(murder.frontend(1).imap).await?;
    client.ok(&format!("AUTHENTICATE PLAIN {COMPOSED}")).await?;
    assert_eq!(client.select("INBOX").await?.exists, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn homes_are_of_those_who_could_log_in() -> Tested {
    let murder = Murder::start().await?;
    for door in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut admin = ImapClient::connect(door).await?;
        admin.login("admin", murder.password()).await?;
        for home in ["anyone", "anonymous", "-x", "group:x", "Bob", "anyone/x"] {
            let refused = admin.command(&format!("CREATE \"user/{home}\"")).await?;
            assert_eq!(
                refused.status,
                murder_testkit::Status::No,
                "{home}: {refused:?}"
            );
        }
        let refused = admin.command("RENAME user/user1 user/-x").await?;
        assert_eq!(refused.status, murder_testkit::Status::No, "{refused:?}");
        admin.ok("CREATE \"Shared Folders/anyone\"").await?;
        admin.ok("DELETE \"Shared Folders/anyone\"").await?;
    }
    Ok(())
}
