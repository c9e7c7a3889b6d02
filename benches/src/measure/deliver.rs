//! LMTP deliveries, each to one user.

use std::time::Instant;

use murder_testkit::LmtpClient;
use murder_testkit::corpus::Generator;

use super::rate;
use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

/// What a connection needs: where it delivers to, and what.
type Session = (LmtpClient, Vec<String>, Vec<u8>);

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let users: Vec<String> = (0..target.topology().users.count)
        .map(|number| target.user(number))
        .collect();
    let mut sessions: Vec<Session> = Vec::new();
    for number in 0..arguments.clients {
        let mut users = users.clone();
        let first = number as usize % users.len().max(1);
        users.rotate_left(first);
        let message = Generator::new(number.into()).sized(arguments.size);
        sessions.push((target.lmtp(number).await?, users, message));
    }
    let detail = format!("LMTP, {} bytes each", arguments.size);
    let figure = rate::measure("deliveries", &detail, arguments, sessions, run).await?;
    Ok(vec![figure])
}

async fn run((mut lmtp, users, message): Session, end: Instant) -> anyhow::Result<u64> {
    let mut done = 0;
    for user in users.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        lmtp.deliver_one(user, &message).await?;
        done += 1;
    }
    Ok(done)
}
