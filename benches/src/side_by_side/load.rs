//! What clients do. Written once, for every server.

use std::collections::VecDeque;

use anyhow::ensure;
use tokio::task::JoinSet;

use super::Arguments;
use super::mail::{Mail, RARE};
use super::server::Server;
use super::wire::Wire;

/// Messages of the mailbox that each user has.
const EACH: u32 = 100;
/// Users that mail is delivered to by one connection.
const RECIPIENTS: u32 = 8;
/// Connections that fill the large mailbox at the same time.
const FILLERS: u32 = 16;
/// That mailbox.
const BENCH: &str = "Bench";
/// The first user's.
const LARGE: &str = "Large";
/// What APPEND appends to.
const APPEND: &str = "Append";

/// What a figure is compared by, and what it shall be at least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// So many times the better peer, in operations a second or in CPU an operation.
    Either(f64),
    /// So many times the operations a second of the better peer.
    Rate(f64),
    /// Milliseconds of an operation, at most.
    Milliseconds(f64),
}

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Load {
    /// APPEND to a mailbox of one's own
    Append,
    /// LMTP deliveries, one recipient each
    Deliver,
    /// FETCH of a whole message
    Body,
    /// STORE of a flag
    Flag,
    /// What a client shows of a mailbox with 100 messages
    Listing,
    /// SELECT, and the flags of 100 messages
    Select,
    /// ENVELOPE and BODYSTRUCTURE of a large mailbox; counted in messages
    Large,
    /// SEARCH TEXT of a word that one message of the large mailbox has
    Search,
}

impl Load {
    /// In the table.
    pub fn title(self, arguments: &Arguments) -> String {
        let kib = arguments.size as f64 / 1024.0;
        match self {
            Self::Append => format!("APPEND, {kib} KiB"),
            Self::Deliver => format!("LMTP delivery, {kib} KiB"),
            Self::Body => format!("FETCH of a body, {kib} KiB"),
            Self::Flag => "STORE of a flag".to_owned(),
            Self::Listing => format!("headers of {EACH} messages"),
            Self::Select => format!("SELECT, FLAGS of {EACH}"),
            Self::Large => format!(
                "ENVELOPE, BODYSTRUCTURE of {}, messages",
                arguments.messages
            ),
            Self::Search => format!("SEARCH TEXT in {}", arguments.messages),
        }
    }

    /// What is asked of ours.
    pub fn goal(self) -> Goal {
        match self {
            Self::Large => Goal::Rate(10.0),
            Self::Search => Goal::Milliseconds(20.0),
            _ => Goal::Either(3.0),
        }
    }

    /// Clients at the same time.
    pub fn clients(self, arguments: &Arguments) -> u32 {
        match self {
            Self::Large | Self::Search => 1,
            _ => arguments.clients,
        }
    }

    /// A client that is ready to begin.
    pub async fn client(
        self,
        server: &Server,
        number: u32,
        arguments: &Arguments,
    ) -> anyhow::Result<Client> {
        let mut wire = match self {
            Self::Deliver => server.delivery(number).await?,
            _ => server.client(number).await?,
        };
        let mut recipients = VecDeque::new();
        let mailbox = match self {
            Self::Append => {
                let mailbox = server.mailbox(APPEND);
                // Not there yet, or what an earlier round has appended.
                let _ = wire.command(&format!("DELETE {mailbox}")).await;
                wire.command(&format!("CREATE {mailbox}")).await?;
                mailbox
            }
            Self::Deliver => {
                let users = number * RECIPIENTS..(number + 1) * RECIPIENTS;
                recipients.extend(users.map(|user| server.user(user % arguments.users)));
                String::new()
            }
            Self::Large | Self::Search => server.mailbox(LARGE),
            _ => server.mailbox(BENCH),
        };
        if !matches!(self, Self::Append | Self::Deliver) {
            wire.command(&format!("SELECT {mailbox}")).await?;
        }
        Ok(Client {
            load: self,
            wire,
            mailbox,
            recipients,
            // Of a later run, too, none is a duplicate.
            mail: Mail::new(arguments.size, series(number)),
            messages: arguments.messages,
            done: u32::from(number as u16) * 7,
        })
    }
}

/// Of messages that no other client makes, in no run.
fn series(number: u32) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_millis() as u64);
    now * 1000 + u64::from(number)
}

/// One that does it.
#[derive(Debug)]
pub struct Client {
    load: Load,
    wire: Wire,
    mailbox: String,
    recipients: VecDeque<String>,
    mail: Mail,
    messages: u32,
    done: u32,
}

