//! The backend's configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use murder_auth::LoginConfig;
use murder_location::record::valid_partition;
use murder_mailbox::NamespaceConfig;
use murder_net::config::{
    AdminConfig, ClusterConfig, HttpConfig, LimitsConfig, LogConfig, Mistakes, MupdateConfig,
    NodeConfig, TlsConfig, path,
};
use murder_store::PartitionConfig;
use serde::{Deserialize, Serialize};

/// A backend's configuration: one field a section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendConfig {
    /// `[node]`: who this node is.
    pub node: NodeConfig,
    /// `[cluster]`: the node's certificate. Without it the backend works alone.
    pub cluster: Option<ClusterConfig>,
    /// `[mupdate]`: where the master is. Without masters the backend works alone.
    pub mupdate: MupdateConfig,
    /// `[users]`: accounts of a backend that works alone.
    pub users: UsersConfig,
    /// `[imap]`: the IMAP server.
    pub imap: ImapConfig,
    /// `[pop3]`: the POP3 server.
    pub pop3: Pop3Config,
    /// `[lmtp]`: the LMTP server.
    pub lmtp: LmtpConfig,
    /// `[namespace]`: how mailbox names look to clients that come directly.
    pub namespace: NamespaceConfig,
    /// `[search]`: the full-text index.
    pub search: SearchConfig,
    /// `[admin]`: operators' calls.
    pub admin: AdminConfig,
    /// `[tls]`: the certificate that mail clients see.
    pub tls: Option<TlsConfig>,
    /// `[partitions.NAME]`: where the mail is.
    pub partitions: BTreeMap<String, PartitionSection>,
    /// `[login]`: what becomes of those who guess passwords.
    pub login: LoginConfig,
    /// `[limits]`: what a client may use of the node.
    pub limits: LimitsConfig,
    /// `[http]`: health, readiness and metrics.
    pub http: HttpConfig,
    /// `[log]`: what is logged.
    pub log: LogConfig,
}

/// `[users]`: accounts of a backend that works alone; with a master, the master has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// A users file, see `docs/configuration.md`. Default: none.
    #[serde(deserialize_with = "murder_net::config::optional_path")]
    pub file: Option<PathBuf>,
}

/// `[imap]`: the IMAP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImapConfig {
    /// `address:port`s with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `address:port`s with implicit TLS. The first is where frontends connect. Default: none.
    pub tls_listen: Vec<SocketAddr>,
    /// `host:port` by which frontends reach the first of `tls_listen`. Default: that address.
    pub advertise: Option<String>,
    /// Whether clients on this machine may log in without TLS. Default: false.
    pub allow_plaintext_loopback: bool,
    /// Whether administrators keep their rights when they come through a frontend. Default:
    /// false.
    pub proxy_admins: bool,
    /// Whether a user's INBOX is made at login, and when mail comes for it. Only of a backend that
    /// works alone: in a murder, frontends do it. Default: true.
    pub autocreate_inbox: bool,
    /// The most bytes in a command, message bodies apart. Default: 65536.
    pub max_command: usize,
    /// The most bytes in an appended message. Default: 67108864.
    pub append_limit: u64,
    /// Whether clients that come directly may log out and in again on the same connection
    /// (UNAUTHENTICATE, RFC 8437). Default: true.
    pub unauthenticate: bool,
    /// A URI by which users reach whoever runs the server, which clients are told (METADATA,
    /// `/shared/admin`). Default: none.
    pub contact: Option<String>,
}

impl Default for ImapConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_listen: Vec::new(),
            advertise: None,
            allow_plaintext_loopback: false,
            proxy_admins: false,
            autocreate_inbox: true,
            max_command: 64 << 10,
            append_limit: 64 << 20,
            unauthenticate: true,
            contact: None,
        }
    }
}

/// `[pop3]`: the POP3 server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3Config {
    /// `address:port`s with STLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `address:port`s with implicit TLS. Default: none.
    pub tls_listen: Vec<SocketAddr>,
    /// Whether clients on this machine may log in without TLS. Default: false.
    pub allow_plaintext_loopback: bool,
    /// Whether RETR sets `\Seen`: a program has the message then, but nobody has read it yet.
    /// Default: false.
    pub mark_seen: bool,
}

