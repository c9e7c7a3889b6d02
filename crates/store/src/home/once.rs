//! What is done once only: appends and deliveries with an id, applied to a home.

use rusqlite::{OptionalExtension, params};

use super::{Home, Stop, refuse, sql};
use crate::command::Withdraw;
use crate::entry::{ApplyResult, Outcome};
use crate::error::StoreError;
use crate::message::Appended;
use crate::uidset::UidSet;

impl Home {
    /// What came of the append with this id, if it is not to be done (again).
    pub(super) fn done_before(
        &self,
        id: &[u8],
    ) -> Result<Option<Result<Appended, StoreError>>, Stop> {
        if id.is_empty() {
            return Ok(None);
        }
        let row: Option<(u32, Vec<u8>)> = self
            .conn
            .prepare_cached("SELECT uidvalidity, uids FROM once WHERE id = ?1")
            .and_then(|mut s| s.query_row([id], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .map_err(sql)?;
        Ok(row.map(|(uidvalidity, uids)| match uidvalidity {
            0 => Err(StoreError::Withdrawn),
            _ => Ok(Appended {
                uidvalidity,
                uids: UidSet::from_bytes(&uids).iter().collect(),
                modseq: 0,
            }),
        }))
    }

    /// Remembers what came of an append; `None`: it is not to be done. Beyond `most` ids, a tenth
    /// of them go, those first that would go next anyway.
    pub(super) fn remember(
        &mut self,
        id: &[u8],
        keep_until: i64,
        most: u32,
        appended: Option<&Appended>,
    ) -> Result<(), Stop> {
        let uids = appended.map_or_else(UidSet::new, |a| a.uids.iter().copied().collect());
        self.run(
            "INSERT INTO once VALUES (?1, ?2, ?3, ?4)",
            params![
                id,
                keep_until,
                appended.map_or(0, |a| a.uidvalidity),
                uids.to_bytes()
            ],
        )?;
        self.due(keep_until);
        let count = match self.ids {
            Some(count) => count + 1,
            None => self
                .conn
                .prepare_cached("SELECT count(*) FROM once")
                .and_then(|mut s| s.query_row([], |r| r.get(0)))
                .map_err(sql)?,
        };
        self.ids = Some(count);
        if count > most {
            let surplus = (count - most).max(most / 10);
            self.run(
                "DELETE FROM once WHERE id IN \
                 (SELECT id FROM once ORDER BY keep_until, id LIMIT ?1)",
                [surplus],
            )?;
            self.ids = None;
        }
        Ok(())
    }

    /// Forgets ids whose time is over.
    pub(super) fn forget_ids(&mut self, now: i64) -> Result<(), Stop> {
        self.ids = None;
        self.run("DELETE FROM once WHERE keep_until <= ?1", [now])
    }

    pub(super) fn withdraw(&mut self, c: &Withdraw) -> Result<ApplyResult, Stop> {
        match self.done_before(&c.id)? {
            Some(Ok(appended)) => Ok(Ok(Outcome::Appended(vec![(0, Ok(appended))]))),
            Some(Err(why)) => refuse(why),
            None => {
                self.remember(&c.id, c.keep_until, c.most_ids, None)?;
                refuse(StoreError::Withdrawn)
            }
        }
    }
}
