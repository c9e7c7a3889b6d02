//! Who is logged in at a node, and when that ends.
//!
//! A session is in the register ([`Sessions`]) from its login to its end. When an account changes,
//! the register looks only at the sessions of that account, decides for each whether it may go on,
//! and wakes those that have to know: they end with a last word, or look their identity up again.
//! Operators see the register and end sessions through [`admin`].
//!
//! Invariant: from the moment that a changed account can be looked up in the directory, no session
//! goes on by the earlier one unnoticed: a session enters the register first and is compared with
//! the directory then.

pub mod admin;
mod register;

pub use register::{
    About, CUT_OFF_AFTER, Claim, End, Listed, News, NotEntered, Overdue, Presence, Protocol,
    Sessions, ShownMailbox, news_of,
};
