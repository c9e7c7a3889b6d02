//! A damaged journal: what is lost is said, the rest is served.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context;
use murder_testkit::Processes;
use serde_json::Value;

use crate::{MURDER, Tested, message};

fn repair(config: &Path) -> anyhow::Result<Output> {
    let mut command = Command::new(MURDER);
    let command = command.args(["repair", "--json", "--config"]).arg(config);
    Ok(command.output()?)
}

/// Flips a bit of the journal, `before` octets before the first place of `text` there.
fn damage(journal: &Path, text: &[u8], before: usize) -> Tested {
    for entry in std::fs::read_dir(journal)? {
        let file: PathBuf = entry?.path();
        let mut bytes = std::fs::read(&file)?;
        let place = bytes.windows(text.len()).position(|window| window == text);
        if let Some(place) = place {
            bytes[place - before] ^= 1;
            return Ok(std::fs::write(file, bytes)?);
        }
    }
    anyhow::bail!("the text is not in the journal")
}

/// What is in user1's INBOX.
async fn stored(murder: &Processes) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut client = murder.imap(1, "user1").await?;
    client.select("INBOX").await?;
    let bodies = client.fetch_all().await?.into_iter();
    let mut bodies: Vec<Vec<u8>> = bodies.map(|(_, body)| body).collect();
    bodies.sort();
    Ok(bodies)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_served_and_repaired() -> Tested {
    let builder = Processes::builder(MURDER).users(2);
    let builder = builder.argument("--backends=1").argument("--no-restart");
    let murder = builder.start().await?;
    let mut lmtp = murder.lmtp(1).await?;
    for number in 1..=9 {
        lmtp.deliver_one("user1", &message(&format!("number-{number}")))
            .await?;
    }
    // What somebody reads is in the home before.
    let stored = self::stored(&murder).await?;
    let config = murder.node("be1")?.config;
    let refused = repair(&config)?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");

    let dir = murder.dir().to_owned();
    murder.kill("be1")?;
    let kept = murder.stop_and_keep().await?.context("a directory")?;
    let journal = dir.join("be1/data/default/journal");
    // Two octets before the body is the command: that record is lost, and only it.
    let ends = message("number-5");
    let fifth = stored.iter().find(|body| body.ends_with(&ends));
    damage(&journal, fifth.context("the fifth")?, 2)?;
    let repaired = repair(&config)?;
    let said = String::from_utf8_lossy(&repaired.stdout).into_owned();
    assert!(repaired.status.success(), "{said}");
    let report: Value = serde_json::from_str(&said)?;
    let report = &report[0];
    assert_eq!(report["partition"], "default", "{said}");
    assert_eq!(report["whole"], true, "{said}");
    assert_eq!(report["lost"][0]["records"], 1, "{said}");
    assert!(report["salvaged_records"].as_u64() >= Some(4), "{said}");
    let again: Value = serde_json::from_slice(&repair(&config)?.stdout)?;
    assert_eq!(again[0]["lost"], Value::Array(Vec::new()), "{again}");

    let murder = Processes::builder(MURDER).dir(&dir).start().await?;
    // The fifth had reached its home before the journal was damaged.
    assert!(self::stored(&murder).await? == stored);
    murder.stop().await?;
    drop(kept);
    Ok(())
}
