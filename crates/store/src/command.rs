//! What a journal record says: a mutation with everything in it that is not determined by
//! the state it is applied to.
//!
//! Mailboxes are named by their ids and homes by their numbers, so that a command means the
//! same after a rename that was journaled before it. Fields are only ever added: old journals
//! stay readable.

mod mailboxes;
mod messages;
mod repair;
mod transfer;

pub(crate) use mailboxes::{
    Annotate, Annotation, Create, Delete, DropHome, Rename, RenameHome, RestoreMailbox, SetMailbox,
    SetQuota, Subscribe,
};
pub(crate) use messages::{
    Append, Copy, CopyAcross, Expunge, Message, OldPlace, Purge, Relocate, Replaced,
    RestoreMessages, Store, Target, Withdraw,
};
pub(crate) use repair::{Jump, Lost, Recount, Restored};
pub(crate) use transfer::{Adopt, Departing, Leaving, TakeMessages, Transfer, TransferStep};

use std::collections::HashMap;

use crate::uidset::UidSet;

/// What a command may touch, in rows or by its nature, and still count as quick: a millisecond
/// or two of work.
const FEW_ROWS: u64 = 128;

/// A journal record's command.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Command {
    #[prost(
        oneof = "Op",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 25, 26, 28"
    )]
    pub op: Option<Op>,
}

/// The kinds of commands.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Op {
    #[prost(message, tag = "1")]
    Create(Create),
    #[prost(message, tag = "2")]
    Delete(Delete),
    #[prost(message, tag = "3")]
    Rename(Rename),
    /// Moves all messages of the home's root into a new mailbox.
    #[prost(message, tag = "4")]
    RenameInbox(Create),
    #[prost(message, tag = "5")]
    SetMailbox(SetMailbox),
    #[prost(message, tag = "6")]
    Subscribe(Subscribe),
    #[prost(message, tag = "7")]
    Append(Append),
    #[prost(message, tag = "8")]
    Store(Store),
    #[prost(message, tag = "9")]
    Expunge(Expunge),
    #[prost(message, tag = "10")]
    Copy(Copy),
    #[prost(message, tag = "11")]
    CopyAcross(CopyAcross),
    #[prost(message, tag = "12")]
    RenameHome(RenameHome),
    #[prost(message, tag = "13")]
    DropHome(DropHome),
    /// Compaction: bodies have a new place.
    #[prost(message, tag = "14")]
    Relocate(Relocate),
    /// Forgets what was expunged or deleted long ago.
    #[prost(message, tag = "15")]
    Purge(Purge),
    #[prost(message, tag = "16")]
    RestoreMessages(RestoreMessages),
    #[prost(message, tag = "17")]
    RestoreMailbox(RestoreMailbox),
    #[prost(message, tag = "18")]
    SetQuota(SetQuota),
    /// Never journaled: repair applies it in the place of records that are lost.
    #[prost(message, tag = "19")]
    Lost(Lost),
    /// Makes the counters that quota is decided by what there is.
    #[prost(message, tag = "20")]
    Recount(Recount),
    #[prost(message, tag = "21")]
    Annotate(Annotate),
    /// The partition is an older copy of what it once was.
    #[prost(message, tag = "22")]
    Restored(Restored),
    #[prost(message, tag = "25")]
    Transfer(Transfer),
    #[prost(message, tag = "26")]
    Leaving(Leaving),
    /// Asks whether an append with an id has been done; if not, it never will be.
    #[prost(message, tag = "28")]
    Withdraw(Withdraw),
}

