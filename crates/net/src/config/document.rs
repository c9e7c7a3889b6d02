//! A TOML text: read as a type, with all that keeps it from that, and with the places of its keys.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::error::PlacedMistake;
use super::mistakes::{Mistake, Mistakes, is_at_or_below};

/// Below this likeness (0 to 1) a valid key is not offered for a mistyped one.
const LIKENESS: f64 = 0.45;

/// What one reader of a text has found wrong in it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Keys that the reader does not know.
    unknown: Vec<Unknown>,
    wrong: Vec<PlacedMistake>,
}

/// A key that a reader does not know.
#[derive(Debug)]
struct Unknown {
    /// Dotted, as it is in the text.
    key: String,
    place: (usize, usize),
    /// The keys that the reader knows there.
    valid: Vec<String>,
}

/// Reads a `T`, and checks it. A key that is unknown, or whose value does not fit, is noted and passed
/// over, so that the next one is found, too.
///
/// The keys in the table `own` stand for those at top level; the tables of `others` are not known.
pub(super) fn read<T: DeserializeOwned>(
    text: &str,
    own: Option<&str>,
    others: &[&str],
    check: impl FnOnce(&T, &mut Mistakes),
) -> (Option<T>, Reading) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading::default();
    if !errors.is_empty() {
        reading.wrong = errors.iter().map(|e| mistake(text, e, None)).collect();
        return (None, reading);
    }
    let mut left = table.clone();
    for other in others {
        if let Some((key, _)) = left.get_mut().remove_entry(*other) {
            let at = place(text, key.span().start);
            reading.note_unknown((*other).to_owned(), at, Vec::new());
        }
    }
    if let Some(own) = own {
        overlay(left.get_mut(), own);
    }
    let merged = left.clone();
    let mut passed_over = Vec::new();
    let config = loop {
        let error = match T::deserialize(toml::Deserializer::from(left.clone())) {
            Ok(config) => break config,
            Err(error) => error,
        };
        let mut path = Vec::new();
        let at = error.span().map_or(0, |span| span.start);
        let known = error.span().is_some() && find(left.get_ref(), at, &mut path);
        let mut written = Vec::new();
        find(table.get_ref(), at, &mut written);
        let key = known.then(|| written.join("."));
        match (key, unknown_field(error.message())) {
            (Some(key), Some(valid)) => reading.note_unknown(key, place(text, at), valid),
            (key, _) => reading.wrong.push(mistake(text, &error, key.as_deref())),
        }
        if !known || error.message().starts_with("missing field") {
            return (None, reading);
        }
        remove(left.get_mut(), &path);
        passed_over.push(path.join("."));
    };
    reading.note_mistakes(text, merged.get_ref(), &passed_over, |mistakes| {
        check(&config, mistakes);
    });
    (Some(config), reading)
}

/// Checks what is in no reader's part.
pub(super) fn check(text: &str, check: impl FnOnce(&mut Mistakes)) -> Vec<PlacedMistake> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut reading = Reading::default();
    reading.note_mistakes(text, table.get_ref(), &[], check);
    reading.wrong
}

impl Reading {
    fn note_unknown(&mut self, key: String, place: (usize, usize), valid: Vec<String>) {
        self.unknown.push(Unknown { key, place, valid });
    }

    /// Notes what a check says, but not of keys that were passed over, which is not meant.
    fn note_mistakes(
        &mut self,
        text: &str,
        table: &DeTable<'_>,
        passed_over: &[String],
        check: impl FnOnce(&mut Mistakes),
    ) {
        let mut mistakes = Mistakes::default();
        check(&mut mistakes);
        for Mistake { key, message } in mistakes.into_inner() {
            let of_it = |other: &String| is_at_or_below(other, &key) || is_at_or_below(&key, other);
            if !passed_over.iter().any(of_it) {
                let place = span_of(table, &key).map(|span| place(text, span.start));
                self.wrong.push(PlacedMistake { place, message });
            }
        }
    }

    fn knows(&self, key: &str) -> bool {
        !self.unknown.iter().any(|it| is_at_or_below(key, &it.key))
    }
}

/// All that is wrong with a text that these have read: a key is unknown when none of them knows it.
pub(super) fn mistakes(readings: Vec<Reading>) -> Vec<PlacedMistake> {
    let mut found = Vec::new();
    for unknown in readings.iter().flat_map(|reading| &reading.unknown) {
        if readings.iter().any(|reading| reading.knows(&unknown.key)) {
            continue;
        }
        let all = readings.iter().flat_map(|reading| &reading.unknown);
        let same = all.filter(|other| other.key == unknown.key);
        let mut valid: Vec<&str> = Vec::new();
        for key in same.flat_map(|other| &other.valid) {
            if !valid.contains(&key.as_str()) {
                valid.push(key);
            }
        }
        found.push(PlacedMistake {
            place: Some(unknown.place),
            message: unknown_key(&unknown.key, &valid),
        });
    }
    found.extend(readings.into_iter().flat_map(|reading| reading.wrong));
    found
}

/// Puts the keys of one of the tables in the place of those at top level.
fn overlay(table: &mut DeTable<'_>, own: &str) {
    let Some((key, value)) = table.remove_entry(own) else {
        return;
    };
    let over = match value.get_ref() {
        DeValue::Table(over) => over.clone(),
        _ => {
            table.insert(key, value);
            return;
        }
    };
    for (section, value) in over {
        match (table.get_mut(section.get_ref().as_ref()), value.get_ref()) {
            (Some(below), DeValue::Table(above)) if below.get_ref().is_table() => {
                if let DeValue::Table(below) = below.get_mut() {
                    for (key, value) in above.clone() {
                        below.remove(key.get_ref().as_ref());
                        below.insert(key, value);
                    }
                }
            }
            _ => {
                table.remove(section.get_ref().as_ref());
                table.insert(section, value);
            }
        }
    }
}

fn mistake(text: &str, error: &Error, key: Option<&str>) -> PlacedMistake {
    let start = error.span().map_or(0, |span| span.start);
    let message = one_line(error.message());
    PlacedMistake {
        place: Some(place(text, start)),
        message: match key {
            Some(key) => format!("`{key}`: {message}"),
            None => message,
        },
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// Where a dotted key is, or the table that it would be in.
fn span_of(mut table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
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

/// The keys that are valid, when a reader says that one is not.
fn unknown_field(reader: &str) -> Option<Vec<String>> {
    let quoted = reader.split('`').skip(1).step_by(2).map(str::to_owned);
    reader
        .starts_with("unknown field")
        .then(|| quoted.skip(1).collect())
}

fn unknown_key(key: &str, valid: &[&str]) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    match nearest(name, valid) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None if valid.is_empty() => format!("unknown key `{key}`; no key is valid here"),
        None => format!(
            "unknown key `{key}`; the keys here are `{}`",
            valid.join("`, `")
        ),
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
