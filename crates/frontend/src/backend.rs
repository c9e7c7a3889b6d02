//! Connections to backends, acting for users.

pub(crate) mod answer;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod pool;
pub(crate) mod pulse;
pub(crate) mod status;

pub(crate) use answer::Answer;
pub(crate) use connect::Dialer;
pub(crate) use connection::{BackendError, Connection, Event};
pub(crate) use pool::Pool;
pub(crate) use status::{Completion, Status};
