//! Logins of known users: connect, LOGIN, LOGOUT.

use std::net::SocketAddr;
use std::time::Instant;

use murder_testkit::ImapClient;

use super::rate;
use crate::Arguments;
use crate::figure::Figure;
use crate::target::Target;

pub async fn measure(target: &Target, arguments: &Arguments) -> anyhow::Result<Vec<Figure>> {
    let frontends = &target.topology().frontends;
    let mut sessions = Vec::new();
    for number in 0..arguments.clients {
        // Once before, so that the password's hash is not what is measured.
        target.client(number).await?.logout().await?;
        sessions.push((
            frontends[number as usize % frontends.len()].imap,
            target.user(number),
            target.topology().users.password.clone(),
        ));
    }
    let figure = rate::measure("logins", "connect to LOGOUT", arguments, sessions, run).await?;
    Ok(vec![figure])
}

async fn run(
    (address, user, password): (SocketAddr, String, String),
    end: Instant,
) -> anyhow::Result<u64> {
    let mut done = 0;
    while Instant::now() < end {
        let mut client = ImapClient::connect(address).await?;
        client.login(&user, &password).await?;
        client.logout().await?;
        done += 1;
    }
    Ok(done)
}
