//! Password hashes that cost nothing.

use anyhow::anyhow;
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};

/// A hash of `password` with the least memory and passes that argon2 knows: for tests, where
/// hundreds of users log in within a second.
///
/// # Errors
/// When the password cannot be hashed.
pub fn cheap_hash(password: &str) -> anyhow::Result<String> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot hash the password: {error}");
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).map_err(|error| failed(&error))?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn it_is_a_hash_that_servers_take() {
        let hash = super::cheap_hash("secret").unwrap();
        murder_auth::check_hash(&hash).unwrap();
        assert!(murder_auth::verify_password("secret", &hash));
        assert!(!murder_auth::verify_password("Secret", &hash));
    }
}
