//! Finding out what became of a MOVE whose session ended in the middle of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use murder_imap::{Code, Command, NodeCode, NodeCommand, Response, ResponseReader, Tag, encode};
use murder_location::service;
use murder_net::tls::server_name;
use murder_net::{Role, Stream};
use murder_store::{Departure, Partition, StoreError};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use crate::node::Node;

/// How long to wait before the destination is asked again, at first and at most: it may be away
/// for as long as a restart, or for days.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one question may take: a connection and a change of the destination's.
const QUESTION: Duration = Duration::from_secs(20);
/// What is read of an answer: UIDs of the most messages of a MOVE.
const MAX_ANSWER: usize = 32 << 20;

/// Goes on with what left a partition before it was closed; to be called before anybody can move
/// the same messages once more.
pub(crate) async fn resume(node: &Arc<Node>, partition: &Partition) {
    let name = &partition.config().name;
    let unsettled = match partition.unsettled().await {
        Ok(unsettled) => unsettled,
        Err(error) => {
            tracing::error!(partition = name, %error, "it is not known which MOVEs were interrupted");
            return;
        }
    };
    for departure in unsettled {
        tracing::info!(
            partition = name,
            transfer = %departure.id(),
            messages = departure.uids().len(),
            to = departure.destination().node,
            "a MOVE was interrupted"
        );
        later(node, departure, None);
    }
}

/// Finds out what became of it and does what is left to do, until that has worked or the node is
/// stopped; then its next start does. `session` is the client's, if that is known.
pub(super) fn later(node: &Arc<Node>, departure: Departure, session: Option<String>) {
    let (asker, draining) = (Arc::clone(node), node.shutdown.token());
    let span = tracing::info_span!("settle", session = session.as_deref());
    let settling = async move {
        let settling = settle(&asker, &departure, session.as_deref());
        draining.run_until_cancelled(settling).await;
    };
    node.shutdown.spawn(settling.instrument(span));
}

async fn settle(node: &Node, departure: &Departure, session: Option<&str>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match try_to_settle(node, departure, session).await {
            Ok(adopted) => {
                tracing::info!(
                    transfer = %departure.id(),
                    messages = departure.uids().len(),
                    to = departure.destination().node,
                    adopted,
                    "an interrupted MOVE is settled"
                );
                return;
            }
            Err(error) => {
                tracing::warn!(
                    transfer = %departure.id(),
                    to = departure.destination().node,
                    %error,
                    "cannot settle a MOVE yet"
                );
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn try_to_settle(
    node: &Node,
    departure: &Departure,
    session: Option<&str>,
) -> anyhow::Result<bool> {
    let adopted = timeout(QUESTION, was_adopted(node, departure, session)).await??;
    if adopted {
        departure.remove().await?;
    }
    departure.settled().await?;
    Ok(adopted)
}

/// Asks the destination. If the messages were not adopted by now, they never will be.
async fn was_adopted(
    node: &Node,
    departure: &Departure,
    session: Option<&str>,
) -> anyhow::Result<bool> {
    let to = departure.destination();
    if to.node == node.config.node.name {
        let partition = node
            .partitions
            .get(&to.partition)
            .ok_or(StoreError::NoSuchHome)?;
        let copied = partition.settle_transfer(to.home, departure.id()).await?;
        return Ok(copied.is_some());
    }
    let cluster = node
        .cluster
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("this node is in no murder"))?;
    let address = cluster
        .replica
        .node(&to.node)
        .and_then(|node| node.service(service::IMAPS).map(str::to_owned))
        .ok_or_else(|| anyhow::anyhow!("its address is not known"))?;
    let name = server_name(&to.node, Role::Backend);
    let stream = Stream::connect(&address).await?;
    let mut stream = stream.connect_tls(&cluster.tls.client(), name).await?;
    // What a node calls a session needs no quoting.
    let session = session.filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let mut question = BytesMut::new();
    if let Some(id) = session {
        let whose = Command::Id(Some(vec![("x-session-id".into(), Some(id.into()))]));
        encode::command(&mut question, &Tag::numbered('i', 0), &whose);
    }
    let outcome = NodeCommand::Outcome {
        id: departure.id().to_string(),
        partition: to.partition.clone(),
        home: to.home,
    };
    encode::command(
        &mut question,
        &Tag::numbered('a', 0),
        &Command::Node(outcome),
    );
    stream.write_all(&question).await?;
    stream.flush().await?;
    let mut responses = ResponseReader::new(MAX_ANSWER);
    loop {
        match responses.next_response(&mut stream).await? {
            None => anyhow::bail!("it closed the connection"),
            Some(Response::Tagged {
                tag, code, text, ..
            }) if tag.as_str() == "a0" => {
                return match code {
                    Some(Code::Node(NodeCode::Adopted(_))) => Ok(true),
                    Some(Code::Node(NodeCode::Refused)) => Ok(false),
                    _ => anyhow::bail!("it says {text:?}"),
                };
            }
            Some(_) => {}
        }
    }
}
