//! APPEND (RFC 9051 section 6.3.12, RFC 3502, RFC 4314 section 4, RFC 7889): decided before each
//! message, which then goes to the store as it comes.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use murder_imap::{
    AppendNext, AppendStart, Code, DateTime, Flag, LiteralHead, MailboxArg, SequenceSet, Status,
};
use murder_mailbox::Rights;
use murder_store::{
    AppendMessage, Appended, Body, BodyWriter, Flags, INLINE_LIMIT, InternalDate, MAX_KEYWORDS,
    Partition, StoreError,
};

use crate::imap::enabled::Extension;
use crate::imap::errors::{Completion, OpError, OpResult, bad, no, no_such_mailbox, ok, ok_code};
use crate::imap::op::replace;
use crate::imap::op::store::check_keywords;
use crate::imap::session::{Session, User, not_permitted};
use crate::imap::utf8::HeaderScan;
use crate::node::{Found, now};

/// Octets of the message taken at a time: a TLS record.
const CHUNK: usize = 16 * 1024;

/// The most messages of one APPEND (RFC 3502), which are one record of the journal. Clients send
/// some dozens.
const MAX_MESSAGES: usize = 1_000;
/// Octets of small messages of one APPEND that are in memory together. What goes beyond is staged
/// like large ones.
const MAX_IN_MEMORY: u64 = 4 << 20;

/// APPEND, and what REPLACE has in common with it: takes the messages in, and stores all of them
/// or none.
pub(crate) async fn append(session: &mut Session, start: AppendStart) -> OpResult {
    let user = session.user()?;
    let replaced = match &start.replaces {
        Some(replaced) => Some(replace::source(session, &user, replaced).await?),
        None => None,
    };
    let (found, rights) = target(session, &user, &start.mailbox)?;
    let mut next = Some(murder_imap::AppendMessage {
        flags: start.flags,
        internal_date: start.internal_date,
        literal: start.literal,
    });
    let mut incoming = Incoming::default();
    while let Some(head) = next {
        let literal = head.literal;
        acceptable(session, literal)?;
        if incoming.messages.len() == MAX_MESSAGES {
            return Err(no(Code::Limit, "Too many messages at once"));
        }
        if replaced.is_some() && !incoming.messages.is_empty() {
            return Err(bad("REPLACE takes one message"));
        }
        check_keywords(&head.flags)?;
        let (flags, keywords) = permitted(&head.flags, rights);
        if keywords.len() > MAX_KEYWORDS {
            return Err(StoreError::TooManyKeywords.into());
        }
        incoming.octets = incoming.octets.saturating_add(literal.len);
        check_room(&user, &found, literal, &incoming, replaced.as_ref()).await?;
        let received = receive(session, &found.partition, literal, &mut incoming.in_memory).await?;
        incoming.messages.push(Message {
            received,
            literal,
            flags,
            keywords,
            internal_date: head.internal_date,
        });
        next = after_message(session).await?;
    }
    let now = now();
    let seen_by = user.seen_in(&found.meta.name);
    let mut messages = Vec::with_capacity(incoming.messages.len());
    for message in incoming.messages {
        messages.push(message.into_stored(now, seen_by).await?);
    }
    if let Some(replaced) = replaced {
        return replace::replace(session, &user, replaced, &found, messages.pop()).await;
    }
    let appended = found.partition.append(&found.meta.name, messages).await;
    let appended = appended.map_err(|error| refused(&user, error))?;
    session.note_own_arrivals(found.meta.id, &appended.uids);
    Ok(match append_uid(appended) {
        Some(code) => ok_code(code, "APPEND completed"),
        None => ok("APPEND completed"),
    })
}

/// What has come of an APPEND so far.
#[derive(Default)]
struct Incoming {
    messages: Vec<Message>,
    /// Octets announced so far.
    octets: u64,
    /// Octets in memory.
    in_memory: u64,
}

/// A message that has come.
struct Message {
    received: Received,
    literal: LiteralHead,
    flags: Flags,
    keywords: Vec<String>,
    internal_date: Option<DateTime>,
}

