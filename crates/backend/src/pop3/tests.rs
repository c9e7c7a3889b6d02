//! POP3 over real connections. `C: ` and `S: ` as in the RFCs.

#![allow(clippy::unwrap_used)]

mod hostile;
mod login;
mod maildrop;
mod messages;

use bytes::Bytes;

use crate::imap::tests::support::{Client, Server};

/// A server where bob has these messages.
async fn with_messages(messages: &[&[u8]]) -> Server {
    let server = Server::start();
    put_all(&server, messages).await;
    server
}

async fn put_all(server: &Server, messages: &[&[u8]]) {
    if server.node.find(&inbox()).is_none() {
        server.create("user/bob").await;
    }
    for message in messages {
        server
            .put("user/bob", Bytes::copy_from_slice(message))
            .await;
    }
}

fn inbox() -> murder_mailbox::MailboxName {
    murder_mailbox::MailboxName::inbox_of("bob").unwrap()
}

/// A message of that many octets.
fn sized(octets: usize) -> Vec<u8> {
    let mut message = b"Subject: sized\r\n\r\n".to_vec();
    while message.len() < octets - 2 {
        let line = (octets - 2 - message.len()).min(70);
        message.extend(std::iter::repeat_n(b'x', line));
        if message.len() < octets - 2 {
            let at = message.len();
            message[at - 1] = b'\n';
            message[at - 2] = b'\r';
        }
    }
    message.extend_from_slice(b"\r\n");
    assert_eq!(message.len(), octets);
    message
}

/// Sends a command with a multi-line response: the first line, and the lines behind it with
/// their dots taken back.
async fn multiline(client: &mut Client, command: &str) -> (String, Vec<String>) {
    client.send(format!("{command}\r\n")).await;
    let first = client.line().await;
    assert!(first.starts_with("+OK"), "{command}: {first}");
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        if line == "." {
            return (first, lines);
        }
        lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
    }
}
