//! Damage on a backend's disk, as users and operators see it: files go after a `kill -9`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use murder_testkit::{ImapClient, Processes, http_get, metric, wait_until};
use serde_json::Value;

use crate::{MURDER, Tested, message};

fn repair(config: &Path) -> anyhow::Result<Value> {
    let mut command = Command::new(MURDER);
    let command = command.args(["repair", "--json", "--config"]).arg(config);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let reports: Value = serde_json::from_slice(&output.stdout)?;
    Ok(reports[0].clone())
}

/// Waits until `/healthz` of the backend says this, or is green for `None`.
async fn health(murder: &Processes, says: Option<&str>) -> Tested {
    let http = murder.node("be1")?.http;
    wait_until("the backend's health is known", async || {
        let answer = http_get(http, "/healthz").await.ok()?;
        let as_wanted = match says {
            Some(says) => answer.status != 200 && answer.body.contains(says),
            None => answer.status == 200,
        };
        as_wanted.then_some(())
    })
    .await
}

/// Kills the backend and waits for the next one, which need not be ready.
async fn kill(murder: &Processes) -> Tested {
    let killed = murder.kill("be1")?;
    wait_until("the backend runs again", async || {
        let now = murder.node("be1").ok()?;
        (now.pid != killed).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_files_are_said_and_no_mail_is_forgotten() -> Tested {
    let builder = Processes::builder(MURDER).users(2);
    let murder = builder.argument("--backends=1").start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    for user in ["user1", "user2"] {
        for number in 1..=3 {
            let text = message(&format!("{user}-{number}"));
            lmtp.deliver_one(user, &text).await?;
        }
    }
    murder.imap(1, "user1").await?.select("INBOX").await?;
    let dir = murder.dir().to_owned();
    let config = murder.node("be1")?.config;
    let data = dir.join("be1/data/default");

    // What is known of the partition as a whole is lost: all mail is read, nothing is written.
    for file in ["partition.db", "partition.db-wal", "partition.db-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    kill(&murder).await?;
    health(&murder, Some("partition.db")).await?;
    let http = murder.node("be1")?.http;
    let writable = metric(http, "murder_backend_partition_writable").await?;
    assert_eq!(writable as u32, 0);
    for user in ["user1", "user2"] {
        let mut client = select(&murder, user).await?;
        let bodies = client.fetch_all().await?;
        assert!(bodies.iter().map(|(uid, _)| *uid).eq(1..=3));
        for (uid, body) in bodies {
            // Below the fields that the delivery has put before it.
            assert!(body.ends_with(&message(&format!("{user}-{uid}"))));
        }
        client.no("UID STORE 1 +FLAGS (\\Flagged)", "").await?;
    }
    let kept = murder.stop_and_keep().await?.context("a directory")?;
    let report = repair(&config)?;
    let why = report["gathered"].as_str().unwrap_or_default();
    assert!(why.contains("partition.db"), "{report}");
    assert_eq!(report["lost"], Value::Array(Vec::new()), "{report}");
    assert!(repair(&config)?["gathered"].is_null());

    let murder = Processes::builder(MURDER).dir(&dir).start().await?;
    health(&murder, None).await?;
    let mut client = select(&murder, "user1").await?;
    client.ok("UID STORE 1 +FLAGS (\\Flagged)").await?;

    // Files of bodies are lost: the messages stay, and are damaged, never expunged.
    for entry in std::fs::read_dir(data.join("journal"))? {
        let file = entry?.path();
        let bytes = std::fs::read(&file)?;
        let text = b"Text of user1-1.";
        if bytes.windows(text.len()).any(|window| window == text) {
            std::fs::remove_file(file)?;
        }
    }
    kill(&murder).await?;
    health(&murder, Some("it is missing")).await?;
    let http = murder.node("be1")?.http;
    let damaged = metric(http, "murder_backend_partition_damaged_files").await?;
    assert_eq!(damaged as u32, 1);
    let mut client = select(&murder, "user1").await?;
    for items in ["BODY.PEEK[]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<3.5>"] {
        let fetch = format!("UID FETCH 1 ({items})");
        client.no(&fetch, "CORRUPTION").await?;
    }
    assert_eq!(client.uid_search("ALL").await?, [1, 2, 3]);
    murder.stop().await?;
    drop(kept);
    Ok(())
}

/// A session with the INBOX selected, once the backend is there.
async fn select(murder: &Processes, user: &str) -> anyhow::Result<ImapClient> {
    let mut client = murder.imap(1, user).await?;
    wait_until("the INBOX is there", async || {
        client.select("INBOX").await.ok()
    })
    .await?;
    Ok(client)
}
