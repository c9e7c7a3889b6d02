//! Commands between nodes.

use bytes::BytesMut;

use crate::mailbox::MailboxArg;
use crate::parse::token::{
    Parsed, atom, expect, literal8, mailbox, number, number64, refuse, sequence_set, sp, text,
    upper_atom, word,
};
use crate::sequence::SequenceSet;
use crate::wire::{Style, put, put_astring, put_string};

/// The id of something that is made: 16 octets, 32 hexadecimal digits on the wire.
pub type NodeId = [u8; 16];

/// A command from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCommand {
    /// `X-NEXTID id`: what the next command makes has this id. An APPEND with an id is done once,
    /// and can be asked about; a mailbox that CREATE makes has it as its MAILBOXID. The next command's
    /// answer is the answer to both.
    NextId(NodeId),
    /// `X-DONE mailbox id`: whether the APPEND with this id, to a mailbox of the same home, has been
    /// done. OK with APPENDUID when it has; NO with [`NodeCode::NotDone`](super::NodeCode::NotDone)
    /// when it has not, and then it never will be.
    Done {
        /// The mailbox.
        mailbox: MailboxArg,
        /// The id.
        id: NodeId,
    },
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
        /// What [`BLOCK`](super::BLOCK) held.
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

impl NodeCommand {
    /// The command's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NextId(_) => "X-NEXTID",
            Self::Done { .. } => "X-DONE",
            Self::Claim { .. } => "X-CLAIM",
            Self::Export => "X-EXPORT",
            Self::Leave { .. } => "X-LEAVE",
            Self::Depart => "X-DEPART",
            Self::Release => "X-RELEASE",
            Self::Receive { .. } => "X-RECEIVE",
            Self::Stage { .. } => STAGE,
            Self::Adopt { .. } => "X-ADOPT",
            Self::Discard => "X-DISCARD",
            Self::Outcome { .. } => "X-OUTCOME",
        }
    }

    /// Name and arguments, without tag and line end.
    #[must_use]
    pub fn line(&self) -> BytesMut {
        let mut out = BytesMut::from(self.name());
        self.put_arguments(&mut out);
        out
    }

    /// What follows the name, with the space before it.
    pub(crate) fn put_arguments(&self, out: &mut BytesMut) {
        match self {
            Self::Export | Self::Depart | Self::Release | Self::Discard => {}
            Self::NextId(id) => put_id(out, *id),
            Self::Done { mailbox, id } => {
                put_mailbox(out, mailbox);
                put_id(out, *id);
            }
            Self::Claim { moving, uid, set } => {
                let what = if *moving { "MOVE" } else { "COPY" };
                let uid = if *uid { "UID " } else { "" };
                put(out, format_args!(" {what} {uid}{set}"));
            }
            Self::Leave {
                id,
                node,
                partition,
                home,
            } => {
                put_texts(out, &[id, node, partition]);
                put(out, format_args!(" {home}"));
            }
            Self::Receive {
                id,
                mailbox,
                messages,
                octets,
            } => {
                put_texts(out, &[id]);
                put_mailbox(out, mailbox);
                put(out, format_args!(" {messages} {octets}"));
            }
            Self::Stage { block } => {
                put_block_size(out, block.len() as u64);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(block);
            }
            Self::Adopt { messages } => put(out, format_args!(" {messages}")),
            Self::Outcome {
                id,
                partition,
                home,
            } => {
                put_texts(out, &[id, partition]);
                put(out, format_args!(" {home}"));
            }
        }
    }
}

const STAGE: &str = "X-STAGE";

/// [`NodeCommand::Stage`] up to the announcement of a block of so many octets, which follow after a
/// line break.
#[must_use]
pub fn stage_head(octets: u64) -> BytesMut {
    let mut out = BytesMut::from(STAGE);
    put_block_size(&mut out, octets);
    out
}

fn put_block_size(out: &mut BytesMut, octets: u64) {
    put(out, format_args!(" ~{{{octets}+}}"));
}

fn put_id(out: &mut BytesMut, id: NodeId) {
    put(out, format_args!(" {:032x}", u128::from_be_bytes(id)));
}

fn put_mailbox(out: &mut BytesMut, mailbox: &MailboxArg) {
    out.extend_from_slice(b" ");
    put_string(out, mailbox.as_bytes(), Style::Client);
}

fn put_texts(out: &mut BytesMut, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(b" ");
        put_astring(out, text.as_bytes(), Style::Client);
    }
}

