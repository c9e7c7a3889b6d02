#![allow(clippy::unwrap_used)]
use std::net::Ipv4Addr;

use parking_lot::RwLock;

use super::*;

/// Accounts that tests change.
#[derive(Debug, Default)]
struct Accounts(RwLock<BTreeMap<String, Account>>);

impl Directory for Accounts {
    fn account(&self, name: &str) -> Option<Account> {
        self.0.read().get(name).cloned()
    }
}

impl Accounts {
    fn of(names: &[&str]) -> Self {
        let accounts = Self::default();
        for name in names {
            let mut account = Account {
                name: (*name).to_owned(),
                password_hash: format!("hash of {name}"),
                ..Account::default()
            };
            account.admin = *name == "admin";
            accounts.0.write().insert(account.name.clone(), account);
        }
        accounts
    }

    fn change(&self, sessions: &Sessions, name: &str, change: impl FnOnce(&mut Account)) {
        change(self.0.write().get_mut(name).unwrap());
        sessions.account_changed(name, self.account(name).as_ref());
    }

    fn delete(&self, sessions: &Sessions, name: &str) {
        self.0.write().remove(name);
        sessions.account_changed(name, None);
    }
}

fn about() -> About {
    About {
        id: SessionId::new(),
        protocol: Protocol::Imap,
        peer: Ipv4Addr::LOCALHOST.into(),
        tls: true,
    }
}

fn open(
    sessions: &Arc<Sessions>,
    accounts: &Accounts,
    who: &str,
    user: &str,
) -> Result<Presence, NotEntered> {
    let claim = sessions.claim(accounts, who);
    let identity = accounts.account(user).unwrap().identity();
    let opened = sessions.enter(accounts, claim, &identity, about())?;
    assert_eq!(opened.news(), Some(News::Changed), "looked up once more");
    Ok(opened)
}

fn ended(presence: &Presence) -> Option<End> {
    match presence.news() {
        Some(News::Ended(end)) => Some(end),
        _ => None,
    }
}

#[test]
fn a_session_ends_with_its_account_and_no_other_does() {
    type Change = fn(&mut Account);
    let cases: [(Change, End); 3] = [
        (|account| account.disabled = true, End::Disabled),
        (
            |account| account.password_hash = "another".into(),
            End::Password,
        ),
        (|account| account.admin = true, End::Rights),
    ];
    for (change, why) in cases {
        let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["bob", "carol"]));
        let bob = open(&sessions, &accounts, "bob", "bob").unwrap();
        let carol = open(&sessions, &accounts, "carol", "carol").unwrap();
        accounts.change(&sessions, "bob", change);
        assert_eq!(ended(&bob), Some(why));
        assert_eq!(ended(&bob), Some(why), "for good");
        assert_eq!(carol.news(), None);
        accounts.delete(&sessions, "carol");
        assert_eq!(ended(&carol), Some(End::Deleted));
    }
}

#[test]
fn operators_see_the_mailbox_that_is_selected() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["bob"]));
    let bob = open(&sessions, &accounts, "bob", "bob").unwrap();
    let shown = || sessions.list(None)[0].mailbox();
    assert_eq!(shown(), None);
    let inbox = bob.show_selected("user/bob");
    assert_eq!(shown().as_deref(), Some("user/bob"));
    let archive = bob.show_selected("user/bob/Archive");
    drop(inbox);
    assert_eq!(shown().as_deref(), Some("user/bob/Archive"));
    drop(archive);
    assert_eq!(shown(), None);
    let vouched = sessions.enter_vouched(&accounts, "bob", about());
    assert!(vouched.show_selected("user/bob").is_none());
}

#[test]
fn groups_end_nothing_and_are_looked_up_again() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["bob"]));
    let bob = open(&sessions, &accounts, "bob", "bob").unwrap();
    accounts.change(&sessions, "bob", |account| {
        account.groups.push("staff".into());
    });
    assert_eq!(bob.news(), Some(News::Changed));
    assert_eq!(bob.news(), None);
}

#[test]
fn who_acts_for_another_depends_on_both() {
    type Change = fn(&Sessions, &Accounts);
    let cases: [(Change, End); 5] = [
        (
            |s, a| a.change(s, "admin", |account| account.admin = false),
            End::Rights,
        ),
        (
            |s, a| a.change(s, "admin", |account| account.disabled = true),
            End::Disabled,
        ),
        (
            |s, a| a.change(s, "admin", |account| account.password_hash.push('x')),
            End::Password,
        ),
        (|s, a| a.delete(s, "admin"), End::Deleted),
        (
            |s, a| a.change(s, "bob", |account| account.disabled = true),
            End::Disabled,
        ),
    ];
    for (change, why) in cases {
        let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["admin", "bob"]));
        let acting = open(&sessions, &accounts, "admin", "bob").unwrap();
        // It was not opened by that password.
        accounts.change(&sessions, "bob", |account| account.password_hash.push('x'));
        assert_eq!(acting.news(), Some(News::Changed));
        change(&sessions, &accounts);
        assert_eq!(ended(&acting), Some(why));
    }
}

