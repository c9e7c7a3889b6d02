//! Blocks of networks.

use std::time::Duration;

use murder_auth::IpNet;
use murder_proto::v1;
use murder_proto::v1::blocks_client::BlocksClient;
use tonic::transport::Channel;

use super::MupdateClient;
use crate::error::MupdateError;
use crate::record::Block;

impl MupdateClient {
    fn blocks(&self) -> BlocksClient<Channel> {
        BlocksClient::new(self.channel.clone())
    }

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
