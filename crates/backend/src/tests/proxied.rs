//! Frontends that act for users, and accounts that change meanwhile.

use murder_location::UserUpdate;
use murder_net::Stream;
use murder_net::tls::server_name;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;

/// A frontend's connection.
struct Proxy(BufReader<Stream>);

impl Proxy {
    async fn connect(murder: &Murder, backend: &Backend) -> Self {
        let tls = NodeTls::load(&murder.files("fe1", Role::Frontend)).unwrap();
        let stream = Stream::connect(backend.addresses().imaps[0]).await.unwrap();
        let name = server_name("be1", Role::Backend);
        let stream = stream.connect_tls(&tls.client(), name).await.unwrap();
        Self(BufReader::new(stream))
    }

    async fn send(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// The next line that begins so.
    async fn until(&mut self, start: &str) -> String {
        let reading = async {
            loop {
                let mut line = String::new();
                assert!(self.0.read_line(&mut line).await.unwrap() > 0, "closed");
                if line.starts_with(start) {
                    return line;
                }
            }
        };
        tokio::time::timeout(LONG, reading).await.unwrap()
    }
}

async fn bob_and_a_proxy(murder: &Murder, backend: &Backend) -> Proxy {
    murder.add_user(backend.node(), account("bob")).await;
    let mut proxy = Proxy::connect(murder, backend).await;
    proxy.send("a AUTHENTICATE EXTERNAL Ym9i").await;
    proxy.until("a OK").await;
    proxy
}

fn groups(groups: &[&str]) -> UserUpdate {
    UserUpdate {
        groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
        ..UserUpdate::default()
    }
}

#[tokio::test]
async fn a_frontend_that_knows_newer_accounts_waits() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let mut proxy = bob_and_a_proxy(&murder, &backend).await;
    let replica = Arc::clone(&backend.node().cluster.as_ref().unwrap().replica);
    let next = replica.revision() + 1;
    proxy
        .send(&format!("b ID (\"x-accounts-revision\" \"{next}\")"))
        .await;
    let answered = tokio::spawn(async move {
        proxy.until("b OK").await;
        (replica.revision(), proxy)
    });
    let operator = murder.client("ops", Role::Operator);
    operator
        .update_user("bob", groups(&["staff"]))
        .await
        .unwrap();
    let (revision, mut proxy) = answered.await.unwrap();
    assert!(revision >= next);
    // One that cannot be waited for holds nobody up for long.
    proxy
        .send("c ID (\"x-accounts-revision\" \"18446744073709551615\")")
        .await;
    proxy.until("c OK").await;
}

#[tokio::test]
async fn a_connection_has_the_groups_of_now_and_ends_with_the_account() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    let node = backend.node();
    let board = name("board");
    node.create_mailbox(&admin(), &board, None, None)
        .await
        .unwrap();
    let lookup = crate::mailboxes::AclChange::Replace("lr".parse().unwrap());
    node.change_acl(&admin(), &board, "group:staff", lookup)
        .await
        .unwrap();
    let mut proxy = bob_and_a_proxy(&murder, &backend).await;
    let mut idle = Proxy::connect(&murder, &backend).await;
    idle.send("a AUTHENTICATE EXTERNAL Ym9i").await;
    idle.send("b IDLE").await;
    idle.until("+ ").await;
    let operator = murder.client("ops", Role::Operator);
    let replica = &node.cluster.as_ref().unwrap().replica;
    for (of, answer) in [(&["staff"][..], "OK"), (&[], "NO"), (&["staff"], "OK")] {
        let revision = operator.update_user("bob", groups(of)).await.unwrap();
        replica.wait_for(revision, LONG).await.unwrap();
        proxy.send("c MYRIGHTS board").await;
        proxy.until(&format!("c {answer}")).await;
    }
    operator.delete_user("bob").await.unwrap();
    for proxy in [&mut proxy, &mut idle] {
        let word = proxy.until("* BYE").await;
        assert!(word.contains("The account was deleted"), "{word}");
    }
    // Until a frontend says otherwise, somebody of that name is in no group.
    let mut proxy = Proxy::connect(&murder, &backend).await;
    proxy.send("a AUTHENTICATE EXTERNAL Ym9i").await;
    proxy.send("b MYRIGHTS board").await;
    proxy.until("b NO").await;
}
