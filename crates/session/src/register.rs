//! The register of sessions.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use atomic_waker::AtomicWaker;
use murder_auth::{Account, AccountObserver, Directory, normalize_user};
use murder_mailbox::Identity;
use murder_net::SessionId;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

/// A command that is under way when its session has to end may take so long to be completed.
pub const CUT_OFF_AFTER: Duration = Duration::from_millis(500);

/// What a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

impl Protocol {
    /// Its name, as in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// Why a session has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum End {
    /// The account is disabled.
    #[error("the account was disabled")]
    Disabled = 2,
    /// The account is gone.
    #[error("the account was deleted")]
    Deleted = 3,
    /// The password is not the one that the session was opened with.
    #[error("the password was changed")]
    Password = 4,
    /// The account became, or is no longer, an administrator's: names look different to those.
    #[error("the account's rights were changed")]
    Rights = 5,
    /// An operator wants it.
    #[error("ended by an operator")]
    Kicked = 6,
}

impl End {
    const ALL: [Self; 5] = [
        Self::Disabled,
        Self::Deleted,
        Self::Password,
        Self::Rights,
        Self::Kicked,
    ];

    /// The last word to the client.
    #[must_use]
    pub const fn last_word(self) -> &'static str {
        match self {
            Self::Disabled => "The account was disabled",
            Self::Deleted => "The account was deleted",
            Self::Password => "The password was changed, log in again",
            Self::Rights => "The rights of the account were changed, log in again",
            Self::Kicked => "The session was ended by an operator",
        }
    }
}

/// What a session is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The user's account is another: the identity has to be looked up again.
    Changed,
    /// The session has to end.
    Ended(End),
}

/// Nothing to be told.
const NOTHING: u8 = 0;
/// [`News::Changed`]; what is above is an [`End`].
const CHANGED: u8 = 1;

/// By whose password a session is opened, as the account was before the password was checked. If
/// it changes while that is done, the session ends as soon as it begins.
#[derive(Debug, Clone)]
pub struct Claim {
    user: Arc<str>,
    password: u64,
}

/// What a session is, besides whose.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name in logs.
    pub id: SessionId,
    /// What it speaks.
    pub protocol: Protocol,
    /// The client's address.
    pub peer: IpAddr,
    /// Whether it is under TLS.
    pub tls: bool,
}

/// Why a session was not entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// The user has as many sessions as a user may.
    #[error("too many connections of this user")]
    TooMany,
    /// The account has changed while the password was checked.
    #[error(transparent)]
    Ended(#[from] End),
}

/// A session, as operators see it.
#[derive(Debug, Clone)]
pub struct Listed(Arc<Entry>);

impl Listed {
    /// Whose mail it is about.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Whose password it was opened with.
    #[must_use]
    pub fn authenticated(&self) -> &str {
        let claim = self.0.claim.as_ref();
        claim.map_or(&self.0.user, |claim| &claim.user)
    }

    /// What it is.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// When it was opened.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.0.since
    }

    /// The mailbox that it has selected, by the canonical name that this had then.
    #[must_use]
    pub fn mailbox(&self) -> Option<Arc<str>> {
        self.0.mailbox.lock().clone()
    }
}

struct Entry {
    number: u64,
    user: Arc<str>,
    /// `None` when a frontend vouches for the user: it watches over its client's session itself.
    claim: Option<Claim>,
    /// There was an account. Somebody whom a frontend knows from another directory has none here.
    known: bool,
    admin: bool,
    about: About,
    since: SystemTime,
    /// The selected mailbox, which only operators ask for.
    mailbox: Mutex<Option<Arc<str>>>,
    news: AtomicU8,
    task: AtomicWaker,
}

