//! LMTP over real connections.

use murder_net::Stream;
use murder_net::tls::server_name;
use murder_store::QuotaLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::mailboxes::AclChange;

/// A client that speaks in whole exchanges.
struct Client {
    stream: Stream,
    input: Vec<u8>,
}

impl Client {
    async fn connect(backend: &Backend) -> Self {
        let stream = Stream::connect(backend.addresses().lmtp[0]).await.unwrap();
        let mut client = Self {
            stream,
            input: Vec::new(),
        };
        let greeting = client.line().await;
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    async fn greeted(backend: &Backend) -> Self {
        let mut client = Self::connect(backend).await;
        client.lhlo().await;
        client
    }

    async fn lhlo(&mut self) -> Vec<String> {
        self.send(b"LHLO test\r\n").await;
        let mut lines = Vec::new();
        loop {
            lines.push(self.line().await);
            if lines.last().unwrap().starts_with("250 ") {
                return lines;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.input.windows(2).position(|end| end == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).unwrap();
            }
            let read = tokio::time::timeout(LONG, self.stream.read_buf(&mut self.input));
            assert_ne!(read.await.unwrap().unwrap(), 0, "closed");
        }
    }

    /// Sends a line; the reply's code with its enhanced one.
    async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.code().await
    }

    async fn code(&mut self) -> String {
        let line = self.line().await;
        let mut words = line.split(' ');
        let mut code = words.next().unwrap().to_owned();
        if let Some(enhanced) = words.next().filter(|word| word.contains('.')) {
            code.push(' ');
            code.push_str(enhanced);
        }
        code
    }

    async fn codes(&mut self, count: usize) -> Vec<String> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.code().await);
        }
        codes
    }

    /// A whole transaction: the reply to each recipient, whether at RCPT or after DATA.
    async fn deliver(&mut self, recipients: &[&str], data: &[u8]) -> Vec<String> {
        assert_eq!(
            self.say("MAIL FROM:<sender@example.org>").await,
            "250 2.1.0"
        );
        let mut told = Vec::new();
        for recipient in recipients {
            told.push(self.say(&format!("RCPT TO:<{recipient}>")).await);
        }
        if !told.iter().any(|code| code == "250 2.1.5") {
            assert_eq!(self.say("DATA").await, "503 5.5.1");
            assert_eq!(self.say("RSET").await, "250 2.0.0");
            return told;
        }
        assert_eq!(self.say("DATA").await, "354");
        self.send(&stuffed(data)).await;
        for code in told.iter_mut().filter(|code| *code == "250 2.1.5") {
            *code = self.code().await;
        }
        told
    }

    /// Goes on under TLS, with the certificate of a frontend.
    async fn into_frontends(self, murder: &Murder) -> Self {
        let tls = NodeTls::load(&murder.files("fe1", Role::Frontend)).unwrap();
        let stream = self
            .stream
            .connect_tls(&tls.client(), server_name("be1", Role::Backend))
            .await
            .unwrap();
        Self {
            stream,
            input: Vec::new(),
        }
    }

    async fn closed(&mut self) {
        let read = tokio::time::timeout(LONG, self.stream.read_to_end(&mut self.input));
        // A reset is an end too.
        let _ = read.await.unwrap();
    }
}

/// As SMTP sends it, with the end.
fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 16);
    for (at, byte) in data.iter().enumerate() {
        let starts = at == 0 || data[..at].ends_with(b"\r\n");
        if *byte == b'.' && starts {
            out.push(b'.');
        }
        out.push(*byte);
    }
    out.extend_from_slice(b".\r\n");
    out
}

async fn with_users(murder: &Murder, users: &[&str]) -> Backend {
    let backend = murder.backend("be1").await;
    for name in users {
        inbox(&backend, name).await;
    }
    backend
}

