//! Turns the TOML reader's errors into ones that an operator can act on.

use std::io;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Below this likeness (0 to 1) a valid key is not offered for a mistyped one.
const LIKENESS: f64 = 0.45;

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's text is wrong at a place.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong, with the nearest valid key where a key is unknown.
        message: String,
    },
    /// The values do not fit together, or name something that is not there.
    #[error("{}: {message}", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    pub(super) fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..start).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count() + 1;
        let key = error.span().and_then(|span| key_at(text, span.start));
        let message = message(&one_line(error.message()), key.as_deref());
        Self::Invalid {
            file: file.to_owned(),
            line,
            column,
            message,
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

/// The dotted key whose name or value is at byte `at`, when the text is TOML at all.
fn key_at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let mut path = Vec::new();
    find(table.get_ref(), at, &mut path).then(|| path.join("."))
}

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
