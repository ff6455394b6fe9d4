//! A member with its edge's memory and its application.

use std::collections::BTreeMap;

use room::{
    id::{MemberId, Secret},
    member::{Config, Member},
    time::Time,
    wire::signal::RelayOffer,
};
use signer::Signer;

use super::{Event, app::App, links::Uplink};
use crate::dice::Dice;

/// What has become of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Unborn,
    Alive,
    /// Asked to leave, and on its way.
    Leaving,
    Left,
    Crashed,
    /// Could not enter, or was shut out.
    Closed,
}

impl Fate {
    /// Whether its machine has nothing more to do.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Fate::Left | Fate::Closed)
    }
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) id: MemberId,
    pub(super) config: Config,
    pub(super) signer: Signer,
    pub(super) fate: Fate,
    pub(super) machine: Option<Member>,
    pub(super) born: Time,
    /// When it is to be woken.
    pub(super) wake: Option<Time>,
    pub(super) asleep: bool,
    /// What came while it slept.
    pub(super) deferred: Vec<Event>,
    /// Its current socket.
    pub(super) socket: Option<usize>,
    /// Its current connection with each peer.
    pub(super) links: BTreeMap<MemberId, EdgeLink>,
    /// What waits for its uplink.
    pub(super) uplink: Uplink,
    pub(super) app: App,
}

/// A member's end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeLink {
    pub(super) attempt: u32,
    /// `None` at an answerer that has not seen the offer yet.
    pub(super) conn: Option<u64>,
    /// 0 for the offerer, 1 for the answerer.
    pub(super) end: usize,
}

impl Actor {
    /// Whether it passes on what others say, and is nobody to them.
    pub(super) fn is_relay(&self) -> bool {
        self.config.relay.is_some()
    }

    pub(super) fn unborn(seed: u64, room: usize, number: usize, topology: &str) -> Actor {
        Actor::of(seed, room, number, Some(topology.to_owned()), None)
    }

    /// A relay of the server's own, which enters at once.
    pub(super) fn relay(seed: u64, room: usize, number: usize) -> Actor {
        Actor::of(seed, room, number, None, Some(RelayOffer::default()))
    }

    fn of(seed: u64, room: usize, number: usize, topology: Option<String>, relay: Option<RelayOffer>) -> Actor {
        let mut dice = Dice::new(seed, room, 0x1000 + number as u64);
        let secret = Secret(dice.bytes());
        let seed = u32::try_from(dice.below(1 << 32)).unwrap_or(0);
        let signer = Signer::new(&dice.bytes());
        let config = Config {
            secret,
            key: Some(signer.key()),
            name: format!("member {number}"),
            attributes: BTreeMap::new(),
            token: None,
            topology,
            agent: None,
            relay,
            seed,
        };
        Actor {
            id: secret.member_id(),
            config,
            signer,
            fate: Fate::Unborn,
            machine: None,
            born: Time(0),
            wake: None,
            asleep: false,
            deferred: Vec::new(),
            socket: None,
            links: BTreeMap::new(),
            uplink: Uplink::default(),
            app: App::default(),
        }
    }
}
