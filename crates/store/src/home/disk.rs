//! Homes as they are found on disk at a start: whose they are, how far they had come, and, where
//! `partition.db` is lost, all that it knew of them.

use std::path::Path;

use murder_mailbox::MailboxId;
use rusqlite::Connection;

use super::{SegmentChange, SegmentChanges, read_acl, schema};
use crate::catalogue::Listed;
use crate::error::StoreError;

/// What is found of a home.
#[derive(Debug, Default)]
pub(crate) struct HomeOnDisk {
    pub id: u64,
    /// The last record that is in it.
    pub applied_lsn: u64,
    /// The greatest number of a file that it refers to.
    pub last_file: u64,
    // The rest only of those that were gathered.
    pub key: String,
    pub listed: Vec<Listed>,
    /// When something is to be forgotten; 0 for never.
    pub purge_at: i64,
    /// What it refers to in files, but for what records after a checkpoint did.
    pub segments: SegmentChanges,
}

impl HomeOnDisk {
    /// Looks at a home. With `checkpoint` everything is gathered that was known of it then.
    ///
    /// # Errors
    /// [`StoreError::HomeDamaged`], [`StoreError::Newer`], [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn look(
        dir: &Path,
        id: u64,
        tag: u64,
        checkpoint: Option<u64>,
    ) -> Result<Self, StoreError> {
        let path = schema::path(dir, id);
        if !path.exists() {
            return Err(schema::missing(id));
        }
        let is_file_of = schema::is_file_of(&path, id, tag);
        if !is_file_of.map_err(|e| StoreError::io("looking at a home", &e))? {
            return Err(StoreError::HomeDamaged {
                home: id,
                why: "its file is damaged or another home's".into(),
            });
        }
        let sql = |e: rusqlite::Error| schema::sorted("looking at a home", id, &e);
        let conn = schema::open_alone(&path).map_err(sql)?;
        schema::check(&conn, &path, id, tag)?;
        let read = || -> rusqlite::Result<Self> {
            let last = |table: &str| {
                let query = format!("SELECT coalesce(max(segment), 0) FROM {table}");
                conn.query_row(&query, [], |r| r.get::<_, i64>(0))
            };
            let mut found = Self {
                id,
                applied_lsn: meta(&conn, "applied_lsn")?.cast_unsigned(),
                last_file: last("message")?.max(last("expunged")?).cast_unsigned(),
                ..Self::default()
            };
            if let Some(checkpoint) = checkpoint {
                found.gather(&conn, checkpoint)?;
            }
            Ok(found)
        };
        read().map_err(sql)
    }

    fn gather(&mut self, conn: &Connection, checkpoint: u64) -> rusqlite::Result<()> {
        self.key = conn.query_row("SELECT value FROM meta WHERE key = 'key'", [], |r| r.get(0))?;
        self.purge_at = meta(conn, "purge_at")?;
        let mut rows = conn.prepare(
            "SELECT name, id, uidvalidity, acl, special_use, shared_seen FROM mailbox \
             WHERE keep_until = 0",
        )?;
        let rows = rows.query_map([], |r| {
            let (name, acl, special_use): (String, String, String) =
                (r.get(0)?, r.get(3)?, r.get(4)?);
            Ok(Listed {
                name: name.into(),
                id: MailboxId::from_bytes(r.get(1)?),
                uidvalidity: r.get(2)?,
                acl: read_acl(&acl),
                special_use: special_use.parse().ok(),
                shared_seen: r.get(5)?,
            })
        })?;
        self.listed = rows.collect::<rusqlite::Result<_>>()?;
        // A content is one reference; see `Home::new_content`.
        let mut rows = conn.prepare(
            "SELECT segment, count(*), sum(len) FROM \
             (SELECT content, segment, len FROM message \
              UNION SELECT content, segment, len FROM expunged) GROUP BY segment",
        )?;
        let mut rows = rows.query([])?;
        while let Some(r) = rows.next()? {
            let refs = r.get(1)?;
            let change = SegmentChange {
                refs,
                bytes: r.get(2)?,
                added: refs,
            };
            let segment = r.get::<_, i64>(0)?.cast_unsigned();
            self.segments.insert(segment, change);
        }
        let mut rows =
            conn.prepare("SELECT segment, refs, bytes, added FROM segment_change WHERE lsn > ?1")?;
        let mut rows = rows.query([checkpoint.cast_signed()])?;
        while let Some(r) = rows.next()? {
            let since = SegmentChange {
                refs: -r.get::<_, i64>(1)?,
                bytes: -r.get::<_, i64>(2)?,
                added: -r.get::<_, i64>(3)?,
            };
            let segment = r.get::<_, i64>(0)?.cast_unsigned();
            self.segments.entry(segment).or_default().add(since);
        }
        self.segments.retain(|_, c| *c != SegmentChange::default());
        Ok(())
    }
}

fn meta(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0))
}
