//! COPY and MOVE from another partition, applied to the home that the messages go to; and what
//! leaves by MOVE, written down.

use prost::Message as _;
use rusqlite::{OptionalExtension, params};

use super::keywords::most;
use super::{Home, Stop, done, refuse, sql};
use crate::body::BodyLocation;
use crate::command::{self, Adopt, Leaving, TakeMessages, Transfer, TransferStep};
use crate::entry::{ApplyResult, Entry, Outcome};
use crate::error::StoreError;
use crate::items::Items;
use crate::journal::segments::Segments;
use crate::message::Copied;
use crate::quota::Amount;
use crate::transfer::{ADOPTED, REFUSED, STAGED, StagedMessage, TransferPart, TransferState};
use crate::uidset::UidSet;

impl Home {
    pub(super) fn transfer(
        &mut self,
        c: &Transfer,
        entry: &Entry,
        segments: &Segments,
    ) -> Result<ApplyResult, Stop> {
        let state = self.transfer_state(&c.id)?;
        match &c.step {
            Some(TransferStep::Take(take)) => {
                let state = match state {
                    // What is left of a home, or nothing, is not to hold messages.
                    _ if self.mailboxes.is_empty() => return refuse(StoreError::NoSuchMailbox),
                    None => TransferState::default(),
                    Some(state) if state.state == STAGED => state,
                    Some(_) => return refuse(StoreError::NoSuchTransfer),
                };
                self.take_messages(c, take, state, entry, segments)
            }
            Some(TransferStep::Adopt(adopt)) => match state {
                Some(state) if state.state == STAGED && state.messages == adopt.messages => {
                    self.adopt(c, adopt, state)
                }
                _ => refuse(StoreError::NoSuchTransfer),
            },
            Some(TransferStep::Discard(())) => {
                if let Some(state) = state.filter(|state| state.state == STAGED) {
                    self.forget_parts(&c.id, state.parts, i64::MAX)?;
                    self.run("DELETE FROM transfer WHERE id = ?1", [&c.id])?;
                }
                done()
            }
            Some(TransferStep::Settle(())) => match state {
                Some(state) if state.state == ADOPTED => {
                    Ok(Ok(Outcome::Settled(Some(state.copied()))))
                }
                state => {
                    if let Some(state) = state {
                        self.forget_parts(&c.id, state.parts, i64::MAX)?;
                    }
                    let refused = TransferState {
                        state: REFUSED,
                        ..TransferState::default()
                    };
                    self.put_transfer(c, &refused)?;
                    Ok(Ok(Outcome::Settled(None)))
                }
            },
            None => done(),
        }
    }

    /// Keeps messages where nobody sees them.
    fn take_messages(
        &mut self,
        c: &Transfer,
        take: &TakeMessages,
        mut state: TransferState,
        entry: &Entry,
        segments: &Segments,
    ) -> Result<ApplyResult, Stop> {
        let mut part = TransferPart::default();
        for (at, message) in take.messages.iter().enumerate() {
            let items = super::messages::items(entry, at, segments)?;
            let location = entry.locations[at];
            let content = self.new_content(&items, location)?;
            state.messages += 1;
            state.bytes += u64::from(location.len);
            part.messages.push(StagedMessage {
                message: command::Message {
                    segment: location.segment,
                    offset: location.offset,
                    ..message.clone()
                },
                content,
                sent: items.sent,
                sent_day: items.sent_day,
                header_len: items.header_len,
            });
        }
        state.parts += 1;
        self.run(
            "INSERT INTO transfer VALUES (?1, ?2, 0, ?3)",
            params![c.id, state.parts, part.encode_to_vec()],
        )?;
        self.put_transfer(c, &state)?;
        done()
    }

    /// Puts all messages into the mailbox, or none.
    fn adopt(
        &mut self,
        c: &Transfer,
        adopt: &Adopt,
        mut state: TransferState,
    ) -> Result<ApplyResult, Stop> {
        let Some(id) = self.mailbox(&adopt.mailbox).map(|m| m.id) else {
            return refuse(StoreError::NoSuchMailbox);
        };
        let count = usize::try_from(state.messages).unwrap_or(usize::MAX);
        if !self.has_uids(id, count) {
            return refuse(StoreError::UidsExhausted);
        }
        let more = Amount {
            bytes: i64::try_from(state.bytes).unwrap_or(i64::MAX),
            messages: i64::try_from(state.messages).unwrap_or(i64::MAX),
            mailboxes: 0,
        };
        if let Some(over) = self.over_quota(&self.mailboxes[&id].name, more) {
            return refuse(over);
        }
        state.state = ADOPTED;
        state.uidvalidity = self.mailboxes[&id].uidvalidity;
        state.first_uid = self.mailboxes[&id].uidnext;
        let mut work = self.begin(id);
        let mut copied = Copied {
            uidvalidity: state.uidvalidity,
            ..Copied::default()
        };
        for part in 1..=state.parts {
            let Some(part) = self.transfer_part(&c.id, part)? else {
                continue;
            };
            let mut messages = Vec::with_capacity(part.messages.len());
            let mut staged = Vec::with_capacity(part.messages.len());
            for mut one in part.messages {
                let mut message = std::mem::take(&mut one.message);
                message.save_date = c.now;
                messages.push(message);
                staged.push(one);
            }
            let messages = self.keywords_that_fit(id, &messages, most(adopt.max_keywords))?;
            for (message, staged) in messages.iter().zip(&staged) {
                let items = Items {
                    sent: staged.sent,
                    sent_day: staged.sent_day,
                    header_len: staged.header_len,
                    ..Items::default()
                };
                let location = place(message);
                let uid = self.new_message(&mut work, message, &items, location, staged.content)?;
                copied.source.push(message.source_uid);
                copied.target.push(uid);
            }
        }
        self.finish(work)?;
        // For who asks when the answer is lost. The messages came in ascending order.
        state.source = copied.source.iter().copied().collect::<UidSet>().to_bytes();
        self.run("DELETE FROM transfer WHERE id = ?1 AND part > 0", [&c.id])?;
        self.put_transfer(c, &state)?;
        Ok(Ok(Outcome::Copied(copied)))
    }