impl Entry {
    fn tell(&self, news: News) {
        let told = match news {
            News::Changed => CHANGED,
            News::Ended(end) => end as u8,
        };
        // Whatever ends it first is the reason.
        let before = self
            .news
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| {
                (before <= CHANGED && before < told).then_some(told)
            });
        if before.is_ok() {
            self.task.wake();
        }
    }

    fn end(&self) -> Option<End> {
        let news = self.news.load(Ordering::Acquire);
        End::ALL.into_iter().find(|end| *end as u8 == news)
    }

    fn take_news(&self) -> Option<News> {
        match self.news.load(Ordering::Acquire) {
            NOTHING => None,
            CHANGED => {
                let taken = self.news.compare_exchange(
                    CHANGED,
                    NOTHING,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                match taken {
                    Ok(_) => Some(News::Changed),
                    Err(_) => self.end().map(News::Ended),
                }
            }
            _ => self.end().map(News::Ended),
        }
    }

    fn poll_news(&self, cx: &mut Context<'_>) -> Poll<News> {
        // Before the look, so that a wake in between is not lost.
        self.task.register(cx.waker());
        match self.take_news() {
            Some(news) => Poll::Ready(news),
            None => Poll::Pending,
        }
    }

    /// Whether it is a client's own session, which operators see and end.
    fn is_of_client(&self) -> bool {
        self.claim.is_some()
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let other = self.claim.as_ref().map(|claim| &claim.user);
        std::iter::once(&self.user).chain(other.filter(|other| **other != self.user))
    }
}

/// Name and the session's number: the sessions of a name stand together.
type Key = (Arc<str>, u64);

/// The sessions of a node, by the users that they depend on. Its memory, and that of a session in
/// it, is some 200 octets for each.
pub struct Sessions {
    by_name: Mutex<BTreeMap<Key, Arc<Entry>>>,
    next: AtomicU64,
    /// 0: no limit.
    most_per_user: usize,
    /// Passwords' hashes are compared by these. Random for each process.
    hasher: RandomState,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("most_per_user", &self.most_per_user)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// An empty register, for at most `most_per_user` sessions of clients for each user; 0 for no
    /// limit.
    #[must_use]
    pub fn new(most_per_user: usize) -> Arc<Self> {
        Arc::new(Self {
            by_name: Mutex::default(),
            next: AtomicU64::new(0),
            most_per_user,
            hasher: RandomState::new(),
        })
    }

    /// What `name` claims to be, to be asked for before the password is checked.
    #[must_use]
    pub fn claim(&self, directory: &dyn Directory, name: &str) -> Claim {
        let name = normalize_user(name).unwrap_or_default();
        let account = directory.account(&name).unwrap_or_default();
        Claim {
            user: name.into(),
            password: self.fingerprint(&account),
        }
    }

    /// Enters a session of a client who was let in by `claim` to act as `identity`.
    ///
    /// # Errors
    /// See [`NotEntered`].
    pub fn enter(
        self: &Arc<Self>,
        directory: &dyn Directory,
        claim: Claim,
        identity: &Identity,
        about: About,
    ) -> Result<Presence, NotEntered> {
        let user = &*identity.user;
        let entry = self.entry(directory, user, identity.admin, Some(claim), about);
        {
            let mut by_name = self.by_name.lock();
            let most = self.most_per_user;
            if most > 0 && of_user(&by_name, user).take(most).count() >= most {
                return Err(NotEntered::TooMany);
            }
            insert(&mut by_name, &entry);
        }
        let presence = self.present(entry, directory);
        match presence.entry.end() {
            None => Ok(presence),
            Some(end) => Err(end.into()),
        }
    }

    /// Enters a connection of a frontend that vouches for `user`. It does not count among the
    /// user's sessions, and operators do not see it: they see the frontend's session.
    pub fn enter_vouched(
        self: &Arc<Self>,
        directory: &dyn Directory,
        user: &str,
        about: About,
    ) -> Presence {
        let entry = self.entry(directory, user, false, None, about);
        insert(&mut self.by_name.lock(), &entry);
        self.present(entry, directory)
    }

