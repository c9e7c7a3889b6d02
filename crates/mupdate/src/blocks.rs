//! Blocks of networks, at the client's side.

use std::sync::Arc;
use std::time::Duration;

use murder_auth::{Authenticator, IpNet};
use murder_proto::v1;

use crate::client::MupdateClient;
use crate::error::MupdateError;
use crate::record::Block;
use crate::replica::Replica;

/// How long a node waits to see its own block come back to it.
const COMES_BACK: Duration = Duration::from_secs(5);

/// Tells the master of the addresses that `authenticator` blocks, so that every node blocks them;
/// to the end of its caller's patience. One that the master does not hear of is blocked here only.
pub async fn tell_blocks(authenticator: &Authenticator, replica: Arc<Replica>) {
    let Some(mut blocks) = authenticator.new_blocks() else {
        return;
    };
    while let Some(block) = blocks.recv().await {
        let told = async {
            let client = replica.client();
            let (network, duration) = (block.network, block.duration);
            let revision = client.block(network, duration, &block.reason).await?;
            replica.wait_for(revision, COMES_BACK).await
        };
        match told.await {
            Ok(_) => authenticator.block_is_told(&block.network),
            Err(error) => {
                tracing::warn!(network = %block.network, %error, "the block stays on this node");
            }
        }
    }
}

impl MupdateClient {
    /// Blocks a network for a time; with [`Duration::ZERO`] until it is taken back, which is for
    /// operators. Nodes can block single clients only, see [`murder_auth::client_network`].
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn block(
        &self,
        network: IpNet,
        duration: Duration,
        reason: &str,
    ) -> Result<u64, MupdateError> {
        let request = v1::AddBlockRequest {
            network: network.to_string(),
            seconds: duration.as_secs(),
            reason: reason.to_owned(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.blocks();
                async move { rpc.add_block(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// [`MupdateError::NotFound`]; see [`MupdateError`].
    pub async fn unblock(&self, network: IpNet) -> Result<u64, MupdateError> {
        let request = v1::RemoveBlockRequest {
            network: network.to_string(),
        };
        let answer = self
            .call(request, |request| {
                let mut rpc = self.blocks();
                async move { rpc.remove_block(request).await }
            })
            .await?;
        Ok(answer.revision)
    }

    /// All blocks that are not over, by network.
    ///
    /// # Errors
    /// See [`MupdateError`].
    pub async fn list_blocks(&self) -> Result<Vec<(IpNet, Block)>, MupdateError> {
        let mut stream = self
            .call(v1::ListBlocksRequest {}, |request| {
                let mut rpc = self.blocks();
                async move { rpc.list_blocks(request).await }
            })
            .await?;
        let mut blocks = Vec::new();
        while let Some(part) = self.within_call(stream.message()).await? {
            // Of a newer master's the rest can be shown.
            blocks.extend(part.blocks.into_iter().flat_map(Block::from_proto));
        }
        Ok(blocks)
    }
}
