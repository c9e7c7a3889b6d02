//! From a mailbox name to the backend that holds it.

use std::sync::Arc;
use std::time::Duration;

use murder_mailbox::MailboxName;
use murder_mupdate::{Location, MailboxState, Replica};

/// How long a miss may wait for the master. A client that asks for what is not there waits
/// no longer than this when the master is slow.
const BARRIER: Duration = Duration::from_secs(2);
/// The same while the master is known to be away: just enough for it to come back within
/// a restart.
const BARRIER_WHILE_AWAY: Duration = Duration::from_millis(300);

/// How long LIST may wait for the master: it is answered all the same.
const CAUGHT_UP: Duration = Duration::from_millis(300);

/// Where a mailbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The mailbox.
    pub name: MailboxName,
    /// The node that serves its partition.
    pub node: String,
    /// What the map says about it.
    pub location: Location,
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// There is no such mailbox.
    #[error("Mailbox does not exist")]
    NotFound,
    /// It is on its way to another backend.
    #[error("Mailbox is being moved, try again")]
    Moving,
    /// Nobody serves its partition.
    #[error("Mailbox is in a partition that no backend serves")]
    NoOwner,
}

/// Looks names up in the replica.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    replica: Arc<Replica>,
}

impl Router {
    /// Over `replica`.
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica }
    }

    /// The replica.
    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Where the map says that `name` is.
    pub(crate) fn look(&self, name: &MailboxName) -> Result<Place, RouteError> {
        let tables = self.replica.read();
        let location = tables.map.find(name).ok_or(RouteError::NotFound)?;
        match location.state {
            MailboxState::Active => {}
            MailboxState::Moving => return Err(RouteError::Moving),
            // Its creation, or its deletion, is under way.
            MailboxState::Reserved => return Err(RouteError::NotFound),
        }
        let node = tables
            .partitions
            .get(&*location.partition)
            .map(|partition| partition.owner.clone())
            .ok_or(RouteError::NoOwner)?;
        Ok(Place {
            name: name.clone(),
            node,
            location,
        })
    }

    /// The same, but a miss only counts after a barrier: the mailbox may be so new that the
    /// map does not have it yet. So does a mailbox that cannot be used just now: its deletion,
    /// or its move, may have ended since.
    pub(crate) async fn find(&self, name: &MailboxName) -> Result<Place, RouteError> {
        match self.look(name) {
            Ok(place) => Ok(place),
            Err(_) => self.find_again(name).await,
        }
    }

    /// Where `name` is once the map has everything that the master has. Without the master
    /// the map's word counts as it is.
    pub(crate) async fn find_again(&self, name: &MailboxName) -> Result<Place, RouteError> {
        self.barrier().await;
        self.look(name)
    }

    /// Waits until the map has everything that the master had answered; whether it has.
    pub(crate) async fn barrier(&self) -> bool {
        let limit = if self.replica.connected() {
            BARRIER
        } else {
            BARRIER_WHILE_AWAY
        };
        match self.replica.barrier(limit).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "no barrier, answering from the map as it is");
                false
            }
        }
    }

    /// Waits, though not for long, until the map has everything that the master had answered:
    /// LIST shows what was made, renamed or granted on any frontend before. A name that is looked
    /// up needs this on a miss only; a list cannot know what it misses.
    pub(crate) async fn caught_up(&self) {
        if self.replica.connected()
            && let Err(error) = self.replica.barrier(CAUGHT_UP).await
        {
            tracing::debug!(%error, "no barrier, listing the map as it is");
        }
    }

    /// The nearest mailbox above `name` that is there, or else any of the same home: a home is
    /// in one place.
    pub(crate) fn nearest(&self, name: &MailboxName) -> Option<Place> {
        self.nearest_above(name).or_else(|| {
            let root = MailboxName::parse_canonical(name.home_key()).ok()?;
            let sibling = {
                let tables = self.replica.read();
                let mut home = tables.map.below(&root);
                home.find(|entry| entry.state() == MailboxState::Active)
                    .map(|entry| entry.mailbox_name())
            };
            self.look(&sibling?).ok()
        })
    }

    /// The nearest mailbox above `name` that is there.
    pub(crate) fn nearest_above(&self, name: &MailboxName) -> Option<Place> {
        let mut above = name.parent();
        while let Some(parent) = above {
            if let Ok(place) = self.look(&parent) {
                return Some(place);
            }
            above = parent.parent();
        }
        None
    }
}
