//! IMAP sessions of clients.

pub(crate) mod arguments;
pub(crate) mod client;
pub(crate) mod errors;
pub(crate) mod op;
pub(crate) mod selected;
pub(crate) mod session;