impl Op {
    /// The homes that the command changes; a cross-home MOVE has the target first.
    pub fn homes(&self) -> Vec<u64> {
        match self {
            Self::Create(c) | Self::RenameInbox(c) => vec![c.home],
            Self::Delete(c) => vec![c.home],
            Self::Rename(c) => vec![c.home],
            Self::SetMailbox(c) => vec![c.home],
            Self::Subscribe(c) => vec![c.home],
            Self::Append(c) => {
                let mut homes: Vec<u64> = Vec::with_capacity(c.targets.len());
                for target in &c.targets {
                    if !homes.contains(&target.home) {
                        homes.push(target.home);
                    }
                }
                homes
            }
            Self::Store(c) => vec![c.home],
            Self::Expunge(c) => vec![c.home],
            Self::Copy(c) => vec![c.home],
            Self::CopyAcross(c) if c.expunge => vec![c.target_home, c.source_home],
            Self::CopyAcross(c) => vec![c.target_home],
            Self::RenameHome(c) => vec![c.home],
            Self::DropHome(c) => vec![c.home],
            Self::Relocate(c) => c.homes.clone(),
            Self::Purge(c) => vec![c.home],
            Self::RestoreMessages(c) => vec![c.home],
            Self::RestoreMailbox(c) => vec![c.create.home],
            Self::SetQuota(c) => vec![c.home],
            Self::Lost(c) => vec![c.home],
            Self::Recount(c) => vec![c.home],
            Self::Annotate(c) => vec![c.home],
            Self::Restored(c) => c.homes.clone(),
            Self::Transfer(c) => vec![c.home],
            Self::Leaving(c) => vec![c.home],
            Self::Withdraw(c) => vec![c.home],
        }
    }

    /// Where the partition goes on after it, if that is not just behind it.
    pub fn jump(&self) -> Option<Jump> {
        match self {
            Self::Restored(c) => c.jump,
            _ => None,
        }
    }

    /// The LSN of the record that follows it.
    pub fn next_lsn(&self, lsn: u64) -> u64 {
        self.jump().map_or(0, |jump| jump.lsn).max(lsn + 1)
    }

    /// By how much the UIDNEXT of a mailbox can grow, at most.
    pub fn uids(&self) -> u64 {
        match self {
            Self::Append(c) => {
                // A delivery may name a mailbox twice.
                let mut times: HashMap<&[u8], u64> = HashMap::new();
                if c.targets.len() > 1 {
                    for target in &c.targets {
                        *times.entry(&target.mailbox).or_default() += 1;
                    }
                }
                c.messages.len() as u64 * times.into_values().max().unwrap_or(1)
            }
            Self::CopyAcross(c) => c.messages.len() as u64,
            Self::Transfer(Transfer {
                step: Some(TransferStep::Adopt(adopt)),
                ..
            }) => adopt.messages,
            Self::Copy(c) => UidSet::len_of(&c.uids),
            Self::RestoreMessages(c) => UidSet::len_of(&c.uids),
            _ => 0,
        }
    }

    /// Whether applying it may take longer than many others do.
    pub fn is_slow(&self) -> bool {
        let many = |uids: &[u8]| UidSet::len_of(uids) > FEW_ROWS;
        match self {
            Self::Append(c) => c.targets.len() * c.messages.len() > FEW_ROWS as usize,
            Self::CopyAcross(_) | Self::Relocate(_) => self.messages().len() > FEW_ROWS as usize,
            Self::Store(c) => many(&c.uids),
            Self::Copy(c) => many(&c.uids),
            Self::Expunge(c) => c.uids.as_deref().is_none_or(many),
            Self::Transfer(c) => match &c.step {
                Some(TransferStep::Take(c)) => c.messages.len() > FEW_ROWS as usize,
                _ => true,
            },
            Self::Create(_)
            | Self::SetMailbox(_)
            | Self::Subscribe(_)
            | Self::SetQuota(_)
            | Self::Annotate(_)
            | Self::Leaving(_)
            | Self::Withdraw(_) => false,
            Self::Delete(_)
            | Self::Rename(_)
            | Self::RenameInbox(_)
            | Self::RenameHome(_)
            | Self::DropHome(_)
            | Self::Purge(_)
            | Self::RestoreMessages(_)
            | Self::RestoreMailbox(_)
            | Self::Lost(_)
            | Self::Recount(_)
            | Self::Restored(_) => true,
        }
    }

    /// The messages that it carries.
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::Append(c) => &c.messages,
            Self::CopyAcross(c) => &c.messages,
            Self::Relocate(c) => &c.bodies,
            Self::Transfer(Transfer {
                step: Some(TransferStep::Take(c)),
                ..
            }) => &c.messages,
            _ => &[],
        }
    }
}
