//! Stopping without cutting anyone off in the middle of a word.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::seldom::Cancelled;

/// Owns the tasks of a role, and stops them in two steps: first it asks (the
/// [`token`](Self::token) is cancelled: listeners stop accepting, sessions say goodbye), then,
/// when the grace is over, it aborts what is left. Clones are the same one.
///
/// Dropping it stops nothing; a role's handle calls [`abort`](Self::abort) in its own `Drop`.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    aborted: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// One that owns nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the drain begins. Sessions `select!` on it.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Runs `task` until it ends, or is aborted at the end of the grace.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(UntilAborted {
            aborted: Cancelled::of(self.aborted.clone()),
            task,
        });
    }

    /// Tasks that are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Asks every task to end, waits up to `grace`, then aborts the rest and waits for that.
    /// Returns how many had to be aborted.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.draining.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        let late = self.tasks.len();
        self.aborted.cancel();
        self.tasks.wait().await;
        late
    }

    /// Ends every task at its next pause.
    pub fn abort(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.aborted.cancel();
    }
}

pin_project! {
    /// A task that ends at the latest when it is aborted.
    struct UntilAborted<F> {
        aborted: Cancelled,
        #[pin]
        task: F,
    }
}

impl<F: Future<Output = ()>> Future for UntilAborted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match Pin::new(this.aborted).poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => this.task.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn polite_tasks_end_by_themselves() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn(async move { token.cancelled().await });
        assert_eq!(shutdown.running(), 1);
        assert_eq!(shutdown.drain(Duration::from_secs(60)).await, 0);
        assert!(shutdown.is_draining());
    }

    #[tokio::test]
    async fn the_others_are_aborted_and_counted() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending());
        let token = shutdown.token();
        shutdown.spawn(async move { token.cancelled().await });
        assert_eq!(shutdown.drain(Duration::from_millis(5)).await, 1);
        assert_eq!(shutdown.running(), 0);
    }

    #[tokio::test]
    async fn abort_needs_no_grace() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending());
        shutdown.abort();
        shutdown.tasks.wait().await;
    }
}
