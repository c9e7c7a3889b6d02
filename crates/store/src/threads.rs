//! The threads of a partition: each has one thing to do, and hands on to the next.

pub(crate) mod checkpoint;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod shard;