impl Message {
    async fn into_stored(self, now: i64, seen_by: Option<&str>) -> Result<AppendMessage, OpError> {
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
            body: self.received.into_body(self.literal).await?,
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
    session: &Session,
    user: &User,
    mailbox: &MailboxArg,
) -> Result<(Found, Rights), OpError> {
    let name = session.mailbox_name(mailbox)?;
    let Some(found) = session.node.find(&name) else {
        return Err(no_target(user, false));
    };
    let rights = found.rights_of(&user.identity);
    if rights.contains(Rights::INSERT) {
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

/// What can be said before the message comes.
fn acceptable(session: &Session, literal: LiteralHead) -> Result<(), OpError> {
    if literal.len > session.node.config.imap.append_limit {
        return Err(no(Code::TooBig, "Message is too big"));
    }
    if literal.utf8 && !session.enabled.has(Extension::Utf8) {
        return Err(bad("UTF8=ACCEPT is not enabled"));
    }
    // A frontend refuses a client's itself: from there it is a copy of one that was delivered.
    if literal.len == 0 && !session.user()?.namespace.is_canonical() {
        return Err(OpError::Refused(Completion {
            status: Status::No,
            code: None,
            text: "There is no message".into(),
        }));
    }
    Ok(())
}

/// Refuses a message that is too much for the mailbox's quota before it comes, where that saves
/// anybody anything: from a client that waits to be asked, and of a large one the disk. The store
/// looks again, and alone at a small one that is on its way already.
///
/// What REPLACE removes counts against what comes (RFC 8508 section 3.4), so that is looked at by
/// the store alone.
async fn check_room(
    user: &User,
    found: &Found,
    literal: LiteralHead,
    incoming: &Incoming,
    replaced: Option<&replace::Source>,
) -> Result<(), OpError> {
    if replaced.is_some() || !literal.sync && literal.len <= INLINE_LIMIT as u64 {
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

/// A message as it has come in.
enum Received {
    Inline(Bytes),
    Staged(Box<BodyWriter>),
    /// Passed over, as it has a NUL.
    Nul,
    /// Refused for its header, which the client must not send.
    EightBitHeader,
}

impl Received {
    /// What is stored, on disk if it is large.
    async fn into_body(self, literal: LiteralHead) -> Result<Body, OpError> {
        match self {
            Self::Inline(octets) => Ok(octets.into()),
            Self::Staged(writer) => Ok(writer.finish().await?.into()),
            // What is sent back is no literal8, which alone could hold it.
            Self::Nul if literal.binary => {
                Err(no(Code::UnknownCte, "Messages with NULs cannot be stored"))
            }
            Self::Nul => Err(bad("A message must not hold NULs")),
            Self::EightBitHeader => Err(no(
                Code::Cannot,
                "Header has 8-bit characters: enable UTF8=ACCEPT to append it",
            )),
        }
    }
}

/// Takes a message in; a large one to disk as it comes. A client that goes in the middle of it
/// leaves nothing behind.
async fn receive(
    session: &mut Session,
    partition: &Partition,
    literal: LiteralHead,
    in_memory: &mut u64,
) -> Result<Received, OpError> {
    let len = usize::try_from(literal.len).unwrap_or(usize::MAX);
    let inline = len <= INLINE_LIMIT && *in_memory + literal.len <= MAX_IN_MEMORY;
    if inline {
        *in_memory += literal.len;
    }
    let mut received = match inline {
        // Before the client is told to go on: a disk that is full is known then.
        false => Received::Staged(Box::new(partition.stage(literal.len).await?)),
        true => Received::Inline(Bytes::new()),
    };
    if session.reader.accept_literal() {
        session.writer.continuation("Ready for the message");
    }
    session.flush().await?;
    let mut parts = BytesMut::new();
    let mut header = HeaderScan::default();
    loop {
        let chunk = session
            .within_command(async |reader, stream| reader.read_literal_chunk(stream, CHUNK).await)
            .await?;
        let Some(chunk) = chunk else { break };
        if memchr::memchr(0, &chunk).is_some() {
            received = Received::Nul;
        }
        header.take(&chunk);
        match &mut received {
            Received::Nul | Received::EightBitHeader => parts = BytesMut::new(),
            Received::Staged(writer) => writer.write(chunk).await?,
            Received::Inline(whole) if chunk.len() == len => *whole = chunk,
            Received::Inline(_) => {
                if parts.is_empty() {
                    parts.reserve(len);
                }
                parts.extend_from_slice(&chunk);
            }
        }
    }
    if let Received::Inline(whole) = &mut received
        && whole.is_empty()
    {
        *whole = parts.freeze();
    }
    if header.has_8bit() && !may_have_8bit(session) && !matches!(received, Received::Nul) {
        received = Received::EightBitHeader;
    }
    Ok(received)
}

/// Whether a message may have 8-bit characters in its header: by RFC 6855 section 4 not from a
/// client that has not said that it knows of such. A frontend hands on what was delivered.
fn may_have_8bit(session: &Session) -> bool {
    let enabled = session.enabled;
    enabled.has(Extension::Utf8) || enabled.has(Extension::Rev2) || session.is_frontends()
}

/// Waits for what follows a message; before the end of the command nothing is stored.
async fn after_message(
    session: &mut Session,
) -> Result<Option<murder_imap::AppendMessage>, OpError> {
    let next = session
        .within_command(async |reader, stream| {
            if !reader.has_buffered() {
                stream.acknowledge();
            }
            reader.finish_append(stream).await
        })
        .await?;
    match next {
        AppendNext::End => Ok(None),
        AppendNext::Message(message) => Ok(Some(message)),
        AppendNext::Bad { text } => Err(bad(text)),
        AppendNext::Fatal { text } => Err(OpError::Bye(text.into())),
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
