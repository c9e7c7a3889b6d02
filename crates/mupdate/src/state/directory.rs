//! Operations on accounts.

use murder_auth::{Account, check_hash, normalize_group, normalize_user};
use murder_proto::v1::{self, ErrorKind, directory_operation::Kind};

use super::{Changing, Refusal, refuse};
use murder_location::record::{Change, account_from_proto};

/// The most groups of one account; each replica holds them all.
const MAX_GROUPS: usize = 1000;

impl Changing<'_> {
    pub(super) fn directory_batch(&mut self, batch: &v1::DirectoryBatch) -> Result<(), Refusal> {
        for operation in &batch.operations {
            let account = match &operation.kind {
                Some(Kind::Add(account)) => self.added(account)?,
                Some(Kind::AddIfFree(request)) => {
                    let Some(account) = &request.account else {
                        return refuse(ErrorKind::InvalidArgument, "no account");
                    };
                    let account = self.added(account)?;
                    self.demand_free(&account.name)?;
                    account
                }
                Some(Kind::SetPassword(request)) => Account {
                    password_hash: request.password_hash.clone(),
                    ..self.account(&request.name)?
                },
                Some(Kind::Update(request)) => {
                    let mut account = self.account(&request.name)?;
                    if let Some(groups) = &request.groups {
                        account.groups.clone_from(&groups.groups);
                    }
                    account.admin = request.admin.unwrap_or(account.admin);
                    account.disabled = request.disabled.unwrap_or(account.disabled);
                    account
                }
                Some(Kind::Delete(request)) => {
                    self.account(&request.name)?;
                    self.change(Change::Account(request.name.clone(), None));
                    continue;
                }
                None => return refuse(ErrorKind::InvalidArgument, "no operation"),
            };
            check(&account)?;
            self.change(Change::Account(account.name.clone(), Some(account)));
        }
        Ok(())
    }

    fn added(&self, account: &v1::Account) -> Result<Account, Refusal> {
        if self.state.tables.accounts.contains_key(&account.name) {
            return refuse(
                ErrorKind::AlreadyExists,
                format!("user {} exists", account.name),
            );
        }
        Ok(account_from_proto(account.clone()))
    }

    /// Whoever gets a name gets what is held under it, so that nothing may be.
    fn demand_free(&self, name: &str) -> Result<(), Refusal> {
        let held = self.state.tables.map.held_by(name, 1);
        let of = |names: &[String], count: usize| match (names.first(), count) {
            (Some(first), 2..) => Some(format!("{first} and {} more", count - 1)),
            (first, _) => first.cloned(),
        };
        let mail = of(&held.mailboxes, held.mailbox_count).map(|names| format!("mail: {names}"));
        let rights = of(&held.granting, held.granting_count)
            .map(|names| format!("a place in the ACL of {names}"));
        let both: Vec<String> = mail.into_iter().chain(rights).collect();
        if both.is_empty() {
            return Ok(());
        }
        refuse(
            ErrorKind::FailedPrecondition,
            format!(
                "the name {name} is not free; an earlier holder has left {}",
                both.join(", and ")
            ),
        )
    }

    fn account(&self, name: &str) -> Result<Account, Refusal> {
        match self.state.tables.accounts.get(name) {
            Some(account) => Ok(account.clone()),
            None => refuse(ErrorKind::NotFound, format!("no user {name:?}")),
        }
    }
}

fn check(account: &Account) -> Result<(), Refusal> {
    let name = &account.name;
    if normalize_user(name).as_ref() != Ok(name) {
        return refuse(
            ErrorKind::InvalidArgument,
            format!("{name:?} is not a valid user name in lower case"),
        );
    }
    if check_hash(&account.password_hash).is_err() {
        return refuse(
            ErrorKind::InvalidArgument,
            format!("user {name}: not an argon2 hash in PHC form"),
        );
    }
    let good = |group: &String| normalize_group(group).as_ref() == Ok(group);
    if account.groups.len() > MAX_GROUPS || !account.groups.iter().all(good) {
        return refuse(
            ErrorKind::InvalidArgument,
            format!("user {name}: invalid group name, or too many groups"),
        );
    }
    Ok(())
}
