//! Checking passwords without letting hashing bound logins.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lru::LruCache;
use murder_mailbox::Identity;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::mpsc;

use crate::guard::{Attempt, Guard, Standing};
use crate::turns::Turns;
use crate::{
    Account, Directory, IpNet, Login, LoginConfig, NewBlock, bounded, hash_password,
    normalize_user, verify_password,
};

/// Remembered successes; some 200 bytes each.
const CACHE_ENTRIES: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Unknown user, wrong password or disabled account: never said which.
    #[error("authentication failed")]
    Failed,
    /// The user is who they say, but may not act as whom they ask for.
    #[error("not authorized to act as that user")]
    NotAuthorized,
    /// Too many logins are waiting; try again.
    #[error("authentication is temporarily unavailable")]
    Busy,
    /// Too many logins have failed from this address, or at this account; try again later. The
    /// password was not looked at.
    #[error("too many failed logins")]
    Guessing,
}

impl AuthError {
    /// Whether it counts as a failed login of its connection.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::NotAuthorized | Self::Guessing)
    }
}

/// How an [`Authenticator`] works.
#[derive(Debug, Clone)]
pub struct AuthenticatorConfig {
    /// How long a success is remembered; zero to hash at each login.
    pub cache_for: Duration,
    /// Hashes at the same time; each takes 19 MiB and a core.
    pub concurrent_hashes: usize,
    /// How long the answer to a failed login is held back.
    pub failure_delay: Duration,
    /// What becomes of those who fail often.
    pub login: LoginConfig,
}

impl Default for AuthenticatorConfig {
    fn default() -> Self {
        Self {
            cache_for: Duration::from_secs(60),
            concurrent_hashes: std::thread::available_parallelism().map_or(1, usize::from),
            failure_delay: Duration::ZERO,
            login: LoginConfig::default(),
        }
    }
}

/// Checks names and passwords against a [`Directory`].
pub struct Authenticator {
    directory: Arc<dyn Directory>,
    cache_for: Duration,
    // Random for each process: what is remembered is worth nothing outside of it.
    key: hmac::Key,
    cache: Mutex<LruCache<String, Remembered>>,
    turns: Arc<Turns>,
    guard: Guard,
    new_blocks: Mutex<Option<mpsc::Receiver<NewBlock>>>,
    failure_delay: Duration,
}

struct Remembered {
    /// Keyed digest of the password together with the hash that it was checked against.
    tag: hmac::Tag,
    until: Instant,
}

