//! What failed logins cost whoever makes them.
//!
//! Failures are counted by address and by account name, whether there is such an account or not,
//! and count half after a while. Beyond the first few the next login of that address, or at that
//! account, waits, twice as long with each; an address with too many is blocked for a while, here
//! at once, and on the other nodes when the master has told them.
//!
//! Whoever guesses at an account must not keep its owner out: an address that has lately logged in
//! to the account waits for nothing but its own failures there.
//!
//! Everything is bounded: the tables have so many entries, and of several logins that would wait
//! for the same address or account only a few do, the others are refused.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::turns::Class;
use crate::{Directory, LoginConfig, bounded, client_network};

/// Entries of each table; some 100 bytes each. Who fails with so many names or from so many
/// addresses that others are forgotten has paid for each.
const ENTRIES: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
/// How long an address that has logged in is known.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Logins that wait at the same time because of one address or account. At the longest delay this
/// is what all guessers together have at one account of one node.
const MAX_WAITING: u16 = 10;
/// Blocks that the master has not been told yet; more are known here only.
const UNTOLD: usize = 256;

/// An address that is to be blocked on all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// The address, as [`client_network`] says.
    pub network: IpNet,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
}

/// Who has blocked an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// An operator: nobody gets in.
    ByOperator,
    /// A node, for failed logins, for a while: who is known gets in.
    ByNode,
}

/// What a login has to do before its password is looked at.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nothing, and it comes first.
    Known,
    /// Wait; by address it then has its turn.
    Stranger(Duration),
    /// Go away.
    Refused,
}

/// A login: from where, and at which account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    network: IpNet,
    /// Whether the address's failures count.
    trusted: bool,
    account: u64,
    operator_blocks: bool,
}

pub(crate) struct Guard {
    config: LoginConfig,
    /// What the first failures cost.
    delay: Duration,
    directory: Arc<dyn Directory>,
    hasher: RandomState,
    tables: Mutex<Tables>,
    untold: mpsc::Sender<NewBlock>,
}

struct Tables {
    addresses: LruCache<IpNet, Failures>,
    /// By a keyed hash of the name, which a client can make as long as it likes.
    accounts: LruCache<u64, Failures>,
    /// Failures since the last success, and until when that counts.
    known: LruCache<(IpNet, u64), Known>,
    /// Addresses from which somebody is known.
    good: LruCache<IpNet, Instant>,
    blocked: LruCache<IpNet, Instant>,
}

struct Known {
    until: Instant,
    failures: u32,
}

struct Failures {
    weight: f32,
    since: Instant,
    waiting: u16,
}

impl Failures {
    fn none() -> Self {
        Self {
            weight: 0.0,
            since: Instant::now(),
            waiting: 0,
        }
    }

    /// How much they weigh now.
    fn weight(&self, half_life: Duration) -> f32 {
        let half_lives = self.since.elapsed().as_secs_f32() / half_life.as_secs_f32();
        self.weight * 0.5_f32.powf(half_lives)
    }

    fn add(&mut self, half_life: Duration) -> f32 {
        self.weight = self.weight(half_life) + 1.0;
        self.since = Instant::now();
        self.weight
    }
}

impl Guard {
    pub(crate) fn new(
        config: LoginConfig,
        delay: Duration,
        directory: Arc<dyn Directory>,
    ) -> (Self, mpsc::Receiver<NewBlock>) {
        let (untold, receiver) = mpsc::channel(UNTOLD);
        let guard = Self {
            config,
            delay,
            directory,
            hasher: RandomState::new(),
            tables: Mutex::new(Tables {
                addresses: bounded(ENTRIES),
                accounts: bounded(ENTRIES),
                known: bounded(ENTRIES),
                good: bounded(ENTRIES),
                blocked: bounded(ENTRIES),
            }),
            untold,
        };
        (guard, receiver)
    }

    fn half_life(&self) -> Duration {
        Duration::from_secs(self.config.half_life_seconds.max(1))
    }

    fn is_trusted(&self, network: &IpNet) -> bool {
        let address = network.addr();
        self.config.trusted.iter().any(|t| t.contains(&address))
    }

