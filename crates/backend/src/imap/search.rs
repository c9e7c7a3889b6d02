//! SEARCH: which messages of a view match; and what SORT, THREAD and ESEARCH make of them.
//!
//! A search is compiled once into a [`Program`]. For each message it is evaluated with what is
//! known at that point, in three steps: columns of the view and what the full-text index rules
//! out, then the header, then the whole message. Whatever decides the outcome earlier saves the
//! later steps, in whatever order the client has written its keys.

mod evaluate;
mod fuzzy;
mod headers;
mod program;
mod returns;
mod run;
mod sort;
mod standing;
mod thread;

pub(crate) use program::{Circumstances, Program};
pub(crate) use returns::{Found, Returns};
pub(crate) use run::{Hits, Scope, run, run_among};
pub(crate) use sort::{Order, places, sort};
pub(crate) use thread::thread;

/// Strings to be found in headers and texts: each costs a pass over every message that cheaper
/// keys do not exclude.
const MAX_STRINGS: usize = 256;