/// Whether the command of this name, in upper case, may hold NULs.
pub(crate) fn is_binary(name: &str) -> bool {
    name == STAGE
}

/// Reads what follows the name of a command, which is in upper case. `None` if nodes have no such
/// command.
///
/// ```abnf
/// node-command    = "X-NEXTID" SP node-id /
///                   "X-DONE" SP mailbox SP node-id /
///                   "X-CLAIM" SP ("COPY" / "MOVE") SP ["UID" SP] sequence-set /
///                   "X-EXPORT" / "X-DEPART" / "X-RELEASE" / "X-DISCARD" /
///                   "X-LEAVE" SP id SP node SP partition SP number64 /
///                   "X-RECEIVE" SP id SP mailbox SP number SP number64 /
///                   "X-STAGE" SP literal8 /
///                   "X-ADOPT" SP number /
///                   "X-OUTCOME" SP id SP partition SP number64
/// id              = astring
/// node            = astring
/// partition       = astring
/// ```
pub(crate) fn arguments<'a>(name: &str, input: &'a [u8]) -> Parsed<'a, Option<NodeCommand>> {
    let plain = |command| Ok((input, Some(command)));
    let parser: fn(&[u8]) -> Parsed<'_, NodeCommand> = match name {
        "X-EXPORT" => return plain(NodeCommand::Export),
        "X-DEPART" => return plain(NodeCommand::Depart),
        "X-RELEASE" => return plain(NodeCommand::Release),
        "X-DISCARD" => return plain(NodeCommand::Discard),
        "X-NEXTID" => next_id,
        "X-DONE" => done,
        "X-CLAIM" => claim,
        "X-LEAVE" => leave,
        "X-RECEIVE" => receive,
        STAGE => stage,
        "X-ADOPT" => adopt,
        "X-OUTCOME" => outcome,
        _ => return Ok((input, None)),
    };
    let (rest, ()) = sp(input)?;
    let (rest, command) = parser(rest)?;
    Ok((rest, Some(command)))
}

fn next_id(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, id) = node_id(input)?;
    Ok((rest, NodeCommand::NextId(id)))
}

fn done(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, id) = node_id(rest)?;
    Ok((rest, NodeCommand::Done { mailbox, id }))
}

fn claim(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, what) = upper_atom(input)?;
    let moving = match what.as_str() {
        "COPY" => false,
        "MOVE" => true,
        _ => return refuse("COPY or MOVE"),
    };
    let (rest, ()) = sp(rest)?;
    let (rest, uid) = match word("UID")(rest).and_then(|(rest, ())| sp(rest)) {
        Ok((rest, ())) => (rest, true),
        Err(_) => (rest, false),
    };
    let (rest, set) = sequence_set(rest)?;
    Ok((rest, NodeCommand::Claim { moving, uid, set }))
}

fn leave(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, node) = expect("a node", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, partition) = expect("a partition", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, home) = number64(rest)?;
    Ok((
        rest,
        NodeCommand::Leave {
            id,
            node,
            partition,
            home,
        },
    ))
}

fn receive(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, mailbox) = mailbox(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, messages) = number(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, octets) = number64(rest)?;
    Ok((
        rest,
        NodeCommand::Receive {
            id,
            mailbox,
            messages,
            octets,
        },
    ))
}

fn stage(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, block) = literal8(input)?;
    let block = block.to_vec();
    Ok((rest, NodeCommand::Stage { block }))
}

fn adopt(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, messages) = number(input)?;
    Ok((rest, NodeCommand::Adopt { messages }))
}

fn outcome(input: &[u8]) -> Parsed<'_, NodeCommand> {
    let (rest, id) = expect("an id", text)(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, partition) = expect("a partition", text)(rest)?;
    let (rest, ()) = sp(rest)?;
    let (rest, home) = number64(rest)?;
    Ok((
        rest,
        NodeCommand::Outcome {
            id,
            partition,
            home,
        },
    ))
}

/// ```abnf
/// node-id = 32HEXDIG
/// ```
fn node_id(input: &[u8]) -> Parsed<'_, NodeId> {
    let (rest, text) = expect("an id", atom)(input)?;
    match u128::from_str_radix(text, 16) {
        Ok(id) if text.len() == 32 && !text.starts_with('+') => Ok((rest, id.to_be_bytes())),
        _ => refuse("an id of 32 hexadecimal digits"),
    }
}
