//! The `Blocks` service.

use std::ops::Bound;
use std::time::Duration;

use murder_auth::{IpNet, MAX_BLOCK, client_network, parse_network};
use murder_net::Role;
use murder_proto::v1::blocks_server::Blocks;
use murder_proto::v1::{self, log_entry::Command};
use tonic::{Request, Response, Status};

use super::caller::{Authority, Caller, denied, invalid};
use super::mupdate::{Parts, Service, parts};
use crate::state::Outcome;
use murder_location::disk::now_ms;

/// Blocks in one message of a listing.
const LIST_PART: usize = 500;
/// The most bytes of a reason.
const MAX_REASON: usize = 255;

fn network_of(text: &str) -> Result<IpNet, Status> {
    parse_network(text).map_err(|error| invalid(error.to_string()))
}

/// Whether `caller` may block `network` for `duration`; whether as an operator.
fn may_block(caller: &Caller, network: &IpNet, duration: Duration) -> Result<bool, Status> {
    if caller.may_administer().is_ok() {
        return Ok(true);
    }
    let is_node = caller.roles.contains(&Role::Frontend) || caller.roles.contains(&Role::Backend);
    if !is_node {
        return Err(denied("only operators and nodes block addresses"));
    }
    if *network != client_network(network.addr()) {
        return Err(denied("a node blocks single clients only"));
    }
    if duration.is_zero() || duration > MAX_BLOCK {
        return Err(denied("a node blocks for a while only"));
    }
    Ok(false)
}

impl Service {
    async fn change_blocks(
        &self,
        command: Command,
    ) -> Result<Response<v1::BlocksResponse>, Status> {
        match self.propose(Authority::default(), command).await? {
            (_, Outcome::Refused(detail)) => Err(detail.into_status()),
            (revision, _) => Ok(Response::new(v1::BlocksResponse { revision })),
        }
    }
}

#[tonic::async_trait]
impl Blocks for Service {
    async fn add_block(
        &self,
        request: Request<v1::AddBlockRequest>,
    ) -> Result<Response<v1::BlocksResponse>, Status> {
        let caller = Caller::of(&request)?;
        let v1::AddBlockRequest {
            network,
            seconds,
            reason,
        } = request.into_inner();
        let network = network_of(&network)?;
        let operator = may_block(&caller, &network, Duration::from_secs(seconds))?;
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(invalid(format!("a reason has at most {MAX_REASON} bytes")));
        }
        let until_ms = match seconds {
            0 => 0,
            _ => now_ms().saturating_add(seconds.saturating_mul(1000)),
        };
        tracing::info!(%network, seconds, by = caller.name, reason, "address blocked");
        self.change_blocks(Command::Blocked(v1::Block {
            network: network.to_string(),
            until_ms,
            by: caller.name,
            reason,
            operator,
        }))
        .await
    }

    async fn remove_block(
        &self,
        request: Request<v1::RemoveBlockRequest>,
    ) -> Result<Response<v1::BlocksResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.may_administer()?;
        let network = network_of(&request.into_inner().network)?;
        tracing::info!(%network, by = caller.name, "address unblocked");
        let command = Command::Unblocked(network.to_string());
        self.change_blocks(command).await
    }

    type ListBlocksStream = Parts<v1::ListBlocksResponse>;

    async fn list_blocks(
        &self,
        request: Request<v1::ListBlocksRequest>,
    ) -> Result<Response<Self::ListBlocksStream>, Status> {
        Caller::of(&request)?.may_administer()?;
        let consensus = self.consensus.clone();
        let mut last: Option<IpNet> = None;
        Ok(Response::new(parts(&self.shutdown, move || {
            let now = now_ms();
            let from = last.map_or(Bound::Unbounded, Bound::Excluded);
            let state = consensus.state();
            let blocks = state.tables().blocks.range((from, Bound::Unbounded));
            let blocks: Vec<_> = blocks
                .filter(|(_, block)| !block.is_over(now))
                .take(LIST_PART)
                .collect();
            last = Some(*blocks.last()?.0);
            let blocks = blocks
                .iter()
                .map(|(network, block)| block.to_proto(network));
            Some(v1::ListBlocksResponse {
                blocks: blocks.collect(),
            })
        })))
    }
}
