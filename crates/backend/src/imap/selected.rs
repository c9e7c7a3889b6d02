//! The selected mailbox of a session: the view that the client knows, and what it may do there.

use std::ops::RangeInclusive;
use std::sync::Arc;

use murder_imap::{Code, FetchItem, SequenceSet};
use murder_mailbox::{Identity, MailboxId, Rights};
use murder_session::ShownMailbox;
use murder_store::{Flags, MailboxHandle, MailboxView, MessageRow, Partition, UidSet};
use parking_lot::Mutex;

use crate::imap::account::User;
use crate::imap::contexts::Contexts;
use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::{OpError, bad, no};
use crate::imap::fetch::PartCache;
use crate::imap::notify::Wants;
use crate::imap::search::Scope;
use crate::node::Found;

/// A selected mailbox.
pub(crate) struct Selected {
    /// The mailbox.
    pub handle: Arc<MailboxHandle>,
    /// Where it is.
    pub partition: Arc<Partition>,
    /// What the client knows: sequence numbers are this view's. It is `newest`, with the
    /// messages put back that went without the client having been told.
    pub view: Arc<MailboxView>,
    /// The mailbox as it was when the client was last told of changes.
    pub newest: Arc<MailboxView>,
    /// Opened by EXAMINE: nothing is changed.
    pub examined: bool,
    /// The user's rights when it was selected, which PERMANENTFLAGS tells; those that count are
    /// looked up at each command, see [`Selected::rights`].
    pub at_select: Rights,
    /// The user's rights, and the [`MailboxHandle::meta_version`] of which they are.
    rights: Mutex<(u64, Rights)>,
    /// Whether the user may hear of the mailbox, as of [`Selected::note_rights`].
    pub hears: bool,
    /// What is `\Recent` in this session.
    pub recent: UidSet,
    /// What `$` means (RFC 5182), messages that have gone since included.
    pub saved: UidSet,
    /// Whose `\Seen` counts; `None` for the owner.
    pub seen_user: Option<String>,
    /// What the client has enabled.
    pub enabled: Enabled,
    /// The client has asked for mod-sequences (RFC 7162 section 3.1): it is told them with every
    /// change of flags. Commands that ask for them set it, for the session to enable CONDSTORE.
    pub condstore: bool,
    /// What the client has to be told of mod-sequences at the end of the command.
    pub modseq: ModSeqNews,
    /// The command under way is a UID command: changes are told with the UID (RFC 9051
    /// section 6.4.9).
    pub uid_command: bool,
    /// Which events the client is told.
    pub wants: Wants,
    /// Messages whose flags changed, of which the client was not told as it does not want to be.
    pub untold: UidSet,
    /// New messages of which the client is to be sent items.
    pub arrived: UidSet,
    /// Messages that the client has put here itself, of which it is sent none.
    pub own_arrivals: UidSet,
    /// Messages that have come into the result of a search, and the items of them that the client
    /// wants.
    pub joined: Vec<(UidSet, Vec<FetchItem>)>,
    /// Searches whose changes are told.
    pub contexts: Contexts,
    /// Where the parts of the large message are that the client is fetching in pieces.
    pub parts: PartCache,
    /// Shows operators that it is selected.
    pub shown: Option<ShownMailbox>,
    /// It was deleted, and the client has its BYE: the session ends.
    pub gone: bool,
}

/// The version of no [`MailboxHandle::meta_version`].
const NOT_FOUND_OUT: u64 = u64::MAX;

/// What a client that counts mod-sequences has to be told of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ModSeqNews {
    /// The mailbox's HIGHESTMODSEQ when nothing that had happened was kept from the client.
    pub complete: u64,
    /// It has to be told how far it has come: it hears of mod-sequences for the first time, or
    /// was told that messages went, from which it could not tell.
    pub due: bool,
    /// The client was told mod-sequences by this command.
    pub told: bool,
}

impl Selected {
    /// The client has put messages into mailbox `id` itself, if into this one.
    pub fn note_own_arrivals(&mut self, id: MailboxId, uids: &[u32]) {
        if (self.wants.items || self.contexts.want_items()) && self.handle.id() == id {
            for uid in uids {
                self.own_arrivals.insert(*uid);
            }
        }
    }

