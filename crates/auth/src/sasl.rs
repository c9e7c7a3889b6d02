//! What SASL clients send, taken apart. The exchange itself is the protocol's.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The most bytes of a decoded SASL message: three fields of the sizes that RFC 4616 allows.
pub const MAX_MESSAGE: usize = 3 * 1024;

/// Why a SASL message was refused; the command is BAD, or the exchange `NO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Not base64, or over [`MAX_MESSAGE`].
    #[error("not base64, or too long")]
    Encoding,
    /// Not of the form that the mechanism has.
    #[error("malformed SASL message")]
    Malformed,
}

/// Decodes a base64 message as it stands on the wire; `=` is an empty initial response
/// (RFC 4959 section 3).
///
/// # Errors
/// [`SaslError::Encoding`].
pub fn decode(text: &[u8]) -> Result<Vec<u8>, SaslError> {
    if text == b"=" {
        return Ok(Vec::new());
    }
    if text.len() > MAX_MESSAGE.div_ceil(3) * 4 {
        return Err(SaslError::Encoding);
    }
    STANDARD.decode(text).map_err(|_| SaslError::Encoding)
}

/// The message of PLAIN (RFC 4616).
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    /// Whom the client wants to act as, when it says so.
    pub authzid: Option<String>,
    /// Whose password it is.
    pub authcid: String,
    /// The password.
    pub password: String,
}

impl Plain {
    /// Takes a decoded message apart: `[authzid] NUL authcid NUL passwd`.
    ///
    /// # Errors
    /// [`SaslError::Malformed`].
    pub fn parse(message: &[u8]) -> Result<Self, SaslError> {
        if message.len() > MAX_MESSAGE {
            return Err(SaslError::Malformed);
        }
        let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed)?;
        let mut fields = text.split('\0');
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(authzid), Some(authcid), Some(password), None)
                if !authcid.is_empty() && !password.is_empty() =>
            {
                Ok(Self {
                    authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
                    authcid: authcid.to_owned(),
                    password: password.to_owned(),
                })
            }
            _ => Err(SaslError::Malformed),
        }
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("authzid", &self.authzid)
            .field("authcid", &self.authcid)
            .finish_non_exhaustive()
    }
}

/// The message of EXTERNAL (RFC 4422 appendix A): whom the client wants to act as, or
/// `None` for whoever its certificate says.
///
/// # Errors
/// [`SaslError::Malformed`].
pub fn external(message: &[u8]) -> Result<Option<String>, SaslError> {
    if message.len() > MAX_MESSAGE || message.contains(&0) {
        return Err(SaslError::Malformed);
    }
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed)?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain() {
        let plain = Plain::parse(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!(plain.authzid, None);
        assert_eq!(
            (plain.authcid.as_str(), plain.password.as_str()),
            ("tim", "tanstaaftanstaaf")
        );
        let plain = Plain::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!(plain.authzid.as_deref(), Some("Ursel"));
        assert!(!format!("{plain:?}").contains("xipj"));
        for bad in [
            &b""[..],
            b"a\0b",
            b"\0\0x",
            b"\0a\0",
            b"\0a\0b\0c",
            b"\0a\0\xff",
        ] {
            assert_eq!(Plain::parse(bad), Err(SaslError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn external_and_base64() {
        assert_eq!(external(b"").unwrap(), None);
        assert_eq!(external(b"bob").unwrap().as_deref(), Some("bob"));
        assert!(external(b"bob\0").is_err());
        assert_eq!(decode(b"=").unwrap(), b"");
        assert_eq!(decode(b"Ym9i").unwrap(), b"bob");
        assert!(decode(b"Ym9").is_err());
        assert!(decode(&vec![b'A'; 5000]).is_err());
    }
}
