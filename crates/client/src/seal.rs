//! Sealed payloads: AES-256-GCM (NIST SP 800-38D) under a key of their sender's own, bound to where they belong. See
//! PROTOCOL.md, "Sealed payloads".
//!
//! This is the form alone; who is sealed to whom, and what is fresh, is [`crate::secrecy`]'s.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as Unique, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use room::id::{MemberId, RoomName};

use crate::RoomKey;

/// What a sealed payload begins with: no CBOR item does (RFC 8949, 3.3), so none is ever taken for a value.
const MARK: u8 = 0xfc;
/// Set beside the kind where the payload is for one member only.
const ADDRESSED: u8 = 0x10;
const HEADER: usize = 2;
const NONCE: usize = 12;
/// Random bytes at the beginning of a session's nonces; the rest of each counts.
const SALT: usize = 5;
const TAG: usize = 16;

/// Bytes that sealing adds.
pub(crate) const OVERHEAD: usize = HEADER + NONCE + TAG;

/// What a sealed payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Message = 0,
    Call = 1,
    Reply = 2,
    Failure = 3,
    Latest = 4,
    Datagram = 5,
    State = 6,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Message, Kind::Call, Kind::Reply, Kind::Failure, Kind::Latest, Kind::Datagram, Kind::State];
}

/// What a sealed payload is bound to beside its sender and its room: elsewhere it cannot be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub kind: Kind,
    /// The only member that it is for.
    pub to: Option<MemberId>,
    /// The channel, the method, or the state entry's key; empty for what ends a call.
    pub name: &'a str,
    /// The nonce of the call that it ends.
    pub call: Option<Nonce>,
}

impl Place<'_> {
    fn header(&self) -> [u8; HEADER] {
        [MARK, self.kind as u8 | if self.to.is_some() { ADDRESSED } else { 0 }]
    }

    /// Whether there are an addressee and a call is in the header, so that the name needs no length.
    fn bound(&self) -> Vec<u8> {
        let mut bound = Vec::with_capacity(HEADER + 8 + NONCE + self.name.len());
        bound.extend_from_slice(&self.header());
        bound.extend(self.to.iter().flat_map(|to| to.0));
        bound.extend(self.call.iter().flat_map(|call| call.0));
        bound.extend_from_slice(self.name.as_bytes());
        bound
    }
}

/// What makes each sealed payload of a sender another one, although the key is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce([u8; NONCE]);

impl Nonce {
    /// How many payloads its sender had sealed when it sealed this one, this one included.
    pub(crate) fn count(self) -> u64 {
        let mut count = [0; 8];
        count[SALT + 8 - NONCE..].copy_from_slice(&self.0[SALT..]);
        u64::from_be_bytes(count)
    }
}

/// One session's nonces.
///
/// They count, so that none comes twice and receivers can tell new from old. They begin with random bytes, so that
/// two sessions that by chance have the same id, and so the same key, do not share them.
#[derive(Debug)]
pub(crate) struct Nonces {
    salt: [u8; SALT],
    count: u64,
}

impl Nonces {
    pub(crate) fn new(salt: [u8; SALT]) -> Nonces {
        Nonces { salt, count: 0 }
    }

    pub(crate) fn next(&mut self) -> Nonce {
        self.count += 1;
        debug_assert!(self.count < 1 << 53, "JavaScript counts no further; nobody sends as much");
        let mut nonce = [0; NONCE];
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(&self.count.to_be_bytes()[SALT + 8 - NONCE..]);
        Nonce(nonce)
    }
}

/// The keys of all senders of a room.
#[derive(Clone)]
pub(crate) struct Keys {
    secret: Prk,
    room: RoomName,
}

impl Keys {
    pub(crate) fn new(key: &RoomKey, room: RoomName) -> Keys {
        Keys { secret: Salt::new(HKDF_SHA256, &[]).extract(key.bytes()), room }
    }

