//! The frontend's configuration file.

use std::net::SocketAddr;
use std::time::Duration;

use murder_auth::LoginConfig;
use murder_location::record::valid_partition;
use murder_mailbox::NamespaceConfig;
use murder_net::config::{
    AdminConfig, ClusterConfig, HttpConfig, LimitsConfig, LogConfig, Mistakes, MupdateConfig,
    NodeConfig, TlsConfig,
};
use serde::{Deserialize, Serialize};

use crate::placement::PlacementMode;

/// A frontend's configuration: one field a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontendConfig {
    /// `[node]`: who this node is.
    #[serde(default)]
    pub node: NodeConfig,
    /// `[cluster]`: the node's certificate, with the role `frontend`.
    #[serde(default)]
    pub cluster: ClusterConfig,
    /// `[mupdate]`: where the master is.
    #[serde(default)]
    pub mupdate: MupdateConfig,
    /// `[imap]`: the IMAP server.
    #[serde(default)]
    pub imap: ImapConfig,
    /// `[lmtp]`: the LMTP server.
    #[serde(default)]
    pub lmtp: LmtpConfig,
    /// `[namespace]`: how mailbox names look to clients.
    #[serde(default)]
    pub namespace: NamespaceConfig,
    /// `[placement]`: where new homes go.
    #[serde(default)]
    pub placement: PlacementConfig,
    /// `[admin]`: operators' calls.
    #[serde(default)]
    pub admin: AdminConfig,
    /// `[tls]`: the certificate that mail clients see.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// `[login]`: what becomes of those who guess passwords.
    #[serde(default)]
    pub login: LoginConfig,
    /// `[limits]`: what a client may use of the node.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// `[http]`: health, readiness and metrics.
    #[serde(default)]
    pub http: HttpConfig,
    /// `[log]`: what is logged.
    #[serde(default)]
    pub log: LogConfig,
}

/// `[imap]`: the IMAP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImapConfig {
    /// `address:port`s with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// `address:port`s with implicit TLS. Default: none.
    pub tls_listen: Vec<SocketAddr>,
    /// Whether clients on this machine may log in without TLS. Default: false.
    pub allow_plaintext_loopback: bool,
    /// The most bytes in a command, message bodies apart. Default: 65536.
    pub max_command: usize,
    /// The most bytes in an appended message; the same on every node. Default: 67108864.
    pub append_limit: u64,
    /// Whether a user without an INBOX gets one at login, and with the first message. Default:
    /// true.
    pub autocreate_inbox: bool,
    /// Whether names of mailboxes that do not exist can be subscribed to. Default: false.
    pub allow_all_subscribe: bool,
    /// How long connecting and logging in to a backend may take, and how long one that is in use may
    /// not answer at all before all its connections are given up, in seconds; for deliveries too.
    /// Default: 5.
    pub backend_connect_timeout_seconds: u64,
    /// A backend that answers others, but owes an answer and says nothing for so long is given up, in
    /// seconds; for deliveries too. Default: 120.
    pub backend_timeout_seconds: u64,
}

impl Default for ImapConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_listen: Vec::new(),
            allow_plaintext_loopback: false,
            max_command: 64 << 10,
            append_limit: 64 << 20,
            autocreate_inbox: true,
            allow_all_subscribe: false,
            backend_connect_timeout_seconds: 5,
            backend_timeout_seconds: 120,
        }
    }
}

impl ImapConfig {
    /// [`backend_connect_timeout_seconds`](Self::backend_connect_timeout_seconds).
    #[must_use]
    pub fn backend_connect_timeout(&self) -> Duration {
        Duration::from_secs(self.backend_connect_timeout_seconds)
    }

    /// [`backend_timeout_seconds`](Self::backend_timeout_seconds).
    #[must_use]
    pub fn backend_timeout(&self) -> Duration {
        Duration::from_secs(self.backend_timeout_seconds)
    }
}

