//! Names of nodes in certificates.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Under it are the names of nodes and roles in certificates; it is never looked up in the DNS.
pub(crate) const DOMAIN: &str = ".murder.internal";

/// What a certificate lets a node do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Serves clients, holds nothing.
    Frontend,
    /// Holds mail.
    Backend,
    /// Holds the location map.
    Mupdate,
    /// A person or a tool that may change everything.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Frontend, Self::Backend, Self::Mupdate, Self::Operator];

    /// `frontend`, `backend`, `mupdate`, `operator`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Mupdate => "mupdate",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: frontend, backend, mupdate or operator")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// Who is at the other end of a connection, by its verified certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The node's name.
    pub name: String,
    /// Its roles, sorted, at least one.
    pub roles: Vec<Role>,
}

impl Peer {
    /// Whether the certificate gives the role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The roles as text: `frontend, backend`.
    #[must_use]
    pub fn role_names(&self) -> String {
        let names: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        names.join(", ")
    }
}

/// The node that a certificate chain (end entity first) is of. `None` when it names no node, or
/// more than one. Says nothing about who signed it: TLS has seen to that.
#[must_use]
pub fn peer_of(chain: &[CertificateDer<'_>]) -> Option<Peer> {
    let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
    let mut peer: Option<Peer> = None;
    for dns_name in certificate.valid_dns_names() {
        let Some((name, role)) = dns_name
            .strip_suffix(DOMAIN)
            .and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let Ok(role) = role.parse() else { continue };
        match &mut peer {
            Some(peer) if peer.name != name => return None,
            Some(peer) => peer.roles.push(role),
            None => {
                peer = Some(Peer {
                    name: name.to_owned(),
                    roles: vec![role],
                });
            }
        }
    }
    if let Some(peer) = &mut peer {
        peer.roles.sort_unstable();
        peer.roles.dedup();
    }
    peer
}

/// The name to verify when connecting to a certain node: `be1.backend.murder.internal`. A node
/// name that no certificate can carry gives a name that no certificate carries, so that the
/// handshake fails.
#[must_use]
pub fn server_name(node: &str, role: Role) -> ServerName<'static> {
    ServerName::try_from(format!("{node}.{role}{DOMAIN}")).unwrap_or_else(|_| {
        ServerName::try_from("no-such-node.murder.internal").expect("a fixed, valid name")
    })
}

/// The name to verify when connecting to whichever node has the role:
/// `mupdate.murder.internal`.
#[must_use]
pub fn role_server_name(role: Role) -> ServerName<'static> {
    ServerName::try_from(format!("{role}{DOMAIN}")).expect("role names are valid DNS labels")
}

/// The DNS names of a node's certificate.
pub(crate) fn certificate_names(node: &str, roles: &[Role]) -> Vec<String> {
    roles
        .iter()
        .flat_map(|role| [format!("{node}.{role}{DOMAIN}"), format!("{role}{DOMAIN}")])
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn server_names() {
        let name = server_name("be1", Role::Backend);
        assert_eq!(name.to_str(), "be1.backend.murder.internal");
        let name = server_name("be 1/\n", Role::Backend);
        assert_eq!(name.to_str(), "no-such-node.murder.internal");
        assert_eq!(
            role_server_name(Role::Mupdate).to_str(),
            "mupdate.murder.internal"
        );
    }

    #[test]
    fn roles_parse_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        assert!(
            "admin"
                .parse::<Role>()
                .unwrap_err()
                .to_string()
                .contains("operator")
        );
    }
}
