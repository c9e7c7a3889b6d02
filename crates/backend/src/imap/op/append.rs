//! APPEND (RFC 9051 section 6.3.12, RFC 4314 section 4, RFC 7889): decided before the message,
//! which then goes to the store as it comes.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use murder_imap::{
    AppendNext, AppendStart, Code, Flag, LiteralHead, MailboxArg, SequenceSet, Status,
};
use murder_mailbox::Rights;
use murder_store::{
    AppendMessage, Body, BodyWriter, Flags, INLINE_LIMIT, InternalDate, Partition, StoreError,
};

use crate::imap::enabled::Extension;
use crate::imap::errors::{Completion, OpError, OpResult, bad, no, no_such_mailbox, ok, ok_code};
use crate::imap::session::{Session, User, not_permitted};
use crate::imap::utf8::HeaderScan;
use crate::node::{Found, now};

/// Octets of the message taken at a time: a TLS record.
const CHUNK: usize = 16 * 1024;

/// APPEND
pub(crate) async fn append(session: &mut Session, start: AppendStart) -> OpResult {
    let user = session.user()?;
    if start.replaces.is_some() {
        return Err(bad("REPLACE is not supported"));
    }
    let literal = start.literal;
    let (found, rights) = target(session, &user, &start.mailbox)?;
    acceptable(session, literal)?;
    let message = receive(session, &found.partition, literal).await?;
    end_of_command(session).await?;
    let body = message.into_body(literal).await?;
    let name = &found.meta.name;
    let now = now();
    let date = start.internal_date.map_or(
        InternalDate {
            seconds: now,
            zone: 0,
        },
        |date| InternalDate {
            seconds: date.unix,
            zone: date.offset_minutes,
        },
    );
    let (flags, keywords) = permitted(&start.flags, rights);
    let message = AppendMessage {
        body,
        flags,
        keywords,
        internal_date: date,
        save_date: now,
        seen_by: user.seen_in(name).map(str::to_owned),
    };
    let appended = match found.partition.append(name, vec![message]).await {
        Ok(appended) => appended,
        Err(StoreError::NoSuchMailbox | StoreError::NoSuchHome) => {
            return Err(no_target(&user, false));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match SequenceSet::from_numbers(appended.uids) {
        Some(uids) => ok_code(
            Code::AppendUid {
                uidvalidity: appended.uidvalidity,
                uids,
            },
            "APPEND completed",
        ),
        None => ok("APPEND completed"),
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

/// Takes the message in; a large one to disk as it comes. A client that goes in the middle of it
/// leaves nothing behind.
async fn receive(
    session: &mut Session,
    partition: &Partition,
    literal: LiteralHead,
) -> Result<Received, OpError> {
    let len = usize::try_from(literal.len).unwrap_or(usize::MAX);
    let mut received = match len > INLINE_LIMIT {
        // Before the client is told to go on: a disk that is full is known then.
        true => Received::Staged(Box::new(partition.stage(literal.len).await?)),
        false => Received::Inline(Bytes::new()),
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

/// Waits for the end of the command; before that nothing is stored.
async fn end_of_command(session: &mut Session) -> Result<(), OpError> {
    let next = session
        .within_command(async |reader, stream| {
            if !reader.has_buffered() {
                stream.acknowledge();
            }
            reader.finish_append(stream).await
        })
        .await?;
    match next {
        AppendNext::End => Ok(()),
        AppendNext::Message(_) => Err(bad("One message at a time")),
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
