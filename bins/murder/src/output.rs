//! Writing files whole, and answering on standard output.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

/// The most of a log that [`tail`] looks at.
const TAIL_BYTES: usize = 64 * 1024;

/// Replaces a JSON file, so that readers see the old one or the new one. Only the owner may read
/// it: passwords are in ours.
pub fn write_atomically(file: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let written = || {
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut output = options.open(&fresh)?;
        serde_json::to_writer_pretty(&mut output, content)?;
        output.write_all(b"\n")?;
        std::fs::rename(&fresh, file)
    };
    written().with_context(|| format!("cannot write {}", file.display()))
}

/// The last lines of a log file.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL_BYTES)..]).into_owned();
    let skipped = text.lines().count().saturating_sub(lines);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// Whoever read standard output, such as `head`, has seen enough. Ends a command without a word.
#[derive(Debug)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output")
    }
}

impl std::error::Error for ReaderGone {}

/// Prints a text as it is.
///
/// # Errors
/// [`ReaderGone`], or that standard output cannot be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => written.context("cannot write to standard output"),
    }
}

/// Prints a line.
///
/// # Errors
/// As [`print()`].
pub fn print_line(line: &str) -> anyhow::Result<()> {
    print(&format!("{line}\n"))
}

/// Prints JSON for programs.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

/// Rows in columns under headings. Rows may come in parts: the columns are as wide as the first
/// part needs, wider ones only shift the rest of their row.
#[derive(Debug)]
pub struct Table<const N: usize> {
    headings: Option<[String; N]>,
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    /// An empty one.
    pub fn new(headings: [&str; N]) -> Self {
        Self {
            headings: Some(headings.map(str::to_owned)),
            widths: [0; N],
        }
    }

    /// Prints some rows, the headings first.
    ///
    /// # Errors
    /// As [`print()`].
    pub fn print(&mut self, rows: &[[String; N]]) -> anyhow::Result<()> {
        print(&self.text(rows))
    }

    fn text(&mut self, rows: &[[String; N]]) -> String {
        let headings = self.headings.take();
        let all = || headings.iter().chain(rows);
        if headings.is_some() {
            self.widths = std::array::from_fn(|at| {
                all().map(|row| row[at].chars().count()).max().unwrap_or(0)
            });
        }
        let mut text = String::new();
        for row in all() {
            let cells = row.iter().zip(&self.widths);
            let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["be1".to_owned(), "up".to_owned()],
            ["backend2".to_owned(), String::new()],
        ];
        let mut table = Table::new(["node", "state"]);
        assert_eq!(
            table.text(&rows),
            "node      state\nbe1       up\nbackend2\n"
        );
        let more = [["a-longer-name".to_owned(), "up".to_owned()]];
        assert_eq!(table.text(&more), "a-longer-name  up\n");
        assert_eq!(Table::new(["node", "state"]).text(&[]), "node  state\n");
    }

    #[test]
    fn files_are_replaced_and_logs_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.json");
        write_atomically(&file, &[1]).unwrap();
        write_atomically(&file, &[2]).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(tail(&file, 2), "  2\n]");
        assert_eq!(tail(&dir.path().join("none"), 2), "");
    }
}
