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
