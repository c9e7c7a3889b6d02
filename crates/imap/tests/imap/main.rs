//! Tests of the public interface, an area a module.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod client;
mod commands;
mod extensions;
mod responses;
mod roundtrip;
mod script;
mod server;
mod url;