impl Client {
    /// Does it once; gives how much that counts.
    pub async fn once(&mut self) -> anyhow::Result<u64> {
        self.done = self.done.wrapping_add(1);
        // Each in turn, but not side by side.
        let seq = self.done.wrapping_mul(37) % EACH + 1;
        match self.load {
            Load::Append => append(&mut self.wire, &self.mailbox, self.mail.next()).await?,
            Load::Deliver => {
                self.recipients.rotate_left(1);
                let user = self.recipients.front().map_or("", |user| user);
                self.wire.deliver(user, self.mail.next()).await?;
            }
            Load::Body => self.fetch(&format!("FETCH {seq} (BODY.PEEK[])"), 1).await?,
            Load::Flag => {
                let sign = ['+', '-'][(self.done / EACH) as usize % 2];
                let line = format!("STORE {seq} {sign}FLAGS (\\Flagged)");
                self.wire.command(&line).await?;
            }
            Load::Listing => {
                const ITEMS: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS \
                    (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES IN-REPLY-TO CONTENT-TYPE)])";
                self.fetch(&format!("FETCH 1:{EACH} {ITEMS}"), EACH).await?;
            }
            Load::Select => {
                self.wire
                    .command(&format!("SELECT {}", self.mailbox))
                    .await?;
                self.fetch("FETCH 1:* (FLAGS)", EACH).await?;
            }
            Load::Large => {
                const ITEMS: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
                self.fetch(&format!("UID FETCH 1:* {ITEMS}"), self.messages)
                    .await?;
                return Ok(self.messages.into());
            }
            Load::Search => {
                let found = self
                    .wire
                    .command(&format!("SEARCH TEXT {RARE}"))
                    .await?
                    .last;
                let found: Vec<&str> = found.split_whitespace().collect();
                ensure!(
                    matches!(found[..], ["*", "SEARCH", _]),
                    "SEARCH does not find one message: {found:?}"
                );
            }
        }
        Ok(1)
    }

    async fn fetch(&mut self, command: &str, expected: u32) -> anyhow::Result<()> {
        let answers = self.wire.command(command).await?.count;
        ensure!(
            answers >= expected.into(),
            "{command}: {answers} answers instead of {expected}"
        );
        Ok(())
    }
}

async fn append(wire: &mut Wire, mailbox: &str, message: &[u8]) -> anyhow::Result<()> {
    let mut line = format!("APPEND {mailbox} {{{}+}}\r\n", message.len()).into_bytes();
    line.extend_from_slice(message);
    wire.command_bytes(&line).await?;
    Ok(())
}

/// Sees to it that a server has the mail that is read.
pub async fn fill(server: &Server, arguments: &Arguments, large: bool) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for number in 0..arguments.clients {
        let (server, size) = (server.clone(), arguments.size);
        running.spawn(async move {
            let mut wire = server.client(number).await?;
            let mailbox = server.mailbox(BENCH);
            let there = have(&mut wire, &mailbox).await?;
            let mut mail = Mail::new(size, series(number));
            for _ in there..EACH {
                append(&mut wire, &mailbox, mail.next()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    if !large {
        return Ok(());
    }
    let mailbox = server.mailbox(LARGE);
    let there = have(&mut server.client(0).await?, &mailbox).await?;
    let missing = there..arguments.messages;
    for filler in 0..FILLERS {
        let (server, mailbox, missing) = (server.clone(), mailbox.clone(), missing.clone());
        let (size, rare) = (arguments.size, arguments.messages / 2);
        running.spawn(async move {
            let mut wire = server.client_at(filler, 0).await?;
            let mut mail = Mail::new(size, series(1000 + filler));
            for number in missing.filter(|number| number % FILLERS == filler) {
                if number == rare {
                    append(&mut wire, &mailbox, &mail.next_rare()).await?;
                } else {
                    append(&mut wire, &mailbox, mail.next()).await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Makes a mailbox if it is not there; gives how many messages it has.
async fn have(wire: &mut Wire, mailbox: &str) -> anyhow::Result<u32> {
    // There already.
    let _ = wire.command(&format!("CREATE {mailbox}")).await;
    let status = wire
        .command(&format!("STATUS {mailbox} (MESSAGES)"))
        .await?;
    let digits = status.last.rsplit("MESSAGES ").next().unwrap_or_default();
    let digits = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
    Ok(digits.parse()?)
}
