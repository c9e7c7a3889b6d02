//! Asking an index.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::{FullText, database, sum_of};
use crate::view::MessageRow;

/// Trigrams of a string that are asked for: a few decide, and each costs the reading of a list.
const TRIGRAMS: usize = 16;
/// Filters of one search that are answered; the others rule nothing out.
const FILTERS: usize = 32;

/// At least one of some strings is in the text of a message, folded by
/// [`murder_mime::fold`] and loosened by [`murder_mime::loosen_onto`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFilter(Vec<String>);

impl TextFilter {
    /// One of these strings, which have been folded and loosened.
    pub fn any(strings: impl IntoIterator<Item = String>) -> Self {
        Self(strings.into_iter().collect())
    }

    /// As an FTS5 query; `None` if a string is too short to be looked up.
    fn expression(&self) -> Option<String> {
        let mut out = String::new();
        for (at, string) in self.0.iter().enumerate() {
            let chars: Vec<char> = string.chars().collect();
            if chars.len() < 3 || chars.contains(&'\0') {
                return None;
            }
            out.push_str(if at == 0 { "(" } else { ") OR (" });
            let last = chars.len() - 3;
            let asked = last.min(TRIGRAMS - 1);
            let mut known = HashSet::new();
            for nth in 0..=asked {
                // Evenly over the string, its ends included.
                let place = last * nth / asked.max(1);
                let trigram = &chars[place..place + 3];
                if known.insert(trigram) {
                    out.push_str(if known.len() == 1 { "\"" } else { " AND \"" });
                    for c in trigram {
                        if *c == '"' {
                            out.push('"');
                        }
                        let _ = out.write_char(*c);
                    }
                    out.push('"');
                }
            }
        }
        out.push(')');
        (!self.0.is_empty()).then_some(out)
    }
}

/// What the index of a home says about some filters.
#[derive(Debug, Clone)]
pub struct TextCandidates {
    docs: Arc<[(i64, i64)]>,
    /// For each filter the contents that may pass it, sorted; `None` if the index cannot tell.
    lists: Vec<Option<Vec<i64>>>,
}

impl TextCandidates {
    /// Whether the text of the message, header included, certainly does not pass the filter with
    /// this number.
    #[must_use]
    pub fn excludes(&self, row: &MessageRow, filter: usize) -> bool {
        let Some(Some(list)) = self.lists.get(filter) else {
            return false;
        };
        list.binary_search(&row.content).is_err() && self.has(row)
    }

    /// Whether the message is in the index.
    pub(crate) fn has(&self, row: &MessageRow) -> bool {
        let at = self.docs.binary_search_by_key(&row.content, |doc| doc.0);
        at.is_ok_and(|at| self.docs[at].1 == sum_of(row.location))
    }
}

/// A read connection, with the contents that are indexed.
#[derive(Debug)]
pub(super) struct Reader {
    conn: Connection,
    /// SQLite's `data_version` when `docs` was read.
    version: i64,
    docs: Arc<[(i64, i64)]>,
}

impl Reader {
    fn open(homes: &Path, home: u64) -> rusqlite::Result<Option<Self>> {
        let conn = database::open_to_read(homes, home)?;
        Ok(conn.map(|conn| Self {
            conn,
            version: -1,
            docs: Arc::default(),
        }))
    }

    fn ask(&mut self, expressions: &[Option<String>]) -> rusqlite::Result<TextCandidates> {
        let tx = self.conn.unchecked_transaction()?;
        // The lists and what is indexed are of one moment. The transaction begins with the first
        // read, so the version, which is not one, is asked for behind it.
        let _: i64 = tx.query_row("SELECT count(*) FROM mark", [], |r| r.get(0))?;
        let version = tx.pragma_query_value(None, "data_version", |r| r.get(0))?;
        if version != self.version {
            let mut rows = tx.prepare_cached("SELECT content, sum FROM doc ORDER BY content")?;
            let rows = rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            self.docs = rows.collect::<rusqlite::Result<_>>()?;
            self.version = version;
        }
        let ask = |expression: &String| -> rusqlite::Result<Vec<i64>> {
            let mut rows = tx.prepare_cached("SELECT rowid FROM text WHERE text MATCH ?1")?;
            let rows = rows.query_map([expression], |r| r.get(0))?;
            let mut contents = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
            contents.sort_unstable();
            Ok(contents)
        };
        let lists = expressions
            .iter()
            .map(|expression| expression.as_ref().map(ask).transpose())
            .collect::<rusqlite::Result<_>>()?;
        tx.finish()?;
        Ok(TextCandidates {
            docs: Arc::clone(&self.docs),
            lists,
        })
    }
}

impl FullText {
    /// What to ask an index for these filters; `None` if it cannot rule anything out.
    pub fn expressions(&self, filters: &[TextFilter]) -> Option<Vec<Option<String>>> {
        let filters = filters.iter().take(FILTERS);
        let expressions: Vec<_> = filters.map(TextFilter::expression).collect();
        (self.enabled && expressions.iter().any(Option::is_some)).then_some(expressions)
    }

    /// What the index of a home says; `None` when there is none, and when it cannot be read.
    pub fn ask(
        &self,
        homes: &Path,
        home: u64,
        expressions: &[Option<String>],
    ) -> Option<TextCandidates> {
        // The thread that writes it finds out what is wrong, and makes it anew.
        self.try_ask(homes, home, expressions)
            .inspect_err(|error| tracing::warn!(home, %error, "a full-text index cannot be read"))
            .ok()
            .flatten()
    }

    fn try_ask(
        &self,
        homes: &Path,
        home: u64,
        expressions: &[Option<String>],
    ) -> rusqlite::Result<Option<TextCandidates>> {
        let kept = self.readers.lock().pop(&home);
        let reader = match kept {
            Some(reader) => Some(reader),
            None => Reader::open(homes, home)?,
        };
        let Some(mut reader) = reader else {
            return Ok(None);
        };
        let candidates = reader.ask(expressions)?;
        let old = self.readers.lock().push(home, reader);
        drop(old);
        Ok(Some(candidates))
    }

    /// Lets go of a connection to an index that is removed.
    pub fn let_go(&self, home: u64) {
        let old = self.readers.lock().pop(&home);
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let expression = |strings: &[&str]| {
            let strings = strings.iter().map(|s| (*s).to_owned());
            TextFilter::any(strings).expression()
        };
        for (strings, want) in [
            (&["abc"][..], Some("(\"abc\")")),
            (&["abcde"], Some("(\"abc\" AND \"bcd\" AND \"cde\")")),
            (&["aaaa"], Some("(\"aaa\")")),
            (&["a\"b"], Some("(\"a\"\"b\")")),
            (&["abc", "déf"], Some("(\"abc\") OR (\"déf\")")),
            (&["ab"], None),
            (&["abc", "de"], None),
            (&["a\0bc"], None),
            (&[], None),
        ] {
            assert_eq!(expression(strings).as_deref(), want, "{strings:?}");
        }
        let long: String = (0..60_000u32)
            .filter_map(|n| char::from_u32(0x4e00 + n % 20_000))
            .collect();
        let asked = expression(&[&long]).unwrap_or_default();
        assert_eq!(asked.matches("AND").count(), TRIGRAMS - 1);
    }
}
