//! Whether a partition takes changes, and if not, why.

use parking_lot::RwLock;

use crate::error::StoreError;

/// The state of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// Reads and writes.
    #[default]
    Healthy,
    /// What was acknowledged is safe, but a home cannot be written at the moment. The store
    /// tries again by itself; new changes are refused meanwhile.
    Stalled {
        /// Why, for the operator.
        why: String,
    },
    /// Serves what it has until the operator acts and the node is restarted.
    ReadOnly {
        /// Why, for the operator.
        why: String,
    },
}

/// The state with who may change it.
#[derive(Debug, Default)]
pub(crate) struct HealthCell(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    health: Health,
    /// What callers are told while it is not healthy.
    refusal: Option<StoreError>,
}

impl HealthCell {
    pub fn get(&self) -> Health {
        self.0.read().health.clone()
    }

    /// Why a change is refused, if it is.
    pub fn refusal(&self) -> Option<StoreError> {
        self.0.read().refusal.clone()
    }

    /// Why the journal takes nothing, if it does not: what was queued before a stall may still
    /// be written, after damage nothing may.
    pub fn refusal_of_journal(&self) -> Option<StoreError> {
        match self.get() {
            Health::ReadOnly { .. } => self.refusal(),
            Health::Healthy | Health::Stalled { .. } => None,
        }
    }

    /// Changes are refused from now on.
    pub fn read_only(&self, error: &StoreError) {
        let mut state = self.0.write();
        if !matches!(state.health, Health::ReadOnly { .. }) {
            tracing::error!(%error, "partition is read-only now");
        }
        state.health = Health::ReadOnly {
            why: error.to_string(),
        };
        state.refusal = Some(match error {
            StoreError::Corrupt { .. } => error.clone(),
            _ => StoreError::ReadOnly {
                why: error.to_string(),
            },
        });
    }

    /// Changes are refused until [`HealthCell::recovered`].
    pub fn stalled(&self, error: &StoreError) {
        let mut state = self.0.write();
        if state.health == Health::Healthy {
            tracing::error!(%error, "partition is stalled");
            state.health = Health::Stalled {
                why: error.to_string(),
            };
            state.refusal = Some(error.clone());
        }
    }

    /// The reason to stall is gone.
    pub fn recovered(&self) {
        let mut state = self.0.write();
        if matches!(state.health, Health::Stalled { .. }) {
            tracing::info!("partition takes changes again");
            *state = State::default();
        }
    }
}
