//! Mailbox names, namespaces, access control lists and LIST matching.
//!
//! Pure values: nothing here does I/O, knows a protocol session or reads a clock.
//!
//! Invariants:
//! * A [`MailboxName`] always holds a valid canonical name; whatever a client may type is
//!   checked once, in [`Namespace::parse`].
//! * A name is rendered for a client in one place only, [`Namespace::render`], and what it
//!   renders parses back to the same name.
//! * [`acl::Acl`] never holds an identifier without rights, nor one that is not normalised (NFC).

pub mod acl;
mod id;
pub mod listing;
mod name;
mod namespace;
mod nfc;
mod pattern;
mod rename;
mod special_use;
pub mod uidvalidity;
pub mod utf7;

pub use acl::{Acl, Identity, Rights};
pub use id::MailboxId;
pub use name::{MailboxName, NameError, Owner, valid_user_name};
pub use namespace::{Namespace, NamespaceConfig, NamespaceConfigError, Prefixes};
pub use nfc::nfc;
pub use pattern::Pattern;
pub use rename::{RenameError, check_rename};
pub use special_use::SpecialUse;
