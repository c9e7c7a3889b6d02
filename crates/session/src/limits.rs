//! What no client needs more of. What a site may want otherwise is in its configuration
//! ([`LimitsConfig`](murder_net::config::LimitsConfig)).

use std::time::Duration;

use crate::Goodbye;

/// Bad commands in a row after which whoever sends them is no mail client.
const MAX_BAD_COMMANDS: u32 = 20;
/// Failed logins of one connection: more than anyone mistypes a password.
pub(crate) const MAX_FAILED_LOGINS: u32 = 10;
/// Time for the TLS handshake after STARTTLS, where nothing else bounds it: limits the memory that a
/// stalled handshake can hold.
pub const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a client may take to hear the last word.
pub(crate) const LAST_WORD: Duration = Duration::from_secs(2);
/// What a client that is cut off in the middle of something may still send without losing the
/// last word to a reset connection: what is in flight.
pub(crate) const LINGER_BYTES: u64 = 1 << 20;

/// Counts bad commands in a row.
#[derive(Debug, Default)]
pub struct BadCommands(u32);

impl BadCommands {
    /// One more.
    ///
    /// # Errors
    /// [`Goodbye::BadCommands`] when that is one too many.
    pub fn count(&mut self) -> Result<(), Goodbye> {
        self.0 += 1;
        match self.0 {
            MAX_BAD_COMMANDS.. => Err(Goodbye::BadCommands),
            _ => Ok(()),
        }
    }

    /// A command that was not bad ends the row.
    pub fn end(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bad_commands_in_a_row_count() {
        let mut bad = BadCommands::default();
        for _ in 0..3 {
            for _ in 1..MAX_BAD_COMMANDS {
                assert_eq!(bad.count(), Ok(()));
            }
            bad.end();
        }
        for _ in 1..MAX_BAD_COMMANDS {
            assert_eq!(bad.count(), Ok(()));
        }
        assert_eq!(bad.count(), Err(Goodbye::BadCommands));
    }
}