    /// A login from `address` with this name, which may be nobody's.
    pub(crate) fn attempt(&self, address: IpAddr, name: &str) -> Attempt {
        let network = client_network(address);
        Attempt {
            network,
            trusted: self.is_trusted(&network),
            account: self.hasher.hash_one(name),
            operator_blocks: self.directory.blocked(address) == Some(Blocked::ByOperator),
        }
    }

    /// Whether a connection from `address` is not to be taken: it is blocked, and nobody is known
    /// there who might get in all the same.
    pub(crate) fn shuts_out(&self, address: IpAddr) -> bool {
        let network = client_network(address);
        let told = self.directory.blocked(address);
        if told == Some(Blocked::ByOperator) {
            return true;
        }
        let now = Instant::now();
        let mut tables = self.tables.lock();
        let is_blocked = told.is_some() || tables.is_blocked(&network, now);
        is_blocked && !tables.is_good(&network, now) && !self.is_trusted(&network)
    }

    /// What `attempt` has to do.
    pub(crate) fn standing(&self, attempt: &Attempt) -> Standing {
        if attempt.operator_blocks {
            return Standing::Refused;
        }
        let told = || self.directory.blocked(attempt.network.addr()).is_some();
        let told = !attempt.trusted && told();
        let now = Instant::now();
        let mut locked = self.tables.lock();
        let tables = &mut *locked;
        if let Some(known) = tables.known.get(&(attempt.network, attempt.account))
            && known.until > now
            && known.failures < self.config.free_failures.max(1)
        {
            return Standing::Known;
        }
        if !attempt.trusted && (told || tables.is_blocked(&attempt.network, now)) {
            return Standing::Refused;
        }
        let of_address = tables.addresses.get(&attempt.network);
        let of_address = of_address.filter(|_| !attempt.trusted);
        let of_account = tables.accounts.peek(&attempt.account);
        let failures = of_address.into_iter().chain(of_account);
        let delays = failures.map(|f| (self.delay_of(f.weight(self.half_life())), f.waiting));
        let mut longest = Duration::ZERO;
        for (delay, waiting) in delays {
            if !delay.is_zero() && waiting >= MAX_WAITING {
                return Standing::Refused;
            }
            longest = longest.max(delay);
        }
        Standing::Stranger(longest)
    }

    fn delay_of(&self, weight: f32) -> Duration {
        let beyond = weight - self.config.free_failures as f32;
        if beyond < 0.0 {
            return Duration::ZERO;
        }
        // 2^20 times anything is more than the longest.
        let doubled = (beyond as u32 + 1).min(20);
        let longest = Duration::from_secs(self.config.max_delay_seconds);
        self.delay.saturating_mul(1 << doubled).min(longest)
    }

    /// Counts `attempt` among those that wait, until the guard is dropped.
    pub(crate) fn waits(&self, attempt: &Attempt) -> Waits<'_> {
        self.tables.lock().count_waiting(attempt, 1);
        Waits {
            guard: self,
            attempt: *attempt,
        }
    }

    /// Which queue `attempt` stands in.
    pub(crate) fn class(&self, attempt: &Attempt, standing: &Standing) -> Class {
        let now = Instant::now();
        let mut tables = self.tables.lock();
        let is_clean = |failures: &Failures| {
            failures.weight(self.half_life()) < self.config.free_failures as f32
        };
        let good = matches!(standing, Standing::Known)
            || tables.is_good(&attempt.network, now)
                && tables.addresses.peek(&attempt.network).is_none_or(is_clean);
        match good {
            true => Class::Known,
            false => Class::Stranger(attempt.network),
        }
    }

    /// It was the right password.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        let until = Instant::now() + KNOWN_FOR;
        let mut tables = self.tables.lock();
        let key = (attempt.network, attempt.account);
        tables.known.put(key, Known { until, failures: 0 });
        tables.good.put(attempt.network, until);
    }

    /// The directory knows of a block that was made here: an operator can take it back there.
    pub(crate) fn is_told(&self, network: &IpNet) {
        self.tables.lock().blocked.pop(network);
    }

    /// It was not.
    pub(crate) fn failed(&self, attempt: &Attempt) {
        let half_life = self.half_life();
        let mut tables = self.tables.lock();
        if let Some(known) = tables.known.get_mut(&(attempt.network, attempt.account)) {
            known.failures += 1;
        }
        let of_account = tables
            .accounts
            .get_or_insert_mut(attempt.account, Failures::none);
        of_account.add(half_life);
        if attempt.trusted {
            return;
        }
        let of_address = tables
            .addresses
            .get_or_insert_mut(attempt.network, Failures::none);
        let block_after = self.config.block_after;
        // A failure that has come a moment before the others does not weigh quite as much.
        let is_too_many = of_address.add(half_life) > block_after as f32 - 0.5;
        let now = Instant::now();
        if block_after == 0 || !is_too_many {
            return;
        }
        // Whom an operator lets in again is not blocked again by the next failure.
        of_address.weight /= 2.0;
        let duration = Duration::from_secs(self.config.block_seconds);
        tables.blocked.put(attempt.network, now + duration);
        drop(tables);
        murder_net::audit!(
            "address_blocked",
            network = %attempt.network,
            seconds = duration.as_secs(),
        );
        // Full: the others find out themselves.
        let _ = self.untold.try_send(NewBlock {
            network: attempt.network,
            duration,
            reason: format!("{block_after} failed logins"),
        });
    }
}

