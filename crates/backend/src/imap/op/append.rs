//! APPEND (RFC 9051 section 6.3.12, RFC 3502, RFC 4314 section 4, RFC 7889): decided before each
//! message, which then goes to the store as it comes; in parts with CATENATE.

use std::collections::HashSet;
use std::sync::Arc;

use murder_imap::{
    AppendData, AppendNext, AppendStart, Code, DateTime, Flag, LiteralHead, MailboxArg,
    SequenceSet, Status,
};
use murder_mailbox::Rights;
use murder_store::{
    AppendMessage, Appended, Flags, INLINE_LIMIT, InternalDate, MAX_KEYWORDS, StoreError,
};

use crate::imap::account::{Account, User};
use crate::imap::client::{Client, not_permitted};
use crate::imap::enabled::Extension;
use crate::imap::errors::{Completion, OpError, OpResult, bad, no, no_such_mailbox, ok, ok_code};
use crate::imap::fetch::PartCache;
use crate::imap::op::catenate::catenate;
use crate::imap::op::intake::Intake;
use crate::imap::op::replace;
use crate::imap::op::store::check_keywords;
use crate::imap::selected::Selected;
use crate::node::{Found, now};

/// Octets of the message taken at a time: a TLS record.
const CHUNK: usize = 16 * 1024;

/// The most messages of one APPEND (RFC 3502), which are one record of the journal. Clients send
/// some dozens.
const MAX_MESSAGES: usize = 1_000;

/// APPEND, and what REPLACE has in common with it: takes the messages in, and stores all of them
/// or none.
pub(crate) async fn append(
    client: &mut Client,
    account: &mut Account,
    mut selected: Option<&mut Selected>,
    start: AppendStart,
) -> OpResult {
    let user = account.user();
    let id = account.next_id.take();
    let replaced = match &start.replaces {
        Some(replaced) => {
            let selected = selected.as_deref_mut();
            Some(replace::source(client, account, selected, replaced).await?)
        }
        None => None,
    };
    let (found, rights) = target(client, account, &start.mailbox)?;
    let mut next = Some(murder_imap::AppendMessage {
        flags: start.flags,
        internal_date: start.internal_date,
        data: start.data,
    });
    let mut incoming = Incoming {
        replaces: replaced.is_some(),
        ..Incoming::default()
    };
    while let Some(head) = next {
        if let AppendData::Literal(literal) = head.data {
            acceptable(client, literal, 0)?;
            not_empty(account, literal.len)?;
        }
        if incoming.messages.len() == MAX_MESSAGES {
            return Err(no(Code::Limit, "Too many messages at once"));
        }
        if replaced.is_some() && !incoming.messages.is_empty() {
            return Err(bad("REPLACE takes one message"));
        }
        check_keywords(&head.flags)?;
        let (flags, keywords) = permitted(&head.flags, rights);
        // No message can have as many. One that the mailbox has no room for is left out.
        if keywords.len() > MAX_KEYWORDS {
            return Err(StoreError::TooManyKeywords.into());
        }
        let mut intake = Intake::new(Arc::clone(&found.partition));
        next = match head.data {
            AppendData::Literal(literal) => {
                incoming.octets = incoming.octets.saturating_add(literal.len);
                if is_worth_asking(literal) {
                    check_room(&user, &found, &incoming).await?;
                }
                receive(client, literal, &mut intake, &mut incoming.in_memory).await?;
                match following(client).await? {
                    AppendNext::Message(message) => Some(message),
                    _ => None,
                }
            }
            AppendData::Catenate => {
                let next = {
                    let whence = selected.as_deref();
                    let parts =
                        catenate(client, account, whence, &found, &mut incoming, &mut intake);
                    parts.await?
                };
                not_empty(account, intake.len())?;
                next
            }
        };
        incoming.messages.push(Message {
            intake,
            flags,
            keywords,
            internal_date: head.internal_date,
        });
    }
    let now = now();
    let seen_by = user.seen_in(&found.meta.name);
    let may_have_8bit = may_have_8bit(client);
    let mut messages = Vec::with_capacity(incoming.messages.len());
    for message in incoming.messages {
        messages.push(message.into_stored(now, seen_by, may_have_8bit).await?);
    }
    if let Some(replaced) = replaced {
        return replace::replace(client, account, selected, replaced, &found, messages.pop()).await;
    }
    let (partition, name) = (&found.partition, &found.meta.name);
    let appended = match id {
        Some(id) => partition.append_once(name, messages, id).await,
        None => partition.append(name, messages).await,
    };
    let appended = appended.map_err(|error| refused(&user, error))?;
    if let Some(selected) = selected {
        selected.note_own_arrivals(found.meta.id, &appended.uids);
    }
    Ok(match append_uid(appended) {
        Some(code) => ok_code(code, "APPEND completed"),
        None => ok("APPEND completed"),
    })
}

