//! CLOSE, UNSELECT and CHECK (RFC 9051 sections 6.4.1 and 6.4.2, RFC 3501 section 6.4.1).

use murder_mailbox::Rights;
use murder_store::StoreError;

use crate::imap::account::Account;
use crate::imap::errors::{Completion, OpResult, ok};
use crate::imap::op::expunge::any_deleted;
use crate::imap::selected::Selected;
use crate::imap::state::State;

/// Leaves the mailbox; removes the messages with `\Deleted` without telling, if it was opened
/// by SELECT and the user may (RFC 4314 section 4). When that fails, the mailbox stays selected.
pub(crate) async fn close(state: &mut State) -> OpResult {
    if let State::Selected(account, selected) = state {
        remove_deleted(account, selected).await?;
    }
    leave(state);
    Ok(ok("CLOSE completed"))
}

/// Leaves the mailbox as it is.
pub(crate) fn unselect(state: &mut State) -> OpResult {
    leave(state);
    Ok(ok("UNSELECT completed"))
}

fn leave(state: &mut State) {
    state.select(None);
    if let Some((account, _)) = state.logged_in() {
        account.transfer = None;
    }
}

async fn remove_deleted(account: &Account, selected: &Selected) -> Result<(), StoreError> {
    let rights = selected.rights(&account.user.identity);
    let may = !selected.examined && rights.contains(Rights::EXPUNGE);
    if may && any_deleted(&selected.handle.view(), None) {
        match selected.partition.expunge(&selected.handle, None).await {
            Ok(_) | Err(StoreError::NoSuchMailbox) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Nothing: what was answered is on disk.
pub(crate) fn check() -> Completion {
    ok("CHECK completed")
}
