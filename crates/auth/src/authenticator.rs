//! Checking passwords without letting hashing bound logins.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lru::LruCache;
use murder_mailbox::Identity;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use crate::sasl::Plain;
use crate::{Account, Directory, hash_password, normalize_user, verify_password};

/// Remembered successes; some 200 bytes each.
const CACHE_ENTRIES: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
/// Logins that may wait for a core to hash on. With some 50 hashes a core and second, those
/// at the end of a longer queue would have given up before their turn.
const MAX_WAITING: usize = 1000;

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
}

/// How an [`Authenticator`] works.
#[derive(Debug, Clone, Copy)]
pub struct AuthenticatorConfig {
    /// How long a success is remembered; zero to hash at each login.
    pub cache_for: Duration,
    /// Hashes at the same time; each takes 19 MiB and a core.
    pub concurrent_hashes: usize,
}

impl Default for AuthenticatorConfig {
    fn default() -> Self {
        Self {
            cache_for: Duration::from_secs(60),
            concurrent_hashes: std::thread::available_parallelism().map_or(1, usize::from),
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
    hashing: Arc<Semaphore>,
    admission: Arc<Semaphore>,
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
        let concurrent = config.concurrent_hashes.max(1);
        Self {
            directory,
            cache_for: config.cache_for,
            key,
            cache: Mutex::new(LruCache::new(CACHE_ENTRIES)),
            hashing: Arc::new(Semaphore::new(concurrent)),
            admission: Arc::new(Semaphore::new(concurrent + MAX_WAITING)),
        }
    }

    /// The directory that it asks.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// Who `user` is, if `password` is theirs. The delay after a failure is the caller's.
    ///
    /// # Errors
    /// [`AuthError::Failed`] and [`AuthError::Busy`].
    pub async fn verify(&self, user: &str, password: &str) -> Result<Identity, AuthError> {
        let account = normalize_user(user)
            .ok()
            .and_then(|name| self.directory.account(&name))
            .filter(|account| !account.disabled);
        if let Some(account) = &account
            && self.is_remembered(account, password)
        {
            return Ok(account.identity());
        }
        let _admitted = self.admission.try_acquire().map_err(|_| AuthError::Busy)?;
        let permit = self
            .hashing
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| AuthError::Busy)?;
        // Another session of the same user may have been checked while this one waited.
        if let Some(account) = &account
            && self.is_remembered(account, password)
        {
            return Ok(account.identity());
        }
        let hash = account
            .as_ref()
            .map_or_else(|| decoy_hash().to_owned(), |a| a.password_hash.clone());
        let given = password.to_owned();
        let matches = tokio::task::spawn_blocking(move || {
            let matches = verify_password(&given, &hash);
            // Held to the end even if the session has gone: the core is busy all the same.
            drop(permit);
            matches
        })
        .await
        .unwrap_or(false);
        match account {
            Some(account) if matches => {
                self.remember(&account, password);
                Ok(account.identity())
            }
            _ => Err(AuthError::Failed),
        }
    }

    /// Who the client of a PLAIN exchange is. Administrators may act as others, and then
    /// have the others' rights only.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn verify_plain(&self, plain: &Plain) -> Result<Identity, AuthError> {
        let identity = self.verify(&plain.authcid, &plain.password).await?;
        match &plain.authzid {
            None => Ok(identity),
            Some(other) => {
                let other = normalize_user(other).map_err(|_| AuthError::NotAuthorized)?;
                if other == identity.user {
                    Ok(identity)
                } else if identity.admin {
                    self.identity(&other).ok_or(AuthError::NotAuthorized)
                } else {
                    Err(AuthError::NotAuthorized)
                }
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
        let identity = auth.verify("Bob", "secret").await.unwrap();
        assert_eq!(identity.user, "bob");
        assert_eq!(identity.groups, ["staff"]);
        for (user, password) in [
            ("bob", "wrong"),
            ("bob", ""),
            ("carol", "secret"),
            ("carol", "nobody's password"),
            ("a/b", "secret"),
        ] {
            assert_eq!(auth.verify(user, password).await, Err(AuthError::Failed));
        }
    }

    #[tokio::test]
    async fn a_success_is_remembered_until_the_password_changes() {
        let (directory, auth) = over(bob("secret"));
        auth.verify("bob", "secret").await.unwrap();
        let account = directory.account.read().clone();
        assert!(auth.is_remembered(&account, "secret"));
        assert!(!auth.is_remembered(&account, "other"));

        *directory.account.write() = bob("other");
        let account = directory.account.read().clone();
        assert!(!auth.is_remembered(&account, "secret"));
        assert_eq!(auth.verify("bob", "secret").await, Err(AuthError::Failed));
        auth.verify("bob", "other").await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_is_shut_out_at_once() {
        let (directory, auth) = over(bob("secret"));
        auth.verify("bob", "secret").await.unwrap();
        directory.account.write().disabled = true;
        assert_eq!(auth.verify("bob", "secret").await, Err(AuthError::Failed));
        assert_eq!(auth.identity("bob"), None);
    }

    #[tokio::test]
    async fn one_hash_serves_many_waiting_sessions() {
        let (_, auth) = over(bob("secret"));
        let auth = Arc::new(auth);
        let sessions: Vec<_> = (0..50)
            .map(|_| {
                let auth = auth.clone();
                tokio::spawn(async move { auth.verify("bob", "secret").await })
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
        let plain = |authzid: &str, authcid: &str| Plain {
            authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
            authcid: authcid.to_owned(),
            password: "secret".into(),
        };
        let as_bob = auth.verify_plain(&plain("bob", "admin")).await.unwrap();
        assert_eq!((as_bob.user.as_str(), as_bob.admin), ("bob", false));
        assert!(auth.verify_plain(&plain("", "admin")).await.unwrap().admin);
        assert!(auth.verify_plain(&plain("BOB", "bob")).await.is_ok());
        assert_eq!(
            auth.verify_plain(&plain("admin", "bob")).await,
            Err(AuthError::NotAuthorized)
        );
        assert_eq!(
            auth.verify_plain(&plain("nobody", "admin")).await,
            Err(AuthError::NotAuthorized)
        );
    }

    use crate::StaticDirectory;

    #[tokio::test]
    async fn nothing_secret_is_printed() {
        let (directory, auth) = over(bob("secret"));
        auth.verify("bob", "secret").await.unwrap();
        let account = directory.account.read().clone();
        assert!(!format!("{auth:?} {account:?}").contains("argon2"));
    }
}
