//! What a frontend counts: `murder_frontend_…`.

use std::sync::Weak;

use murder_net::Metrics;
use murder_net::metrics::{Counter, Family, Gauge};

use crate::shared::Shared;

/// The counters that sessions turn.
pub(crate) struct FrontendMetrics {
    /// IMAP sessions open.
    pub sessions: Gauge,
    /// LMTP sessions open.
    pub lmtp_sessions: Gauge,
    /// Logins that succeeded.
    pub logins: Counter,
    /// Logins that did not.
    pub logins_failed: Counter,
    /// Commands of IMAP clients.
    pub commands: Counter,
    /// Recipients by what became of them: `delivered`, `refused` for good or `deferred`.
    pub recipients: Family<[(&'static str, &'static str); 1], Counter>,
}

impl FrontendMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            sessions: metrics.gauge("imap_sessions", "IMAP sessions open"),
            lmtp_sessions: metrics.gauge("lmtp_sessions", "LMTP sessions open"),
            logins: metrics.counter("logins", "Logins"),
            logins_failed: metrics.counter("logins_failed", "Logins refused"),
            commands: metrics.counter("imap_commands", "Commands of IMAP clients"),
            recipients: metrics.counters(
                "lmtp_recipients",
                "Recipients of messages by what became of them",
            ),
        }
    }

    /// Counts a recipient by the first digit of the reply.
    pub(crate) fn recipient(&self, code: u16) {
        let result = match code / 100 {
            2 => "delivered",
            5 => "refused",
            _ => "deferred",
        };
        self.recipients.get_or_create(&[("result", result)]).inc();
    }
}

/// Registers what is kept elsewhere.
pub(crate) fn of_shared(metrics: &Metrics, shared: Weak<Shared>) {
    let gauge = |name: &str, help: &str, read: fn(&Shared) -> u64| {
        let shared = shared.clone();
        metrics.gauge_from(name, help, move || {
            let value = shared.upgrade().map_or(0, |shared| read(&shared));
            i64::try_from(value).unwrap_or(i64::MAX)
        });
    };
    gauge("mailboxes", "Mailboxes in the map", |s| {
        s.router.replica().read().map.len() as u64
    });
    gauge("accounts", "Accounts known", |s| {
        s.router.replica().read().accounts.len() as u64
    });
    gauge(
        "map_revision",
        "The master's revision that the map has",
        |s| s.router.replica().revision(),
    );
    gauge("map_connected", "Whether the map follows the master", |s| {
        s.router.replica().connected().into()
    });
    gauge(
        "map_age_seconds",
        "Time since the master last said anything",
        |s| s.router.replica().age().map_or(0, |age| age.as_secs()),
    );
    gauge(
        "backend_connections_unused",
        "IMAP connections to backends that wait to be used again",
        |s| s.pool.len() as u64,
    );
    let counter = |name: &str, help: &str, read: fn(&Shared) -> u64| {
        let shared = shared.clone();
        metrics.counter_from(name, help, move || {
            shared.upgrade().map_or(0, |shared| read(&shared))
        });
    };
    counter("map_snapshots", "Full snapshots of the map", |s| {
        s.router.replica().counters().snapshots
    });
    counter("map_resumes", "Resumptions without a snapshot", |s| {
        s.router.replica().counters().resumes
    });
    counter("barriers", "Barriers asked of the master", |s| {
        s.router.replica().counters().barriers
    });
}
