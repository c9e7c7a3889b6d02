//! On whose behalf a node calls the master: said with the call, for the audit log.

use murder_net::Actor;
use murder_proto::v1;
use prost::Message;
use tonic::metadata::{BinaryMetadataKey, MetadataMap, MetadataValue};

/// The metadata of a call: an encoded [`v1::Actor`].
const KEY: &str = "murder-actor-bin";
/// The most bytes of each field that are believed; no name is longer.
const MAX_FIELD: usize = 255;

/// On whose behalf the current task calls, if on anybody's.
pub(crate) fn current() -> Option<v1::Actor> {
    let actor = Actor::current()?;
    Some(v1::Actor {
        user: actor.user.unwrap_or_default(),
        operator: actor.operator.unwrap_or_default(),
        session: actor.session.unwrap_or_default(),
        client: actor.client.map(|c| c.to_string()).unwrap_or_default(),
    })
}

/// Says it with a call.
pub(crate) fn tell(metadata: &mut MetadataMap) {
    let Some(actor) = current() else {
        return;
    };
    let value = MetadataValue::from_bytes(&actor.encode_to_vec());
    metadata.insert_bin(BinaryMetadataKey::from_static(KEY), value);
}

/// What a caller says of it; nobody where it says nothing, or something that makes no sense.
pub fn told(metadata: &MetadataMap) -> Actor {
    let value = metadata.get_bin(KEY).and_then(|v| v.to_bytes().ok());
    let told = value.and_then(|bytes| v1::Actor::decode(bytes).ok());
    bounded(told.unwrap_or_default())
}

/// What is believed of a caller's word.
#[must_use]
pub fn bounded(told: v1::Actor) -> Actor {
    let field = |mut text: String| {
        text.truncate(text.floor_char_boundary(MAX_FIELD));
        (!text.is_empty()).then_some(text)
    };
    Actor {
        user: field(told.user),
        operator: field(told.operator),
        session: field(told.session),
        client: told.client.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_arrives_and_is_bounded() {
        let bob = Actor {
            user: Some("bob".into()),
            operator: None,
            session: Some("k3f9qz-1a".into()),
            client: "192.0.2.1".parse().ok(),
        };
        let mut metadata = MetadataMap::new();
        tell(&mut metadata);
        assert!(metadata.is_empty());
        bob.clone().scope(async { tell(&mut metadata) }).await;
        assert_eq!(told(&metadata), bob);
        let long = Actor::operator(&"ä".repeat(1000));
        long.scope(async { tell(&mut metadata) }).await;
        assert_eq!(told(&metadata).operator, Some("ä".repeat(127)));
        let junk = MetadataValue::from_bytes(b"\xff\xff");
        metadata.insert_bin(BinaryMetadataKey::from_static(KEY), junk);
        assert_eq!(told(&metadata), Actor::default());
    }
}
