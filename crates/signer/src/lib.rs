//! The key pair of a member's session, and signatures: Ed25519 (RFC 8032). What is signed, and when, the member machine says;
//! whoever runs one, the client and the simulator, signs and verifies here. Keys are not kept anywhere.
//!
//! ```
//! let signer = signer::Signer::new(&[7; 32]);
//! let signature = signer.sign(b"hello");
//! assert!(signer::verify(&signer.key(), b"hello", &signature));
//! ```

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use room::id::{Key, Signature};

/// Signs what one member says.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: Key,
}

impl Signer {
    /// The pair of a seed, which nobody else is to know.
    pub fn new(seed: &[u8; 32]) -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        Signer { pair, key: Key(public) }
    }

    /// What others verify with.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The signature of a text.
    pub fn sign(&self, text: &[u8]) -> Signature {
        Signature(self.pair.sign(text).as_ref().try_into().expect("a signature has 64 bytes"))
    }
}

impl fmt::Debug for Signer {
    /// The public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Whether a signature is a key's, of a text.
pub fn verify(key: &Key, text: &[u8], signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, &key.0[..]).verify(text, &signature.0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
        };
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signer = Signer::new(&seed.try_into().expect("32 bytes"));
        let key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(Ok(signer.key()), key.parse());
        let signature = signer.sign(&[0x72]);
        assert_eq!(
            signature.0[..],
            bytes(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
        assert!(verify(&signer.key(), &[0x72], &signature));
        assert!(!verify(&signer.key(), &[0x73], &signature));
        assert!(!verify(&Key([0xff; 32]), &[0x72], &signature));
    }
}
