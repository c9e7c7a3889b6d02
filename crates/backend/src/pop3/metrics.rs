//! What the POP3 server counts.

use murder_net::Metrics;
use murder_net::metrics::{Counted, Counter, Family, Gauge};

/// The POP3 server's counters, registered once a node.
#[derive(Debug, Clone)]
pub(crate) struct Pop3Metrics {
    /// Logins that succeeded, those that frontends vouched for included.
    pub logins: Counter,
    /// Logins that failed.
    pub failed_logins: Counter,
    /// Messages that RETR has sent.
    pub retrieved: Counter,
    /// Messages that were removed at QUIT.
    pub deleted: Counter,
    sessions: Gauge,
    commands: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Pop3Metrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            logins: metrics.counter("pop3_logins", "POP3 logins that succeeded"),
            failed_logins: metrics.counter("pop3_failed_logins", "POP3 logins that failed"),
            retrieved: metrics.counter("pop3_retrieved_messages", "Messages sent by RETR"),
            deleted: metrics.counter("pop3_deleted_messages", "Messages removed at QUIT"),
            sessions: metrics.gauge("pop3_sessions", "Open POP3 sessions"),
            commands: metrics.counters("pop3_commands", "POP3 commands, by name"),
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