/// What has come of an APPEND so far.
#[derive(Default)]
pub(super) struct Incoming {
    messages: Vec<Message>,
    /// Octets announced so far.
    pub octets: u64,
    /// Octets in memory.
    pub in_memory: u64,
    /// Parts of messages that came in parts.
    pub parts: usize,
    /// Where parts are in the message that was last looked at for one.
    pub part_cache: PartCache,
    /// It is a REPLACE.
    replaces: bool,
}

/// A message that has come.
struct Message {
    intake: Intake,
    flags: Flags,
    keywords: Vec<String>,
    internal_date: Option<DateTime>,
}

impl Message {
    async fn into_stored(
        self,
        now: i64,
        seen_by: Option<&str>,
        may_have_8bit: bool,
    ) -> Result<AppendMessage, OpError> {
        let internal_date = self.internal_date.map_or(
            InternalDate {
                seconds: now,
                zone: 0,
            },
            |date| InternalDate {
                seconds: date.unix,
                zone: date.offset_minutes,
            },
        );
        Ok(AppendMessage {
            body: self.intake.finish(may_have_8bit).await?,
            flags: self.flags,
            keywords: self.keywords,
            internal_date,
            save_date: now,
            seen_by: seen_by.map(str::to_owned),
        })
    }
}

/// `APPENDUID`
pub(super) fn append_uid(appended: Appended) -> Option<Code> {
    let uids = SequenceSet::from_numbers(appended.uids)?;
    Some(Code::AppendUid {
        uidvalidity: appended.uidvalidity,
        uids,
    })
}

/// Where the message goes, and what the user may do there: at least insert.
pub(super) fn target(
    client: &Client,
    account: &Account,
    mailbox: &MailboxArg,
) -> Result<(Found, Rights), OpError> {
    let user = &account.user;
    let name = client.mailbox_name(account, mailbox)?;
    let Some(found) = client.node.find(&name) else {
        return Err(no_target(user, false));
    };
    let rights = found.rights_of(&user.identity);
    if rights.contains(Rights::INSERT) {
        client.audit_access(account, "write", &found.meta.name);
        return Ok((found, rights));
    }
    match rights.contains(Rights::LOOKUP) {
        true => Err(not_permitted()),
        false => Err(no_target(user, true)),
    }
}

/// The answer for a mailbox that is not there, as far as the user may know: it can be made.
pub(crate) fn no_target(user: &User, hidden: bool) -> OpError {
    match user.namespace.is_canonical() && !hidden {
        true => no_such_mailbox(true),
        false => no(Code::TryCreate, "Mailbox does not exist"),
    }
}

/// What can be said before a message comes, or a text behind `before` octets of it.
pub(super) fn acceptable(
    client: &Client,
    literal: LiteralHead,
    before: u64,
) -> Result<(), OpError> {
    if before.saturating_add(literal.len) > client.node.config.imap.append_limit {
        return Err(no(Code::TooBig, "Message is too big"));
    }
    if literal.utf8 && !client.enabled.has(Extension::Utf8) {
        return Err(bad("UTF8=ACCEPT is not enabled"));
    }
    Ok(())
}

/// Refuses a message without octets. A frontend refuses a client's itself: from there it is a copy
/// of one that was delivered.
fn not_empty(account: &Account, len: u64) -> Result<(), OpError> {
    match len == 0 && !account.is_frontends() {
        true => Err(OpError::Refused(Completion {
            status: Status::No,
            code: None,
            text: "There is no message".into(),
        })),
        false => Ok(()),
    }
}

/// Whether it saves anybody anything to refuse a literal before it comes: a client that waits to be
/// asked, and of a large one the disk. Else the store alone looks, once it is here.
pub(super) fn is_worth_asking(literal: LiteralHead) -> bool {
    literal.sync || literal.len > INLINE_LIMIT as u64
}

/// Refuses what is too much for the mailbox's quota before it comes. The store looks again.
///
/// What REPLACE removes counts against what comes (RFC 8508 section 3.4), so that is looked at by
/// the store alone.
pub(super) async fn check_room(
    user: &User,
    found: &Found,
    incoming: &Incoming,
) -> Result<(), OpError> {
    if incoming.replaces {
        return Ok(());
    }
    // At most MAX_MESSAGES.
    let count = incoming.messages.len() as u32 + 1;
    let room = found
        .partition
        .check_room(&found.meta.name, count, incoming.octets)
        .await;
    room.map_err(|error| refused(user, error))
}

