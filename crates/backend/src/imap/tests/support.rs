//! A backend that works alone, on loopback, and a client that plays scripts.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use murder_auth::{Account, Authenticator, AuthenticatorConfig, StaticDirectory, hash_password};
use murder_imap::{Response, ResponseReader, Untagged};
use murder_mailbox::{Identity, MailboxName};
use murder_net::{Ca, Health, Listener, Metrics, NodeTls, Role, Shutdown, Stream};
use murder_session::Sessions;
use murder_store::io::DiskIo;
use murder_store::{AppendMessage, Flags, InternalDate, MailboxHandle, Partition, PartitionConfig};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::config::BackendConfig;
use crate::counters::Counters;
use crate::imap::progress::INTERVAL as PROGRESS_INTERVAL;
use crate::imap::{Imap, serve};
use crate::mailboxes::Changes;
use crate::memory::Memory;
use crate::node::Node;
use crate::opening::Opener;
use crate::partitions::Partitions;
use crate::pop3::Pop3;

/// Everybody's.
pub const PASSWORD: &str = "secret";
/// Nothing in a test takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

static HASH: LazyLock<String> = LazyLock::new(|| hash_password(PASSWORD).unwrap());

/// A backend and what it stands on.
pub struct Server {
    pub node: Arc<Node>,
    pub address: SocketAddr,
    pub pop3: SocketAddr,
    pub imap_shared: Arc<Imap>,
    pub pop3_shared: Arc<Pop3>,
    pub ca: Option<Ca>,
    pub folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.node.shutdown.abort();
    }
}

impl Server {
    /// With bob, carol (in the group staff), dave (whose account is disabled) and admin.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// The same with other settings than: plaintext logins, no delay after a failed one.
    pub fn with(change: impl FnOnce(&mut BackendConfig)) -> Self {
        Self::build(
            false,
            &["default"],
            change,
            |store| store,
            PROGRESS_INTERVAL,
        )
    }

    /// The same with another setting of the store.
    pub fn with_store(store: impl Fn(PartitionConfig) -> PartitionConfig) -> Self {
        Self::build(false, &["default"], |_| {}, store, PROGRESS_INTERVAL)
    }

    /// The same with these partitions.
    pub fn with_partitions(names: &[&str]) -> Self {
        Self::build(false, names, |_| {}, |store| store, PROGRESS_INTERVAL)
    }

    /// The same with a certificate and an authority.
    pub fn with_tls(change: impl FnOnce(&mut BackendConfig)) -> Self {
        Self::build(true, &["default"], change, |store| store, PROGRESS_INTERVAL)
    }

    /// The same with a certificate and two partitions, and clients that are told of the progress
    /// of their commands whenever they can be.
    pub fn telling_progress() -> Self {
        let names = ["default", "other"];
        Self::build(true, &names, |_| {}, |store| store, Duration::ZERO)
    }

