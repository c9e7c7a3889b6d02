//! What lives in the files of the journal.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{PartitionDb, sql};
use crate::error::StoreError;
use crate::home::SegmentChange;

impl PartitionDb {
    /// Living bodies in each file, and their bytes.
    pub fn segments(&self) -> Result<BTreeMap<u64, SegmentChange>, StoreError> {
        let read = || -> rusqlite::Result<BTreeMap<u64, SegmentChange>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT number, refs, bytes, added FROM segment")?;
            let rows = rows.query_map([], |r| {
                let live = SegmentChange {
                    refs: r.get(1)?,
                    bytes: r.get(2)?,
                    added: r.get(3)?,
                };
                Ok((r.get::<_, i64>(0)?.cast_unsigned(), live))
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The files in which bodies live, with their sizes as far as they are known, and how large
    /// they are at least.
    pub fn living(&self) -> Result<Vec<LivingFile>, StoreError> {
        let read = || -> rusqlite::Result<Vec<LivingFile>> {
            let mut rows = self.conn.prepare_cached(
                "SELECT number, size, refs, bytes FROM segment \
                 WHERE refs != 0 OR EXISTS \
                 (SELECT 1 FROM segment_home WHERE segment_home.segment = segment.number)",
            )?;
            let rows = rows.query_map([], |r| {
                let (size, refs, bytes): (i64, i64, i64) = (r.get(1)?, r.get(2)?, r.get(3)?);
                Ok(LivingFile {
                    number: r.get::<_, i64>(0)?.cast_unsigned(),
                    size: u64::try_from(size).unwrap_or(0),
                    largest: u64::try_from(bytes / refs.max(1)).unwrap_or(0),
                })
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// Notes the size of a file that does not grow any more.
    pub fn set_size(&self, number: u64, size: u64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE segment SET size = ?2 WHERE number = ?1 AND size = 0")
            .and_then(|mut s| s.execute(params![number.cast_signed(), size.cast_signed()]))
            .map(|_| ())
            .map_err(sql)
    }

    /// The homes that refer to bodies in a file.
    pub fn homes_of(&self, segment: u64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT home FROM segment_home WHERE segment = ?1 AND refs > 0")?;
            let rows = rows.query_map([segment.cast_signed()], |r| {
                Ok(r.get::<_, i64>(0)?.cast_unsigned())
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// The files in which a home has bodies.
    pub fn files_of(&self, home: u64) -> Result<Vec<u64>, StoreError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut rows = self
                .conn
                .prepare_cached("SELECT segment FROM segment_home WHERE home = ?1")?;
            let rows = rows.query_map([home.cast_signed()], |r| {
                Ok(r.get::<_, i64>(0)?.cast_unsigned())
            })?;
            rows.collect()
        };
        read().map_err(sql)
    }

    /// Forgets a file that is removed.
    pub fn forget_segment(&self, number: u64) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM segment WHERE number = ?1",
            "DELETE FROM segment_home WHERE segment = ?1",
        ] {
            self.conn
                .prepare_cached(statement)
                .and_then(|mut s| s.execute([number.cast_signed()]))
                .map_err(sql)?;
        }
        Ok(())
    }
}

/// A file in which bodies live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LivingFile {
    pub number: u64,
    /// Its bytes; 0 when they are not known.
    pub size: u64,
    /// A body in it has at least this many bytes.
    pub largest: u64,
}
