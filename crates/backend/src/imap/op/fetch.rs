//! FETCH.
use crate::imap::{
    errors::{OpResult, bad},
    session::Session,
};
use murder_imap::{FetchItem, FetchModifier, SequenceSet};
pub(crate) async fn fetch(
    _: &mut Session,
    _: bool,
    _: &SequenceSet,
    _: &[FetchItem],
    _: &[FetchModifier],
) -> OpResult {
    Err(bad("stand-in"))
}
