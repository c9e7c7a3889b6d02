//! A backend without a master is a plain IMAP server.

use std::net::SocketAddr;
use std::path::Path;

use murder_backend::{Backend, BackendConfig};
use murder_net::{Ca, Role};
use murder_node::Node;
use murder_testkit::{ImapClient, LmtpClient, Trust, cheap_hash};

use crate::{Tested, message};

async fn start(dir: &Path, imap: &str) -> anyhow::Result<(Node<Backend>, SocketAddr, SocketAddr)> {
    let text = format!(
        "[node]\nname = \"mail\"\ndata_dir = \"data\"\n\
         [users]\nfile = \"users\"\n\
         [tls]\ncert = \"mail.pem\"\nkey = \"mail.key\"\n\
         [imap]\nlisten = [\"127.0.0.1:0\"]\n{imap}\n\
         [lmtp]\nlisten = [\"127.0.0.1:0\"]\n\
         [partitions.default]\npath = \"data/default\"\n"
    );
    if !dir.join("users").exists() {
        let hash = cheap_hash("secret")?;
        let users = format!("alice:{hash}::\nbob:{hash}:staff:\nroot:{hash}::admin\n");
        std::fs::write(dir.join("users"), users)?;
        Ca::generate(&dir.join("ca"))?.issue_into(dir, "mail", &[Role::Backend], &[])?;
    }
    let config: BackendConfig =
        murder_net::config::parse(&text, &dir.join("mail.toml"), dir.to_owned())?;
    let backend = Node::start(config).await?;
    let addresses = backend.addresses();
    let (imap, lmtp) = (addresses.imap[0], addresses.lmtp[0]);
    Ok((backend, imap, lmtp))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_alone() -> Tested {
    let dir = tempfile::tempdir()?;
    let (backend, imap, lmtp) = start(dir.path(), "allow_plaintext_loopback = true").await?;
    let mut alice = ImapClient::connect(imap).await?;
    alice.login("alice", "secret").await?;
    // The INBOX is there at once.
    assert_eq!(alice.list("*").await?, ["INBOX"]);
    alice.ok("CREATE Work").await?;
    alice.ok("SUBSCRIBE Work").await?;
    alice.ok("SETACL Work group:staff lr").await?;
    alice.append("Work", "\\Flagged", &message("one")).await?;
    alice.ok("RENAME Work Play").await?;
    alice.no("CREATE Play", "ALREADYEXISTS").await?;

    let mut bob = ImapClient::connect(imap).await?;
    bob.login("bob", "secret").await?;
    let shared = "Other Users/alice/Play";
    assert_eq!(bob.list("*").await?, ["INBOX", shared]);
    bob.select(shared).await?;
    assert_eq!(bob.fetch_body(1).await?, message("one"));
    bob.ok("COPY 1 INBOX").await?;

    let mut client = LmtpClient::connect(lmtp).await?;
    let replies = client
        .deliver(&["alice", "bob@example.org", "carol"], &message("mail"))
        .await?;
    let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 250, 550]);

    backend.shutdown(std::time::Duration::from_secs(5)).await;
    let (_backend, imap, _) = start(dir.path(), "allow_plaintext_loopback = true").await?;
    let mut bob = ImapClient::connect(imap).await?;
    bob.login("bob", "secret").await?;
    assert_eq!(bob.select("INBOX").await?.exists, 2);
    let mut alice = ImapClient::connect(imap).await?;
    alice.login("alice", "secret").await?;
    assert_eq!(alice.list("*").await?, ["INBOX", "Play"]);
    assert_eq!(alice.select("Play").await?.exists, 1);
    alice.ok("DELETE Play").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_not_taken_in_the_open() -> Tested {
    let dir = tempfile::tempdir()?;
    let (_backend, imap, _) = start(dir.path(), "").await?;
    let trust = Trust::load(&dir.path().join("ca/ca.pem"))?;
    let mut client = ImapClient::connect(imap).await?;
    let capability = client.ok("CAPABILITY").await?.untagged[0].text();
    assert!(capability.contains(" LOGINDISABLED") && !capability.contains("AUTH=PLAIN"));
    client.no("LOGIN alice secret", "PRIVACYREQUIRED").await?;
    client
        .no("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", "")
        .await?;
    client.starttls(&trust).await?;
    let capability = client.ok("CAPABILITY").await?.untagged[0].text();
    assert!(!capability.contains("LOGINDISABLED") && capability.contains("AUTH=PLAIN"));
    client.login("alice", "secret").await?;
    client.select("INBOX").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_with_their_line_of_the_users_file() -> Tested {
    let dir = tempfile::tempdir()?;
    let (_backend, imap, _) = start(dir.path(), "allow_plaintext_loopback = true").await?;
    let mut clients = Vec::new();
    for user in ["alice", "bob"] {
        let mut client = ImapClient::connect(imap).await?;
        client.login(user, "secret").await?;
        client.select("INBOX").await?;
        client.idle().await?;
        clients.push(client);
    }
    let users = std::fs::read_to_string(dir.path().join("users"))?;
    let without: Vec<&str> = users.lines().filter(|l| !l.starts_with("alice")).collect();
    std::fs::write(dir.path().join("users"), without.join("\n"))?;
    let replies = clients[0].read_to_end().await?;
    let last = replies.last().map(murder_testkit::Reply::text);
    assert!(last.is_some_and(|last| last.contains("BYE The account was deleted")));
    // The other has heard nothing.
    clients[1].send_raw(b"DONE\r\n").await?;
    assert_eq!(clients[1].reply().await?.word(1), "OK");
    Ok(())
}