    /// Selects `handle`, the mailbox `found`, for `user` who has enabled `enabled`.
    pub fn new(
        found: Found,
        handle: Arc<MailboxHandle>,
        user: &User,
        enabled: Enabled,
        examined: bool,
    ) -> Self {
        let view = handle.view();
        let rights = found.rights_of(&user.identity);
        let mut selected = Self {
            at_select: rights,
            rights: Mutex::new((NOT_FOUND_OUT, rights)),
            hears: true,
            seen_user: user.seen_in(&found.meta.name).map(str::to_owned),
            partition: found.partition,
            newest: Arc::clone(&view),
            view: Arc::clone(&view),
            handle,
            examined,
            recent: UidSet::new(),
            saved: UidSet::new(),
            enabled,
            condstore: enabled.has(Extension::CondStore),
            modseq: ModSeqNews {
                complete: view.highest_modseq(),
                ..ModSeqNews::default()
            },
            uid_command: false,
            wants: Wants::default(),
            untold: UidSet::new(),
            arrived: UidSet::new(),
            own_arrivals: UidSet::new(),
            joined: Vec::new(),
            contexts: Contexts::default(),
            parts: PartCache::default(),
            shown: None,
            gone: false,
        };
        selected.take_recent(&view);
        selected
    }

    /// Whether the answer to SELECT is READ-ONLY: by EXAMINE, or because the user may neither
    /// add nor remove messages nor change a flag that all users share (RFC 4314 section 5.2).
    pub fn is_read_only(&self) -> bool {
        let mut writing = Rights::INSERT
            .union(Rights::EXPUNGE)
            .union(Rights::WRITE)
            .union(Rights::DELETE_MESSAGES);
        if self.seen_user.is_none() || self.view.shared_seen() {
            writing = writing.union(Rights::SEEN);
        }
        self.examined || !self.at_select.intersects(writing)
    }

    /// Looks whether `identity` may still read the mailbox: else its client is told nothing more of
    /// it, not even that it is deleted, and goes on knowing it as it was.
    pub fn note_rights(&mut self, identity: &Identity) {
        self.hears = self.rights(identity).contains(Rights::READ);
    }

    /// The rights that `identity` has now. Once the mailbox is deleted, those it had: its last
    /// view can be read, and the store refuses changes.
    pub fn rights(&self, identity: &Identity) -> Rights {
        let version = self.handle.meta_version();
        let mut rights = self.rights.lock();
        if rights.0 != version {
            let Some(meta) = self.handle.meta() else {
                return rights.1;
            };
            let partition = Arc::clone(&self.partition);
            *rights = (version, Found { partition, meta }.rights_of(identity));
        }
        rights.1
    }

    /// The user's identity is another: rights that were found out for it count no longer.
    pub fn forget_rights(&mut self) {
        self.rights.get_mut().0 = NOT_FOUND_OUT;
    }

    /// The rights that `identity` has now, among them `needed`.
    ///
    /// # Errors
    /// NO NOPERM without `needed`.
    pub fn require(
        &self,
        identity: &Identity,
        needed: Rights,
        missing: &'static str,
    ) -> Result<Rights, OpError> {
        let rights = self.rights(identity);
        match rights.contains(needed) {
            true => Ok(rights),
            false => Err(no(Code::NoPerm, missing)),
        }
    }

    /// Refuses changes of an examined mailbox.
    ///
    /// # Errors
    /// NO READ-ONLY.
    pub fn require_writable(&self) -> Result<(), OpError> {
        match self.examined {
            true => Err(no(Code::ReadOnly, "Mailbox is open read-only")),
            false => Ok(()),
        }
    }

