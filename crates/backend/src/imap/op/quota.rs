//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208).
//!
//! A root's name is that of a mailbox, which need not exist, as the user sees it. Owners see the
//! roots of their homes, administrators all, others those of mailboxes that they may read: who is
//! told more would learn what others hold (section 8).

use std::sync::Arc;

use murder_imap::{Code, MailboxArg, QuotaResource};
use murder_mailbox::{MailboxName, Rights};
use murder_store::{Partition, Quota, QuotaLimits, QuotaUsage, StoreError};

use crate::imap::account::{Account, User};
use crate::imap::client::{Client, not_permitted};
use crate::imap::errors::{OpError, OpResult, bad, no, no_such_mailbox, ok};
use crate::node::{Found, NoPartition, Node};

/// GETQUOTA root
pub(crate) async fn get_quota(client: &mut Client, account: &Account, root: &str) -> OpResult {
    let user = account.user();
    // What is no name of a mailbox is no root's either; elsewhere, "" is one.
    let name = user.namespace.parse(root).map_err(|_| no_such_root())?;
    let found = partition_with(&client.node, &name).await?;
    let found = found.filter(|(partition, quotas)| may_see(&user, &name, partition, quotas));
    let (_, quotas) = found.ok_or_else(no_such_root)?;
    let own = quotas.iter().find(|quota| quota.root == name);
    tell(client, &user, own);
    Ok(ok("GETQUOTA completed"))
}

/// GETQUOTAROOT mailbox, which need not exist.
pub(crate) async fn get_quota_root(
    client: &mut Client,
    account: &Account,
    mailbox: &MailboxArg,
) -> OpResult {
    let user = account.user();
    let name = client.mailbox_name(account, mailbox)?;
    let partition = governed_in(client, account, &name)?;
    let quotas = match partition {
        Some(partition) => match partition.quota_roots(&name).await {
            Err(StoreError::NoSuchHome) => Vec::new(),
            quotas => quotas?,
        },
        None => Vec::new(),
    };
    let shown = user.namespace.render(&name).unwrap_or_default();
    let roots = quotas
        .iter()
        .filter_map(|quota| user.namespace.render(&quota.root));
    client.writer.quota_root(&shown, roots);
    tell(client, &user, &quotas);
    Ok(ok("GETQUOTAROOT completed"))
}

/// SETQUOTA root (resource limit …), for administrators: limits that are not named go.
pub(crate) async fn set_quota(
    client: &mut Client,
    account: &Account,
    root: &str,
    limits: &[(String, u64)],
) -> OpResult {
    let user = account.user();
    if !user.identity.admin {
        return Err(not_permitted());
    }
    let name = user.namespace.parse(root)?;
    let limits = self::limits(limits)?;
    let before = partition_with(&client.node, &name).await?;
    let partition = match &before {
        Some((partition, _)) => Arc::clone(partition),
        None => client
            .node
            .partition_of_root(&name)
            .map_err(|error| match error {
                NoPartition::NoHome => no_such_root(),
                NoPartition::Several => no(
                    Code::Cannot,
                    "The home is in several partitions, each with quotas of its own",
                ),
            })?,
    };
    match partition.set_quota(&name, limits).await {
        Err(StoreError::NoSuchHome) => return Err(no_such_root()),
        result => result?,
    }
    let QuotaLimits {
        storage,
        message,
        mailbox,
    } = limits;
    murder_net::audit!(
        "quota.set",
        for &client.actor(account),
        admin = true,
        root = %name,
        storage_kib = storage,
        message,
        mailbox
    );
    let quotas = partition.quotas(name.home_key()).await?;
    let own = quotas.iter().find(|quota| quota.root == name);
    let none = Quota {
        root: name.clone(),
        limits: QuotaLimits::default(),
        usage: QuotaUsage::default(),
    };
    // Where a root has come or gone, the one above it governs other mailboxes than before.
    let above = name.parent().filter(|_| before.is_some() != own.is_some());
    let above = above.and_then(|parent| governing(&quotas, &parent));
    tell(
        client,
        &user,
        [own.unwrap_or(&none)].into_iter().chain(above),
    );
    Ok(ok("SETQUOTA completed"))
}

