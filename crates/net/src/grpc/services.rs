//! What every gRPC listener offers beside its own services, for ordinary clients and monitors:
//! `grpc.health.v1` and server reflection.

use std::pin::Pin;
use std::time::Duration;

use tokio_stream::wrappers::IntervalStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::KEEP_ALIVE;
use crate::Health;

/// How often a watched health is looked at: a monitor does not need it sooner.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A server with the timeouts of all our listeners, and at most `streams` calls at a time on one
/// connection.
#[must_use]
pub fn server(streams: u32) -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .max_concurrent_streams(streams)
}

/// Health and reflection. `services` are the full names of what the listener serves,
/// `descriptors` is the encoded `FileDescriptorSet` that they are in.
///
/// # Errors
/// When the descriptors are none.
pub fn common_services(
    health: Health,
    services: &'static [&'static str],
    descriptors: &'static [u8],
) -> anyhow::Result<Routes> {
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        services.iter().fold(builder, |builder, service| {
            builder.with_service_name(*service)
        })
    };
    let health = HealthServer::new(NodeHealth { health, services });
    Ok(Routes::new(health)
        .add_service(reflection().build_v1()?)
        // Many clients know only the older name.
        .add_service(reflection().build_v1alpha()?))
}

/// A node's [`Health`] as `grpc.health.v1` tells it: serving is what `/readyz` calls ready.
#[derive(Debug, Clone)]
struct NodeHealth {
    health: Health,
    services: &'static [&'static str],
}

impl NodeHealth {
    /// The whole node by the empty name, or one of its services: they stand and fall together.
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }

    fn status(&self) -> ServingStatus {
        if self.health.not_ready_reasons().is_empty() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl HealthService for NodeHealth {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("no such service here"));
        }
        Ok(Response::new(answer(self.status())))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (this, known) = (self.clone(), self.knows(&request.get_ref().service));
        let mut told = None;
        let changes = IntervalStream::new(tokio::time::interval(WATCH_EVERY))
            .map(move |_| match known {
                true => this.status(),
                // As the protocol has it: the service may come yet.
                false => ServingStatus::ServiceUnknown,
            })
            .filter(move |status| told.replace(*status) != Some(*status))
            .map(|status| Ok(answer(status)));
        Ok(Response::new(Box::pin(changes)))
    }
}
