//! Members' key pairs and signatures, which are real ones: whoever forges here has to forge Ed25519 (RFC 8032).

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use room::id::{Key, Signature};

/// Signs what one member says.
#[derive(Debug)]
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    key: Key,
}

impl Signer {
    /// The pair of a seed, which nobody else is to know.
    pub(crate) fn new(seed: &[u8; 32]) -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        Signer { pair, key: Key(public) }
    }

    /// What others verify with.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// The signature of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> Signature {
        Signature(self.pair.sign(text).as_ref().try_into().expect("a signature has 64 bytes"))
    }
}

/// Whether a signature is a key's, of a text.
pub(crate) fn verify(key: &Key, text: &[u8], signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, &key.0[..]).verify(text, &signature.0).is_ok()
}
