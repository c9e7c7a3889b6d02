//! What every gRPC listener offers beside its own services, for ordinary clients and monitors:
//! `grpc.health.v1` and server reflection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{KEEP_ALIVE, accept};
use crate::{Health, Listener, Shutdown};
use axum::http;
use axum::response::IntoResponse;
use tokio_stream::wrappers::IntervalStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// How often a watched health is looked at: a monitor does not need it sooner.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A generated server, with or without an interceptor.
pub trait Service: NamedService {
    /// Adds it.
    fn add_to(self, routes: &mut RoutesBuilder);
}

impl<S> Service for S
where
    S: tower::Service<http::Request<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    fn add_to(self, routes: &mut RoutesBuilder) {
        routes.add_service(self);
    }
}

/// What a gRPC listener serves.
#[derive(Debug, Default)]
pub struct Services {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
}

impl Services {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service.
    pub fn add<S: Service>(&mut self, service: S) {
        service.add_to(&mut self.routes);
        self.names.push(S::NAME);
    }

    /// Serves them until the drain begins, with health and reflection beside them. At most `calls` at
    /// a time on one connection; `killed` ends the connections. `descriptors` is the encoded
    /// `FileDescriptorSet` that the services are in.
    ///
    /// # Errors
    /// When the descriptors are none.
    pub fn serve(
        self,
        listener: Listener,
        calls: u32,
        descriptors: &'static [u8],
        health: Health,
        shutdown: &Shutdown,
        killed: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { mut routes, names } = self;
        let reflection = || {
            let builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health");
            names.iter().fold(builder, |builder, service| {
                builder.with_service_name(*service)
            })
        };
        // Many clients know only the older name.
        let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
        routes.add_service(v1).add_service(v1alpha);
        routes.add_service(HealthServer::new(NodeHealth {
            health,
            services: names.into(),
        }));
        let connections = accept(listener, shutdown, killed);
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .max_concurrent_streams(calls)
            .add_routes(routes.routes())
            .serve_with_incoming_shutdown(connections, shutdown.token().cancelled_owned());
        shutdown.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the gRPC server ended");
            }
        });
        Ok(())
    }
}

/// A node's [`Health`] as `grpc.health.v1` tells it: serving is what `/readyz` calls ready.
#[derive(Debug, Clone)]
struct NodeHealth {
    health: Health,
    services: Arc<[&'static str]>,
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