    fn build(
        tls: bool,
        partitions: &[&str],
        change: impl FnOnce(&mut BackendConfig),
        store: impl Fn(PartitionConfig) -> PartitionConfig,
        progress_interval: Duration,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = BackendConfig::default();
        config.node.name = "be1".into();
        config.imap.allow_plaintext_loopback = true;
        config.pop3.allow_plaintext_loopback = true;
        config.limits.failed_login_delay_ms = 0;
        change(&mut config);
        let partitions = partitions.iter().map(|name| {
            let partition = PartitionConfig {
                shards: 1,
                segment_bytes: 16 << 20,
                expunge_delay: Duration::ZERO,
                delete_delay: Duration::ZERO,
                ..PartitionConfig::new(*name, folder.path().join(name))
            };
            (
                (*name).to_owned(),
                Partition::open(store(partition)).unwrap(),
            )
        });
        let account = |name: &str| Account {
            name: name.into(),
            password_hash: HASH.clone(),
            ..Account::default()
        };
        let directory = StaticDirectory::new([
            account("bob"),
            Account {
                groups: vec!["staff".into()],
                ..account("carol")
            },
            Account {
                disabled: true,
                ..account("dave")
            },
            Account {
                admin: true,
                ..account("admin")
            },
        ]);
        let ca = tls.then(|| Ca::generate(&folder.path().join("ca")).unwrap());
        let own = ca
            .as_ref()
            .map(|ca| node_tls(ca, &folder, "be1", Role::Backend));
        let metrics = Metrics::new("backend");
        let imap = Arc::new(Imap {
            progress_interval,
            ..Imap::new(&metrics)
        });
        let pop3_shared = Arc::new(Pop3::new(&metrics));
        let shutdown = Shutdown::new();
        let node = Arc::new(Node {
            partitions: Arc::new(Partitions::opened(partitions, &shutdown.token())),
            opener: Opener::new(Arc::new(DiskIo), Memory::default(), None),
            look_now: Default::default(),
            cluster: None,
            authenticator: Arc::new(Authenticator::new(
                Arc::new(directory),
                AuthenticatorConfig {
                    failure_delay: config.limits.failed_login_delay(),
                    login: config.login.clone(),
                    ..AuthenticatorConfig::default()
                },
            )),
            sessions: Sessions::new(config.limits.max_connections_per_user),
            tls: own.map(|own| own.server()),
            health: Health::new(),
            counters: Counters::new(&metrics),
            changes: Changes::default(),
            metrics,
            shutdown,
            config,
        });
        let listen = || Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listen();
        let address = listener.local_addr();
        let (served, shared) = (Arc::clone(&node), Arc::clone(&imap));
        listener.spawn(&node.shutdown, move |connection| {
            serve(Arc::clone(&served), Arc::clone(&shared), connection)
        });
        let listener = listen();
        let pop3 = listener.local_addr();
        let (served, shared) = (Arc::clone(&node), Arc::clone(&pop3_shared));
        listener.spawn(&node.shutdown, move |connection| {
            crate::pop3::serve(Arc::clone(&served), Arc::clone(&shared), connection)
        });
        Self {
            node,
            address,
            pop3,
            imap_shared: imap,
            pop3_shared,
            ca,
            folder,
        }
    }

