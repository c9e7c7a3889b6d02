//! The LMTP server (RFC 2033).
//!
//! It takes mail from the nodes of the cluster that are frontends, from this machine, and with
//! `[lmtp] open` from anybody. A message is stored byte for byte as it came (dots unstuffed); no
//! trace headers are added but, with `[lmtp] return_path`, a `Return-Path:`. One with NULs is refused.
//!
//! What a mail server delivers again for want of an answer is taken, and is there once: [`trace`]
//! says by what it is known.
//!
//! Recipients: `user@domain` is the account of that whole name, if its INBOX is here, and else
//! the account `user`, in whichever domain. `user+folder` goes to the mailbox `folder` of that
//! user's home if the user or `anyone` has the right `p` there (RFC 4314 section 4), and else to
//! the INBOX.

mod deliver;
mod recipient;
mod reply;
mod session;
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
