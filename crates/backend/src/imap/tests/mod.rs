//! IMAP over loopback, a file an area.
#![allow(clippy::unwrap_used)]

mod acl;
mod append;
mod binary;
mod compress;
mod copy;
mod expunge;
mod fetch;
mod hostile;
mod idle;
mod list;
mod login;
mod mailboxes;
mod replace;
mod search;
mod select;
mod session;
mod store;
mod support;
mod updates;