    /// A client, greeted.
    pub async fn connect(&self) -> Client {
        let mut client = self.connect_raw().await;
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK [CAPABILITY "), "{greeting}");
        client
    }

    /// A client that has not read the greeting.
    pub async fn connect_raw(&self) -> Client {
        Client::over(Stream::connect(self.address).await.unwrap())
    }

    /// A POP3 client, greeted.
    pub async fn connect_pop3(&self) -> Client {
        let mut client = Client::over(Stream::connect(self.pop3).await.unwrap());
        client.play("S: +OK be1 POP3 server ready").await;
        client
    }

    /// A POP3 client that has logged in.
    pub async fn login_pop3(&self, user: &str) -> Client {
        let mut client = self.connect_pop3().await;
        client
            .play(&format!(
                "C: USER {user}
                 S: +OK …
                 C: PASS {PASSWORD}
                 S: +OK …"
            ))
            .await;
        client
    }

    /// A TLS client by STLS, showing the certificate of node `name` with `role`.
    pub async fn connect_pop3_as_node(&self, name: &str, role: Role) -> Client {
        self.stls(self.connect_pop3().await, name, role).await
    }

    /// The same of a POP3 client that is there.
    pub async fn stls(&self, mut client: Client, name: &str, role: Role) -> Client {
        let ca = self.ca.as_ref().unwrap();
        let own = node_tls(ca, &self.folder, name, role);
        client
            .play(
                "C: STLS
                 S: +OK Begin TLS negotiation",
            )
            .await;
        client.start_tls(&own).await
    }

    /// A client that has logged in.
    pub async fn login(&self, user: &str) -> Client {
        let mut client = self.connect().await;
        client
            .play(&format!(
                "C: login LOGIN {user} {PASSWORD}
                 S: login OK [CAPABILITY …] Logged in"
            ))
            .await;
        client
    }

    /// A TLS client by STARTTLS, showing the certificate of node `name` with `role`.
    pub async fn connect_as_node(&self, name: &str, role: Role) -> Client {
        let ca = self.ca.as_ref().unwrap();
        let own = node_tls(ca, &self.folder, name, role);
        let mut client = self.connect().await;
        client
            .play(
                "C: tls STARTTLS
                 S: tls OK …",
            )
            .await;
        client.start_tls(&own).await
    }

    /// A frontend's connection, acting for `user`.
    pub async fn connect_for(&self, user: &str) -> Client {
        use base64::Engine;
        let user = base64::engine::general_purpose::STANDARD.encode(user);
        let mut client = self.connect_as_node("fe1", Role::Frontend).await;
        client
            .play(&format!(
                "C: login AUTHENTICATE EXTERNAL {user}
                 S: login OK [CAPABILITY …] Logged in"
            ))
            .await;
        client
    }

    /// Makes a mailbox as its owner, or as admin.
    pub async fn create(&self, name: &str) {
        let name = MailboxName::parse_canonical(name).unwrap();
        let identity = match name.owner_user() {
            Some(user) => Identity::user(user),
            None => Identity {
                admin: true,
                ..Identity::user("admin")
            },
        };
        self.node
            .create_mailbox(&identity, &name, None, None)
            .await
            .unwrap();
    }

    /// Gives rights to a mailbox.
    pub async fn allow(&self, name: &str, identifier: &str, rights: &str) {
        let name = MailboxName::parse_canonical(name).unwrap();
        let found = self.node.find(&name).unwrap();
        let mut acl = murder_mailbox::Acl::clone(&found.meta.acl);
        acl.set(identifier, rights.parse().unwrap()).unwrap();
        let partition = found.partition;
        partition.set_acl(&name, &acl.to_string()).await.unwrap();
    }

    /// Puts a message into a mailbox, past IMAP.
    pub async fn put(&self, name: &str, raw: impl Into<bytes::Bytes>) -> u32 {
        self.put_message(name, message(raw)).await
    }

    /// The same with flags and dates.
    pub async fn put_message(&self, name: &str, message: AppendMessage) -> u32 {
        let name = MailboxName::parse_canonical(name).unwrap();
        let found = self.node.find(&name).unwrap();
        let appended = found.partition.append(&name, vec![message]).await.unwrap();
        appended.uids[0]
    }

    /// The mailbox, as the store has it.
    pub async fn open(&self, name: &str) -> (Arc<Partition>, Arc<MailboxHandle>) {
        let name = MailboxName::parse_canonical(name).unwrap();
        let partition = self.node.find(&name).unwrap().partition;
        let handle = partition.open_mailbox(&name).await.unwrap();
        (partition, handle)
    }

    /// Messages in a mailbox.
    pub async fn messages(&self, name: &str) -> u32 {
        let name = MailboxName::parse_canonical(name).unwrap();
        let found = self.node.find(&name).unwrap();
        found.partition.status(&name, None).await.unwrap().messages
    }
}

/// A message without flags, of the year 2023.
pub fn message(raw: impl Into<bytes::Bytes>) -> AppendMessage {
    AppendMessage {
        body: raw.into().into(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate {
            seconds: 1_700_000_000,
            zone: 60,
        },
        save_date: 1_700_000_100,
        seen_by: None,
    }
}

/// Octets without sense; the same each time for the same seed (xorshift), which moves on.
pub fn noise(seed: &mut u64, count: usize) -> Vec<u8> {
    let octets = (0..count).map(|_| {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 32) as u8
    });
    octets.collect()
}

/// A short message with that subject.
pub fn short(subject: &str) -> String {
    format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nText of {subject}.\r\n")
}

fn node_tls(ca: &Ca, folder: &TempDir, name: &str, role: Role) -> NodeTls {
    let files = ca
        .issue_into(&folder.path().join(name), name, &[role], &[])
        .unwrap();
    NodeTls::load(&files).unwrap()
}

/// A client.
pub struct Client {
    stream: BufReader<Stream>,
}

impl Client {
    fn over(stream: Stream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub async fn start_tls(self, own: &NodeTls) -> Self {
        assert!(self.stream.buffer().is_empty());
        let stream = self.stream.into_inner();
        let name = murder_net::tls::server_name("be1", Role::Backend);
        Self::over(stream.connect_tls(&own.client(), name).await.unwrap())
    }

    /// Compresses, as the server does after COMPRESS.
    pub fn compress(self) -> Self {
        assert!(self.stream.buffer().is_empty());
        Self::over(self.stream.into_inner().compress())
    }

    /// Sends octets as they are.
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets).await.unwrap();
    }

