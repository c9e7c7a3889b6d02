//! By what a client may log in, and the SASL exchange (RFC 4422), which is the same in all
//! protocols but for its framing.

use std::net::IpAddr;

use bytes::Bytes;
use murder_auth::sasl::{self, Plain, SaslError};
use murder_net::{Peer, Role};
use tracing::warn;

use crate::{Credentials, NotLoggedIn, Password};

impl From<SaslError> for NotLoggedIn {
    fn from(_: SaslError) -> Self {
        Self::Malformed
    }
}

/// What a client may log in by on its connection as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    passwords: bool,
    node: Option<Peer>,
}

impl Offer {
    /// To a client with the address `peer`, under TLS or not. `plaintext_loopback`: passwords of
    /// clients on this machine are taken without. `node`: what its certificate says; a frontend may
    /// vouch for users.
    #[must_use]
    pub fn new(tls: bool, plaintext_loopback: bool, peer: IpAddr, node: Option<Peer>) -> Self {
        Self {
            passwords: tls || (plaintext_loopback && peer.to_canonical().is_loopback()),
            node,
        }
    }

    /// Whether passwords are taken.
    #[must_use]
    pub const fn takes_passwords(&self) -> bool {
        self.passwords
    }

    /// Whether passwords are taken.
    ///
    /// # Errors
    /// [`NotLoggedIn::NeedsTls`].
    pub const fn check_passwords(&self) -> Result<(), NotLoggedIn> {
        match self.passwords {
            true => Ok(()),
            false => Err(NotLoggedIn::NeedsTls),
        }
    }

    /// Whether the client is a frontend, which may vouch for users.
    #[must_use]
    pub fn is_frontend(&self) -> bool {
        let node = self.node.as_ref();
        node.is_some_and(|node| node.has_role(Role::Frontend))
    }

    /// The node at the other end.
    #[must_use]
    pub const fn node(&self) -> Option<&Peer> {
        self.node.as_ref()
    }

    /// The names of the SASL mechanisms.
    pub fn mechanisms(&self) -> impl Iterator<Item = &'static str> {
        let plain = self.passwords.then_some("PLAIN");
        let external = self.is_frontend().then_some("EXTERNAL");
        plain.into_iter().chain(external)
    }

    /// Takes the exchange to its end: PLAIN (RFC 4616) or, of a frontend, EXTERNAL (RFC 4422
    /// appendix A), with one message each. `initial`: what came with the command, see [`response`];
    /// without it `ask` sends an empty challenge and reads the line that answers it.
    ///
    /// # Errors
    /// See [`NotLoggedIn`]; and those of `ask`.
    pub async fn exchange<E: From<NotLoggedIn>>(
        &self,
        mechanism: &str,
        initial: Option<Vec<u8>>,
        ask: impl AsyncFnOnce() -> Result<Bytes, E>,
    ) -> Result<Credentials, E> {
        let external = match mechanism {
            "PLAIN" => {
                self.check_passwords()?;
                false
            }
            "EXTERNAL" => {
                self.check_vouching()?;
                true
            }
            _ => return Err(NotLoggedIn::UnknownMechanism.into()),
        };
        let message = match initial {
            Some(initial) => initial,
            None => response(&ask().await?)?,
        };
        Ok(credentials(external, &message)?)
    }

    fn check_vouching(&self) -> Result<(), NotLoggedIn> {
        if self.is_frontend() {
            return Ok(());
        }
        if let Some(node) = &self.node {
            warn!(node = node.name, roles = %node.role_names(), "only frontends may act for users");
        }
        Err(NotLoggedIn::OnlyFrontends)
    }
}

/// The message in a line or argument of the client's: base64, or `*` to give up.
///
/// # Errors
/// [`NotLoggedIn::Cancelled`] and [`NotLoggedIn::Malformed`].
pub fn response(line: &[u8]) -> Result<Vec<u8>, NotLoggedIn> {
    match line {
        b"*" => Err(NotLoggedIn::Cancelled),
        line => Ok(sasl::decode(line)?),
    }
}