    fn entry(
        &self,
        directory: &dyn Directory,
        user: &str,
        admin: bool,
        claim: Option<Claim>,
        about: About,
    ) -> Arc<Entry> {
        Arc::new(Entry {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            user: match &claim {
                Some(claim) if *claim.user == *user => Arc::clone(&claim.user),
                _ => user.into(),
            },
            known: claim.is_some() || directory.account(user).is_some(),
            claim,
            admin,
            about,
            since: SystemTime::now(),
            mailbox: Mutex::default(),
            news: AtomicU8::new(NOTHING),
            task: AtomicWaker::new(),
        })
    }

    /// What has changed since the login was checked was told to nobody: it is now.
    fn present(self: &Arc<Self>, entry: Arc<Entry>, directory: &dyn Directory) -> Presence {
        self.compare(&entry, directory);
        Presence {
            entry,
            sessions: Arc::clone(self),
        }
    }

    /// How many sessions of clients act for `user`.
    #[must_use]
    pub fn used(&self, user: &str) -> usize {
        of_user(&self.by_name.lock(), user).count()
    }

    /// The sessions of clients: all, or those that depend on `name`.
    #[must_use]
    pub fn list(&self, name: Option<&str>) -> Vec<Listed> {
        let by_name = self.by_name.lock();
        match name {
            Some(name) => of_name(&by_name, name)
                .filter(|entry| entry.is_of_client())
                .map(|entry| Listed(Arc::clone(entry)))
                .collect(),
            None => by_name
                .iter()
                .filter(|((name, _), entry)| *name == entry.user && entry.is_of_client())
                .map(|(_, entry)| Listed(Arc::clone(entry)))
                .collect(),
        }
    }

    /// Ends the sessions of clients that depend on `name`; how many.
    pub fn kick_user(&self, name: &str) -> usize {
        kick(&self.list(Some(name)))
    }

    /// Ends the session with this name in logs; how many those are.
    pub fn kick_session(&self, id: &str) -> usize {
        let mut all = self.list(None);
        all.retain(|listed| listed.about().id.to_string() == id);
        kick(&all)
    }

    fn fingerprint(&self, account: &Account) -> u64 {
        self.hasher.hash_one(&account.password_hash)
    }

    fn compare(&self, entry: &Entry, directory: &dyn Directory) {
        for name in entry.names() {
            self.judge(entry, name, directory.account(name).as_ref());
        }
    }

    /// What it means for a session that the account `name`, on which it depends, is this now.
    fn judge(&self, entry: &Entry, name: &str, account: Option<&Account>) {
        let end = match account {
            None if entry.known => Some(End::Deleted),
            None => None,
            Some(account) if account.disabled => Some(End::Disabled),
            Some(account) => entry
                .claim
                .as_ref()
                .and_then(|claim| self.end_of_claim(entry, claim, name, account)),
        };
        match end {
            Some(end) => entry.tell(News::Ended(end)),
            None if *entry.user == *name => entry.tell(News::Changed),
            None => {}
        }
    }

    fn end_of_claim(
        &self,
        entry: &Entry,
        claim: &Claim,
        name: &str,
        account: &Account,
    ) -> Option<End> {
        if *claim.user == *name {
            if claim.password != self.fingerprint(account) {
                return Some(End::Password);
            }
            // Only administrators act as others.
            if claim.user != entry.user && !account.admin {
                return Some(End::Rights);
            }
        }
        (*entry.user == *name && account.admin != entry.admin).then_some(End::Rights)
    }
}

impl AccountObserver for Sessions {
    fn account_changed(&self, name: &str, account: Option<&Account>) {
        let entries: Vec<_> = of_name(&self.by_name.lock(), name).cloned().collect();
        for entry in entries {
            self.judge(&entry, name, account);
        }
    }

    fn accounts_replaced(&self, directory: &dyn Directory) {
        let entries: Vec<_> = self.by_name.lock().values().cloned().collect();
        for entry in entries {
            self.compare(&entry, directory);
        }
    }
}

