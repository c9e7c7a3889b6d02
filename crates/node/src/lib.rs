//! What every node is, whatever its roles: the [`NodeRuntime`] that roles are started with, the
//! [`Node`] that starts and stops them together, and the process that they run in.
//!
//! It knows no protocol and no role; a role implements [`RoleConfig`] and [`RunningRole`].
//!
//! Invariants:
//! * A node has one identity, one replica, one session at the master, one register of sessions, however
//!   many roles.
//! * The master hears of a node when all its roles run, and of its end when none serves any more.

mod config;
mod memory;
mod node;
mod process;
mod role;
mod runtime;

pub use config::{RuntimeConfig, check, load};
pub use node::Node;
pub use process::{Arguments, EXIT_CONFIG, describe, run};
pub use role::{RoleConfig, RoleKind, RunningRole};
pub use runtime::NodeRuntime;
