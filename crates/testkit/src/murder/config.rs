//! Configuration files of nodes, as an administrator would write them.

use std::net::{Ipv4Addr, SocketAddr};

use murder_net::Role;

/// Where a node listens. What its role does not listen for has port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// IMAP with STARTTLS.
    pub imap: SocketAddr,
    /// IMAP with implicit TLS.
    pub imaps: SocketAddr,
    /// LMTP.
    pub lmtp: SocketAddr,
    /// POP3 with STLS; a backend's.
    pub pop3: SocketAddr,
    /// POP3 with implicit TLS; a backend's.
    pub pop3s: SocketAddr,
    /// Health, readiness and metrics.
    pub http: SocketAddr,
    /// The master's.
    pub grpc: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

impl Addresses {
    /// Free ones.
    pub(super) fn free(at: Ipv4Addr) -> Self {
        let any = SocketAddr::from((at, 0));
        Self {
            imap: any,
            imaps: any,
            lmtp: any,
            pop3: any,
            pop3s: any,
            http: any,
            grpc: any,
            admin: any,
        }
    }
}

/// What differs from the defaults.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// Lines of `[imap]`.
    pub imap: String,
    /// Lines of `[lmtp]`.
    pub lmtp: String,
    /// Lines of `[login]`.
    pub login: String,
    /// Lines of `[mupdate]`.
    pub mupdate: String,
    /// Lines of `[limits]`.
    pub limits: String,
    /// Lines of `[partitions.default]`.
    pub partition: String,
}

/// The text of a node's file.
pub(super) fn text(
    role: Role,
    name: &str,
    at: &Addresses,
    master: Option<SocketAddr>,
    extra: &Extra,
) -> String {
    let mut text = format!(
        "[node]\nname = \"{name}\"\ndata_dir = \"data\"\n\n\
         [cluster]\nca = \"ca.pem\"\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n\n\
         [http]\nlisten = \"{}\"\n\n",
        at.http
    );
    if role == Role::Mupdate {
        return text + &format!("[grpc]\nlisten = \"{}\"\n", at.grpc);
    }
    if let Some(master) = master {
        text += &format!("[mupdate]\nmasters = [\"{master}\"]\n{}\n\n", extra.mupdate);
    }
    text += &format!(
        "[imap]\nlisten = [\"{}\"]\ntls_listen = [\"{}\"]\nallow_plaintext_loopback = true\n",
        at.imap, at.imaps
    );
    if role == Role::Backend {
        text += "proxy_admins = true\n";
    }
    text += &format!(
        "{}\n\n[admin]\nlisten = \"{}\"\n\n[lmtp]\nlisten = [\"{}\"]\n{}\n",
        extra.imap, at.admin, at.lmtp, extra.lmtp
    );
    if role == Role::Backend {
        // So that what was delivered is what was sent.
        text += "return_path = false\nreceived = false\n";
    }
    text += "\n";
    if role == Role::Backend {
        text += &format!(
            "[pop3]\nlisten = [\"{}\"]\ntls_listen = [\"{}\"]\n\
             allow_plaintext_loopback = true\n\n",
            at.pop3, at.pop3s
        );
        text += &format!(
            "[partitions.default]\npath = \"data/default\"\n{}\n\n",
            extra.partition
        );
    }
    text + &format!("[login]\n{}\n\n[limits]\n{}\n", extra.login, extra.limits)
}