    /// The key that a member seals with (RFC 5869). An id names one session, so no key is used by two of them.
    pub(crate) fn of(&self, sender: MemberId) -> SenderKey {
        let info = [b"roomful sender 1".as_slice(), &sender.0, self.room.as_str().as_bytes()];
        let okm = self.secret.expand(&info, &AES_256_GCM).expect("HKDF gives 32 bytes");
        SenderKey(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

/// A key that one sender seals with and the others open.
pub(crate) struct SenderKey(LessSafeKey);

impl SenderKey {
    pub(crate) fn seal(&self, nonce: Nonce, place: &Place<'_>, plain: &[u8]) -> Bytes {
        let mut sealed = BytesMut::with_capacity(OVERHEAD + plain.len());
        sealed.put_slice(&place.header());
        sealed.put_slice(&nonce.0);
        sealed.put_slice(plain);
        let unique = Unique::assume_unique_for_key(nonce.0);
        let body = &mut sealed[HEADER + NONCE..];
        let tag = self.0.seal_in_place_separate_tag(unique, Aad::from(place.bound()), body);
        sealed.put_slice(tag.expect("a message is far below what AES-GCM can seal").as_ref());
        sealed.freeze()
    }

    /// What was sealed; `None` where it was not sealed with this key, or not for this place.
    pub(crate) fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Option<Bytes> {
        let (body, tag) = sealed.body.split_at_checked(sealed.body.len().checked_sub(TAG)?)?;
        let mut plain = BytesMut::zeroed(body.len());
        let unique = Unique::assume_unique_for_key(sealed.nonce.0);
        self.0.open_separate_gather(unique, Aad::from(place.bound()), body, tag, &mut plain).ok()?;
        Some(plain.freeze())
    }
}

/// A sealed payload, taken apart. Nothing of it is to be believed before it is opened.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub kind: Kind,
    pub addressed: bool,
    pub nonce: Nonce,
    body: Bytes,
}

/// Whether a payload says that it is sealed.
pub(crate) fn is_sealed(payload: &[u8]) -> bool {
    payload.first() == Some(&MARK)
}

impl Sealed {
    /// `None` where it has not the form of a sealed payload.
    pub(crate) fn parse(payload: &Bytes) -> Option<Sealed> {
        let [MARK, form, ..] = payload[..] else { return None };
        let kind = *Kind::ALL.get(usize::from(form & !ADDRESSED))?;
        let nonce = payload.get(HEADER..HEADER + NONCE)?.try_into().ok()?;
        let body = payload.slice(HEADER + NONCE..);
        (body.len() >= TAG).then_some(Sealed { kind, addressed: form & ADDRESSED != 0, nonce: Nonce(nonce), body })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// A file of `protocol/golden` of the kind `seal` or `bad_seal`.
    #[derive(Deserialize)]
    struct Golden {
        kind: String,
        seal: Seal,
        hex: String,
    }

    #[derive(Deserialize)]
    struct Seal {
        key: String,
        room: RoomName,
        from: MemberId,
        what: String,
        to: Option<MemberId>,
        name: String,
        call: Option<String>,
        salt: String,
        count: u64,
        plain: String,
    }

    fn golden() -> Vec<(String, Golden)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/golden");
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("seal_") || name.starts_with("bad_seal_") {
                let text = fs::read_to_string(&path).expect("a readable file");
                found.push((name, serde_json::from_str(&text).expect("a golden file")));
            }
        }
        assert!(found.len() > 8, "golden files are missing");
        found
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits")).collect()
    }

    fn kind(name: &str) -> Kind {
        let names = ["message", "call", "reply", "failure", "latest", "datagram", "state"];
        Kind::ALL[names.iter().position(|one| *one == name).expect("a kind")]
    }

    #[test]
    fn golden_payloads_are_sealed_and_opened_alike() {
        for (name, Golden { kind: of, seal, hex }) in golden() {
            let keys = Keys::new(&seal.key.parse().expect("a key"), seal.room);
            let key = keys.of(seal.from);
            let call = seal.call.map(|call| Nonce(bytes(&call).try_into().expect("a nonce")));
            let place = Place { kind: kind(&seal.what), to: seal.to, name: &seal.name, call };
            let sealed = Bytes::from(bytes(&hex));
            let opened = Sealed::parse(&sealed).and_then(|sealed| {
                let fits = sealed.kind == place.kind && sealed.addressed == place.to.is_some();
                assert!(!fits || of == "bad_seal" || sealed.nonce.count() == seal.count, "{name}");
                key.open(&place, &sealed).filter(|_| fits)
            });
            if of == "bad_seal" {
                assert_eq!(opened, None, "{name}");
                continue;
            }
            assert_eq!(opened.as_deref(), Some(&bytes(&seal.plain)[..]), "{name}");
            let mut nonces = Nonces { salt: bytes(&seal.salt).try_into().expect("a salt"), count: seal.count - 1 };
            assert_eq!(key.seal(nonces.next(), &place, &bytes(&seal.plain)), sealed, "{name}");
            assert_eq!(sealed.len(), bytes(&seal.plain).len() + OVERHEAD, "{name}");
            assert!(is_sealed(&sealed) && crate::Payload::from_cbor(sealed).check().is_err(), "{name}");
        }
    }

    fn keys() -> Keys {
        Keys::new(&RoomKey::random().expect("randomness"), "standup".parse().expect("a room"))
    }

    proptest! {
        #[test]
        fn whatever_is_altered_is_not_opened(plain: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8) {
            let (keys, id) = (keys(), MemberId::from(1));
            let place = Place { kind: Kind::Message, to: None, name: "chat", call: None };
            let mut nonces = Nonces::new([7; SALT]);
            let sealed = keys.of(id).seal(nonces.next(), &place, &plain);
            let open = |sealed: Bytes, place: &Place<'_>, id| {
                let sealed = Sealed::parse(&sealed).filter(|sealed| sealed.kind == place.kind && !sealed.addressed)?;
                keys.of(id).open(place, &sealed)
            };
            prop_assert_eq!(open(sealed.clone(), &place, id), Some(Bytes::from(plain)));
            let mut altered = sealed.to_vec();
            let at = at.index(altered.len());
            altered[at] ^= 1 << bit;
            prop_assert_eq!(open(altered.into(), &place, id), None);
            for other in [Place { name: "chatt", ..place }, Place { call: Some(nonces.next()), ..place }] {
                prop_assert_eq!(open(sealed.clone(), &other, id), None);
            }
            prop_assert_eq!(open(sealed.clone(), &place, MemberId::from(2)), None);
        }

        #[test]
        fn anything_can_be_taken_apart(payload: Vec<u8>, mark: bool) {
            let mut payload = payload;
            if mark {
                payload.insert(0, MARK);
            }
            let payload = Bytes::from(payload);
            if let Some(sealed) = Sealed::parse(&payload) {
                let place = Place { kind: sealed.kind, to: None, name: "", call: None };
                prop_assert_eq!(keys().of(MemberId::from(1)).open(&place, &sealed), None);
            }
        }
    }

    #[test]
    fn nonces_rise_and_never_repeat() {
        let mut nonces = Nonces::new([1, 2, 3, 4, 5]);
        let [first, second] = [nonces.next(), nonces.next()];
        assert_eq!((first.count(), second.count()), (1, 2));
        assert_eq!(first.0, [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 1]);
        assert_ne!(first, second);
    }
}