/// `[lmtp]`: the LMTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LmtpConfig {
    /// `address:port`s, with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `host:port` by which frontends reach the first of `listen`. Default: that address.
    pub advertise: Option<String>,
    /// Take mail from whoever connects, and not only from the nodes of the cluster and from this
    /// machine. Default: false.
    pub open: bool,
    /// The most bytes in a message. Default: 67108864.
    pub message_limit: u64,
    /// Whether a `Return-Path:` with the envelope's sender is put before a message, in the place of
    /// those that it has. Default: true.
    pub return_path: bool,
    /// Whether a `Received:` is put before a message, with the client from whom it came. Default:
    /// true. Without both, messages are stored byte for byte as they came.
    pub received: bool,
}

impl Default for LmtpConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            advertise: None,
            open: false,
            message_limit: 64 << 20,
            return_path: true,
            received: true,
        }
    }
}

/// `[search]`: the full-text index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Whether there is a full-text index beside each larger home, which makes searches for text
    /// fast. Default: true.
    pub index: bool,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self { index: true }
    }
}

/// `[partitions.NAME]`: one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionSection {
    /// The partition's directory. No default.
    #[serde(default, deserialize_with = "path")]
    pub path: PathBuf,
    /// How long expunged messages can be restored, in days; 0 for not at all. Default: 7.
    #[serde(default = "default::keep_days")]
    pub expunge_delay_days: u32,
    /// How long deleted mailboxes can be restored, in days; 0 for not at all. Default: 7.
    #[serde(default = "default::keep_days")]
    pub delete_delay_days: u32,
    /// How long deliveries are remembered, in days, so that what a mail server delivers again is not
    /// there twice; 0 for not at all. Default: 3.
    #[serde(default = "default::delivery_ids_days")]
    pub delivery_ids_days: u32,
    /// A file of the journal is emptied when fewer than this many percent of it are bodies of
    /// messages; 0 for never. Default: 50.
    #[serde(default = "default::compact_below_percent")]
    pub compact_below_percent: u8,
    /// The most bytes a second that emptying files moves; 0 for no limit. Default: 33554432.
    #[serde(default = "default::compact_bytes_per_second")]
    pub compact_bytes_per_second: u64,
    /// The most bytes of journal to be replayed at a start. Default: 268435456.
    #[serde(default = "default::checkpoint_bytes")]
    pub checkpoint_bytes: u64,
    /// Threads that write to homes' databases; 0 for one a processor. Default: 0.
    #[serde(default)]
    pub writer_threads: usize,
    /// Homes whose databases are kept open. Default: 2048.
    #[serde(default = "default::open_homes")]
    pub open_homes: usize,
    /// Bytes of memory for the message lists of mailboxes that nobody has selected. Default:
    /// 134217728.
    #[serde(default = "default::view_cache_bytes")]
    pub view_cache_bytes: usize,
    /// Bytes of memory for what message lists show of messages. Default: 67108864.
    #[serde(default = "default::item_cache_bytes")]
    pub item_cache_bytes: usize,
}

impl PartitionSection {
    /// The defaults for a partition in that directory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            expunge_delay_days: default::keep_days(),
            delete_delay_days: default::keep_days(),
            delivery_ids_days: default::delivery_ids_days(),
            compact_below_percent: default::compact_below_percent(),
            compact_bytes_per_second: default::compact_bytes_per_second(),
            checkpoint_bytes: default::checkpoint_bytes(),
            writer_threads: 0,
            open_homes: default::open_homes(),
            view_cache_bytes: default::view_cache_bytes(),
            item_cache_bytes: default::item_cache_bytes(),
        }
    }

    /// What the store opens it with.
    pub(crate) fn to_store(&self, name: &str) -> PartitionConfig {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
        PartitionConfig {
            expunge_delay: days(self.expunge_delay_days),
            delete_delay: days(self.delete_delay_days),
            delivery_ids_kept: days(self.delivery_ids_days),
            compact_below_percent: self.compact_below_percent,
            compact_bytes_per_second: self.compact_bytes_per_second,
            checkpoint_bytes: self.checkpoint_bytes,
            shards: self.writer_threads,
            open_homes: self.open_homes,
            view_cache_bytes: self.view_cache_bytes,
            item_cache_bytes: self.item_cache_bytes,
            ..PartitionConfig::new(name, &self.path)
        }
    }

    fn check(&self, name: &str, mistakes: &mut Mistakes) {
        let key = |key: &str| format!("partitions.{name}.{key}");
        let mut ensure = |right: bool, name: &str, why: String| {
            let key = key(name);
            mistakes.ensure(right, &key, format!("`{key}` {why}"));
        };
        let said = !self.path.as_os_str().is_empty();
        ensure(said, "path", "is missing".to_owned());
        for (name, days) in [
            ("expunge_delay_days", self.expunge_delay_days),
            ("delete_delay_days", self.delete_delay_days),
            ("delivery_ids_days", self.delivery_ids_days),
        ] {
            let fits = days <= LONGEST_DELAY_DAYS;
            ensure(fits, name, format!("is more than {LONGEST_DELAY_DAYS}"));
        }
        ensure(
            self.compact_below_percent <= MOST_COMPACT_PERCENT,
            "compact_below_percent",
            format!(
                "is more than {MOST_COMPACT_PERCENT}: files that are nearly full would be written \
                 anew all the time"
            ),
        );
        ensure(
            self.checkpoint_bytes >= LEAST_CHECKPOINT,
            "checkpoint_bytes",
            format!("is less than {LEAST_CHECKPOINT}"),
        );
        ensure(
            self.writer_threads <= MOST_WRITER_THREADS,
            "writer_threads",
            format!("is more than {MOST_WRITER_THREADS}"),
        );
        ensure(
            self.open_homes >= LEAST_OPEN_HOMES,
            "open_homes",
            format!("is less than {LEAST_OPEN_HOMES}"),
        );
    }
}

