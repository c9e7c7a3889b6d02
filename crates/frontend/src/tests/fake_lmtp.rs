//! A backend's end of an LMTP connection, said by the test.

use murder_net::tls::TlsServer;
use murder_net::{Connection, Role};
use tokio::sync::mpsc;

use super::peer::Peer;

/// A connection under TLS on which LHLO has been said.
pub(super) struct FakeLmtp(pub(super) Peer);

/// Greets, does STARTTLS, and hands the connection over.
pub(super) async fn accept(
    connection: Connection,
    tls: TlsServer,
    connected: mpsc::Sender<FakeLmtp>,
) {
    let mut plain = Peer::new(connection.stream);
    plain.send("220 fake LMTP\r\n").await;
    if plain.next_line().await.as_deref() != Some("LHLO fe1") {
        return;
    }
    plain.send("250-fake\r\n250 STARTTLS\r\n").await;
    plain.expect("STARTTLS").await;
    plain.send("220 go\r\n").await;
    let stream = plain.into_stream().accept_tls(&tls).await.unwrap();
    assert!(stream.peer().unwrap().has_role(Role::Frontend));
    let mut peer = Peer::new(stream);
    peer.expect("LHLO fe1").await;
    peer.send("250-fake\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n")
        .await;
    // A test that is over wants none.
    let _ = connected.send(FakeLmtp(peer)).await;
}

impl FakeLmtp {
    /// Takes MAIL, these recipients and DATA, which must come at once.
    pub(super) async fn transaction(&mut self, mail: &str, recipients: &[&str]) {
        self.commands(mail, recipients).await;
        self.0.send("250 ok\r\n").await;
        for _ in recipients {
            self.0.send("250 ok\r\n").await;
        }
        self.0.send("354 go\r\n").await;
    }

    /// Reads them without an answer.
    pub(super) async fn commands(&mut self, mail: &str, recipients: &[&str]) {
        assert_eq!(self.0.line().await, mail);
        for recipient in recipients {
            assert_eq!(self.0.line().await, format!("RCPT TO:<{recipient}>"));
        }
        assert_eq!(self.0.line().await, "DATA");
    }

    /// The message up to its dot, as it came.
    pub(super) async fn message_bytes(&mut self) -> String {
        let mut terminator = murder_lmtp::Terminator::default();
        let mut message = Vec::new();
        loop {
            let chunk = self.0.chunk().await;
            message.extend_from_slice(&chunk);
            if terminator.find(&chunk).is_some() {
                // Frontends wait for the reply before they send more.
                assert!(message.ends_with(b".\r\n"));
                message.truncate(message.len() - 3);
                return String::from_utf8(message).unwrap();
            }
        }
    }
}
