//! Which command is legal where, and who handles it.

use std::pin::Pin;

use murder_imap::{Command, SearchKey, Tag};

use crate::imap::enabled::Extension;
use crate::imap::errors::{OpResult, bad};
use crate::imap::op;
use crate::imap::session::{Session, State};
use crate::imap::uid_only;
use crate::imap::updates::Expunges;

impl Session {
    /// Runs a command, if it is legal in the session's state. Each handler's state is in a box of its
    /// own, so that the task of a session that waits is small.
    pub(crate) async fn execute(&mut self, tag: &Tag, command: Command) -> OpResult {
        use Command as C;
        use State as S;
        if self.enabled.has(Extension::UidOnly) {
            uid_only::check(&command)?;
        }
        match (&self.state, command) {
            (_, C::Capability) => op::capability::capability(self),
            (_, C::Noop) => op::noop::noop(),
            (_, C::Logout) => op::logout::logout(self),
            (_, C::Id(fields)) => boxed(op::id::id(self, fields.as_deref())).await,

            (S::NotAuthenticated(login), C::StartTls) => {
                let deadline = login.deadline();
                boxed(op::starttls::starttls(self, tag, deadline)).await
            }
            (S::NotAuthenticated(_), C::Login { user, password }) => {
                boxed(op::login::login(self, user, &password)).await
            }
            (
                S::NotAuthenticated(_),
                C::Authenticate {
                    mechanism,
                    initial_response,
                },
            ) => {
                let authenticate =
                    op::authenticate::authenticate(self, &mechanism, initial_response);
                boxed(authenticate).await
            }
            // On any connection of a node.
            (_, C::Node(command)) => boxed(op::node::node(self, command)).await,
            (S::NotAuthenticated(_) | S::Logout, _) => Err(bad("Log in first")),
            (_, C::StartTls | C::Login { .. } | C::Authenticate { .. }) => {
                Err(bad("Already logged in"))
            }

            (_, C::Enable { capabilities }) => op::enable::enable(self, &capabilities),
            (_, C::Unauthenticate) => op::unauthenticate::unauthenticate(self),
            (_, C::Namespace) => op::namespace::namespace(self),
            (_, C::List(list)) => boxed(op::list::list(self, &list)).await,
            (_, C::Lsub { reference, pattern }) => {
                boxed(op::list::lsub(self, &reference, &pattern)).await
            }
            (_, C::Subscribe { mailbox }) => boxed(op::subscribe::subscribe(self, &mailbox)).await,
            (_, C::Unsubscribe { mailbox }) => {
                boxed(op::subscribe::unsubscribe(self, &mailbox)).await
            }
            (
                _,
                C::Create {
                    mailbox,
                    partition,
                    special_use,
                },
            ) => {
                let create = op::create::create(self, &mailbox, partition.as_deref(), &special_use);
                boxed(create).await
            }
            (_, C::Delete { mailbox }) => boxed(op::delete::delete(self, &mailbox)).await,
            (
                _,
                C::Rename {
                    from,
                    to,
                    partition,
                },
            ) => boxed(op::rename::rename(self, &from, &to, partition.as_deref())).await,
            (_, C::Status { mailbox, items }) => {
                boxed(op::status::status(self, &mailbox, &items)).await
            }
            (
                _,
                C::SetAcl {
                    mailbox,
                    identifier,
                    mode,
                    rights,
                },
            ) => {
                let set_acl = op::acl::set_acl(self, &mailbox, &identifier, mode, rights);
                boxed(set_acl).await
            }
            (
                _,
                C::DeleteAcl {
                    mailbox,
                    identifier,
                },
            ) => boxed(op::acl::delete_acl(self, &mailbox, &identifier)).await,
            (_, C::GetAcl { mailbox }) => op::acl::get_acl(self, &mailbox),
            (
                _,
                C::ListRights {
                    mailbox,
                    identifier,
                },
            ) => op::acl::list_rights(self, &mailbox, &identifier),
            (_, C::MyRights { mailbox }) => op::acl::my_rights(self, &mailbox),
            (_, C::Notify(command)) => boxed(op::notify::notify(self, &command)).await,
            (_, C::GetMetadata(get)) => boxed(op::get_metadata::get_metadata(self, &get)).await,
            (_, C::SetMetadata { mailbox, entries }) => {
                boxed(op::set_metadata::set_metadata(self, &mailbox, entries)).await
            }
            (_, C::GetQuota { root }) => boxed(op::quota::get_quota(self, &root)).await,
            (_, C::GetQuotaRoot { mailbox }) => {
                boxed(op::quota::get_quota_root(self, &mailbox)).await
            }
            (_, C::SetQuota { root, limits }) => {
                boxed(op::quota::set_quota(self, &root, &limits)).await
            }
            (_, C::Select { mailbox, params }) => {
                boxed(op::select::select(self, false, &mailbox, &params)).await
            }
            (_, C::Examine { mailbox, params }) => {
                boxed(op::select::select(self, true, &mailbox, &params)).await
            }
            (_, C::Idle) => boxed(op::idle::idle(self)).await,
            (_, C::MultiSearch(search)) => {
                boxed(op::multi_search::multi_search(self, tag, &search)).await
            }
            (_, C::Compress { mechanism }) => {
                boxed(op::compress::compress(self, tag, &mechanism)).await
            }

            (S::Selected(_), C::Unselect) => boxed(op::close::unselect(self)).await,
            (S::Selected(_), C::Close) => boxed(op::close::close(self)).await,
            (S::Selected(_), C::Check) => boxed(op::close::check(self)).await,
            (S::Selected(_), C::Expunge) => boxed(op::expunge::expunge(self, tag, None)).await,
            (S::Selected(_), C::UidExpunge { set }) => {
                boxed(op::expunge::expunge(self, tag, Some(&set))).await
            }
            (S::Selected(_), C::Search(search)) => {
                boxed(op::search::search(self, tag, &search)).await
            }
            (S::Selected(_), C::CancelUpdate { tags }) => {
                op::cancel_update::cancel_update(self, &tags)
            }
            (S::Selected(_), C::Sort(sort)) => boxed(op::sort::sort(self, tag, &sort)).await,
            (S::Selected(_), C::Thread(thread)) => {
                boxed(op::thread::thread(self, tag, &thread)).await
            }
            (
                S::Selected(_),
                C::Fetch {
                    uid,
                    set,
                    items,
                    modifiers,
                },
            ) => boxed(op::fetch::fetch(self, uid, &set, &items, &modifiers)).await,
            (
                S::Selected(_),
                C::Store {
                    uid,
                    set,
                    modifiers,
                    mode,
                    silent,
                    flags,
                },
            ) => {
                let store =
                    op::store::store(self, tag, uid, &set, &modifiers, mode, silent, &flags);
                boxed(store).await
            }
            (S::Selected(_), C::Copy { uid, set, mailbox }) => {
                boxed(op::copy::copy(self, tag, uid, &set, &mailbox, false)).await
            }
            (S::Selected(_), C::Move { uid, set, mailbox }) => {
                boxed(op::copy::copy(self, tag, uid, &set, &mailbox, true)).await
            }
            (
                S::Authenticated,
                C::Unselect
                | C::Close
                | C::Check
                | C::Expunge
                | C::UidExpunge { .. }
                | C::Search(_)
                | C::CancelUpdate { .. }
                | C::Sort(_)
                | C::Thread(_)
                | C::Fetch { .. }
                | C::Store { .. }
                | C::Copy { .. }
                | C::Move { .. },
            ) => Err(bad("Select a mailbox first")),
        }
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
