//! One load on one server for some seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::load::Load;
use super::server::Server;
use super::{Arguments, cpu};

/// Nothing takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came out.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Operations a second.
    pub rate: f64,
    /// Milliseconds of all the server's processes for one.
    pub cpu: f64,
}

/// What the clients have done.
#[derive(Debug, Default)]
struct Done {
    count: AtomicU64,
    /// Told of each.
    told: Notify,
    stop: AtomicBool,
}

/// Measures. The clients are logged in and at work when the time begins, and still so when it ends;
/// it begins and ends when one of them has done its operation, so a slow one is counted whole.
pub async fn measure(load: Load, server: &Server, arguments: &Arguments) -> anyhow::Result<Sample> {
    let done = Arc::new(Done::default());
    let mut clients = Vec::new();
    for number in 0..load.clients(arguments) {
        clients.push(load.client(server, number, arguments).await?);
    }
    let mut running = JoinSet::new();
    for mut client in clients {
        let done = Arc::clone(&done);
        running.spawn(async move {
            while !done.stop.load(Ordering::Relaxed) {
                let count = client.once().await?;
                done.count.fetch_add(count, Ordering::Relaxed);
                done.told.notify_waiters();
            }
            anyhow::Ok(())
        });
    }
    let warm = Duration::from_secs_f64(arguments.warm);
    let begun = look(&done, server, warm, &mut running).await?;
    let time = Duration::from_secs_f64(arguments.seconds);
    let ended = look(&done, server, time, &mut running).await?;
    done.stop.store(true, Ordering::Relaxed);
    while let Some(client) = running.join_next().await {
        client??;
    }
    let count = (ended.count - begun.count) as f64;
    Ok(Sample {
        rate: count / (ended.at - begun.at).as_secs_f64(),
        cpu: (ended.cpu.saturating_sub(begun.cpu)).as_secs_f64() * 1e3 / count,
    })
}

struct Look {
    at: Instant,
    count: u64,
    cpu: Duration,
}

/// After so much time, as soon as something has been done.
async fn look(
    done: &Done,
    server: &Server,
    after: Duration,
    running: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Look> {
    let next = async {
        tokio::time::sleep(after).await;
        done.told.notified().await;
    };
    tokio::select! {
        waited = tokio::time::timeout(after + PATIENCE, next) => {
            waited.context("nothing is ever done")?;
        }
        Some(ended) = running.join_next() => {
            ended??;
            bail!("a client has ended by itself");
        }
    }
    Ok(Look {
        at: Instant::now(),
        count: done.count.load(Ordering::Relaxed),
        cpu: cpu::used(&server.processes)?,
    })
}
