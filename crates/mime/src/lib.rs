//! What an IMAP server needs to know of a message: its part tree, the `ENVELOPE`, `BODY` and
//! `BODYSTRUCTURE` of FETCH ready to send, any section of it, and its text as SEARCH sees it.
//!
//! Bytes in, bytes out. Nothing here does I/O, nothing here fails: mail is what arrives, so every
//! input has a structure, if need be that of one part of text.
//!
//! Invariants, each guarded by a property test in `tests/properties.rs`:
//!
//! * No input panics, whatever it holds.
//! * Sections are slices of the message as it came; nothing is re-encoded, no line end repaired.
//!   Only `HEADER.FIELDS` of several fields that are not neighbours needs a copy.
//! * Every range of a part lies inside the range of the part around it.
//! * Work is linear in the message times at most [`DEPTH_LIMIT`]; recursion is bounded by
//!   [`DEPTH_LIMIT`], the number of parts by [`PARTS_LIMIT`].
//! * What [`FetchItems`] holds is grammatical by RFC 9051 section 9 (strings are balanced, literal
//!   lengths are right, no NUL).
//!
//! Lines may end in CRLF or in a bare LF.
//!
//! ```
//! use murder_mime::{FetchItems, Section, section};
//!
//! let raw = b"From: Joe <joe@example.org>\r\nSubject: hi\r\n\r\nHello\r\n";
//! let items = FetchItems::compute(raw);
//! assert_eq!(
//!     items.body,
//!     br#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 1)"#
//! );
//! assert_eq!(section(raw, &Section::Text).as_deref(), Some(&b"Hello\r\n"[..]));
//! ```

mod address;
mod charset;
mod collate;
mod content_type;
mod date;
mod envelope;
mod fetch;
mod header;
mod html;
mod message_ids;
mod part;
mod preview;
mod search;
mod section;
mod structure;
mod subject;
mod transfer;
mod wire;

pub use address::{Address, addresses};
pub use charset::{SEARCH_CHARSETS, charset_text, decode_words};
pub use collate::{casemap, loosen_onto};
pub use content_type::{ContentType, Disposition, Param};
pub use date::{SentDate, parse_date};
pub use fetch::{FetchItems, LISTED_LIMIT, LISTED_VERSION, is_listed};
pub use header::{Field, Fields, fields, header_len, header_raw, header_text, message_id};
pub use message_ids::message_ids;
pub use part::{Encoding, Message, Part, PartKind};
pub use preview::PREVIEW_LIMIT;
pub use search::{
    address_search_text, all_address_search_text, contains_folded, fold, for_each_text,
    header_search_text,
};
pub use section::{PartWhat, Section, section, section_decoded};
pub use subject::{BaseSubject, base_subject};
pub use transfer::Decoder;

/// Parts nested deeper than this are leaves (`APPLICATION/OCTET-STREAM`): the recursion bound.
/// Real mail, forwarded over and over, stays far below it.
pub const DEPTH_LIMIT: usize = 100;

/// A message has at most this many parts (and one per open level more); what follows in the
/// multipart where it is reached is one leaf. Bounds the tree's memory and `BODYSTRUCTURE`.
pub const PARTS_LIMIT: usize = 10_000;

/// Parameters read of one `Content-Type` or `Content-Disposition`; further ones are not reported.
/// A file name split by RFC 2231 takes one per 70 characters or so.
pub const PARAMS_LIMIT: usize = 200;

/// A string in `ENVELOPE` or `BODYSTRUCTURE` is cut at this many octets. The header itself, in
/// full, is there by `BODY[HEADER]`.
pub const STRING_LIMIT: usize = 64 * 1024;

/// Octets read of one address field for `ENVELOPE`: some 20,000 addresses.
pub const ADDRESSES_LIMIT: usize = 1024 * 1024;