/// `[lmtp]`: the LMTP server. It takes mail for the murder's users from whoever can connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LmtpConfig {
    /// `address:port`s, with STARTTLS. Default: none.
    pub listen: Vec<SocketAddr>,
    /// The most bytes in a message; the same on every node. Default: 67108864.
    pub message_limit: u64,
    /// The most recipients of a message; a sender with more sends it again for the rest. RFC 5321
    /// 4.5.3.1.8 wants at least 100. Default: 1000.
    pub max_recipients: usize,
}

impl Default for LmtpConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            message_limit: 64 << 20,
            max_recipients: 1000,
        }
    }
}

/// `[placement]`: where new homes go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacementConfig {
    /// `random`, `most-free-bytes`, `most-free-percent` or `weighted-free-percent`. Default:
    /// `random`, by the nodes' weights.
    pub mode: PlacementMode,
    /// Nodes (`be1`) and partitions (`be1!default`) that get no new homes from this frontend.
    /// Default: none.
    pub exclude: Vec<String>,
}

impl FrontendConfig {
    /// What can be wrong beyond each key by itself. Reads no file.
    pub(crate) fn check_sections(&self, mistakes: &mut Mistakes) {
        /// A command with a mailbox name of the longest kind must fit.
        const LEAST_COMMAND: usize = 8 << 10;
        /// What backends take at most.
        const LARGEST_MESSAGE: u64 = u32::MAX as u64;
        mistakes.ensure(
            !self.mupdate.masters.is_empty(),
            "mupdate.masters",
            "`mupdate.masters` is missing: a frontend needs a master",
        );
        for error in self.namespace.mistakes() {
            mistakes.add(
                format!("namespace.{}", error.key),
                format!("[namespace] {error}"),
            );
        }
        mistakes.ensure(
            self.imap.max_command >= LEAST_COMMAND,
            "imap.max_command",
            format!("`imap.max_command` is less than {LEAST_COMMAND}"),
        );
        mistakes.ensure(
            self.lmtp.max_recipients >= 100,
            "lmtp.max_recipients",
            "`lmtp.max_recipients` is less than 100 (RFC 5321 section 4.5.3.1.8)",
        );
        for (key, limit) in [
            ("imap.append_limit", self.imap.append_limit),
            ("lmtp.message_limit", self.lmtp.message_limit),
        ] {
            mistakes.ensure_between(key, &limit, &(1..=LARGEST_MESSAGE));
        }
        for (key, seconds) in [
            (
                "imap.backend_connect_timeout_seconds",
                self.imap.backend_connect_timeout_seconds,
            ),
            (
                "imap.backend_timeout_seconds",
                self.imap.backend_timeout_seconds,
            ),
        ] {
            mistakes.ensure(seconds > 0, key, format!("`{key}` must not be 0"));
        }
        for excluded in &self.placement.exclude {
            let valid = match excluded.contains('!') {
                true => valid_partition(excluded),
                false => valid_partition(&format!("{excluded}!x")),
            };
            let message = format!(
                "`placement.exclude`: `{excluded}` is neither a node (`be1`) nor a partition \
                 (`be1!default`)"
            );
            mistakes.ensure(valid, "placement.exclude", message);
        }
        mistakes.ensure_distinct(&[
            ("imap.listen", &self.imap.listen),
            ("imap.tls_listen", &self.imap.tls_listen),
            ("lmtp.listen", &self.lmtp.listen),
            ("admin.listen", self.admin.listen.as_slice()),
            ("http.listen", self.http.listen.as_slice()),
        ]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use murder_net::config::{ConfigError, parse};
    use murder_node::RoleConfig;
    use std::path::Path;

    /// What a frontend must say.
    const LEAST: &str = "[cluster]\nca = \"ca.pem\"\ncert = \"fe1.pem\"\nkey = \"fe1.key\"\n\n\
         [mupdate]\nmasters = [\"127.0.0.1:3905\"]\n\n";

    fn load(more: &str) -> Result<FrontendConfig, ConfigError> {
        let text = format!("{LEAST}{more}");
        parse(
            &text,
            Path::new("/etc/murder/fe1.toml"),
            "/etc/murder".into(),
        )
    }

    #[test]
    fn what_a_local_murder_writes() {
        let config = load(
            "[node]\nname = \"fe1\"\ndata_dir = \"data\"\n\n\
             [imap]\nlisten = [\"127.0.0.1:143\"]\ntls_listen = [\"127.0.0.1:993\"]\n\
             allow_plaintext_loopback = true\n\n\
             [lmtp]\nlisten = [\"127.0.0.1:24\"]\n\n[http]\nlisten = \"127.0.0.1:80\"\n",
        )
        .unwrap();
        Mistakes::of(|m| config.check(m)).unwrap();
        assert_eq!(config.node.name, "fe1");
        assert_eq!(config.cluster.ca, Path::new("/etc/murder/ca.pem"));
        assert!(config.imap.allow_plaintext_loopback);
        assert_eq!(config.lmtp.listen.len(), 1);
    }

    #[test]
    fn the_least_has_the_defaults() {
        let config = load("").unwrap();
        Mistakes::of(|m| config.check(m)).unwrap();
        assert_eq!(config.imap, ImapConfig::default());
        assert_eq!(config.lmtp, LmtpConfig::default());
        assert_eq!(config.namespace, NamespaceConfig::default());
        assert_eq!(config.placement.mode, PlacementMode::Random);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn placement_by_name() {
        let config =
            load("[placement]\nmode = \"most-free-percent\"\nexclude = [\"be1!old\"]\n").unwrap();
        assert_eq!(config.placement.mode, PlacementMode::MostFreePercent);
        assert_eq!(config.placement.exclude, ["be1!old"]);
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        for (text, hint) in [
            ("[imap]\nappend_limits = 1\n", "append_limit"),
            ("[lmtp]\nmax_recipient = 1\n", "max_recipients"),
            ("[namespace]\nseperator = \"/\"\n", "separator"),
            ("[placements]\n", "placement"),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn values_that_cannot_be_meant() {
        for (text, key) in [
            ("[namespace]\nseparator = \"x\"\n", "separator"),
            ("[namespace]\nshared = \"Other Users\"\n", "shared"),
            ("[namespace]\nother_users = \"a/b\"\n", "other_users"),
            ("[namespace]\nshared = \"inbox\"\n", "shared"),
            ("[namespace]\npersonal = \"Mail\"\n", "personal"),
            ("[imap]\nmax_command = 10\n", "max_command"),
            (
                "[imap]\nbackend_timeout_seconds = 0\n",
                "backend_timeout_seconds",
            ),
            ("[lmtp]\nmax_recipients = 1\n", "max_recipients"),
            ("[login]\nhalf_life_seconds = 0\n", "half_life_seconds"),
            ("[lmtp]\nmessage_limit = 0\n", "lmtp.message_limit"),
            ("[imap]\nappend_limit = 0\n", "imap.append_limit"),
            ("[limits]\nmax_connections = 0\n", "limits.max_connections"),
            ("[tls]\ncert = \"c.pem\"\n", "`tls.key` is missing"),
            ("[placement]\nexclude = [\"be1!\"]\n", "placement.exclude"),
            (
                "[imap]\nlisten = [\"0.0.0.0:143\"]\n[lmtp]\nlisten = [\"127.0.0.1:143\"]\n",
                "is taken by 0.0.0.0:143 of `imap.listen`",
            ),
            ("[admin]\nlisten = \"0.0.0.0:3906\"\n", "admin.advertise"),
        ] {
            let config = load(text).unwrap();
            let error = Mistakes::of(|m| config.check(m)).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let mut config = load("").unwrap();
        config.mupdate.masters.clear();
        let error = Mistakes::of(|m| config.check(m)).unwrap_err().to_string();
        assert!(error.contains("masters"), "{error}");
    }
}
