//! Response codes (RFC 5530): which condition has which.

use murder_store::Flags;

use super::support::{Client, Server, message, short};

async fn completion(client: &mut Client, command: &str) -> String {
    client.ask(command).await.pop().unwrap()
}

#[tokio::test]
async fn logins() {
    let server = Server::with(|config| config.limits.max_connections_per_user = 1);
    let _one = server.login("carol").await;
    let mut client = server.connect().await;
    for (command, wanted) in [
        ("LOGIN bob wrong", "NO [AUTHENTICATIONFAILED] "),
        ("LOGIN nobody secret", "NO [AUTHENTICATIONFAILED] "),
        // A disabled account is no other than a wrong password to who asks.
        ("LOGIN dave secret", "NO [AUTHENTICATIONFAILED] "),
        // \0bob\0wrong
        (
            "AUTHENTICATE PLAIN AGJvYgB3cm9uZw==",
            "NO [AUTHENTICATIONFAILED] ",
        ),
        // carol\0bob\0secret
        (
            "AUTHENTICATE PLAIN Y2Fyb2wAYm9iAHNlY3JldA==",
            "NO [AUTHORIZATIONFAILED] ",
        ),
        ("AUTHENTICATE EXTERNAL =", "NO [AUTHORIZATIONFAILED] "),
        ("LOGIN carol secret", "NO [LIMIT] "),
    ] {
        let got = completion(&mut client, command).await;
        assert!(got.starts_with(wanted), "{command}: {got}");
    }
    let server = Server::with(|config| config.imap.allow_plaintext_loopback = false);
    let mut client = server.connect().await;
    for command in ["LOGIN bob secret", "AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ="] {
        let got = completion(&mut client, command).await;
        assert!(got.starts_with("NO [PRIVACYREQUIRED] "), "{command}: {got}");
    }
}

#[tokio::test]
async fn mailboxes_and_messages() {
    let server = Server::with(|config| config.imap.append_limit = 1000);
    server.create("user/bob").await;
    server.create("user/bob/sub").await;
    server.create("user/carol").await;
    server.create("user/carol/secret").await;
    server.allow("user/bob", "carol", "lr").await;
    server.allow("user/bob/sub", "carol", "l").await;
    for n in 1..=2 {
        let mut new = message(short(&n.to_string()));
        new.flags = Flags::DELETED;
        server.put_message("user/bob", new).await;
    }
    let mut carol = server.login("carol").await;
    let deep = vec!["x"; 100].join("/");
    let long = "x".repeat(2000);
    let patterns = format!("LIST \"\" ({})", vec!["x".repeat(1000); 10].join(" "));
    carol.select("Other Users/bob").await;
    for (command, wanted) in [
        ("SELECT nowhere", "NO [NONEXISTENT] "),
        ("SELECT \"Other Users/dave\"", "NO [NONEXISTENT] "),
        ("SELECT \"Other Users/bob/sub\"", "NO [NOPERM] "),
        ("STATUS nowhere (MESSAGES)", "NO [NONEXISTENT] "),
        ("STATUS \"Other Users/bob/sub\" (MESSAGES)", "NO [NOPERM] "),
        ("SUBSCRIBE nowhere", "NO [NONEXISTENT] "),
        ("CREATE INBOX", "NO [ALREADYEXISTS] "),
        ("CREATE secret", "NO [ALREADYEXISTS] "),
        ("CREATE \"Other Users/bob/new\"", "NO [NOPERM] "),
        ("CREATE x (PARTITION default)", "NO [NOPERM] "),
        ("CREATE x (USE (\\Nonsense))", "NO [USEATTR] "),
        ("CREATE a//b", "NO [CANNOT] "),
        ("DELETE nowhere", "NO [NONEXISTENT] "),
        ("DELETE INBOX", "NO [CANNOT] "),
        ("DELETE \"Other Users/bob\"", "NO [NOPERM] "),
        ("DELETE \"Other Users/bob/sub\"", "NO [NOPERM] "),
        ("RENAME nowhere x", "NO [NONEXISTENT] "),
        ("RENAME secret INBOX", "NO [ALREADYEXISTS] "),
        ("RENAME secret secret/below", "NO [CANNOT] "),
        ("SETACL \"Other Users/bob\" dave lr", "NO [NOPERM] "),
        ("GETACL nowhere", "NO [NONEXISTENT] "),
        ("GETACL \"Other Users/bob\"", "NO [NOPERM] "),
        ("APPEND nowhere {1+}\r\nx", "NO [TRYCREATE] "),
        ("APPEND \"Other Users/bob\" {1+}\r\nx", "NO [NOPERM] "),
        ("APPEND INBOX {1001+}\r\n", "NO [TOOBIG] "),
    ] {
        let octets = match command.contains("{1001+}") {
            true => format!("{command}{}", "x".repeat(1001)),
            false => command.to_owned(),
        };
        let got = completion(&mut carol, &octets).await;
        assert!(got.starts_with(wanted), "{command}: {got}");
    }
    for (command, wanted) in [
        (format!("CREATE {deep}"), "NO [CANNOT] "),
        (format!("CREATE {long}"), "NO [CANNOT] "),
        (patterns, "NO [LIMIT] "),
    ] {
        let got = completion(&mut carol, &command).await;
        assert!(got.starts_with(wanted), "{got}");
    }
    carol.select("Other Users/bob").await;
    for (command, wanted) in [
        ("STORE 1 +FLAGS \\Seen", "NO [NOPERM] "),
        ("EXPUNGE", "NO [NOPERM] "),
        ("MOVE 1 secret", "NO [NOPERM] "),
        ("COPY 1 nowhere", "NO [TRYCREATE] "),
        ("COPY 1 \"Other Users/bob\"", "NO [NOPERM] "),
        (
            "SEARCH CHARSET X-NONE TEXT x",
            "NO [BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ",
        ),
    ] {
        let got = completion(&mut carol, command).await;
        assert!(got.starts_with(wanted), "{command}: {got}");
    }
    let _ = carol.ask("EXAMINE INBOX").await;
    for (command, wanted) in [
        ("STORE 1:* +FLAGS \\Seen", "NO [READ-ONLY] "),
        ("EXPUNGE", "NO [READ-ONLY] "),
    ] {
        let got = completion(&mut carol, command).await;
        assert!(got.starts_with(wanted), "{command}: {got}");
    }
    let mut bob = server.login("bob").await;
    let mut other = server.login("bob").await;
    bob.select("INBOX").await;
    other.select("INBOX").await;
    assert!(completion(&mut other, "EXPUNGE").await.starts_with("OK "));
    for command in ["FETCH 1 ENVELOPE", "STORE 1 +FLAGS \\Seen", "COPY 1 sub"] {
        let got = completion(&mut bob, command).await;
        assert!(got.starts_with("NO [EXPUNGEISSUED] "), "{command}: {got}");
        other.select("INBOX").await;
        let _ = other.ask("NOOP").await;
    }
}
