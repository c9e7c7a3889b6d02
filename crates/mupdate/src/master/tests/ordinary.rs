//! What any gRPC client finds, whichever library it was made with.

use murder_net::grpc;
use murder_net::tls::role_server_name;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::*;

#[tokio::test]
async fn http2_is_agreed_on() {
    let murder = Murder::start().await;
    let tls = client_tls(&murder.files("ops", "operator"));
    for (offered, agreed) in [("h2", true), ("http/1.1", false)] {
        let stream = murder_net::Stream::connect(murder.address).await.unwrap();
        let tls = tls.with_alpn(offered.as_bytes());
        let name = role_server_name(Role::Mupdate);
        assert_eq!(
            stream.connect_tls(&tls, name).await.is_ok(),
            agreed,
            "{offered}"
        );
    }
}

#[tokio::test]
async fn health_is_told() {
    let murder = Murder::start().await;
    let tls = client_tls(&murder.files("ops", "operator"));
    let channel = grpc::connect(
        &murder.address.to_string(),
        role_server_name(Role::Mupdate),
        &tls,
    )
    .await
    .unwrap();
    let mut client = HealthClient::new(channel);
    let status = |response: HealthCheckResponse| response.status();
    for service in ["", "murder.v1.Mupdate", "murder.v1.Directory"] {
        let service = service.to_owned();
        // It serves as soon as it has looked at its log.
        let mut watch = client
            .watch(HealthCheckRequest {
                service: service.clone(),
            })
            .await
            .unwrap()
            .into_inner();
        while status(watch.message().await.unwrap().unwrap()) != ServingStatus::Serving {}
        let checked = client.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(status(checked.into_inner()), ServingStatus::Serving);
    }
    let unknown = HealthCheckRequest {
        service: "murder.v1.BackendAdmin".into(),
    };
    let refused = client.check(unknown).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let health = &murder.master.as_ref().unwrap().health();
    let mut watch = client
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        status(watch.message().await.unwrap().unwrap()),
        ServingStatus::Serving
    );
    health.unhealthy("test", "on purpose");
    assert_eq!(
        status(watch.message().await.unwrap().unwrap()),
        ServingStatus::NotServing
    );
}
