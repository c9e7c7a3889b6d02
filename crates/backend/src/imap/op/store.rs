//! STORE and UID STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3 for UNCHANGEDSINCE).

use std::collections::HashSet;
use std::sync::Arc;

use murder_imap::{Code, Flag, SequenceSet, StoreMode, StoreModifier, Tag};
use murder_mailbox::Rights;
use murder_store::{
    Flags, KeywordSet, Keywords, MailboxView, MessageRow, StoreError, StoreOp, Stored, UidSet,
};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, no, ok, ok_code};
use crate::imap::progress::{Pace, Progress};
use crate::imap::selected::Selected;
use crate::imap::updates::{Expunges, Own, refresh, tell, tell_messages};

/// The arguments, as they are written.
pub(crate) struct Change<'a> {
    /// UID STORE.
    pub uid: bool,
    pub set: &'a SequenceSet,
    pub modifiers: &'a [StoreModifier],
    pub mode: StoreMode,
    pub silent: bool,
    pub flags: &'a [Flag],
}

/// Changes flags, as far as the user may.
pub(crate) async fn store(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    tag: &Tag,
    change: Change<'_>,
) -> OpResult {
    let Change {
        uid,
        set,
        modifiers,
        mode,
        silent,
        flags,
    } = change;
    let user = &account.user;
    let known = Arc::clone(&selected.view);
    refresh(client, account, selected, uid).await?;
    selected.require_writable()?;
    let rights = selected.rights(&user.identity);
    let uids = selected.uids(&selected.places(uid, set)?);
    check_keywords(flags)?;
    let wanted = Wanted::of(flags);
    let Some(op) = wanted.permitted(mode, rights) else {
        return Err(no(Code::NoPerm, "You may not change these flags"));
    };
    let unchanged_since = modifiers
        .iter()
        .map(|StoreModifier::UnchangedSince(modseq)| *modseq)
        .min();
    selected.condstore |= unchanged_since.is_some();
    let op = StoreOp {
        user: selected.seen_user.clone(),
        unchanged_since,
        ..op
    };
    let mut done = UidSet::new();
    let mut modified = UidSet::new();
    if !uids.is_empty() {
        let pace = Pace::new(&client.imap, user, tag);
        let (writer, stream) = (&mut client.writer, &mut client.stream);
        let mut progress = Progress::new(writer, stream, &client.node.shutdown, pace);
        let work = run(selected, &known, &uids, &op);
        let stored = progress.during(None, work).await??;
        done = uids;
        done.subtract(&stored.modified);
        modified = stored.modified;
        let new = selected.handle.view();
        let expected = |flags, keywords| apply(&op, flags, keywords, new.keywords());
        let mut echo = match (unchanged_since, selected.condstore) {
            // RFC 7162 section 3.1.3: of each message, also if its flags were so before.
            (Some(_), _) => done.clone(),
            (None, true) => stored.changed,
            (None, false) => UidSet::new(),
        };
        if !silent {
            echo = done.clone();
            // Why they were left alone spares the client a FETCH.
            echo.union_with(&modified);
        }
        let own = match silent {
            true => Own::Silent {
                uids: &done,
                known: &known,
                expected: &expected,
                echo: &echo,
            },
            false => Own::Echo(&echo),
        };
        let (writer, stream) = (&mut client.writer, &mut client.stream);
        tell(selected, writer, stream, Expunges::Held, &own).await?;
        if silent && selected.hears {
            tell_messages(selected, writer, stream, &modified).await?;
        }
    }
    let is_gone = |uid: u32| selected.newest.seq_of(uid).is_none();
    let gone = !uid && selected.holds_expunged() && {
        match modified.is_empty() {
            // All that could be done is done: only who asks for nothing else, and waits for the
            // flags, hears that they are gone (RFC 2180 sections 4.2.1 and 4.2.2).
            true => !silent && !done.is_empty() && done.iter().all(is_gone),
            false => done.iter().any(is_gone),
        }
    };
    let numbers = modified.iter().filter_map(|number| match uid {
        true => Some(number),
        false => selected.view.seq_of(number),
    });
    match (SequenceSet::from_numbers(numbers), gone) {
        (None, false) => Ok(ok("STORE completed")),
        (Some(set), false) => Ok(ok_code(Code::Modified(set), "Conditional store failed")),
        // RFC 2180 section 4.2, and RFC 7162 section 3.1.3, example 11.
        (set, true) => Err(no(
            set.map_or(Code::ExpungeIssued, Code::Modified),
            "Some of the messages were expunged meanwhile",
        )),
    }
}

