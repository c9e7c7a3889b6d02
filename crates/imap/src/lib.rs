//! IMAP grammar, framing with streaming literals, and response writing: server and client side.
//!
//! * Arguments and answers are typed values: [`Command`], [`Response`] and what they are made of.
//! * [`framing`] says where commands, responses and literals begin and end, for whoever relays and
//!   whoever parses.
//! * [`server::CommandReader`] reads a client's commands; [`ResponseWriter`] writes answers into an
//!   [`Output`].
//! * [`client::ResponseReader`] reads a server's responses; [`encode`] writes commands.
//! * [`node`] is what the nodes of a murder say to each other.
//!
//! This crate opens no connection, keeps no session state, and knows nothing of stores or users:
//! which command is legal when, what is advertised and what limits apply is its caller's choice.
//! Streams are lent to each call, never owned, so STARTTLS and `select!` need no ceremony.
//!
//! Invariants:
//! * No input makes it panic, recurse without bound or hold more memory than the limits say. A
//!   command's message body or a response's literal is never held as a whole unless asked for.
//! * After a `Bad` event the reader stands at the start of the next command.
//! * Everything `async` here is cancel-safe: a dropped future has lost no octet.
//! * A reader or writer that has nothing in hand owns no buffer.
//! * What [`encode`] and [`ResponseWriter`] write parses back to the same value.

pub mod client;
pub mod code;
pub mod command;
pub mod date;
pub mod encode;
pub mod fetch;
pub mod flag;
pub mod framing;
mod lexical;
pub mod list;
pub mod mailbox;
pub mod metadata;
pub mod node;
pub mod notify;
pub mod output;
mod parse;
pub mod quota;
pub mod response;
pub mod search;
pub mod secret;
pub mod sequence;
pub mod server;
pub mod sort;
pub mod tag;
pub mod url;
mod wire;
pub mod writer;

pub use client::ResponseReader;
pub use code::Code;
pub use command::{
    AclMode, AppendData, AppendMessage, AppendStart, CatPart, Command, LiteralHead, Replaced,
    SelectParam, StoreMode, StoreModifier,
};
pub use date::{Date, DateTime};
pub use fetch::{FetchItem, FetchModifier, PartWhat, Partial, PartialRange, Section};
pub use flag::{Flag, Keyword};
pub use list::{List, ListAttribute, ListReturn, ListRow, ListSelection, StatusItem, StatusValue};
pub use mailbox::{MailboxArg, NameEncoding};
pub use metadata::{GetMetadata, MetadataDepth, MetadataEntry};
pub use node::{NodeCode, NodeCommand, NodeId};
pub use notify::{EventGroup, MailboxFilter, Notify, NotifyEvent};
pub use output::Output;
pub use parse::{Announcement, Fault, parse_command};
pub use quota::QuotaResource;
pub use response::{FetchData, Response, Status, Untagged};
pub use search::{ContextUpdate, Esearch, MultiSearch, Search, SearchKey, SearchReturn};
pub use secret::Secret;
pub use sequence::SequenceSet;
pub use server::{AppendNext, CommandReader, Event};
pub use sort::{Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm, ThreadList};
pub use tag::Tag;
pub use url::MessageUrl;
pub use wire::put_number;
pub use writer::{FetchWriter, ResponseWriter};
