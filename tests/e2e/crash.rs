//! `kill -9` of real processes: what was acknowledged is there, once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use murder_testkit::{LmtpClient, Processes, Status, wait_until};

use crate::{MURDER, Tested, message};

/// What deliveries came to.
#[derive(Debug, Default)]
struct Delivered {
    /// `(user, subject)` of messages that were taken with 250.
    acknowledged: Vec<(String, String)>,
    /// Messages whose fate the sender does not know.
    unknown: usize,
}

/// Delivers to `users` through frontend `number` until `stop`, each message once, whatever comes
/// of it.
async fn deliver(
    murder: &Processes,
    number: usize,
    users: &[&str],
    stop: &AtomicBool,
    count: &AtomicUsize,
) -> anyhow::Result<Delivered> {
    let mut delivered = Delivered::default();
    let mut connection: Option<LmtpClient> = None;
    let mut serial = 0;
    while !stop.load(Ordering::Relaxed) {
        let lmtp = match &mut connection {
            Some(lmtp) => lmtp,
            None => match murder.lmtp(number).await {
                Ok(lmtp) => connection.insert(lmtp),
                Err(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        serial += 1;
        let subject = format!("fe{number}-{serial}");
        match lmtp.deliver(users, &message(&subject)).await {
            Ok(replies) => {
                for (user, reply) in users.iter().zip(&replies) {
                    if reply.code == 250 {
                        delivered
                            .acknowledged
                            .push(((*user).to_owned(), subject.clone()));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Err(_) => {
                delivered.unknown += users.len();
                connection = None;
            }
        }
    }
    Ok(delivered)
}

/// How often each subject is in a user's INBOX, as frontend `number` shows it.
async fn subjects(
    murder: &Processes,
    number: usize,
    user: &str,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut client = murder.imap(number, user).await?;
    wait_until("the INBOX is there", async || {
        client.select("INBOX").await.ok()
    })
    .await?;
    let mut found = BTreeMap::new();
    for (uid, body) in client.fetch_all().await? {
        let text = String::from_utf8(body)?;
        let subject = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap_or_else(|| panic!("message {uid} is damaged: {text:?}"));
        assert!(
            text.ends_with(&format!("Text of {subject}.\r\n")),
            "{text:?}"
        );
        *found.entry(subject.to_owned()).or_default() += 1;
    }
    Ok(found)
}

async fn wait_for_more(count: &AtomicUsize, more: usize) -> Tested {
    let goal = count.load(Ordering::Relaxed) + more;
    wait_until("deliveries go on", async || {
        (count.load(Ordering::Relaxed) >= goal).then_some(())
    })
    .await
}

async fn check(murder: &Processes, users: &[&str], all: &[Delivered]) -> Tested {
    for user in users {
        let found = subjects(murder, 1, user).await?;
        for (subject, times) in &found {
            assert_eq!(*times, 1, "{user} has {subject} {times} times");
        }
        for delivered in all {
            for (of, subject) in &delivered.acknowledged {
                assert!(
                    of != user || found.contains_key(subject),
                    "{user}: {subject} was acknowledged and is not there"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_during_deliveries_loses_and_doubles_nothing() -> Tested {
    let murder = Processes::builder(MURDER).users(4).start().await?;
    let users = ["user1", "user2"];
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let kills = async {
        for node in ["be1", "be2", "be1"] {
            wait_for_more(&count, 60).await?;
            let killed = murder.kill(node)?;
            murder.wait_restarted(node, killed).await?;
        }
        wait_for_more(&count, 60).await?;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (one, two, ()) = tokio::try_join!(
        deliver(&murder, 1, &users, &stop, &count),
        deliver(&murder, 2, &users, &stop, &count),
        kills
    )?;
    check(&murder, &users, &[one, two]).await
}

/// Flags, mailboxes and appended messages that were acknowledged are there too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_during_changes_keeps_them() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    let changes = async {
        let mut acknowledged = Vec::new();
        let mut client = None;
        let mut serial = 0;
        while !stop.load(Ordering::Relaxed) {
            let session = match &mut client {
                Some(session) => session,
                None => match murder.imap(1, "user1").await {
                    Ok(session) => client.insert(session),
                    Err(_) => continue,
                },
            };
            serial += 1;
            let name = format!("box{serial}");
            let made = async {
                session.ok(&format!("CREATE {name}")).await?;
                let uid = session.append(&name, "\\Seen", &message(&name)).await?;
                session.select(&name).await?;
                session
                    .ok(&format!("UID STORE {uid} +FLAGS.SILENT ($Kept)"))
                    .await?;
                anyhow::Ok(uid)
            };
            match made.await {
                Ok(uid) => {
                    acknowledged.push((name, uid));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => client = None,
            }
        }
        anyhow::Ok(acknowledged)
    };
    let kills = async {
        for _ in 0..2 {
            wait_for_more(&count, 8).await?;
            let killed = murder.kill("be1")?;
            murder.wait_restarted("be1", killed).await?;
        }
        wait_for_more(&count, 8).await?;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (acknowledged, ()) = tokio::try_join!(changes, kills)?;
    assert!(acknowledged.len() >= 24);
    let mut client = murder.imap(2, "user1").await?;
    let listed = client.list("*").await?;
    for (name, uid) in &acknowledged {
        assert!(listed.contains(name), "{name} is not listed");
        assert_eq!(client.select(name).await?.exists, 1, "{name}");
        let fetch = &client.uid_fetch(&uid.to_string(), "(FLAGS)").await?[0];
        assert_eq!(fetch.flags(), ["$Kept", "\\Seen"], "{name}");
        assert_eq!(client.fetch_body(*uid).await?, message(name));
    }
    // What is listed is there, also what was being made when it was killed.
    for name in &listed {
        client.select(name).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_killed_forgets_nothing() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let mut acknowledged = Vec::new();
    let mut client = murder.imap(1, "user1").await?;
    for round in 0..3 {
        for number in 0..5 {
            let name = format!("box{round}-{number}");
            let made = wait_until("it can be made", async || {
                let answer = client.command(&format!("CREATE {name}")).await.ok()?;
                // An answer may have been lost with the master.
                let done = answer.status == Status::Ok || answer.code() == "ALREADYEXISTS";
                done.then_some(())
            });
            made.await?;
            acknowledged.push(name);
        }
        let killed = murder.kill("mu1")?;
        // Mail flows meanwhile.
        murder
            .lmtp(2)
            .await?
            .deliver_one("user2", &message("meanwhile"))
            .await?;
        murder.wait_restarted("mu1", killed).await?;
    }
    for number in [1, 2] {
        let mut client = murder.imap(number, "user1").await?;
        let listed = client.list("box*").await?;
        assert_eq!(listed.len(), acknowledged.len(), "{listed:?}");
        for name in &acknowledged {
            client.select(name).await?;
        }
    }
    let mut client = murder.imap(1, "user2").await?;
    assert_eq!(client.status("INBOX", "MESSAGES").await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frontend_killed_takes_only_its_connections() -> Tested {
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let users = ["user1", "user2"];
    let mut lost = murder.imap(1, "user1").await?;
    let mut kept = murder.imap(2, "user1").await?;
    kept.select("INBOX").await?;
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let kills = async {
        wait_for_more(&count, 30).await?;
        let killed = murder.kill("fe1")?;
        assert!(lost.command("NOOP").await.is_err());
        kept.ok("NOOP").await?;
        murder.wait_restarted("fe1", killed).await?;
        wait_for_more(&count, 30).await?;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (one, two, ()) = tokio::try_join!(
        deliver(&murder, 1, &users, &stop, &count),
        deliver(&murder, 2, &users, &stop, &count),
        kills
    )?;
    check(&murder, &users, &[one, two]).await?;
    murder.imap(1, "user1").await?.select("INBOX").await?;
    Ok(())
}
