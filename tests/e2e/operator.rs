//! The operator's tool, beside a murder of the test's process.

use murder_testkit::Murder;
use serde_json::Value;

use crate::MURDER;

/// What it said.
pub struct Said {
    pub ok: bool,
    pub output: String,
    pub error: String,
}

/// Runs `murder` with these words and the murder's operator.
pub async fn operate(murder: &Murder, words: &[&str]) -> anyhow::Result<Said> {
    operate_in(murder.dir(), words).await
}

/// The same for any directory with an operator's file in it.
pub async fn operate_in(dir: &std::path::Path, words: &[&str]) -> anyhow::Result<Said> {
    let mut command = tokio::process::Command::new(MURDER);
    let output = command.args(words).arg("--dir").arg(dir).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        ok: output.status.success(),
        output: text(&output.stdout),
        error: text(&output.stderr),
    })
}

/// What it answers when all goes well.
pub async fn done(murder: &Murder, words: &[&str]) -> anyhow::Result<String> {
    let said = operate(murder, words).await?;
    anyhow::ensure!(said.ok, "{words:?}: {}", said.error);
    Ok(said.output)
}

/// The same in JSON.
pub async fn told(murder: &Murder, words: &[&str]) -> anyhow::Result<Value> {
    let text = done(murder, &[words, &["--json"]].concat()).await?;
    Ok(serde_json::from_str(&text)?)
}

/// Why it fails.
pub async fn refused(murder: &Murder, words: &[&str]) -> anyhow::Result<String> {
    let said = operate(murder, words).await?;
    anyhow::ensure!(!said.ok, "{words:?} succeeded: {}", said.output);
    Ok(said.error)
}
