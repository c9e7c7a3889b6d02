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
        "[node]\nname = 'be1'\n[cluster]\nca = 'be1/ca.pem'\ncert = 'be1/be1.pem'\nkey = 'be1/be1.key'\n\
         [partitions.default]\npath = 'mail'\n",
    )?;
    let check = ["role", "backend", "--check", "--config", "be1.toml"];
    ensure!(succeeds(dir, &check)? == "be1.toml: ok\n");
    ensure!(!dir.join("mail").exists());
    // The certificate is no master's, which is told with what else does not fit.
    let check = ["role", "mupdate", "--check", "--config", "be1.toml"];
    let all =
        "be1.toml:5:1: the certificate is that of `be1` (backend), but the node is `be1` (mupdate)";
    fails(dir, 2, "be1.toml:7:2: unknown key `partitions`", &check)?;
    fails(dir, 2, all, &check)?;
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
    let said = "operator.toml:5:2: `mupdate.masters` names no master";
    fails(dir, 2, said, &["user", "list", "--config", "operator.toml"])?;
    // With the rest of what is wrong with it, in the file's order.
    let said = "operator.toml:2:1: ./c: cannot be read";
    fails(dir, 2, said, &["user", "list", "--config", "operator.toml"])?;
    fails(dir, 2, "which murder?", &["status"])?;
    fails(dir, 2, "which limit?", &["quota", "set", "user/alice"])?;
    fails(dir, 2, "--bogus", &["up", "--bogus"])
}

#[test]
fn all_mistakes_are_told_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    std::fs::write(
        dir.join("fe1.toml"),
        "[node]\nname = 'fe 1'\n[cluster]\nca = 'c'\ncert = 'n'\nkey = 'k'\n\
         [mupdate]\nmasters = ['mu1']\n\
         [imap]\nlisten = ['127.0.0.1:143', '0.0.0.0:143']\nlisen = []\n\
         [lmtp]\nmessage_limit = 'much'\n\
         [limits]\nmax_connections = 0\n[log]\nlevel = 'inof'\n",
    )?;
    for check in [&["--check"][..], &[]] {
        let arguments = [&["role", "frontend", "--config", "fe1.toml"][..], check].concat();
        let output = murder(dir, &arguments)?;
        let text = String::from_utf8(output.stderr)?;
        let starts: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(": ").nth(1))
            .collect();
        let places: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(": ").next())
            .collect();
        ensure!(
            places
                == [
                    "fe1.toml:2:1",
                    "fe1.toml:4:1",
                    "fe1.toml:5:1",
                    "fe1.toml:6:1",
                    "fe1.toml:8:1",
                    "fe1.toml:10:1",
                    "fe1.toml:11:1",
                    "fe1.toml:13:17",
                    "fe1.toml:15:1",
                    "fe1.toml:17:1",
                ],
            "{text}"
        );
        ensure!(starts[9].starts_with("`log.level` = `inof`"), "{text}");
        ensure!(output.status.code() == Some(2), "{}", output.status);
    }
    Ok(())
}

#[test]
fn a_password_is_hashed_for_a_users_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hash = succeeds(dir.path(), &["user", "hash", "--password", "secret"])?;
    ensure!(murder_auth::verify_password("secret", hash.trim_end()));
    fails(dir.path(), 2, "no password", &["user", "hash"])
}

#[test]
fn no_murder_is_no_panic() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fails(dir.path(), 1, "no murder in", &["down", "--dir", "nowhere"])?;
    let said = succeeds(dir.path(), &["down", "--dir", "."])?;
    ensure!(said.starts_with("no murder runs in"), "{said}");
    Ok(())
}
