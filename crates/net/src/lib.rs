//! What every role needs to be on a network: configuration, the cluster's certificates, TLS,
//! listeners with limits, health and metrics over HTTP, and a drain at the end.
//!
//! It never speaks a mail protocol: a role hands it a function that serves one [`Connection`].
//!
//! Invariants:
//!
//! * A [`Peer`] exists only for a certificate that the cluster's CA has signed and that TLS has
//!   verified.
//! * Every connection counts against the limits until its handler has returned, and is owned by
//!   the [`Shutdown`] it was accepted under.
//! * Private keys are written with mode 0600.

pub mod audit;
pub mod ca;
pub mod config;
pub mod deflate;
pub mod drain;
pub mod expiry;
pub mod grpc;
pub mod health;
pub mod http;
pub mod limits;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod seldom;
pub mod session_id;
pub mod stream;
pub mod tls;

pub use audit::Actor;
pub use ca::Ca;
pub use config::{ConfigError, load};
pub use drain::Shutdown;
pub use health::{Condition, Health};
pub use limits::{Limit, Slot};
pub use listener::{Connection, Listener, ShutOut};
pub use metrics::Metrics;
pub use seldom::{Alarm, Cancelled};
pub use session_id::SessionId;
pub use stream::Stream;
pub use tls::{NodeTls, Peer, Role};
#[doc(hidden)] // for `audit!`
pub use tracing;