#[test]
fn what_changes_while_a_password_is_checked_counts() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["bob"]));
    let claim = sessions.claim(&accounts, "Bob");
    let identity = accounts.account("bob").unwrap().identity();
    accounts.change(&sessions, "bob", |account| account.password_hash.push('x'));
    let entered = sessions.enter(&accounts, claim, &identity, about());
    assert_eq!(entered.unwrap_err(), NotEntered::Ended(End::Password));
    assert!(sessions.by_name.lock().is_empty());
}

#[test]
fn a_vouched_connection_ends_with_the_account_but_not_with_the_password() {
    let (sessions, accounts) = (Sessions::new(1), Accounts::of(&["bob"]));
    let vouched: Vec<_> = (0..3)
        .map(|_| sessions.enter_vouched(&accounts, "bob", about()))
        .collect();
    let elsewhere = sessions.enter_vouched(&accounts, "eve", about());
    assert_eq!((sessions.used("bob"), sessions.list(None).len()), (0, 0));
    assert_eq!(sessions.kick_user("bob"), 0);
    let _own = open(&sessions, &accounts, "bob", "bob").unwrap();
    accounts.change(&sessions, "bob", |account| account.password_hash.push('x'));
    assert_eq!(vouched[0].news(), Some(News::Changed));
    accounts.delete(&sessions, "bob");
    assert_eq!(ended(&vouched[0]), Some(End::Deleted));
    // Known to the frontend from another directory.
    sessions.account_changed("eve", None);
    assert_eq!(ended(&elsewhere), None);
}

#[test]
fn a_new_copy_of_all_accounts_is_compared_with_every_session() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["admin", "bob", "carol"]));
    let acting = open(&sessions, &accounts, "admin", "bob").unwrap();
    let carol = open(&sessions, &accounts, "carol", "carol").unwrap();
    accounts.0.write().remove("admin");
    sessions.accounts_replaced(&accounts);
    assert_eq!(ended(&acting), Some(End::Deleted));
    assert_eq!(carol.news(), Some(News::Changed));
}

#[test]
fn the_limit_counts_sessions_of_the_user_that_they_act_for() {
    let (sessions, accounts) = (Sessions::new(2), Accounts::of(&["admin", "bob"]));
    let own = open(&sessions, &accounts, "bob", "bob").unwrap();
    let _acting = open(&sessions, &accounts, "admin", "bob").unwrap();
    let refused = open(&sessions, &accounts, "bob", "bob");
    assert_eq!(refused.unwrap_err(), NotEntered::TooMany);
    assert_eq!((sessions.used("bob"), sessions.used("admin")), (2, 0));
    let _admin = open(&sessions, &accounts, "admin", "admin").unwrap();
    drop(own);
    let _another = open(&sessions, &accounts, "bob", "bob").unwrap();
}

#[test]
fn operators_see_and_end_sessions() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["admin", "bob"]));
    let acting = open(&sessions, &accounts, "admin", "bob").unwrap();
    let bob = open(&sessions, &accounts, "bob", "bob").unwrap();
    let all = sessions.list(None);
    let seen: Vec<_> = all.iter().map(|s| (s.user(), s.authenticated())).collect();
    assert_eq!(seen, [("bob", "admin"), ("bob", "bob")]);
    assert_eq!(sessions.list(Some("admin")).len(), 1);
    let id = all[1].about().id.to_string();
    assert_eq!(sessions.kick_session(&id), 1);
    assert_eq!((ended(&bob), ended(&acting)), (Some(End::Kicked), None));
    assert_eq!(sessions.kick_user("admin"), 1);
    assert_eq!(ended(&acting), Some(End::Kicked));
    drop((acting, bob));
    assert!(sessions.by_name.lock().is_empty());
}

#[tokio::test]
async fn who_waits_is_woken_and_what_is_under_way_is_cut_off() {
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&["bob"]));
    let bob = open(&sessions, &accounts, "bob", "bob").unwrap();
    let waits = tokio::spawn(async move {
        let news = news_of(Some(&bob)).await;
        (news, Overdue::of(Some(&bob)).await)
    });
    tokio::task::yield_now().await;
    assert_eq!(sessions.kick_user("bob"), 1);
    let kicked = (News::Ended(End::Kicked), End::Kicked);
    assert_eq!(waits.await.unwrap(), kicked);
    tokio::select! {
        biased;
        _ = news_of(None) => panic!("nobody is logged in"),
        _ = Overdue::of(None) => panic!("nobody is logged in"),
        () = tokio::task::yield_now() => {}
    }
}

/// What a session takes here: two keys at most, and the entry.
#[test]
fn a_session_costs_little() {
    assert!(size_of::<Entry>() + size_of::<Presence>() <= 176);
}

#[test]
fn a_change_looks_at_its_own_sessions_only() {
    let names: Vec<String> = (0..10_000).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (sessions, accounts) = (Sessions::new(0), Accounts::of(&names));
    let open: Vec<_> = names
        .iter()
        .map(|name| open(&sessions, &accounts, name, name).unwrap())
        .collect();
    accounts.change(&sessions, "user77", |account| account.disabled = true);
    let told = open.iter().filter(|presence| presence.news().is_some());
    assert_eq!(told.count(), 1);
}