/// The store's defaults, as the file has them.
mod default {
    use murder_store::PartitionConfig;

    fn store() -> PartitionConfig {
        PartitionConfig::new("", "")
    }

    pub(super) const fn keep_days() -> u32 {
        7
    }

    pub(super) const fn delivery_ids_days() -> u32 {
        3
    }

    pub(super) fn compact_below_percent() -> u8 {
        store().compact_below_percent
    }

    pub(super) fn compact_bytes_per_second() -> u64 {
        store().compact_bytes_per_second
    }

    pub(super) fn checkpoint_bytes() -> u64 {
        store().checkpoint_bytes
    }

    pub(super) fn open_homes() -> usize {
        store().open_homes
    }

    pub(super) fn view_cache_bytes() -> usize {
        store().view_cache_bytes
    }

    pub(super) fn item_cache_bytes() -> usize {
        store().item_cache_bytes
    }
}

/// A hundred years: times stay numbers that can be counted with.
const LONGEST_DELAY_DAYS: u32 = 36_500;
/// Emptying a fuller file wins too little for what it costs.
const MOST_COMPACT_PERCENT: u8 = 90;
/// A checkpoint costs a few `fsync`s: not more often than each few hundred deliveries.
const LEAST_CHECKPOINT: u64 = 1 << 20;
/// A few for each writer thread.
const LEAST_OPEN_HOMES: usize = 64;
/// More only wait for one another.
const MOST_WRITER_THREADS: usize = 256;

/// The least that [`ImapConfig::max_command`] may be: a command with a few mailbox names.
const LEAST_COMMAND: usize = 8 << 10;
/// The most bytes that the store takes in a message.
const LARGEST_MESSAGE: u64 = u32::MAX as u64;

impl BackendConfig {
    /// Whether it is part of a murder; else it works alone.
    #[must_use]
    pub fn in_murder(&self) -> bool {
        !self.mupdate.masters.is_empty()
    }

