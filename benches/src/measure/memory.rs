//! What a client costs that is logged in, has a mailbox selected, and does nothing.

use std::ops::Range;
use std::time::Duration;

use anyhow::Context;
use murder_testkit::{ImapClient, Topology};

use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

/// Between two looks at memory.
const PAUSE: Duration = Duration::from_secs(1);
/// So long tokio keeps a thread that has hashed, and the thread its memory.
const KEPT: Duration = Duration::from_secs(12);
/// Looks, at most, until it does not change any more.
const LOOKS: usize = 20;
/// KiB that it may change by between two looks.
const STEADY: u64 = 256;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    // Everyone's password is known then: a hash takes 19 MiB for a moment, which the process keeps
    // for a while.
    for number in 0..2 * arguments.idle {
        target.client(number).await?.logout().await?;
    }
    tokio::time::sleep(KEPT).await;
    // As many again come first, so that what is there once is there, and what was only kept is
    // used or given back.
    let first = open(target, 0..arguments.idle).await?;
    let before = used(target.topology()).await?;
    let mut clients = open(target, arguments.idle..2 * arguments.idle).await?;
    let selected = used(target.topology()).await?;
    for client in &mut clients {
        client.idle().await?;
    }
    let idling = used(target.topology()).await?;
    let each =
        |after: u64, before: u64| (after as f64 - before as f64) / f64::from(arguments.idle.max(1));
    let mut figures = Vec::new();
    for (state, after, goal) in [
        ("selected", selected, Some(64.0)),
        ("in IDLE", idling, None),
    ] {
        let frontend = each(after.0, before.0);
        let backend = each(after.1, before.1);
        let detail = format!(
            "{} clients: frontend {frontend:.1} KiB, backend {backend:.1} KiB each; all frontends \
             {} to {} KiB, all backends {} to {} KiB",
            arguments.idle, before.0, after.0, before.1, after.1
        );
        let name = format!("memory of a client, {state}");
        let mut figure = Figure::new(&name, frontend + backend, "KiB", detail);
        figure.goal = goal;
        figures.push(figure);
    }
    drop(first);
    Ok(figures)
}

/// Clients with these numbers that have their INBOX selected.
async fn open(target: &Target, numbers: Range<u32>) -> anyhow::Result<Vec<ImapClient>> {
    let mut clients = Vec::new();
    for number in numbers {
        let mut client = target.client(number).await?;
        client.select("INBOX").await?;
        clients.push(client);
    }
    Ok(clients)
}

/// KiB of all frontends, and of all backends, as soon as they do not change any more.
async fn used(topology: &Topology) -> anyhow::Result<(u64, u64)> {
    let sum = |nodes: &[murder_testkit::MailNode]| -> anyhow::Result<u64> {
        nodes.iter().map(|node| private_kib(node.pid)).sum()
    };
    let look = || anyhow::Ok((sum(&topology.frontends)?, sum(&topology.backends)?));
    let mut last = look()?;
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let now = look()?;
        let steady = now.0.abs_diff(last.0) <= STEADY && now.1.abs_diff(last.1) <= STEADY;
        last = now;
        if steady {
            break;
        }
    }
    Ok(last)
}

/// Memory that is the process's alone.
fn private_kib(pid: i32) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&file).context(file)?;
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        number.unwrap_or_default()
    };
    Ok(field("Private_Clean:") + field("Private_Dirty:"))
}