async fn inbox(backend: &Backend, user: &str) {
    let inbox = MailboxName::inbox_of(user).unwrap();
    let identity = Identity::user(user);
    let node = backend.node();
    node.create_mailbox(&identity, &inbox, None, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_reply_for_each_recipient_in_order() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "carol"]).await;
    let node = backend.node();
    // In another partition.
    let dave = name("user/dave");
    node.create_mailbox(&user("dave"), &dave, Some("fast"), None)
        .await
        .unwrap();
    let mut client = Client::greeted(&backend).await;
    let body = b"Subject: hello\r\n\r\n.dot\r\n..two\r\nbare\nlf and\rcr\r\n";
    let told = client
        .deliver(
            &[
                "bob",
                "nobody@example.org",
                "dave@example.org",
                "Carol",
                "bob@x",
            ],
            body,
        )
        .await;
    let ok = "250 2.1.5";
    assert_eq!(told, [ok, "550 5.1.1", ok, ok, ok]);
    for text in ["user/bob", "user/carol", "user/dave"] {
        // Byte for byte, and once.
        assert_eq!(bodies(node, text).await, [&body[..]], "{text}");
    }
    let metrics = node.metrics.render();
    assert!(metrics.contains("murder_backend_lmtp_messages_total 1\n"));
    assert!(metrics.contains("murder_backend_lmtp_recipients_total 4\n"));
    assert_eq!(client.say("QUIT").await, "221 2.0.0");
    client.closed().await;
}

#[tokio::test]
async fn all_commands_in_one_go() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::connect(&backend).await;
    let transaction = "MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<bob>\r\nRCPT TO:<none>\r\nDATA\r\n\
                       Subject: x\r\n\r\n\u{e9}\r\n.\r\n";
    let all = format!("LHLO x\r\n{transaction}NOOP\r\n{transaction}QUIT\r\n");
    // In pieces of each size up to a few, and whole.
    client.send(all.as_bytes()).await;
    let capabilities = client.codes(7).await;
    assert!(capabilities.iter().all(|line| line.starts_with("250")));
    let expected = ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354", "250 2.1.5"];
    assert_eq!(client.codes(5).await, expected);
    assert_eq!(client.code().await, "250 2.0.0");
    assert_eq!(client.codes(5).await, expected);
    assert_eq!(client.code().await, "221 2.0.0");
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 2);

    for size in [1, 2, 3, 5, 7] {
        let mut client = Client::greeted(&backend).await;
        for piece in transaction.as_bytes().chunks(size) {
            client.send(piece).await;
        }
        assert_eq!(client.codes(5).await, expected, "by {size}");
    }
    let all = bodies(backend.node(), "user/bob").await;
    assert_eq!(all.len(), 7);
    assert!(
        all.iter()
            .all(|body| *body == "Subject: x\r\n\r\n\u{e9}\r\n")
    );
}

#[tokio::test]
async fn large_messages_and_too_large_ones() {
    let murder = Murder::start().await;
    let mut config = murder.config("be1");
    config.lmtp.message_limit = 2_000_000;
    let backend = Backend::start(config).await.unwrap();
    ready(&backend).await;
    inbox(&backend, "bob").await;
    let dave = name("user/dave");
    backend
        .node()
        .create_mailbox(&user("dave"), &dave, Some("fast"), None)
        .await
        .unwrap();
    let mut client = Client::greeted(&backend).await;
    let mut body = b"Subject: big\r\n\r\n".to_vec();
    while body.len() < 1_000_000 {
        body.extend_from_slice(b".line\r\nof a message\n..\r\n");
    }
    let ok = "250 2.1.5";
    assert_eq!(client.deliver(&["bob", "dave"], &body).await, [ok, ok]);
    for text in ["user/bob", "user/dave"] {
        let all = bodies(backend.node(), text).await;
        assert!(all == [&body[..]], "{text}");
    }
    // Exactly at the limit, and one past it.
    body.resize(2_000_000 - 2, b'x');
    body.extend_from_slice(b"\r\n");
    assert_eq!(client.deliver(&["bob"], &body).await, [ok]);
    body.insert(0, b'x');
    assert_eq!(
        client.deliver(&["bob", "dave"], &body).await,
        ["552 5.3.4"; 2]
    );
    assert_eq!(
        client.say("MAIL FROM:<a@b> SIZE=2000001").await,
        "552 5.3.4"
    );
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 2);
    // One that never ends does not go on for ever.
    assert_eq!(client.say("MAIL FROM:<a@b>").await, "250 2.1.0");
    assert_eq!(client.say("RCPT TO:<bob>").await, ok);
    assert_eq!(client.say("DATA").await, "354");
    for _ in 0..8_000_000 / body.len() {
        if client.stream.write_all(&body).await.is_err() {
            break;
        }
    }
    client.closed().await;
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 2);
}

