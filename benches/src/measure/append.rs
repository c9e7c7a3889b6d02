//! APPENDs, each client to a mailbox of its own user.

use std::time::Instant;

use murder_testkit::ImapClient;
use murder_testkit::corpus::Generator;

use super::rate;
use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let mut sessions = Vec::new();
    for number in 0..arguments.clients {
        let mut client = target.client(number).await?;
        Target::have(&mut client, "Append").await?;
        sessions.push((client, Generator::new(number.into()).sized(arguments.size)));
    }
    let detail = format!("{} bytes each", arguments.size);
    let figure = rate::measure("APPEND", &detail, arguments, sessions, run).await?;
    Ok(vec![figure])
}

async fn run((mut client, message): (ImapClient, Vec<u8>), end: Instant) -> anyhow::Result<u64> {
    let mut done = 0;
    while Instant::now() < end {
        client.append("Append", "", &message).await?;
        done += 1;
    }
    Ok(done)
}
