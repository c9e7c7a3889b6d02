//! Barriers: one call to the master for all who wait.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::Replica;
use crate::client::MupdateClient;
use crate::error::MupdateError;

/// Callers waiting for the next barrier; they wait for a place in the queue after that.
pub(super) const BARRIER_QUEUE: usize = 1024;

/// Calls the master once for all who wait. One who comes while a call is on its way waits
/// for the next: the answer on its way may be older than the caller's wish.
pub(super) async fn ask_barriers(
    replica: Weak<Replica>,
    client: MupdateClient,
    mut waiting: mpsc::Receiver<oneshot::Sender<Result<u64, MupdateError>>>,
) {
    let mut callers = Vec::new();
    while waiting.recv_many(&mut callers, BARRIER_QUEUE).await > 0 {
        // Those who have given up need no call.
        callers.retain(|caller| !caller.is_closed());
        if callers.is_empty() {
            continue;
        }
        if let Some(replica) = replica.upgrade() {
            replica.counters.barriers.fetch_add(1, Ordering::Relaxed);
        }
        let answer = client.barrier().await;
        for caller in callers.drain(..) {
            // One who has given up meanwhile does not care.
            let _ = caller.send(answer.clone());
        }
    }
}
