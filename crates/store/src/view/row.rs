//! One message of a view.

use crate::body::BodyLocation;
use crate::flags::Flags;
use crate::message::InternalDate;

/// Everything a view knows about a message, gathered from the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRow {
    /// Message sequence number in the view it came from, from 1.
    pub seq: u32,
    /// UID.
    pub uid: u32,
    /// MODSEQ (RFC 7162).
    pub modseq: u64,
    /// System flags; `\Seen` is the owner's, see
    /// [`MailboxView::is_seen`](super::MailboxView::is_seen).
    pub flags: Flags,
    /// Which keywords, in a word that [`Keywords`](super::Keywords) can read.
    pub keywords: u64,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// SAVEDATE (RFC 8514), seconds since 1970.
    pub save_date: i64,
    /// The Date field in seconds since 1970, when it has a usable one.
    pub sent: Option<i64>,
    /// The day in the Date field as written there, its zone disregarded (RFC 9051 SENTON):
    /// days since 1970-01-01.
    pub sent_day: Option<i32>,
    /// The body; `len` is RFC822.SIZE.
    pub location: BodyLocation,
    /// Bytes of the header, the empty line included.
    pub header_len: u32,
    /// EMAILID (RFC 8474): the same for all copies.
    pub email_id: [u8; 16],
    /// Key of the precomputed fetch items within the home.
    pub(crate) content: i64,
}
