//! Names for sessions in logs.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// 36^6: the process part has at most six digits.
const PROCESSES: u64 = 36u64.pow(6);

static PROCESS: LazyLock<u64> =
    LazyLock::new(|| RandomState::new().build_hasher().finish() % PROCESSES);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A session's name in logs: `k3f9qz-1a`, a random part of the process and a running number, both
/// in base 36. A frontend passes its own on to backends, so that one name finds all of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId {
    process: u64,
    number: u64,
}

impl SessionId {
    /// The next one of this process.
    #[must_use]
    #[allow(clippy::new_without_default)] // each is another: there is no default one
    pub fn new() -> Self {
        Self {
            process: *PROCESS,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base36(self.process, f)?;
        f.write_str("-")?;
        base36(self.number, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn base36(mut value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0u8; 13]; // 36^13 > 2^64
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize];
        value /= 36;
        if value == 0 {
            break;
        }
    }
    f.write_str(std::str::from_utf8(&digits[start..]).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_short() {
        let (one, two) = (SessionId::new(), SessionId::new());
        assert_ne!(one.to_string(), two.to_string());
        assert!(one.to_string().len() < 20);
        let largest = SessionId {
            process: 35,
            number: u64::MAX,
        };
        assert_eq!(largest.to_string(), "z-3w5e11264sgsf");
    }
}
