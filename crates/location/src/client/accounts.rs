//! The user directory.

use murder_auth::Account;
use murder_proto::v1;
use murder_proto::v1::directory_client::DirectoryClient;
use tonic::transport::Channel;

use super::MupdateClient;
use crate::error::MupdateError;
use crate::map::HeldByName;
use crate::record::{account_from_proto, account_to_proto};

/// What to change of an account; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserUpdate {
    /// The groups, all of them.
    pub groups: Option<Vec<String>>,
    /// Whether the user administers the murder.
    pub admin: Option<bool>,
    /// Whether the user may not log in.
    pub disabled: Option<bool>,
}

impl MupdateClient {
    fn directory(&self) -> DirectoryClient<Channel> {
        DirectoryClient::new(self.channel.clone())
    }

    /// Adds an account; its hash comes from [`murder_auth::hash_password`].
    ///
    /// # Errors
    /// [`MupdateError::AlreadyExists`]; [`MupdateError::FailedPrecondition`] while mailboxes or
    /// rights are held under the name; see [`MupdateError`].
    pub async fn add_user(&self, account: &Account) -> Result<u64, MupdateError> {
        self.add_user_to(account, false).await
    }

    /// The same; `with_mail`: also if there are mailboxes or rights of that name, which are the
    /// account's then.
    ///
    /// # Errors
    /// As for [`MupdateClient::add_user`].
    pub async fn add_user_to(
        &self,
        account: &Account,
        with_mail: bool,
    ) -> Result<u64, MupdateError> {
        let account = Some(account_to_proto(account));
        let request = v1::AddUserRequest { account, with_mail };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.add_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Adds all of these, or none.
    ///
    /// # Errors
    /// As for [`MupdateClient::add_user`].
    pub async fn add_users(&self, accounts: &[Account]) -> Result<u64, MupdateError> {
        let accounts = accounts.iter().map(account_to_proto).collect();
        let request = v1::AddUsersRequest {
            accounts,
            with_mail: false,
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.add_users(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Replaces an account's password hash.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn set_password(&self, name: &str, hash: &str) -> Result<u64, MupdateError> {
        let request = v1::SetPasswordRequest {
            name: name.to_owned(),
            password_hash: hash.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.set_password(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn update_user(&self, name: &str, update: UserUpdate) -> Result<u64, MupdateError> {
        let request = v1::UpdateUserRequest {
            name: name.to_owned(),
            groups: update.groups.map(|groups| v1::Groups { groups }),
            admin: update.admin,
            disabled: update.disabled,
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.update_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// What is held under the name of a user, which nobody can be given meanwhile.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn held_by(&self, name: &str) -> Result<HeldByName, MupdateError> {
        let name = name.to_owned();
        let answer = self
            .call(v1::FindHeldRequest { name }, |request| {
                let mut rpc = self.directory();
                async move { rpc.find_held(request).await }
            })
            .await?;
        Ok(HeldByName {
            mailboxes: answer.mailboxes,
            mailbox_count: usize::try_from(answer.mailbox_count).unwrap_or(usize::MAX),
            granting: answer.granting,
            granting_count: usize::try_from(answer.granting_count).unwrap_or(usize::MAX),
        })
    }

    /// Deletes an account; its mailboxes stay.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn delete_user(&self, name: &str) -> Result<u64, MupdateError> {
        let request = v1::DeleteUserRequest {
            name: name.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.delete_user(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// The accounts whose names start with `prefix`, in name order, without their hashes.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn list_users(&self, prefix: &str) -> Result<Vec<Account>, MupdateError> {
        let request = v1::ListUsersRequest {
            prefix: prefix.to_owned(),
        };
        let mut stream = self
            .call(request, |request| {
                let mut rpc = self.directory();
                async move { rpc.list_users(request).await }
            })
            .await?;
        let mut accounts = Vec::new();
        while let Some(part) = self.within_call(stream.message()).await? {
            accounts.extend(part.accounts.into_iter().map(account_from_proto));
        }
        Ok(accounts)
    }
}
