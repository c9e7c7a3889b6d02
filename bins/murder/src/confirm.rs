//! Asking before something that cannot be undone.

use std::io::{BufRead, Write};

use anyhow::bail;

/// The flag of every command that asks.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Confirmation {
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
}

impl Confirmation {
    /// Asks on standard error, unless it is agreed already.
    ///
    /// # Errors
    /// When the answer on standard input is not `yes`.
    pub fn ask(self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let mut error = std::io::stderr().lock();
        write!(error, "{question}\nType `yes` to go on: ")?;
        error.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            bail!("not confirmed, nothing was done (`--yes` goes without asking)");
        }
        Ok(())
    }
}