#[tokio::test]
async fn who_is_over_quota_is_refused_early_and_alone() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "carol", "dave"]).await;
    for (user, storage, message) in [("bob", Some(300), None), ("dave", None, Some(0))] {
        let root = MailboxName::inbox_of(user).unwrap();
        let limits = QuotaLimits {
            storage,
            message,
            mailbox: None,
        };
        let partition = backend.node().find(&root).unwrap().partition;
        partition.set_quota(&root, limits).await.unwrap();
    }
    let mut client = Client::greeted(&backend).await;
    let (ok, full) = ("250 2.1.5", "452 4.2.2");
    let mut big = b"Subject: big\r\n\r\n".to_vec();
    big.resize(310_000 - 2, b'x');
    big.extend_from_slice(b"\r\n");
    let mail = |size: usize| format!("MAIL FROM:<a@b> SIZE={size}");
    assert_eq!(client.say(&mail(big.len())).await, "250 2.1.0");
    for (recipient, code) in [("bob", full), ("carol", ok), ("dave", full)] {
        assert_eq!(client.say(&format!("RCPT TO:<{recipient}>")).await, code);
    }
    assert_eq!(client.say("DATA").await, "354");
    client.send(&stuffed(&big)).await;
    assert_eq!(client.code().await, ok);
    // One that fits.
    assert_eq!(client.say(&mail(300_000)).await, "250 2.1.0");
    assert_eq!(client.say("RCPT TO:<bob>").await, ok);
    assert_eq!(client.say("DATA").await, "354");
    client.send(b"x\r\n.\r\n").await;
    assert_eq!(client.code().await, ok);
    // Small ones, larger ones than was said, and those without a size: after the message.
    for (size, body) in [(Some(3), &b"x\r\n"[..]), (Some(3), &big), (None, &big)] {
        let mail = size.map_or("MAIL FROM:<a@b>".to_owned(), mail);
        assert_eq!(client.say(&mail).await, "250 2.1.0");
        for recipient in ["bob", "carol", "dave"] {
            assert_eq!(client.say(&format!("RCPT TO:<{recipient}>")).await, ok);
        }
        assert_eq!(client.say("DATA").await, "354");
        client.send(&stuffed(body)).await;
        let bob = if body.len() < 1000 { ok } else { full };
        assert_eq!(client.codes(3).await, [bob, ok, full]);
    }
    let counts = ["user/bob", "user/carol", "user/dave"].map(|text| bodies(backend.node(), text));
    let mut found = Vec::new();
    for count in counts {
        found.push(count.await.len());
    }
    assert_eq!(found, [2, 4, 0]);
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_delivers_nothing() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::greeted(&backend).await;
    client
        .send(b"MAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\nSubject: half\r\n\r\n")
        .await;
    assert_eq!(client.codes(3).await.last().unwrap(), "354");
    drop(client);
    let mut client = Client::greeted(&backend).await;
    assert_eq!(client.deliver(&["bob"], b"x\r\n").await, ["250 2.1.5"]);
    assert_eq!(bodies(backend.node(), "user/bob").await, [&b"x\r\n"[..]]);
}

#[tokio::test]
async fn addresses_with_folders() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "alice"]).await;
    let node = backend.node();
    let bob = user("bob");
    for text in ["user/bob/Lists", "user/bob/Lists/rust", "user/bob/private"] {
        node.create_mailbox(&bob, &name(text), None, None)
            .await
            .unwrap();
    }
    let post = "p".parse().unwrap();
    for (owner, text, identifier, change) in [
        ("bob", "user/bob/Lists", "bob", AclChange::Remove(post)),
        ("bob", "user/bob/Lists", "anyone", AclChange::Add(post)),
        ("bob", "user/bob/private", "-anyone", AclChange::Add(post)),
        ("alice", "user/alice", "anyone", AclChange::Add(post)),
    ] {
        node.change_acl(&user(owner), &name(text), identifier, change)
            .await
            .unwrap();
    }
    let mut client = Client::greeted(&backend).await;
    let recipients = [
        "bob+Lists/rust@example.org",
        "bob+Lists",
        // Without the right, without the folder, out of the home.
        "bob+private",
        "bob+none",
        "bob+Other Users/alice",
        "bob+",
    ];
    for recipient in recipients {
        let quoted = format!("\"{recipient}\"");
        let recipient = if recipient.contains(' ') {
            &quoted
        } else {
            recipient
        };
        assert_eq!(client.deliver(&[recipient], b"x\r\n").await, ["250 2.1.5"]);
    }
    assert_eq!(bodies(node, "user/bob/Lists/rust").await.len(), 1);
    assert_eq!(bodies(node, "user/bob/Lists").await.len(), 1);
    assert_eq!(bodies(node, "user/bob").await.len(), 4);
    assert!(bodies(node, "user/bob/private").await.is_empty());
    assert!(bodies(node, "user/alice").await.is_empty());
}

