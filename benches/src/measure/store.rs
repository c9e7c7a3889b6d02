//! Changes of flags, one message at a time.

use std::time::Instant;

use murder_testkit::ImapClient;
use murder_testkit::corpus::Generator;

use super::{fetch, rate};
use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let sessions = fetch::sessions(target, arguments).await?;
    let figure = rate::measure("flag changes", "durable", arguments, sessions, run).await?;
    Ok(vec![figure])
}

async fn run((mut client, seed): (ImapClient, u64), end: Instant) -> anyhow::Result<u64> {
    let mut random = Generator::new(seed);
    let mut done = 0;
    while Instant::now() < end {
        let seq = random.below(fetch::MESSAGES.into()) + 1;
        let sign = ["+", "-"][usize::from(done % 2 == 1)];
        let line = format!("STORE {seq} {sign}FLAGS (\\Flagged)");
        client.ok(&line).await?;
        done += 1;
    }
    Ok(done)
}