impl Tables {
    fn is_blocked(&mut self, network: &IpNet, now: Instant) -> bool {
        let blocked = self.blocked.peek(network).is_some_and(|until| *until > now);
        if !blocked {
            self.blocked.pop(network);
        }
        blocked
    }

    fn is_good(&mut self, network: &IpNet, now: Instant) -> bool {
        self.good.get(network).is_some_and(|until| *until > now)
    }

    fn count_waiting(&mut self, attempt: &Attempt, change: i16) {
        let of_address = self.addresses.peek_mut(&attempt.network);
        let of_account = self.accounts.peek_mut(&attempt.account);
        for failures in of_address.into_iter().chain(of_account) {
            failures.waiting = failures.waiting.saturating_add_signed(change);
        }
    }
}

/// A login that waits.
pub(crate) struct Waits<'a> {
    guard: &'a Guard,
    attempt: Attempt,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.guard.tables.lock().count_waiting(&self.attempt, -1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parking_lot::RwLock;

    use super::*;
    use crate::Account;

    #[derive(Default)]
    struct Told(RwLock<Vec<(IpNet, Blocked)>>);

    impl Directory for Told {
        fn account(&self, _: &str) -> Option<Account> {
            None
        }

        fn blocked(&self, address: IpAddr) -> Option<Blocked> {
            let blocks = self.0.read();
            let of = blocks
                .iter()
                .find(|(network, _)| network.contains(&address));
            of.map(|(_, by)| *by)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn guard() -> (Arc<Told>, Guard, mpsc::Receiver<NewBlock>) {
        let told = Arc::new(Told::default());
        let (guard, blocks) = Guard::new(LoginConfig::default(), SECOND, told.clone());
        (told, guard, blocks)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    impl Guard {
        /// The seconds that a login has to wait; `None` when it is refused, 0 for who is known.
        fn wait(&self, from: &str, name: &str) -> Option<u64> {
            match self.standing(&self.attempt(ip(from), name)) {
                Standing::Known => Some(0),
                Standing::Stranger(delay) => Some(delay.as_secs()),
                Standing::Refused => None,
            }
        }

        fn fail(&self, from: &str, name: &str, times: usize) {
            for _ in 0..times {
                self.failed(&self.attempt(ip(from), name));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_of_an_address_grow_until_it_is_blocked() {
        let (told, guard, mut blocks) = guard();
        let mut delays = Vec::new();
        for n in 0..20 {
            // Each at another name, of which none is anybody's.
            let name = format!("nobody{n}");
            delays.push(guard.wait("192.0.2.1", &name).unwrap());
            guard.fail("192.0.2.1", &name, 1);
        }
        assert_eq!(delays[..9], [0, 0, 0, 0, 0, 2, 4, 8, 15]);
        assert_eq!(delays[19], 15);
        assert_eq!(guard.wait("192.0.2.1", "bob"), None);
        assert!(guard.shuts_out(ip("::ffff:192.0.2.1")));
        assert_eq!(guard.wait("192.0.2.2", "bob"), Some(0));
        let block = blocks.try_recv().unwrap();
        assert_eq!(block.network, client_network(ip("192.0.2.1")));
        // Others hear of it, and an operator's word ends it.
        told.0.write().push((block.network, Blocked::ByNode));
        guard.is_told(&block.network);
        assert_eq!(guard.wait("192.0.2.1", "bob"), None);
        told.0.write().clear();
        assert_eq!(guard.wait("192.0.2.1", "bob"), Some(15));
        assert!(!guard.shuts_out(ip("192.0.2.1")));
        // It would have ended by itself.
        guard.fail("192.0.2.3", "bob", 20);
        assert_eq!(guard.wait("192.0.2.3", "x"), None);
        tokio::time::advance(SECOND * 901).await;
        assert_eq!(guard.wait("192.0.2.3", "x"), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_client_is_its_network() {
        let (_, guard, _blocks) = guard();
        for n in 0..20 {
            guard.fail(&format!("2001:db8::{n}"), &format!("nobody{n}"), 1);
        }
        assert_eq!(guard.wait("2001:db8::ffff:1", "bob"), None);
        assert_eq!(guard.wait("2001:db8:0:1::1", "bob"), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_of_many_addresses_delay_strangers_but_not_the_owner() {
        let (_, guard, _blocks) = guard();
        guard.succeeded(&guard.attempt(ip("198.51.100.1"), "bob"));
        for n in 0..100 {
            guard.fail(&format!("192.0.2.{n}"), "bob", 1);
        }
        assert_eq!(guard.wait("192.0.2.200", "bob"), Some(15));
        assert_eq!(guard.wait("198.51.100.1", "bob"), Some(0));
        assert_eq!(guard.wait("192.0.2.200", "carol"), Some(0));
        // Of many that would wait for one account a few do.
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|n| guard.waits(&guard.attempt(ip(&format!("192.0.2.{n}")), "bob")))
            .collect();
        assert_eq!(guard.wait("192.0.2.200", "bob"), None);
        assert_eq!(guard.wait("198.51.100.1", "bob"), Some(0));
        drop(waiting);
        assert_eq!(guard.wait("192.0.2.200", "bob"), Some(15));
        // An address that is known may fail as often as any; then it is as any.
        guard.fail("198.51.100.1", "bob", 5);
        assert_eq!(guard.wait("198.51.100.1", "bob"), Some(15));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_gets_past_a_nodes_block_and_not_past_an_operators() {
        let (told, guard, _blocks) = guard();
        guard.succeeded(&guard.attempt(ip("192.0.2.1"), "bob"));
        guard.fail("192.0.2.1", "carol", 20);
        assert_eq!(guard.wait("192.0.2.1", "carol"), None);
        assert_eq!(guard.wait("192.0.2.1", "bob"), Some(0));
        assert!(!guard.shuts_out(ip("192.0.2.1")));
        let network = crate::parse_network("192.0.2.0/24").unwrap();
        told.0.write().push((network, Blocked::ByOperator));
        assert_eq!(guard.wait("192.0.2.1", "bob"), None);
        assert!(guard.shuts_out(ip("192.0.2.1")));
    }

    #[tokio::test(start_paused = true)]
    async fn trusted_addresses_are_not_counted_but_accounts_are() {
        let (_, guard, mut blocks) = guard();
        for n in 0..100 {
            guard.fail("127.0.0.1", &format!("nobody{n}"), 1);
        }
        assert_eq!(guard.wait("127.0.0.1", "bob"), Some(0));
        assert!(blocks.try_recv().is_err());
        guard.fail("127.0.0.1", "bob", 6);
        assert_eq!(guard.wait("127.0.0.1", "bob"), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_is_hashed_first() {
        let (_, guard, _blocks) = guard();
        let class = |from: &str, name: &str| {
            let attempt = guard.attempt(ip(from), name);
            guard.class(&attempt, &guard.standing(&attempt))
        };
        let stranger = Class::Stranger(client_network(ip("192.0.2.1")));
        assert_eq!(class("192.0.2.1", "bob"), stranger);
        guard.succeeded(&guard.attempt(ip("192.0.2.1"), "bob"));
        // A webmail server, or a household.
        assert_eq!(class("192.0.2.1", "bob"), Class::Known);
        assert_eq!(class("192.0.2.1", "carol"), Class::Known);
        guard.fail("192.0.2.1", "carol", 6);
        assert_eq!(class("192.0.2.1", "carol"), stranger);
        assert_eq!(class("192.0.2.1", "bob"), Class::Known);
    }
}
