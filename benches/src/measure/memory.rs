//! What a client costs that is logged in, has a mailbox selected, and does nothing.

use std::time::Duration;

use anyhow::Context;
use murder_testkit::Topology;

use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

/// For buffers to be given back.
const SETTLE: Duration = Duration::from_secs(2);
/// Clients that come first, so that what is made once is there.
const FIRST: u32 = 8;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let mut first = Vec::new();
    for number in 0..FIRST {
        let mut client = target.client(number).await?;
        client.select("INBOX").await?;
        first.push(client);
    }
    let before = used(target.topology()).await?;
    let mut clients = Vec::new();
    for number in 0..arguments.idle {
        let mut client = target.client(number).await?;
        client.select("INBOX").await?;
        clients.push(client);
    }
    let selected = used(target.topology()).await?;
    for client in &mut clients {
        client.idle().await?;
    }
    let idling = used(target.topology()).await?;
    let each = |after: u64, before: u64| {
        after.saturating_sub(before) as f64 / f64::from(arguments.idle.max(1))
    };
    let mut figures = Vec::new();
    for (state, after, goal) in [
        ("selected", selected, Some(64.0)),
        ("in IDLE", idling, None),
    ] {
        let frontend = each(after.0, before.0);
        let backend = each(after.1, before.1);
        let detail = format!(
            "{} clients: frontend {frontend:.1} KiB, backend {backend:.1} KiB each",
            arguments.idle
        );
        let name = format!("memory of a client, {state}");
        let mut figure = Figure::new(&name, frontend + backend, "KiB", detail);
        figure.goal = goal;
        figures.push(figure);
    }
    Ok(figures)
}

/// KiB of all frontends, and of all backends.
async fn used(topology: &Topology) -> anyhow::Result<(u64, u64)> {
    tokio::time::sleep(SETTLE).await;
    let sum = |nodes: &[murder_testkit::MailNode]| -> anyhow::Result<u64> {
        nodes.iter().map(|node| private_kib(node.pid)).sum()
    };
    Ok((sum(&topology.frontends)?, sum(&topology.backends)?))
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
