//! Python's own email test data: messages that have troubled a mail library for decades.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Of Debian's `libpython3.11-testsuite`.
const DEBIAN: &str = "/usr/lib/python3.11/test/test_email/data";
/// Finds the installed Python's.
const SCRIPT: &str =
    "import os, test.test_email as t; print(os.path.join(os.path.dirname(t.__file__), 'data'))";

/// The messages by file name, with the line ends that the files have.
///
/// # Errors
/// When no Python here has them: Debian's package is `libpython3.11-testsuite`.
pub fn python_email_data() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folders = installed().into_iter().chain([PathBuf::from(DEBIAN)]);
    for folder in folders {
        let messages = read(&folder)?;
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
    anyhow::bail!("Python's email test data is not installed (libpython3.11-testsuite)")
}

fn installed() -> Option<PathBuf> {
    let output = Command::new("python3").args(["-c", SCRIPT]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let folder = PathBuf::from(text.trim());
    folder.is_absolute().then_some(folder)
}

fn read(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut messages = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("msg_") && name.ends_with(".txt") {
            let file = folder.join(&name);
            let message = std::fs::read(&file).with_context(|| file.display().to_string())?;
            messages.push((name, message));
        }
    }
    messages.sort();
    ensure!(
        messages.is_empty() || messages.len() >= 40,
        "{} is incomplete",
        folder.display()
    );
    Ok(messages)
}
