//! Precomputed items that were read lately, in memory: mailboxes are listed again and again, and
//! reading a row of SQLite for each message costs more than all the rest of it.

use lru::LruCache;
use parking_lot::Mutex;

use crate::items::FetchedItems;

/// Contents have numbers in the order they came in, so neighbours are mostly listed together.
const CHUNK: i64 = 64;
/// Larger items, of messages with thousands of parts, would push out those of many others.
const LARGEST: usize = 32 << 10;

/// What homes have in `content`, which never changes and whose keys are never used again.
#[derive(Debug)]
pub(crate) struct ContentCache {
    kept: Mutex<Kept>,
    limit: usize,
}

#[derive(Debug)]
struct Kept {
    /// By home and number of the chunk.
    chunks: LruCache<(u64, i64), Chunk>,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    items: Box<[Option<FetchedItems>; CHUNK as usize]>,
    bytes: usize,
}

impl Chunk {
    fn new() -> Self {
        Self {
            items: Box::new([const { None }; CHUNK as usize]),
            bytes: size_of::<[Option<FetchedItems>; CHUNK as usize]>(),
        }
    }
}

impl ContentCache {
    /// A cache of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                chunks: LruCache::unbounded(),
                bytes: 0,
            }),
            limit,
        }
    }

    /// What is kept of a home's contents, in the order of `contents`.
    pub fn get(&self, home: u64, contents: &[i64]) -> Vec<Option<FetchedItems>> {
        let mut found = Vec::with_capacity(contents.len());
        let mut kept = self.kept.lock();
        for run in contents.chunk_by(|a, b| chunk(*a) == chunk(*b)) {
            match kept.chunks.get(&(home, chunk(run[0]))) {
                Some(chunk) => found.extend(run.iter().map(|id| chunk.items[slot(*id)].clone())),
                None => found.resize(found.len() + run.len(), None),
            }
        }
        found
    }

    /// Keeps contents of a home, at the cost of those used longest ago.
    pub fn put(&self, home: u64, contents: &[(i64, FetchedItems)]) {
        // Freeing takes its time.
        let mut evicted = Vec::new();
        let mut kept = self.kept.lock();
        let Kept { chunks, bytes } = &mut *kept;
        for (id, items) in contents {
            let memory = items.memory();
            if memory > LARGEST {
                continue;
            }
            let key = (home, chunk(*id));
            if !chunks.contains(&key) {
                let chunk = Chunk::new();
                *bytes += chunk.bytes;
                chunks.put(key, chunk);
            }
            if let Some(chunk) = chunks.get_mut(&key)
                && chunk.items[slot(*id)].replace(items.clone()).is_none()
            {
                chunk.bytes += memory;
                *bytes += memory;
            }
        }
        while *bytes > self.limit
            && let Some((_, chunk)) = chunks.pop_lru()
        {
            *bytes -= chunk.bytes;
            evicted.push(chunk);
        }
        drop(kept);
        drop(evicted);
    }
}

fn chunk(content: i64) -> i64 {
    content.div_euclid(CHUNK)
}

fn slot(content: i64) -> usize {
    content.rem_euclid(CHUNK) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::items::Items;

    fn item(id: i64) -> (i64, FetchedItems) {
        of_length(id, 100)
    }

    fn of_length(id: i64, length: usize) -> (i64, FetchedItems) {
        let raw = format!("Subject: {id}{}\r\n\r\n", "x".repeat(length));
        let items = Items::compute(raw.as_bytes());
        (id, FetchedItems::decode(&items.content).unwrap())
    }

    #[test]
    fn what_was_put_is_found_in_the_order_asked_for() {
        let cache = ContentCache::new(1 << 20);
        cache.put(1, &[item(1), item(64), item(65)]);
        cache.put(2, &[item(1)]);
        let found = cache.get(1, &[65, 2, 64, 1, 1000]);
        let items = |id| Some(item(id).1);
        assert_eq!(found, [items(65), None, items(64), items(1), None]);
        assert_eq!(cache.get(2, &[1, 64]), [items(1), None]);
        assert_eq!(cache.get(3, &[1]), [None]);
        // Two commands that read the same at the same time count it once.
        let before = cache.kept.lock().bytes;
        cache.put(1, &[item(1)]);
        assert_eq!(cache.kept.lock().bytes, before);
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let cache = ContentCache::new(10_000);
        for home in 0..100 {
            cache.put(home, &[of_length(7, 1000)]);
            assert!(cache.kept.lock().bytes <= 10_000);
        }
        assert_eq!(cache.get(0, &[7]), [None]);
        assert!(cache.get(99, &[7])[0].is_some());
        cache.put(5, &[of_length(1, LARGEST)]);
        assert_eq!(cache.get(5, &[1]), [None]);
        let none = ContentCache::new(0);
        none.put(1, &[item(1)]);
        assert_eq!(none.get(1, &[1]), [None]);
    }
}
