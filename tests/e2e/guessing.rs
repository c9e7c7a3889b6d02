//! Who guesses passwords is slowed down and kept out; whose password it is, is not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Context;
use murder_testkit::{ImapClient, Murder, Pop3Client, Processes, Status, wait_until};

use crate::operator::{done, refused, told};
use crate::{MURDER, Tested};

const OWNER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 77, 1));
const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 77, 2));

/// Guesses until no guess is looked at any more; how many were.
async fn guess(door: SocketAddr, user: &str) -> anyhow::Result<usize> {
    let mut guesses = 0;
    loop {
        let Ok(mut client) = ImapClient::connect_from(GUESSER, door).await else {
            return Ok(guesses);
        };
        while let Ok(answer) = client
            .command(&format!("LOGIN {user} guess{guesses}"))
            .await
        {
            assert_eq!(answer.status, Status::No);
            match answer.code().as_str() {
                "AUTHENTICATIONFAILED" => guesses += 1,
                _ => return Ok(guesses),
            }
        }
    }
}

async fn gets_in(from: IpAddr, door: SocketAddr) -> bool {
    let connected = ImapClient::connect_from(from, door).await;
    match connected {
        Ok(mut client) => client.login("user1", "secret").await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guesser_is_kept_out_everywhere_and_the_owner_nowhere() -> Tested {
    let murder = Murder::builder()
        .login_setting("trusted = []")
        .login_setting("block_after = 8")
        .limit("failed_login_delay_ms = 5")
        .start()
        .await?;
    let frontend = murder.frontend(1).imap;
    let doors = [
        frontend,
        murder.frontend(2).imap,
        murder.backend(1).imap,
        murder.backend(2).imap,
    ];
    for door in doors {
        assert!(gets_in(OWNER, door).await, "{door}");
    }
    // Nobody's name does as well as anybody's.
    assert_eq!(guess(frontend, "nobody").await?, 8);
    for door in doors {
        wait_until("the block is known", async || {
            (ImapClient::connect_from(GUESSER, door).await.is_err()).then_some(())
        })
        .await?;
        assert!(gets_in(OWNER, door).await, "{door}");
    }
    let pop3 = murder.backend(1).pop3;
    assert!(Pop3Client::connect_from(GUESSER, pop3).await.is_err());
    Pop3Client::connect_from(OWNER, pop3).await?;

    let blocks = told(&murder, &["block", "list"]).await?;
    assert_eq!(blocks[0]["network"], format!("{GUESSER}/32"));
    assert_eq!(blocks[0]["by"], "fe1");
    assert!(blocks[0]["until"].is_u64());
    done(&murder, &["block", "remove", &GUESSER.to_string()]).await?;
    for door in doors {
        wait_until("the block is taken back", async || {
            (gets_in(GUESSER, door).await).then_some(())
        })
        .await?;
    }

    let network = "127.0.77.0/24";
    let added = ["block", "add", network, "--for", "1h", "--reason", "a test"];
    done(&murder, &added).await?;
    for door in doors {
        wait_until("the network is blocked", async || {
            (!gets_in(OWNER, door).await).then_some(())
        })
        .await?;
    }
    // Backends are asked by frontends, whatever is blocked.
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert!(gets_in(here, frontend).await);
    let shown = done(&murder, &["block", "list"]).await?;
    assert!(
        shown.contains(network) && shown.contains("a test"),
        "{shown}"
    );
    done(&murder, &["block", "remove", network]).await?;
    let why = refused(&murder, &["block", "remove", network]).await?;
    assert!(why.contains("is not blocked"), "{why}");
    let why = refused(&murder, &["block", "add", "localhost"]).await?;
    assert!(why.contains("neither an address nor a network"), "{why}");
    Ok(())
}

/// The lines that fail2ban's filter finds, with the addresses: by its regular expressions.
fn found(lines: &str) -> anyhow::Result<Vec<String>> {
    let filter = include_str!("../../deploy/fail2ban/filter.d/murder.conf");
    let (_, rules) = filter.split_once("failregex = ").unwrap();
    let (rules, _) = rules.split_once("\n\n").unwrap();
    let rules = rules
        .lines()
        .map(|rule| regex::Regex::new(&rule.trim().replace("<ADDR>", "([0-9a-f.:]+)")))
        .collect::<Result<Vec<_>, _>>()?;
    let of = |line: &str| {
        let found = rules.iter().find_map(|rule| rule.captures(line));
        found.map(|found| found[1].to_owned())
    };
    Ok(lines.lines().filter_map(of).collect())
}

/// The same by itself, where it is installed: how many lines it finds.
fn found_by_fail2ban(log: &std::path::Path) -> anyhow::Result<Option<usize>> {
    let filter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/fail2ban/filter.d/murder.conf"
    );
    let Ok(output) = Command::new("fail2ban-regex").arg(log).arg(filter).output() else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let matched = text.lines().find_map(|line| {
        let (_, counts) = line.split_once("Lines: ")?;
        counts
            .split(", ")
            .find_map(|c| c.strip_suffix(" matched")?.parse().ok())
    });
    anyhow::ensure!(matched.is_some(), "{text}");
    Ok(matched)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_login_is_in_the_audit_log_and_fail2ban_finds_the_failed_ones() -> Tested {
    for format in ["text", "json"] {
        let murder = Processes::builder(MURDER).users(1).start().await?;
        let topology = murder.topology()?;
        for name in ["fe1", "be1"] {
            // Another format, by a configuration that is the operator's after all.
            let node = murder.node(name)?;
            let text = std::fs::read_to_string(&node.config)?;
            let text = text.replace("[log]\n", &format!("[log]\nformat = \"{format}\"\n"));
            let text = match text.contains("[log]") {
                true => text,
                false => format!("{text}\n[log]\nformat = \"{format}\"\n"),
            };
            std::fs::write(&node.config, text)?;
            let killed = murder.kill(name)?;
            murder.wait_restarted(name, killed).await?;
            murder.wait_node_ready(name).await?;
        }
        let (frontend, backend) = (&topology.frontends[0], &topology.backends[0]);
        for door in [&frontend.imap, &backend.imap] {
            let mut client = ImapClient::connect_from(GUESSER, *door).await?;
            // What a guesser would have fail2ban believe is nothing but a name.
            for name in [
                "user1",
                "nobody",
                r#"" audit: event=\"login_failed\" client=192.0.2.1 protocol=""#,
                r#""\",\"event\":\"login_failed\",\"client\":\"192.0.2.1\",\"protocol\":""#,
            ] {
                client
                    .no(&format!("LOGIN {name} wrong"), "AUTHENTICATIONFAILED")
                    .await?;
            }
            // The administrator, as a user.
            let plain = "dXNlcjEAYWRtaW4Ac2VjcmV0"; // user1 NUL admin NUL secret
            client.ok(&format!("AUTHENTICATE PLAIN {plain}")).await?;
        }
        let mut pop3 = Pop3Client::connect_from(GUESSER, backend.pop3.context("no POP3")?).await?;
        pop3.command("USER user1").await?;
        pop3.command("PASS wrong").await?;
        pop3.command("USER user1").await?;
        pop3.command("PASS secret").await?;
        for (name, failed) in [("fe1", 4), ("be1", 5)] {
            let log = murder.dir().join(name).join(format!("{name}.log"));
            let lines = std::fs::read_to_string(&log)?;
            let audit = |event: &str| {
                let of = move |line: &&str| line.contains("audit") && line.contains(event);
                lines.lines().filter(of).collect::<Vec<_>>()
            };
            let in_field = |line: &str, field: &str, value: &str| match format {
                "text" => line.contains(&format!("{field}=\"{value}\"")),
                _ => line.contains(&format!("\"{field}\":\"{value}\"")),
            };
            let logins = match format {
                "text" => audit("event=\"login\""),
                _ => audit("\"event\":\"login\""),
            };
            let as_user1 = logins.iter().find(|line| {
                in_field(line, "user", "user1") && in_field(line, "authenticated", "admin")
            });
            let line = as_user1.unwrap_or_else(|| panic!("{name}: {lines}"));
            assert!(in_field(line, "mechanism", "PLAIN"), "{line}");
            assert!(line.contains(&GUESSER.to_string()), "{line}");
            let refused = audit("login_failed");
            assert!(refused.iter().any(|line| in_field(line, "user", "nobody")
                && line.contains("authentication failed")
                && line.contains("session")));
            assert!(
                !lines.contains("wrong") && !lines.contains("secret"),
                "{name}: {lines}"
            );
            assert_eq!(found(&lines)?, vec![GUESSER.to_string(); failed], "{lines}");
            if let Some(matched) = found_by_fail2ban(&log)? {
                assert_eq!(matched, failed, "{name}, {format}");
            }
        }
    }
    Ok(())
}
