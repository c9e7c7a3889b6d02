//! Telling a client what changed in its selected mailbox.
//!
//! The client's knowledge is [`Selected::view`]. Telling compares it with the mailbox's newest
//! view and moves it there. While expunges must not be told, they stay in the client's view
//! ([`MailboxView::with_held`]), so that sequence numbers go on meaning what the client thinks.

use std::io;
use std::sync::Arc;

use murder_imap::node::MAILBOX_DELETED;
use murder_imap::{
    Code, FetchWriter, Flag, Keyword, NodeCode, ResponseWriter, SequenceSet, Status,
};
use murder_mailbox::Rights;
use murder_store::{Flags, KeywordSet, MAX_KEYWORDS, MailboxView, MessageRow, UidSet};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::contexts;
use crate::imap::dispatch::boxed;
use crate::imap::enabled::{Enabled, Extension};
use crate::imap::errors::{Bye, Completion};
use crate::imap::selected::{Selected, flag_words};
use murder_session::ClientStream;

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
/// for one to be emptied on its side too. A frontend (`to_frontend`) says so to its client.
pub(crate) fn deleted(to_frontend: bool) -> Bye {
    Bye {
        code: to_frontend.then(|| NodeCode::Deleted.into()),
        text: MAILBOX_DELETED.into(),
    }
}

/// Ranges in one VANISHED: clients and proxies bound their lines, and this is some 20 KiB.
const RANGES_IN_LINE: usize = 1024;

/// As [`report`], but only what the client wants to hear of (RFC 5465).
///
/// # Errors
/// When the client has gone.
pub(crate) async fn news(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    expunges: Expunges,
) -> io::Result<()> {
    tell_all(client, account, selected, expunges, &Own::Nothing).await
}

/// Writes what changed in the selected mailbox, for a command that has itself removed messages:
/// EXPUNGE or VANISHED, FLAGS, EXISTS, RECENT, FETCH FLAGS.
///
/// It sends what it writes when that is much, as there can be a line for each message.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn report(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    expunges: Expunges,
) -> io::Result<()> {
    tell_all(client, account, selected, expunges, &Own::Removal).await
}

async fn tell_all(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    expunges: Expunges,
    own: &Own<'_>,
) -> io::Result<()> {
    if selected.gone {
        return Ok(());
    }
    let (writer, stream) = (&mut client.writer, &mut client.stream);
    selected.note_rights(&account.user.identity);
    if selected.hears && selected.handle.is_deleted() {
        let bye = deleted(account.is_frontends());
        writer.untagged(Status::Bye, bye.code.as_ref(), &bye.text);
        selected.gone = true;
        return Ok(());
    }
    if has_news(selected, expunges, own) {
        boxed(tell(selected, writer, stream, expunges, own)).await?;
    }
    selected.uid_command = false;
    Ok(())
}

/// Tells what is new in the selected mailbox at the start of a command, so that the command works
/// on it. Expunges wait: its message numbers are those the client knows.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn refresh(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    uid_command: bool,
) -> io::Result<()> {
    selected.note_rights(&account.user.identity);
    selected.uid_command = uid_command;
    let own = &Own::Nothing;
    if has_news(selected, Expunges::Held, own) {
        let (writer, stream) = (&mut client.writer, &mut client.stream);
        boxed(tell(selected, writer, stream, Expunges::Held, own)).await?;
    }
    Ok(())
}

/// Whether there is something to tell.
fn has_news(selected: &Selected, expunges: Expunges, own: &Own<'_>) -> bool {
    // A client that wants to hear of nothing sees the mailbox as it was, until it changes it.
    if !selected.hears || (!selected.wants.messages && matches!(own, &Own::Nothing)) {
        return false;
    }
    !Arc::ptr_eq(&selected.handle.view(), &selected.newest)
        || (expunges == Expunges::Allowed && selected.holds_expunged())
        || selected.contexts.have_news()
}

/// What the command under way has done to flags by itself, which decides how that is told.
pub(crate) enum Own<'a> {
    /// Nothing.
    Nothing,
    /// It has removed messages.
    Removal,
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
        expected: &'a (dyn Fn(Flags, KeywordSet) -> (Flags, KeywordSet) + Sync),
        /// These are told nevertheless, for their mod-sequences.
        echo: &'a UidSet,
    },
    /// The caller tells the flags of these messages itself.
    Caller(&'a UidSet),
}

