//! Annotations (RFC 5464): named values of a mailbox, or of the server.
//!
//! Entries below `/shared/` are everybody's, others belong to one user. Those of a mailbox live
//! and go with it. Values do not count for quota; how many there are is bounded instead.

use murder_mailbox::MailboxName;

/// The most octets in a value.
pub const MAX_ANNOTATION: usize = 16 << 10;
/// The most entries of a mailbox, or of the server, that are shared; as many are one user's own.
pub const MAX_ANNOTATIONS: u32 = 100;
/// The most entries of a mailbox: those of a hundred users who all have as many as they may, or
/// of many more who have a few. A home's database grows by 160 MiB at worst.
pub(crate) const MAX_OF_ALL_USERS: u32 = 10_000;

/// The key of the home that has what the server's users share. No mailbox's name begins with a
/// slash.
pub(crate) const SERVER: &str = "/server";
/// What the names of shared entries begin with.
const SHARED: &str = "/shared/";

/// What annotations are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotated<'a> {
    /// A mailbox.
    Mailbox(&'a MailboxName),
    /// The server, for the owner of this home (a [`MailboxName::home_key`]) alone. They go with
    /// the home's last mailbox.
    Home(&'a str),
    /// The server, for everybody.
    Server,
}

/// An annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its entry's name.
    pub entry: String,
    /// Octets of its value.
    pub size: u32,
    /// The value, if it was not too large for who asked.
    pub value: Option<Vec<u8>>,
}

/// A change of annotations, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnotationChange {
    /// New values of entries, each named once; `None` removes an entry.
    pub entries: Vec<(String, Option<Vec<u8>>)>,
    /// As [`Partition::set_shared_seen`](crate::Partition::set_shared_seen); of a mailbox only.
    pub shared_seen: Option<bool>,
}

/// Whose an entry is: `user`'s, or everybody's, for which it is empty.
pub(crate) fn owner<'a>(entry: &str, user: &'a str) -> &'a str {
    match entry.starts_with(SHARED) {
        true => "",
        false => user,
    }
}
