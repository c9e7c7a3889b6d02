//! RENAME (RFC 9051 section 6.3.6).

use std::sync::Arc;

use murder_location::{Activate, MupdateClient, MupdateError, Operation, Reserve};
use murder_mailbox::{Acl, Identity, MailboxId, MailboxName, Rights, check_rename};
use murder_store::{Partition, Renamed};

use super::create::{NewMailbox, Origin, check_new};
use super::order::Unfinished;
use super::{ChangeError, Done};
use crate::node::{Found, Node};

/// What is said to who lacks the right.
const MISSING: &str = "You may not rename this mailbox";

/// A mailbox that gets a new name.
struct Moved {
    from: MailboxName,
    to: MailboxName,
}

/// Everything of this node that a rename concerns.
struct Subtree {
    /// Where some of it is; nearly always one.
    partitions: Vec<Arc<Partition>>,
    mailboxes: Vec<Moved>,
}

impl Node {
    /// RENAME, with everything below; an INBOX is emptied into a new mailbox. `from` may be a name
    /// that only has mailboxes below it.
    ///
    /// Within a home, or, for administrators, a whole home or shared tree.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn rename_mailbox(
        self: &Arc<Self>,
        identity: &Identity,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let (identity, from, to) = (identity.clone(), from.clone(), to.clone());
        self.to_the_end(|node| async move { node.rename(&identity, &from, &to).await })
            .await
    }

    async fn rename(
        &self,
        identity: &Identity,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let keys = [from.home_key(), to.home_key()];
        let _homes = self.changes.of_homes(&keys).await;
        let same_home = from.home_key() == to.home_key();
        let of_inbox = from.is_inbox() && same_home;
        let found = match self.find(from) {
            None if !of_inbox => {
                self.check_permitted_below(identity, from)?;
                None
            }
            _ => match self.find_permitted(identity, from, Rights::DELETE_MAILBOX, MISSING) {
                // What is said of a name that is none's, but has mailboxes below it.
                Err(hidden @ ChangeError::NoSuchMailbox { hidden: true }) if !of_inbox => {
                    return Err(match self.check_permitted_below(identity, from) {
                        Err(ChangeError::NoSuchMailbox { .. }) => hidden,
                        _ => ChangeError::NotPermitted(MISSING),
                    });
                }
                found => Some(found?),
            },
        };
        self.check_unknown(identity, to)?;
        check_new(to)?;
        check_rename(from, to, identity.admin)?;
        let place = self.place_for(identity, to).await?;
        if self.find(to).is_some() {
            return Err(ChangeError::AlreadyExists);
        }
        self.check_free(to)?;
        let done = match found.filter(|_| of_inbox) {
            Some(inbox) => {
                let new = NewMailbox {
                    id: MailboxId::new(),
                    name: to,
                    partition: &inbox.partition,
                    acl: place.acl,
                    special_use: None,
                    origin: Origin::Inbox(from),
                };
                self.make(new).await?.0
            }
            None => match self.conflicting(from).await? {
                Some(found) => self.rename_conflicting(&found, to).await?,
                None => self.rename_subtree(from, to).await?,
            },
        };
        audited!("mailbox.rename", identity, mailbox = %from, %to);
        Ok(done)
    }

    /// The mailbox of that name, if the master has another one under it.
    async fn conflicting(&self, from: &MailboxName) -> Result<Option<Found>, ChangeError> {
        let (Some(found), Some(cluster)) = (self.find(from), &self.cluster) else {
            return Ok(None);
        };
        let conflicting = self.is_anothers(cluster, &found).await?;
        Ok(conflicting.then_some(found))
    }

    /// Gives a mailbox whose name is another's a name of its own: the record of the old one stays
    /// with the other.
    async fn rename_conflicting(
        &self,
        found: &Found,
        to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let Some(cluster) = &self.cluster else {
            return Ok(Done::default());
        };
        let meta = &found.meta;
        let home = found.partition.home_mailboxes(meta.name.home_key());
        if home.iter().any(|other| other.name.is_below(&meta.name)) {
            return Err(ChangeError::Cannot(
                "The name is another mailbox's, and others are below it; rename those first",
            ));
        }
        let unfinished = self.changes.begin();
        let reserve = Reserve {
            name: to.clone(),
            id: meta.id,
            partition: self.place(&found.partition),
            acl: found.acl().clone(),
            special_use: meta.special_use.into_iter().collect(),
        };
        let master = self.master_of(cluster, &found.partition);
        let reserved = master.reserve(reserve).await?;
        let renamed = found.partition.rename_mailbox(&meta.name, to).await?;
        let mut activate = Activate::new(to.clone(), meta.id);
        // The new name may have had a greater one, here or by its reservation.
        let here = renamed.iter().map(|renamed| renamed.meta.uidvalidity).max();
        let there = reserved.mailbox.map(|mailbox| mailbox.location.uidvalidity);
        let uidvalidity = here.max(there).unwrap_or(meta.uidvalidity);
        found.partition.raise_uidvalidity(to, uidvalidity).await?;
        activate.uidvalidity = Some(uidvalidity);
        let revision = master.activate(activate).await?.revision;
        unfinished.settled();
        Ok(Done {
            revision: Some(revision),
        })
    }

    /// Whether each mailbox below `from`, which is none itself, may be renamed: it is they that
    /// are.
    fn check_permitted_below(
        &self,
        identity: &Identity,
        from: &MailboxName,
    ) -> Result<(), ChangeError> {
        let mut rights = Vec::new();
        for partition in self.partitions.open().iter() {
            let mailboxes = partition.home_mailboxes(from.home_key());
            let below = mailboxes.iter().filter(|m| m.name.is_below(from));
            let found = below.filter_map(|mailbox| self.find(&mailbox.name));
            rights.extend(found.map(|found| found.rights_of(identity)));
        }
        if rights.is_empty() {
            return Err(ChangeError::NoSuchMailbox { hidden: false });
        }
        if rights.iter().all(|r| r.contains(Rights::DELETE_MAILBOX)) {
            return Ok(());
        }
        Err(match rights.iter().any(|r| r.contains(Rights::LOOKUP)) {
            true => ChangeError::NotPermitted(MISSING),
            false => ChangeError::NoSuchMailbox { hidden: true },
        })
    }

    async fn rename_subtree(
        &self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Done, ChangeError> {
        let subtree = self.subtree(from, to)?;
        let Some(cluster) = &self.cluster else {
            for partition in &subtree.partitions {
                let renamed = partition.rename_mailbox(from, to).await?;
                self.hand_over(from, to, partition, &renamed).await?;
            }
            return Ok(Done::default());
        };
        let unfinished = self.changes.begin();
        let [partition] = &*subtree.partitions else {
            unfinished.settled();
            return Err(ChangeError::Cannot("Part of it is in another partition"));
        };
        let master = self.master_of(cluster, partition);
        let changed = match master.rename(from, to, true).await {
            Ok(changed) => changed,
            Err(error) => return Err(refused(error, unfinished)),
        };
        let mut done = Done {
            revision: Some(changed.revision),
        };
        let before = uidvalidities(partition, from);
        let renamed = match partition.rename_mailbox(from, to).await {
            Ok(renamed) => renamed,
            Err(error) => {
                take_back(&master, &subtree, unfinished).await;
                return Err(error.into());
            }
        };
        let raised = renamed.iter().filter_map(|renamed| {
            let meta = &renamed.meta;
            let same = before.contains(&(meta.id, meta.uidvalidity));
            (!same).then(|| {
                let mut activate = Activate::new(meta.name.clone(), meta.id);
                activate.uidvalidity = Some(meta.uidvalidity);
                Operation::Activate(activate)
            })
        });
        let raised: Vec<Operation> = raised.collect();
        if !raised.is_empty() {
            // The names had greater UIDVALIDITYs once, which never come back.
            let committed = master.commit(raised).await;
            let committed = committed.map_err(ChangeError::of_last_step)?;
            done.revision = Some(committed.revision);
        }
        let handed_over = self.hand_over(from, to, partition, &renamed).await?;
        done.revision = handed_over.revision.or(done.revision);
        unfinished.settled();
        Ok(done)
    }

    /// A user with a new name keeps the rights that the old name had at home.
    async fn hand_over(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        partition: &Partition,
        renamed: &[Renamed],
    ) -> Result<Done, ChangeError> {
        let mut done = Done::default();
        let (Some(old), Some(new)) = (from.owner_user(), to.owner_user()) else {
            return Ok(done);
        };
        if old == new {
            return Ok(done);
        }
        for renamed in renamed {
            let mut acl = Acl::clone(&renamed.meta.acl);
            let rights = acl.get(&old);
            if rights.is_empty() {
                continue;
            }
            acl.remove(&old);
            acl.set(&new, acl.get(&new).union(rights))?;
            done = self.write_acl(partition, &renamed.meta, &acl).await?;
        }
        Ok(done)
    }

    /// What lies at and below `from` here, with its new names.
    fn subtree(&self, from: &MailboxName, to: &MailboxName) -> Result<Subtree, ChangeError> {
        let mut subtree = Subtree {
            partitions: Vec::new(),
            mailboxes: Vec::new(),
        };
        for partition in self.partitions.open().iter() {
            let before = subtree.mailboxes.len();
            for mailbox in partition.home_mailboxes(from.home_key()) {
                if let Some(new) = mailbox.name.moved(from, to) {
                    subtree.mailboxes.push(Moved {
                        to: new?,
                        from: mailbox.name,
                    });
                }
            }
            if subtree.mailboxes.len() > before {
                subtree.partitions.push(Arc::clone(partition));
            }
        }
        for moved in &subtree.mailboxes {
            let taken = self.find(&moved.to).is_some()
                && !subtree.mailboxes.iter().any(|other| other.from == moved.to);
            if taken {
                return Err(ChangeError::AlreadyExists);
            }
        }
        Ok(subtree)
    }
}

