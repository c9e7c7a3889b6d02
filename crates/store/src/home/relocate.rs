//! Compaction's command, applied to a home: rows follow their bodies to a new place.

use std::collections::{BTreeSet, HashMap};

use murder_mailbox::MailboxId;
use rusqlite::params;

use super::{Home, Stop, sql};
use crate::command::Relocate;
use crate::entry::{ApplyResult, Entry, Outcome};
use crate::view::Relocated;

impl Home {
    pub(super) fn relocate(&mut self, c: &Relocate, entry: &Entry) -> Result<ApplyResult, Stop> {
        let mailboxes: HashMap<i64, MailboxId> =
            self.mailboxes.values().map(|m| (m.rowno, m.id)).collect();
        for (from, &to) in c.from.iter().zip(&entry.locations) {
            // An empty body begins where the next one does: the length tells them apart.
            let place = params![
                from.segment.cast_signed(),
                from.offset.cast_signed(),
                to.len
            ];
            let read = || -> rusqlite::Result<Vec<(i64, u32, i64)>> {
                let mut rows = self.conn.prepare_cached(
                    "SELECT mailbox, uid, content FROM message \
                     WHERE segment = ?1 AND offset = ?2 AND len = ?3",
                )?;
                let rows = rows.query_map(place, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
                rows.collect()
            };
            let rows = read().map_err(sql)?;
            let kept = || -> rusqlite::Result<Vec<i64>> {
                let mut rows = self.conn.prepare_cached(
                    "SELECT content FROM expunged WHERE segment = ?1 AND offset = ?2 AND len = ?3",
                )?;
                let rows = rows.query_map(place, |r| r.get(0))?;
                rows.collect()
            };
            let mut contents: BTreeSet<i64> = kept().map_err(sql)?.into_iter().collect();
            contents.extend(rows.iter().map(|&(_, _, content)| content));
            if contents.is_empty() {
                continue;
            }
            for table in ["message", "expunged"] {
                self.run(
                    &format!(
                        "UPDATE {table} SET segment = ?4, offset = ?5 \
                         WHERE segment = ?1 AND offset = ?2 AND len = ?3"
                    ),
                    params![
                        from.segment.cast_signed(),
                        from.offset.cast_signed(),
                        to.len,
                        to.segment.cast_signed(),
                        to.offset.cast_signed()
                    ],
                )?;
            }
            let (refs, len) = (contents.len() as i64, i64::from(to.len));
            self.count(from.segment, -refs, -refs * len);
            self.count(to.segment, refs, refs * len);
            for (mailbox, uid, _) in rows {
                if let Some(&id) = mailboxes.get(&mailbox) {
                    self.view(id).relocated.push(Relocated {
                        uid,
                        from: from.segment,
                        to,
                    });
                }
            }
        }
        Ok(Ok(Outcome::Relocated(entry.locations.clone())))
    }
}
