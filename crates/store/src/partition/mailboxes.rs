//! Mailboxes of a partition: create, delete, rename, and what is said about them.

use std::sync::Arc;

use murder_mailbox::{MailboxId, MailboxName, SpecialUse};

use super::Partition;
use crate::blocking::blocking;
use crate::catalogue::Listed;
use crate::command::{Create, Delete, DropHome, Op, Rename, RenameHome, SetMailbox, Subscribe};
use crate::entry::Outcome;
use crate::error::StoreError;
use crate::handle::MailboxHandle;
use crate::mailbox::{CreateMailbox, MailboxMeta, MailboxStatus, Renamed};
use crate::shared::Payload;
use crate::watch::{Watch, Watched, Watcher};

impl Partition {
    /// Makes a mailbox, and its home with the first one. Parents need not exist.
    ///
    /// # Errors
    /// [`StoreError::MailboxExists`], [`StoreError::OverQuota`], and those of every change.
    pub async fn create_mailbox(
        &self,
        name: &MailboxName,
        create: CreateMailbox,
    ) -> Result<MailboxMeta, StoreError> {
        let shared = &self.shared;
        let _keys = shared.home_keys.read().await;
        let home = shared.catalogue.home_or_reserve(name.home_key());
        let op = Op::Create(new_mailbox(home, name, create));
        one_mailbox(shared.submit_one(op, Payload::default()).await?)
    }

