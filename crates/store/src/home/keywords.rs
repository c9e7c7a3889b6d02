//! Keywords of a home's mailboxes: giving numbers to names and ids to sets, and making room.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use murder_mailbox::MailboxId;
use rusqlite::params;

use super::{Home, Stop, sql};
use crate::command;
use crate::view::{KeywordSet, Keywords, RowState};

/// The most keywords of a mailbox for a record that does not say it.
const OLD_MAX: usize = 64;
/// Sets that a mailbox keeps although no message may have them any more, and as many more as it has
/// messages: looking costs a walk over the messages.
const IDLE_SETS: usize = 256;

/// The most keywords that a mailbox may have by a record's word.
pub(super) fn most(max_keywords: u32) -> usize {
    match max_keywords {
        0 => OLD_MAX,
        max => max as usize,
    }
}

impl Home {
    /// Gives every keyword of `names` a number; drops keywords that no message has to make room.
    /// Returns those that there is no room for even so. With `all`, nothing is changed then.
    pub(super) fn make_room_for_keywords<'a>(
        &mut self,
        id: MailboxId,
        names: impl Iterator<Item = &'a str> + Clone,
        max: usize,
        all: bool,
    ) -> Result<Vec<&'a str>, Stop> {
        let put = |keywords: &mut Keywords| -> Vec<&'a str> {
            let names = names.clone();
            names
                .filter(|name| keywords.intern(name, max).is_none())
                .collect()
        };
        self.forget_unused_sets(id)?;
        let current = &self.mailboxes[&id].keywords;
        if names.clone().all(|name| current.number(name).is_some()) {
            return Ok(Vec::new());
        }
        let mut next = (**current).clone();
        let mut refused = put(&mut next);
        if !refused.is_empty() {
            let mut used = KeywordSet::default();
            for word in self.used_words(self.mailboxes[&id].rowno)? {
                used.add(&current.set_of(word));
            }
            next = (**current).clone();
            next.keep(&used);
            refused = put(&mut next);
        }
        if !all || refused.is_empty() {
            self.set_keywords(id, next);
        }
        Ok(refused)
    }

    fn set_keywords(&mut self, id: MailboxId, keywords: Keywords) {
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            mailbox.keywords = Arc::new(keywords);
            mailbox.keywords_dirty = true;
            mailbox.dirty = true;
        }
    }

    /// What messages have of keywords, each once.
    fn used_words(&self, rowno: i64) -> Result<Vec<u64>, Stop> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self.conn.prepare_cached(
                "SELECT DISTINCT keywords FROM message WHERE mailbox = ?1 AND keywords != 0",
            )?;
            let rows = rows.query_map([rowno], |r| Ok(r.get::<_, i64>(0)?.cast_unsigned()))?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The messages without the keywords that the mailbox has no room for: a message must not be
    /// refused for them.
    pub(super) fn keywords_that_fit<'a>(
        &mut self,
        id: MailboxId,
        messages: &'a [command::Message],
        max: usize,
    ) -> Result<Cow<'a, [command::Message]>, Stop> {
        let names = messages.iter().flat_map(|m| &m.keywords);
        let refused = self.make_room_for_keywords(id, names.map(String::as_str), max, false)?;
        if refused.is_empty() {
            return Ok(Cow::Borrowed(messages));
        }
        let numbers = Arc::clone(&self.mailboxes[&id].keywords);
        let mut messages = messages.to_vec();
        for message in &mut messages {
            message
                .keywords
                .retain(|name| numbers.number(name).is_some());
        }
        Ok(Cow::Owned(messages))
    }

    /// The numbers of those keywords that have some.
    pub(super) fn keyword_set(&self, id: MailboxId, names: &[String]) -> KeywordSet {
        let mut set = KeywordSet::default();
        let keywords = &self.mailboxes[&id].keywords;
        for number in names.iter().filter_map(|name| keywords.number(name)) {
            set.insert(number);
        }
        set
    }

    /// What a message's word is with these keywords. In a mailbox that has given out all ids for sets
    /// the message does without those that have no bit.
    pub(super) fn keyword_word(&self, id: MailboxId, set: &KeywordSet) -> Result<u64, Stop> {
        let mailbox = &self.mailboxes[&id];
        let Some((word, new)) = mailbox.keywords.word(set) else {
            return Ok(set.direct());
        };
        if let Some((set, members)) = new {
            self.run(
                "INSERT INTO keyword VALUES (?1, ?2, ?3)",
                params![mailbox.rowno, set, members],
            )?;
        }
        Ok(word)
    }

    /// What becomes of messages' words when these keywords are added, or taken away; `None` when
    /// there are not enough ids for the sets.
    pub(super) fn changed_words<'a>(
        &mut self,
        id: MailboxId,
        rows: impl Iterator<Item = &'a RowState>,
        change: &KeywordSet,
        add: bool,
    ) -> Result<Option<HashMap<u64, u64>>, Stop> {
        self.forget_unused_sets(id)?;
        let mut words: Vec<u64> = rows.map(|row| row.keywords).collect();
        words.sort_unstable();
        words.dedup();
        let keywords = Arc::clone(&self.mailboxes[&id].keywords);
        if !keywords.has_ids(words.len()) {
            return Ok(None);
        }
        let mut changed = HashMap::with_capacity(words.len());
        for word in words {
            let mut set = keywords.set_of(word);
            match add {
                true => set.add(change),
                false => set.remove(change),
            }
            changed.insert(word, self.keyword_word(id, &set)?);
        }
        Ok(Some(changed))
    }

    /// Forgets sets that no message has, when there are many. Not in the midst of a command, whose
    /// messages do not have theirs yet.
    fn forget_unused_sets(&mut self, id: MailboxId) -> Result<(), Stop> {
        let mailbox = &self.mailboxes[&id];
        let rowno = mailbox.rowno;
        let messages = usize::try_from(mailbox.messages).unwrap_or_default();
        if mailbox.keywords.sets() <= IDLE_SETS + 2 * messages {
            return Ok(());
        }
        let (keywords, gone) = mailbox
            .keywords
            .without_unused_sets(&self.used_words(rowno)?);
        for set in gone {
            self.run(
                "DELETE FROM keyword WHERE mailbox = ?1 AND id = ?2",
                params![rowno, set],
            )?;
        }
        self.set_keywords(id, keywords);
        Ok(())
    }
}
