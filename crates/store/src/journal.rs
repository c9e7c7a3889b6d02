//! The partition's log of commands: what must be durable before an answer, and nothing else. Its
//! format, and how it is read; who writes it is [`crate::threads::journal`].

pub(crate) mod checkpoint;
pub(crate) mod cursor;
pub(crate) mod files;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod retention;
pub(crate) mod salvage;
pub(crate) mod segment;
pub(crate) mod segments;
