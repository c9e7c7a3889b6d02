//! What the IMAP server counts.

use murder_net::Metrics;
use murder_net::metrics::{Counted, Counter, Family, Gauge};

/// The IMAP server's counters, registered once a node.
#[derive(Debug, Clone)]
pub(crate) struct ImapMetrics {
    /// Logins that succeeded, those that frontends vouched for included.
    pub logins: Counter,
    /// Logins that failed.
    pub failed_logins: Counter,
    sessions: Gauge,
    commands: Family<[(&'static str, &'static str); 1], Counter>,
}

impl ImapMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            logins: metrics.counter("imap_logins", "IMAP logins that succeeded"),
            failed_logins: metrics.counter("imap_failed_logins", "IMAP logins that failed"),
            sessions: metrics.gauge("imap_sessions", "Open IMAP sessions"),
            commands: metrics.counters("imap_commands", "IMAP commands, by name"),
        }
    }

    /// Counts a command; `name` is one that the parser knows.
    pub(crate) fn command(&self, name: &'static str) {
        self.commands.get_or_create(&[("command", name)]).inc();
    }

    /// Counts a session until the result is dropped.
    pub(crate) fn open_session(&self) -> Counted {
        Counted::one(&self.sessions)
    }
}
