//! The accounts and INBOXes of a local murder.

use anyhow::{Context, bail, ensure};
use murder_auth::Account;
use murder_location::{MupdateClient, MupdateError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::node::{Kind, Service};
use super::plan::{ADMIN, Plan};
use crate::operator;

/// Accounts in one batch, some 200 bytes each.
const BATCH: usize = 2_000;
/// Connections to each backend that make INBOXes: the backend makes what comes at the same time
/// durable at once.
const CONNECTIONS: usize = 4;
/// Bytes of an answer line; ours are far shorter.
const LINE: u64 = 8192;

type Hash = Result<String, murder_auth::HashError>;

/// Makes the accounts that are missing, and gives the others the password if it has changed. The
/// hash is the same for all: this is a murder for trying out.
pub async fn accounts(plan: &Plan, hash: JoinHandle<Hash>) -> anyhow::Result<()> {
    let provisioned = plan.provisioned();
    let same_password = provisioned.password.as_deref() == Some(plan.password());
    if same_password && provisioned.users >= plan.users() {
        return Ok(());
    }
    let hash = hash.await??;
    let mut wanted: Vec<Account> = (1..=plan.users())
        .map(|n| account(&user(n), &hash))
        .collect();
    wanted.push(Account {
        admin: true,
        ..account(ADMIN, &hash)
    });
    let client = operator::connect_to_dir(plan.dir())?;
    let present = client.list_users("").await?;
    let names: std::collections::HashSet<&str> = present
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    let (known, new): (Vec<Account>, Vec<Account>) = wanted
        .into_iter()
        .partition(|account| names.contains(account.name.as_str()));
    add(&client, &new).await?;
    if !same_password {
        for account in known {
            client.set_password(&account.name, &hash).await?;
        }
    }
    Ok(())
}

async fn add(client: &MupdateClient, accounts: &[Account]) -> anyhow::Result<()> {
    for batch in accounts.chunks(BATCH) {
        match client.add_users(batch).await {
            Ok(_) => continue,
            // Of these, one or more; the others are added all the same.
            Err(MupdateError::FailedPrecondition(_)) => {}
            Err(error) => return Err(error).context("cannot make the users"),
        }
        for account in batch {
            match client.add_user(account).await {
                Ok(_) => {}
                Err(MupdateError::FailedPrecondition(why)) => eprintln!("murder: not added: {why}"),
                Err(error) => return Err(error).context("cannot make the users"),
            }
        }
    }
    Ok(())
}

fn account(name: &str, hash: &str) -> Account {
    Account {
        name: name.to_owned(),
        password_hash: hash.to_owned(),
        ..Account::default()
    }
}

fn user(number: u32) -> String {
    format!("user{number}")
}

/// Makes the INBOXes that are missing, each user's on the next backend, and has every frontend
/// find the last ones.
pub async fn mailboxes(plan: &Plan) -> anyhow::Result<()> {
    let new = plan.provisioned().users + 1..=plan.users();
    if new.is_empty() {
        return Ok(());
    }
    let backends: Vec<String> = plan
        .of(Kind::Backend)
        .map(|node| node.address(Service::Imap))
        .collect();
    let mut making = JoinSet::new();
    for (at, address) in backends.iter().enumerate() {
        let here: Vec<u32> = new
            .clone()
            .filter(|number| (*number as usize - 1) % backends.len() == at)
            .collect();
        for part in here.chunks(here.len().div_ceil(CONNECTIONS).max(1)) {
            let commands = part
                .iter()
                .map(|n| format!("CREATE user/{}", user(*n)))
                .collect();
            making.spawn(run(address.clone(), plan.password().to_owned(), commands));
        }
    }
    finish(making).await.context("cannot make the INBOXes")?;

    let last = new.end().saturating_sub(u32::try_from(backends.len())?) + 1;
    let finds: Vec<String> = (last.max(1)..=*new.end())
        // What an administrator may ask of a mailbox that is not his.
        .map(|n| format!("MYRIGHTS user/{}", user(n)))
        .collect();
    let mut finding = JoinSet::new();
    for node in plan.of(Kind::Frontend) {
        let address = node.address(Service::Imap);
        finding.spawn(run(address, plan.password().to_owned(), finds.clone()));
    }
    finish(finding)
        .await
        .context("a frontend does not find the INBOXes")
}

async fn finish(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Logs in as the administrator and does all commands, sent without waiting for answers.
async fn run(address: String, password: String, commands: Vec<String>) -> anyhow::Result<()> {
    let stream = TcpStream::connect(&address)
        .await
        .with_context(|| address.clone())?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut text = format!("0 LOGIN {ADMIN} {{{}+}}\r\n{password}\r\n", password.len());
    for (number, command) in commands.iter().enumerate() {
        text += &format!("{} {command}\r\n", number + 1);
    }
    let count = commands.len();
    text += &format!("{} LOGOUT\r\n", count + 1);
    let sending = async {
        write
            .write_all(text.as_bytes())
            .await
            .context("cannot send")
    };
    let receiving = async {
        for number in 0..=count {
            let line = completion(&mut lines, number).await?;
            let what = number
                .checked_sub(1)
                .map_or("LOGIN", |at| commands[at].as_str());
            let made_before = line.contains("[ALREADYEXISTS]");
            ensure!(
                line.starts_with("OK") || made_before,
                "{address}: {what}: {line}"
            );
        }
        Ok(())
    };
    let (sent, received) = tokio::join!(sending, receiving);
    received.and(sent)
}

/// The text of the tagged line with this number, after the tag.
async fn completion(
    lines: &mut (impl tokio::io::AsyncBufRead + Unpin),
    number: usize,
) -> anyhow::Result<String> {
    use tokio::io::AsyncReadExt;
    let tag = format!("{number} ");
    loop {
        let mut line = Vec::new();
        lines.take(LINE).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            bail!("the connection was closed");
        }
        let line = String::from_utf8_lossy(&line);
        if let Some(rest) = line.strip_prefix(&tag) {
            return Ok(rest.trim_end().to_owned());
        }
    }
}
