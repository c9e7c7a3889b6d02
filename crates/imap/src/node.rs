//! What frontends say to backends, and nobody else: clients do not get this far, and a backend takes
//! it only from a connection that has shown a frontend's certificate.

use bytes::BytesMut;

use crate::mailbox::MailboxArg;
use crate::wire::{Style, put, put_string};

/// The id of something that is made: 16 octets, 32 hexadecimal digits on the wire.
pub type NodeId = [u8; 16];

/// The response code of a backend's BYE to a frontend when the selected mailbox was deleted.
pub const DELETED: &str = "X-DELETED";
/// The last word to a client whose selected mailbox was deleted.
pub const MAILBOX_DELETED: &str = "The selected mailbox was deleted";

/// A command of a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCommand {
    /// `X-NEXTID id`: what the next command makes has this id. An APPEND with an id is done once,
    /// and can be asked about; a mailbox that CREATE makes has it as its MAILBOXID. The next command's
    /// answer is the answer to both.
    NextId(NodeId),
    /// `X-DONE mailbox id`: whether the APPEND with this id, to a mailbox of the same home, has been
    /// done. OK with APPENDUID when it has; NO with [`Code::not_done`](crate::Code::not_done) when
    /// it has not, and then it never will be.
    Done {
        /// The mailbox.
        mailbox: MailboxArg,
        /// The id.
        id: NodeId,
    },
}

impl NodeCommand {
    /// The command's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NextId(_) => "X-NEXTID",
            Self::Done { .. } => "X-DONE",
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
        let id = match self {
            Self::NextId(id) => id,
            Self::Done { mailbox, id } => {
                out.extend_from_slice(b" ");
                put_string(out, mailbox.as_bytes(), Style::Client);
                id
            }
        };
        put(out, format_args!(" {:032x}", u128::from_be_bytes(*id)));
    }
}
