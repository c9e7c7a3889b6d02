//! Where a command gets a password from.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::arguments::WrongArguments;

/// The variable by which this program tells itself a password that was among its arguments. Unlike
/// those, nobody else can read it.
pub const VARIABLE: &str = "MURDER_PASSWORD";

/// The option that has a password.
const OPTION: &str = "--password";

/// Everyone can list the arguments of a process: starts this program anew, in the same process,
/// without the password that is among them. Returns when there is none.
///
/// # Errors
/// When it cannot be started.
pub fn hide() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let Some((password, others)) = without_password(arguments) else {
        return Ok(());
    };
    let error = Command::new(std::env::current_exe()?)
        .arg0(name)
        .args(others)
        .env(VARIABLE, password)
        .exec();
    Err(error).context("cannot hide the password")
}

/// The arguments without the password that is among them, if there is one.
fn without_password(
    arguments: impl Iterator<Item = OsString>,
) -> Option<(OsString, Vec<OsString>)> {
    let mut found = None;
    let mut others = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let with_value = argument.as_bytes().strip_prefix(OPTION.as_bytes());
        match with_value {
            // Behind it nothing is an option.
            _ if argument == "--" => {
                others.push(argument);
                others.extend(arguments.by_ref());
            }
            Some(b"") if found.is_none() && arguments.peek().is_some() => found = arguments.next(),
            Some([b'=', password @ ..]) if found.is_none() => {
                found = Some(OsStr::from_bytes(password).to_owned());
            }
            _ => others.push(argument),
        }
    }
    found.map(|password| (password, others))
}

/// How a password is given; asked for when it is not.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Arguments {
    /// The password; in this way it is in your shell's history
    #[arg(long, value_name = "P", env = VARIABLE, hide_env_values = true)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out() {
        let taken = |line: &str| {
            let words = line.split(' ').map(OsString::from);
            without_password(words).map(|(password, others)| {
                let others: Vec<_> = others.iter().map(|word| word.to_string_lossy()).collect();
                format!("{} {}", password.to_string_lossy(), others.join(" "))
            })
        };
        let taken = |line| taken(line).unwrap_or_default();
        assert_eq!(taken("up --password p --detach"), "p up --detach");
        assert_eq!(taken("user add bob --password=p=q"), "p=q user add bob");
        assert_eq!(taken("user add bob --password-stdin"), "");
        // What the command line's own reader refuses.
        assert_eq!(taken("up --password"), "");
        assert_eq!(taken("up --password p --password q"), "p up --password q");
        assert_eq!(taken("user list -- --password p"), "");
    }
}