impl Own<'_> {
    fn uids(&self) -> Option<&UidSet> {
        match self {
            Self::Nothing | Self::Removal => None,
            Self::Echo(uids) | Self::Silent { uids, .. } | Self::Caller(uids) => Some(uids),
        }
    }
}

/// As [`report`], for a command that has changed flags and must see its changes told its way.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell(
    selected: &mut Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    expunges: Expunges,
    own: &Own<'_>,
) -> io::Result<()> {
    if !selected.hears {
        return Ok(());
    }
    let new = selected.handle.view();
    let held = expunges == Expunges::Held;
    let diff = MailboxView::diff(&selected.view, &new);
    let contexts = !selected.contexts.is_empty();
    if contexts {
        contexts::tell_gone(selected, writer, stream, &diff.vanished).await?;
    }
    let next = if diff.expunged.is_empty() || !held {
        // Descending, so that each number is still what it was in the old view.
        if selected.enabled.vanished() {
            tell_vanished(writer, stream, false, &diff.vanished).await?;
        } else {
            for seq in diff.expunged.iter().rev() {
                writer.expunge(*seq);
                writer.flush_if_full(stream).await?;
            }
        }
        selected.modseq.due |= !diff.expunged.is_empty();
        selected.modseq.complete = new.highest_modseq();
        Arc::clone(&new)
    } else {
        Arc::new(new.with_held(&selected.view, &diff.vanished))
    };
    let known = std::mem::replace(&mut selected.view, next);
    selected.newest = Arc::clone(&new);
    selected.modseq.told |= selected.condstore;
    if diff.keywords {
        tell_flags(selected, writer);
    }
    if diff.added > 0 {
        selected.take_recent(&new);
        writer.exists(selected.view.len());
        tell_recent(selected, writer);
        if selected.wants.items && known.uidnext() < new.uidnext() {
            let last = new.uidnext() - 1;
            selected.arrived.insert_range(known.uidnext(), last);
        }
    }
    if contexts {
        boxed(contexts::note(selected, &known, &diff)).await;
    }
    for uid in diff.changed {
        if own.uids().is_some_and(|uids| uids.contains(uid)) {
            continue;
        }
        if !selected.wants.flags {
            selected.untold.insert(uid);
            continue;
        }
        let (Some(before), Some(after)) = (known.row_by_uid(uid), selected.view.row_by_uid(uid))
        else {
            continue;
        };
        let before = state_of(selected, &known, &before, &new);
        if selected.condstore || before != state_of(selected, &new, &after, &new) {
            tell_fetch(selected, writer, &after);
            writer.flush_if_full(stream).await?;
        }
    }
    match own {
        Own::Nothing | Own::Removal | Own::Caller(_) => {}
        Own::Echo(uids) => tell_messages(selected, writer, stream, uids).await?,
        Own::Silent {
            uids,
            known: at_first,
            expected,
            echo,
        } => {
            for row in present(selected, uids) {
                let now = state_of(selected, &new, &row, &new);
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
                if !as_expected {
                    tell_fetch(selected, writer, &row);
                } else if echo.contains(row.uid) {
                    tell_message(selected, writer, &row, false);
                }
                writer.flush_if_full(stream).await?;
            }
        }
    }
    // Behind the FETCHes (RFC 5465 section 5.1), also those that the caller tells.
    if contexts && !matches!(own, Own::Caller(_)) {
        boxed(contexts::tell(selected, writer, stream)).await?;
    }
    Ok(())
}

/// `* n RECENT`, which IMAP4rev2 has not.
pub(crate) fn tell_recent(selected: &Selected, writer: &mut ResponseWriter) {
    if !selected.enabled.has(Extension::Rev2) {
        writer.recent(selected.recent_count());
    }
}

/// `* VANISHED uids`, or with `earlier` `* VANISHED (EARLIER) uids`; nothing if there are none.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell_vanished(
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    earlier: bool,
    uids: &UidSet,
) -> io::Result<()> {
    for ranges in uids.ranges().chunks(RANGES_IN_LINE) {
        let ranges = ranges.iter().map(|&(low, high)| low..=high);
        if let Some(set) = SequenceSet::from_ranges(ranges) {
            writer.vanished(earlier, &set);
            writer.flush_if_full(stream).await?;
        }
    }
    Ok(())
}

