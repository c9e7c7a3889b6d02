//! Waiting beside something that happens all the time for something that hardly ever does.
//!
//! A session waits for its client, and with each command for the server's drain and for its own
//! patience to end. To poll those, and to make and drop their futures, takes locks that all
//! sessions share; here both are made once a session, and looked at with an atomic load.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A future that is polled again only after it has woken whoever polls this. To be polled by one
/// task at a time; once ready it may be polled again if the future may.
#[derive(Debug)]
pub struct Seldom<F> {
    future: Pin<Box<F>>,
    /// What the future wakes.
    waker: Waker,
    woken: Arc<Woken>,
}

#[derive(Debug)]
struct Woken {
    /// The future has to be polled.
    due: AtomicBool,
    /// Who polls it.
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.due.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Seldom<F> {
    /// Of `future`.
    pub fn new(future: F) -> Self {
        let woken = Arc::new(Woken {
            due: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            future: Box::pin(future),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // Before the look, so that a wake in between is not lost.
        this.woken.task.register(cx.waker());
        if !this.woken.due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = this
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker));
        if polled.is_ready() {
            // Who asks again gets what the future says then, not silence.
            this.woken.due.store(true, Ordering::Release);
        }
        polled
    }
}

/// Ready once a token is cancelled.
pub type Cancelled = Seldom<WaitForCancellationFutureOwned>;

impl Cancelled {
    /// Of `token`.
    #[must_use]
    pub fn of(token: CancellationToken) -> Self {
        Self::new(token.cancelled_owned())
    }
}

/// A timer whose end may be put off at no cost: it is set again only when it goes off early.
#[derive(Debug)]
pub struct Alarm {
    sleep: Seldom<Sleep>,
}

impl Alarm {
    /// One that is not going to go off before `deadline`. Must be made within a tokio runtime.
    #[must_use]
    pub fn new(deadline: Instant) -> Self {
        Self {
            sleep: Seldom::new(sleep_until(deadline)),
        }
    }

    /// Ready at `deadline`.
    pub async fn until(&mut self, deadline: Instant) {
        std::future::poll_fn(|cx| self.poll_until(cx, deadline)).await;
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline < self.sleep.future.deadline() {
            self.set(deadline);
        }
        while Pin::new(&mut self.sleep).poll(cx).is_ready() {
            if deadline <= self.sleep.future.deadline() {
                return Poll::Ready(());
            }
            self.set(deadline);
        }
        Poll::Pending
    }

    fn set(&mut self, deadline: Instant) {
        self.sleep.future.as_mut().reset(deadline);
        self.sleep.woken.due.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;
    use parking_lot::Mutex;

    const TICK: Duration = Duration::from_millis(2);

    /// Counts how often it is polled; never ready.
    struct Counted(Arc<AtomicU32>, Arc<Mutex<Option<Waker>>>);

    impl Future for Counted {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            *self.1.lock() = Some(cx.waker().clone());
            Poll::Pending
        }
    }

    #[test]
    fn it_is_polled_only_when_it_has_woken() {
        let (polls, waker) = (Arc::default(), Arc::default());
        let mut seldom = Seldom::new(Counted(Arc::clone(&polls), Arc::clone(&waker)));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(Pin::new(&mut seldom).poll(&mut cx).is_pending());
        }
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        if let Some(waker) = waker.lock().take() {
            waker.wake();
        }
        for _ in 0..3 {
            assert!(Pin::new(&mut seldom).poll(&mut cx).is_pending());
        }
        assert_eq!(polls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn whoever_waits_last_is_woken() {
        let token = CancellationToken::new();
        let mut cancelled = Cancelled::of(token.clone());
        let mut gone = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut cancelled).poll(&mut gone).is_pending());
        let waits = tokio::spawn(async move {
            (&mut cancelled).await;
            // Again, it is as it was.
            (&mut cancelled).await;
        });
        tokio::task::yield_now().await;
        token.cancel();
        waits.await.ok();
        assert!(token.is_cancelled());
    }

    #[tokio::test]
    async fn an_alarm_can_be_put_off_and_brought_forward() {
        let begun = Instant::now();
        let mut alarm = Alarm::new(begun + TICK);
        for wanted in [10, 3, 30] {
            let until = begun + TICK * wanted;
            // Not waited for to the end.
            tokio::select! {
                biased;
                () = alarm.until(until + 1000 * TICK) => unreachable!("too early"),
                () = tokio::task::yield_now() => {}
            }
            alarm.until(until).await;
            assert!(Instant::now() >= until);
        }
        // Long ago.
        alarm.until(begun).await;
        // It went off; what has been is not counted.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(
            alarm
                .poll_until(&mut cx, begun + 100_000 * TICK)
                .is_pending()
        );
    }
}
