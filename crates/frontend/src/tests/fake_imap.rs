//! A backend's end of an IMAP connection, said by the test.

use base64::Engine;
use murder_net::{Connection, Role};
use tokio::sync::mpsc;

use super::peer::Peer;

/// A connection on which a frontend has logged in.
pub(super) struct FakeImap {
    pub(super) peer: Peer,
    /// Whom the frontend acts for.
    pub(super) user: String,
    /// What its last ID told.
    pub(super) session: String,
    /// What its last X-NEXTID told.
    pub(super) next_id: String,
}

/// Greets, lets the frontend log in, and hands the connection over.
pub(super) async fn accept(connection: Connection, connected: mpsc::Sender<FakeImap>) {
    let node = connection.stream.peer().unwrap();
    assert!(node.has_role(Role::Frontend));
    let mut peer = Peer::new(connection.stream);
    peer.send("* OK [CAPABILITY IMAP4rev1 AUTH=EXTERNAL] fake\r\n")
        .await;
    let (tag, user) = loop {
        let Some(line) = peer.next_line().await else {
            return;
        };
        let (tag, command) = line.split_once(' ').unwrap();
        match command.strip_prefix("AUTHENTICATE EXTERNAL ") {
            Some(user) => break (tag.to_owned(), user.to_owned()),
            // A frontend's question whether the backend is alive.
            None => assert_eq!(command, "NOOP"),
        }
        peer.send(&format!("{tag} OK alive\r\n")).await;
    };
    let user = base64::engine::general_purpose::STANDARD
        .decode(user)
        .unwrap();
    peer.send(&format!("{tag} OK logged in\r\n")).await;
    let fake = FakeImap {
        peer,
        user: String::from_utf8(user).unwrap(),
        session: String::new(),
        next_id: String::new(),
    };
    // A test that is over wants none.
    let _ = connected.send(fake).await;
}

impl FakeImap {
    /// The next command that is no ID, with its literals; `None` at the end. The id of what it makes
    /// is kept.
    pub(super) async fn next(&mut self) -> Option<(String, String)> {
        loop {
            let line = self.peer.next_line().await?;
            let (tag, command) = line.split_once(' ').unwrap();
            if command.starts_with("ID (") {
                let mut words = command.split('"');
                assert_eq!(words.nth(1), Some("x-session-id"));
                self.session = words.nth(1).unwrap().to_owned();
                self.peer
                    .send(&format!("* ID NIL\r\n{tag} OK ID\r\n"))
                    .await;
                continue;
            }
            if let Some(id) = command.strip_prefix("X-NEXTID ") {
                self.next_id = id.to_owned();
                continue;
            }
            let mut text = command.to_owned();
            while let Some(octets) = announced(&text) {
                let literal = self.peer.octets(octets).await;
                text.push_str("\r\n");
                text.push_str(&String::from_utf8_lossy(&literal));
                text.push_str(&self.peer.line().await);
            }
            return Some((tag.to_owned(), text));
        }
    }

    /// The next command must be that; its tag.
    pub(super) async fn expect(&mut self, command: &str) -> String {
        let (tag, got) = self.next().await.expect("a command");
        assert_eq!(got, command);
        tag
    }

    /// The same, answered with what is tagged; `{tag}` stands for the tag.
    pub(super) async fn answer(&mut self, command: &str, answer: &str) {
        let tag = self.expect(command).await;
        self.send(&answer.replace("{tag}", &tag)).await;
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.peer.send(text).await;
    }
}

/// Frontends announce nothing that they wait with.
fn announced(text: &str) -> Option<usize> {
    let announced = murder_imap::framing::announced(text.as_bytes())?;
    assert!(!announced.sync, "no waiting for literals");
    Some(announced.len.unwrap() as usize)
}