/// Starts the answer of one message, `* n FETCH (` or `* uid UIDFETCH (`.
pub(crate) fn start_fetch<'a>(
    enabled: Enabled,
    writer: &'a mut ResponseWriter,
    row: &MessageRow,
) -> FetchWriter<'a> {
    match enabled.has(Extension::UidOnly) {
        true => writer.uid_fetch(row.uid),
        false => writer.fetch(row.seq),
    }
}

/// At the end of a command, when all there is to tell has been told: how far in mod-sequences the
/// client has come, where it could not tell by itself (RFC 7162 sections 3.1, 3.2 and 6).
///
/// That is when it hears of mod-sequences for the first time, when it was told that messages
/// went, and when it was told mod-sequences while that was kept back: then it is as far as before
/// the first of them went.
pub(crate) fn tell_modseq(
    client: &mut Client,
    account: &Account,
    selected: &mut Selected,
    completion: &mut Completion,
) {
    if selected.gone {
        return;
    }
    let news = std::mem::take(&mut selected.modseq);
    selected.modseq.complete = news.complete;
    if !selected.condstore || !selected.hears {
        return;
    }
    let first = !selected.enabled.has(Extension::CondStore);
    selected.enabled.add(Extension::CondStore);
    // A frontend's connection goes on to serve other clients of the user.
    if !account.is_frontends() {
        client.enabled.add(Extension::CondStore);
    }
    let held = selected.holds_expunged();
    if first || news.due || (held && news.told) {
        let code = Code::HighestModSeq(match held {
            true => news.complete,
            false => selected.newest.highest_modseq(),
        });
        match completion.code {
            // The first command that enables CONDSTORE tells it as SELECT does: clients look for
            // it there (RFC 7162 section 3.1.2.1).
            None if !first && completion.status == Status::Ok => completion.code = Some(code),
            _ => client
                .writer
                .untagged(Status::Ok, Some(&code), "Highest mod-sequence"),
        }
    }
}

/// Tells what was not told of flags while the client did not want to hear of them.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell_untold(client: &mut Client, selected: &mut Selected) -> io::Result<()> {
    if selected.wants.flags && selected.hears {
        let untold = std::mem::take(&mut selected.untold);
        let (writer, stream) = (&mut client.writer, &mut client.stream);
        tell_messages(selected, writer, stream, &untold).await?;
    }
    Ok(())
}

/// Tells the flags of messages, whether the client knows them or not.
///
/// # Errors
/// When the client has gone.
pub(crate) async fn tell_messages(
    selected: &Selected,
    writer: &mut ResponseWriter,
    stream: &mut ClientStream,
    uids: &UidSet,
) -> io::Result<()> {
    for row in present(selected, uids) {
        tell_fetch(selected, writer, &row);
        writer.flush_if_full(stream).await?;
    }
    Ok(())
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

/// The flags and keywords of a row of `view`, the latter by the numbers of `new`; `None` when one
/// of them has none there any more.
fn state_of(
    selected: &Selected,
    view: &MailboxView,
    row: &MessageRow,
    new: &MailboxView,
) -> Option<(Flags, KeywordSet)> {
    let keywords = new.keywords().translate(view.keywords(), row.keywords)?;
    Some((selected.flags_of(view, row), keywords))
}

/// `* n FETCH (FLAGS (…))`
fn tell_fetch(selected: &Selected, writer: &mut ResponseWriter, row: &MessageRow) {
    tell_message(selected, writer, row, true);
}

/// `* n FETCH (…)` with what a client is told unasked: the UID if it wants it (RFC 9051 section
/// 6.4.9 and appendix E.21, RFC 7162 section 3.2.4, RFC 5465 section 5.1), flags, the mod-sequence if it counts them.
fn tell_message(selected: &Selected, writer: &mut ResponseWriter, row: &MessageRow, flags: bool) {
    let enabled = selected.enabled;
    let mut fetch = start_fetch(enabled, writer, row);
    let uid = selected.uid_command
        || selected.condstore
        || selected.wants.notify
        || enabled.has(Extension::Rev2);
    if uid && !enabled.has(Extension::UidOnly) {
        fetch.uid(row.uid);
    }
    if flags {
        fetch.flags(flag_words(
            &selected.view,
            selected.flags_of(&selected.view, row),
            selected.is_recent(row.uid),
            row.keywords,
        ));
    }
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
