//! THREAD (RFC 5256): what a search has found, by conversation.

mod output;
mod references;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use murder_imap::{ThreadAlgorithm, ThreadList};
use murder_mime::{header_raw, message_ids};
use murder_store::{MessageRow, StoreError};

use super::headers::headers_of;
use super::run::{Hits, Scope};
use super::sort::{sent, subject};
use crate::imap::errors::OpError;
use crate::imap::progress::Progress;

/// References of a message that count, the last ones: those nearest to it. Mailers keep fewer.
const REFERENCES: usize = 100;
/// Messages that are looked at between other sessions' turns.
const AT_ONCE: usize = 64;

/// A message to be put into a thread.
#[derive(Debug, Clone, Default)]
struct Message {
    /// Its number in the answer.
    number: u32,
    sent: i64,
    /// The base subject, by number: equal ones are the same. `None` for an empty one.
    subject: Option<u32>,
    is_reply: bool,
    /// Its Message-ID and those of its ancestors, the parent last, by their hashes.
    id: Option<u64>,
    references: Vec<u64>,
}

/// The threads of `hits`.
///
/// Memory: some 100 bytes and the references, up to 800 bytes, a message, and each different
/// subject once.
///
/// # Errors
/// When the disk cannot be read; when the client is gone.
pub(crate) async fn thread(
    algorithm: ThreadAlgorithm,
    hits: &mut Hits,
    uid: bool,
    scope: &Scope<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<ThreadList>, OpError> {
    // A key of its own, so that nobody can write IDs that collide.
    let hasher = RandomState::new();
    let hash = |id: Vec<u8>| hasher.hash_one(id);
    let mut subjects: HashMap<Box<str>, u32> = HashMap::new();
    let mut messages = Vec::with_capacity(hits.seqs.len());
    for seqs in hits.seqs.chunks(AT_ONCE) {
        progress.tick(seqs[0] - 1, scope.view.len()).await?;
        let rows: Vec<MessageRow> = seqs.iter().filter_map(|seq| scope.view.row(*seq)).collect();
        let headers = headers_of(scope, &rows, &mut hits.damaged).await?;
        for (row, header) in rows.iter().zip(&headers) {
            let (subject, is_reply) = subject(header);
            let next = subjects.len() as u32;
            let subject = (!subject.is_empty()).then(|| *subjects.entry(subject).or_insert(next));
            let ids = |field| header_raw(header, field).into_iter().flat_map(message_ids);
            let mut message = Message {
                number: if uid { row.uid } else { row.seq },
                sent: sent(row),
                subject,
                is_reply,
                ..Message::default()
            };
            if algorithm == ThreadAlgorithm::References {
                message.id = ids("Message-ID").next().map(hash);
                let mut references: Vec<u64> = ids("References").map(hash).collect();
                references.drain(..references.len().saturating_sub(REFERENCES));
                if references.is_empty() {
                    references.extend(ids("In-Reply-To").next().map(hash));
                }
                message.references = references;
            }
            messages.push(message);
        }
    }
    let work = move || match algorithm {
        ThreadAlgorithm::OrderedSubject => ordered_subject(messages),
        ThreadAlgorithm::References => references::references(&messages),
    };
    let threads = tokio::task::spawn_blocking(work).await;
    Ok(threads.map_err(|_| StoreError::Closed)?)
}

/// ORDEREDSUBJECT: messages with the same subject by date, the first the parent of all others;
/// threads by the date of their first message. Messages come in the order of the mailbox.
fn ordered_subject(mut messages: Vec<Message>) -> Vec<ThreadList> {
    // Empty subjects are the same too.
    messages.sort_by_key(|message| (message.subject, message.sent));
    let mut threads: Vec<&[Message]> = messages
        .chunk_by(|one, other| one.subject == other.subject)
        .collect();
    threads.sort_by_key(|thread| thread.first().map(|first| (first.sent, first.number)));
    let leaf = |message: &Message| ThreadList {
        messages: vec![message.number],
        replies: Vec::new(),
    };
    let list = |thread: &[Message]| match thread {
        [first, rest @ ..] if rest.len() > 1 => ThreadList {
            messages: vec![first.number],
            replies: rest.iter().map(leaf).collect(),
        },
        one_or_two => ThreadList {
            messages: one_or_two.iter().map(|message| message.number).collect(),
            replies: Vec::new(),
        },
    };
    threads.into_iter().map(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_in_order() {
        let message = |number, sent, subject| Message {
            number,
            sent,
            subject,
            ..Message::default()
        };
        let threads = ordered_subject(vec![
            message(1, 50, Some(1)),
            message(2, 10, Some(0)),
            message(3, 20, Some(1)),
            message(4, 30, Some(1)),
            message(5, 40, None),
            message(6, 60, Some(0)),
        ]);
        let list = |messages: &[u32], replies: &[u32]| ThreadList {
            messages: messages.to_vec(),
            replies: replies
                .iter()
                .map(|number| ThreadList {
                    messages: vec![*number],
                    replies: Vec::new(),
                })
                .collect(),
        };
        assert_eq!(
            threads,
            [list(&[2, 6], &[]), list(&[3], &[4, 1]), list(&[5], &[])]
        );
    }
}
