//! Answers are true: clients that obey them store nothing twice and lose nothing, whichever node is
//! killed when.
//!
//! NO \[UNAVAILABLE\] means "not done, try again"; BYE, or the end of the connection, means "look".
//! `MURDER_KILLS=300` kills so often, `MURDER_SEED` chooses other moments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use murder_testkit::{Answer, ImapClient, LmtpClient, Processes, Status, wait_until};
use tokio::sync::Mutex;

use crate::{MURDER, Tested};

/// What the clients share.
struct Run {
    murder: Processes,
    stop: AtomicBool,
    done: AtomicUsize,
    /// What was said and was not so.
    untrue: Mutex<Vec<String>>,
    /// Answers by kind.
    heard: Mutex<BTreeMap<String, usize>>,
}

impl Run {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn hear(&self, command: &str, what: &str) {
        let mut heard = self.heard.lock().await;
        *heard.entry(format!("{command}: {what}")).or_default() += 1;
    }

    async fn untrue(&self, what: String) {
        self.untrue.lock().await.push(what);
    }

    async fn client(&self, number: usize, user: &str) -> anyhow::Result<ImapClient> {
        wait_until("a login", async || {
            self.murder.imap(number, user).await.ok()
        })
        .await
    }

    /// A client that has the INBOX selected.
    async fn reader(&self, number: usize, user: &str) -> anyhow::Result<ImapClient> {
        wait_until("the INBOX", async || {
            let mut client = self.murder.imap(number, user).await.ok()?;
            client.select("INBOX").await.ok()?;
            Some(client)
        })
        .await
    }
}

/// What an answer tells a client that obeys.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Done,
    NotDone,
    /// NO for another reason.
    Refused(String),
    /// The connection is gone.
    Look,
}

impl Heard {
    async fn of(run: &Run, command: &str, answer: anyhow::Result<Answer>) -> Self {
        let heard = match answer {
            Ok(answer) if answer.status == Status::Ok => Self::Done,
            Ok(answer) if answer.code() == "UNAVAILABLE" => Self::NotDone,
            Ok(answer) => Self::Refused(answer.code()),
            Err(_) => Self::Look,
        };
        run.hear(command, &format!("{heard:?}")).await;
        heard
    }
}

fn text(subject: &str, received: &str) -> Vec<u8> {
    format!("{received}From: a@example.org\r\nSubject: {subject}\r\n\r\nText.\r\n").into_bytes()
}

/// Appends messages, each until it is there; from time to time a large one.
async fn append(run: &Run, number: usize, user: &str) -> anyhow::Result<Vec<String>> {
    let mut appended = Vec::new();
    let mut client = run.client(number, user).await?;
    while run.goes_on() {
        let subject = format!("append-{number}-{}", appended.len());
        let mut message = text(&subject, "");
        if appended.len() % 7 == 0 {
            message.resize(message.len() + 60_000, b'x');
        }
        if appended.len() % 5 == 0 {
            // The selected mailbox's connection is used then.
            let _ = client.select("INBOX").await;
        }
        loop {
            let answer = client.try_append("INBOX", "", &message).await;
            match Heard::of(run, "APPEND", answer).await {
                Heard::Done => break,
                Heard::NotDone => {}
                Heard::Refused(code) => anyhow::bail!("APPEND refused: {code}"),
                Heard::Look => {
                    client = run.reader(number, user).await?;
                    let found = client.uid_search(&format!("SUBJECT {subject}")).await;
                    match found {
                        Ok(found) if !found.is_empty() => break,
                        Ok(_) => {}
                        // Killed again: looked for again by the next round, which fails as well.
                        Err(_) => client = run.reader(number, user).await?,
                    }
                    if !still_missing(run, number, user, &subject).await? {
                        break;
                    }
                }
            }
        }
        appended.push(subject);
        run.count();
    }
    Ok(appended)
}

/// Looks until somebody can say whether a message is not there.
async fn still_missing(
    run: &Run,
    number: usize,
    user: &str,
    subject: &str,
) -> anyhow::Result<bool> {
    wait_until("a look", async || {
        let mut client = run.reader(number, user).await.ok()?;
        let found = client.uid_search(&format!("SUBJECT {subject}")).await;
        found.ok().map(|found| found.is_empty())
    })
    .await
}

/// A mail server: what got no 250 is sent again, to those who got none.
async fn deliver(run: &Run, number: usize, users: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut delivered = Vec::new();
    let mut lmtp: Option<LmtpClient> = None;
    while run.goes_on() {
        let subject = format!("deliver-{number}-{}", delivered.len());
        let received = format!(
            "Received: by mx{number} with SMTP id {}\r\n",
            delivered.len()
        );
        let message = text(&subject, &received);
        let mut left = users.to_vec();
        while !left.is_empty() {
            let connection = match &mut lmtp {
                Some(connection) => connection,
                None => {
                    let fresh =
                        wait_until("a greeting", async || run.murder.lmtp(number).await.ok());
                    lmtp.insert(fresh.await?)
                }
            };
            match connection.deliver(&left, &message).await {
                Ok(replies) => {
                    let mut replies = replies.iter();
                    left.retain(|_| replies.next().is_none_or(|reply| reply.code != 250));
                }
                Err(_) => lmtp = None,
            }
        }
        delivered.push(subject);
        run.count();
    }
    Ok(delivered)
}