#[tokio::test]
async fn hosted_domains_come_first() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "bob@example.org"]).await;
    let mut client = Client::greeted(&backend).await;
    for recipient in ["bob@Example.ORG", "bob@other.org", "bob"] {
        assert_eq!(client.deliver(&[recipient], b"x\r\n").await, ["250 2.1.5"]);
    }
    let node = backend.node();
    assert_eq!(bodies(node, "example.org!user/bob").await.len(), 1);
    assert_eq!(bodies(node, "user/bob").await.len(), 2);
}

#[tokio::test]
async fn commands_out_of_order_and_nonsense() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::connect(&backend).await;
    let long = "x".repeat(10_000);
    for (line, code) in [
        ("MAIL FROM:<a@b>", "503 5.5.1"),
        ("EHLO x", "500 5.5.1"),
        ("BREW tea", "500 5.5.1"),
        ("MAIL bob", "501 5.5.2"),
        ("RCPT TO:<bob>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        (long.as_str(), "500 5.5.6"),
        ("VRFY bob", "252 2.5.2"),
        ("NOOP", "250 2.0.0"),
        ("\u{0}\u{1}", "501 5.5.2"),
    ] {
        assert_eq!(client.say(line).await, code, "{line:.20}");
    }
    client.lhlo().await;
    for (line, code) in [
        ("MAIL FROM:<a@b> SMTPUTF8", "555 5.5.4"),
        ("MAIL FROM:<a@b>", "250 2.1.0"),
        ("MAIL FROM:<a@b>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<bob>", "250 2.1.5"),
        ("RSET", "250 2.0.0"),
        ("DATA", "503 5.5.1"),
        ("NOOP", "250 2.0.0"),
    ] {
        assert_eq!(client.say(line).await, code, "{line:.20}");
    }
    // A wire full of nonsense ends.
    let mut refused = 0;
    loop {
        client.send(b"BREW\r\n").await;
        refused += 1;
        if client.code().await == "421 4.7.0" {
            break;
        }
    }
    assert!(refused <= 100, "{refused}");
    client.closed().await;
    // Garbage of any length costs no memory and no other session.
    let mut client = Client::connect(&backend).await;
    for _ in 0..100 {
        client.send(&[b'x'; 64 << 10]).await;
    }
    client.send(b"\r\n").await;
    assert_eq!(client.code().await, "500 5.5.6");
}

#[tokio::test]
async fn arguments_that_are_too_much() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::greeted(&backend).await;
    let long = "x".repeat(3_000);
    let (nines, parameters) = ("9".repeat(1_000), "A=b ".repeat(700));
    for line in [
        format!("MAIL FROM:<{long}@example.org>"),
        format!("MAIL FROM:<{}@example.org>", "\"(".repeat(1_000)),
        format!("MAIL FROM:<a@b> SIZE={nines}"),
        format!("MAIL FROM:<a@b> {parameters}"),
        format!("MAIL FROM:{}", "<".repeat(3_000)),
        format!("BDAT {nines}"),
        "BDAT 1 LAST".into(),
        format!("VRFY {long}"),
        format!("LHLO {long}"),
        "RSET".into(),
        "MAIL FROM:<a@b>".into(),
        format!("RCPT TO:<{long}>"),
        format!("RCPT TO:<bob+{long}>"),
        format!("RCPT TO:<{}bob>", "@x,".repeat(1_000)),
        format!("RCPT TO:<bob> {parameters}"),
        "RSET".into(),
    ] {
        client.send(format!("{line}\r\n").as_bytes()).await;
        // An answer to LHLO has several lines.
        while client.line().await.as_bytes()[3] == b'-' {}
        assert_eq!(client.say("NOOP").await, "250 2.0.0", "{line:.40}");
    }
    client
        .send("NOOP\r\nRSET\r\n".repeat(2_000).as_bytes())
        .await;
    assert_eq!(client.codes(4_000).await, vec!["250 2.0.0"; 4_000]);
    let replies = client
        .deliver(&["bob"], b"Subject: after all\r\n\r\n")
        .await;
    assert_eq!(replies, ["250 2.1.5"]);
}