fn credentials(external: bool, message: &[u8]) -> Result<Credentials, NotLoggedIn> {
    if external {
        let user = sasl::external(message)?.ok_or(NotLoggedIn::NoUser)?;
        return Ok(Credentials::Vouched(user));
    }
    let Plain {
        authzid,
        authcid,
        password,
    } = Plain::parse(message)?;
    Ok(Credentials::Password(Password {
        mechanism: "PLAIN",
        user: authcid,
        authzid,
        password: Some(password),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CLIENT: &[u8] = b"Ym9iAGFkbWluAHNlY3JldA==";

    fn offer(tls: bool, role: Option<Role>) -> Offer {
        let node = role.map(|role| Peer {
            name: "n1".into(),
            roles: vec![role],
        });
        Offer::new(tls, false, IpAddr::from([192, 0, 2, 1]), node)
    }

    async fn exchange(
        offer: &Offer,
        mechanism: &str,
        initial: Option<&[u8]>,
        answer: &'static [u8],
    ) -> Result<Credentials, NotLoggedIn> {
        let ask = async || Ok(Bytes::from_static(answer));
        let initial = initial.map(response).transpose()?;
        offer.exchange(mechanism, initial, ask).await
    }

    #[test]
    fn what_is_offered() {
        let names = |offer: &Offer| offer.mechanisms().collect::<Vec<_>>();
        assert_eq!(names(&offer(false, None)), [""; 0]);
        assert_eq!(names(&offer(true, None)), ["PLAIN"]);
        assert_eq!(names(&offer(true, Some(Role::Backend))), ["PLAIN"]);
        let frontend = offer(true, Some(Role::Frontend));
        assert_eq!(names(&frontend), ["PLAIN", "EXTERNAL"]);
        let here = "::ffff:127.0.0.1".parse().unwrap();
        assert!(Offer::new(false, true, here, None).takes_passwords());
        assert!(!Offer::new(false, false, here, None).takes_passwords());
    }

    #[tokio::test]
    async fn the_message_comes_with_the_command_or_after_it() {
        for (initial, answer) in [(Some(CLIENT), &b"*"[..]), (None, CLIENT)] {
            let offer = offer(true, None);
            let credentials = exchange(&offer, "PLAIN", initial, answer).await;
            let Credentials::Password(password) = credentials.unwrap() else {
                panic!("a password");
            };
            assert_eq!(password.authzid.as_deref(), Some("bob"));
            assert_eq!(password.user, "admin");
            assert_eq!(password.password.as_deref(), Some("secret"));
        }
        let frontend = offer(true, Some(Role::Frontend));
        let credentials = exchange(&frontend, "EXTERNAL", Some(b"Ym9i"), b"").await;
        assert!(matches!(credentials.unwrap(), Credentials::Vouched(user) if user == "bob"));
    }

    #[tokio::test]
    async fn what_is_refused() {
        let (plain, tls) = (offer(false, None), offer(true, None));
        let backend = offer(true, Some(Role::Backend));
        let frontend = offer(true, Some(Role::Frontend));
        for (offer, mechanism, answer, why) in [
            (&plain, "PLAIN", CLIENT, NotLoggedIn::NeedsTls),
            (&tls, "PLAIN", &b"*"[..], NotLoggedIn::Cancelled),
            (&tls, "PLAIN", b"Ym9i", NotLoggedIn::Malformed),
            (&tls, "PLAIN", b"?", NotLoggedIn::Malformed),
            (&tls, "EXTERNAL", b"Ym9i", NotLoggedIn::OnlyFrontends),
            (&backend, "EXTERNAL", b"Ym9i", NotLoggedIn::OnlyFrontends),
            (&frontend, "EXTERNAL", b"=", NotLoggedIn::NoUser),
            (&tls, "CRAM-MD5", CLIENT, NotLoggedIn::UnknownMechanism),
        ] {
            let refused = exchange(offer, mechanism, None, answer).await;
            assert_eq!(refused.err(), Some(why), "{mechanism}");
        }
    }
}
