//! Passwords, kept as argon2id hashes (RFC 9106) in the form of PHC strings.

use std::fmt;

use argon2::{
    ARGON2ID_IDENT, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{self, phc::PasswordHash},
};

use crate::limits;

/// The hash of a password: enough to check one with, too little to find one.
///
/// ```
/// use server::password::Hash;
///
/// let hash = Hash::of("correct horse battery staple")?;
/// let again = Hash::new(&hash.to_string()).expect("what is written can be read");
/// assert!(again.is_of("correct horse battery staple") && !again.is_of("tr0ub4dor&3"));
/// # Ok::<(), server::password::NoHash>(())
/// ```
#[derive(Clone)]
pub struct Hash {
    hash: PasswordHash,
    cost: u64,
}

/// A text that is no argon2id hash, or one that takes more than [`limits::PASSWORD_COST`] to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no argon2id hash of a password, or one that takes too much to check")]
pub struct HashError;

/// A password that has no hash: it is longer than [`limits::PASSWORD_BYTES`], or there is no memory to hash it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {} bytes", limits::PASSWORD_BYTES)]
pub struct NoHash;

impl Hash {
    /// The hash that this text is: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// Where it is none, or one that takes too much to check.
    pub fn new(text: &str) -> Result<Hash, HashError> {
        let hash = PasswordHash::new(text).map_err(|_| HashError)?;
        let params = Params::try_from(&hash).map_err(|_| HashError)?;
        hash.version.map(Version::try_from).transpose().map_err(|_| HashError)?;
        let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
        let is_whole = hash.algorithm == ARGON2ID_IDENT && hash.salt.is_some() && hash.hash.is_some();
        if is_whole && cost <= limits::PASSWORD_COST { Ok(Hash { hash, cost }) } else { Err(HashError) }
    }

    /// The hash of a password, salted at random, with the parameters that OWASP recommends (19 MiB, two passes).
    ///
    /// # Errors
    /// Where the password is empty or too long.
    pub fn of(password: &str) -> Result<Hash, NoHash> {
        if password.is_empty() || password.len() > limits::PASSWORD_BYTES {
            return Err(NoHash);
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the system gives random bytes once it is up");
        let hash: password_hash::Result<PasswordHash> =
            Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        let cost = u64::from(Params::DEFAULT_M_COST) * u64::from(Params::DEFAULT_T_COST);
        Ok(Hash { hash: hash.map_err(|_| NoHash)?, cost })
    }

    /// Whether it is the hash of this password. Takes tens of milliseconds and memory, on purpose.
    pub fn is_of(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), &self.hash).is_ok()
    }

    /// What checking a password takes: KiB of memory, times the passes over it.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.hash, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_no_hashes() {
        let good = Hash::of("sesame").unwrap().to_string();
        assert!(good.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{good}");
        let parts: Vec<_> = good.split('$').collect();
        for text in [
            "",
            "sesame",
            "$",
            &good[..good.len() - 60],
            &parts[..5].join("$"),
            &good.replace("argon2id", "argon2i"),
            &good.replace("m=19456", "m=1"),
            &good.replace("m=19456", "m=4294967295"),
            &good.replace("t=2", "t=4000000000"),
            &good.replace("v=19", "v=3"),
            "$2b$12$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZabcdef",
        ] {
            assert_eq!(Hash::new(text).unwrap_err(), HashError, "{text}");
        }
        assert!(Hash::new(&good).unwrap().is_of("sesame"));
    }

    #[test]
    fn same_password_has_many_hashes() {
        let [one, other] = [(); 2].map(|()| Hash::of("sesame").unwrap());
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(one.cost(), Hash::new(&one.to_string()).unwrap().cost());
        assert_eq!(Hash::of("").unwrap_err(), NoHash);
        assert_eq!(Hash::of(&"x".repeat(limits::PASSWORD_BYTES + 1)).unwrap_err(), NoHash);
        assert!(!format!("{one:?}").contains("argon2id"));
    }
}