    /// What can be wrong beyond each key by itself. Reads no file.
    pub(crate) fn check_sections(&self, mistakes: &mut Mistakes) {
        self.check_partitions(mistakes);
        for error in self.namespace.mistakes() {
            mistakes.add(
                format!("namespace.{}", error.key),
                format!("[namespace] {error}"),
            );
        }
        if self.in_murder() {
            self.check_membership(mistakes);
        }
        mistakes.ensure(
            self.admin.listen.is_none() || self.cluster.is_some(),
            "admin.listen",
            "`admin.listen` needs `[cluster]`: operators are known by their certificates",
        );
        for (key, tls_listen) in [
            ("imap.tls_listen", &self.imap.tls_listen),
            ("pop3.tls_listen", &self.pop3.tls_listen),
        ] {
            mistakes.ensure(
                tls_listen.is_empty() || self.tls.is_some() || self.cluster.is_some(),
                key,
                format!("`{key}` needs a certificate: `[tls]` or `[cluster]`"),
            );
        }
        mistakes.ensure(
            self.imap.max_command >= LEAST_COMMAND,
            "imap.max_command",
            format!("`imap.max_command` is less than {LEAST_COMMAND}"),
        );
        mistakes.ensure(
            self.imap.contact.as_deref().is_none_or(is_uri),
            "imap.contact",
            "`imap.contact` is no URI, as `mailto:postmaster@example.org` is",
        );
        for (key, limit) in [
            ("imap.append_limit", self.imap.append_limit),
            ("lmtp.message_limit", self.lmtp.message_limit),
        ] {
            mistakes.ensure_between(key, &limit, &(1..=LARGEST_MESSAGE));
        }
        mistakes.ensure_distinct(&[
            ("imap.listen", &self.imap.listen),
            ("imap.tls_listen", &self.imap.tls_listen),
            ("pop3.listen", &self.pop3.listen),
            ("pop3.tls_listen", &self.pop3.tls_listen),
            ("lmtp.listen", &self.lmtp.listen),
            ("admin.listen", self.admin.listen.as_slice()),
            ("http.listen", self.http.listen.as_slice()),
        ]);
    }

    /// What a backend of a murder needs.
    fn check_membership(&self, mistakes: &mut Mistakes) {
        mistakes.ensure(
            self.cluster.is_some(),
            "mupdate.masters",
            "`mupdate.masters` needs `[cluster]`: masters are reached over mTLS only",
        );
        mistakes.ensure(
            self.users.file.is_none(),
            "users.file",
            "`users.file` is for a backend that works alone; with `mupdate.masters` the accounts come \
             from the master",
        );
        mistakes.ensure(
            !self.imap.tls_listen.is_empty(),
            "imap.tls_listen",
            "`imap.tls_listen` is empty, but it is where frontends connect",
        );
        let (imap, lmtp) = (&self.imap, &self.lmtp);
        mistakes.ensure_reachable("imap", "tls_listen", &imap.tls_listen, &imap.advertise);
        mistakes.ensure_reachable("lmtp", "listen", &lmtp.listen, &lmtp.advertise);
    }

    fn check_partitions(&self, mistakes: &mut Mistakes) {
        mistakes.ensure(
            !self.partitions.is_empty(),
            "partitions",
            "there is no `[partitions.NAME]`: nowhere to keep mail",
        );
        let mut paths = BTreeSet::new();
        for (name, partition) in &self.partitions {
            let key = format!("partitions.{name}");
            mistakes.ensure(
                valid_partition(&format!("x!{name}")),
                &key,
                format!(
                    "`{name}` is no name of a partition: letters, digits, `-`, `_` and `.`, which \
                     with the node's are at most 255"
                ),
            );
            mistakes.ensure(
                paths.insert(&partition.path),
                &format!("{key}.path"),
                format!("two partitions have the path {}", partition.path.display()),
            );
            partition.check(name, mistakes);
        }
    }
}

