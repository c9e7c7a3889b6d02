//! What all sessions of a protocol count.

use murder_net::Metrics;
use murder_net::metrics::{Counted, Counter, Family, Gauge};

use crate::Protocol;

/// The counters of a protocol's sessions, registered once per node: `imap_logins`,
/// `imap_failed_logins`, `imap_sessions`, `imap_commands`.
#[derive(Debug, Clone)]
pub struct SessionMetrics {
    /// Logins that succeeded, those that frontends vouched for included.
    pub logins: Counter,
    /// Logins that failed.
    pub failed_logins: Counter,
    sessions: Gauge,
    commands: Family<[(&'static str, &'static str); 1], Counter>,
}

impl SessionMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics, protocol: Protocol) -> Self {
        let named = |what: &str| format!("{}_{what}", protocol.as_str());
        let of = |before: &str, behind: &str| {
            format!("{before}{}{behind}", protocol.as_str().to_uppercase())
        };
        Self {
            logins: metrics.counter(&named("logins"), &of("", " logins that succeeded")),
            failed_logins: metrics.counter(&named("failed_logins"), &of("", " logins that failed")),
            sessions: metrics.gauge(&named("sessions"), &of("Open ", " sessions")),
            commands: metrics.counters(&named("commands"), &of("", " commands, by name")),
        }
    }

    /// Counts a command; `name` is one that the parser knows.
    pub fn command(&self, name: &'static str) {
        self.commands.get_or_create(&[("command", name)]).inc();
    }

    /// Counts a session until the result is dropped.
    #[must_use]
    pub fn open_session(&self) -> Counted {
        Counted::one(&self.sessions)
    }
}
