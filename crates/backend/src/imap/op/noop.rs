//! NOOP (RFC 9051 section 6.1.2): what is new is told before every completion anyway.

use crate::imap::errors::{OpResult, ok};

/// NOOP
pub(crate) fn noop() -> OpResult {
    Ok(ok("NOOP completed"))
}
