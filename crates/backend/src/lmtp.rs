//! The LMTP server (RFC 2033).
//!
//! It takes mail from the nodes of the cluster that are frontends, from this machine, and with
//! `[lmtp] open` from anybody. A message is stored byte for byte as it came (dots unstuffed), behind
//! `Return-Path:` and `Received:` (RFC 5321 section 4.4; `[lmtp] return_path` and `received`); a
//! `Return-Path:` of a delivery before is taken out. One with NULs is refused.
//!
//! What a mail server delivers again for want of an answer is taken, and is there once: [`trace`]
//! says by what it is known.
//!
//! Recipients: `user@domain` is the account of that whole name, if its INBOX is here, and else
//! the account `user`, in whichever domain. `user+folder` goes to the mailbox `folder` of that
//! user's home if the user or `anyone` has the right `p` there (RFC 4314 section 4), and else to
//! the INBOX.

mod deliver;
mod fields;
mod recipient;
mod reply;
mod session;
mod strip;
mod trace;
mod unstuff;

use std::sync::Arc;

use murder_net::Connection;

use crate::node::Node;

/// Serves one connection to its end.
pub(crate) async fn serve(node: Arc<Node>, connection: Connection) {
    // In a box: the task of an accepted connection is as large as the largest that it may become.
    Box::pin(session::Session::new(node, connection).run()).await;
}
