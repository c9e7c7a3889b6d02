//! What the nodes of a murder say to each other over IMAP: commands, response codes and one untagged
//! response. No client is told of them, and none may use them: a backend takes them only from a
//! connection that has shown a node's certificate, and a frontend passes none of them on.
//!
//! Of one command: an APPEND or CREATE through a frontend follows a `X-NEXTID`, which gives what it
//! makes an id; `X-DONE` asks about an APPEND whose answer was lost.
//!
//! Of COPY and MOVE from one backend to another: a frontend says on the connection where the source
//! is selected `X-CLAIM` (which messages), and `X-EXPORT` until all have come, in blocks; on a
//! connection to the destination `X-RECEIVE`, a `X-STAGE` for each block, and `X-ADOPT`, which makes
//! the messages appear, all or none. For MOVE `X-LEAVE` comes before `X-ADOPT` and `X-DEPART` after
//! it. `X-RELEASE` and `X-DISCARD` end it without a change. A backend that was left between `X-LEAVE`
//! and `X-DEPART` asks the other one by `X-OUTCOME`, on a connection of its own.

mod code;
mod command;

pub use code::{CopiedUids, NodeCode};
pub use command::{NodeCommand, NodeId, stage_head};
pub(crate) use command::{arguments, is_binary};

/// The untagged response that holds a block of messages: `* X-BLOCK` and a literal8.
pub const BLOCK: &str = "X-BLOCK";
/// The text of the last response to a client whose selected mailbox was deleted.
pub const MAILBOX_DELETED: &str = "The selected mailbox was deleted";
