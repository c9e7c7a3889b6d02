//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS, and what rights hide.

use super::support::Server;

#[tokio::test]
async fn lists_are_read_and_changed() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a GETACL INBOX
         S: * ACL \"INBOX\" bob lrswipkxteancd
         S: a OK GETACL completed
         C: b SETACL INBOX Carol lr
         S: b OK SETACL completed
         C: c SETACL INBOX carol +t
         S: c OK …
         C: d SETACL INBOX -group:staff w
         S: d OK …
         C: e GETACL INBOX
         S: * ACL \"INBOX\" bob lrswipkxteancd carol lrtd -group:staff w
         S: e OK …
         C: f SETACL INBOX carol -r
         S: f OK …
         C: g DELETEACL INBOX -group:staff
         S: g OK DELETEACL completed
         C: h GETACL INBOX
         S: * ACL \"INBOX\" bob lrswipkxteancd carol ltd
         S: h OK …
         C: i SETACL INBOX carol lrQ
         S: i BAD …
         C: j SETACL INBOX \"\" lr
         S: j BAD …
         C: k MYRIGHTS INBOX
         S: * MYRIGHTS \"INBOX\" lrswipkxteancd
         S: k OK MYRIGHTS completed
         C: l LISTRIGHTS INBOX Bob
         S: * LISTRIGHTS \"INBOX\" Bob la r s w i p k x t e n c d
         S: l OK LISTRIGHTS completed
         C: m LISTRIGHTS INBOX anyone
         S: * LISTRIGHTS \"INBOX\" anyone \"\" l r s w i p k x t e a n c d
         S: m OK …
         C: n LISTRIGHTS INBOX admin
         S: * LISTRIGHTS \"INBOX\" admin lkxac r s w i p t e n d
         S: n OK …",
    )
    .await;
}

#[tokio::test]
async fn what_one_may_not_look_up_does_not_exist() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(
        "C: a SETACL INBOX anyone p
         S: a OK …",
    )
    .await;
    let mut carol = server.login("carol").await;
    for command in [
        "GETACL \"Other Users/bob\"",
        "LISTRIGHTS \"Other Users/bob\" carol",
        "MYRIGHTS \"Other Users/bob\"",
        "SETACL \"Other Users/bob\" carol lr",
        "DELETEACL \"Other Users/bob\" anyone",
        "STATUS \"Other Users/bob\" (MESSAGES)",
        "DELETE \"Other Users/bob\"",
        "SUBSCRIBE \"Other Users/bob\"",
    ] {
        let there = carol.ask(command).await;
        assert!(
            there[0].starts_with("NO [NONEXISTENT] "),
            "{command}: {there:?}"
        );
        let nowhere = carol.ask(&command.replace("bob", "nobody")).await;
        assert_eq!(there, nowhere, "{command}");
    }
    let append = "APPEND \"Other Users/bob\" {1+}\r\nx";
    let there = carol.ask(append).await;
    assert!(there[0].starts_with("NO [TRYCREATE] "), "{there:?}");
    assert_eq!(there, carol.ask(&append.replace("bob", "nobody")).await);
}

#[tokio::test]
async fn each_right_opens_what_it_should() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    let mut carol = server.login("carol").await;
    let box_of_bob = "\"Other Users/bob\"";
    for (rights, command, answer) in [
        ("l", "STATUS %M (MESSAGES)", "NO [NOPERM] "),
        ("r", "STATUS %M (MESSAGES)", "OK "),
        ("l", "GETACL %M", "NO [NOPERM] "),
        ("a", "GETACL %M", "OK "),
        ("l", "LISTRIGHTS %M bob", "NO [NOPERM] "),
        ("a", "LISTRIGHTS %M bob", "OK "),
        ("i", "MYRIGHTS %M", "OK "),
        ("p", "MYRIGHTS %M", "NO [NONEXISTENT] "),
        ("l", "APPEND %M {1+}\r\nx", "NO [NOPERM] "),
        ("i", "APPEND %M {1+}\r\nx", "OK [APPENDUID "),
        ("lr", "SETACL %M carol a", "NO [NOPERM] "),
        ("lr", "SUBSCRIBE %M", "OK "),
    ] {
        let set = bob.ask(&format!("SETACL INBOX carol {rights}")).await;
        assert_eq!(set, ["OK SETACL completed"]);
        let got = carol.ask(&command.replace("%M", box_of_bob)).await;
        let got = got.last().unwrap();
        assert!(got.starts_with(answer), "{rights}, {command}: {got}");
    }
}