impl Authenticator {
    /// Over `directory`.
    ///
    /// # Panics
    /// When the system has no random bytes.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, config: AuthenticatorConfig) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system's random number generator works");
        // Made before the first login, which would else take twice as long as the others.
        decoy_hash();
        let (guard, new_blocks) =
            Guard::new(config.login, config.failure_delay, Arc::clone(&directory));
        Self {
            directory,
            cache_for: config.cache_for,
            key,
            cache: Mutex::new(bounded(CACHE_ENTRIES)),
            turns: Turns::new(config.concurrent_hashes),
            guard,
            new_blocks: Mutex::new(Some(new_blocks)),
            failure_delay: config.failure_delay,
        }
    }

    /// The directory that it asks.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// The addresses that it blocks, for who tells the others; there is one such.
    #[must_use]
    pub fn new_blocks(&self) -> Option<mpsc::Receiver<NewBlock>> {
        self.new_blocks.lock().take()
    }

    /// The directory has heard of a block, see [`Directory::blocked`].
    pub fn block_is_told(&self, network: &IpNet) {
        self.guard.is_told(network);
    }

    /// Whether connections from `address` are not to be taken at all.
    #[must_use]
    pub fn shuts_out(&self, address: IpAddr) -> bool {
        self.guard.shuts_out(address)
    }

    /// Who the client is. Administrators may act as others, and then have the others' rights only.
    /// A failure is counted and logged, and its answer held back.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn log_in(&self, login: &Login<'_>) -> Result<Identity, AuthError> {
        let attempt = self.guard.attempt(login.peer, &name_of(login.user));
        let verified = match login.password {
            Some(password) => self.verify(&attempt, login.user, password).await,
            None => {
                self.guard.failed(&attempt);
                Err(AuthError::Failed)
            }
        };
        let result = verified.and_then(|identity| self.acting_for(identity, login.authzid));
        match result {
            Ok(_) => self.guard.succeeded(&attempt),
            Err(error) => {
                login.failed(error);
                if error == AuthError::NotAuthorized {
                    self.guard.failed(&attempt);
                }
                if error.is_failure() {
                    tokio::time::sleep(self.failure_delay).await;
                }
            }
        }
        result
    }

    fn acting_for(&self, identity: Identity, authzid: Option<&str>) -> Result<Identity, AuthError> {
        let Some(other) = authzid else {
            return Ok(identity);
        };
        let other = normalize_user(other).map_err(|_| AuthError::NotAuthorized)?;
        if other == identity.user {
            Ok(identity)
        } else if identity.admin {
            self.identity(&other).ok_or(AuthError::NotAuthorized)
        } else {
            Err(AuthError::NotAuthorized)
        }
    }

    /// Who `user` is, if `password` is theirs.
    async fn verify(
        &self,
        attempt: &Attempt,
        user: &str,
        password: &str,
    ) -> Result<Identity, AuthError> {
        let standing = self.guard.standing(attempt);
        let paid = match standing {
            Standing::Known => Duration::MAX,
            Standing::Stranger(delay) => delay,
            Standing::Refused => return Err(AuthError::Guessing),
        };
        if let Standing::Stranger(delay) = standing
            && !delay.is_zero()
        {
            // Before the password is looked at: who has guessed right hears of it no sooner.
            let _waits = self.guard.waits(attempt);
            tokio::time::sleep(delay).await;
        }
        let account = normalize_user(user)
            .ok()
            .and_then(|name| self.directory.account(&name))
            .filter(|account| !account.disabled);
        if let Some(account) = &account
            && self.is_remembered(account, password)
        {
            return Ok(account.identity());
        }
        let class = self.guard.class(attempt, &standing);
        let turn = self.turns.take(class).await?;
        // Another session of the same user may have been checked while this one waited.
        if let Some(account) = &account
            && self.is_remembered(account, password)
        {
            return Ok(account.identity());
        }
        // Or many others may have failed, who came at the same time.
        match self.guard.standing(attempt) {
            Standing::Refused => return Err(AuthError::Guessing),
            Standing::Stranger(delay) if delay > paid && paid.is_zero() => {
                return Err(AuthError::Guessing);
            }
            Standing::Stranger(_) | Standing::Known => {}
        }
        let hash = account
            .as_ref()
            .map_or_else(|| decoy_hash().to_owned(), |a| a.password_hash.clone());
        let given = password.to_owned();
        // The turn goes along: the core is busy to the end even if the session has gone.
        let hashing =
            tokio::task::spawn_blocking(move || (verify_password(&given, &hash), Some(turn)));
        let (matches, _turn) = hashing.await.unwrap_or((false, None));
        match account {
            Some(account) if matches => {
                self.remember(&account, password);
                Ok(account.identity())
            }
            _ => {
                // Before the next one's turn, which may be the same guesser's.
                self.guard.failed(attempt);
                Err(AuthError::Failed)
            }
        }
    }

    /// Who `user` is, vouched for by somebody else (EXTERNAL). `None` for unknown and
    /// disabled ones.
    #[must_use]
    pub fn identity(&self, user: &str) -> Option<Identity> {
        let name = normalize_user(user).ok()?;
        let account = self.directory.account(&name)?;
        (!account.disabled).then(|| account.identity())
    }

    fn bound(account: &Account, password: &str) -> Vec<u8> {
        [account.password_hash.as_bytes(), &[0], password.as_bytes()].concat()
    }

    fn is_remembered(&self, account: &Account, password: &str) -> bool {
        let mut cache = self.cache.lock();
        let Some(remembered) = cache.get(&account.name) else {
            return false;
        };
        if Instant::now() >= remembered.until {
            cache.pop(&account.name);
            return false;
        }
        // Compares in constant time.
        hmac::verify(
            &self.key,
            &Self::bound(account, password),
            remembered.tag.as_ref(),
        )
        .is_ok()
    }

    fn remember(&self, account: &Account, password: &str) {
        if self.cache_for.is_zero() {
            return;
        }
        let remembered = Remembered {
            tag: hmac::sign(&self.key, &Self::bound(account, password)),
            until: Instant::now() + self.cache_for,
        };
        self.cache.lock().put(account.name.clone(), remembered);
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("cache_for", &self.cache_for)
            .finish_non_exhaustive()
    }
}

