//! SEARCH: which messages of a view match.
//!
//! A search is compiled once into a [`Program`]. For each message it is evaluated with what is
//! known at that point, in three steps: columns of the view, then the header, then the whole
//! message. Whatever decides the outcome earlier saves the later steps, in whatever order the
//! client has written its keys.

mod evaluate;
mod program;
mod run;

pub(crate) use program::{Context, Program};
pub(crate) use run::{Found, Scope, run};

/// Strings to be found in headers and texts: each costs a pass over every message that cheaper
/// keys do not exclude.
const MAX_STRINGS: usize = 256;
