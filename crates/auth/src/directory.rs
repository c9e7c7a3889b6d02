//! Who there is: accounts, and where they are looked up.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use murder_mailbox::Identity;

use crate::Blocked;

/// One user's account.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Normalised login name, `user` or `user@domain`.
    pub name: String,
    /// The password's hash, a PHC string.
    pub password_hash: String,
    /// The groups that the user is in, without `group:`.
    pub groups: Vec<String>,
    /// Whether the user administers the murder.
    pub admin: bool,
    /// A disabled account cannot log in; its mail is still delivered.
    pub disabled: bool,
}

impl Account {
    /// Who the account's user is, once authenticated.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            user: self.name.clone(),
            groups: self.groups.clone(),
            admin: self.admin,
            sees_all: false,
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .field("admin", &self.admin)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// Where accounts are found. Looking one up must not wait for anything remote.
pub trait Directory: Send + Sync {
    /// The account with this normalised name.
    fn account(&self, name: &str) -> Option<Account>;

    /// Whether logins from `address` are refused, as far as others have said.
    fn blocked(&self, address: IpAddr) -> Option<Blocked> {
        let _ = address;
        None
    }
}

/// Hears that accounts have changed, once the change can be looked up.
pub trait AccountObserver: fmt::Debug + Send + Sync {
    /// The account of this normalised name is this now; `None` when it is gone.
    fn account_changed(&self, name: &str, account: Option<&Account>);

    /// Any account of `directory` may be another.
    fn accounts_replaced(&self, directory: &dyn Directory);
}

/// A fixed set of accounts.
#[derive(Debug, Clone, Default)]
pub struct StaticDirectory {
    accounts: HashMap<String, Account>,
}

impl StaticDirectory {
    /// Exactly these accounts; of two with one name the later counts.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self {
            accounts: accounts.into_iter().map(|a| (a.name.clone(), a)).collect(),
        }
    }
}

impl Directory for StaticDirectory {
    fn account(&self, name: &str) -> Option<Account> {
        self.accounts.get(name).cloned()
    }
}

impl<D: Directory + ?Sized> Directory for std::sync::Arc<D> {
    fn account(&self, name: &str) -> Option<Account> {
        (**self).account(name)
    }

    fn blocked(&self, address: IpAddr) -> Option<Blocked> {
        (**self).blocked(address)
    }
}
