//! From a recipient's address to the backend that holds the mailbox.

use std::net::IpAddr;
use std::sync::Arc;

use murder_auth::{Account, normalize_user};
use murder_lmtp::Recipient;
use murder_mailbox::MailboxName;

use super::reply::Reply;
use crate::autocreate::{self, AutocreateError};
use crate::backend::connection::ActingFor;
use crate::route::RouteError;
use crate::shared::Shared;

/// A recipient who has been accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The address as the client wrote it, without `<` and `>`.
    pub path: String,
    /// The INBOX of the user.
    pub inbox: MailboxName,
    /// The backend that holds it.
    pub node: String,
}

/// In whose session a recipient is named.
pub(crate) struct Origin<'a> {
    /// Its id.
    pub session: &'a Arc<str>,
    /// The client's address.
    pub client: IpAddr,
}

/// What the tables say of an address.
enum Known {
    /// The mailbox is there.
    Place(Target),
    /// The user is, without a mailbox.
    Account(Box<Account>),
}

/// Where mail for `recipient` goes. The map's own word counts, so that mail flows while the
/// master is away; only for somebody unknown is the master asked how far it is.
///
/// # Errors
/// The reply for one who gets nothing.
pub(crate) async fn resolve(
    shared: &Shared,
    recipient: &Recipient,
    origin: &Origin<'_>,
) -> Result<Target, Reply> {
    if !shared.is_populated().await {
        return Err(Reply::new(451, "4.3.0 Not ready yet, try again later"));
    }
    let users = users(recipient);
    match look(shared, recipient, &users)? {
        Some(Known::Place(target)) => return Ok(target),
        Some(Known::Account(account)) if gets_inbox(shared, &account) => {
            return make_inbox(shared, recipient, &account, origin).await;
        }
        Some(Known::Account(_)) | None => {}
    }
    let sure = shared.router.barrier().await;
    match look(shared, recipient, &users)? {
        Some(Known::Place(target)) => Ok(target),
        Some(Known::Account(account)) if gets_inbox(shared, &account) => {
            make_inbox(shared, recipient, &account, origin).await
        }
        Some(Known::Account(account)) if account.disabled => {
            Err(Reply::new(550, "5.2.1 Mailbox is disabled"))
        }
        // Mail is not sent back on the word of a copy that may be old.
        _ if !sure => Err(Reply::new(451, "4.4.3 Recipient cannot be looked up now")),
        _ => Err(Reply::unknown()),
    }
}

/// The login names that an address may mean, the most special first: the account of a hosted
/// domain, then a bare one.
fn users(recipient: &Recipient) -> Vec<String> {
    let hosted = recipient
        .domain
        .as_ref()
        .and_then(|domain| normalize_user(&format!("{}@{domain}", recipient.user)).ok());
    let bare = normalize_user(&recipient.user).ok();
    hosted.into_iter().chain(bare).collect()
}

fn look(shared: &Shared, recipient: &Recipient, users: &[String]) -> Result<Option<Known>, Reply> {
    for user in users {
        let Ok(inbox) = MailboxName::inbox_of(user) else {
            continue;
        };
        match shared.router.look(&inbox) {
            Ok(place) => {
                return Ok(Some(Known::Place(Target {
                    path: recipient.path.clone(),
                    inbox,
                    node: place.node,
                })));
            }
            Err(RouteError::NotFound) => {}
            Err(RouteError::Deleting) => return Err(being_deleted()),
            Err(RouteError::NoOwner | RouteError::NotHeld) => return Err(Reply::backend_down()),
        }
        if let Some(account) = shared.router.replica().account(user) {
            return Ok(Some(Known::Account(Box::new(account))));
        }
    }
    Ok(None)
}

fn being_deleted() -> Reply {
    Reply::new(451, "4.2.0 Mailbox is being deleted, try again later")
}

/// Administrators have no INBOX: their accounts are for administering.
fn gets_inbox(shared: &Shared, account: &Account) -> bool {
    shared.settings.autocreate_inbox && !account.admin && !account.disabled
}

async fn make_inbox(
    shared: &Shared,
    recipient: &Recipient,
    account: &Account,
    origin: &Origin<'_>,
) -> Result<Target, Reply> {
    let inbox = MailboxName::inbox_of(&account.name).map_err(|_| Reply::unknown())?;
    let acting = ActingFor {
        user: account.name.as_str().into(),
        session: origin.session.clone(),
        client: origin.client,
        accounts: shared.router.replica().accounts_revision(),
    };
    match Box::pin(autocreate::create(shared, &inbox, &acting)).await {
        Ok(place) => Ok(Target {
            path: recipient.path.clone(),
            inbox,
            node: place.node,
        }),
        Err(error) => {
            tracing::warn!(mailbox = %inbox, %error, "could not create the INBOX of a recipient");
            Err(match error {
                AutocreateError::NoPartition => {
                    Reply::new(452, "4.3.1 No backend takes new mailboxes now")
                }
                AutocreateError::Backend(_) => Reply::backend_down(),
                AutocreateError::Answered(_) => {
                    Reply::new(451, "4.2.0 The mailbox could not be created")
                }
                AutocreateError::Route(_) => being_deleted(),
            })
        }
    }
}

/// What a backend's "no such user" for somebody whom the map has means: with a fresh map,
/// nothing for good unless the map says so too.
pub(crate) fn second_opinion(shared: &Shared, target: &Target, refused: Reply) -> Reply {
    match shared.router.look(&target.inbox) {
        Err(RouteError::NotFound) => refused,
        Ok(place) => {
            tracing::warn!(mailbox = %target.inbox, node = target.node, now = place.node,
                "the backend that the map named does not know the recipient");
            Reply::new(
                451,
                "4.2.0 Mailbox cannot be found on its backend, try again later",
            )
        }
        Err(_) => being_deleted(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use murder_lmtp::Command;

    fn of(line: &str) -> Vec<String> {
        match Command::parse(line.as_bytes()).unwrap() {
            Command::Rcpt(recipient) => users(&recipient),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosted_accounts_come_before_bare_ones() {
        assert_eq!(
            of("RCPT TO:<Bob+lists@Example.ORG>"),
            ["bob@example.org", "bob"]
        );
        assert_eq!(of("RCPT TO:<bob>"), ["bob"]);
        // No login name can be like that.
        assert_eq!(of("RCPT TO:<anyone>"), [""; 0]);
        assert_eq!(of("RCPT TO:<\"a/b\"@example.org>"), [""; 0]);
    }
}
