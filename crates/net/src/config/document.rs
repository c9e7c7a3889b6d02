//! A TOML text: read as a type, with all that keeps it from that, and with the places of its keys.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::error::PlacedMistake;
use super::mistakes::{Mistake, is_at_or_below};

/// Below this likeness (0 to 1) a valid key is not offered for a mistyped one.
const LIKENESS: f64 = 0.45;

/// A text, and what was found wrong in it.
pub(super) struct Document<'a> {
    text: &'a str,
    table: Spanned<DeTable<'a>>,
    /// Keys that make no sense: they were passed over.
    passed_over: Vec<String>,
    found: Vec<PlacedMistake>,
}

impl<'a> Document<'a> {
    /// Reads a `T`. A key that is unknown, or whose value does not fit, is noted and passed over, so
    /// that the next one is found, too.
    ///
    /// # Errors
    /// What is wrong, where there is no `T`: the text is not TOML, or a key without a default is
    /// missing.
    pub(super) fn read<T: DeserializeOwned>(
        text: &'a str,
    ) -> Result<(T, Self), Vec<PlacedMistake>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            text,
            table,
            passed_over: Vec::new(),
            found: Vec::new(),
        };
        if !errors.is_empty() {
            return Err(errors.iter().map(|e| document.mistake(e, None)).collect());
        }
        let mut left = document.table.clone();
        loop {
            let error = match T::deserialize(toml::Deserializer::from(left.clone())) {
                Ok(config) => return Ok((config, document)),
                Err(error) => error,
            };
            let mut path = Vec::new();
            let at = error.span().map(|span| span.start);
            let known = at.is_some_and(|at| find(left.get_ref(), at, &mut path));
            let key = known.then(|| path.join("."));
            document
                .found
                .push(document.mistake(&error, key.as_deref()));
            match key {
                Some(key) if !error.message().starts_with("missing field") => {
                    remove(left.get_mut(), &path);
                    document.passed_over.push(key);
                }
                _ => return Err(document.found),
            }
        }
    }

    /// Adds what checks have found. What they say of keys that were passed over is not meant.
    pub(super) fn with(mut self, mistakes: Vec<Mistake>) -> Vec<PlacedMistake> {
        for Mistake { key, message } in mistakes {
            let passed_over =
                |other: &String| is_at_or_below(other, &key) || is_at_or_below(&key, other);
            if !self.passed_over.iter().any(passed_over) {
                let place = self.key(&key).map(|span| self.place(span.start));
                self.found.push(PlacedMistake { place, message });
            }
        }
        self.found
    }

    fn mistake(&self, error: &Error, key: Option<&str>) -> PlacedMistake {
        let start = error.span().map_or(0, |span| span.start);
        PlacedMistake {
            place: Some(self.place(start)),
            message: message(&one_line(error.message()), key),
        }
    }

    /// Line and column of a byte, both from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// Where a dotted key is, or the table that it would be in.
    fn key(&self, key: &str) -> Option<Range<usize>> {
        let mut table = self.table.get_ref();
        let mut found = None;
        for part in key.split('.') {
            let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
                break;
            };
            found = Some(name.span());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        found
    }
}

fn remove(table: &mut DeTable<'_>, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    match rest {
        [] => drop(table.remove(first.as_str())),
        rest => {
            if let Some(inner) = table.get_mut(first.as_str())
                && let DeValue::Table(inner) = inner.get_mut()
            {
                remove(inner, rest);
            }
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `key` is the whole dotted key at the error's place.
fn message(reader: &str, key: Option<&str>) -> String {
    let quoted: Vec<&str> = reader.split('`').skip(1).step_by(2).collect();
    if reader.starts_with("unknown field")
        && let Some((unknown, valid)) = quoted.split_first()
    {
        let key = key.unwrap_or(unknown);
        return match nearest(unknown, valid) {
            Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
            None if valid.is_empty() => format!("unknown key `{key}`; no key is valid here"),
            None => format!(
                "unknown key `{key}`; the keys here are `{}`",
                valid.join("`, `")
            ),
        };
    }
    match key {
        Some(key) => format!("`{key}`: {reader}"),
        None => reader.to_owned(),
    }
}

fn nearest<'a>(unknown: &str, valid: &[&'a str]) -> Option<&'a str> {
    valid
        .iter()
        .map(|key| (strsim::normalized_damerau_levenshtein(unknown, key), *key))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

/// The path of the key whose name or value is at byte `at`.
fn find(table: &DeTable<'_>, at: usize, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if key.span().contains(&at) || find_in_value(value, at, path) {
            return true;
        }
        path.pop();
    }
    false
}

fn find_in_value(value: &Spanned<DeValue<'_>>, at: usize, path: &mut Vec<String>) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => find(table, at, path) || value.span().contains(&at),
        DeValue::Array(items) => {
            items.iter().any(|item| find_in_value(item, at, path)) || value.span().contains(&at)
        }
        _ => value.span().contains(&at),
    }
}
