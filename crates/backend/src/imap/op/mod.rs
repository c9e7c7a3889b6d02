//! What the backend does for each command; one file a command or family.

pub(crate) mod close;
pub(crate) mod copy;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod idle;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod store;
