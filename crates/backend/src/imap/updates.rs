//! Telling a client what changed in its selected mailbox.
//!
//! The client's knowledge is [`Selected::view`]. Telling compares it with the mailbox's newest
//! view and moves it there. While expunges must not be told, they stay in the client's view
//! ([`MailboxView::with_held`]), so that sequence numbers go on meaning what the client thinks.

use std::sync::Arc;

use murder_imap::{Code, Flag, Keyword, ResponseWriter, Status};
use murder_mailbox::Rights;
use murder_store::{Flags, Keywords, MAX_KEYWORDS, MailboxView, MessageRow, UidSet};

use crate::imap::errors::OpError;
use crate::imap::selected::{Selected, flag_words, selected};
use crate::imap::session::{Session, State};

/// Whether EXPUNGE may be sent now: not during FETCH, STORE and SEARCH without UID, and not
/// between commands (RFC 9051 section 7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunges {
    /// They are sent.
    Allowed,
    /// They are kept back.
    Held,
}

/// Why a mailbox that was deleted ends the session: the client would take an emptied mailbox
/// for one to be emptied on its side too.
pub(crate) const DELETED: &str = "The selected mailbox was deleted";

/// Writes what changed in the selected mailbox: EXPUNGE, FLAGS, EXISTS, RECENT, FETCH FLAGS.
///
/// What it writes is bounded by the mailbox: at most one line a message, of some 50 bytes.
pub(crate) fn report(session: &mut Session, expunges: Expunges) {
    let State::Selected(selected) = &mut session.state else {
        return;
    };
    if selected.handle.is_deleted() {
        session.writer.bye(DELETED);
        session.state = State::Logout;
        return;
    }
    tell(selected, &mut session.writer, expunges, &Own::Nothing);
    selected.uid_command = false;
}

/// The selected mailbox at the start of a command, the client having been told what is new, so
/// that the command works on it. Expunges wait: its message numbers are those the client knows.
pub(crate) fn refreshed<'a>(
    state: &'a mut State,
    writer: &mut ResponseWriter,
    uid_command: bool,
) -> Result<&'a mut Selected, OpError> {
    let selected = selected(state)?;
    selected.uid_command = uid_command;
    tell(selected, writer, Expunges::Held, &Own::Nothing);
    Ok(selected)
}

/// What the command under way has done to flags by itself, which decides how that is told.
pub(crate) enum Own<'a> {
    /// Nothing.
    Nothing,
    /// STORE: these messages' flags are told, changed or not.
    Echo(&'a UidSet),
    /// STORE .SILENT of these messages: told only where others had a hand in it, that is, where
    /// the flags are not what `expected` makes of those that the client knows.
    Silent {
        /// The messages.
        uids: &'a UidSet,
        /// What the client knew when it sent the command.
        known: &'a MailboxView,
        /// Flags and keywords after the command, from those before.
        expected: &'a dyn Fn(Flags, u64) -> (Flags, u64),
        /// These are told nevertheless, for their mod-sequences.
        echo: &'a UidSet,
    },
    /// The caller tells the flags of these messages itself.
    Caller(&'a UidSet),
}

impl Own<'_> {
    fn uids(&self) -> Option<&UidSet> {
        match self {
            Self::Nothing => None,
            Self::Echo(uids) | Self::Silent { uids, .. } | Self::Caller(uids) => Some(uids),
        }
    }
}

