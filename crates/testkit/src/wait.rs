//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep, timeout};

/// After which a wait has failed. Nothing takes nearly as long, also on a machine that does much
/// else.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(2);

/// Waits until `condition` gives something.
///
/// # Errors
/// When it does not within [`DEADLINE`]; `what` says what was waited for.
pub async fn wait_until<T>(
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return Ok(found);
        }
        if begun.elapsed() > DEADLINE {
            bail!("not within {DEADLINE:?}: {what}");
        }
        sleep(POLL).await;
    }
}

/// Waits for `work`.
///
/// # Errors
/// Its own, or that it took longer than [`DEADLINE`].
pub async fn within<T>(
    what: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    timeout(DEADLINE, work)
        .await
        .with_context(|| format!("not within {DEADLINE:?}: {what}"))?
}
