//! The memory of a process that does nothing is what it holds, and no more.
//!
//! What is freed goes back to the system only when the allocator (mimalloc) is asked for something
//! later, and where it uses huge pages they are made whole again behind its back. A node that has
//! been busy, or has only hashed a password, would keep some tens of MiB for ever.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

/// How often what is free is given back: seldom enough to cost nothing.
const EVERY: Duration = Duration::from_secs(2);
/// More than mimalloc keeps in a page for further objects of the size: the page goes with the object,
/// and all pages go with it that have been free for a second. Its bytes are never touched.
const LARGE: usize = 1 << 20;

/// From here on the process gets small pages only.
///
/// # Errors
/// When the system does not know of huge pages.
pub(crate) fn without_huge_pages() -> std::io::Result<()> {
    Ok(rustix::thread::disable_transparent_huge_pages(true)?)
}

/// Gives back what is free, now and then.
pub(crate) async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(EVERY).await;
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}