/// As [`report`], for a command that has changed flags and must see its changes told its way.
pub(crate) fn tell(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    expunges: Expunges,
    own: &Own<'_>,
) {
    let new = selected.handle.view();
    let held = expunges == Expunges::Held;
    if Arc::ptr_eq(&new, &selected.newest)
        && matches!(own, &Own::Nothing)
        && (held || !selected.holds_expunged())
    {
        return;
    }
    let diff = MailboxView::diff(&selected.view, &new);
    let next = if diff.expunged.is_empty() || !held {
        // Descending, so that each number is still what it was in the old view.
        for seq in diff.expunged.iter().rev() {
            writer.expunge(*seq);
        }
        Arc::clone(&new)
    } else {
        Arc::new(new.with_held(&selected.view, &diff.vanished))
    };
    let known = std::mem::replace(&mut selected.view, next);
    selected.newest = Arc::clone(&new);
    if diff.keywords {
        tell_flags(selected, writer);
    }
    if diff.added > 0 {
        selected.take_recent(&new);
        writer.exists(selected.view.len());
        writer.recent(selected.recent_count());
    }
    for uid in diff.changed {
        if own.uids().is_some_and(|uids| uids.contains(uid)) {
            continue;
        }
        let (Some(before), Some(after)) = (known.row_by_uid(uid), selected.view.row_by_uid(uid))
        else {
            continue;
        };
        let before = state_of(selected, &known, &before, &new);
        if selected.condstore || before != Some((selected.flags_of(&new, &after), after.keywords)) {
            tell_fetch(selected, writer, &after);
        }
    }
    match own {
        Own::Nothing | Own::Caller(_) => {}
        Own::Echo(uids) => {
            for row in present(selected, uids) {
                tell_fetch(selected, writer, &row);
            }
        }
        Own::Silent {
            uids,
            known: at_first,
            expected,
            echo,
        } => {
            for row in present(selected, uids) {
                let now = Some((selected.flags_of(&new, &row), row.keywords));
                // Of a message that is new to it the client knows no flags.
                let as_expected = at_first.row_by_uid(row.uid).is_none_or(|before| {
                    let before = state_of(selected, at_first, &before, &new);
                    // What was told since the command began may have overtaken it for a client
                    // that has not waited for the answer.
                    let told = known.row_by_uid(row.uid);
                    let told = told.and_then(|told| state_of(selected, &known, &told, &new));
                    let after = before.map(|(flags, keywords)| expected(flags, keywords));
                    before == told && after == now
                });
                if !as_expected || echo.contains(row.uid) {
                    tell_fetch(selected, writer, &row);
                }
            }
        }
    }
}

/// The messages of `uids` that are not gone.
fn present<'a>(
    selected: &'a Selected,
    uids: &'a UidSet,
) -> impl Iterator<Item = MessageRow> + use<'a> {
    let held = selected.holds_expunged();
    uids.ranges()
        .iter()
        .flat_map(|&(low, high)| selected.view.rows_by_uid(low, high))
        .filter(move |row| !held || selected.newest.seq_of(row.uid).is_some())
}

/// The flags and keywords of a row of `view`, the latter in the bits of `new`; `None` when one
/// of them has no bit there any more.
fn state_of(
    selected: &Selected,
    view: &MailboxView,
    row: &MessageRow,
    new: &MailboxView,
) -> Option<(Flags, u64)> {
    let keywords = keyword_bits(view.keywords(), new.keywords(), row.keywords)?;
    Some((selected.flags_of(view, row), keywords))
}

fn keyword_bits(from: &Keywords, to: &Keywords, bits: u64) -> Option<u64> {
    if bits == 0 || std::ptr::eq(from, to) {
        return Some(bits);
    }
    from.names(bits)
        .try_fold(0, |bits, name| Some(bits | 1 << to.bit(name)?))
}

/// `* n FETCH (FLAGS (…))`
fn tell_fetch(selected: &Selected, writer: &mut ResponseWriter, row: &MessageRow) {
    let view = &selected.view;
    let mut fetch = writer.fetch(row.seq);
    if selected.uid_command {
        fetch.uid(row.uid);
    }
    fetch.flags(flag_words(
        view,
        selected.flags_of(view, row),
        selected.recent.contains(row.uid),
        row.keywords,
    ));
    if selected.condstore {
        fetch.modseq(row.modseq);
    }
    fetch.finish();
}

/// `* FLAGS (…)` and `* OK [PERMANENTFLAGS (…)]`: which flags there are, and which the user may
/// change for good (RFC 9051 section 7.1; RFC 4314 section 4 for the rights).
pub(crate) fn tell_flags(selected: &Selected, writer: &mut ResponseWriter) {
    let keywords = selected.newest.keywords();
    let named: Vec<Flag> = keywords
        .all()
        .filter_map(|name| Keyword::new(name).ok())
        .map(Flag::Keyword)
        .collect();
    writer.flags(Flag::SYSTEM.iter().chain(&named));
    let rights = match selected.examined {
        true => Rights::NONE,
        false => selected.at_select,
    };
    let may_write = rights.contains(Rights::WRITE);
    let any_keyword = may_write && named.len() < MAX_KEYWORDS;
    let flags: Vec<Flag> = Flag::SYSTEM
        .into_iter()
        .chain(named)
        .filter(|flag| {
            rights.contains(match flag {
                Flag::Seen => Rights::SEEN,
                Flag::Deleted => Rights::DELETE_MESSAGES,
                _ => Rights::WRITE,
            })
        })
        .collect();
    let text = match flags.is_empty() {
        true => "No permanent flags permitted",
        false => "Flags permitted",
    };
    let code = Code::PermanentFlags { flags, any_keyword };
    writer.untagged(Status::Ok, Some(&code), text);
}
