//! Keywords of a home's mailboxes: giving bits to names, and making room.

use std::sync::Arc;

use murder_mailbox::MailboxId;

use super::{Home, Stop, sql};
use crate::command;
use crate::view::Keywords;

impl Home {
    /// Gives every keyword of `names` a bit; drops keywords that no message has to make room.
    /// `false` when there is none even so; then nothing changed.
    pub(super) fn make_room_for_keywords<'a>(
        &mut self,
        id: MailboxId,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<bool, Stop> {
        let fits = |keywords: &Keywords| {
            let mut keywords = keywords.clone();
            names
                .clone()
                .all(|name| keywords.intern(name).is_some())
                .then_some(keywords)
        };
        let current = &self.mailboxes[&id].keywords;
        if names.clone().all(|name| current.bit(name).is_some()) {
            return Ok(true);
        }
        let mut fitted = fits(current);
        if fitted.is_none() {
            let used = self.used_keywords(self.mailboxes[&id].rowno)?;
            let mut keywords = (**current).clone();
            keywords.keep(used);
            fitted = fits(&keywords);
        }
        let Some(fitted) = fitted else {
            return Ok(false);
        };
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            mailbox.keywords = Arc::new(fitted);
            mailbox.dirty = true;
        }
        Ok(true)
    }

    pub(super) fn used_keywords(&self, rowno: i64) -> Result<u64, Stop> {
        let read = || -> rusqlite::Result<u64> {
            let mut rows = self.conn.prepare_cached(
                "SELECT DISTINCT keywords FROM message WHERE mailbox = ?1 AND keywords != 0",
            )?;
            let mut rows = rows.query([rowno])?;
            let mut used = 0;
            while let Some(r) = rows.next()? {
                used |= r.get::<_, i64>(0)?.cast_unsigned();
            }
            Ok(used)
        };
        read().map_err(sql)
    }

    /// The messages without the keywords that the mailbox has no room for: a copy must not
    /// fail for them.
    pub(super) fn keywords_that_fit(
        &mut self,
        id: MailboxId,
        messages: &[command::Message],
    ) -> Result<Vec<command::Message>, Stop> {
        let mut messages = messages.to_vec();
        let names = messages.iter().flat_map(|m| &m.keywords);
        if self.make_room_for_keywords(id, names.map(String::as_str))? {
            return Ok(messages);
        }
        let mut refused = Vec::new();
        for message in &messages {
            for name in &message.keywords {
                if !refused.contains(name)
                    && !self.make_room_for_keywords(id, std::iter::once(name.as_str()))?
                {
                    refused.push(name.clone());
                }
            }
        }
        for message in &mut messages {
            message.keywords.retain(|name| !refused.contains(name));
        }
        Ok(messages)
    }
}

/// The bits of keywords; new ones get theirs when `add`. There is room: the caller has made
/// it.
pub(super) fn keyword_bits(keywords: &mut Arc<Keywords>, names: &[String], add: bool) -> u64 {
    let mut bits = 0;
    for name in names {
        let bit = match keywords.bit(name) {
            None if add => Arc::make_mut(keywords).intern(name),
            bit => bit,
        };
        if let Some(bit) = bit {
            bits |= 1 << bit;
        }
    }
    bits
}
