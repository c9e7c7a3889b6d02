//! What can go wrong in the store, each variant one thing a caller can act on.

use std::io;
use std::path::PathBuf;

use murder_mailbox::NameError;

use crate::quota::QuotaResource;

/// An error of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No mailbox of that name is in this partition, or it was deleted meanwhile.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The home (of a user or of a shared tree) is not in this partition.
    #[error("no such home in this partition")]
    NoSuchHome,
    /// A mailbox, or the home it would be the root of, has that name already.
    #[error("mailbox exists")]
    MailboxExists,
    /// A rename from one home to another within the partition; only messages can do that.
    #[error("a mailbox cannot be renamed into another home")]
    CrossHome,
    /// A user's INBOX is emptied into a new mailbox: use
    /// [`Partition::rename_inbox`](crate::Partition::rename_inbox).
    #[error("INBOX is renamed by moving its messages")]
    InboxRename,
    /// A mailbox cannot become a child of itself.
    #[error("a mailbox cannot be renamed to below itself")]
    RenameBelowItself,
    /// The name is not valid at its new place.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The mailbox would have more different keywords than it may.
    #[error("too many keywords in this mailbox")]
    TooManyKeywords,
    /// A mailbox, or the server, would have more annotations than it may (RFC 5464 section 4.1).
    #[error("too many annotations")]
    TooManyAnnotations,
    /// The message that was to be replaced is gone; nothing was changed.
    #[error("the message was expunged")]
    NoSuchMessage,
    /// The messages of a COPY or MOVE from another partition are not there, or not all of them, or
    /// it was settled that they will not be adopted.
    #[error("the messages of the transfer are not there")]
    NoSuchTransfer,
    /// The append was not done, and will not be: somebody has asked what became of it.
    #[error("withdrawn: it is not to be done any more")]
    Withdrawn,
    /// All UIDs of the mailbox have been given out.
    #[error("the mailbox has no UIDs left")]
    UidsExhausted,
    /// A quota root has no room for it; nothing was changed (RFC 9208 section 4.3.1).
    #[error("over quota: {resource} of {root} is {usage}, the limit is {limit}")]
    OverQuota {
        /// The canonical name of the quota root.
        root: String,
        /// What there is not enough of.
        resource: QuotaResource,
        /// What is used, STORAGE in units of 1024 bytes.
        usage: u64,
        /// What is allowed, in the same unit.
        limit: u64,
    },
    /// The message or the command is larger than the store takes.
    #[error("too large: {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// What is possible.
        limit: u64,
    },
    /// The partition serves what it has and takes no changes.
    #[error("partition is read-only: {why}")]
    ReadOnly {
        /// Why, for the operator.
        why: String,
    },
    /// A checksum does not fit what is on disk.
    #[error("journal segment {segment} is corrupt at offset {offset}")]
    Corrupt {
        /// The number of the segment or blob file.
        segment: u64,
        /// Where in the file, in bytes.
        offset: u64,
    },
    /// A home's database is unusable; the rest of the partition is not concerned.
    #[error("home {home} is damaged: {why}")]
    HomeDamaged {
        /// The home's number (its file name).
        home: u64,
        /// Why, for the operator.
        why: String,
    },
    /// The message was expunged and its body is no longer on disk.
    #[error("the message's body is gone")]
    BodyGone,
    /// The file system is full; nothing was changed.
    #[error("file system is full")]
    DiskFull,
    /// The disk failed, or the partition was closed, when the change may already have been durable: it
    /// may be there after the next start.
    #[error("not known whether it was done: {why}")]
    InDoubt {
        /// Why, for the operator.
        why: String,
    },
    /// Another process has the partition open.
    #[error("partition {path} is in use by another process", path = .0.display())]
    InUse(PathBuf),
    /// The directory holds something that this code cannot read.
    #[error("{path}: {why}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no partition in the directory, and it was not to be made.
    #[error("there is no partition in {path}", path = .0.display())]
    Missing(PathBuf),
    /// A file of the partition is damaged, missing or another one's.
    #[error("{path}: {why}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, for the operator.
        why: String,
    },
    /// A newer version wrote this; nothing was changed.
    #[error("{path} at offset {offset}: written by a newer version", path = .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// The operating system refused.
    #[error("{what}: {why}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's words.
        why: String,
    },
    /// The murder's master has to be told first how far the partition has come; nothing was
    /// changed, and it can be tried again.
    #[error("the murder's master does not know yet how far the partition has come")]
    Unreported,
    /// The partition is closed or closing.
    #[error("partition is closed")]
    Closed,
}

impl StoreError {
    /// Wraps an I/O error, telling a full disk from the rest.
    pub(crate) fn io(what: &'static str, error: &io::Error) -> Self {
        if is_full(error) {
            return Self::DiskFull;
        }
        Self::Io {
            what,
            why: error.to_string(),
        }
    }

    /// A file that is not as it should be.
    pub(crate) fn damaged(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            why: why.into(),
        }
    }

    /// A file that a newer version wrote.
    pub(crate) fn newer(path: impl Into<PathBuf>) -> Self {
        Self::Newer {
            path: path.into(),
            offset: 0,
        }
    }

    /// Wraps a SQLite error.
    pub(crate) fn sql(what: &'static str, error: &rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            return Self::DiskFull;
        }
        Self::Io {
            what,
            why: error.to_string(),
        }
    }
}

/// Whether an I/O error means that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether what SQLite says is about the disk or the process, and not about a database's content.
pub(crate) fn is_of_the_disk(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(
        e.sqlite_error_code(),
        Some(
            Code::DiskFull
                | Code::SystemIoFailure
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::OutOfMemory
                | Code::PermissionDenied
        )
    )
}
