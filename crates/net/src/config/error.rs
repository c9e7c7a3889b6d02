//! Why a configuration is not usable, as an operator can act on it.

use std::io;
use std::path::{Path, PathBuf};

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
    /// What is wrong in the file, all of it, in the file's order.
    #[error("{}", in_lines(file, mistakes))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// At least one.
        mistakes: Vec<PlacedMistake>,
    },
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedMistake {
    /// Line and column in characters, both from 1; `None` for what the file lacks.
    pub place: Option<(usize, usize)>,
    /// What is wrong, with the nearest valid key where a key is unknown.
    pub message: String,
}

impl ConfigError {
    /// One thing that is wrong with the file as a whole.
    #[must_use]
    pub fn unfit(file: &Path, message: impl Into<String>) -> Self {
        Self::Wrong {
            file: file.to_owned(),
            mistakes: vec![PlacedMistake {
                place: None,
                message: message.into(),
            }],
        }
    }

    /// With what was found, if anything was.
    pub(super) fn of(file: &Path, mut mistakes: Vec<PlacedMistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            return Ok(());
        }
        mistakes.sort_by_key(|mistake| (mistake.place.is_none(), mistake.place));
        mistakes.dedup();
        Err(Self::Wrong {
            file: file.to_owned(),
            mistakes,
        })
    }
}

fn in_lines(file: &Path, mistakes: &[PlacedMistake]) -> String {
    let file = file.display();
    let lines = mistakes
        .iter()
        .map(|PlacedMistake { place, message }| match place {
            Some((line, column)) => format!("{file}:{line}:{column}: {message}"),
            None => format!("{file}: {message}"),
        });
    lines.collect::<Vec<_>>().join("\n")
}
