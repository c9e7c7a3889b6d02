//! Structured logs to standard error, and audit events to a file of their own if there is to be
//! one.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::RwLock;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::audit;
use crate::config::{LogConfig, LogFormat, Mistakes};

/// The levels that `log.level` knows, in the order of what they show.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Of modules that are not named in `log.level`, where it names only modules.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// The file for audit events, if there is one; to be opened anew when it was moved away.
static AUDIT: OnceLock<AuditFile> = OnceLock::new();

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is not a filter.
    #[error("`log.level` = `{level}`: {reason}")]
    Level {
        /// What the configuration says.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `log.audit` cannot be written.
    #[error("`log.audit`: {} cannot be opened: {source}", file.display())]
    Audit {
        /// What the configuration says.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process has a logger already.
    #[error("logging was set up before")]
    Again,
}

/// Whether `log.level` can be understood, and `log.audit` be made. Opens nothing: whoever checks may
/// be another user than the node.
pub fn check(config: &LogConfig, mistakes: &mut Mistakes) {
    if let Err(error) = filter(config) {
        mistakes.add("log.level", error.to_string());
    }
    if let Some(folder) = config.audit.as_deref().and_then(Path::parent)
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        let message = format!("`log.audit`: there is no directory {}", folder.display());
        mistakes.add("log.audit", message);
    }
}

/// Sets up the process's logger. Panics of tasks are logged as errors from then on.
///
/// # Errors
/// [`LogError::Level`] for a level that is none, [`LogError::Audit`], [`LogError::Again`] at the
/// second call.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let filtered = registry().with(filter(config)?);
    let audit = match &config.audit {
        None => None,
        Some(file) => {
            let opened = AuditFile::open(file).map_err(|source| LogError::Audit {
                file: file.clone(),
                source,
            })?;
            Some(AUDIT.get_or_init(|| opened))
        }
    };
    let lines = fmt::layer()
        .with_ansi(audit.is_none() && io::stderr().is_terminal())
        .with_writer(Output { audit });
    match config.format {
        LogFormat::Text => filtered.with(lines).try_init(),
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LogError::Again)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(place, %backtrace, "panic: {}", panic.payload_as_str().unwrap_or("?"));
    }));
    Ok(())
}

/// Opens the file for audit events anew, if there is one: whoever rotates logs has moved it away.
///
/// # Errors
/// Why it cannot be opened; the former one stays.
pub fn reopen() -> io::Result<()> {
    AUDIT.get().map_or(Ok(()), AuditFile::reopen)
}

/// Filters by level and by module only: a filter that looks at spans would do so each time that a
/// session goes on.
fn filter(config: &LogConfig) -> Result<Targets, LogError> {
    let mut filter = Targets::new()
        .with_default(DEFAULT)
        .with_target(audit::TARGET, LevelFilter::INFO);
    for directive in config.level.split(',').map(str::trim) {
        let read = match directive.split_once('=') {
            None => level(directive).map(|level| filter.clone().with_default(level)),
            Some((module, of_module)) => level(of_module.trim())
                .and_then(|level| Ok(filter.clone().with_target(checked(module.trim())?, level))),
        };
        filter = read.map_err(|reason| LogError::Level {
            level: config.level.clone(),
            reason,
        })?;
    }
    Ok(filter)
}

fn level(text: &str) -> Result<LevelFilter, String> {
    match LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level)) {
        true => text.parse().map_err(|_| format!("`{text}` is no level")),
        // Taken for a module's name, it would silence everything else.
        false => Err(format!(
            "`{text}` is no level; the levels are `{}`",
            LEVELS.join("`, `")
        )),
    }
}

/// A module's name, as `murder_backend::imap`.
fn checked(module: &str) -> Result<String, String> {
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_path = module
        .split("::")
        .all(|word| !word.is_empty() && word.bytes().all(in_word));
    match is_path {
        true => Ok(module.to_owned()),
        false => Err(format!("`{module}` is no name of a module")),
    }
}

#[derive(Debug)]
struct AuditFile {
    path: PathBuf,
    file: RwLock<File>,
}

impl AuditFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: RwLock::new(append_to(path)?),
        })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        *self.file.write() = file;
        Ok(())
    }
}

/// Names and addresses are in it: it is not for everybody.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).open(path)
}

/// Where a line goes: by its target.
struct Output {
    audit: Option<&'static AuditFile>,
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(None)
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line {
        Line(self.audit.filter(|_| of.target() == audit::TARGET))
    }
}

/// One line, to the file or to standard error. It comes in one piece.
struct Line(Option<&'static AuditFile>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.0 {
            Some(audit) => (&*audit.file.read()).write(line),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tracing::Level;

    use super::*;

    fn config(level: &str) -> LogConfig {
        LogConfig {
            level: level.to_owned(),
            ..LogConfig::default()
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for (level, said) in [
            ("info,murder_backend=loud", "`loud` is no level"),
            ("inof", "`inof` is no level"),
            ("", "`` is no level"),
            ("info,", "`` is no level"),
            ("murder_backend", "`murder_backend` is no level"),
            ("3", "`3` is no level"),
            ("info,murder backend=debug", "no name of a module"),
            ("info,=debug", "no name of a module"),
        ] {
            let error = Mistakes::of(|m| check(&config(level), m))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("log.level") && error.contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn an_audit_file_needs_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("info");
        config.audit = Some(folder.path().join("audit.log"));
        Mistakes::of(|m| check(&config, m)).unwrap();
        assert!(!folder.path().join("audit.log").exists());
        config.audit = Some(folder.path().join("away/audit.log"));
        Mistakes::of(|m| check(&config, m)).unwrap_err();
    }

    #[test]
    fn what_is_shown() {
        let shows = |level: &str, target: &str, of: Level| {
            filter(&config(level)).unwrap().would_enable(target, &of)
        };
        assert!(shows("info", "murder_backend", Level::INFO));
        assert!(!shows("info", "murder_backend", Level::DEBUG));
        assert!(shows(
            "WARN, murder_net=trace",
            "murder_net::http",
            Level::TRACE
        ));
        assert!(!shows(
            "WARN, murder_net=trace",
            "murder_backend",
            Level::INFO
        ));
        // What is not named is as by default.
        assert!(shows("murder_net=debug", "murder_backend", Level::INFO));
        // Audit events are there whatever is shown, unless they are meant.
        assert!(shows("off", audit::TARGET, Level::INFO));
        assert!(!shows("info,audit=off", audit::TARGET, Level::INFO));
    }

    #[test]
    fn the_audit_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = AuditFile::open(&path).unwrap();
        let audit: &'static AuditFile = Box::leak(Box::new(audit));
        Line(Some(audit)).write_all(b"one\n").unwrap();
        let moved = folder.path().join("audit.log.1");
        std::fs::rename(&path, &moved).unwrap();
        Line(Some(audit)).write_all(b"two\n").unwrap();
        audit.reopen().unwrap();
        Line(Some(audit)).write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }
}