    pub(super) fn leaving(&mut self, c: &Leaving) -> Result<ApplyResult, Stop> {
        match &c.departure {
            Some(departure) => {
                if self.key.is_empty() {
                    self.set_key(&c.key)?;
                    self.catalogue = true;
                }
                self.run(
                    "INSERT OR REPLACE INTO transfer VALUES (?1, 0, 0, ?2)",
                    params![c.id, departure.encode_to_vec()],
                )?;
            }
            None => self.run("DELETE FROM transfer WHERE id = ?1", [&c.id])?,
        }
        done()
    }

    fn transfer_state(&self, id: &[u8]) -> Result<Option<TransferState>, Stop> {
        let value = self.transfer_value(id, 0)?;
        value.map(|value| self.read(&value)).transpose()
    }

    fn transfer_part(&self, id: &[u8], part: u32) -> Result<Option<TransferPart>, Stop> {
        let value = self.transfer_value(id, part)?;
        value.map(|value| self.read(&value)).transpose()
    }

    /// What cannot be read is damage: nothing of it may be left out in silence.
    fn read<T: prost::Message + Default>(&self, value: &[u8]) -> Result<T, Stop> {
        T::decode(value).map_err(|e| StoreError::HomeDamaged {
            home: self.id,
            why: format!("a transfer: {e}"),
        })
    }

    fn transfer_value(&self, id: &[u8], part: u32) -> Result<Option<Vec<u8>>, Stop> {
        self.conn
            .prepare_cached("SELECT value FROM transfer WHERE id = ?1 AND part = ?2")
            .and_then(|mut s| s.query_row(params![id, part], |r| r.get(0)).optional())
            .map_err(sql)
    }

    fn put_transfer(&mut self, c: &Transfer, state: &TransferState) -> Result<(), Stop> {
        self.run(
            "INSERT OR REPLACE INTO transfer VALUES (?1, 0, ?2, ?3)",
            params![c.id, c.keep_until, state.encode_to_vec()],
        )?;
        self.due(c.keep_until);
        Ok(())
    }

    /// Forgets parts of a transfer that was not adopted, until some `limit` messages are gone.
    /// Returns how many.
    fn forget_parts(&mut self, id: &[u8], parts: u32, limit: i64) -> Result<i64, Stop> {
        let mut gone = 0;
        for number in 1..=parts {
            if gone >= limit {
                break;
            }
            let Some(part) = self.transfer_part(id, number)? else {
                continue;
            };
            for staged in &part.messages {
                let message = &staged.message;
                self.release(staged.content, message.segment, message.len)?;
                gone += 1;
            }
            self.run(
                "DELETE FROM transfer WHERE id = ?1 AND part = ?2",
                params![id, number],
            )?;
        }
        Ok(gone)
    }

    /// Forgets transfers whose time has come, until some `limit` messages are gone. Returns how
    /// many.
    pub(super) fn forget_transfers(&mut self, now: i64, limit: i64) -> Result<i64, Stop> {
        let read = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut rows = self.conn.prepare_cached(
                "SELECT id FROM transfer WHERE part = 0 AND keep_until BETWEEN 1 AND ?1 ORDER BY id",
            )?;
            let rows = rows.query_map([now], |r| r.get(0))?;
            rows.collect()
        };
        let mut gone = 0;
        for id in read().map_err(sql)? {
            if gone >= limit {
                break;
            }
            let state = self.transfer_state(&id)?.unwrap_or_default();
            if state.state == STAGED {
                gone += self.forget_parts(&id, state.parts, limit - gone)?;
                if gone >= limit {
                    break;
                }
            }
            self.run("DELETE FROM transfer WHERE id = ?1", [&id])?;
        }
        Ok(gone)
    }

    /// When the first transfer is to be forgotten.
    pub(super) fn transfer_due(&self) -> Result<Option<i64>, Stop> {
        self.conn
            .prepare_cached("SELECT min(keep_until) FROM transfer WHERE keep_until > 0")
            .and_then(|mut s| s.query_row([], |r| r.get(0)))
            .map_err(sql)
    }
}

/// Where the body of a message lies that was taken before.
fn place(message: &command::Message) -> BodyLocation {
    BodyLocation {
        segment: message.segment,
        offset: message.offset,
        len: message.len,
        crc: message.crc,
    }
}
