//! CLOSE, UNSELECT and CHECK (RFC 9051 sections 6.4.1 and 6.4.2, RFC 3501 section 6.4.1).

use murder_mailbox::Rights;
use murder_store::StoreError;

use crate::imap::errors::{OpResult, ok};
use crate::imap::op::expunge::any_deleted;
use crate::imap::selected::selected;
use crate::imap::session::{Session, State};

/// Leaves the mailbox; removes the messages with `\Deleted` without telling, if it was opened
/// by SELECT and the user may (RFC 4314 section 4). When that fails, the mailbox stays selected.
pub(crate) async fn close(session: &mut Session) -> OpResult {
    let user = session.user()?;
    let selected = selected(&mut session.state)?;
    let may = !selected.examined && selected.rights(&user.identity).contains(Rights::EXPUNGE);
    if may && any_deleted(&selected.handle.view(), None) {
        match selected.partition.expunge(&selected.handle, None).await {
            Ok(_) | Err(StoreError::NoSuchMailbox) => {}
            Err(error) => return Err(error.into()),
        }
    }
    session.state = State::Authenticated;
    session.transfer = None;
    Ok(ok("CLOSE completed"))
}

/// Leaves the mailbox as it is.
pub(crate) async fn unselect(session: &mut Session) -> OpResult {
    selected(&mut session.state)?;
    session.state = State::Authenticated;
    session.transfer = None;
    Ok(ok("UNSELECT completed"))
}

/// Nothing: what was answered is on disk.
pub(crate) async fn check(session: &mut Session) -> OpResult {
    selected(&mut session.state)?;
    Ok(ok("CHECK completed"))
}
