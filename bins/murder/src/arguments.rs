//! Arguments that make no sense, beyond what reading them one by one finds.

/// What was asked for makes no sense, whatever the state of the murder: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongArguments(String);

impl WrongArguments {
    /// For this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
