//! SEARCH.
use crate::imap::{
    errors::{OpResult, bad},
    session::Session,
};
use murder_imap::{Search, Tag};
pub(crate) async fn search(_: &mut Session, _: &Tag, _: &Search) -> OpResult {
    Err(bad("stand-in"))
}
