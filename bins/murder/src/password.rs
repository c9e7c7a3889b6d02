//! Where a command gets a password from.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::arguments::WrongArguments;

/// How a password is given; asked for when it is not.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Arguments {
    /// The password, visible to everyone who can list processes
    #[arg(long, value_name = "P")]
    password: Option<String>,
    /// Read the password from standard input, up to the first line end
    #[arg(long)]
    password_stdin: bool,
}

impl Arguments {
    /// The password's hash.
    ///
    /// # Errors
    /// When no password, or no usable one, is given.
    pub fn hash(&self) -> anyhow::Result<String> {
        Ok(murder_auth::hash_password(&self.read()?)?)
    }

    fn read(&self) -> anyhow::Result<String> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        if self.password_stdin {
            return read_line();
        }
        if !std::io::stdin().is_terminal() {
            bail!(WrongArguments::new(
                "no password: say --password-stdin, or run this in a terminal"
            ));
        }
        let password = ask("Password: ")?;
        ensure!(password == ask("Again: ")?, "the two passwords differ");
        Ok(password)
    }
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// Asks in the terminal, without echo.
fn ask(prompt: &str) -> anyhow::Result<String> {
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal).context("cannot hide the password")?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).context("cannot hide the password")?;
    let line = read_line();
    tcsetattr(&terminal, OptionalActions::Now, &before).context("cannot show input again")?;
    eprintln!();
    line
}
