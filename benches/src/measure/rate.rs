//! How often something can be done in a second by some clients at the same time.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Arguments;
use crate::figure::Figure;

/// Gives each session to `work`, which does the thing until the time is over and returns how often.
pub async fn measure<S, F>(
    name: &str,
    detail: &str,
    arguments: &Arguments,
    sessions: Vec<S>,
    work: impl Fn(S, Instant) -> F,
) -> anyhow::Result<Figure>
where
    F: Future<Output = anyhow::Result<u64>> + Send + 'static,
{
    let clients = sessions.len();
    let begun = Instant::now();
    let end = begun + Duration::from_secs(arguments.seconds);
    let mut running = JoinSet::new();
    for session in sessions {
        running.spawn(work(session, end));
    }
    let mut done = 0;
    while let Some(times) = running.join_next().await {
        done += times??;
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    let detail = format!("{detail}, {clients} clients");
    Ok(Figure::new(name, rate, "/s", detail))
}