    /// Sends octets to a server that may have gone.
    pub async fn try_send(&mut self, octets: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(octets.as_ref()).await?;
        self.stream.flush().await
    }

    /// One line without its line break; panics at the end of the connection.
    pub async fn line(&mut self) -> String {
        self.try_line().await.expect("a line, not the end")
    }

    /// So many octets.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        let read = self.stream.read_exact(&mut octets);
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("an answer in time").unwrap();
        octets
    }

    /// One line, or `None` at the end of the connection.
    pub async fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_until(b'\n', &mut line));
        if read.await.expect("an answer in time").unwrap_or(0) == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Plays a script of `C: ` lines, which are sent, and `S: ` lines, which must come. `…`
    /// stands for anything.
    pub async fn play(&mut self, script: &str) {
        for (number, line) in script.lines().enumerate() {
            let line = line.trim_start();
            if let Some(sent) = line.strip_prefix("C:") {
                let sent = sent.strip_prefix(' ').unwrap_or(sent);
                self.send(format!("{sent}\r\n")).await;
            } else if let Some(wanted) = line.strip_prefix("S: ") {
                let got = self.line().await;
                assert!(
                    matches(wanted, &got),
                    "line {number}: wanted {wanted:?}, got {got:?}\n{script}"
                );
            } else {
                assert!(line.is_empty(), "no line of a script: {line:?}");
            }
        }
    }

    /// Sends a command and reads to its completion: the untagged lines sorted, the completion
    /// last.
    pub async fn ask(&mut self, command: &str) -> Vec<String> {
        self.send(format!("ask {command}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(completion) = line.strip_prefix("ask ") {
                lines.sort_unstable();
                lines.push(completion.to_owned());
                return lines;
            }
            lines.push(line);
        }
    }

    /// Sends a command and reads to its completion: the untagged responses, and the completion
    /// without its tag.
    pub async fn get(&mut self, command: &str) -> (Vec<Untagged>, String) {
        self.send(format!("get {command}\r\n")).await;
        let mut reader = ResponseReader::new(64 << 20);
        let mut untagged = Vec::new();
        loop {
            let next = reader.next_response(&mut self.stream);
            let next = tokio::time::timeout(PATIENCE, next).await;
            match next.expect("an answer in time").unwrap() {
                Some(Response::Untagged(response)) => untagged.push(response),
                Some(Response::Tagged {
                    status, code, text, ..
                }) => {
                    let code = code.map_or(String::new(), |code| format!(" [{code}]"));
                    return (untagged, format!("{}{code} {text}", status.as_str()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Selects a mailbox.
    pub async fn select(&mut self, name: &str) {
        let (_, completion) = self.get(&format!("SELECT \"{name}\"")).await;
        assert!(completion.starts_with("OK "), "{completion}");
    }

    /// Nothing more comes, but what has been sent already.
    pub async fn ends(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.try_line().await {
            lines.push(line);
        }
        lines
    }

    /// Closes this end.
    pub async fn close(mut self) {
        self.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}

/// Whether `text` is `pattern`, where `…` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        match (part, parts.peek()) {
            (part, None) => return rest.ends_with(part),
            (part, Some(_)) => match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            },
        }
    }
    true
}
