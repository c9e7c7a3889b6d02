//! Password hashes: argon2id in PHC strings.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Memory of one hash in KiB. 19 MiB with two passes is what OWASP asks of argon2id where
/// many logins share a machine.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes; a login uses one core.
const LANES: u32 = 1;
/// The most memory that a stored hash may ask for, so that an imported one cannot exhaust
/// the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes that a stored hash may ask for.
const MAX_PASSES: u32 = 16;
/// The most bytes of a password; longer ones are refused before hashing.
const MAX_PASSWORD: usize = 1024;

/// Why a password could not be hashed, or a hash not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Empty, over-long, or with a NUL in it.
    #[error("password is empty, longer than {MAX_PASSWORD} bytes, or contains NUL")]
    Password,
    /// No PHC string of a scheme that is known here, or one with excessive costs.
    #[error("not an argon2 hash in PHC form, or one with excessive costs")]
    Hash,
    /// The system gave no random bytes or no memory.
    #[error("hashing failed")]
    System,
}

fn hasher() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| HashError::System)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of `password` with a fresh salt. Takes some 20 ms of one core.
///
/// # Errors
/// [`HashError::Password`] and [`HashError::System`].
pub fn hash_password(password: &str) -> Result<String, HashError> {
    if password.is_empty() || password.len() > MAX_PASSWORD || password.contains('\0') {
        return Err(HashError::Password);
    }
    let hash: PasswordHash = hasher()?
        .hash_password(password.as_bytes())
        .map_err(|_| HashError::System)?;
    Ok(hash.to_string())
}

fn parse(hash: &str) -> Result<PasswordHash, HashError> {
    let parsed = PasswordHash::new(hash).map_err(|_| HashError::Hash)?;
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err(HashError::Hash);
    }
    Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| HashError::Hash)?;
    let params = Params::try_from(&parsed).map_err(|_| HashError::Hash)?;
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
        return Err(HashError::Hash);
    }
    Ok(parsed)
}

/// Whether `hash` is one that [`verify_password`] can use.
///
/// # Errors
/// [`HashError::Hash`].
pub fn check_hash(hash: &str) -> Result<(), HashError> {
    parse(hash).map(|_| ())
}

/// Whether `password` is the one that `hash` was made from. Costs what the hash's
/// parameters say; compares in constant time.
#[must_use]
pub fn verify_password(password: &str, hash: &str) -> bool {
    password.len() <= MAX_PASSWORD
        && parse(hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn verifies_only_the_right_password() {
        let hash = hash_password("secret").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(check_hash(&hash).is_ok());
        assert!(verify_password("secret", &hash));
        assert!(!verify_password("Secret", &hash));
        assert!(!verify_password("", &hash));
        assert_ne!(hash, hash_password("secret").unwrap());
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        assert_eq!(hash_password(""), Err(HashError::Password));
        assert_eq!(hash_password("a\0b"), Err(HashError::Password));
        assert_eq!(hash_password(&"x".repeat(1025)), Err(HashError::Password));
        for bad in [
            "",
            "secret",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$scrypt$ln=1,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=4000000,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            assert_eq!(check_hash(bad), Err(HashError::Hash), "{bad}");
            assert!(!verify_password("secret", bad));
        }
    }
}