#[tokio::test]
async fn as_many_recipients_as_there_may_be() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::greeted(&backend).await;
    let mut all = b"MAIL FROM:<a@b>\r\n".to_vec();
    for _ in 0..1001 {
        all.extend_from_slice(b"RCPT TO:<bob>\r\n");
    }
    client.send(&all).await;
    let codes = client.codes(1002).await;
    assert_eq!(codes[1000], "250 2.1.5");
    assert_eq!(codes[1001], "452 4.5.3");
    assert_eq!(client.say("DATA").await, "354");
    client.send(b"x\r\n.\r\n").await;
    assert_eq!(client.codes(1000).await, vec!["250 2.1.5"; 1000]);
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 1);
}

#[tokio::test]
async fn frontends_come_over_tls() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut client = Client::connect(&backend).await;
    assert!(client.lhlo().await.contains(&"250-STARTTLS".to_owned()));
    // What stands behind it in plain text is not obeyed.
    client.send(b"STARTTLS\r\nNOOP\r\n").await;
    assert_eq!(client.code().await, "220 2.0.0");
    let mut client = client.into_frontends(&murder).await;
    assert_eq!(client.say("MAIL FROM:<a@b>").await, "503 5.5.1");
    assert!(!client.lhlo().await.contains(&"250-STARTTLS".to_owned()));
    assert_eq!(client.say("STARTTLS").await, "503 5.5.1");
    // A frontend's map may be behind: nobody's mail bounces for that.
    let told = client.deliver(&["bob", "moved"], b"x\r\n").await;
    assert_eq!(told, ["250 2.1.5", "451 4.3.0"]);
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 1);
}

