//! The `Directory` service.

use std::ops::Bound;

use murder_auth::normalize_group;
use murder_proto::v1::directory_server::Directory;
use murder_proto::v1::{self, directory_operation::Kind, log_entry::Command};
use tonic::{Request, Response, Status};

use super::audit;
use super::caller::{Authority, Caller, invalid, too_large};
use super::mupdate::{Parts, Service, parts};
use crate::state::Outcome;
use murder_location::record::account_to_proto;

/// The most accounts in one call.
const MAX_BATCH: usize = 10_000;
/// Accounts in one message of a listing.
const LIST_PART: usize = 500;
/// Names of each kind in an answer of what is held under a name: some 100 bytes each.
const HELD_PART: usize = 1000;

/// Groups as they are compared; what can be no group's name is the state's to refuse.
fn normalized(groups: &mut [String]) {
    for group in groups {
        if let Ok(normal) = normalize_group(group) {
            *group = normal;
        }
    }
}

fn adding(mut account: v1::Account, with_mail: bool) -> Kind {
    normalized(&mut account.groups);
    match with_mail {
        true => Kind::Add(account),
        false => Kind::AddIfFree(v1::AddUserRequest {
            account: Some(account),
            with_mail,
        }),
    }
}

impl Service {
    async fn change_directory<T>(
        &self,
        request: &Request<T>,
        operations: Vec<Kind>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        let caller = Caller::of(request)?;
        caller.may_administer()?;
        if operations.len() > MAX_BATCH {
            return Err(too_large(format!("more than {MAX_BATCH} accounts")));
        }
        let kinds = operations.clone();
        let operations = operations
            .into_iter()
            .map(|kind| v1::DirectoryOperation { kind: Some(kind) })
            .collect();
        let batch = v1::DirectoryBatch { operations };
        match self
            .propose(Authority::default(), Command::Directory(batch))
            .await?
        {
            (_, Outcome::Refused(detail)) => Err(detail.into_status()),
            (revision, _) => {
                for kind in &kinds {
                    audit::account(&caller, revision, kind);
                }
                Ok(Response::new(v1::DirectoryResponse { revision }))
            }
        }
    }
}

#[tonic::async_trait]
impl Directory for Service {
    async fn add_user(
        &self,
        request: Request<v1::AddUserRequest>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        // Before what is asked for is looked at.
        Caller::of(&request)?.may_administer()?;
        let v1::AddUserRequest { account, with_mail } = request.get_ref().clone();
        let account = account.ok_or_else(|| invalid("no account"))?;
        self.change_directory(&request, vec![adding(account, with_mail)])
            .await
    }

    async fn add_users(
        &self,
        request: Request<v1::AddUsersRequest>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        let v1::AddUsersRequest {
            accounts,
            with_mail,
        } = request.get_ref();
        let accounts = accounts.iter().cloned();
        let operations = accounts
            .map(|account| adding(account, *with_mail))
            .collect();
        self.change_directory(&request, operations).await
    }

    async fn set_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        let operation = Kind::SetPassword(request.get_ref().clone());
        self.change_directory(&request, vec![operation]).await
    }

    async fn update_user(
        &self,
        request: Request<v1::UpdateUserRequest>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        let mut update = request.get_ref().clone();
        if let Some(groups) = &mut update.groups {
            normalized(&mut groups.groups);
        }
        let operation = Kind::Update(update);
        self.change_directory(&request, vec![operation]).await
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DirectoryResponse>, Status> {
        let operation = Kind::Delete(request.get_ref().clone());
        self.change_directory(&request, vec![operation]).await
    }

    async fn find_held(
        &self,
        request: Request<v1::FindHeldRequest>,
    ) -> Result<Response<v1::FindHeldResponse>, Status> {
        Caller::of(&request)?.may_administer()?;
        let name = request.into_inner().name;
        let state = self.consensus.state();
        let held = state.tables().map.held_by(&name, HELD_PART);
        Ok(Response::new(v1::FindHeldResponse {
            mailboxes: held.mailboxes,
            mailbox_count: held.mailbox_count as u64,
            granting: held.granting,
            granting_count: held.granting_count as u64,
        }))
    }

    type ListUsersStream = Parts<v1::ListUsersResponse>;

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        Caller::of(&request)?.may_administer()?;
        let prefix = request.into_inner().prefix;
        let consensus = self.consensus.clone();
        let mut last: Option<String> = None;
        Ok(Response::new(parts(&self.shutdown, move || {
            let from = match &last {
                None => Bound::Included(prefix.as_str()),
                Some(last) => Bound::Excluded(last.as_str()),
            };
            let accounts: Vec<v1::Account> = consensus
                .state()
                .tables()
                .accounts
                .range::<str, _>((from, Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(&prefix))
                .take(LIST_PART)
                .map(|(_, account)| v1::Account {
                    password_hash: String::new(),
                    ..account_to_proto(account)
                })
                .collect();
            last = Some(accounts.last()?.name.clone());
            Some(v1::ListUsersResponse { accounts })
        })))
    }
}