    /// The messages that a set means, as ascending ranges of sequence numbers in `view`.
    ///
    /// # Errors
    /// BAD for a sequence number that there is not.
    pub fn places(
        &self,
        uid: bool,
        set: &SequenceSet,
    ) -> Result<Vec<RangeInclusive<u32>>, OpError> {
        let view = &self.view;
        if uid || set.is_saved_result() {
            let last = view.last_uid().unwrap_or(0);
            let uids = match set.is_saved_result() {
                true => self.saved_there(),
                false => set.resolve(last),
            };
            return Ok(uids
                .into_iter()
                .map(|uids| {
                    let above = uids.end().checked_add(1);
                    let end = above.map_or(view.len(), |above| view.seq_from_uid(above) - 1);
                    view.seq_from_uid(*uids.start())..=end
                })
                .filter(|places| !places.is_empty())
                .collect());
        }
        // `n:*` means the last message even if there are fewer than n.
        if !set.has_star() && set.largest_number().is_some_and(|n| n > view.len()) {
            return Err(bad("There is no message with that number"));
        }
        Ok(set
            .resolve(view.len())
            .into_iter()
            .map(|places| *places.start()..=(*places.end()).min(view.len()))
            .filter(|places| !places.is_empty())
            .collect())
    }

    /// What `$` means, without the messages that are gone, told or not (RFC 5182 section 2.1).
    fn saved_there(&self) -> Vec<RangeInclusive<u32>> {
        let ranges = |set: &UidSet| {
            set.ranges()
                .iter()
                .map(|(low, high)| *low..=*high)
                .collect()
        };
        if !self.holds_expunged() {
            return ranges(&self.saved);
        }
        // A saved range holds nothing but messages that were there.
        let there = |uid: &u32| self.newest.seq_of(*uid).is_some();
        ranges(&self.saved.iter().filter(there).collect())
    }

    /// The mailbox, to be searched.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            partition: &self.partition,
            handle: &self.handle,
            view: &self.view,
            newest: &self.newest,
            seen_user: self.seen_user.as_deref(),
            recent: &self.recent,
        }
    }

    /// The UIDs of messages.
    pub fn uids(&self, places: &[RangeInclusive<u32>]) -> UidSet {
        places
            .iter()
            .flat_map(|range| self.view.rows(*range.start(), *range.end()))
            .map(|row| row.uid)
            .collect()
    }

    /// The flags of a message of `view` as the user sees them.
    pub fn flags_of(&self, view: &MailboxView, row: &MessageRow) -> Flags {
        view.flags_for(row, self.seen_user.as_deref())
    }

    /// Whether a message is told to be `\Recent`: IMAP4rev2 has no such flag.
    pub fn is_recent(&self, uid: u32) -> bool {
        !self.enabled.has(Extension::Rev2) && self.recent.contains(uid)
    }

    /// Whether the client may know messages that are gone.
    pub fn holds_expunged(&self) -> bool {
        !Arc::ptr_eq(&self.view, &self.newest)
    }

    /// Makes the new messages of `view` `\Recent` here, if they are in no other session.
    pub fn take_recent(&mut self, view: &MailboxView) {
        let recent = self.handle.take_recent(view, self.is_read_only());
        if let Some(last) = recent.end.checked_sub(1) {
            self.recent.insert_range(recent.start, last);
        }
    }

    /// RECENT: how many messages of `view` are.
    pub fn recent_count(&self) -> u32 {
        self.recent
            .ranges()
            .iter()
            .map(|&(low, high)| {
                let above = high.checked_add(1);
                let end = above.map_or(self.view.len() + 1, |above| self.view.seq_from_uid(above));
                end - self.view.seq_from_uid(low)
            })
            .sum()
    }
}

/// The words of a FLAGS item, without allocating.
pub(crate) fn flag_words(
    view: &MailboxView,
    flags: Flags,
    recent: bool,
    keywords: u64,
) -> impl Iterator<Item = &str> {
    const SYSTEM: [(Flags, &str); 5] = [
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::SEEN, "\\Seen"),
        (Flags::DRAFT, "\\Draft"),
    ];
    SYSTEM
        .into_iter()
        .filter(move |(flag, _)| flags.contains(*flag))
        .map(|(_, word)| word)
        .chain(recent.then_some("\\Recent"))
        .chain(view.keywords().names(keywords))
}