    /// Deletes a mailbox and its messages; its name is free at once, and it can be restored for
    /// [`delete_delay`](crate::PartitionConfig::delete_delay). Mailboxes below it stay. With the last mailbox of a
    /// home go its subscriptions.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn delete_mailbox(&self, name: &MailboxName) -> Result<MailboxMeta, StoreError> {
        let (home, mailbox) = self.find(name)?;
        let meta = mailbox.meta(name.home_key());
        let (now, keep_until) = self.shared.keep(self.shared.config.delete_delay);
        let op = Op::Delete(Delete {
            home,
            mailbox: mailbox.id.to_bytes().to_vec(),
            now,
            keep_until,
        });
        self.shared.submit_one(op, Payload::default()).await?;
        meta.ok_or(StoreError::NoSuchMailbox)
    }

    /// Renames a mailbox with everything below it, within its home, or a whole home. A name
    /// that only has mailboxes below it can be renamed too.
    ///
    /// # Errors
    /// [`StoreError::InboxRename`] for an INBOX within its home (see
    /// [`Partition::rename_inbox`]), [`StoreError::CrossHome`], [`StoreError::NoSuchMailbox`],
    /// [`StoreError::MailboxExists`], [`StoreError::RenameBelowItself`],
    /// [`StoreError::Name`] when a name would get too long, and those of every change.
    pub async fn rename_mailbox(
        &self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Vec<Renamed>, StoreError> {
        if from == to {
            return Err(StoreError::MailboxExists);
        }
        if to.is_below(from) {
            return Err(if from.is_inbox() {
                StoreError::InboxRename
            } else {
                StoreError::RenameBelowItself
            });
        }
        if from.home_key() != to.home_key() {
            if from.is_home_root() && to.is_home_root() {
                return self.rename_home(from, to).await;
            }
            return Err(StoreError::CrossHome);
        }
        let home = self
            .shared
            .catalogue
            .home(from.home_key())
            .ok_or(StoreError::NoSuchMailbox)?;
        for mailbox in self.shared.catalogue.of_home(from.home_key()) {
            if let Some(moved) = mailbox.name.moved(from, to) {
                moved?;
            }
        }
        let op = Op::Rename(Rename {
            home,
            from: from.relative().to_owned(),
            to: to.relative().to_owned(),
        });
        mailboxes(self.shared.submit_one(op, Payload::default()).await?)
    }

    /// RENAME of an INBOX (RFC 9051 section 6.3.6): makes the mailbox `to`, in the same home,
    /// moves all messages of the INBOX into it and leaves the INBOX empty. Returns the new
    /// mailbox.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::MailboxExists`],
    /// [`StoreError::CrossHome`], and those of every change.
    pub async fn rename_inbox(
        &self,
        inbox: &MailboxName,
        to: &MailboxName,
        create: CreateMailbox,
    ) -> Result<MailboxMeta, StoreError> {
        if inbox.home_key() != to.home_key() || !inbox.is_home_root() {
            return Err(StoreError::CrossHome);
        }
        let (home, _) = self.find(inbox)?;
        let op = Op::RenameInbox(new_mailbox(home, to, create));
        one_mailbox(self.shared.submit_one(op, Payload::default()).await?)
    }

    async fn rename_home(
        &self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Vec<Renamed>, StoreError> {
        let shared = &self.shared;
        // Nobody creates a mailbox in either home until the keys are settled.
        let _keys = shared.home_keys.write().await;
        let catalogue = &shared.catalogue;
        let home = catalogue
            .home(from.home_key())
            .ok_or(StoreError::NoSuchMailbox)?;
        let mailboxes_of = catalogue.of_home(from.home_key());
        if mailboxes_of.is_empty() {
            return Err(StoreError::NoSuchMailbox);
        }
        for mailbox in mailboxes_of {
            if let Some(moved) = mailbox.name.moved(from, to) {
                moved?;
            }
        }
        let mut uidvalidity_floor = 0;
        if let Some(displaced) = catalogue.home(to.home_key()) {
            if !catalogue.home_mailboxes(displaced).is_empty() {
                return Err(StoreError::MailboxExists);
            }
            let op = Op::DropHome(DropHome { home: displaced });
            if let Outcome::Dropped { uidvalidity } =
                shared.submit_one(op, Payload::default()).await?
            {
                uidvalidity_floor = uidvalidity.saturating_add(1);
            }
        }
        let op = Op::RenameHome(RenameHome {
            home,
            key: to.home_key().to_owned(),
            uidvalidity_floor,
        });
        mailboxes(shared.submit_one(op, Payload::default()).await?)
    }

    /// Replaces a mailbox's access control list (Cyrus's text form).
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn set_acl(&self, name: &MailboxName, acl: &str) -> Result<MailboxMeta, StoreError> {
        self.set(name, |set| set.acl = Some(acl.to_owned())).await
    }

    /// Raises a mailbox's UIDVALIDITY to at least this, where clients may have seen another mailbox
    /// under its name; its UIDs stay.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn raise_uidvalidity(
        &self,
        name: &MailboxName,
        at_least: u32,
    ) -> Result<MailboxMeta, StoreError> {
        self.set(name, |set| set.uidvalidity = Some(at_least)).await
    }

    /// Says what a mailbox is for.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn set_special_use(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxMeta, StoreError> {
        self.set(name, |set| set.special_use = Some(use_text(special_use)))
            .await
    }

    /// Says whether `\Seen` is one flag for all users of a mailbox.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], and those of every change.
    pub async fn set_shared_seen(
        &self,
        name: &MailboxName,
        shared_seen: bool,
    ) -> Result<MailboxMeta, StoreError> {
        self.set(name, |set| set.shared_seen = Some(shared_seen))
            .await
    }

    async fn set(
        &self,
        name: &MailboxName,
        change: impl FnOnce(&mut SetMailbox),
    ) -> Result<MailboxMeta, StoreError> {
        let (home, mailbox) = self.find(name)?;
        let mut set = SetMailbox {
            home,
            mailbox: mailbox.id.to_bytes().to_vec(),
            ..SetMailbox::default()
        };
        change(&mut set);
        one_mailbox(
            self.shared
                .submit_one(Op::SetMailbox(set), Payload::default())
                .await?,
        )
    }

    /// Subscribes the owner of the home `home` (a [`MailboxName::home_key`]) to a mailbox,
    /// which may be anywhere and need not exist.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], and those of every change.
    pub async fn subscribe(&self, home: &str, name: &MailboxName) -> Result<(), StoreError> {
        self.subscription(home, name, true).await
    }

    /// Takes a subscription back.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], and those of every change.
    pub async fn unsubscribe(&self, home: &str, name: &MailboxName) -> Result<(), StoreError> {
        self.subscription(home, name, false).await
    }

    async fn subscription(
        &self,
        home: &str,
        name: &MailboxName,
        on: bool,
    ) -> Result<(), StoreError> {
        let home = self
            .shared
            .catalogue
            .home(home)
            .ok_or(StoreError::NoSuchHome)?;
        let op = Op::Subscribe(Subscribe {
            home,
            name: name.as_str().to_owned(),
            on,
        });
        self.shared.submit_one(op, Payload::default()).await?;
        Ok(())
    }

    /// What the owner of the home `home` is subscribed to, sorted.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHome`], [`StoreError::Io`].
    pub async fn subscriptions(&self, home: &str) -> Result<Vec<MailboxName>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let home = shared.catalogue.home(home).ok_or(StoreError::NoSuchHome)?;
        let names = blocking(move || shared.readers.with(home, |r| r.subscriptions())).await?;
        Ok(names
            .iter()
            .filter_map(|name| MailboxName::parse_canonical(name).ok())
            .collect())
    }

    /// Every mailbox of the partition, home by home.
    #[must_use]
    pub fn mailboxes(&self) -> Vec<MailboxMeta> {
        self.shared.catalogue.all()
    }

    /// The mailboxes of one home (a [`MailboxName::home_key`]), sorted by name.
    #[must_use]
    pub fn home_mailboxes(&self, home: &str) -> Vec<MailboxMeta> {
        self.shared.catalogue.of_home(home)
    }

    /// The mailboxes whose ACLs give `identifier` right `l`, of all homes or of the one with this key,
    /// in portions, each of which is as of one moment. Those that are in the identifier's own home are
    /// not among them.
    pub fn granted(
        &self,
        identifier: &str,
        home: Option<&str>,
    ) -> impl Iterator<Item = Vec<MailboxMeta>> {
        let catalogue = &self.shared.catalogue;
        let home = home.map(|key| catalogue.home(key));
        let mut after = None;
        let portions = std::iter::from_fn(move || {
            let home = match home {
                Some(None) => return None,
                home => home.flatten(),
            };
            let portion = catalogue.granted(identifier, home, &mut after);
            (!portion.is_empty()).then_some(portion)
        });
        portions.fuse()
    }

    /// The keys of all homes, also of those that only have what can be restored, sorted.
    #[must_use]
    pub fn homes(&self) -> Vec<Arc<str>> {
        self.shared.catalogue.keys()
    }

    /// Tells `watcher` from now on what happens there. Everything is told after it is shown.
    #[must_use]
    pub fn watch(&self, watched: Watched<'_>, watcher: &Arc<Watcher>) -> Watch {
        self.shared.watchers.add(watched, watcher)
    }

    /// How many homes and mailboxes there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.shared.catalogue.counts()
    }

    /// The mailbox of that name.
    #[must_use]
    pub fn lookup(&self, name: &MailboxName) -> Option<MailboxMeta> {
        self.shared.catalogue.find(name)?.1.meta(name.home_key())
    }

    /// The counters of a mailbox, with `\Seen` as `user` has it (`None`: the owner).
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::Io`].
    pub async fn status(
        &self,
        name: &MailboxName,
        user: Option<&str>,
    ) -> Result<MailboxStatus, StoreError> {
        let (home, mailbox) = self.find(name)?;
        let id = mailbox.id;
        let shared = Arc::clone(&self.shared);
        let recent = shared.recents.get(id);
        let mut status = blocking(move || shared.readers.with(home, |r| r.status(id, recent)))
            .await?
            .ok_or(StoreError::NoSuchMailbox)?;
        if let Some(user) = user.filter(|_| !mailbox.shared_seen) {
            let view = self.open_mailbox(name).await?.view();
            let unseen = view
                .rows(1, view.len())
                .filter(|r| !view.is_seen(r, Some(user)));
            status.unseen = u32::try_from(unseen.count()).unwrap_or(u32::MAX);
        }
        Ok(status)
    }

    /// The bytes of a mailbox's messages with `\Deleted` (DELETED-STORAGE, RFC 9208). Costs a
    /// look at each message.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::Io`].
    pub async fn deleted_storage(&self, name: &MailboxName) -> Result<u64, StoreError> {
        let (home, mailbox) = self.find(name)?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            shared
                .readers
                .with(home, |reader| reader.deleted_bytes(mailbox.id))
        })
        .await
    }

    /// Opens a mailbox: its view is loaded when nobody had it open.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMailbox`], [`StoreError::Io`].
    pub async fn open_mailbox(&self, name: &MailboxName) -> Result<Arc<MailboxHandle>, StoreError> {
        let (home, mailbox) = self.find(name)?;
        self.open_by_id(home, mailbox.id).await
    }

    pub(super) async fn open_by_id(
        &self,
        home: u64,
        id: MailboxId,
    ) -> Result<Arc<MailboxHandle>, StoreError> {
        let shared = &self.shared;
        let handle = self.handles.get_or_make(id, |registry| {
            MailboxHandle::new(id, home, Arc::clone(shared), registry)
        });
        handle
            .loaded
            .get_or_try_init(|| {
                let (shared, handle) = (Arc::clone(shared), Arc::clone(&handle));
                blocking(move || {
                    let (view, recent) = shared
                        .readers
                        .with(home, |r| r.load_view(id))?
                        .ok_or(StoreError::NoSuchMailbox)?;
                    crate::Metrics::add(&shared.metrics.views_loaded, 1);
                    handle.finish_loading(view, recent);
                    Ok(())
                })
            })
            .await?;
        self.handles.touch(&handle);
        Ok(handle)
    }

    pub(super) fn find(&self, name: &MailboxName) -> Result<(u64, Listed), StoreError> {
        self.shared
            .catalogue
            .find(name)
            .ok_or(StoreError::NoSuchMailbox)
    }
}

fn use_text(special_use: Option<SpecialUse>) -> String {
    special_use.map_or_else(String::new, |u| u.as_str().to_owned())
}

pub(super) fn new_mailbox(home: u64, name: &MailboxName, create: CreateMailbox) -> Create {
    Create {
        home,
        key: name.home_key().to_owned(),
        name: name.relative().to_owned(),
        mailbox: create.id.to_bytes().to_vec(),
        uidvalidity: create.uidvalidity.max(1),
        acl: create.acl,
        special_use: use_text(create.special_use),
        now: create.now,
        shared_seen: create.shared_seen,
    }
}

fn mailboxes(outcome: Outcome) -> Result<Vec<Renamed>, StoreError> {
    match outcome {
        Outcome::Mailboxes(mailboxes) => Ok(mailboxes),
        _ => Err(StoreError::NoSuchMailbox),
    }
}

pub(super) fn one_mailbox(outcome: Outcome) -> Result<MailboxMeta, StoreError> {
    mailboxes(outcome)?
        .pop()
        .map(|renamed| renamed.meta)
        .ok_or(StoreError::NoSuchMailbox)
}
