//! What nodes of a murder say to each other about COPY and MOVE from one backend to another. No
//! client is told of these commands, and none may use them.
//!
//! A frontend says on the connection where the source is selected `X-CLAIM` (which messages), and
//! `X-EXPORT` until all have come, in blocks; on a connection to the destination `X-RECEIVE`, a
//! `X-STAGE` for each block, and `X-ADOPT`, which makes the messages appear, all or none. For MOVE
//! `X-LEAVE` comes before `X-ADOPT` and `X-DEPART` after it. `X-RELEASE` and `X-DISCARD` end it
//! without a change. A backend that was left between `X-LEAVE` and `X-DEPART` asks the other one by
//! `X-OUTCOME`, on a connection of its own.

use crate::mailbox::MailboxArg;
use crate::sequence::SequenceSet;

/// The untagged answer that holds a block of messages: `* X-BLOCK` and a literal8.
pub const BLOCK: &str = "X-BLOCK";
/// The code of the answer to [`TransferCommand::Claim`], with the number of messages and their
/// octets.
pub const CLAIMED: &str = "X-CLAIMED";
/// The code of the answer to [`TransferCommand::Export`] when that was all, with the number of
/// messages.
pub const EXPORTED: &str = "X-EXPORTED";
/// The code of the answer to [`TransferCommand::Receive`], with the destination's partition and
/// home.
pub const RECEIVING: &str = "X-RECEIVING";
/// The code of the answer to [`TransferCommand::Outcome`] when the messages were not adopted, and
/// will not be.
pub const REFUSED: &str = "X-REFUSED";
/// The code of the answer to [`TransferCommand::Outcome`] when they were; with COPYUID's arguments
/// behind it.
pub const ADOPTED: &str = "X-ADOPTED";

/// Such a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferCommand {
    /// `X-CLAIM (COPY / MOVE) [UID] set`: these messages of the selected mailbox are wanted; for
    /// MOVE, by nobody else from now on.
    Claim {
        /// MOVE.
        moving: bool,
        /// `set` holds UIDs.
        uid: bool,
        /// Which messages, in the numbers that were told on this connection.
        set: SequenceSet,
    },
    /// `X-EXPORT`: the next blocks of the claimed messages.
    Export,
    /// `X-LEAVE id node partition home`: the messages may be adopted there from now on.
    Leave {
        /// The transfer.
        id: String,
        /// The node that they go to.
        node: String,
        /// Its partition.
        partition: String,
        /// The home in it.
        home: u64,
    },
    /// `X-DEPART`: the messages were adopted, and go from here.
    Depart,
    /// `X-RELEASE`: the messages stay.
    Release,
    /// `X-RECEIVE id mailbox messages octets`: messages will come for a mailbox.
    Receive {
        /// The transfer.
        id: String,
        /// The mailbox.
        mailbox: MailboxArg,
        /// How many.
        messages: u32,
        /// Their octets.
        octets: u64,
    },
    /// `X-STAGE` and a literal8: a block.
    Stage {
        /// What [`BLOCK`] held.
        block: Vec<u8>,
    },
    /// `X-ADOPT messages`: they appear in the mailbox.
    Adopt {
        /// So many must have come.
        messages: u32,
    },
    /// `X-DISCARD`: they do not.
    Discard,
    /// `X-OUTCOME id partition home`: what became of a transfer. If it was not adopted, it never
    /// will be.
    Outcome {
        /// The transfer.
        id: String,
        /// The partition that it went to.
        partition: String,
        /// The home in it.
        home: u64,
    },
}

impl TransferCommand {
    /// The command's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "X-CLAIM",
            Self::Export => "X-EXPORT",
            Self::Leave { .. } => "X-LEAVE",
            Self::Depart => "X-DEPART",
            Self::Release => "X-RELEASE",
            Self::Receive { .. } => "X-RECEIVE",
            Self::Stage { .. } => "X-STAGE",
            Self::Adopt { .. } => "X-ADOPT",
            Self::Discard => "X-DISCARD",
            Self::Outcome { .. } => "X-OUTCOME",
        }
    }
}
