//! ESEARCH (RFC 7377).

use super::support::{Server, short};

#[tokio::test]
async fn several_mailboxes() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    for name in [
        "folder1",
        "folder2",
        "folder2/banana",
        "folder2/banana/peel",
        "folder2/peach",
    ] {
        server.create(&format!("user/bob/{name}")).await;
        server.put(&format!("user/bob/{name}"), short(name)).await;
        server.put(&format!("user/bob/{name}"), short("chad")).await;
    }
    server.put("user/bob", short("chad")).await;
    for (sources, wanted) in [
        ("mailboxes folder1", vec!["folder1"]),
        (
            "mailboxes (folder1 nowhere INBOX)",
            vec!["folder1", "INBOX"],
        ),
        ("mailboxes folder1 mailboxes folder1", vec!["folder1"]),
        (
            "subtree folder2",
            vec![
                "folder2",
                "folder2/banana",
                "folder2/banana/peel",
                "folder2/peach",
            ],
        ),
        (
            "subtree-one folder2",
            vec!["folder2", "folder2/banana", "folder2/peach"],
        ),
        (
            "mailboxes folder1 subtree-one folder2/banana",
            vec!["folder1", "folder2/banana", "folder2/banana/peel"],
        ),
        (
            "personal",
            vec![
                "INBOX",
                "folder1",
                "folder2",
                "folder2/banana",
                "folder2/banana/peel",
                "folder2/peach",
            ],
        ),
        ("inboxes", vec!["INBOX"]),
        ("subscribed", vec![]),
    ] {
        bob.send(format!("t ESEARCH IN ({sources}) SUBJECT chad\r\n"))
            .await;
        let mut found = Vec::new();
        loop {
            let line = bob.line().await;
            if line == "t OK ESEARCH completed" {
                break;
            }
            let rest = line.strip_prefix("* ESEARCH (TAG \"t\" MAILBOX ").unwrap();
            let (name, rest) = rest.split_once(" UIDVALIDITY ").unwrap();
            let name = name.trim_matches('"');
            let uid = if name == "INBOX" { "1" } else { "2" };
            assert!(rest.ends_with(&format!(") UID ALL {uid}")), "{line}");
            found.push(name.to_owned());
        }
        assert_eq!(found, wanted, "{sources}");
    }
    bob.play(
        "C: a ESEARCH IN (selected) ALL
         S: a BAD …
         C: b ESEARCH ALL
         S: b BAD …
         C: c ESEARCH IN (mailboxes folder1) RETURN (SAVE) ALL
         S: c BAD …
         C: d ESEARCH IN (mailboxes folder1) $
         S: d BAD …
         C: e ESEARCH IN (mailboxes (folder1 folder2)) CHARSET X-NONE TEXT x
         S: e NO [BADCHARSET …] …
         C: f ESEARCH IN (mailboxes (folder1 folder2)) RETURN (MIN COUNT) SUBJECT folder2
         S: * ESEARCH (TAG \"f\" MAILBOX \"folder2\" UIDVALIDITY …) UID MIN 1 COUNT 1
         S: f OK …
         C: g SUBSCRIBE folder1
         S: g OK …
         C: h ESEARCH IN (subscribed) RETURN (COUNT) ALL
         S: * ESEARCH (TAG \"h\" MAILBOX \"folder1\" UIDVALIDITY …) UID COUNT 2
         S: h OK …",
    )
    .await;
    bob.select("folder1").await;
    bob.play(
        "C: a ESEARCH RETURN (SAVE MAX) ALL
         S: * ESEARCH (TAG \"a\" MAILBOX \"folder1\" UIDVALIDITY …) UID MAX 2
         S: a OK …
         C: b FETCH $ UID
         S: * 2 FETCH (UID 2)
         S: b OK …
         C: c ESEARCH IN (selected mailboxes folder2) RETURN (COUNT) 1:2
         S: * ESEARCH (TAG \"c\" MAILBOX \"folder1\" UIDVALIDITY …) UID COUNT 2
         S: * ESEARCH (TAG \"c\" MAILBOX \"folder2\" UIDVALIDITY …) UID COUNT 2
         S: c OK …
         C: d ESEARCH IN (selected-delayed) ALL
         S: d BAD …",
    )
    .await;
}

#[tokio::test]
async fn rights_are_looked_at() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let _ = server.login("carol").await;
    for (name, rights) in [("a", "lr"), ("a/b", "r"), ("a/c", "l"), ("a/d", "lr")] {
        server.create(&format!("user/carol/{name}")).await;
        server.put(&format!("user/carol/{name}"), short("x")).await;
        server
            .allow(&format!("user/carol/{name}"), "bob", rights)
            .await;
    }
    let other = "Other Users/carol";
    for (sources, wanted) in [
        (format!("subtree \"{other}/a\""), vec!["a", "a/d"]),
        (
            format!("mailboxes (\"{other}/a/b\" \"{other}/a/c\")"),
            vec!["a/b"],
        ),
        (format!("mailboxes \"{other}\""), vec![]),
    ] {
        let mut lines = bob
            .ask(&format!("ESEARCH IN ({sources}) RETURN (COUNT) ALL"))
            .await;
        assert_eq!(lines.pop().unwrap(), "OK ESEARCH completed");
        assert_eq!(lines.len(), wanted.len(), "{lines:?}");
        for (line, name) in lines.iter().zip(wanted) {
            assert!(
                line.contains(&format!("MAILBOX \"{other}/{name}\"")),
                "{line}"
            );
        }
    }
}
