//! Work that can wait: a thread of its own, so that it never delays a shard or the journal.

use std::sync::Arc;

use super::Shared;
use crate::error::StoreError;

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
    while !shared
        .closing_within(shared.config.maintenance_interval)
        .await
    {
        if shared.health.refusal().is_some() {
            continue;
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
