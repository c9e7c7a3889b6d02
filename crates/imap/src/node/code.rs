//! Response codes between nodes.

use std::fmt;

use crate::code::Code;
use crate::parse::token::{
    Parsed, atom, expect, mismatch, number, number64, nz_number, response_set, sp, text,
};
use crate::sequence::SequenceSet;

/// A response code from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCode {
    /// `X-NOT-HERE`, of a NO: this backend does not hold that mailbox.
    NotHere,
    /// `X-DELETED`, of a BYE: the selected mailbox was deleted.
    Deleted,
    /// `X-NOT-DONE`, of a NO: the APPEND that is asked about was not done, and will not be.
    NotDone,
    /// `X-REVISION n`, of an OK: the master's revision that contains the change.
    Revision(u64),
    /// `X-CLAIMED messages octets`: so many messages, of so many octets, are claimed.
    Claimed {
        /// How many.
        messages: u32,
        /// Their octets.
        octets: u64,
    },
    /// `X-EXPORTED messages`: all messages have been sent, so many.
    Exported {
        /// How many.
        messages: u32,
    },
    /// `X-RECEIVING partition home`: the messages will go there.
    Receiving {
        /// The destination's partition.
        partition: String,
        /// The home in it.
        home: u64,
    },
    /// `X-REFUSED`: the messages of the transfer were not adopted, and will not be.
    Refused,
    /// `X-ADOPTED [uidvalidity from to]`: they were. Without COPYUID's arguments if there were none.
    Adopted(Option<CopiedUids>),
}

/// The arguments of COPYUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedUids {
    /// The destination's UIDVALIDITY.
    pub uidvalidity: u32,
    /// The UIDs in the source.
    pub from: SequenceSet,
    /// The UIDs in the destination, in the same order.
    pub to: SequenceSet,
}

impl NodeCode {
    /// Reads a code without its brackets; `None` if it is none of these.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        // Most codes are not for nodes.
        code.get(..2)
            .filter(|prefix| prefix.eq_ignore_ascii_case("X-"))?;
        match parse(code.as_bytes()) {
            Ok(([], code)) => Some(code),
            _ => None,
        }
    }
}

/// ```abnf
/// node-code       = "X-NOT-HERE" / "X-DELETED" / "X-NOT-DONE" / "X-REFUSED" /
///                   "X-REVISION" SP number64 /
///                   "X-CLAIMED" SP number SP number64 /
///                   "X-EXPORTED" SP number /
///                   "X-RECEIVING" SP partition SP number64 /
///                   "X-ADOPTED" [SP nz-number SP uid-set SP uid-set]
/// partition       = astring
/// ```
fn parse(input: &[u8]) -> Parsed<'_, NodeCode> {
    let (rest, name) = atom(input)?;
    let arguments = || sp(rest).map(|(rest, ())| rest);
    match name.to_ascii_uppercase().as_str() {
        "X-NOT-HERE" => Ok((rest, NodeCode::NotHere)),
        "X-DELETED" => Ok((rest, NodeCode::Deleted)),
        "X-NOT-DONE" => Ok((rest, NodeCode::NotDone)),
        "X-REFUSED" => Ok((rest, NodeCode::Refused)),
        "X-REVISION" => {
            let (rest, revision) = revision(arguments()?)?;
            Ok((rest, NodeCode::Revision(revision)))
        }
        "X-CLAIMED" => {
            let (rest, messages) = number(arguments()?)?;
            let (rest, ()) = sp(rest)?;
            let (rest, octets) = number64(rest)?;
            Ok((rest, NodeCode::Claimed { messages, octets }))
        }
        "X-EXPORTED" => {
            let (rest, messages) = number(arguments()?)?;
            Ok((rest, NodeCode::Exported { messages }))
        }
        "X-RECEIVING" => {
            let (rest, partition) = expect("a partition", text)(arguments()?)?;
            let (rest, ()) = sp(rest)?;
            let (rest, home) = number64(rest)?;
            Ok((rest, NodeCode::Receiving { partition, home }))
        }
        "X-ADOPTED" if rest.is_empty() => Ok((rest, NodeCode::Adopted(None))),
        "X-ADOPTED" => {
            let (rest, uidvalidity) = nz_number(arguments()?)?;
            let (rest, ()) = sp(rest)?;
            let (rest, from) = response_set(rest)?;
            let (rest, ()) = sp(rest)?;
            let (rest, to) = response_set(rest)?;
            let copied = CopiedUids {
                uidvalidity,
                from,
                to,
            };
            Ok((rest, NodeCode::Adopted(Some(copied))))
        }
        _ => mismatch("a node's code"),
    }
}

/// A revision, which may have all 64 bits.
fn revision(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, digits) = atom(input)?;
    match digits.parse() {
        Ok(revision) => Ok((rest, revision)),
        Err(_) => mismatch("a revision"),
    }
}

impl fmt::Display for NodeCode {
    /// The code without its brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere => f.write_str("X-NOT-HERE"),
            Self::Deleted => f.write_str("X-DELETED"),
            Self::NotDone => f.write_str("X-NOT-DONE"),
            Self::Revision(revision) => write!(f, "X-REVISION {revision}"),
            Self::Claimed { messages, octets } => write!(f, "X-CLAIMED {messages} {octets}"),
            Self::Exported { messages } => write!(f, "X-EXPORTED {messages}"),
            // Partitions have names that need no quoting.
            Self::Receiving { partition, home } => write!(f, "X-RECEIVING {partition} {home}"),
            Self::Refused => f.write_str("X-REFUSED"),
            Self::Adopted(None) => f.write_str("X-ADOPTED"),
            Self::Adopted(Some(copied)) => {
                let CopiedUids {
                    uidvalidity,
                    from,
                    to,
                } = copied;
                write!(f, "X-ADOPTED {uidvalidity} {from} {to}")
            }
        }
    }
}

impl From<NodeCode> for Code {
    fn from(code: NodeCode) -> Self {
        Self::Node(code)
    }
}

impl From<CopiedUids> for Code {
    fn from(copied: CopiedUids) -> Self {
        let CopiedUids {
            uidvalidity,
            from,
            to,
        } = copied;
        Self::CopyUid {
            uidvalidity,
            from,
            to,
        }
    }
}
