//! SASL messages, user directories and password hashes.
//!
//! Decides who somebody is; what they may do is the mailbox's ACL. Never logs or prints a
//! password or a hash, and never does a password hash on a thread that serves others.
//!
//! Invariants:
//! * A cached success is worth something only while the account still has the very hash
//!   that the password was checked against, so a changed password counts at once.
//! * Unknown users, wrong passwords and disabled accounts cost the same time and give the
//!   same error.
//! * Failed logins are counted by address and by account name, whether there is such an account
//!   or not, and are told in one form (see [`Login`]).
//! * The name in an [`murder_mailbox::Identity`] is always normalised.

mod authenticator;
mod config;
mod directory;
mod guard;
mod login;
mod network;
mod password;
pub mod sasl;
mod turns;
mod user_name;
mod users_file;

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

pub use authenticator::{AuthError, Authenticator, AuthenticatorConfig};
pub use config::{LoginConfig, MAX_BLOCK};
pub use directory::{Account, AccountObserver, Directory, StaticDirectory};
pub use guard::{Blocked, NewBlock};
pub use ipnet::IpNet;
pub use login::Login;
pub use network::{NetworkError, client_network, parse_network};
pub use password::{HashError, check_hash, hash_password, verify_password};
pub use user_name::{GroupNameError, UserNameError, may_be_made, normalize_group, normalize_user};
pub use users_file::{UsersFile, UsersFileError};

/// An empty table of at most so many entries, which takes memory for those that are in it:
/// [`LruCache::new`] takes it for all of them at once.
fn bounded<K: Hash + Eq, V>(entries: NonZeroUsize) -> LruCache<K, V> {
    let mut table = LruCache::unbounded();
    table.resize(entries);
    table
}
