//! A whole murder on loopback, in the test's process ([`Murder`]) or as processes of its own
//! ([`Processes`]); scriptable clients ([`ImapClient`], [`LmtpClient`], [`Pop3Client`]); and mail to send
//! ([`corpus`]).
//!
//! It shares no parser with what it tests: its clients read answers with a grammar of their own, so
//! that a mistake in `murder-imap` cannot hide behind itself.
//!
//! Every wait has a deadline ([`DEADLINE`]), far longer than anything takes, and an error that shows
//! what was said before. Nothing here sleeps for a fixed time to let something happen.

pub mod corpus;
mod http;
pub mod imap;
mod lmtp;
mod loopback;
mod murder;
mod password;
mod pop3;
mod processes;
mod stream;
mod topology;
mod wait;

pub use http::{HttpAnswer, http_get, metric};
pub use imap::{Answer, Fetch, ImapClient, Listed, Reply, Selected, Status, Value};
pub use lmtp::{LmtpClient, LmtpReply};
pub use loopback::own as own_loopback;
pub use murder::{Addresses, Builder, Murder};
pub use password::cheap_hash;
pub use pop3::Pop3Client;
pub use processes::{Processes, ProcessesBuilder, RunningNode};
pub use stream::Trust;
pub use topology::{Admin, MailNode, MasterNode, Topology, Users};
pub use wait::{DEADLINE, wait_until, within};
