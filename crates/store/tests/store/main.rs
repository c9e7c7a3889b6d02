//! The store as its users see it: every area over a real partition on disk.
#![allow(clippy::unwrap_used, missing_docs)]

mod annotations;
mod basics;
mod compaction;
mod copies;
mod crashes;
mod damage;
mod epochs;
mod faulty;
mod full;
mod fulltext;
mod identity;
mod keywords;
mod model;
mod newer;
mod once;
mod quota;
mod recovery;
mod repair;
mod restored;
mod retention;
mod scale;
mod support;
mod torn;
mod transfers;
