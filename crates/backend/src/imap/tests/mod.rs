//! IMAP over loopback, a file an area.
#![allow(clippy::unwrap_used)]

mod acl;
mod append;
mod copy;
mod expunge;
mod fetch;
mod hostile;
mod idle;
mod list;
mod login;
mod mailboxes;
mod multi_search;
mod search;
mod search_corpus;
mod select;
mod session;
mod sort;
mod store;
mod support;
mod updates;
