//! SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3, RFC 3501 for RECENT and UNSEEN).

use murder_imap::{Code, MailboxArg, SelectParam, Status};
use murder_mailbox::Rights;
use murder_store::{CHUNK_ROWS, Flags, MailboxView, StoreError};

use crate::imap::errors::{OpError, OpResult, bad, no_such_mailbox, ok_code};
use crate::imap::selected::Selected;
use crate::imap::session::{Session, State};
use crate::imap::updates::tell_flags;

/// Opens a mailbox. Whatever was selected before no longer is, also when this fails.
///
/// CONDSTORE is taken (RFC 7162 section 3.1.8): the mailbox has mod-sequences. QRESYNC is not.
pub(crate) async fn select(
    session: &mut Session,
    examine: bool,
    mailbox: &MailboxArg,
    params: &[SelectParam],
) -> OpResult {
    let user = session.user()?;
    if params
        .iter()
        .any(|p| matches!(p, SelectParam::QResync { .. }))
    {
        return Err(bad("QRESYNC is not supported"));
    }
    session.state = State::Authenticated;
    let name = session.mailbox_name(mailbox)?;
    let found = session.find_with(&name, Rights::READ)?;
    let opened = found.partition.open_mailbox(&found.meta.name).await;
    let handle = opened.map_err(|error| match error {
        StoreError::NoSuchMailbox => no_such_mailbox(user.namespace.is_canonical()),
        error => OpError::from(error),
    })?;
    let mut selected = Selected::new(found, handle, &user, examine);
    let writer = &mut session.writer;
    let view = &selected.view;
    tell_flags(&selected, writer);
    writer.exists(view.len());
    writer.recent(selected.recent_count());
    if let Some(unseen) = first_unseen(view, selected.seen_user.as_deref()) {
        let code = Code::Unseen(unseen);
        writer.untagged(Status::Ok, Some(&code), "First unseen message");
    }
    let code = Code::UidValidity(view.uidvalidity());
    writer.untagged(Status::Ok, Some(&code), "UIDs are valid");
    let code = Code::UidNext(view.uidnext());
    writer.untagged(Status::Ok, Some(&code), "Predicted next UID");
    if params.contains(&SelectParam::CondStore) {
        let code = Code::HighestModSeq(view.highest_modseq());
        writer.untagged(Status::Ok, Some(&code), "Highest mod-sequence");
        selected.condstore = true;
    }
    let code = match selected.is_read_only() {
        true => Code::ReadOnly,
        false => Code::ReadWrite,
    };
    session.state = State::Selected(Box::new(selected));
    let text = match examine {
        true => "EXAMINE completed",
        false => "SELECT completed",
    };
    Ok(ok_code(code, text))
}

/// The sequence number of the first message that the user has not seen.
fn first_unseen(view: &MailboxView, user: Option<&str>) -> Option<u32> {
    let own = user.filter(|_| !view.shared_seen());
    let seen = own.map(|user| view.seen_of(user));
    view.chunks().find_map(|(first, chunk)| {
        let at = match &seen {
            Some(seen) => chunk.uids().iter().position(|uid| !seen.contains(*uid)),
            None => chunk
                .flags()
                .iter()
                .position(|bits| !Flags::from_bits(*bits).contains(Flags::SEEN)),
        };
        debug_assert!(chunk.len() <= CHUNK_ROWS);
        Some(first + at? as u32)
    })
}
