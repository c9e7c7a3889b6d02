//! Fetches of whole messages, one at a time.

use std::time::Instant;

use murder_testkit::ImapClient;
use murder_testkit::corpus::Generator;

use super::rate;
use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

/// Messages in each client's mailbox.
pub const MESSAGES: u32 = 200;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let sessions = sessions(target, arguments).await?;
    let detail = format!("{} bytes each", arguments.size);
    let figure = rate::measure("body fetches", &detail, arguments, sessions, run).await?;
    Ok(vec![figure])
}

/// Clients with a mailbox selected that has [`MESSAGES`] messages.
pub async fn sessions(
    target: &Target,
    arguments: &Arguments,
) -> anyhow::Result<Vec<(ImapClient, u64)>> {
    let mut sessions = Vec::new();
    for number in 0..arguments.clients {
        let mut client = target.client(number).await?;
        Target::have(&mut client, "Fetch").await?;
        let there = u32::try_from(client.status("Fetch", "MESSAGES").await?)?;
        let mut generator = Generator::new(number.into());
        let mut tags = Vec::new();
        for _ in there..MESSAGES {
            let message = String::from_utf8(generator.sized(arguments.size))?;
            let line = format!("APPEND Fetch {{{}+}}\r\n{message}", message.len());
            tags.push(client.send(&line).await?);
        }
        for tag in tags {
            client.finish(&tag).await?;
        }
        client.select("Fetch").await?;
        sessions.push((client, number.into()));
    }
    Ok(sessions)
}

async fn run((mut client, seed): (ImapClient, u64), end: Instant) -> anyhow::Result<u64> {
    let mut random = Generator::new(seed);
    let mut done = 0;
    while Instant::now() < end {
        let seq = random.below(MESSAGES.into()) + 1;
        let answer = client.ok(&format!("FETCH {seq} (BODY.PEEK[])")).await?;
        anyhow::ensure!(answer.untagged.len() == 1, "{answer:?}");
        done += 1;
    }
    Ok(done)
}
