//! Structured logs to standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::{LogConfig, LogFormat};

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
    /// The process has a logger already.
    #[error("logging was set up before")]
    Again,
}

/// Whether `log.level` can be understood.
///
/// # Errors
/// [`LogError::Level`] when it cannot.
pub fn check(config: &LogConfig) -> Result<(), LogError> {
    filter(config).map(|_| ())
}

/// Sets up the process's logger. Panics of tasks are logged as errors from then on.
///
/// # Errors
/// [`LogError::Level`] for a level that is none, [`LogError::Again`] at the second call.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let filtered = registry().with(filter(config)?);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
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

/// Filters by level and by module only: a filter that looks at spans would do so each time that a
/// session goes on.
fn filter(config: &LogConfig) -> Result<Targets, LogError> {
    config.level.parse().map_err(
        |error: tracing_subscriber::filter::ParseError| LogError::Level {
            level: config.level.clone(),
            reason: error.to_string(),
        },
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused() {
        let mut config = LogConfig::default();
        check(&config).unwrap();
        config.level = "info,murder_backend=loud".to_owned();
        assert!(
            check(&config)
                .unwrap_err()
                .to_string()
                .contains("log.level")
        );
    }
}
