//! Delivery: from an address to a mailbox, and a message into it.
//!
//! A message is stored byte for byte as it came, behind `Return-Path:` and `Received:` (RFC 5321
//! section 4.4; `[lmtp] return_path` and `received`); a `Return-Path:` of an earlier delivery is
//! taken out. One with NULs is refused. What a mail server delivers again for want of an answer is
//! taken, and is there once: [`trace`] says by what it is known.
//!
//! Recipients: `user@domain` is the account of that whole name, if its INBOX is here, and else
//! the account `user`, in whichever domain. `user+folder` goes to the mailbox `folder` of that
//! user's home if the user or `anyone` has the right `p` there (RFC 4314 section 4), and else to
//! the INBOX.

mod error;
mod fields;
mod incoming;
mod resolve;
mod return_paths;
mod trace;

pub(crate) use error::DeliveryError;
pub(crate) use fields::{Received, return_path};
pub(crate) use incoming::Incoming;
pub(crate) use resolve::{Target, resolve};
