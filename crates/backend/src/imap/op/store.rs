//! STORE.
use crate::imap::{
    errors::{OpResult, bad},
    session::Session,
};
use murder_imap::{Flag, SequenceSet, StoreMode, StoreModifier};
pub(crate) async fn store(
    _: &mut Session,
    _: bool,
    _: &SequenceSet,
    _: &[StoreModifier],
    _: StoreMode,
    _: bool,
    _: &[Flag],
) -> OpResult {
    Err(bad("stand-in"))
}
