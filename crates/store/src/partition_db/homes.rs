//! What is known of homes.

use std::collections::HashMap;

use murder_mailbox::MailboxId;
use prost::Message;
use rusqlite::{Row, Statement, params};

use super::{FILE, PartitionDb, sql};
use crate::catalogue::{Catalogue, Listed};
use crate::error::StoreError;
use crate::home::read_acl;

#[derive(Clone, PartialEq, Message)]
struct StoredMailbox {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(uint32, tag = "3")]
    uidvalidity: u32,
    #[prost(string, tag = "4")]
    acl: String,
    #[prost(string, tag = "5")]
    special_use: String,
    #[prost(bool, tag = "6")]
    shared_seen: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredMailboxes {
    #[prost(message, repeated, tag = "1")]
    mailboxes: Vec<StoredMailbox>,
}

impl PartitionDb {
    /// Fills the catalogue. Returns the homes that the checkpoint knew.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn load(&self, catalogue: &Catalogue) -> Result<KnownHomes, StoreError> {
        catalogue.raise_next_home(self.next_home);
        let mut known = KnownHomes::new();
        let mut rows = self
            .conn
            .prepare("SELECT id, key, mailboxes, durable, purge_at, lsn, crc FROM home")
            .map_err(sql)?;
        let mut rows = rows.query([]).map_err(sql)?;
        let damaged = |why: String| StoreError::damaged(FILE, why);
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(e) => return Err(sql(e)),
            };
            let read = || -> rusqlite::Result<_> {
                Ok((HomeRow::read(row)?, row.get::<_, i64>(0)?, row.get(6)?))
            };
            let (home, id, crc): (HomeRow, i64, u32) = read().map_err(sql)?;
            let id = id.cast_unsigned();
            if home.checksum(id) != crc {
                return Err(damaged(format!("home {id}: its checksum is wrong")));
            }
            known.insert(
                id,
                KnownHome {
                    durable: home.durable,
                    lsn: home.lsn,
                },
            );
            let mailboxes = StoredMailboxes::decode(home.mailboxes.as_slice())
                .map_err(|e| damaged(format!("home {id}: {e}")))?;
            let listed = mailboxes.mailboxes.into_iter().filter_map(|m| {
                Some(Listed {
                    name: m.name.into(),
                    id: MailboxId::from_slice(&m.id)?,
                    uidvalidity: m.uidvalidity,
                    acl: read_acl(&m.acl),
                    special_use: m.special_use.parse().ok(),
                    shared_seen: m.shared_seen,
                })
            });
            catalogue.put(id, &home.key, listed.collect());
        }
        catalogue.take_dirty();
        // The other tables must be readable too.
        self.segments()?;
        self.living()?;
        Ok(known)
    }

    /// The homes that have something to forget.
    pub fn due(&self, now: i64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT id FROM home WHERE purge_at BETWEEN 1 AND ?1")?;
            let rows = rows.query_map([now], |r| Ok(r.get::<_, i64>(0)?.cast_unsigned()))?;
            rows.collect()
        };
        read().map_err(sql)
    }
}

/// The homes that a checkpoint knew.
pub(crate) type KnownHomes = HashMap<u64, KnownHome>;

/// What a checkpoint knew of a home.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownHome {
    /// Its file was on disk.
    pub durable: bool,
    /// The last record that it had applied.
    pub lsn: u64,
}

/// A row of `home`.
#[derive(Debug, Default)]
pub(super) struct HomeRow {
    pub key: String,
    pub mailboxes: Vec<u8>,
    pub durable: bool,
    pub purge_at: i64,
    pub lsn: u64,
}

impl HomeRow {
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(1)?,
            mailboxes: row.get(2)?,
            durable: row.get(3)?,
            purge_at: row.get(4)?,
            lsn: row.get::<_, i64>(5)?.cast_unsigned(),
        })
    }

    fn checksum(&self, id: u64) -> u32 {
        let mut crc = crc32c::crc32c(&id.to_le_bytes());
        for part in [
            self.key.as_bytes(),
            &[0],
            &self.mailboxes,
            &[u8::from(self.durable)],
            &self.purge_at.to_le_bytes(),
            &self.lsn.to_le_bytes(),
        ] {
            crc = crc32c::crc32c_append(crc, part);
        }
        crc
    }

    pub fn write(&self, put: &mut Statement<'_>, id: u64) -> rusqlite::Result<()> {
        put.execute(params![
            id.cast_signed(),
            self.key,
            self.mailboxes,
            self.durable,
            self.purge_at,
            self.lsn.cast_signed(),
            self.checksum(id)
        ])
        .map(|_| ())
    }
}

pub(super) fn encode(mailboxes: &[Listed]) -> Vec<u8> {
    let mailboxes = mailboxes.iter().map(|m| StoredMailbox {
        name: m.name.to_string(),
        id: m.id.to_bytes().to_vec(),
        uidvalidity: m.uidvalidity,
        acl: m.acl.to_string(),
        special_use: m
            .special_use
            .map_or_else(String::new, |u| u.as_str().to_owned()),
        shared_seen: m.shared_seen,
    });
    StoredMailboxes {
        mailboxes: mailboxes.collect(),
    }
    .encode_to_vec()
}
