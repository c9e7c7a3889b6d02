//! A scriptable IMAP client.

mod client;
mod reply;
mod script;
mod value;

pub use client::ImapClient;
pub use reply::{Answer, Fetch, Listed, Reply, Selected, Status};
pub use value::Value;
