//! Greeting, TLS, login, the INBOX of a new user.

use murder_net::Role;
use murder_net::tls::server_name;

use super::peer::Peer;
use super::{Murder, client_tls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[tokio::test]
async fn capabilities_before_and_after() {
    let murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.connect().await;
    let before = client.command("a", "CAPABILITY").await;
    assert_eq!(
        before[0],
        "* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE STARTTLS AUTH=PLAIN"
    );
    assert!(client.tagged("b", "SELECT INBOX").await.starts_with("BAD "));
    client.send("c LOGIN {3}\r\n").await;
    client.expect("+ ").await;
    client.send("bob {6+}\r\nsecret\r\n").await;
    let after = client.line().await;
    assert!(after.starts_with("c OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE NAMESPACE IDLE UNSELECT UIDPLUS MOVE BINARY CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE ACL RIGHTS=texk APPENDLIMIT=1048576]"), "{after}");
    assert!(
        client
            .tagged("d", "LOGIN bob secret")
            .await
            .starts_with("BAD ")
    );
    assert_eq!(
        client.command("e", "NAMESPACE").await[0],
        "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared Folders/\" \"/\"))"
    );
    let bye = client.command("f", "LOGOUT").await;
    assert!(bye[0].starts_with("* BYE "));
    client.closed().await;
    murder.stop().await;
}

#[tokio::test]
async fn no_password_without_tls_unless_allowed() {
    let murder = Murder::with(&[("bob", "be1")], |c| {
        c.imap.allow_plaintext_loopback = false;
    })
    .await;
    let mut client = murder.connect().await;
    let capabilities = client.command("a", "CAPABILITY").await;
    assert!(capabilities[0].ends_with(" STARTTLS LOGINDISABLED"));
    assert!(
        client
            .tagged("b", "LOGIN bob secret")
            .await
            .starts_with("NO [PRIVACYREQUIRED] ")
    );
    // What comes behind STARTTLS in the clear never counts.
    client.send("c STARTTLS\r\nx LOGIN bob secret\r\n").await;
    client.expect("c OK ").await;
    let stream = client
        .into_stream()
        .connect_tls(&client_tls(&murder), server_name("fe1", Role::Frontend))
        .await
        .unwrap();
    let mut client = Peer::new(stream);
    let capabilities = client.command("d", "CAPABILITY").await;
    assert!(
        capabilities[0].ends_with(" ENABLE AUTH=PLAIN"),
        "{capabilities:?}"
    );
    assert!(client.tagged("e", "STARTTLS").await.starts_with("BAD "));
    client.send("f LOGIN bob secret\r\n").await;
    client.expect("f OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn implicit_tls() {
    let murder = Murder::start(&[("bob", "be1")]).await;
    let stream = murder_net::Stream::connect(murder.frontend().addresses().imaps[0])
        .await
        .unwrap()
        .connect_tls(&client_tls(&murder), server_name("fe1", Role::Frontend))
        .await
        .unwrap();
    let mut client = Peer::new(stream);
    let greeting = client.expect("* OK [CAPABILITY ").await;
    assert!(!greeting.contains("STARTTLS"));
    client.send("f LOGIN bob secret\r\n").await;
    client.expect("f OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn sasl_plain() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    murder
        .add_user("root", |account| account.admin = true)
        .await;
    murder.catch_up().await;
    let plain = |text: &str| STANDARD.encode(text);
    for initial in [true, false] {
        let mut client = murder.connect().await;
        let response = plain("\0bob\0secret");
        if initial {
            client
                .send(&format!("a AUTHENTICATE PLAIN {response}\r\n"))
                .await;
        } else {
            client.send("a AUTHENTICATE plain\r\n").await;
            client.expect("+ ").await;
            client.send(&format!("{response}\r\n")).await;
        }
        client.expect("a OK ").await;
    }
    let mut client = murder.connect().await;
    client.send("a AUTHENTICATE PLAIN\r\n").await;
    client.expect("+ ").await;
    client.send("*\r\n").await;
    client.expect("a BAD ").await;
    assert!(
        client
            .tagged("b", "AUTHENTICATE PLAIN ???")
            .await
            .starts_with("BAD ")
    );
    assert!(
        client
            .tagged("c", "AUTHENTICATE CRAM-MD5")
            .await
            .starts_with("NO ")
    );
    // Others may not act for others; an administrator may.
    let other = format!("AUTHENTICATE PLAIN {}", plain("root\0bob\0secret"));
    assert!(
        client
            .tagged("d", &other)
            .await
            .starts_with("NO [AUTHORIZATIONFAILED] ")
    );
    let other = format!("e AUTHENTICATE PLAIN {}\r\n", plain("bob\0root\0secret"));
    client.send(&other).await;
    client.expect("e OK ").await;
    client.send("f STATUS INBOX (MESSAGES)\r\n").await;
    let mut backend = murder.imap_at("be1").await;
    assert_eq!(backend.user, "bob");
    backend
        .answer(
            "STATUS \"user/bob\" (MESSAGES)",
            "* STATUS \"user/bob\" (MESSAGES 3)\r\n{tag} OK done\r\n",
        )
        .await;
    client.expect("* STATUS INBOX (MESSAGES 3)").await;
    client.expect("f OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn wrong_passwords_end_the_connection() {
    let mut murder = Murder::start(&[("bob", "be1")]).await;
    let mut client = murder.connect().await;
    for _ in 0..10 {
        let answer = client.tagged("a", "LOGIN bob wrong").await;
        assert!(answer.starts_with("NO [AUTHENTICATIONFAILED] "), "{answer}");
    }
    client.expect("* BYE ").await;
    client.closed().await;
    let mut client = murder.connect().await;
    let answer = client.tagged("a", "LOGIN nobody secret").await;
    assert!(answer.starts_with("NO [AUTHENTICATIONFAILED] "), "{answer}");
    assert!(murder.is_left_alone("be1") && murder.is_left_alone("be2"));
    murder.stop().await;
}

#[tokio::test]
async fn connections_of_a_user_are_counted() {
    let murder = Murder::with(&[("bob", "be1"), ("eve", "be1")], |c| {
        c.limits.max_connections_per_user = 1;
    })
    .await;
    let mut first = murder.login("bob").await;
    let mut second = murder.connect().await;
    let answer = second.tagged("a", "LOGIN bob secret").await;
    assert!(answer.starts_with("NO [LIMIT] "), "{answer}");
    let _other = murder.login("eve").await;
    first.command("b", "LOGOUT").await;
    first.closed().await;
    second.send("c LOGIN bob secret\r\n").await;
    second.expect("c OK ").await;
    murder.stop().await;
}

#[tokio::test]
async fn a_new_users_inbox_is_made_at_login() {
    let mut murder = Murder::with(&[("bob", "")], |c| {
        c.placement.exclude = vec!["be1".into()];
    })
    .await;
    let mut client = murder.connect().await;
    client.send("a LOGIN bob secret\r\n").await;
    let mut backend = murder.imap_at("be2").await;
    assert_eq!(backend.user, "bob");
    let tag = backend
        .expect("CREATE \"user/bob\" (PARTITION \"be2!default\")")
        .await;
    let revision = murder.make("user/bob", "be2", "bob").await;
    backend
        .send(&format!("{tag} OK [X-REVISION {revision}] created\r\n"))
        .await;
    client.expect("a OK ").await;
    let list = client.command("b", "LIST \"\" *").await;
    assert_eq!(list[0], "* LIST (\\HasNoChildren) \"/\" \"INBOX\"");
    murder.stop().await;
}

#[tokio::test]
async fn login_works_without_an_inbox() {
    let mut murder = Murder::start(&[("bob", "")]).await;
    murder.stop_listening("be1").await;
    murder.stop_listening("be2").await;
    let mut client = murder.login("bob").await;
    let answer = client.tagged("b", "SELECT INBOX").await;
    assert!(answer.starts_with("NO [NONEXISTENT] "), "{answer}");
    murder.stop().await;
}
