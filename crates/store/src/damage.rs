//! What of a partition is known to be damaged, for its health.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::StoreError;

/// What is damaged in a partition that is open. Everything else works, unless
/// [`Health`](crate::Health) says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Homes, by number, that refuse everything, and why.
    pub homes: BTreeMap<u64, String>,
    /// Files of the journal, by number, in which bodies live, and what is wrong with them. Bodies
    /// that cannot be read are [`StoreError::Corrupt`].
    pub files: BTreeMap<u64, String>,
}

impl Damage {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty() && self.files.is_empty()
    }
}

/// The damage with who may add to it.
#[derive(Debug, Default)]
pub(crate) struct DamageCell {
    known: Mutex<Damage>,
    /// Whether any home is damaged: looked at with each read, without the lock.
    any_home: AtomicBool,
}

impl DamageCell {
    pub fn get(&self) -> Damage {
        self.known.lock().clone()
    }

    /// Notes a damaged home; logged once.
    pub fn home(&self, home: u64, why: &str) {
        self.known.lock().homes.entry(home).or_insert_with(|| {
            tracing::error!(home, why, "a home is damaged");
            self.any_home.store(true, Ordering::Release);
            why.to_owned()
        });
    }

    /// Notes a damaged file of the journal; logged once.
    pub fn file(&self, number: u64, why: &str) {
        self.known.lock().files.entry(number).or_insert_with(|| {
            tracing::error!(segment = number, why, "a file of the journal is damaged");
            why.to_owned()
        });
    }

    /// Forgets a file that is no longer needed.
    pub fn forget_file(&self, number: u64) {
        self.known.lock().files.remove(&number);
    }

    /// Forgets a home that is no longer there.
    pub fn forget_home(&self, home: u64) {
        self.known.lock().homes.remove(&home);
    }

    /// Whether any home is damaged.
    pub fn any_home(&self) -> bool {
        self.any_home.load(Ordering::Acquire) && !self.known.lock().homes.is_empty()
    }

    /// # Errors
    /// [`StoreError::HomeDamaged`].
    pub fn check_home(&self, home: u64) -> Result<(), StoreError> {
        if !self.any_home.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.known.lock().homes.get(&home) {
            Some(why) => Err(StoreError::HomeDamaged {
                home,
                why: why.clone(),
            }),
            None => Ok(()),
        }
    }
}