/// Limits in the store's form.
fn limits(asked: &[(String, u64)]) -> Result<QuotaLimits, OpError> {
    let mut limits = QuotaLimits::default();
    for (resource, limit) in asked {
        let place = match resource.as_str() {
            "STORAGE" => &mut limits.storage,
            "MESSAGE" => &mut limits.message,
            "MAILBOX" => &mut limits.mailbox,
            _ => return Err(no(Code::Cannot, "There is no such resource here")),
        };
        if place.replace(*limit).is_some() {
            return Err(bad("A resource has one limit"));
        }
    }
    Ok(limits)
}

/// `* QUOTA` for each root.
fn tell<'a>(client: &mut Client, user: &User, quotas: impl IntoIterator<Item = &'a Quota>) {
    for quota in quotas {
        let (limits, usage) = (quota.limits, quota.usage);
        let resources = [
            ("STORAGE", usage.storage, limits.storage),
            ("MESSAGE", usage.message, limits.message),
            ("MAILBOX", usage.mailbox, limits.mailbox),
        ];
        let resources: Vec<QuotaResource> = resources
            .into_iter()
            .filter_map(|(name, usage, limit)| {
                Some(QuotaResource {
                    name: name.to_owned(),
                    usage,
                    limit: limit?,
                })
            })
            .collect();
        if let Some(root) = user.namespace.render(&quota.root) {
            client.writer.quota(&root, &resources);
        }
    }
}

/// The partition that has the root, with all roots of the home there. Where several have it (a
/// home can be in more than one), that of the mailbox with its name.
async fn partition_with(
    node: &Node,
    root: &MailboxName,
) -> Result<Option<(Arc<Partition>, Vec<Quota>)>, StoreError> {
    let own = node.find(root).map(|found| found.partition);
    let all = node.partitions.open();
    for partition in own.into_iter().chain(all.iter().cloned()) {
        match partition.quotas(root.home_key()).await {
            Ok(quotas) if quotas.iter().any(|quota| quota.root == *root) => {
                return Ok(Some((partition, quotas)));
            }
            Ok(_) | Err(StoreError::NoSuchHome) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The partition whose roots govern a mailbox, if this user may be told of them: by right `r`,
/// for a mailbox that is not there on the nearest one above it (section 6).
fn governed_in(
    client: &Client,
    account: &Account,
    name: &MailboxName,
) -> Result<Option<Arc<Partition>>, OpError> {
    let user = &account.user;
    let node = &client.node;
    let mut at = Some(name.clone());
    let mut nearest = None;
    while let Some(name) = at {
        // One that the user must not know of is as if it were not there.
        nearest = node.find(&name).filter(|found| {
            let known_by = Rights::READ.union(Rights::LOOKUP);
            sees_all(user, &name) || found.rights_of(&user.identity).intersects(known_by)
        });
        at = name.parent().filter(|_| nearest.is_none());
    }
    if !sees_all(user, name) {
        match &nearest {
            Some(found) if found.rights_of(&user.identity).contains(Rights::READ) => {}
            // Which says that it exists to who may know.
            Some(found) if found.meta.name == *name => {
                client.find_with(account, name, Rights::READ)?;
            }
            found => {
                let here = found.is_some();
                return Err(no_such_mailbox(user.namespace.is_canonical() && !here));
            }
        }
    }
    let home = || node.partition_of_home(name.home_key());
    Ok(nearest.map(|found| found.partition).or_else(home))
}

/// Whether everything about the home of that name is for the user to know.
fn sees_all(user: &User, name: &MailboxName) -> bool {
    user.identity.admin || name.is_owned_by(&user.identity.user)
}

/// Whether the user may know what a root allows and holds.
fn may_see(user: &User, root: &MailboxName, partition: &Arc<Partition>, quotas: &[Quota]) -> bool {
    sees_all(user, root) || {
        let mailboxes = partition.home_mailboxes(root.home_key()).into_iter();
        mailboxes
            .filter(|meta| governing(quotas, &meta.name).is_some_and(|quota| quota.root == *root))
            .any(|meta| {
                let partition = Arc::clone(partition);
                let found = Found { partition, meta };
                found.rights_of(&user.identity).contains(Rights::READ)
            })
    }
}

/// The root that governs a name: the nearest at or above it.
fn governing<'a>(quotas: &'a [Quota], name: &MailboxName) -> Option<&'a Quota> {
    let above = |quota: &&Quota| quota.root == *name || name.is_below(&quota.root);
    let length = |quota: &&Quota| quota.root.as_str().len();
    quotas.iter().filter(above).max_by_key(length)
}

fn no_such_root() -> OpError {
    no(Code::NonExistent, "No such quota root")
}
