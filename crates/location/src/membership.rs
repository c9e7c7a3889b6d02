//! Which murder a node belongs to, said with each of its calls.
//!
//! A node that has once taken a murder's records takes no other's: a master with an empty
//! directory, or with an old copy of its log, is refused by the master's own answer, before
//! anything is given to it or taken from it.

use std::sync::Arc;

use parking_lot::RwLock;
use tonic::metadata::{BinaryMetadataKey, MetadataMap, MetadataValue};

use crate::disk::MURDER_ID;

/// The metadata of a call: the murder's identity, then the revision, big-endian.
const KEY: &str = "murder-known-bin";

/// What a node knows of its murder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub murder_id: Vec<u8>,
    /// The newest revision that it has seen.
    pub revision: u64,
}

impl Known {
    /// What a caller says that it knows; `None` when it says nothing, as operators do.
    pub fn of(metadata: &MetadataMap) -> Option<Result<Self, ()>> {
        let value = metadata.get_bin(KEY)?;
        let bytes = match value.to_bytes() {
            Ok(bytes) if bytes.len() == MURDER_ID + 8 => bytes,
            _ => return Some(Err(())),
        };
        let (id, revision) = bytes.split_at(MURDER_ID);
        let revision = revision.try_into().map_err(|_| ());
        Some(revision.map(|revision| Self {
            murder_id: id.to_vec(),
            revision: u64::from_be_bytes(revision),
        }))
    }
}

/// Shared by a client and the replica that follows its master.
#[derive(Debug, Clone, Default)]
pub(crate) struct Membership(Arc<RwLock<Option<Known>>>);

impl Membership {
    /// From now on every call says so.
    pub(crate) fn set(&self, murder_id: &[u8], revision: u64) {
        if murder_id.len() != MURDER_ID {
            return;
        }
        *self.0.write() = Some(Known {
            murder_id: murder_id.to_vec(),
            revision,
        });
    }

    /// Says so with a call.
    pub(crate) fn tell(&self, metadata: &mut MetadataMap) {
        if let Some(known) = &*self.0.read() {
            let mut bytes = known.murder_id.clone();
            bytes.extend_from_slice(&known.revision.to_be_bytes());
            let value = MetadataValue::from_bytes(&bytes);
            metadata.insert_bin(BinaryMetadataKey::from_static(KEY), value);
        }
    }
}
