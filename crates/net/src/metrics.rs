//! A role's metrics, in the OpenMetrics text form that Prometheus reads.
//!
//! Names are `murder_<role>_<thing>_<unit>`, in base units (seconds, bytes); counters get
//! `_total`. Labels are bounded: never a user, never a mailbox.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client::encoding as label_encoding;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Bounds, in seconds, for the time that a command or a delivery takes.
pub const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// One of what a gauge counts, such as a session, until it is dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Counts one more.
    #[must_use]
    pub fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A node's metrics, as one of its roles adds to them. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Of all roles.
    registry: Arc<Mutex<Registry>>,
    role: String,
}

impl Metrics {
    /// Those of a node with this role, whose name becomes part of each metric's; with what is known
    /// of the process already in it.
    #[must_use]
    pub fn new(role: &str) -> Self {
        Self::default().of(role)
    }

    /// The same for another of the node's roles.
    #[must_use]
    pub fn of(&self, role: &str) -> Self {
        let metrics = Self {
            registry: Arc::clone(&self.registry),
            role: role.to_owned(),
        };
        metrics.gauge_from(
            "process_resident_bytes",
            "Memory of the process in RAM",
            || resident_bytes().unwrap_or(0),
        );
        metrics.gauge_from("process_open_files", "Open file descriptors", || {
            open_files().unwrap_or(0)
        });
        metrics
    }

    /// A counter: `murder_<role>_<name>_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// A gauge: `murder_<role>_<name>`.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// A histogram with upper `bounds`, such as [`SECONDS`].
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.register(name, help, Histogram::new(bounds.iter().copied()))
    }

    /// Counters that differ in labels, such as `[("command", "fetch")]`.
    #[must_use]
    pub fn counters<L: Labels>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.register(name, help, Family::default())
    }

    /// Gauges that differ in labels.
    #[must_use]
    pub fn gauges<L: Labels>(&self, name: &str, help: &str) -> Family<L, Gauge> {
        self.register(name, help, Family::default())
    }

    /// Histograms that differ in labels.
    #[must_use]
    pub fn histograms<L: Labels>(
        &self,
        name: &str,
        help: &str,
        bounds: &'static [f64],
    ) -> Family<L, Histogram, Bounds> {
        self.register(name, help, Family::new_with_constructor(Bounds(bounds)))
    }

    /// A counter that is kept elsewhere, asked for at each scrape.
    pub fn counter_from(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let read = move |encoder: DescriptorEncoder<'_>, name: &str, help: &str| {
            encode(encoder, name, help, &ConstCounter::new(read()))
        };
        self.collect(name, help, Box::new(read));
    }

    /// A gauge that is kept elsewhere, asked for at each scrape.
    pub fn gauge_from(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> i64 + Send + Sync + 'static,
    ) {
        let read = move |encoder: DescriptorEncoder<'_>, name: &str, help: &str| {
            encode(encoder, name, help, &ConstGauge::new(read()))
        };
        self.collect(name, help, Box::new(read));
    }

    /// Those of all roles as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()).is_err() {
            tracing::error!("metrics could not be written"); // a String takes everything
        }
        text
    }

    fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let name = self.full_name(name);
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    fn collect(&self, name: &str, help: &str, read: Box<Read>) {
        let name = self.full_name(name);
        self.registry.lock().register_collector(Box::new(Elsewhere {
            name,
            help: format!("{help}."),
            read,
        }));
    }

    fn full_name(&self, name: &str) -> String {
        format!("murder_{}_{name}", self.role)
    }
}

/// What can be labels: a struct with `#[derive(EncodeLabelSet)]`, or an array of pairs.
pub trait Labels:
    EncodeLabelSet + Clone + std::hash::Hash + Eq + fmt::Debug + Send + Sync + 'static
{
}

impl<L> Labels for L where
    L: EncodeLabelSet + Clone + std::hash::Hash + Eq + fmt::Debug + Send + Sync + 'static
{
}

/// Makes the histograms of a family.
#[derive(Debug, Clone, Copy)]
pub struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Read = dyn Fn(DescriptorEncoder<'_>, &str, &str) -> fmt::Result + Send + Sync;

struct Elsewhere {
    name: String,
    help: String,
    read: Box<Read>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Collector for Elsewhere {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.read)(encoder, &self.name, &self.help)
    }
}

fn encode(
    mut encoder: DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_values() {
        let metrics = Metrics::new("backend");
        metrics
            .counter("deliveries", "Messages delivered")
            .inc_by(3);
        metrics.gauge("sessions", "Sessions open").set(7);
        metrics
            .histogram("command_seconds", "Time of a command", &SECONDS)
            .observe(0.002);
        let commands: Family<[(&str, &str); 1], Counter> = metrics.counters("commands", "Commands");
        commands.get_or_create(&[("command", "fetch")]).inc();
        metrics.counter_from("fsyncs", "Calls of fdatasync", || 11);
        metrics.gauge_from("journal_bytes", "Size of the journal", || 12);
        let text = metrics.render();
        for line in [
            "# HELP murder_backend_deliveries Messages delivered.",
            "murder_backend_deliveries_total 3",
            "murder_backend_sessions 7",
            "murder_backend_command_seconds_bucket{le=\"0.0025\"} 1",
            "murder_backend_commands_total{command=\"fetch\"} 1",
            "# TYPE murder_backend_fsyncs counter",
            "murder_backend_fsyncs_total 11",
            "murder_backend_journal_bytes 12",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
        }
        let resident = text
            .lines()
            .find(|line| line.starts_with("murder_backend_process_resident_bytes "));
        assert!(resident.is_some_and(|line| !line.ends_with(" 0")), "{text}");
    }
}
