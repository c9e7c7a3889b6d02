//! What a node says about itself on `/healthz` and `/readyz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The state of one named part of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All is well.
    Ok,
    /// Clients should be sent elsewhere for now; it will pass. Shown by `/readyz`.
    NotReady(String),
    /// Someone should look. Shown by `/healthz` and `/readyz`.
    Unhealthy(String),
}

/// The reason of a node that has no condition yet.
const STARTING: &str = "starting";

/// A node's conditions, each under a fixed name such as `map` or `partition:default`. Clones are
/// the same one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    conditions: Mutex<BTreeMap<String, Condition>>,
    changed: watch::Sender<()>,
}

impl Health {
    /// One without conditions: healthy, but [`ready`](Self::ready) only once there is one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a condition.
    pub fn set(&self, name: &str, condition: Condition) {
        let mut conditions = self.0.conditions.lock();
        match conditions.get_mut(name) {
            Some(present) if *present == condition => return,
            Some(present) => {
                tracing::info!(condition = name, state = ?condition, "health changed");
                *present = condition;
            }
            None => {
                conditions.insert(name.to_owned(), condition);
            }
        }
        self.0.changed.send_replace(());
    }

    /// Follows the changes of conditions.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The conditions that are not [`Condition::Ok`], by name; `node` stands for a node that has
    /// none at all yet.
    #[must_use]
    pub fn troubles(&self) -> Vec<(String, Condition)> {
        let conditions = self.0.conditions.lock();
        if conditions.is_empty() {
            return vec![("node".to_owned(), Condition::NotReady(STARTING.to_owned()))];
        }
        let troubles = conditions.iter().filter(|(_, is)| **is != Condition::Ok);
        troubles
            .map(|(name, is)| (name.clone(), is.clone()))
            .collect()
    }

    /// Sets a condition to [`Condition::Ok`].
    pub fn ok(&self, name: &str) {
        self.set(name, Condition::Ok);
    }

    /// Sets a condition to [`Condition::NotReady`].
    pub fn not_ready(&self, name: &str, reason: impl Into<String>) {
        self.set(name, Condition::NotReady(reason.into()));
    }

    /// Sets a condition to [`Condition::Unhealthy`].
    pub fn unhealthy(&self, name: &str, reason: impl Into<String>) {
        self.set(name, Condition::Unhealthy(reason.into()));
    }

    /// The condition of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Condition> {
        self.0.conditions.lock().get(name).cloned()
    }

    /// What is unhealthy, as `name: reason`; empty when nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.reasons(|condition| match condition {
            Condition::Unhealthy(reason) => Some(reason),
            _ => None,
        })
    }

    /// Why the node is not ready, as `name: reason`; empty when it is.
    #[must_use]
    pub fn not_ready_reasons(&self) -> Vec<String> {
        if self.0.conditions.lock().is_empty() {
            return vec![STARTING.to_owned()];
        }
        self.reasons(|condition| match condition {
            Condition::Unhealthy(reason) | Condition::NotReady(reason) => Some(reason),
            Condition::Ok => None,
        })
    }

    /// Whether clients may be sent here.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.not_ready_reasons().is_empty()
    }

    fn reasons(&self, pick: impl Fn(&Condition) -> Option<&String>) -> Vec<String> {
        let conditions = self.0.conditions.lock();
        let picked = conditions.iter().filter_map(|(name, condition)| {
            pick(condition).map(|reason| format!("{name}: {reason}"))
        });
        picked.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ready_needs_every_condition_and_at_least_one() {
        let health = Health::new();
        assert_eq!(health.not_ready_reasons(), ["starting"]);
        assert_eq!(health.troubles().len(), 1);
        let mut changes = health.changes();
        health.not_ready("map", "no snapshot yet");
        health.ok("disk");
        assert_eq!(health.not_ready_reasons(), ["map: no snapshot yet"]);
        assert!(health.problems().is_empty());
        health.ok("map");
        assert!(health.ready());
        assert!(changes.has_changed().unwrap() && health.troubles().is_empty());
        changes.mark_unchanged();
        health.ok("map");
        assert!(!changes.has_changed().unwrap());
        health.unhealthy("disk", "full");
        let full = Condition::Unhealthy("full".into());
        assert_eq!(health.troubles(), [("disk".to_owned(), full)]);
        assert_eq!(health.problems(), ["disk: full"]);
        assert_eq!(health.not_ready_reasons(), ["disk: full"]);
        assert_eq!(health.get("map"), Some(Condition::Ok));
    }
}
