//! `murder status`: nodes tell the master how they are.

use murder_testkit::{Murder, wait_until};

use crate::Tested;
use crate::operator::{done, operate, refused, told};

/// Waits until `murder status --check` says that all is well, or fails saying `said`.
async fn until_check(murder: &Murder, said: Option<&str>) -> anyhow::Result<String> {
    let what = format!("`murder status --check`: {said:?}");
    wait_until(&what, async || {
        let answer = operate(murder, &["status", "--check"]).await.ok()?;
        match said {
            None => answer.ok.then_some(answer.output),
            Some(said) => (!answer.ok && answer.error.contains(said)).then_some(answer.error),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn check_is_green_until_something_is_wrong() -> Tested {
    let mut murder = Murder::builder().frontends(1).users(1).start().await?;
    let shown = until_check(&murder, None).await?;
    for node in ["mu1", "be1", "be2", "fe1"] {
        let row = shown.lines().find(|line| line.starts_with(node));
        anyhow::ensure!(row.is_some_and(|row| row.ends_with("ready")), "{shown}");
    }
    murder.kill_backend(2).await;
    let error = until_check(&murder, Some("be2 is down since")).await?;
    anyhow::ensure!(
        error.contains("be2!default is not served: be2 is down"),
        "{error}"
    );
    anyhow::ensure!(!error.contains("be1") && !error.contains("fe1"), "{error}");
    let status = told(&murder, &["status"]).await?;
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let be2 = nodes.clone().find(|node| node["name"] == "be2").unwrap();
    anyhow::ensure!(be2["ready"].is_null() && be2["since"].is_i64(), "{be2}");

    // What is gone for good is no trouble any more.
    refused(&murder, &["node", "forget", "be1", "--yes"]).await?;
    done(
        &murder,
        &["node", "forget", "be2", "--forget-mailboxes", "--yes"],
    )
    .await?;
    until_check(&murder, None).await?;
    murder.stop_frontend(1).await;
    until_check(&murder, Some("fe1 is down since")).await?;
    done(&murder, &["node", "forget", "fe1", "--yes"]).await?;
    until_check(&murder, None).await?;

    // Of a directory that is not what it must be, the node itself tells.
    murder.kill_backend(1).await;
    let partition = murder.dir().join("be1/data/default");
    std::fs::rename(partition, murder.dir().join("away"))?;
    murder.start_backend_unready(1).await?;
    until_check(&murder, Some("be1 is not ready: partition:default: ")).await?;
    until_check(&murder, Some("be1!default is offline")).await?;
    Ok(())
}
