//! SELECT of a large mailbox that is in memory already.

use std::time::Instant;

use murder_testkit::corpus::Generator;

use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

const ROUNDS: usize = 300;
/// APPENDs that are under way at the same time.
const PIPELINE: usize = 200;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let mut client = target.client(0).await?;
    let name = format!("Bench{}", arguments.messages);
    Target::have(&mut client, &name).await?;
    let there = client.status(&name, "MESSAGES").await?;
    let mut generator = Generator::new(there);
    let missing = u64::from(arguments.messages).saturating_sub(there);
    let mut tags = std::collections::VecDeque::new();
    for _ in 0..missing {
        let message = String::from_utf8(generator.sized(1024))?;
        let line = format!("APPEND {name} {{{}+}}\r\n{message}", message.len());
        tags.push_back(client.send(&line).await?);
        if tags.len() >= PIPELINE
            && let Some(tag) = tags.pop_front()
        {
            client.finish(&tag).await?;
        }
    }
    for tag in tags {
        client.finish(&tag).await?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let selected = client.select(&name).await?;
        times.push(begun.elapsed());
        anyhow::ensure!(selected.exists >= arguments.messages, "{selected:?}");
        client.ok("UNSELECT").await?;
    }
    let detail = format!("{} messages, warm, through a frontend", arguments.messages);
    Ok(vec![Figure::median("SELECT", times, &detail).goal(5.0)])
}