#[tokio::test]
async fn only_frontends_say_whose_session_it_is() {
    let murder = Murder::start().await;
    let log = murder.dir.path().join("log");
    let writer = std::sync::Mutex::new(std::fs::File::create(&log).unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(writer).finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let backend = with_users(&murder, &["bob"]).await;
    let mut stranger = Client::connect(&backend).await;
    assert!(
        stranger
            .lhlo()
            .await
            .contains(&"250-XFORWARD IDENT".to_owned())
    );
    let mut frontend = Client::greeted(&backend).await;
    assert_eq!(frontend.say("STARTTLS").await, "220 2.0.0");
    let mut frontend = frontend.into_frontends(&murder).await;
    assert!(
        frontend
            .lhlo()
            .await
            .contains(&"250-XFORWARD IDENT HELO ADDR PROTO SESSION".to_owned())
    );
    for (client, session) in [(&mut stranger, "forged-1"), (&mut frontend, "k3f9qz-1a")] {
        let said = client
            .say(&format!("XFORWARD IDENT=4XyZ SESSION={session}"))
            .await;
        assert_eq!(said, "250 2.0.0");
        assert_eq!(
            client.deliver(&["bob"], b"Subject: x\r\n\r\n").await,
            ["250 2.1.5"]
        );
    }
    let text = std::fs::read_to_string(&log).unwrap();
    let events = text
        .lines()
        .filter(|l| l.contains("event=\"mail.deliver\""));
    let events: Vec<&str> = events.collect();
    assert_eq!(events.len(), 2, "{text}");
    assert!(
        events
            .iter()
            .all(|e| e.contains("queue=\"4XyZ\"") && e.contains("recipient=\"bob\""))
    );
    assert!(
        !events[0].contains("forged") && events[0].contains("client=127."),
        "{text}"
    );
    assert!(
        events[1].contains("session=\"k3f9qz-1a\"") && !events[1].contains("client="),
        "{text}"
    );
}

#[tokio::test]
async fn a_known_user_without_an_inbox_is_not_unknown() {
    let murder = Murder::start().await;
    let backend = murder.backend("be1").await;
    murder.add_user(backend.node(), account("eve")).await;
    let mut client = Client::greeted(&backend).await;
    let told = client.deliver(&["eve@example.org", "none"], b"x\r\n").await;
    assert_eq!(told, ["451 4.3.0", "550 5.1.1"]);
}

#[tokio::test]
async fn alone_an_inbox_is_made_and_messages_say_where_they_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let hash = murder_auth::hash_password("secret").unwrap();
    let users = dir.path().join("users");
    std::fs::write(&users, format!("bob:{hash}\n")).unwrap();
    let mut config = BackendConfig::default();
    config.node.name = "alone".into();
    config.node.data_dir = dir.path().into();
    config.users.file = Some(users);
    config.lmtp.listen = vec![free_port()];
    config.lmtp.message_limit = 1000;
    let path = dir.path().join("mail");
    let section = PartitionSection::new(path);
    config.partitions.insert("default".into(), section);
    let backend = Backend::start(config.clone()).await.unwrap();
    let mut client = Client::connect(&backend).await;
    assert!(!client.lhlo().await.contains(&"250-STARTTLS".to_owned()));
    assert_eq!(client.say("STARTTLS").await, "502 5.5.1");
    let mail = b"Return-Path: <list@example.org>\r\nSubject: x\r\n\r\nReturn-Path: y\r\n";
    // The second is the first again.
    for _ in 0..2 {
        client
            .say("XFORWARD IDENT=4XyZ ADDR=192.0.2.1 HELO=evil")
            .await;
        let told = client.deliver(&["none", "bob@example.org"], mail).await;
        assert_eq!(told, ["550 5.1.1", "250 2.1.5"]);
    }
    let texts = async |backend: &Backend| -> Vec<String> {
        let bodies = bodies(backend.node(), "user/bob").await;
        let text = |body: Bytes| String::from_utf8(body.to_vec()).unwrap();
        bodies.into_iter().map(text).collect()
    };
    let told = texts(&backend).await;
    let [body] = &told[..] else {
        panic!("{told:?}");
    };
    let expected = "Return-Path: <sender@example.org>\r\n\
                    Received: from test ([127.0.0.1])\r\n\tby alone with LMTP id ";
    assert!(body.starts_with(expected), "{body}");
    let (_, rest) = body
        .split_once("\r\n\tfor <bob@example.org>;\r\n\t")
        .unwrap();
    let (date, rest) = rest.split_once("\r\n").unwrap();
    assert!(date.ends_with(" +0000"), "{date}");
    assert_eq!(rest, "Subject: x\r\n\r\nReturn-Path: y\r\n");
    // The limit is the message's own.
    let mut full = vec![b'x'; 998];
    full.extend_from_slice(b"\r\n");
    assert_eq!(client.deliver(&["bob"], &full).await, ["250 2.1.5"]);
    // A large one goes to disk as it comes; it is known again all the same.
    drop(client);
    backend.kill().await;
    config.lmtp.message_limit = 1 << 20;
    let backend = Backend::start(config).await.unwrap();
    let mut client = Client::greeted(&backend).await;
    let mut large = b"Received: by x with ESMTP id 7; now\r\nRETURN-PATH:\r\n <y>\r\n\r\n".to_vec();
    large.resize(800_000, b'x');
    large.extend_from_slice(b"\r\n");
    for _ in 0..2 {
        assert_eq!(
            client.deliver(&["bob", "bob+x"], &large).await,
            ["250 2.1.5"; 2]
        );
    }
    let told = texts(&backend).await;
    assert_eq!(told.len(), 3);
    let (ours, theirs) = told[2].split_once(" +0000\r\n").unwrap();
    // Nobody hears of the others.
    assert!(
        ours.starts_with("Return-Path: ") && !ours.contains("for <"),
        "{ours}"
    );
    assert!(theirs.starts_with("Received: by x with ESMTP id 7; now\r\n\r\nxxx"));
}

#[tokio::test]
async fn a_store_that_refuses_is_not_the_end() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let dave = name("user/dave");
    backend
        .node()
        .create_mailbox(&user("dave"), &dave, Some("fast"), None)
        .await
        .unwrap();
    backend
        .node()
        .partitions
        .of("fast")
        .shutdown()
        .await
        .unwrap();
    let mut client = Client::greeted(&backend).await;
    let big = vec![b'x'; 1 << 20];
    for body in [&b"x"[..], &big] {
        let body = [body, b"\r\n"].concat();
        let told = client.deliver(&["dave", "bob"], &body).await;
        assert_eq!(told, ["451 4.3.0", "250 2.1.5"]);
    }
}

