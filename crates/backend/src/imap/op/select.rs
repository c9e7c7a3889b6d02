//! SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3, RFC 3501 for RECENT and UNSEEN).

use murder_imap::{Code, MailboxArg, SelectParam, Status};
use murder_mailbox::Rights;
use murder_store::{CHUNK_ROWS, Flags, MailboxView, StoreError};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpError, OpResult, bad, no_such_mailbox, ok_code};
use crate::imap::op::list;
use crate::imap::qresync::Resync;
use crate::imap::selected::Selected;
use crate::imap::state::State;
use crate::imap::uid_only;
use crate::imap::updates::{tell_flags, tell_recent};

/// Opens a mailbox. Whatever was selected before no longer is, also when this fails.
///
/// HIGHESTMODSEQ (RFC 7162 section 3.1.2.1) and MAILBOXID (RFC 8474 section 4.2) are told to
/// everybody, UNSEEN and RECENT only where they mean something.
pub(crate) async fn select(
    client: &mut Client,
    state: &mut State,
    examine: bool,
    mailbox: &MailboxArg,
    params: &[SelectParam],
) -> OpResult {
    let resync = resync(client, params)?;
    if matches!(state, State::Selected(..)) {
        state.select(None);
        let text = "Previous mailbox is now closed";
        client
            .writer
            .untagged(Status::Ok, Some(&Code::Closed), text);
    }
    let account = state.account().ok_or_else(|| bad("Log in first"))?;
    let selected = open(client, account, examine, mailbox, params, resync).await?;
    let code = match selected.is_read_only() {
        true => Code::ReadOnly,
        false => Code::ReadWrite,
    };
    state.select(Some(selected));
    let text = match examine {
        true => "EXAMINE completed",
        false => "SELECT completed",
    };
    Ok(ok_code(code, text))
}

/// Opens a mailbox and tells the client of it.
async fn open(
    client: &mut Client,
    account: &Account,
    examine: bool,
    mailbox: &MailboxArg,
    params: &[SelectParam],
    resync: Option<Resync>,
) -> Result<Box<Selected>, OpError> {
    let user = &account.user;
    let name = client.mailbox_name(account, mailbox)?;
    let found = client.find_with(account, &name, Rights::READ)?;
    let opened = found.partition.open_mailbox(&found.meta.name).await;
    let handle = opened.map_err(|error| match error {
        StoreError::NoSuchMailbox => no_such_mailbox(user.namespace.is_canonical()),
        error => OpError::from(error),
    })?;
    client.audit_access(account, "select", &name);
    if params.contains(&SelectParam::CondStore) {
        client.enable(account, None, Extension::CondStore);
    }
    let rev2 = client.enabled.has(Extension::Rev2);
    if rev2 && let Some(row) = list::row_of(&client.node, user, &found.meta, mailbox) {
        client.writer.list(&row);
    }
    let mut selected = Box::new(Selected::new(found, handle, user, client.enabled, examine));
    selected.shown = account.presence.show_selected(name.as_str());
    if params.contains(&SelectParam::CondStore) {
        selected.condstore = true;
        selected.enabled.add(Extension::CondStore);
    }
    selected.wants = account.wants();
    let writer = &mut client.writer;
    let view = &selected.view;
    tell_flags(&selected, writer);
    writer.exists(view.len());
    tell_recent(&selected, writer);
    if !rev2
        && !client.enabled.has(Extension::UidOnly)
        && let Some(unseen) = first_unseen(view, selected.seen_user.as_deref())
    {
        let code = Code::Unseen(unseen);
        writer.untagged(Status::Ok, Some(&code), "First unseen message");
    }
    for (code, text) in [
        (Code::UidValidity(view.uidvalidity()), "UIDs are valid"),
        (Code::UidNext(view.uidnext()), "Predicted next UID"),
        (
            Code::HighestModSeq(view.highest_modseq()),
            "Highest mod-sequence",
        ),
        (Code::MailboxId(view.id().to_string()), "Mailbox ID"),
    ] {
        writer.untagged(Status::Ok, Some(&code), text);
    }
    if let Some(resync) = resync
        && resync.uidvalidity == view.uidvalidity()
    {
        resync.tell(&selected, writer, &mut client.stream).await?;
    }
    selected.modseq.due = false;
    let served = client.node.partitions.served(&selected.partition);
    client.watch.follow(served);
    Ok(selected)
}

/// The QRESYNC parameter. It is looked at before anything else: when it is wrong, what is
/// selected stays so.
fn resync(client: &Client, params: &[SelectParam]) -> Result<Option<Resync>, OpError> {
    let mut found = None;
    for param in params {
        let SelectParam::QResync {
            uidvalidity,
            modseq,
            known_uids,
            seq_match,
        } = param
        else {
            continue;
        };
        if !client.enabled.has(Extension::QResync) {
            return Err(bad("QRESYNC is not enabled"));
        }
        if seq_match.is_some() && client.enabled.has(Extension::UidOnly) {
            return Err(uid_only::required());
        }
        let (known_uids, seq_match) = (known_uids.as_ref(), seq_match.as_ref());
        found = Some(Resync::new(*uidvalidity, *modseq, known_uids, seq_match)?);
    }
    Ok(found)
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
