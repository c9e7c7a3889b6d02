//! What a backend counts of its store and of its part in the murder.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use murder_net::limits::ConnectionLimits;
use murder_net::metrics::{Counter, Family, Gauge, Metrics};

use crate::partitions::Partitions;

/// Labelled with a partition's name.
pub(crate) type OfPartition = [(&'static str, String); 1];

/// The node's own counters.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    /// Names that another mailbox of the murder has.
    pub conflicts: Gauge,
    /// Mailboxes that a reconciliation found to differ from the master's records.
    pub differences: Counter,
    /// Free bytes of each partition's file system.
    pub free_bytes: Family<OfPartition, Gauge>,
    /// 1 for a partition that is open.
    pub open: Family<OfPartition, Gauge>,
    /// Mailboxes that the master has in a partition and that are not there.
    pub withheld: Family<OfPartition, Gauge>,
    /// 1 for a partition that takes changes.
    pub writable: Family<OfPartition, Gauge>,
    /// Homes that refuse everything, as they are damaged or missing.
    pub damaged_homes: Family<OfPartition, Gauge>,
    /// Files of the journal that are damaged or missing, with bodies in them.
    pub damaged_files: Family<OfPartition, Gauge>,
    /// Allocated for journal segments.
    pub journal_size: Family<OfPartition, Gauge>,
    /// Allocated for files of large bodies.
    pub large_bodies: Family<OfPartition, Gauge>,
    /// Allocated for the homes' databases.
    pub homes_size: Family<OfPartition, Gauge>,
    /// Allocated for full-text indexes.
    pub index_size: Family<OfPartition, Gauge>,
    /// Allocated for everything else.
    pub other_size: Family<OfPartition, Gauge>,
    /// Bodies that homes refer to.
    pub living: Family<OfPartition, Gauge>,
    /// Bodies of what can be restored.
    pub kept: Family<OfPartition, Gauge>,
    /// What of segments and files of bodies is of no use.
    pub garbage: Family<OfPartition, Gauge>,
}

impl Counters {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            conflicts: metrics.gauge(
                "reconcile_conflicts",
                "Mailbox names that another mailbox of the murder has",
            ),
            differences: metrics.counter(
                "reconcile_differences",
                "Mailboxes that differed from the master's records",
            ),
            free_bytes: metrics.gauges(
                "partition_free_bytes",
                "Free bytes of the partition's file system",
            ),
            open: metrics.gauges("partition_open", "Whether the partition is open"),
            withheld: metrics.gauges(
                "reconcile_withheld",
                "Mailboxes that the master has in the partition and that are not there",
            ),
            writable: metrics.gauges("partition_writable", "Whether the partition takes changes"),
            damaged_homes: metrics.gauges(
                "partition_damaged_homes",
                "Homes that are damaged or missing",
            ),
            damaged_files: metrics.gauges(
                "partition_damaged_files",
                "Files of the journal that are damaged or missing, with bodies in them",
            ),
            journal_size: metrics.gauges(
                "partition_journal_bytes",
                "Bytes allocated for journal segments",
            ),
            large_bodies: metrics.gauges(
                "partition_large_body_bytes",
                "Bytes allocated for files of large bodies",
            ),
            homes_size: metrics.gauges(
                "partition_home_bytes",
                "Bytes allocated for the databases of homes",
            ),
            index_size: metrics.gauges(
                "partition_index_bytes",
                "Bytes allocated for full-text indexes",
            ),
            other_size: metrics.gauges(
                "partition_other_bytes",
                "Bytes allocated for everything else",
            ),
            living: metrics.gauges(
                "partition_living_bytes",
                "Bytes of bodies that homes refer to",
            ),
            kept: metrics.gauges(
                "partition_kept_bytes",
                "Bytes of bodies of what was expunged or deleted and can be restored",
            ),
            garbage: metrics.gauges(
                "partition_garbage_bytes",
                "Bytes of segments and files of bodies that no home refers to",
            ),
        }
    }
}

/// Registers the open connections of a protocol.
pub(crate) fn connections(metrics: &Metrics, protocol: &str, limits: &ConnectionLimits) {
    let limits = limits.clone();
    metrics.gauge_from(
        &format!("{protocol}_connections"),
        "Open connections",
        move || i64::try_from(limits.open()).unwrap_or(i64::MAX),
    );
}

/// Registers the store's counters, summed over the partitions.
pub(crate) fn store(metrics: &Metrics, partitions: &Arc<Partitions>) {
    // Weak, so that whoever still renders metrics does not keep a partition open.
    let all: Weak<Partitions> = Arc::downgrade(partitions);
    let counter = |name: &str, help: &str, of: fn(&murder_store::Metrics) -> &AtomicU64| {
        let all = all.clone();
        metrics.counter_from(name, help, move || {
            let open = all.upgrade().map(|all| all.open()).unwrap_or_default();
            open.iter()
                .map(|partition| murder_store::Metrics::get(of(partition.metrics())))
                .sum()
        });
    };
    counter("journal_batches", "Group commits", |m| &m.batches);
    counter("journal_fsyncs", "Calls of fdatasync on the journal", |m| {
        &m.fsyncs
    });
    counter("journal_records", "Records written to the journal", |m| {
        &m.records
    });
    counter("journal_bytes", "Bytes written to the journal", |m| {
        &m.journal_bytes
    });
    counter(
        "staged_bytes",
        "Bytes of bodies in files of their own",
        |m| &m.staged_bytes,
    );
    counter(
        "disk_full",
        "Batches and large bodies that failed for want of room",
        |m| &m.disk_full,
    );
    counter("checkpoints", "Checkpoints", |m| &m.checkpoints);
    counter(
        "replayed_records",
        "Records applied again at the start",
        |m| &m.replayed,
    );
    counter("home_transactions", "Transactions of homes", |m| {
        &m.transactions
    });
    counter("homes_opened", "Homes opened for writing", |m| {
        &m.homes_opened
    });
    counter("views_loaded", "Views built from a home", |m| {
        &m.views_loaded
    });
    counter(
        "indexed_messages",
        "Messages added to full-text indexes",
        |m| &m.indexed,
    );
    counter("segments_dropped", "Files of the journal removed", |m| {
        &m.segments_dropped
    });
    counter(
        "compacted_bodies",
        "Bodies that were written anew to empty their file",
        |m| &m.compacted_bodies,
    );
    counter("compacted_bytes", "Bytes of these bodies", |m| {
        &m.compacted_bytes
    });
    let gauge = |name: &str, help: &str, of: fn((usize, usize)) -> usize| {
        let all = all.clone();
        metrics.gauge_from(name, help, move || {
            let open = all.upgrade().map(|all| all.open()).unwrap_or_default();
            let sum: usize = open.iter().map(|partition| of(partition.counts())).sum();
            i64::try_from(sum).unwrap_or(i64::MAX)
        });
    };
    gauge("homes", "Homes", |(homes, _)| homes);
    gauge("mailboxes", "Mailboxes", |(_, mailboxes)| mailboxes);
}