/// The name that failures are counted under: the account's, or what was given if it can be no
/// account's.
fn name_of(user: &str) -> String {
    normalize_user(user).unwrap_or_else(|_| user.to_owned())
}

/// What an unknown user's password is checked against, so that it takes as long.
fn decoy_hash() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| hash_password("nobody's password").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::RwLock;

    use super::*;

    #[derive(Default)]
    struct Changing {
        account: RwLock<Account>,
        asked: AtomicUsize,
    }

    impl Directory for Changing {
        fn account(&self, name: &str) -> Option<Account> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Some(self.account.read().clone()).filter(|a| a.name == name)
        }
    }

    fn bob(password: &str) -> Account {
        Account {
            name: "bob".into(),
            password_hash: hash_password(password).unwrap(),
            groups: vec!["staff".into()],
            ..Account::default()
        }
    }

    fn login<'a>(user: &'a str, password: &'a str) -> Login<'a> {
        Login {
            protocol: "imap",
            peer: [192, 0, 2, 1].into(),
            session: "s",
            mechanism: "PLAIN",
            tls: true,
            user,
            authzid: None,
            password: Some(password),
        }
    }

    fn over(account: Account) -> (Arc<Changing>, Authenticator) {
        let directory = Arc::new(Changing {
            account: RwLock::new(account),
            ..Changing::default()
        });
        let authenticator = Authenticator::new(directory.clone(), AuthenticatorConfig::default());
        (directory, authenticator)
    }

    #[tokio::test]
    async fn lets_in_only_with_the_password() {
        let (_, auth) = over(bob("secret"));
        let identity = auth.log_in(&login("Bob", "secret")).await.unwrap();
        assert_eq!(identity.user, "bob");
        assert_eq!(identity.groups, ["staff"]);
        for (user, password) in [
            ("bob", "wrong"),
            ("bob", ""),
            ("carol", "secret"),
            ("carol", "nobody's password"),
            ("a/b", "secret"),
        ] {
            assert_eq!(
                auth.log_in(&login(user, password)).await,
                Err(AuthError::Failed)
            );
        }
    }

    #[tokio::test]
    async fn a_success_is_remembered_until_the_password_changes() {
        let (directory, auth) = over(bob("secret"));
        auth.log_in(&login("bob", "secret")).await.unwrap();
        let account = directory.account.read().clone();
        assert!(auth.is_remembered(&account, "secret"));
        assert!(!auth.is_remembered(&account, "other"));

        *directory.account.write() = bob("other");
        let account = directory.account.read().clone();
        assert!(!auth.is_remembered(&account, "secret"));
        assert_eq!(
            auth.log_in(&login("bob", "secret")).await,
            Err(AuthError::Failed)
        );
        auth.log_in(&login("bob", "other")).await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_is_shut_out_at_once() {
        let (directory, auth) = over(bob("secret"));
        auth.log_in(&login("bob", "secret")).await.unwrap();
        directory.account.write().disabled = true;
        assert_eq!(
            auth.log_in(&login("bob", "secret")).await,
            Err(AuthError::Failed)
        );
        assert_eq!(auth.identity("bob"), None);
    }

    #[tokio::test]
    async fn one_hash_serves_many_waiting_sessions() {
        let (_, auth) = over(bob("secret"));
        let auth = Arc::new(auth);
        let sessions: Vec<_> = (0..50)
            .map(|_| {
                let auth = auth.clone();
                tokio::spawn(async move { auth.log_in(&login("bob", "secret")).await })
            })
            .collect();
        for session in sessions {
            assert!(session.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn only_administrators_act_as_others() {
        let admin = Account {
            name: "admin".into(),
            admin: true,
            ..bob("secret")
        };
        let directory = StaticDirectory::new([admin, bob("secret")]);
        let auth = Authenticator::new(Arc::new(directory), AuthenticatorConfig::default());
        let plain = |authzid: &'static str, authcid: &'static str| Login {
            authzid: (!authzid.is_empty()).then_some(authzid),
            ..login(authcid, "secret")
        };
        let as_bob = auth.log_in(&plain("bob", "admin")).await.unwrap();
        assert_eq!((as_bob.user.as_str(), as_bob.admin), ("bob", false));
        assert!(auth.log_in(&plain("", "admin")).await.unwrap().admin);
        assert!(auth.log_in(&plain("BOB", "bob")).await.is_ok());
        assert_eq!(
            auth.log_in(&plain("admin", "bob")).await,
            Err(AuthError::NotAuthorized)
        );
        assert_eq!(
            auth.log_in(&plain("nobody", "admin")).await,
            Err(AuthError::NotAuthorized)
        );
    }

    use crate::StaticDirectory;

    #[tokio::test]
    async fn guessers_are_refused_whoever_they_guess_at() {
        let (_, auth) = over(bob("secret"));
        for (user, address) in [("bob", [192, 0, 2, 7]), ("nobody", [192, 0, 2, 8])] {
            let guess = |password: &'static str| Login {
                peer: address.into(),
                ..login(user, password)
            };
            for _ in 0..20 {
                let refused = auth.log_in(&guess("wrong")).await;
                assert_eq!(refused, Err(AuthError::Failed));
            }
            for password in ["wrong", "secret"] {
                let refused = auth.log_in(&guess(password)).await;
                assert_eq!(refused, Err(AuthError::Guessing), "{user}");
            }
            assert!(auth.shuts_out(address.into()));
        }
        // The owner comes in from elsewhere.
        let elsewhere = Login {
            peer: [198, 51, 100, 1].into(),
            ..login("bob", "secret")
        };
        auth.log_in(&elsewhere).await.unwrap();
        assert_eq!(
            auth.new_blocks().unwrap().try_recv().unwrap().reason,
            "20 failed logins"
        );
    }

    #[tokio::test]
    async fn guesses_that_come_at_once_are_no_way_around() {
        let (_, auth) = over(bob("secret"));
        let auth = Arc::new(auth);
        let guesses: Vec<_> = (0..200)
            .map(|n| {
                let auth = auth.clone();
                tokio::spawn(async move {
                    let password = format!("wrong{n}");
                    auth.log_in(&login("bob", &password)).await
                })
            })
            .collect();
        let mut looked_at = 0;
        for guess in guesses {
            looked_at += usize::from(guess.await.unwrap() == Err(AuthError::Failed));
        }
        // As many more as were being hashed when the last of the twenty was.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!((20..20 + cores).contains(&looked_at), "{looked_at}");
    }

    #[tokio::test]
    async fn nothing_secret_is_printed() {
        let (directory, auth) = over(bob("secret"));
        auth.log_in(&login("bob", "secret")).await.unwrap();
        let account = directory.account.read().clone();
        assert!(!format!("{auth:?} {account:?}").contains("argon2"));
    }
}
