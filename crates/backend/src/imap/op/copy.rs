//! COPY and MOVE.
use crate::imap::{
    errors::{OpResult, bad},
    session::Session,
};
use murder_imap::{MailboxArg, SequenceSet};
pub(crate) async fn copy(
    _: &mut Session,
    _: bool,
    _: &SequenceSet,
    _: &MailboxArg,
    _: bool,
) -> OpResult {
    Err(bad("stand-in"))
}
