//! What is said with each call, beside the request: which murder the node knows, on whose behalf it
//! calls, and for which partition it writes.

use murder_proto::v1;
use prost::Message;
use tonic::metadata::{BinaryMetadataKey, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::membership::Membership;
use crate::record::PartitionEpoch;

/// The metadata of a call: an encoded [`v1::PartitionEpoch`].
const PARTITION: &str = "murder-partition-bin";

/// Says it.
#[derive(Debug, Clone, Default)]
pub struct CallMetadata {
    pub(super) membership: Membership,
    pub(super) partition: Option<PartitionEpoch>,
}

impl Interceptor for CallMetadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        self.membership.tell(metadata);
        crate::actor::tell(metadata);
        if let Some(partition) = &self.partition {
            let value = MetadataValue::from_bytes(&partition.to_proto().encode_to_vec());
            metadata.insert_bin(BinaryMetadataKey::from_static(PARTITION), value);
        }
        Ok(request)
    }
}

/// The partition that a caller writes for; `None` where it says nothing that makes sense.
#[must_use]
pub fn partition_of(metadata: &MetadataMap) -> Option<v1::PartitionEpoch> {
    let value = metadata.get_bin(PARTITION)?.to_bytes().ok()?;
    v1::PartitionEpoch::decode(value).ok()
}
