//! Telling the master whom this node blocks.

use std::sync::Arc;
use std::time::Duration;

use murder_auth::Authenticator;

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
