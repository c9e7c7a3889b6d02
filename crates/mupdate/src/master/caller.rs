//! Who calls, by certificate, and what that allows.

use murder_net::{Actor, Role, grpc};
use murder_proto::v1::{self, ErrorDetail, ErrorKind};
use tonic::{Request, Status};

/// Writes an audit event of what a caller does: who that is, then fields as `tracing` takes them.
macro_rules! audited {
    ($caller:expr, $event:literal, $($fields:tt)+) => {{
        let caller: &$crate::master::caller::Caller = $caller;
        murder_net::audit!(
            $event,
            for &caller.actor,
            by = caller.name,
            role = caller.role(),
            $($fields)+
        )
    }};
}
pub(super) use audited;

/// What a caller's entries may change; by default, as the master's own, everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Authority {
    /// Only what is in partitions that this node owns; empty: anything.
    pub node: String,
    /// The partition that it writes for, by its own word.
    pub partition: Option<v1::PartitionEpoch>,
}

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The node's name.
    pub name: String,
    /// What its certificate is for.
    pub roles: Vec<Role>,
    /// On whose behalf it calls, by its own word.
    pub actor: Actor,
    /// The partition that it writes for, by its own word.
    pub partition: Option<v1::PartitionEpoch>,
}

impl Caller {
    /// The peer that made this call.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let peer = grpc::peer(request).ok_or_else(|| denied("no client certificate"))?;
        Ok(Self {
            name: peer.name.clone(),
            roles: peer.roles.clone(),
            actor: murder_location::actor::told(request.metadata()),
            partition: murder_location::client::partition_of(request.metadata()),
        })
    }

    /// The roles in its certificate, for the log.
    pub fn role(&self) -> String {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        roles.join(", ")
    }

    /// What it may not do.
    fn denied(&self, why: impl Into<String>) -> Status {
        let why = why.into();
        audited!(self, "call.denied", why);
        denied(why)
    }

    /// Notes what the log has refused, if it was for who the caller is.
    pub fn note_refusal(&self, detail: &ErrorDetail) {
        if matches!(
            detail.kind(),
            ErrorKind::PermissionDenied | ErrorKind::NotOwner
        ) {
            audited!(self, "call.denied", why = detail.message);
        }
    }

    fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn is_master_or_operator(&self) -> bool {
        self.has(Role::Operator) || self.has(Role::Mupdate)
    }

    /// Whether it may read records; every role may.
    pub fn may_read(&self) -> Result<(), Status> {
        if self.is_master_or_operator() || self.has(Role::Frontend) || self.has(Role::Backend) {
            return Ok(());
        }
        Err(self.denied("this certificate has no role in the murder"))
    }

    /// Which records it may write.
    pub fn may_write(&self) -> Result<Authority, Status> {
        if self.is_master_or_operator() {
            Ok(Authority::default())
        } else if self.has(Role::Backend) {
            Ok(Authority {
                node: self.name.clone(),
                partition: self.partition.clone(),
            })
        } else {
            Err(self.denied("only backends and operators change mailbox records"))
        }
    }

    /// Whether it may have partitions.
    pub fn may_hold_mail(&self) -> bool {
        self.has(Role::Backend)
    }

    /// Whether it may see and change the user directory.
    pub fn may_administer(&self) -> Result<(), Status> {
        if self.is_master_or_operator() {
            return Ok(());
        }
        Err(self.denied("only operators administer users"))
    }

    /// Whether it may be `node`.
    pub fn may_be(&self, node: &str) -> Result<(), Status> {
        let is_node =
            self.has(Role::Frontend) || self.has(Role::Backend) || self.has(Role::Mupdate);
        if is_node && self.name == node {
            return Ok(());
        }
        Err(self.denied(format!("this certificate is not node {node:?}'s")))
    }

    /// The roles that a node can have.
    pub fn node_roles(&self) -> Vec<String> {
        self.roles
            .iter()
            .filter(|role| **role != Role::Operator)
            .map(Role::to_string)
            .collect()
    }
}

pub(super) fn denied(message: impl Into<String>) -> Status {
    ErrorDetail::new(ErrorKind::PermissionDenied, message).into_status()
}

pub(super) fn invalid(message: impl Into<String>) -> Status {
    ErrorDetail::new(ErrorKind::InvalidArgument, message).into_status()
}

pub(super) fn too_large(message: impl Into<String>) -> Status {
    ErrorDetail::new(ErrorKind::TooLarge, message).into_status()
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> Status {
    ErrorDetail::new(ErrorKind::Unavailable, error.to_string()).into_status()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    fn caller(name: &str, role: Role) -> Caller {
        Caller {
            name: name.into(),
            roles: vec![role],
            actor: Actor::default(),
            partition: None,
        }
    }

    #[test]
    fn roles_allow_what_they_are_for() {
        let backend = caller("be1", Role::Backend);
        assert_eq!(backend.may_write().unwrap().node, "be1");
        assert!(backend.may_administer().is_err());
        assert!(backend.may_be("be1").is_ok() && backend.may_be("be2").is_err());
        let frontend = caller("fe1", Role::Frontend);
        assert!(frontend.may_read().is_ok() && frontend.may_write().is_err());
        let operator = caller("ops", Role::Operator);
        assert_eq!(operator.may_write().unwrap(), Authority::default());
        assert!(operator.may_administer().is_ok() && operator.may_be("ops").is_err());
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn refusals_for_who_the_caller_is_are_audited() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let backend = caller("be2", Role::Backend);
        backend.note_refusal(&ErrorDetail::new(ErrorKind::NotFound, "no such mailbox"));
        backend.note_refusal(&ErrorDetail::new(ErrorKind::NotOwner, "be1 owns it"));
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in ["event=\"call.denied\"", "by=\"be2\"", "be1 owns it"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
