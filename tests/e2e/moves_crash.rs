//! `kill -9` in the middle of COPY and MOVE to another backend, of whoever has a part in it: nothing
//! is lost, nothing doubled, and what was answered is true.
//!
//! `MURDER_SEED=17` plays that seed, `MURDER_SEED=0..500` many; each is one murder and some rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use murder_testkit::{ImapClient, Processes, Status, metric, wait_until};

use crate::{MURDER, Tested, message};

/// Messages of one command: enough blocks and records that a kill may come between any two steps.
const MESSAGES: u32 = 60;
/// Rounds of one seed, each with one kill.
const ROUNDS: u32 = 6;
/// A command takes about so long here; a kill comes at any time within.
const WITHIN_MICROS: u64 = 60_000;

/// Numbers that a seed determines (splitmix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("MURDER_SEED") {
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
            None => {
                let seed = text.parse().unwrap();
                seed..seed + 1
            }
        },
        Err(_) => 0..1,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_time_of_a_move_loses_and_doubles_nothing() -> Tested {
    for seed in seeds() {
        println!("seed {seed}");
        play(seed).await?;
    }
    Ok(())
}

async fn play(seed: u64) -> Tested {
    let mut rng = Rng(seed);
    let murder = Processes::builder(MURDER).users(2).start().await?;
    let mut owner = murder.imap(1, "user2").await?;
    owner.ok("CREATE Box").await?;
    owner.ok("SETACL Box user1 lrswite").await?;
    drop(owner);
    let mut client = murder.imap(2, "user1").await?;
    let (source, target) = (
        holder(&murder, "user1").await?,
        holder(&murder, "user2").await?,
    );
    assert_ne!(source, target);
    client.ok("CREATE Source").await?;
    drop(client);
    let mut in_box = BTreeMap::new();
    for round in 0..ROUNDS {
        let moving = rng.below(4) > 0;
        let victim = match rng.below(4) {
            0 => Some(source.as_str()),
            1 => Some(target.as_str()),
            2 => Some("fe1"),
            _ => None,
        };
        let after = Duration::from_micros(rng.below(WITHIN_MICROS));
        let mut own = murder.imap(2, "user1").await?;
        let subject = |number| format!("s{seed}r{round}n{number}");
        for number in 0..MESSAGES {
            own.append("Source", "\\Flagged", &message(&subject(number)))
                .await?;
        }
        let mut client = murder.imap(1, "user1").await?;
        client.select("Source").await?;
        let what = if moving { "MOVE" } else { "COPY" };
        let command = format!("{what} 1:* \"Other Users/user2/Box\"");
        let told =
            format!("seed {seed}, round {round}: {command}, {victim:?} killed after {after:?}");
        let tag = client.send(&command).await?;
        tokio::time::sleep(after).await;
        let (answer, killed) = match victim {
            Some(node) => {
                let killed = murder.kill(node)?;
                (client.finish(&tag).await.ok(), Some((node, killed)))
            }
            None => {
                drop(client);
                // What has begun goes on to its end, or is given up.
                wait_until("the session has ended", async || {
                    let http = murder.node("fe1").ok()?.http;
                    let open = metric(http, "murder_frontend_imap_sessions").await.ok()?;
                    (open < 1.0).then_some(())
                })
                .await?;
                (None, None)
            }
        };
        if let Some((node, killed)) = killed {
            murder.wait_restarted(node, killed).await?;
        }
        let status = answer.as_ref().map(|answer| answer.status);
        let before = in_box.clone();
        let fate = wait_until("what became of it is settled", async || {
            fate(&murder, &before, MESSAGES, moving).await
        });
        let done = fate
            .await
            .with_context(|| format!("{told}: {answer:?}\n{}", murder.output()))?;
        match status {
            Some(Status::Ok) => assert!(done, "{told}: OK, and not done"),
            Some(_) => assert!(!done, "{told}: {answer:?}, and done"),
            None => {}
        }
        println!(
            "{told}: {status:?}, {}",
            if done { "done" } else { "not done" }
        );
        if done {
            for number in 0..MESSAGES {
                in_box.insert(subject(number), 1);
            }
        }
        let mut own = murder.imap(2, "user1").await?;
        own.select("Source").await?;
        own.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)").await.ok();
        own.ok("EXPUNGE").await?;
    }
    Ok(())
}

/// Which backend holds a user's INBOX.
async fn holder(murder: &Processes, user: &str) -> anyhow::Result<String> {
    let topology = murder.topology()?;
    drop(murder.imap(1, user).await?);
    for node in &topology.backends {
        let mut client = ImapClient::connect(node.imap).await?;
        client.login(user, &topology.users.password).await?;
        if client.select("INBOX").await.is_ok() {
            return Ok(node.name.clone());
        }
    }
    anyhow::bail!("nobody holds {user}")
}

/// Whether the messages have got to the other mailbox, once each message is in exactly one place
/// (for COPY, all of them there or none); `None` as long as that is not so.
async fn fate(
    murder: &Processes,
    before: &BTreeMap<String, usize>,
    count: u32,
    moving: bool,
) -> Option<bool> {
    let here = subjects(murder, "user1", "Source").await?;
    let there = subjects(murder, "user2", "Box").await?;
    assert!(
        here.values().chain(there.values()).all(|times| *times == 1),
        "doubled: {here:?} {there:?}"
    );
    assert!(before.keys().all(|subject| there.contains_key(subject)));
    let arrived = there.len() - before.len();
    assert!(
        arrived == 0 || arrived == count as usize,
        "{arrived} arrived"
    );
    let stayed = here.len();
    match (arrived > 0, stayed == count as usize, stayed == 0) {
        (false, true, _) => Some(false),
        (true, _, true) if moving => Some(true),
        (true, true, _) if !moving => Some(true),
        (false, ..) => panic!("lost: {stayed} of {count} are left"),
        // They have arrived, and are about to go from here.
        (true, true, _) => None,
        (true, ..) => panic!("half gone: {stayed} of {count}"),
    }
}

/// How often each subject is in a mailbox.
async fn subjects(
    murder: &Processes,
    user: &str,
    mailbox: &str,
) -> Option<BTreeMap<String, usize>> {
    let mut client = murder.imap(2, user).await.ok()?;
    client.select(mailbox).await.ok()?;
    let mut found = BTreeMap::new();
    for (_, body) in client.fetch_all().await.ok()? {
        let text = String::from_utf8(body).unwrap();
        let subject = text.split("Subject: ").nth(1).unwrap();
        let subject = subject.lines().next().unwrap();
        assert!(text.ends_with(&format!("Text of {subject}.\r\n")));
        *found.entry(subject.to_owned()).or_default() += 1;
    }
    Some(found)
}