/// Makes, renames and deletes mailboxes; what is left at the end.
async fn change_names(run: &Run, number: usize, user: &str) -> anyhow::Result<Vec<String>> {
    let mut kept = Vec::new();
    let mut client = run.client(number, user).await?;
    let mut serial = 0;
    while run.goes_on() {
        serial += 1;
        let (first, second) = (format!("a{number}-{serial}"), format!("b{number}-{serial}"));
        let mut steps = vec![
            ("CREATE", format!("CREATE {first}"), None, Some(&first)),
            (
                "RENAME",
                format!("RENAME {first} {second}"),
                Some(&first),
                Some(&second),
            ),
        ];
        match serial % 2 {
            0 => steps.push(("DELETE", format!("DELETE {second}"), Some(&second), None)),
            _ => kept.push(second.clone()),
        }
        for (command, line, gone, there) in steps {
            let mut said_not_done = false;
            loop {
                let heard = Heard::of(run, command, client.command(&line).await).await;
                if heard == Heard::Done {
                    break;
                }
                if heard == Heard::Look {
                    client = run.client(number, user).await?;
                }
                if heard == Heard::NotDone {
                    said_not_done = true;
                    continue;
                }
                // It has been done before, or was in doubt. Who looks, sees.
                let is = is_there(run, number, user, gone, there).await?;
                match heard {
                    Heard::Refused(code) if is && said_not_done => {
                        run.untrue(format!("{line}: was said not to be done, now {code}"))
                            .await;
                        break;
                    }
                    _ if is => break,
                    _ => {}
                }
            }
            run.count();
        }
    }
    Ok(kept)
}

/// Whether `there` can be selected, and `gone` not.
async fn is_there(
    run: &Run,
    number: usize,
    user: &str,
    gone: Option<&String>,
    there: Option<&String>,
) -> anyhow::Result<bool> {
    wait_until("a look at names", async || {
        let mut client = run.murder.imap(number, user).await.ok()?;
        let mut state = true;
        for (name, expected) in [(gone, false), (there, true)] {
            let Some(name) = name else { continue };
            let answer = client.command(&format!("SELECT {name}")).await.ok()?;
            match &*answer.code() {
                "UNAVAILABLE" => return None,
                _ => state &= (answer.status == Status::Ok) == expected,
            }
        }
        Some(state)
    })
    .await
}

/// Sets a keyword on a message and takes it off again; NO must not have changed anything.
async fn store(run: &Run, number: usize, user: &str) -> Tested {
    let mut client = run.reader(number, user).await?;
    let mut serial = 0;
    while run.goes_on() {
        serial += 1;
        let keyword = format!("k{}", serial % 40);
        let line = format!("UID STORE 1 FLAGS.SILENT ({keyword})");
        loop {
            match Heard::of(run, "STORE", client.command(&line).await).await {
                Heard::Done => break,
                Heard::Refused(code) => anyhow::bail!("STORE refused: {code}"),
                heard => {
                    client = run.reader(number, user).await?;
                    let Ok(found) = client.uid_search(&format!("UID 1 KEYWORD {keyword}")).await
                    else {
                        client = run.reader(number, user).await?;
                        continue;
                    };
                    if heard == Heard::NotDone && !found.is_empty() {
                        run.untrue(format!("{line} was said not to be done")).await;
                    }
                }
            }
        }
        run.count();
    }
    Ok(())
}

/// Numbers that a seed determines (splitmix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(default)
}

async fn kill(run: &Run, kills: u64) -> Tested {
    let mut seed = setting("MURDER_SEED", 1);
    for _ in 0..kills {
        let goal = run.done.load(Ordering::Relaxed) + 5 + (next(&mut seed) % 30) as usize;
        wait_until("work goes on", async || {
            (run.done.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await?;
        let node = ["be1", "be2", "be1", "be2", "mu1"][(next(&mut seed) % 5) as usize];
        let killed = run.murder.kill(node)?;
        run.murder.wait_restarted(node, killed).await?;
    }
    run.stop.store(true, Ordering::Relaxed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_obeys_stores_nothing_twice_and_loses_nothing() -> Tested {
    let run = Run {
        murder: Processes::builder(MURDER).users(4).start().await?,
        stop: AtomicBool::new(false),
        done: AtomicUsize::new(0),
        untrue: Mutex::default(),
        heard: Mutex::default(),
    };
    let users = ["user1", "user2", "user3", "user4"];
    for user in users {
        let mut client = run.client(1, user).await?;
        client.append("INBOX", "", &text("first", "")).await?;
    }
    let (one, two, three, kept_one, kept_two, (), ()) = tokio::try_join!(
        append(&run, 1, "user1"),
        append(&run, 2, "user2"),
        deliver(&run, 1, &users),
        change_names(&run, 1, "user3"),
        change_names(&run, 2, "user4"),
        store(&run, 2, "user3"),
        kill(&run, setting("MURDER_KILLS", 5)),
    )?;
    println!("{:#?}", run.heard.lock().await);
    let untrue = run.untrue.lock().await;
    assert!(untrue.is_empty(), "{untrue:#?}");
    for (user, appended) in [
        ("user1", &one),
        ("user2", &two),
        ("user3", &vec![]),
        ("user4", &vec![]),
    ] {
        let mut client = run.reader(2, user).await?;
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for (_, body) in client.fetch_all().await? {
            let body = String::from_utf8(body)?;
            let subject = body.lines().find_map(|line| line.strip_prefix("Subject: "));
            *found
                .entry(subject.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        for subject in appended.iter().chain(&three) {
            assert_eq!(
                found.get(subject),
                Some(&1),
                "{user} has {subject} so often"
            );
        }
    }
    for (user, kept) in [("user3", &kept_one), ("user4", &kept_two)] {
        let mut listed = run.client(2, user).await?.list("*").await?;
        listed.retain(|name| name != "INBOX");
        listed.sort_unstable();
        let mut kept = kept.clone();
        kept.sort_unstable();
        assert_eq!(listed, kept, "{user}");
    }
    Ok(())
}