fn insert(by_name: &mut BTreeMap<Key, Arc<Entry>>, entry: &Arc<Entry>) {
    for name in entry.names() {
        by_name.insert((Arc::clone(name), entry.number), Arc::clone(entry));
    }
}

/// Everything that depends on `name`.
fn of_name<'a>(
    by_name: &'a BTreeMap<Key, Arc<Entry>>,
    name: &str,
) -> impl Iterator<Item = &'a Arc<Entry>> {
    let name: Arc<str> = name.into();
    by_name
        .range((Arc::clone(&name), 0)..=(name, u64::MAX))
        .map(|(_, entry)| entry)
}

/// The sessions of clients that act for `user`.
fn of_user<'a>(
    by_name: &'a BTreeMap<Key, Arc<Entry>>,
    user: &'a str,
) -> impl Iterator<Item = &'a Arc<Entry>> {
    of_name(by_name, user).filter(move |entry| entry.is_of_client() && *entry.user == *user)
}

fn kick(listed: &[Listed]) -> usize {
    for Listed(entry) in listed {
        entry.tell(News::Ended(End::Kicked));
    }
    listed.len()
}

/// A session's place in the register; dropping it leaves.
pub struct Presence {
    entry: Arc<Entry>,
    sessions: Arc<Sessions>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("user", &self.entry.user)
            .finish_non_exhaustive()
    }
}

impl Presence {
    /// What the session has to know now; [`News::Changed`] only once.
    #[must_use]
    pub fn news(&self) -> Option<News> {
        self.entry.take_news()
    }

    /// Whose mail the session is about.
    #[must_use]
    pub fn user(&self) -> &Arc<str> {
        &self.entry.user
    }

    /// Shows operators that the session has selected `mailbox`, a canonical name, until what is
    /// returned is dropped; `None` for a connection that they do not see.
    #[must_use]
    pub fn show_selected(&self, mailbox: &str) -> Option<ShownMailbox> {
        self.entry.is_of_client().then(|| {
            let mailbox: Arc<str> = mailbox.into();
            *self.entry.mailbox.lock() = Some(Arc::clone(&mailbox));
            ShownMailbox {
                entry: Arc::clone(&self.entry),
                mailbox,
            }
        })
    }
}

/// What operators see of a selected mailbox; dropping it ends that.
#[derive(Debug)]
pub struct ShownMailbox {
    entry: Arc<Entry>,
    mailbox: Arc<str>,
}

impl Drop for ShownMailbox {
    fn drop(&mut self) {
        let mut shown = self.entry.mailbox.lock();
        // The next mailbox may have been selected before this one is let go of.
        if shown
            .as_ref()
            .is_some_and(|m| Arc::ptr_eq(m, &self.mailbox))
        {
            *shown = None;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut by_name = self.sessions.by_name.lock();
        for name in self.entry.names() {
            by_name.remove(&(Arc::clone(name), self.entry.number));
        }
    }
}

/// Waits for news of a session that may not have logged in yet. To be used by the session's own
/// task; can be dropped and called again.
pub async fn news_of(presence: Option<&Presence>) -> News {
    match presence {
        Some(presence) => poll_fn(|cx| presence.entry.poll_news(cx)).await,
        None => std::future::pending().await,
    }
}

/// Ready when a session has had to end for [`CUT_OFF_AFTER`]: what is under way in it is cut off.
#[derive(Debug)]
pub struct Overdue {
    entry: Option<Arc<Entry>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Overdue {
    /// Of a session that may not have logged in yet.
    #[must_use]
    pub fn of(presence: Option<&Presence>) -> Self {
        Self {
            entry: presence.map(|presence| Arc::clone(&presence.entry)),
            sleep: None,
        }
    }
}

impl Future for Overdue {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = &mut *self;
        let Some(entry) = &this.entry else {
            return Poll::Pending;
        };
        entry.task.register(cx.waker());
        let Some(end) = entry.end() else {
            return Poll::Pending;
        };
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(sleep(CUT_OFF_AFTER)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(end)
    }
}

#[cfg(test)]
mod tests;
