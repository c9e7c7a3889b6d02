//! Getting in: LOGIN, AUTHENTICATE, TLS, accounts as they come and change.

use std::collections::BTreeSet;
use std::time::Instant;

use murder_auth::Account;
use murder_location::UserUpdate;
use murder_testkit::{ImapClient, Murder, Status, cheap_hash, wait_until};

use crate::Tested;

/// What is offered to a client that has logged in; no more than is there.
const AFTER_LOGIN: [&str; 18] = [
    "IMAP4rev1",
    "LITERAL+",
    "ID",
    "ENABLE",
    "NAMESPACE",
    "IDLE",
    "UNSELECT",
    "UIDPLUS",
    "MOVE",
    "BINARY",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "ACL",
    "RIGHTS=texk",
    "APPENDLIMIT=67108864",
];

async fn capabilities(client: &mut ImapClient) -> anyhow::Result<BTreeSet<String>> {
    let answer = client.ok("CAPABILITY").await?;
    let reply = answer.all("CAPABILITY").next().unwrap();
    Ok(reply.text().split(' ').skip(2).map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_can_do_what_frontends_offer_and_more() -> Tested {
    let murder = Murder::start().await?;
    let after: BTreeSet<String> = AFTER_LOGIN.iter().map(|name| (*name).to_owned()).collect();
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        let before = capabilities(&mut client).await?;
        for wanted in ["IMAP4rev1", "STARTTLS", "AUTH=PLAIN", "SASL-IR", "LITERAL+"] {
            assert!(before.contains(wanted), "{wanted}: {before:?}");
        }
        assert!(!before.contains("LOGINDISABLED") && !before.contains("ACL"));
        client.login("user1", "secret").await?;
        let offered = capabilities(&mut client).await?;
        if address == murder.frontend(1).imap {
            assert_eq!(offered, after);
        } else {
            // To who comes directly: `docs/imap.md` has the list.
            assert!(offered.is_superset(&after), "{offered:?}");
            assert!(offered.contains("QRESYNC"), "{offered:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in() -> Tested {
    let murder = Murder::start().await?;
    let address = murder.frontend(1).imap;
    ImapClient::connect(address)
        .await?
        .script(
            "C: a1 LOGIN user1 secret
             S: a1 OK ...
             C: a2 LOGIN user1 secret
             S: a2 BAD ...
             C: a3 LOGOUT
             S: * BYE ...
             S: a3 OK ...",
        )
        .await?;
    ImapClient::connect(address)
        .await?
        .script(
            "C: a1 LOGIN {5}
             S: + ...
             C: user1 {6+}\\r\\nsecret
             S: a1 OK ...",
        )
        .await?;
    // RFC 4616 section 4: NUL user1 NUL secret.
    ImapClient::connect(address)
        .await?
        .script(
            "C: a0 AUTHENTICATE PLAIN
             S: + ...
             C: *
             S: a0 BAD ...
             C: a1 AUTHENTICATE PLAIN
             S: + ...
             C: AHVzZXIxAHNlY3JldA==
             S: a1 OK ...
             C: a2 NOOP
             S: a2 OK ...",
        )
        .await?;
    ImapClient::connect(address)
        .await?
        .script(
            "C: a1 AUTHENTICATE PLAIN AHVzZXIxAHNlY3JldA==
             S: a1 OK ...
             C: a2 SELECT INBOX
             S: * ...
             S: * ...
             S: * ...
             S: * ...",
        )
        .await?;
    // Mechanisms that are not offered, and what is no base64.
    ImapClient::connect(address)
        .await?
        .script(
            "C: a1 AUTHENTICATE CRAM-MD5
             S: a1 NO ...
             C: a2 AUTHENTICATE EXTERNAL dXNlcjE=
             S: a2 NO ...
             C: a3 AUTHENTICATE PLAIN !!!
             S: a3 BAD ...
             C: a4 NOOP
             S: a4 OK ...",
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_administrator_acts_for_others() -> Tested {
    let murder = Murder::start().await?;
    let mut client = ImapClient::connect(murder.frontend(1).imap).await?;
    let answer = client
        .authenticate_plain("user2", "user1", murder.password())
        .await?;
    assert_eq!(answer.status, Status::No);
    assert_eq!(answer.code(), "AUTHORIZATIONFAILED");
    let answer = client
        .authenticate_plain("user1", "admin", murder.password())
        .await?;
    assert_eq!(answer.status, Status::Ok, "{answer:?}");
    assert_eq!(client.list("*").await?, ["INBOX"]);
    client.append("INBOX", "", &crate::message("x")).await?;
    let mut user = murder.imap(2, "user1").await?;
    assert_eq!(user.status("INBOX", "MESSAGES").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() -> Tested {
    let murder = Murder::start().await?;
    let starttls = [murder.frontend(1).imap, murder.backend(1).imap];
    for address in starttls {
        let mut client = ImapClient::connect(address).await?;
        client.starttls(murder.trust()).await?;
        assert!(!capabilities(&mut client).await?.contains("STARTTLS"));
        client.login("user1", "secret").await?;
        client.bad("STARTTLS").await?;
        client.select("INBOX").await?;
        client.logout().await?;
    }
    for address in [murder.frontend(2).imaps, murder.backend(1).imaps] {
        let mut client = ImapClient::connect_tls(address, murder.trust()).await?;
        assert!(!capabilities(&mut client).await?.contains("STARTTLS"));
        client.login("user1", "secret").await?;
        client.select("INBOX").await?;
        client.logout().await?;
    }
    Ok(())
}

/// CVE-2011-0411: what came in plain text before the handshake is not taken for what is said in
/// it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_carried_over_into_tls() -> Tested {
    let murder = Murder::start().await?;
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        client
            .send_raw(b"a1 STARTTLS\r\na2 LOGIN user1 secret\r\n")
            .await?;
        // Either the connection ends here, or what came too early is forgotten.
        let reply = client.reply().await?;
        if reply.is("BYE") {
            assert!(client.read_to_end().await?.is_empty());
            continue;
        }
        assert_eq!((&*reply.word(0), &*reply.word(1)), ("A1", "OK"));
        if client.handshake(murder.trust()).await.is_ok() {
            client.bad("SELECT INBOX").await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_costs_time() -> Tested {
    let murder = Murder::start().await?;
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        for line in [
            "LOGIN user1 wrong",
            "LOGIN nobody secret",
            "AUTHENTICATE PLAIN AHVzZXIxAHdyb25n",
        ] {
            let begun = Instant::now();
            client.no(line, "AUTHENTICATIONFAILED").await?;
            assert!(begun.elapsed().as_millis() >= 200, "{line}");
        }
        client.no("SELECT INBOX", "").await.unwrap_err(); // BAD: not logged in
        client.login("user1", "secret").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_come_and_change_without_a_restart() -> Tested {
    let murder = Murder::start().await?;
    let operator = murder.operator();
    let account = Account {
        name: "newcomer".to_owned(),
        password_hash: cheap_hash("first")?,
        ..Account::default()
    };
    operator.add_user(&account).await?;
    for number in [1, 2] {
        let may = async |password: &str, expected: Status| {
            wait_until("the account is known as it is now", async || {
                let mut client = ImapClient::connect(murder.frontend(number).imap)
                    .await
                    .ok()?;
                let line = format!("LOGIN newcomer {password}");
                let answer = client.command(&line).await.ok()?;
                (answer.status == expected).then_some(client)
            })
            .await
        };
        operator
            .set_password("newcomer", &cheap_hash("first")?)
            .await?;
        // The INBOX is made at the first login.
        let mut client = may("first", Status::Ok).await?;
        assert_eq!(client.list("*").await?, ["INBOX"]);
        client.select("INBOX").await?;
        operator
            .set_password("newcomer", &cheap_hash("second")?)
            .await?;
        may("first", Status::No).await?;
        may("second", Status::Ok).await?;
        let disabled = |disabled| UserUpdate {
            disabled: Some(disabled),
            ..UserUpdate::default()
        };
        operator.update_user("newcomer", disabled(true)).await?;
        may("second", Status::No).await?;
        operator.update_user("newcomer", disabled(false)).await?;
        may("second", Status::Ok).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_can_be_told() -> Tested {
    let murder = Murder::start().await?;
    for address in [murder.frontend(1).imap, murder.backend(1).imap] {
        let mut client = ImapClient::connect(address).await?;
        client
            .script(
                "C: a1 ID (\"name\" \"test\" \"version\" NIL)
                 S: * ID (...
                 S: a1 OK ...
                 C: a2 ID NIL
                 S: * ID (...
                 S: a2 OK ...
                 C: a3 LOGIN user1 secret
                 S: a3 OK ...
                 C: a4 NAMESPACE
                 S: * NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared Folders/\" \"/\"))
                 S: a4 OK ...
                 C: a5 ENABLE X-NONSENSE
                 S: * ENABLED
                 S: a5 OK ...
                 C: a6 CHECK
                 S: a6 BAD ...
                 C: a7 NOOP
                 S: a7 OK ...
                 C: a8 LOGOUT
                 S: * BYE ...
                 S: a8 OK ...",
            )
            .await?;
        assert!(client.reply_or_end().await?.is_none());
    }
    Ok(())
}
