//! What only frontends say.

use murder_mailbox::MailboxName;

use super::support::Server;

const ONE: &str = "00112233445566778899aabbccddeeff";
const TWO: &str = "00112233445566778899aabbccddee00";

#[tokio::test]
async fn an_append_with_an_id_is_done_once_and_can_be_asked_about() {
    let server = Server::with_tls(|_| ());
    server.create("user/bob").await;
    let uidvalidity = {
        let inbox = MailboxName::parse_canonical("user/bob").unwrap();
        server.node.find(&inbox).unwrap().meta.uidvalidity
    };
    let mut frontend = server.connect_for("bob").await;
    for _ in 0..2 {
        frontend
            .play(&format!(
                "C: a X-NEXTID {ONE}
                 C: b APPEND user/bob {{4+}}
                 C: ab
                 C:
                 S: b OK [APPENDUID {uidvalidity} 1] …"
            ))
            .await;
    }
    frontend
        .play(&format!(
            "C: c X-DONE user/bob {ONE}
             S: c OK [APPENDUID {uidvalidity} 1] …
             C: d X-DONE user/bob/gone {TWO}
             S: d NO [X-NOT-DONE] …
             C: e X-NEXTID {TWO}
             C: f APPEND user/bob {{4+}}
             C: ab
             C:
             S: f NO [UNAVAILABLE] …
             C: g X-DONE user/eve {ONE}
             S: g NO [NONEXISTENT] …
             C: h X-NEXTID {TWO}
             C: i NOOP
             S: i OK …
             C: j APPEND user/bob {{4+}}
             C: ab
             C:
             S: j OK [APPENDUID {uidvalidity} 2] …"
        ))
        .await;
    assert_eq!(server.messages("user/bob").await, 2);
}

#[tokio::test]
async fn a_mailbox_gets_the_id_that_was_named() {
    let server = Server::with_tls(|_| ());
    server.create("user/bob").await;
    let mut frontend = server.connect_for("bob").await;
    frontend
        .play(&format!(
            "C: a X-NEXTID {ONE}
             C: b CREATE user/bob/x
             S: b OK …
             C: c CREATE user/bob/y
             S: c OK …"
        ))
        .await;
    let id = |name: &str| {
        let name = MailboxName::parse_canonical(name).unwrap();
        server.node.find(&name).unwrap().meta.id.to_bytes()
    };
    let one: u128 = u128::from_str_radix(ONE, 16).unwrap();
    assert_eq!(id("user/bob/x"), one.to_be_bytes());
    assert_ne!(id("user/bob/y"), one.to_be_bytes());
}

#[tokio::test]
async fn nobody_else_says_so() {
    let server = Server::start();
    let mut bob = server.login("bob").await;
    bob.play(&format!(
        "C: a X-NEXTID {ONE}
         S: a BAD unknown command
         C: b X-DONE INBOX {ONE}
         S: b BAD unknown command
         C: c X-NEXTID 12
         S: c BAD …"
    ))
    .await;
    let mut nobody = server.connect().await;
    nobody
        .play(&format!(
            "C: a X-NEXTID {ONE}
             S: a BAD Log in first"
        ))
        .await;
}
