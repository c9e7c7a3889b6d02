//! One message on its way to several backends at once.
//!
//! The octets go to every backend as they come. The slowest sets the pace, up to a time; the
//! memory of it all is a bounded queue for each backend.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use murder_lmtp::Sender;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::connection::LmtpConnection;
use super::recipient::{Target, second_opinion};
use super::reply::Reply;
use crate::backend::BackendError;
use crate::shared::Shared;

/// A message on its way.
pub(crate) struct Delivery {
    parties: Vec<Party>,
    /// For each recipient, once it is known.
    replies: Vec<Option<Reply>>,
}

/// One backend's part.
struct Party {
    node: String,
    /// The recipients that it has accepted and not answered for, in its order.
    accepted: VecDeque<usize>,
    /// `None` when it takes no part (any more).
    connection: Option<LmtpConnection>,
    /// What was queued when it was last found not to take anything.
    stuck_at: Option<usize>,
}

/// A backend that has been told of its recipients.
struct Begun {
    /// `None` when it does not want the message.
    connection: Option<LmtpConnection>,
    /// For each of its recipients: the refusal, if it is one.
    refusals: Vec<Option<Reply>>,
}

impl Delivery {
    /// Tells the backends of sender and recipients, all at the same time.
    pub(crate) async fn open(shared: &Arc<Shared>, sender: &Sender, targets: &[Target]) -> Self {
        let mut parties: Vec<Party> = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            match parties.iter_mut().find(|p| p.node == target.node) {
                Some(party) => party.accepted.push_back(at),
                None => parties.push(Party {
                    node: target.node.clone(),
                    accepted: VecDeque::from([at]),
                    connection: None,
                    stuck_at: None,
                }),
            }
        }
        // As many as there are backends; they end with this future.
        let mut beginning = JoinSet::new();
        for (at, party) in parties.iter().enumerate() {
            let shared = shared.clone();
            let node = party.node.clone();
            let sender = sender.clone();
            let paths: Vec<String> = party
                .accepted
                .iter()
                .map(|recipient| targets[*recipient].path.clone())
                .collect();
            let begin = async move { (at, begin(&shared, &node, &sender, &paths).await) };
            beginning.spawn(begin.in_current_span());
        }
        let mut delivery = Self {
            parties,
            replies: vec![None; targets.len()],
        };
        while let Some(begun) = beginning.join_next().await {
            match begun {
                Ok((at, Ok(begun))) => delivery.begun(at, begun),
                Ok((at, Err(error))) => delivery.lose(at, &error),
                Err(error) => tracing::error!(%error, "a delivery's task ended"),
            }
        }
        for at in 0..delivery.parties.len() {
            let party = &delivery.parties[at];
            if party.connection.is_none() && !party.accepted.is_empty() {
                delivery.settle(at, &Reply::backend_down());
            }
        }
        delivery.ask_again(shared, targets).await;
        delivery
    }

    fn begun(&mut self, at: usize, begun: Begun) {
        let party = &mut self.parties[at];
        party.connection = begun.connection;
        let mut refusals = begun.refusals.into_iter();
        let replies = &mut self.replies;
        party.accepted.retain(|recipient| {
            let refusal = refusals.next().flatten();
            let accepted = refusal.is_none();
            replies[*recipient] = refusal;
            accepted
        });
    }

    /// "No such user" is believed only of a map that says so as well.
    async fn ask_again(&mut self, shared: &Shared, targets: &[Target]) {
        let unknown = |reply: &Option<Reply>| {
            reply
                .as_ref()
                .is_some_and(|r| r.code == 550 && r.has_status("5.1.1"))
        };
        if !self.replies.iter().any(unknown) {
            return;
        }
        shared.router.barrier().await;
        for (reply, target) in self.replies.iter_mut().zip(targets) {
            if unknown(reply)
                && let Some(refused) = reply.take()
            {
                *reply = Some(second_opinion(shared, target, refused));
            }
        }
    }

    /// Whether every backend can take more.
    pub(crate) fn has_room(&self) -> bool {
        self.live().all(|connection| connection.wire.has_room())
    }

    /// Queues octets of the message, dots doubled, for every backend.
    pub(crate) fn put(&mut self, octets: &[u8]) {
        for party in &mut self.parties {
            if let Some(connection) = &mut party.connection {
                connection.wire.put(octets);
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = &LmtpConnection> {
        self.parties.iter().filter_map(|p| p.connection.as_ref())
    }

    /// Sends what is queued; whether there is room that was not there, or a backend less.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut changed = false;
        for at in 0..self.parties.len() {
            let Some(connection) = &mut self.parties[at].connection else {
                continue;
            };
            let was_full = !connection.wire.has_room();
            let failed = match connection.wire.poll_drain(cx) {
                Poll::Ready(Err(error)) => Some(connection.lost(error)),
                _ => match connection.wire.poll_fill(cx) {
                    Poll::Pending => None,
                    Poll::Ready(Err(error)) => Some(connection.lost(error)),
                    // Nothing is to be said before the end of the message.
                    Poll::Ready(Ok(_)) => Some(connection.lost("gave the message up")),
                },
            };
            changed |= was_full && connection.wire.has_room();
            if let Some(error) = failed {
                self.lose(at, &error);
                changed = true;
            }
        }
        changed
    }

    /// Goes on without the backends that have taken nothing since the last time.
    pub(crate) fn lose_stalled(&mut self) {
        for at in 0..self.parties.len() {
            let party = &mut self.parties[at];
            let Some(connection) = party.connection.as_ref().filter(|c| !c.wire.has_room()) else {
                continue;
            };
            // While one has no room nothing is added: it only gets less.
            let queued = Some(connection.wire.output.len());
            if party.stuck_at == queued {
                let error = connection.lost("does not take the message");
                self.lose(at, &error);
            } else {
                party.stuck_at = queued;
            }
        }
    }

    /// Breaks off at every backend, so that none stores anything; `reply` is what those whom
    /// the message was for are told.
    pub(crate) fn abort(&mut self, reply: &Reply) {
        for at in 0..self.parties.len() {
            self.settle(at, reply);
        }
    }

    fn lose(&mut self, at: usize, error: &BackendError) {
        tracing::warn!(%error, recipients = self.parties[at].accepted.len(), "delivery put off");
        self.settle(at, &Reply::backend_down());
    }

    /// The party takes no part any more.
    fn settle(&mut self, at: usize, reply: &Reply) {
        let party = &mut self.parties[at];
        party.connection = None;
        for recipient in party.accepted.drain(..) {
            self.replies[recipient] = Some(reply.clone());
        }
    }

    /// Waits for the backends' words on the whole message; the reply for each recipient.
    pub(crate) async fn finish(mut self, shared: &Shared) -> Vec<Reply> {
        let silence = shared.lmtp.silence();
        loop {
            self.read_replies(shared);
            if self.live().next().is_none() {
                break;
            }
            let moved = poll_fn(|cx| match self.poll_replies(cx) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            if timeout(silence, moved).await.is_err() {
                for at in 0..self.parties.len() {
                    if let Some(connection) = &self.parties[at].connection {
                        let error = connection.lost("no answer in time");
                        self.lose(at, &error);
                    }
                }
            }
        }
        self.replies
            .into_iter()
            .map(|reply| reply.unwrap_or_else(Reply::backend_down))
            .collect()
    }

    /// Takes what has come; connections that owe nothing more go back to the pool.
    fn read_replies(&mut self, shared: &Shared) {
        for at in 0..self.parties.len() {
            let party = &mut self.parties[at];
            let Some(connection) = &mut party.connection else {
                continue;
            };
            let mut failed = None;
            while let Some(recipient) = party.accepted.front().copied() {
                match connection.next_reply() {
                    Ok(None) => break,
                    // It closes the connection and will not answer for the others.
                    Ok(Some(reply)) if reply.code == 421 => {
                        failed = Some(connection.lost(reply));
                        break;
                    }
                    Ok(Some(reply)) => {
                        self.replies[recipient] = Some(of_backend(reply));
                        party.accepted.pop_front();
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if let Some(error) = failed {
                self.lose(at, &error);
            } else if party.accepted.is_empty()
                && let Some(connection) = party.connection.take()
            {
                shared.lmtp.checkin(connection);
            }
        }
    }

    /// Whether anything has come, or anybody gone.
    fn poll_replies(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for at in 0..self.parties.len() {
            let Some(connection) = &mut self.parties[at].connection else {
                continue;
            };
            let failed = match connection.wire.poll_drain(cx) {
                Poll::Ready(Err(error)) => Some(connection.lost(error)),
                _ => match connection.wire.poll_fill(cx) {
                    Poll::Pending => None,
                    Poll::Ready(Ok(0)) => Some(connection.lost("closed")),
                    Poll::Ready(Err(error)) => Some(connection.lost(error)),
                    Poll::Ready(Ok(_)) => {
                        moved = true;
                        None
                    }
                },
            };
            if let Some(error) = failed {
                self.lose(at, &error);
                moved = true;
            }
        }
        moved
    }
}

/// Tells one backend of sender and recipients, and that the message comes.
async fn begin(
    shared: &Shared,
    node: &str,
    sender: &Sender,
    paths: &[String],
) -> Result<Begun, BackendError> {
    if let Some(connection) = shared.lmtp.reuse(node) {
        match attempt(connection, sender, paths).await {
            Ok(begun) => return Ok(begun),
            // It may have been closed just now; nothing has been sent that could count twice.
            Err(error) => tracing::debug!(%error, "an unused connection was of no use"),
        }
    }
    let connection = shared.lmtp.connect(node).await?;
    attempt(connection, sender, paths).await
}

async fn attempt(
    mut connection: LmtpConnection,
    sender: &Sender,
    paths: &[String],
) -> Result<Begun, BackendError> {
    let mut mail = format!("MAIL FROM:<{}>", sender.path);
    if let Some(size) = sender.size
        && connection.has("SIZE")
    {
        mail.push_str(&format!(" SIZE={size}"));
    }
    if sender.eight_bit && connection.has("8BITMIME") {
        mail.push_str(" BODY=8BITMIME");
    }
    // All in one go (RFC 2920); DATA may be the last of a group.
    let forwarded = sender
        .forwarded
        .command(|attribute| connection.forwards(attribute));
    if let Some(command) = &forwarded {
        connection.send(command);
    }
    connection.send(&mail);
    for path in paths {
        connection.send(&format!("RCPT TO:<{path}>"));
    }
    connection.send("DATA");
    if forwarded.is_some() {
        // Without it the backend knows the message less well, which is no reason not to deliver.
        next(&mut connection).await?;
    }
    let mail = next(&mut connection).await?;
    let mut refusals = Vec::with_capacity(paths.len());
    for _ in paths {
        let reply = next(&mut connection).await?;
        refusals.push(match (mail.is_ok(), reply.is_ok()) {
            (true, true) => None,
            (true, false) => Some(of_backend(reply)),
            (false, _) => Some(of_backend(mail.clone())),
        });
    }
    let data = next(&mut connection).await?;
    let wanted = refusals.iter().any(Option::is_none);
    if wanted && data.code == 354 {
        return Ok(Begun {
            connection: Some(connection),
            refusals,
        });
    }
    // Dropped: a transaction may be open on it.
    for refusal in &mut refusals {
        refusal.get_or_insert_with(|| of_backend(data.clone()));
    }
    Ok(Begun {
        connection: None,
        refusals,
    })
}

async fn next(connection: &mut LmtpConnection) -> Result<Reply, BackendError> {
    let reply = connection.reply().await?;
    match reply.code {
        421 => Err(connection.lost(reply)),
        _ => Ok(reply),
    }
}

/// A backend's reply as the client gets it. What would be none to DATA's end is none of ours.
fn of_backend(reply: Reply) -> Reply {
    match reply.code / 100 {
        2 | 4 | 5 => reply,
        _ => Reply::backend_down(),
    }
}
