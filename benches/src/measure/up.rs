//! How long `murder up` takes: with a new directory, and with one that it knows.

use std::time::Instant;

use murder_testkit::Processes;

use crate::Arguments;
use crate::figure::Figure;
use crate::target::program;

const ROUNDS: usize = 3;

pub async fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let program = program(arguments.murder.as_ref())?;
    let (mut first, mut again, mut restarted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let murder = Processes::builder(&program).start().await?;
        first.push(begun.elapsed());
        let dir = murder.dir().to_owned();
        let kept = murder.stop_and_keep().await?;
        let begun = Instant::now();
        let murder = Processes::builder(&program).dir(&dir).start().await?;
        again.push(begun.elapsed());
        for node in ["fe1", "be1", "mu1"] {
            let begun = Instant::now();
            let killed = murder.kill(node)?;
            murder.wait_restarted(node, killed).await?;
            restarted.push(begun.elapsed());
        }
        murder.stop().await?;
        drop(kept);
    }
    Ok(vec![
        Figure::median("murder up, new", first, "100 users, until ready").goal(2000.0),
        Figure::median("murder up, again", again, "the same directory"),
        Figure::median("kill -9 of a node", restarted, "until another is ready").goal(1000.0),
    ])
}
