//! Writing files whole, and showing tables.

use std::io::Write;
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

/// Prints JSON for programs.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under headings, in columns.
pub fn print_table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    print!("{}", table(headings, rows));
}

fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let widths: Vec<usize> = (0..N)
        .map(|at| all().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
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
        assert_eq!(
            table(["node", "state"], &rows),
            "node      state\nbe1       up\nbackend2\n"
        );
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
