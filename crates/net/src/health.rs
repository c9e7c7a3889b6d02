//! What a node says about itself on `/healthz` and `/readyz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

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

/// A node's conditions, each under a fixed name such as `map` or `partition:default`. Clones are
/// the same one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Condition>>>);

impl Health {
    /// One without conditions: healthy, but [`ready`](Self::ready) only once there is one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a condition.
    pub fn set(&self, name: &str, condition: Condition) {
        let mut conditions = self.0.lock();
        match conditions.get_mut(name) {
            Some(present) if *present == condition => {}
            Some(present) => {
                tracing::info!(condition = name, state = ?condition, "health changed");
                *present = condition;
            }
            None => {
                conditions.insert(name.to_owned(), condition);
            }
        }
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
        self.0.lock().get(name).cloned()
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
        if self.0.lock().is_empty() {
            return vec!["starting".to_owned()];
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
        let conditions = self.0.lock();
        let picked = conditions.iter().filter_map(|(name, condition)| {
            pick(condition).map(|reason| format!("{name}: {reason}"))
        });
        picked.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_every_condition_and_at_least_one() {
        let health = Health::new();
        assert_eq!(health.not_ready_reasons(), ["starting"]);
        health.not_ready("map", "no snapshot yet");
        health.ok("disk");
        assert_eq!(health.not_ready_reasons(), ["map: no snapshot yet"]);
        assert!(health.problems().is_empty());
        health.ok("map");
        assert!(health.ready());
        health.unhealthy("disk", "full");
        assert_eq!(health.problems(), ["disk: full"]);
        assert_eq!(health.not_ready_reasons(), ["disk: full"]);
        assert_eq!(health.get("map"), Some(Condition::Ok));
    }
}
