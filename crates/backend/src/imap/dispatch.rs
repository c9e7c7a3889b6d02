//! Which command is legal where, and who handles it.

use std::pin::Pin;

use murder_imap::{Command, NodeCommand, SearchKey, Tag};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::enabled::Extension;
use crate::imap::errors::{OpResult, bad};
use crate::imap::op;
use crate::imap::selected::Selected;
use crate::imap::session::Session;
use crate::imap::state::State;
use crate::imap::uid_only;
use crate::imap::updates::Expunges;

impl Session {
    /// Runs a command, if it is legal in the session's state. Each handler's state is in a box of its
    /// own, so that the task of a session that waits is small.
    pub(crate) async fn execute(&mut self, tag: &Tag, command: Command) -> OpResult {
        use Command as C;
        use State as S;
        if self.client.enabled.has(Extension::UidOnly) {
            uid_only::check(&command)?;
        }
        let client = &mut self.client;
        match (&mut self.state, command) {
            (_, C::Capability) => op::capability::capability(self),
            (_, C::Noop) => op::noop::noop(),
            (_, C::Logout) => op::logout::logout(self),
            (_, C::Id(fields)) => boxed(op::id::id(client, fields.as_deref())).await,
            // On any connection of a node.
            (
                state,
                C::Node(NodeCommand::Outcome {
                    id,
                    partition,
                    home,
                }),
            ) => {
                let account = state.account();
                boxed(op::transfer::outcome(
                    client, account, &id, &partition, home,
                ))
                .await
            }

            (S::NotAuthenticated(login), C::StartTls) => {
                boxed(op::starttls::starttls(client, tag, login.deadline())).await
            }
            (S::NotAuthenticated(_), C::Login { user, password }) => {
                boxed(op::login::login(self, user, &password)).await
            }
            (
                S::NotAuthenticated(login),
                C::Authenticate {
                    mechanism,
                    initial_response,
                },
            ) => {
                let deadline = login.deadline();
                let authenticate =
                    op::authenticate::authenticate(self, deadline, &mechanism, initial_response);
                boxed(authenticate).await
            }
            (
                S::NotAuthenticated(_) | S::Logout,
                C::Node(NodeCommand::NextId(_) | NodeCommand::Done { .. }),
            ) => Err(bad("Log in first")),
            (S::NotAuthenticated(_) | S::Logout, C::Node(_)) => Err(bad("unknown command")),
            (S::NotAuthenticated(_) | S::Logout, _) => Err(bad("Log in first")),
            (_, C::StartTls | C::Login { .. } | C::Authenticate { .. }) => {
                Err(bad("Already logged in"))
            }

            (_, C::Unauthenticate) => op::unauthenticate::unauthenticate(self),
            (state, C::Select { mailbox, params }) => {
                boxed(op::select::select(client, state, false, &mailbox, &params)).await
            }
            (state, C::Examine { mailbox, params }) => {
                boxed(op::select::select(client, state, true, &mailbox, &params)).await
            }
            (state, C::Delete { mailbox }) => {
                boxed(op::delete::delete(client, state, &mailbox)).await
            }
            (state @ S::Selected(..), C::Unselect) => op::close::unselect(state),
            (state @ S::Selected(..), C::Close) => boxed(op::close::close(state)).await,

            (S::Authenticated(account), command) => {
                in_account(client, account, None, tag, command).await
            }
            (S::Selected(account, selected), command) => {
                in_mailbox(client, account, selected, tag, command).await
            }
        }
    }
}

/// Runs a command of the selected mailbox, or one for which none need be.
async fn in_mailbox(
    client: &mut Client,
    account: &mut Account,
    selected: &mut Selected,
    tag: &Tag,
    command: Command,
) -> OpResult {
    use Command as C;
    match command {
        C::Check => Ok(op::close::check()),
        C::Expunge => boxed(op::expunge::expunge(client, account, selected, tag, None)).await,
        C::UidExpunge { set } => {
            let set = Some(&set);
            boxed(op::expunge::expunge(client, account, selected, tag, set)).await
        }
        C::Search(search) => {
            boxed(op::search::search(client, account, selected, tag, &search)).await
        }
        C::CancelUpdate { tags } => op::cancel_update::cancel_update(selected, &tags),
        C::Sort(sort) => boxed(op::sort::sort(client, account, selected, tag, &sort)).await,
        C::Thread(thread) => {
            boxed(op::thread::thread(client, account, selected, tag, &thread)).await
        }
        C::Fetch {
            uid,
            set,
            items,
            modifiers,
        } => {
            let fetch = op::fetch::fetch(client, account, selected, uid, &set, &items, &modifiers);
            boxed(fetch).await
        }
        C::Store {
            uid,
            set,
            modifiers,
            mode,
            silent,
            flags,
        } => {
            let change = op::store::Change {
                uid,
                set: &set,
                modifiers: &modifiers,
                mode,
                silent,
                flags: &flags,
            };
            boxed(op::store::store(client, account, selected, tag, change)).await
        }
        C::Copy { uid, set, mailbox } => {
            let copy = op::copy::copy(client, account, selected, tag, (uid, &set), &mailbox, false);
            boxed(copy).await
        }
        C::Move { uid, set, mailbox } => {
            let copy = op::copy::copy(client, account, selected, tag, (uid, &set), &mailbox, true);
            boxed(copy).await
        }
        command => in_account(client, account, Some(selected), tag, command).await,
    }
}