/// Changes flags in the store.
///
/// Of a message that another session has changed since the client was last told, a conditional
/// +FLAGS or -FLAGS is tried once more if none of *these* flags was changed: the client could not
/// know of the others, and is told of them now (RFC 7162 section 3.1.12).
async fn run(
    selected: &Selected,
    known: &MailboxView,
    uids: &UidSet,
    op: &StoreOp,
) -> Result<Stored, StoreError> {
    let (partition, handle) = (&selected.partition, &selected.handle);
    let mut stored = partition.store_flags(handle, uids, op.clone()).await?;
    let Some(since) = op.unchanged_since else {
        return Ok(stored);
    };
    if stored.modified.is_empty() || op.mode == murder_store::StoreMode::Replace {
        return Ok(stored);
    }
    let new = handle.view();
    let concerned = |view: &MailboxView, row: &MessageRow| {
        let flags = selected.flags_of(view, row) & op.flags;
        let has = |name: &String| {
            let keywords = view.keywords();
            let number = keywords.number(name);
            number.is_some_and(|number| keywords.has(row.keywords, number))
        };
        let keywords: Vec<bool> = op.keywords.iter().map(has).collect();
        (flags, keywords)
    };
    let mut again = UidSet::new();
    let mut newest = since;
    for uid in stored.modified.iter() {
        let (Some(before), Some(now)) = (known.row_by_uid(uid), new.row_by_uid(uid)) else {
            continue;
        };
        if before.modseq <= since && concerned(known, &before) == concerned(&new, &now) {
            again.insert(uid);
            newest = newest.max(now.modseq);
        }
    }
    if again.is_empty() {
        return Ok(stored);
    }
    let op = StoreOp {
        unchanged_since: Some(newest),
        ..op.clone()
    };
    let second = partition.store_flags(handle, &again, op).await?;
    again.subtract(&second.modified);
    stored.modified.subtract(&again);
    stored.changed.union_with(&second.changed);
    stored.modseq = second.modseq;
    Ok(stored)
}

/// The most octets of a keyword. A mailbox holds each that is used in it, and tells them all at
/// SELECT.
const MAX_KEYWORD: usize = 255;

/// Refuses keywords that are too long to be kept.
///
/// # Errors
/// NO LIMIT.
pub(super) fn check_keywords(flags: &[Flag]) -> Result<(), OpError> {
    let is_long = |flag: &Flag| matches!(flag, Flag::Keyword(keyword) if keyword.as_str().len() > MAX_KEYWORD);
    match flags.iter().any(is_long) {
        true => Err(no(Code::Limit, "Keyword is too long")),
        false => Ok(()),
    }
}

/// What a command wants set, or not.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// System flags.
    pub flags: Flags,
    /// Keywords by name.
    pub keywords: Vec<String>,
}

impl Wanted {
    /// Reads flags. `\Recent` is the server's own, and of other flags with a backslash there is
    /// none: they are passed over.
    pub fn of(flags: &[Flag]) -> Self {
        let mut wanted = Self::default();
        let mut known = HashSet::new();
        for flag in flags {
            match flag {
                Flag::Answered => wanted.flags |= Flags::ANSWERED,
                Flag::Flagged => wanted.flags |= Flags::FLAGGED,
                Flag::Deleted => wanted.flags |= Flags::DELETED,
                Flag::Seen => wanted.flags |= Flags::SEEN,
                Flag::Draft => wanted.flags |= Flags::DRAFT,
                Flag::Recent | Flag::Extension(_) => {}
                Flag::Keyword(keyword) => {
                    if known.insert(keyword.as_str().to_ascii_lowercase()) {
                        wanted.keywords.push(keyword.as_str().to_owned());
                    }
                }
            }
        }
        wanted
    }

    /// What of it the rights permit (RFC 4314 section 4); `None` when that is nothing, though
    /// something is wanted.
    fn permitted(self, mode: StoreMode, rights: Rights) -> Option<StoreOp> {
        let (mask, keywords_allowed) = settable(rights);
        let nothing = match mode {
            StoreMode::Replace => mask.is_empty() && !keywords_allowed,
            StoreMode::Add | StoreMode::Remove => {
                let wanted = !self.flags.is_empty() || !self.keywords.is_empty();
                let flags = !(self.flags & mask).is_empty();
                let keywords = keywords_allowed && !self.keywords.is_empty();
                wanted && !flags && !keywords
            }
        };
        if nothing {
            return None;
        }
        let mode = match mode {
            StoreMode::Replace => murder_store::StoreMode::Replace,
            StoreMode::Add => murder_store::StoreMode::Add,
            StoreMode::Remove => murder_store::StoreMode::Remove,
        };
        let keywords = match keywords_allowed {
            true => self.keywords,
            false => Vec::new(),
        };
        Some(StoreOp {
            flags_mask: mask,
            keywords_allowed,
            ..StoreOp::new(mode, self.flags & mask, keywords)
        })
    }
}

/// The system flags that may be changed with these rights, and whether keywords may.
pub(super) fn settable(rights: Rights) -> (Flags, bool) {
    let mut flags = Flags::NONE;
    if rights.contains(Rights::SEEN) {
        flags |= Flags::SEEN;
    }
    if rights.contains(Rights::DELETE_MESSAGES) {
        flags |= Flags::DELETED;
    }
    let write = rights.contains(Rights::WRITE);
    if write {
        flags |= Flags::ANSWERED | Flags::FLAGGED | Flags::DRAFT;
    }
    (flags, write)
}

/// What `op` makes of a message's flags, keywords having the numbers of `names`.
fn apply(
    op: &StoreOp,
    flags: Flags,
    mut keywords: KeywordSet,
    names: &Keywords,
) -> (Flags, KeywordSet) {
    let mut named = KeywordSet::default();
    for number in op.keywords.iter().filter_map(|name| names.number(name)) {
        named.insert(number);
    }
    let flags = match op.mode {
        murder_store::StoreMode::Add => {
            keywords.add(&named);
            flags | op.flags
        }
        murder_store::StoreMode::Remove => {
            keywords.remove(&named);
            flags & !op.flags
        }
        murder_store::StoreMode::Replace => {
            if op.keywords_allowed {
                keywords = named;
            }
            (flags & !op.flags_mask) | op.flags
        }
    };
    (flags, keywords)
}
