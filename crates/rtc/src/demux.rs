//! Which peer a datagram is for, without asking each of them.
//!
//! The first byte tells the protocol (RFC 7983). A STUN request names our user fragment, a STUN
//! response repeats the transaction id of a check that we sent, and everything else goes by its
//! source address, which is learned only from a peer that proved its ICE password.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::limits::{ADDRESSES_PER_PEER, CHECKS_IN_FLIGHT, UFRAGS_PER_PEER};

/// STUN transaction id.
pub(crate) type Transaction = [u8; 12];

/// What a datagram is, as far as routing needs to know.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Datagram<'a> {
    Stun(Stun<'a>),
    Dtls { record: u8 },
    Rtp,
    Unknown,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Stun<'a> {
    pub(crate) class: StunClass,
    pub(crate) transaction: Transaction,
    /// The part of USERNAME before the colon: the receiver's user fragment.
    pub(crate) ufrag: Option<&'a [u8]>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum StunClass {
    Request,
    Indication,
    Success,
    Failure,
}

const STUN_HEADER: usize = 20;
const STUN_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const STUN_USERNAME: u16 = 0x0006;

/// Reads only what routing needs; never fails, never panics.
pub(crate) fn classify(datagram: &[u8]) -> Datagram<'_> {
    // RFC 7983, section 7.
    match datagram.first() {
        Some(0..=3) => stun(datagram).map_or(Datagram::Unknown, Datagram::Stun),
        Some(record @ 20..=63) => Datagram::Dtls { record: *record },
        Some(128..=191) => Datagram::Rtp,
        _ => Datagram::Unknown,
    }
}

fn stun(datagram: &[u8]) -> Option<Stun<'_>> {
    // RFC 8489, section 5.
    let (header, attributes) = datagram.split_at_checked(STUN_HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[4..8] != STUN_COOKIE || length != attributes.len() || !length.is_multiple_of(4) {
        return None;
    }
    let class = match (header[0] & 0x01, header[1] & 0x10) {
        (0, 0) => StunClass::Request,
        (0, _) => StunClass::Indication,
        (_, 0) => StunClass::Success,
        _ => StunClass::Failure,
    };
    let transaction = header[8..20].try_into().ok()?;
    Some(Stun { class, transaction, ufrag: username(attributes) })
}