#[tokio::test]
async fn a_drain_ends_idle_connections_and_finishes_messages() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob"]).await;
    let mut idle = Client::greeted(&backend).await;
    let mut busy = Client::greeted(&backend).await;
    busy.send(b"MAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        .await;
    assert_eq!(busy.codes(3).await.last().unwrap(), "354");
    busy.send(b"Subject: in time\r\n").await;
    let stopping = tokio::spawn(backend.shutdown(LONG));
    assert_eq!(idle.code().await, "421 4.3.2");
    idle.closed().await;
    busy.send(b"\r\n.\r\n").await;
    assert_eq!(busy.code().await, "250 2.1.5");
    assert_eq!(busy.code().await, "421 4.3.2");
    stopping.await.unwrap();
    let backend = murder.backend("be1").await;
    let all = bodies(backend.node(), "user/bob").await;
    assert_eq!(all, ["Subject: in time\r\n\r\n"]);
}

/// What would be in no literal, and in no other backend.
#[tokio::test]
async fn nuls_are_refused() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "carol"]).await;
    let mut client = Client::greeted(&backend).await;
    let large = [&[b'x'; 400_000][..], b"\0\r\n"].concat();
    for body in [&b"Subject: a\0b\r\n\r\n"[..], b"\0\r\n", &large] {
        let told = client.deliver(&["bob", "none", "carol"], body).await;
        assert_eq!(told, ["554 5.6.0", "550 5.1.1", "554 5.6.0"]);
    }
    assert_eq!(client.deliver(&["bob"], b"x\r\n").await, ["250 2.1.5"]);
    assert_eq!(bodies(backend.node(), "user/bob").await.len(), 1);
}

#[tokio::test]
async fn what_is_delivered_again_is_there_once() {
    let murder = Murder::start().await;
    let backend = with_users(&murder, &["bob", "carol"]).await;
    let node = backend.node();
    let ok = "250 2.1.5";
    let traced = |queue_id: &str, padding: usize| {
        let received = format!("Received: from a by b with SMTP id {queue_id}\r\n\tfor <c>; x\r\n");
        format!(
            "{received}Message-ID: <1@b>\r\n\r\n{}\r\n",
            "x".repeat(padding)
        )
        .into_bytes()
    };
    let count = async |user: &str| bodies(node, &format!("user/{user}")).await.len();
    let large = 600_000;
    for (padding, had) in [(10, 0), (large, 3)] {
        // Again on another connection, to another as well, and from another queue.
        for (queue_id, to, bob, carol) in [
            ("A", &["bob"][..], 1, 0),
            ("A", &["bob", "carol"], 1, 1),
            ("A", &["Carol@example.org", "bob@example.org"], 1, 1),
            ("B", &["bob", "carol"], 2, 2),
            ("B", &["bob+none"], 3, 2),
        ] {
            let mut client = Client::greeted(&backend).await;
            let told = client.deliver(to, &traced(queue_id, padding)).await;
            assert!(told.iter().all(|told| told == ok), "{told:?}");
            let carols = had - had / 3 + carol;
            assert_eq!(
                (count("bob").await, count("carol").await),
                (had + bob, carols)
            );
        }
    }
    // What nobody has given an id is meant as often as it is sent, unless the client says.
    let mut client = Client::greeted(&backend).await;
    let before = count("bob").await;
    for more in 1..=2 {
        assert_eq!(client.deliver(&["bob"], b"Subject: x\r\n\r\n").await, [ok]);
        assert_eq!(count("bob").await, before + more);
    }
    for (ident, more) in [("1", 3), ("1", 3), ("2", 4), ("2", 4)] {
        assert_eq!(
            client.say(&format!("XFORWARD IDENT={ident}")).await,
            "250 2.0.0"
        );
        assert_eq!(client.deliver(&["bob"], b"Subject: x\r\n\r\n").await, [ok]);
        assert_eq!(count("bob").await, before + more, "{ident}");
    }
    // It was said of one message.
    assert_eq!(client.deliver(&["bob"], b"Subject: x\r\n\r\n").await, [ok]);
    assert_eq!(count("bob").await, before + 5);
    assert_eq!(client.say("MAIL FROM:<>").await, "250 2.1.0");
    assert_eq!(client.say("XFORWARD IDENT=1").await, "503 5.5.1");
}
