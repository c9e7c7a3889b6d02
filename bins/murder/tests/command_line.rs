//! What the tool says and with which exit code, where no murder is needed.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Result, ensure};
use serde_json::Value;

fn murder(dir: &Path, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_murder"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .args(arguments)
        .output()?;
    Ok(output)
}

/// Runs it; checks the exit code and that standard error has `said`.
fn fails(dir: &Path, code: i32, said: &str, arguments: &[&str]) -> Result<()> {
    let output = murder(dir, arguments)?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code) && text.contains(said),
        "{arguments:?}: {} {text}",
        output.status
    );
    Ok(())
}

fn succeeds(dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = murder(dir, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn an_authority_and_a_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let issue = ["cert", "issue", "be1", "--role", "backend", "--ca", "ca"];
    fails(dir, 1, "murder cert init --dir ca", &issue)?;
    let made = succeeds(dir, &["cert", "init", "--dir", "ca"])?;
    ensure!(made == "ca/ca.key\nca/ca.pem\n", "{made}");
    fails(dir, 1, "ca/ca.key", &["cert", "init", "--dir", "ca"])?;
    let made = succeeds(dir, &[&issue[..], &["--out", "be1", "--json"]].concat())?;
    let made: Value = serde_json::from_str(&made)?;
    for (key, file) in [("ca", "ca.pem"), ("cert", "be1.pem"), ("key", "be1.key")] {
        ensure!(made[key] == format!("be1/{file}"), "{made}");
        ensure!(dir.join("be1").join(file).exists(), "{file}");
    }
    fails(
        dir,
        2,
        "`king` is no role",
        &["cert", "issue", "be1", "--role", "king"],
    )?;

    std::fs::write(
        dir.join("be1.toml"),
        "[node]\nname = 'be1'\n[cluster]\nca = 'be1/ca.pem'\ncert = 'be1/be1.pem'\nkey = 'be1/be1.key'\n",
    )?;
    let check = ["role", "mupdate", "--check", "--config", "be1.toml"];
    ensure!(succeeds(dir, &check)? == "be1.toml: ok\n");
    Ok(())
}

#[test]
fn a_wrong_configuration_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    std::fs::write(
        dir.join("mu1.toml"),
        "[cluster]\nca = 'c'\ncert = 'n'\nkey = 'k'\n\n[grpc]\nlisen = '127.0.0.1:1'\n",
    )?;
    let role = ["role", "mupdate", "--config", "mu1.toml"];
    let said = "mu1.toml:7:1: unknown key `grpc.lisen`; did you mean `listen`?";
    fails(dir, 2, said, &role)?;
    let said = "nowhere.toml: cannot be read";
    fails(dir, 2, said, &["user", "list", "--config", "nowhere.toml"])?;
    std::fs::write(
        dir.join("operator.toml"),
        "[cluster]\nca = 'c'\ncert = 'n'\nkey = 'k'\n[mupdate]\n",
    )?;
    let said = "names no master";
    fails(dir, 2, said, &["user", "list", "--config", "operator.toml"])?;
    fails(dir, 2, "--bogus", &["up", "--bogus"])
}

#[test]
fn a_password_is_hashed_for_a_users_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hash = succeeds(dir.path(), &["user", "hash", "--password", "secret"])?;
    ensure!(murder_auth::verify_password("secret", hash.trim_end()));
    fails(dir.path(), 1, "no password", &["user", "hash"])
}

#[test]
fn no_murder_is_no_panic() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fails(dir.path(), 1, "no murder in", &["down", "--dir", "nowhere"])?;
    let said = succeeds(dir.path(), &["down", "--dir", "."])?;
    ensure!(said.starts_with("no murder runs in"), "{said}");
    Ok(())
}