fn username(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = attributes.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if u16::from_be_bytes([head[0], head[1]]) == STUN_USERNAME {
            let value = rest.get(..length)?;
            let colon = value.iter().position(|byte| *byte == b':')?;
            return Some(&value[..colon]);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// A peer's place in the endpoint and its age: peers made later have higher serials.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}

/// The tables that [`classify`]'s answers are looked up in.
#[derive(Default)]
pub(crate) struct Routes {
    ufrags: HashMap<Box<[u8]>, Owner>,
    addresses: HashMap<SocketAddr, Owner>,
    checks: HashMap<Transaction, Owner>,
    check_order: VecDeque<Transaction>,
    /// What each slot put into the tables above, so that it can be taken out again.
    slots: Vec<SlotRoutes>,
}

#[derive(Default)]
struct SlotRoutes {
    ufrags: VecDeque<Box<[u8]>>,
    addresses: VecDeque<SocketAddr>,
}

impl Routes {
    /// The peer that this datagram is for.
    pub(crate) fn find(&mut self, datagram: Datagram<'_>, source: SocketAddr) -> Option<Owner> {
        match datagram {
            Datagram::Stun(Stun { class: StunClass::Request, ufrag, .. }) => self.ufrags.get(ufrag?).copied(),
            Datagram::Stun(Stun { class: StunClass::Indication, .. }) => self.addresses.get(&source).copied(),
            Datagram::Stun(Stun { transaction, .. }) => self.checks.get(&transaction).copied(),
            Datagram::Dtls { .. } | Datagram::Rtp => self.addresses.get(&source).copied(),
            Datagram::Unknown => None,
        }
    }

    /// Requests that name `ufrag` go to `owner`. A restart adds a second one; the oldest goes.
    pub(crate) fn own_ufrag(&mut self, owner: Owner, ufrag: &str) {
        let key: Box<[u8]> = ufrag.as_bytes().into();
        if self.ufrags.insert(key.clone(), owner).is_some() {
            return;
        }
        let list = &mut self.slot(owner.slot).ufrags;
        list.push_back(key);
        if list.len() > UFRAGS_PER_PEER
            && let Some(oldest) = list.pop_front()
        {
            self.ufrags.remove(&oldest);
        }
    }

    /// Datagrams from `address` belong to `owner`, which authenticated itself from there.
    ///
    /// The younger peer keeps an address that two of them claim: two connections between the same
    /// two sockets cannot be told apart, and the newer one is the one that is meant.
    pub(crate) fn own_address(&mut self, owner: Owner, address: SocketAddr) {
        match self.addresses.get(&address) {
            Some(current) if *current == owner || current.serial > owner.serial => return,
            Some(current) => {
                let slot = current.slot;
                self.slot(slot).addresses.retain(|a| *a != address);
            }
            None => {}
        }
        self.addresses.insert(address, owner);
        let list = &mut self.slot(owner.slot).addresses;
        list.push_back(address);
        if list.len() > ADDRESSES_PER_PEER
            && let Some(oldest) = list.pop_front()
        {
            self.addresses.remove(&oldest);
        }
    }

    /// The response to this check of ours goes to `owner`.
    pub(crate) fn own_check(&mut self, owner: Owner, transaction: Transaction) {
        if self.checks.insert(transaction, owner).is_some() {
            return;
        }
        self.check_order.push_back(transaction);
        if self.check_order.len() > CHECKS_IN_FLIGHT
            && let Some(oldest) = self.check_order.pop_front()
        {
            self.checks.remove(&oldest);
        }
    }

    /// Takes out all that leads to `slot`. Its checks age out and are told apart by serial.
    pub(crate) fn forget(&mut self, slot: u32) {
        let SlotRoutes { ufrags, addresses } = std::mem::take(self.slot(slot));
        for ufrag in ufrags {
            self.ufrags.remove(&ufrag);
        }
        for address in addresses {
            self.addresses.remove(&address);
        }
    }

    fn slot(&mut self, slot: u32) -> &mut SlotRoutes {
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, SlotRoutes::default);
        }
        &mut self.slots[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(slot: u32, serial: u64) -> Owner {
        Owner { slot, serial }
    }

    /// A binding request as RFC 8445 sends it, with an attribute before USERNAME.
    fn request(username: &[u8]) -> Vec<u8> {
        let mut attributes = vec![0x00, 0x24, 0x00, 0x04, 1, 2, 3, 4];
        attributes.extend([0x00, 0x06]);
        attributes.extend((username.len() as u16).to_be_bytes());
        attributes.extend(username);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        let mut message = vec![0x00, 0x01];
        message.extend((attributes.len() as u16).to_be_bytes());
        message.extend(STUN_COOKIE);
        message.extend([7; 12]);
        message.extend(attributes);
        message
    }

    #[test]
    fn a_request_is_routed_by_our_ufrag() {
        let mut routes = Routes::default();
        routes.own_ufrag(owner(5, 1), "ours");
        let message = request(b"ours:theirs");
        let source = "10.0.0.1:9".parse().expect("address");
        assert_eq!(routes.find(classify(&message), source), Some(owner(5, 1)));
        let other = request(b"theirs:ours");
        assert_eq!(routes.find(classify(&other), source), None);
    }

    #[test]
    fn the_younger_peer_keeps_a_shared_address() {
        let mut routes = Routes::default();
        let address: SocketAddr = "10.0.0.1:9".parse().expect("address");
        routes.own_address(owner(0, 1), address);
        routes.own_address(owner(1, 2), address);
        routes.own_address(owner(0, 1), address);
        let dtls = Datagram::Dtls { record: 23 };
        assert_eq!(routes.find(dtls, address), Some(owner(1, 2)));
        routes.forget(0);
        assert_eq!(routes.find(dtls, address), Some(owner(1, 2)));
        routes.forget(1);
        assert_eq!(routes.find(dtls, address), None);
    }

    #[test]
    fn tables_stay_bounded() {
        let mut routes = Routes::default();
        for port in 1..=1000 {
            routes.own_address(owner(0, 1), SocketAddr::from(([10, 0, 0, 1], port)));
            routes.own_ufrag(owner(0, 1), &format!("u{port}"));
        }
        for check in 0..=CHECKS_IN_FLIGHT as u32 {
            let mut transaction = [0; 12];
            transaction[..4].copy_from_slice(&check.to_be_bytes());
            routes.own_check(owner(0, 1), transaction);
        }
        assert_eq!(routes.addresses.len(), ADDRESSES_PER_PEER);
        assert_eq!(routes.ufrags.len(), UFRAGS_PER_PEER);
        assert_eq!(routes.checks.len(), CHECKS_IN_FLIGHT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_classified_by_their_first_byte(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let expected = match bytes.first() {
                Some(20..=63) => "dtls",
                Some(128..=191) => "rtp",
                Some(0..=3) => "stun",
                _ => "unknown",
            };
            match classify(&bytes) {
                Datagram::Dtls { record } => prop_assert_eq!((expected, record), ("dtls", bytes[0])),
                Datagram::Rtp => prop_assert_eq!(expected, "rtp"),
                Datagram::Stun(_) => prop_assert_eq!(expected, "stun"),
                Datagram::Unknown => prop_assert!(expected == "unknown" || expected == "stun"),
            }
        }

        #[test]
        fn a_well_formed_request_yields_its_ufrag(ufrag in "[a-zA-Z0-9+/]{1,64}", peer in "[a-z]{0,9}") {
            let message = request(format!("{ufrag}:{peer}").as_bytes());
            match classify(&message) {
                Datagram::Stun(stun) => {
                    prop_assert_eq!(stun.ufrag, Some(ufrag.as_bytes()));
                    prop_assert_eq!(stun.class, StunClass::Request);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_damaged_request_never_panics(
            cut in 0usize..80, at in 0usize..80, byte in any::<u8>()
        ) {
            let mut message = request(b"someone:else");
            message.truncate(message.len().min(cut));
            if let Some(target) = message.get_mut(at) {
                *target = byte;
            }
            let _ = classify(&message);
        }
    }
}