/// Runs a command for which no mailbox need be selected.
async fn in_account(
    client: &mut Client,
    account: &mut Account,
    selected: Option<&mut Selected>,
    tag: &Tag,
    command: Command,
) -> OpResult {
    use Command as C;
    match command {
        C::Node(command) => boxed(op::node::node(client, account, selected, command)).await,
        C::Enable { capabilities } => op::enable::enable(client, account, selected, &capabilities),
        C::Namespace => op::namespace::namespace(client, account),
        C::List(list) => boxed(op::list::list(client, account, selected, &list)).await,
        C::Lsub { reference, pattern } => {
            boxed(op::list::lsub(client, account, &reference, &pattern)).await
        }
        C::Subscribe { mailbox } => {
            boxed(op::subscribe::subscribe(client, account, &mailbox)).await
        }
        C::Unsubscribe { mailbox } => {
            boxed(op::subscribe::unsubscribe(client, account, &mailbox)).await
        }
        C::Create {
            mailbox,
            partition,
            special_use,
        } => {
            let partition = partition.as_deref();
            let create = op::create::create(client, account, &mailbox, partition, &special_use);
            boxed(create).await
        }
        C::Rename {
            from,
            to,
            partition,
        } => {
            let partition = partition.as_deref();
            boxed(op::rename::rename(client, account, &from, &to, partition)).await
        }
        C::Status { mailbox, items } => {
            boxed(op::status::status(
                client, account, selected, &mailbox, &items,
            ))
            .await
        }
        C::SetAcl {
            mailbox,
            identifier,
            mode,
            rights,
        } => {
            let set_acl = op::acl::set_acl(client, account, &mailbox, &identifier, mode, rights);
            boxed(set_acl).await
        }
        C::DeleteAcl {
            mailbox,
            identifier,
        } => boxed(op::acl::delete_acl(client, account, &mailbox, &identifier)).await,
        C::GetAcl { mailbox } => op::acl::get_acl(client, account, &mailbox),
        C::ListRights {
            mailbox,
            identifier,
        } => op::acl::list_rights(client, account, &mailbox, &identifier),
        C::MyRights { mailbox } => op::acl::my_rights(client, account, &mailbox),
        C::Notify(command) => boxed(op::notify::notify(client, account, selected, &command)).await,
        C::GetMetadata(get) => boxed(op::get_metadata::get_metadata(client, account, &get)).await,
        C::SetMetadata { mailbox, entries } => {
            boxed(op::set_metadata::set_metadata(
                client, account, &mailbox, entries,
            ))
            .await
        }
        C::GetQuota { root } => boxed(op::quota::get_quota(client, account, &root)).await,
        C::GetQuotaRoot { mailbox } => {
            boxed(op::quota::get_quota_root(client, account, &mailbox)).await
        }
        C::SetQuota { root, limits } => {
            boxed(op::quota::set_quota(client, account, &root, &limits)).await
        }
        C::Idle => boxed(op::idle::idle(client, account, selected)).await,
        C::MultiSearch(search) => {
            let multi_search =
                op::multi_search::multi_search(client, account, selected, tag, &search);
            boxed(multi_search).await
        }
        C::Compress { mechanism } => boxed(op::compress::compress(client, tag, &mechanism)).await,
        _ => Err(bad("Select a mailbox first")),
    }
}

/// The future of a command. Its type goes no further, which keeps the session's own small for
/// the compiler too.
pub(crate) fn boxed<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

/// What of the selected mailbox's news is told at the end of a command. Nothing after SELECT: what
/// comes while it runs is not of what it tells, and a second EXISTS confuses clients; it waits for
/// the next command.
pub(crate) fn news_after(command: &Command) -> Option<Expunges> {
    match command {
        Command::Select { .. } | Command::Examine { .. } => None,
        command => Some(expunges_during(command)),
    }
}

/// EXPUNGE and VANISHED must not come while one of these is in progress, as its message numbers
/// would shift (RFC 9051 section 7.5.1, RFC 7162 section 3.2.10.2).
fn expunges_during(command: &Command) -> Expunges {
    let held = |uid: bool, keys: &[SearchKey]| match !uid || uid_only::has_numbers(keys) {
        true => Expunges::Held,
        false => Expunges::Allowed,
    };
    match command {
        Command::Fetch { uid: false, .. } | Command::Store { uid: false, .. } => Expunges::Held,
        Command::Search(search) => held(search.uid, &search.keys),
        Command::Sort(sort) => held(sort.uid, &sort.keys),
        Command::Thread(thread) => held(thread.uid, &thread.keys),
        Command::MultiSearch(search) => held(true, &search.keys),
        _ => Expunges::Allowed,
    }
}