/// What the store's refusal means to the user.
pub(super) fn refused(user: &User, error: StoreError) -> OpError {
    match error {
        StoreError::NoSuchMailbox | StoreError::NoSuchHome => no_target(user, false),
        error => error.into(),
    }
}

/// Takes a literal in; one that is large goes to the disk as it comes. A client that goes in the
/// middle of it leaves nothing behind.
pub(super) async fn receive(
    client: &mut Client,
    literal: LiteralHead,
    intake: &mut Intake,
    in_memory: &mut u64,
) -> Result<(), OpError> {
    intake
        .expect(literal.len, literal.binary, in_memory)
        .await?;
    if client.reader.accept_literal() {
        client.writer.continuation("Ready for the message");
    }
    client.flush().await?;
    loop {
        let chunk = client
            .within_command(async |reader, stream| reader.read_literal_chunk(stream, CHUNK).await)
            .await?;
        match chunk {
            Some(chunk) => intake.take(chunk).await?,
            None => return Ok(()),
        }
    }
}

/// Whether a message may have 8-bit characters in its header: by RFC 6855 section 4 not from a
/// client that has not said that it knows of such, by whichever door it comes.
fn may_have_8bit(client: &Client) -> bool {
    let enabled = client.enabled;
    enabled.has(Extension::Utf8) || enabled.has(Extension::Rev2)
}

/// Waits for what follows a message, or the next of its parts; before the end of the command
/// nothing is stored.
///
/// # Errors
/// BAD, or the end of the session, for what does not belong there.
pub(super) async fn following(client: &mut Client) -> Result<AppendNext, OpError> {
    let next = client
        .within_command(async |reader, stream| reader.finish_append(stream).await)
        .await?;
    match next {
        AppendNext::Bad { text } => Err(bad(text)),
        AppendNext::Fatal { text } => Err(OpError::Bye(text.into())),
        next => Ok(next),
    }
}

/// The flags that the user may set; the others are left out silently (RFC 4314 section 4).
pub(crate) fn permitted(flags: &[Flag], rights: Rights) -> (Flags, Vec<String>) {
    let mut system = Flags::NONE;
    let mut keywords = HashSet::new();
    let may_write = rights.contains(Rights::WRITE);
    for flag in flags {
        let (flag, right) = match flag {
            Flag::Seen => (Flags::SEEN, Rights::SEEN),
            Flag::Deleted => (Flags::DELETED, Rights::DELETE_MESSAGES),
            Flag::Answered => (Flags::ANSWERED, Rights::WRITE),
            Flag::Flagged => (Flags::FLAGGED, Rights::WRITE),
            Flag::Draft => (Flags::DRAFT, Rights::WRITE),
            Flag::Keyword(keyword) => {
                if may_write {
                    keywords.insert(keyword);
                }
                continue;
            }
            // Never the client's to set, and unknown ones.
            Flag::Recent | Flag::Extension(_) => continue,
        };
        if rights.contains(right) {
            system |= flag;
        }
    }
    let mut keywords: Vec<String> = keywords
        .into_iter()
        .map(|keyword| keyword.as_str().to_owned())
        .collect();
    keywords.sort_unstable();
    (system, keywords)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The two examples of RFC 4314 section 4.
    #[test]
    fn flags_need_rights() {
        let flags = |text: &str| -> Vec<Flag> {
            let flags = text.split(' ').map(|flag| Flag::parse(flag).unwrap());
            flags.collect()
        };
        let stored = |text: &str, rights: &str| permitted(&flags(text), rights.parse().unwrap());
        let none: [&str; 0] = [];
        assert_eq!(
            stored("\\Draft \\Deleted", "rwis"),
            (Flags::DRAFT, Vec::new())
        );
        assert_eq!(
            stored("$Forwarded \\Seen", "rwis"),
            (Flags::SEEN, vec!["$Forwarded".to_owned()])
        );
        assert_eq!(stored("\\Draft \\Deleted", "rsti").0, Flags::DELETED);
        assert_eq!(stored("$Forwarded \\Seen", "rsti").1, none);
        let (system, keywords) = stored("a A \\Recent \\Extra", "rwist");
        assert_eq!((system, keywords.len()), (Flags::NONE, 1));
    }
}
