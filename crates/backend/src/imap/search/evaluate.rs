//! Evaluating a search for one message, with as much of the message as is at hand.

use murder_mime::{contains_folded, for_each_text, header_search_text, header_text};
use murder_store::{MailboxView, MessageRow, UidSet};

use super::program::{Key, Program};

/// What is known of a message.
pub(super) struct Known<'a> {
    pub view: &'a MailboxView,
    pub row: &'a MessageRow,
    /// Whose `\Seen` counts.
    pub seen_user: Option<&'a str>,
    pub recent: &'a UidSet,
    /// What was found in the header, if it was looked at.
    pub header: Option<&'a InHeader>,
    /// For each text of the program, whether the message has it, if it was looked at.
    pub texts: Option<&'a [bool]>,
}

/// What was found in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InHeader {
    /// For each field of the program, whether it is there.
    fields: Vec<bool>,
    /// For each text of the program, whether it is there.
    texts: Vec<bool>,
}

impl Program {
    /// Whether the message matches; `None` if that takes more than is known.
    pub(super) fn matches(&self, known: &Known<'_>) -> Option<bool> {
        self.evaluate(&self.root, known)
    }

    fn evaluate(&self, key: &Key, known: &Known<'_>) -> Option<bool> {
        let row = known.row;
        Some(match key {
            Key::Is(value) => *value,
            Key::Flag(flag) => row.flags.contains(*flag),
            Key::Seen => known.view.is_seen(row, known.seen_user),
            Key::Recent => known.recent.contains(row.uid),
            Key::Keyword(bit) => row.keywords & bit != 0,
            Key::Internal(days) => {
                let date = row.internal_date;
                let local = date.seconds.saturating_add(i64::from(date.zone) * 60);
                days.match_day(local.div_euclid(86_400))
            }
            Key::Sent(days) => row
                .sent_day
                .is_some_and(|day| days.match_day(i64::from(day))),
            Key::Saved(days) => days.match_day(row.save_date.div_euclid(86_400)),
            Key::NotAfter(limit) => row.internal_date.seconds <= *limit,
            Key::NotBefore(limit) => row.internal_date.seconds >= *limit,
            Key::Larger(octets) => u64::from(row.location.len) > *octets,
            Key::Smaller(octets) => u64::from(row.location.len) < *octets,
            Key::ModSeq(least) => row.modseq >= *least,
            Key::EmailId(id) => row.email_id == *id,
            Key::Places(ranges) => ranges.contain(row.seq),
            Key::Uids(ranges) => ranges.contain(row.uid),
            Key::Field(at) => known.header?.fields[*at],
            Key::Body(at) => known.texts?[*at],
            Key::Text(at) => {
                let in_header = known.header.map(|header| header.texts[*at]);
                match (in_header, known.texts) {
                    (Some(true), _) => true,
                    (_, Some(texts)) if texts[*at] => true,
                    (Some(false), Some(_)) => false,
                    _ => return None,
                }
            }
            Key::Not(key) => !self.evaluate(key, known)?,
            Key::And(keys) => return self.all(keys, known, false),
            Key::Or(keys) => return self.all(keys, known, true),
        })
    }

    /// `decisive` if one key is that, `None` if one is not known, else the contrary.
    fn all(&self, keys: &[Key], known: &Known<'_>, decisive: bool) -> Option<bool> {
        let mut result = Some(!decisive);
        for key in keys {
            match self.evaluate(key, known) {
                Some(value) if value == decisive => return Some(decisive),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    /// Looks at a header.
    pub(super) fn search_header(&self, raw: &[u8]) -> InHeader {
        let has = |(name, string): &(String, String)| {
            header_text(raw, name).any(|value| contains_folded(&value, string))
        };
        let all = match self.texts.is_empty() {
            true => String::new(),
            false => header_search_text(raw),
        };
        InHeader {
            fields: self.fields.iter().map(has).collect(),
            texts: self
                .texts
                .iter()
                .map(|t| contains_folded(&all, t))
                .collect(),
        }
    }

    /// Looks at a message, at what is not its header.
    pub(super) fn search_texts(&self, raw: &[u8]) -> Vec<bool> {
        let mut found = vec![false; self.texts.len()];
        for_each_text(raw, &mut |text| {
            for (string, found) in self.texts.iter().zip(&mut found) {
                *found = *found || contains_folded(text, string);
            }
            found.iter().any(|found| !found)
        });
        found
    }
}
