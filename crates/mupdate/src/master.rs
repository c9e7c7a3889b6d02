//! The master as a running role: configuration, listeners, services.

mod caller;
mod config;
mod directory;
//mod listener;
mod mupdate;
mod nodes;
mod reconcile;
mod watch;

#[cfg(test)]
mod tests;