fn uidvalidities(partition: &Partition, from: &MailboxName) -> Vec<(MailboxId, u32)> {
    let home = partition.home_mailboxes(from.home_key());
    home.into_iter().map(|m| (m.id, m.uidvalidity)).collect()
}

/// The master has renamed nothing, or may have.
fn refused(error: MupdateError, unfinished: Unfinished<'_>) -> ChangeError {
    match error {
        MupdateError::NotOwner(_) => {
            unfinished.settled();
            ChangeError::Cannot("Part of it is on another backend")
        }
        MupdateError::TooLarge(_) => {
            unfinished.settled();
            ChangeError::Cannot("Too many mailboxes for one RENAME")
        }
        MupdateError::AlreadyExists { .. } => {
            unfinished.settled();
            ChangeError::AlreadyExists
        }
        error => ChangeError::of_deciding_step(error),
    }
}

/// The store would not: gives the mailboxes their old names back at the master. One by one,
/// since others may lie below the new name.
async fn take_back(master: &MupdateClient, subtree: &Subtree, unfinished: Unfinished<'_>) {
    let operations = subtree.mailboxes.iter().map(|moved| Operation::Rename {
        from: moved.to.clone(),
        to: moved.from.clone(),
        subtree: false,
    });
    match master.commit(operations.collect()).await {
        Ok(_) => unfinished.settled(),
        Err(error) => tracing::warn!(%error, "a rename was not taken back at the master"),
    }
}
