//! NOTIFY (RFC 5465).

use murder_imap::{Code, EventGroup, FetchItem, MailboxArg, MailboxFilter, NotifyEvent};

use crate::imap::account::{Account, User};
use crate::imap::client::Client;
use crate::imap::errors::{OpError, OpResult, bad, no, ok};
use crate::imap::fetch::Plan;
use crate::imap::notify::{Events, Filter, Groups, Notify, OfSelected, Stopped};
use crate::imap::selected::Selected;
use crate::imap::updates;

/// What can be asked for, as `BADEVENT` names it.
const SUPPORTED: [&str; 7] = [
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
];

/// `NOTIFY NONE`, `NOTIFY SET [STATUS] groups`. When it is refused, what was asked for before
/// stays.
pub(crate) async fn notify(
    client: &mut Client,
    account: &mut Account,
    mut selected: Option<&mut Selected>,
    command: &murder_imap::Notify,
) -> OpResult {
    if account.is_frontends() {
        return Err(bad("NOTIFY is not offered"));
    }
    let user = account.user();
    let murder_imap::Notify::Set { status, groups } = command else {
        account.set_notify(selected, Notify::default());
        return Ok(ok("NOTIFY completed"));
    };
    let (of_selected, groups) = read(client, &user, groups)?;
    let mut notify = Notify::new(of_selected, groups);
    let began = notify.begin(client, &user, selected.as_deref(), *status);
    match began.await {
        Ok(()) => {}
        Err(Stopped::Overflow) => {
            return Err(no(Code::NotificationOverflow, "Too many mailboxes"));
        }
        Err(Stopped::Failed(error)) => return Err(error),
    }
    account.set_notify(selected.as_deref_mut(), notify);
    if let Some(selected) = selected {
        updates::tell_untold(client, selected).await?;
    }
    Ok(ok("NOTIFY completed"))
}

fn read(
    client: &Client,
    user: &User,
    groups: &[EventGroup],
) -> Result<(OfSelected, Groups), OpError> {
    let mut of_selected = OfSelected::default();
    let mut others = Groups::default();
    let mut supported = true;
    for group in groups {
        let (events, items) = events(&group.events, &mut supported)?;
        match &group.filter {
            MailboxFilter::Selected | MailboxFilter::SelectedDelayed => {
                let others = |event: &NotifyEvent| {
                    matches!(
                        event,
                        NotifyEvent::MailboxName
                            | NotifyEvent::SubscriptionChange
                            | NotifyEvent::MailboxMetadataChange
                            | NotifyEvent::ServerMetadataChange
                    )
                };
                if group.events.iter().any(others) {
                    return Err(bad("Only events of messages for the selected mailbox"));
                }
                // What cannot be fetched is refused now.
                Plan::new(false, items, &[], client.enabled)?;
                of_selected = OfSelected {
                    events,
                    items: items.to_vec(),
                    delayed: group.filter == MailboxFilter::SelectedDelayed,
                };
            }
            _ if !items.is_empty() => {
                return Err(bad("Items of messages are for the selected mailbox alone"));
            }
            filter => others.0.push((read_filter(client, user, filter)?, events)),
        }
    }
    if !supported {
        let names = SUPPORTED.map(str::to_owned).to_vec();
        return Err(no(Code::BadEvent(names), "Not all events are supported"));
    }
    // Nothing need be watched for nothing.
    others.0.retain(|(_, events)| events.any());
    Ok((of_selected, others))
}

/// The events of a group, and what is to be fetched of new messages; whether all are supported.
fn events<'a>(
    list: &'a [NotifyEvent],
    supported: &mut bool,
) -> Result<(Events, &'a [FetchItem]), OpError> {
    let mut events = Events::default();
    let mut items: &[FetchItem] = &[];
    let (mut new, mut expunge, mut annotations) = (false, false, false);
    for event in list {
        match event {
            NotifyEvent::MessageNew(of_new) => {
                new = true;
                items = of_new;
            }
            NotifyEvent::MessageExpunge => expunge = true,
            NotifyEvent::FlagChange => events.flags = true,
            NotifyEvent::MailboxName => events.names = true,
            NotifyEvent::SubscriptionChange => events.subscriptions = true,
            NotifyEvent::AnnotationChange => {
                annotations = true;
                *supported = false;
            }
            NotifyEvent::MailboxMetadataChange => events.annotations = true,
            NotifyEvent::ServerMetadataChange => events.server = true,
            NotifyEvent::Other(_) => *supported = false,
        }
    }
    // Section 5.
    if new != expunge {
        return Err(bad("MessageNew and MessageExpunge go together"));
    }
    if (events.flags || annotations) && !new {
        return Err(bad(
            "Changes of messages go with MessageNew and MessageExpunge",
        ));
    }
    events.messages = new;
    Ok((events, items))
}

fn read_filter(client: &Client, user: &User, filter: &MailboxFilter) -> Result<Filter, OpError> {
    let utf8 = client.is_utf8();
    let texts = |names: &[MailboxArg]| -> Result<Vec<String>, OpError> {
        let texts = names.iter().map(|name| name.to_utf8(utf8));
        Ok(texts.collect::<Result<_, _>>()?)
    };
    Ok(match filter {
        MailboxFilter::Inboxes => Filter::Inboxes,
        MailboxFilter::Personal => Filter::Personal,
        MailboxFilter::Subscribed => Filter::Subscribed,
        // A name that none can have is of no mailbox, and ignored (section 3.1).
        MailboxFilter::Mailboxes(names) => {
            let texts = texts(names)?;
            let names = texts
                .iter()
                .filter_map(|text| user.namespace.parse(text).ok());
            Filter::Mailboxes(names.collect())
        }
        MailboxFilter::Subtree(names) => {
            let prefixes = user.namespace.prefixes();
            let separator = user.namespace.separator();
            let bases = texts(names)?.into_iter().filter_map(|text| {
                let base = text.strip_suffix(separator).unwrap_or(&text);
                let prefix = format!("{base}{separator}");
                match user.namespace.parse(base) {
                    Ok(name) => user.namespace.render(&name),
                    // What lies above others' mailboxes is none itself.
                    Err(_) => (base.is_empty()
                        || prefix == prefixes.other_users
                        || prefix == prefixes.shared)
                        .then(|| base.to_owned()),
                }
            });
            Filter::Subtree(bases.collect())
        }
        MailboxFilter::Selected | MailboxFilter::SelectedDelayed | MailboxFilter::SubtreeOne(_) => {
            return Err(bad("Not a choice of other mailboxes"));
        }
    })
}
