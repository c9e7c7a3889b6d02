//! The audit log: who did what, under names that stay.
//!
//! An event is a log line of the target [`TARGET`] with a field `event`, and the fields that
//! `docs/operations.md` lists. It is written whatever `log.level` says, and goes to the file
//! `log.audit` if there is one. It never holds a secret, nor any part of a message.

use std::net::IpAddr;

tokio::task_local! {
    static ACTOR: Actor;
}

/// The target of audit events.
pub const TARGET: &str = "audit";

/// Writes an audit event: its name, then fields as `tracing` takes them. With `for` an [`Actor`] the
/// fields begin with who that is.
#[macro_export]
macro_rules! audit {
    ($event:literal, for $actor:expr, $($fields:tt)+) => {{
        let actor: &$crate::Actor = $actor;
        $crate::audit!(
            $event,
            user = actor.user.as_deref(),
            operator = actor.operator.as_deref(),
            session = actor.session.as_deref(),
            client = actor.client.map($crate::tracing::field::display),
            $($fields)+
        )
    }};
    ($event:literal, $($fields:tt)+) => {
        $crate::tracing::info!(target: $crate::audit::TARGET, event = $event, $($fields)+)
    };
}

/// On whose behalf something is done. Travels with calls to the master.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user that a session acts as: the authorization identity.
    pub user: Option<String>,
    /// The operator who called a node, by the name in the certificate.
    pub operator: Option<String>,
    /// The client's session, by the name that it has at the node that the client is connected to.
    pub session: Option<String>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

impl Actor {
    /// Runs `work` on this one's behalf. Tasks that it spawns are nobody's.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        ACTOR.scope(self, work).await
    }

    /// The operator of that name.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self {
            operator: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// On whose behalf the current task runs.
    #[must_use]
    pub fn current() -> Option<Self> {
        ACTOR.try_with(Clone::clone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_knows_on_whose_behalf_it_is_done() {
        let bob = Actor {
            user: Some("bob".into()),
            ..Actor::default()
        };
        assert_eq!(Actor::current(), None);
        let found = bob.clone().scope(async { Actor::current() }).await;
        assert_eq!(found, Some(bob));
    }
}
