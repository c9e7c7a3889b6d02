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
//! * The name in an [`murder_mailbox::Identity`] is always normalised.

mod authenticator;
mod directory;
mod password;
pub mod sasl;
mod user_name;
mod users_file;

pub use authenticator::{AuthError, Authenticator, AuthenticatorConfig};
pub use directory::{Account, AccountObserver, Directory, StaticDirectory};
pub use password::{HashError, check_hash, hash_password, verify_password};
pub use user_name::{UserNameError, normalize_user};
pub use users_file::{UsersFile, UsersFileError};