/// Whether `text` looks like a URI (RFC 3986): a scheme, and something behind it.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let in_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(in_scheme)
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use murder_node::RoleConfig;

    use super::*;

    fn parse(text: &str) -> Result<BackendConfig, murder_net::ConfigError> {
        murder_net::config::parse(text, Path::new("be1.toml"), "/etc/murder".into())
    }

    const ALONE: &str = "[node]\nname = \"be1\"\n[partitions.default]\npath = \"mail\"\n";
    const CLUSTER: &str = "[cluster]\nca = \"ca.pem\"\ncert = \"c.pem\"\nkey = \"c.key\"\n";

    #[test]
    fn defaults() {
        let config = parse(ALONE).unwrap();
        Mistakes::of(|m| config.check(m)).unwrap();
        assert!(!config.in_murder());
        assert_eq!(
            config.partitions["default"].path,
            Path::new("/etc/murder/mail")
        );
        assert!(config.imap.autocreate_inbox && !config.imap.proxy_admins);
        assert_eq!(config.imap.max_command, 65_536);
        assert_eq!(config.imap.append_limit, 67_108_864);
        assert_eq!(config.lmtp.message_limit, 67_108_864);
        assert!(!config.lmtp.open && config.lmtp.return_path && config.lmtp.received);
        assert_eq!(config.admin, AdminConfig::default());
        // As the store has them.
        let partition = &config.partitions["default"];
        let (opened, store) = (
            partition.to_store("default"),
            PartitionConfig::new("default", &partition.path),
        );
        assert_eq!(format!("{opened:?}"), format!("{store:?}"));
        assert_eq!(*partition, PartitionSection::new("/etc/murder/mail"));
    }

    #[test]
    fn unknown_keys_are_named() {
        let error = parse("[lmtp]\nopne = true\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "be1.toml:2:1: unknown key `lmtp.opne`; did you mean `open`?"
        );
    }

    #[test]
    fn keys_that_do_not_fit_together() {
        let masters = "[mupdate]\nmasters = [\"mu1:3905\"]\n";
        let imaps = "[imap]\ntls_listen = [\"127.0.0.1:993\"]\n";
        let murder = format!("{ALONE}{CLUSTER}{masters}");
        for (text, part) in [
            ("[node]\nname = \"be1\"\n".to_owned(), "[partitions.NAME]"),
            (
                "[partitions.default]\n".to_owned(),
                "`partitions.default.path` is missing",
            ),
            (
                format!("{ALONE}[limits]\nlogin_timeout_seconds = 0\n"),
                "limits.login_timeout_seconds",
            ),
            (
                format!("{ALONE}[login]\nblock_seconds = 0\n"),
                "login.block_seconds",
            ),
            (
                format!("{murder}{imaps}[lmtp]\nadvertise = \"be1\"\n"),
                "`lmtp.advertise`: `be1` has no port",
            ),
            (
                format!("{murder}{imaps}[http]\nlisten = \"127.0.0.1:993\"\n"),
                "`http.listen`: 127.0.0.1:993 is taken",
            ),
            (
                format!("{ALONE}{CLUSTER}[mupdate]\nmasters = [\"mu1\"]\n{imaps}"),
                "`mupdate.masters`: `mu1` has no port",
            ),
            (format!("{ALONE}{masters}"), "needs `[cluster]`"),
            (murder.clone(), "frontends connect"),
            (
                format!("{murder}[imap]\ntls_listen = [\"[::]:993\"]\n"),
                "`imap.advertise`",
            ),
            (
                format!("{murder}{imaps}[users]\nfile = \"users\"\n"),
                "`users.file`",
            ),
            (format!("{ALONE}{imaps}"), "needs a certificate"),
            (
                format!("{ALONE}[pop3]\ntls_listen = [\"127.0.0.1:995\"]\n"),
                "`pop3.tls_listen` needs a certificate",
            ),
            (
                format!("{ALONE}[imap]\nmax_command = 1\n"),
                "imap.max_command",
            ),
            (
                format!("{ALONE}[imap]\ncontact = \"root@example.org\"\n"),
                "imap.contact",
            ),
            (
                format!("{ALONE}[lmtp]\nmessage_limit = 0\n"),
                "lmtp.message_limit",
            ),
            (
                format!("{ALONE}[partitions.\"a!b\"]\npath = \"x\"\n"),
                "no name of a partition",
            ),
            (
                format!("{ALONE}[partitions.two]\npath = \"mail\"\n"),
                "two partitions",
            ),
            (
                format!("{ALONE}[admin]\nlisten = \"127.0.0.1:3906\"\n"),
                "`admin.listen` needs `[cluster]`",
            ),
            (
                format!("{murder}{imaps}[admin]\nlisten = \"0.0.0.0:3906\"\n"),
                "`admin.advertise`",
            ),
            (
                format!("{ALONE}expunge_delay_days = 40000\n"),
                "partitions.default.expunge_delay_days",
            ),
            (
                format!("{ALONE}compact_below_percent = 95\n"),
                "compact_below_percent",
            ),
            (format!("{ALONE}checkpoint_bytes = 0\n"), "checkpoint_bytes"),
            (format!("{ALONE}open_homes = 1\n"), "open_homes"),
            (
                format!("{ALONE}[namespace]\nseparator = \"|\"\n"),
                "[namespace] separator: must be `/` or `.`",
            ),
            (
                format!("{ALONE}[namespace]\nother_users = \"\"\n"),
                "[namespace] other_users: cannot be the name of one mailbox",
            ),
        ] {
            let config = parse(&text).unwrap();
            let error = Mistakes::of(|m| config.check(m)).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let text = format!("{murder}{imaps}contact = \"tel:+1-201-555-0123\"\n");
        let config = parse(&text).unwrap();
        Mistakes::of(|m| config.check(m)).unwrap();
    }
}
