//! IMAP over loopback, a file an area.
#![allow(clippy::unwrap_used)]

mod acl;
mod append;
mod hostile;
mod list;
mod login;
mod mailboxes;
mod session;
mod support;
