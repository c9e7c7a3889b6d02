//! IMAP over loopback, a file an area.
#![allow(clippy::unwrap_used)]

mod acl;
mod append;
mod binary;
mod codes;
mod compress;
mod concurrent;
mod condstore;
mod copy;
mod enable;
mod expunge;
mod fetch;
mod hostile;
mod idle;
mod list;
mod login;
mod mailboxes;
mod metadata;
mod multi_search;
mod notify;
mod object_id;
mod preview;
mod qresync;
mod quota;
mod replace;
mod rev2;
mod search;
mod search_corpus;
mod select;
mod session;
mod sort;
mod store;
pub(crate) mod support;
mod uid_only;
mod unauthenticate;
mod updates;
mod utf8;
