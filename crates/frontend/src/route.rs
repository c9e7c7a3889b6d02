//! From a mailbox name to the backend that holds it.

use std::sync::Arc;
use std::time::Duration;

use murder_location::{Location, MailboxState, Replica};
use murder_mailbox::{Identity, MailboxName, Rights};

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

/// Who looks a name up. A mailbox on which they have neither `l` nor one of the rights that count for
/// what they are about does not exist for them (RFC 4314 section 6): it leads nowhere, after the same
/// waits, and before a backend is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewer<'a> {
    /// Who it is.
    pub identity: &'a Identity,
    /// Each of these rights makes the mailbox known.
    pub by: Rights,
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// There is no such mailbox.
    #[error("Mailbox does not exist")]
    NotFound,
    /// It is about to be deleted, or has been already.
    #[error("Mailbox is being deleted, try again")]
    Deleting,
    /// Its backend, asked again after a barrier, does not hold it.
    #[error("Mailbox cannot be found on its backend")]
    NotHeld,
    /// Nobody serves its partition.
    #[error("Mailbox is in a partition that no backend serves")]
    NoOwner,
}

/// Looks for a mailbox where the map says that it is, and once more, where the map says after a barrier,
/// when the backend there does not hold it:
///
/// ```text
/// loop {
///     let place = lookup.next(…).await?;
///     // asks the backend
///     if !completion.is_not_here() {
///         return Ok(completion);
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    tries: u32,
}

impl Lookup {
    /// The next place to try; `look` looks into the map.
    ///
    /// # Errors
    /// What `look` says, also after a barrier; [`RouteError::NotHeld`] after two tries.
    pub(crate) async fn next<T, E: From<RouteError>>(
        &mut self,
        router: &Router,
        look: impl Fn() -> Result<T, E>,
    ) -> Result<T, E> {
        self.tries += 1;
        match self.tries {
            // A miss only counts after a barrier.
            1 => match look() {
                Ok(place) => Ok(place),
                Err(_) => {
                    router.barrier().await;
                    look()
                }
            },
            2 => {
                tracing::debug!("the mailbox is not there, looking again");
                router.barrier().await;
                look()
            }
            _ => {
                tracing::error!("the backend that the map names does not hold the mailbox");
                Err(RouteError::NotHeld.into())
            }
        }
    }

    /// The same for a mailbox as far as `viewer` may know of it.
    pub(crate) async fn next_as(
        &mut self,
        router: &Router,
        viewer: Viewer<'_>,
        name: &MailboxName,
    ) -> Result<Place, RouteError> {
        self.next(router, || router.look_as(viewer, name)).await
    }
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

    /// Where the map says that `name` is, as far as `viewer` may know of it.
    pub(crate) fn look_as(
        &self,
        viewer: Viewer<'_>,
        name: &MailboxName,
    ) -> Result<Place, RouteError> {
        self.look_if(name, Some(viewer))
    }

    /// Where the map says that `name` is, whoever may know.
    pub(crate) fn look(&self, name: &MailboxName) -> Result<Place, RouteError> {
        self.look_if(name, None)
    }

    fn look_if(&self, name: &MailboxName, viewer: Option<Viewer<'_>>) -> Result<Place, RouteError> {
        let tables = self.replica.read();
        let entry = tables.map.entry(name.as_str());
        let entry = entry.filter(|entry| {
            viewer.is_none_or(|viewer| {
                let known_by = viewer.by.union(Rights::LOOKUP);
                entry.rights_of(viewer.identity).intersects(known_by)
            })
        });
        let location = entry.ok_or(RouteError::NotFound)?.location();
        match location.state {
            MailboxState::Active => {}
            MailboxState::Deleting => return Err(RouteError::Deleting),
            // Its creation is under way.
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

    /// The same, as far as `viewer` may know of it.
    pub(crate) async fn find_as(
        &self,
        viewer: Viewer<'_>,
        name: &MailboxName,
    ) -> Result<Place, RouteError> {
        match self.look_as(viewer, name) {
            Ok(place) => Ok(place),
            Err(_) => self.find_again_as(viewer, name).await,
        }
    }

    /// Where `name` is once the map has everything that the master has. Without the master
    /// the map's word counts as it is.
    pub(crate) async fn find_again(&self, name: &MailboxName) -> Result<Place, RouteError> {
        self.barrier().await;
        self.look(name)
    }

    /// The same, as far as `viewer` may know of it.
    pub(crate) async fn find_again_as(
        &self,
        viewer: Viewer<'_>,
        name: &MailboxName,
    ) -> Result<Place, RouteError> {
        self.barrier().await;
        self.look_as(viewer, name)
    }

    /// Whether `identity` may make `name`: by right `k` on the nearest mailbox above it; where there
    /// is none, homes are made by their owners, and by administrators, shared trees by administrators
    /// only. The backend decides by the same rules. A right that is missing only counts after a
    /// barrier.
    pub(crate) async fn may_create(&self, identity: &Identity, name: &MailboxName) -> bool {
        self.may_create_by_map(identity, name) || {
            self.barrier().await;
            self.may_create_by_map(identity, name)
        }
    }

    fn may_create_by_map(&self, identity: &Identity, name: &MailboxName) -> bool {
        let tables = self.replica.read();
        let mut above = name.parent();
        while let Some(parent) = above {
            let entry = tables.map.entry(parent.as_str());
            if let Some(entry) = entry.filter(|e| e.state() != MailboxState::Reserved) {
                return entry.rights_of(identity).contains(Rights::CREATE);
            }
            above = parent.parent();
        }
        identity.admin || name.is_owned_by(&identity.user)
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
