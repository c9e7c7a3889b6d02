//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314).

use murder_auth::{normalize_group, normalize_user};
use murder_imap::{AclMode, Code, MailboxArg};
use murder_mailbox::{Acl, MailboxName, Rights};

use crate::imap::account::Account;
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, no, no_such_mailbox, ok};
use crate::imap::op::create::changed;
use crate::mailboxes::AclChange;
use crate::node::Node;

/// SETACL mailbox identifier rights
pub(crate) async fn set_acl(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
    who: &str,
    mode: AclMode,
    rights: Rights,
) -> OpResult {
    let change = match mode {
        AclMode::Replace => AclChange::Replace(rights),
        AclMode::Add => AclChange::Add(rights),
        AclMode::Remove => AclChange::Remove(rights),
    };
    self::change(client, account, mailbox, who, change, "SETACL completed").await
}

/// DELETEACL mailbox identifier
pub(crate) async fn delete_acl(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
    who: &str,
) -> OpResult {
    let text = "DELETEACL completed";
    change(client, account, mailbox, who, AclChange::Delete, text).await
}

async fn change(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
    who: &str,
    change: AclChange,
    text: &'static str,
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let identifier = identifier(who)?;
    let canonical = user.namespace.is_canonical();
    let changing = client
        .node
        .change_acl(&user.identity, &name, &identifier, change);
    let done = client
        .actor(account)
        .scope(changing)
        .await
        .map_err(|error| error.into_op(canonical))?;
    Ok(changed(done, canonical, text))
}

/// GETACL mailbox
pub(crate) fn get_acl(client: &mut Client, account: &Account, mailbox: &MailboxArg) -> OpResult {
    let (name, shown) = named(client, account, mailbox)?;
    let found = client.find_with(account, &name, Rights::ADMINISTER)?;
    let entries = entries(&found.meta.acl, &name);
    let entries = entries.iter().map(|(who, rights)| (who, rights.to_imap()));
    client.writer.acl(&shown, entries);
    Ok(ok("GETACL completed"))
}

/// LISTRIGHTS mailbox identifier
pub(crate) fn list_rights(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
    who: &str,
) -> OpResult {
    let (name, shown) = named(client, account, mailbox)?;
    client.find_with(account, &name, Rights::ADMINISTER)?;
    let required = required(&client.node, &name, &identifier(who)?);
    let optional = grantable(required);
    // The identifier comes back as it was sent (section 3.4).
    client
        .writer
        .list_rights(&shown, who, &required.to_imap(), optional);
    Ok(ok("LISTRIGHTS completed"))
}

/// MYRIGHTS mailbox
pub(crate) fn my_rights(client: &mut Client, account: &Account, mailbox: &MailboxArg) -> OpResult {
    let user = account.user();
    let (name, shown) = named(client, account, mailbox)?;
    let found = client.node.find(&name);
    let rights = found
        .as_ref()
        .map_or(Rights::NONE, |found| found.rights_of(&user.identity));
    if !rights.intersects(Rights::MYRIGHTS) {
        let here = found.is_some();
        return Err(no_such_mailbox(user.namespace.is_canonical() && !here));
    }
    client.writer.my_rights(&shown, &rights.to_imap());
    Ok(ok("MYRIGHTS completed"))
}

/// The mailbox, and its name as the client is told it.
fn named(
    client: &Client,
    account: &Account,
    mailbox: &MailboxArg,
) -> Result<(MailboxName, String), OpError> {
    let name = client.mailbox_name(account, mailbox)?;
    let shown = account.user().namespace.render(&name).unwrap_or_default();
    Ok((name, shown))
}

/// The identifier in the one form in which it is compared. Users' names are prepared as at
/// login, for what RFC 4314 section 3 leaves to SASLprep.
fn identifier(who: &str) -> Result<String, OpError> {
    let (negative, name) = match who.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", who),
    };
    if name.eq_ignore_ascii_case("anyone") {
        return Ok(format!("{negative}anyone"));
    }
    if let Some(group) = name.strip_prefix("group:") {
        return match normalize_group(group) {
            Ok(group) => Ok(format!("{negative}group:{group}")),
            Err(_) if who.len() > Acl::MAX_IDENTIFIER => {
                Err(no(Code::Cannot, "Identifier is too long"))
            }
            Err(_) => Err(bad("Identifier is not valid")),
        };
    }
    let user = normalize_user(name).map_err(|_| bad("Identifier is not valid"))?;
    Ok(format!("{negative}{user}"))
}

/// What GETACL shows: with the rights that the owner cannot lose.
fn entries(acl: &Acl, name: &MailboxName) -> Vec<(String, Rights)> {
    let mut entries: Vec<(String, Rights)> = acl
        .entries()
        .map(|(who, rights)| (who.to_owned(), rights))
        .collect();
    if let Some(owner) = name.owner_user() {
        match entries.iter_mut().find(|(who, _)| *who == owner) {
            Some((_, rights)) => *rights = rights.union(Acl::OWNER_IMPLICIT),
            None => entries.insert(0, (owner, Acl::OWNER_IMPLICIT)),
        }
    }
    entries
}

/// What the identifier has whatever the ACL says.
fn required(node: &Node, name: &MailboxName, identifier: &str) -> Rights {
    let mut required = Rights::NONE;
    if name.owner_user().as_deref() == Some(identifier) {
        required = required.union(Acl::OWNER_IMPLICIT);
    }
    let identity = node.authenticator.identity(identifier);
    if identity.is_some_and(|identity| identity.admin) {
        required = required.union(Acl::ADMIN_IMPLICIT);
    }
    required
}

/// Every right that is not `required`, each by itself, and the obsolete `c` and `d` where those
/// that they stand for are among them (section 2.1.1).
fn grantable(required: Rights) -> Vec<String> {
    let listed = required.to_imap();
    let all = Rights::ALL.to_imap();
    all.chars()
        .filter(|letter| !listed.contains(*letter))
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_have_one_form() {
        for (given, kept) in [
            ("Bob", "bob"),
            ("-Bob", "-bob"),
            ("Anyone", "anyone"),
            ("-anyone", "-anyone"),
            ("group:Staff", "group:Staff"),
        ] {
            assert_eq!(identifier(given).unwrap(), kept);
        }
        for refused in ["", "-", "group:", "--bob", "a b", "group:\x07"] {
            assert!(identifier(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn rights_that_can_be_granted() {
        assert_eq!(
            grantable(Rights::NONE).join(" "),
            "l r s w i p k x t e a n c d"
        );
        assert_eq!(
            grantable(Acl::OWNER_IMPLICIT).join(" "),
            "r s w i p k x t e n c d"
        );
        assert_eq!(
            grantable(Acl::ADMIN_IMPLICIT).join(" "),
            "r s w i p t e n d"
        );
    }

    #[test]
    fn the_owner_is_always_shown() {
        let name = MailboxName::parse_canonical("user/bob/x").unwrap();
        let shown = |acl: &str| {
            let entries = entries(&Acl::parse(acl).unwrap_or_default(), &name);
            let shown: Vec<_> = entries.iter().map(|(w, r)| format!("{w} {r}")).collect();
            shown.join(", ")
        };
        assert_eq!(shown("carol\tlr\t"), "bob la, carol lr");
        assert_eq!(shown("carol\tlr\tbob\tr\t"), "carol lr, bob lra");
    }
}
