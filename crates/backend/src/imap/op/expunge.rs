//! EXPUNGE.
use crate::imap::{
    errors::{OpResult, bad},
    session::Session,
};
use murder_imap::SequenceSet;
pub(crate) async fn expunge(_: &mut Session, _: Option<&SequenceSet>) -> OpResult {
    Err(bad("stand-in"))
}
