//! Work that can wait: a thread of its own, so that it never delays a shard or the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::metrics::Metrics;
use crate::reserve;
use crate::shared::Shared;

/// A partition that changes has a checkpoint at least so often, also where little is written:
/// what is to be purged, and what lives where, is known as of the last one.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);

/// Works at each interval until the partition closes.
pub(super) fn run(shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work(shared)),
        Err(e) => tracing::error!(error = %e, "no maintenance: its runtime could not be made"),
    }
}

async fn work(shared: &Arc<Shared>) {
    let (mut checked, mut records) = (Instant::now(), Metrics::get(&shared.metrics.records));
    while !shared
        .closing_within(shared.config.maintenance_interval)
        .await
    {
        if shared.health.refusal().is_some() {
            continue;
        }
        let config = &shared.config;
        if let Err(e) = reserve::set_aside(&config.path, config.reserve_bytes) {
            tracing::debug!(error = %e, "no room was set aside");
        }
        if checked.elapsed() >= CHECKPOINT_EVERY {
            checked = Instant::now();
            let written = Metrics::get(&shared.metrics.records);
            if std::mem::replace(&mut records, written) != written
                && let Err(e) = shared.checkpoint().await
            {
                tracing::debug!(error = %e, "no checkpoint");
            }
        }
        match shared.purge().await {
            Ok(_) | Err(StoreError::Closed) => {}
            Err(e) => tracing::warn!(error = %e, "purging stopped; it will go on later"),
        }
        match shared.compact(false).await {
            Ok(_) | Err(StoreError::Closed) => {}
            Err(e) => tracing::warn!(error = %e, "compaction stopped; it will go on later"),
        }
    }
}
