//! GossipSub's rule (libp2p's specification, version 1.1, its default figures, one topic, no scores): messages go over a
//! mesh of some of the links; each second a member tells some of its other neighbours what came of late, and whoever lacks
//! something asks for it. Own messages go to all neighbours.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use bytes::Bytes;
use room::{
    courier::LinkUp,
    id::MemberId,
    time::{Micros, Time},
};

use super::{
    flood::{Copy, Seen},
    protocol::{Arrival, Protocol},
};
use crate::dice::Dice;

/// Links of the mesh: wanted, least, most.
const D: usize = 6;
const D_LOW: usize = 5;
const D_HIGH: usize = 12;
/// Neighbours outside the mesh that are told what came.
const D_LAZY: usize = 6;
const HEARTBEAT: Micros = Micros::from_secs(1);
/// Heartbeats for which messages are kept, and for which they are told of.
const HISTORY: usize = 5;
const GOSSIP: usize = 3;
/// Time after which a message is asked for again.
const ASK_AGAIN: Micros = Micros::from_secs(3);

#[derive(Clone, Debug)]
pub(super) enum Frame {
    Message(Copy),
    Have(Rc<[(MemberId, u64)]>),
    Want(Rc<[(MemberId, u64)]>),
    Graft,
    Prune,
}

#[derive(Debug)]
pub(super) struct GossipSub {
    this: MemberId,
    said: u64,
    dice: Dice,
    links: Vec<MemberId>,
    mesh: BTreeSet<MemberId>,
    seen: Seen,
    /// What came, by heartbeat, the latest first.
    history: VecDeque<Vec<Copy>>,
    asked: Vec<(MemberId, u64, Time)>,
    heartbeat: Time,
    out: VecDeque<(MemberId, Frame)>,
    arrivals: VecDeque<Arrival>,
}

impl GossipSub {
    fn keep(&mut self, copy: Copy) {
        if let Some(latest) = self.history.front_mut() {
            latest.push(copy);
        }
    }

    fn graft(&mut self, peer: MemberId) {
        self.mesh.insert(peer);
        self.out.push_back((peer, Frame::Graft));
    }

    /// Some of the links outside the mesh.
    fn strangers(&mut self, most: usize) -> Vec<MemberId> {
        let mut strangers: Vec<MemberId> =
            self.links.iter().copied().filter(|peer| !self.mesh.contains(peer)).collect();
        while strangers.len() > most {
            let place = self.dice.below(strangers.len() as u64) as usize;
            strangers.swap_remove(place);
        }
        strangers
    }

    fn message(&mut self, from: MemberId, copy: Copy) {
        if !self.seen.insert(copy.origin, copy.seq) {
            return;
        }
        self.arrivals.push_back(Arrival::Message { origin: copy.origin, seq: copy.seq, hop: copy.hop });
        self.keep(copy);
        let next = Copy { hop: copy.hop.saturating_add(1), ..copy };
        let onward = self.mesh.iter().filter(|peer| **peer != from && **peer != copy.origin);
        self.out.extend(onward.map(|peer| (*peer, Frame::Message(next))));
    }
}

impl Protocol for GossipSub {
    type Frame = Frame;
    const ORDERED: bool = false;

    fn new(this: MemberId, now: Time, _: bool) -> GossipSub {
        let mut dice = Dice::new(this.to_u64(), 0, 40);
        let heartbeat = now + Micros(dice.below(HEARTBEAT.0));
        GossipSub {
            this,
            said: 0,
            dice,
            links: Vec::new(),
            mesh: BTreeSet::new(),
            seen: Seen::default(),
            history: VecDeque::from([Vec::new()]),
            asked: Vec::new(),
            heartbeat,
            out: VecDeque::new(),
            arrivals: VecDeque::new(),
        }
    }

    fn link_up(&mut self, _: Time, peer: MemberId, _: LinkUp, _: Micros) {
        self.links.push(peer);
        if self.mesh.len() < D {
            self.graft(peer);
        }
    }

    fn link_down(&mut self, _: Time, peer: MemberId) {
        self.links.retain(|other| *other != peer);
        self.mesh.remove(&peer);
    }

    fn publish(&mut self, _: Time, payload: &Bytes) -> bool {
        self.said += 1;
        self.seen.insert(self.this, self.said);
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let copy = Copy { origin: self.this, seq: self.said, hop: 0, bytes };
        self.keep(copy);
        self.out.extend(self.links.iter().map(|peer| (*peer, Frame::Message(Copy { hop: 1, ..copy }))));
        true
    }

    fn frame(&mut self, now: Time, from: MemberId, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Message(copy) => self.message(from, copy),
            Frame::Have(told) => {
                self.asked.retain(|(_, _, at)| now.since(*at) < ASK_AGAIN);
                let mut wanted = Vec::new();
                for (origin, seq) in told.iter() {
                    let asked = self.asked.iter().any(|(o, s, _)| (o, s) == (origin, seq));
                    if !asked && !self.seen.contains(*origin, *seq) {
                        self.asked.push((*origin, *seq, now));
                        wanted.push((*origin, *seq));
                    }
                }
                if !wanted.is_empty() {
                    self.out.push_back((from, Frame::Want(wanted.into())));
                }
            }
            Frame::Want(wanted) => {
                for (origin, seq) in wanted.iter() {
                    let held = self.history.iter().flatten().find(|copy| (copy.origin, copy.seq) == (*origin, *seq));
                    if let Some(copy) = held {
                        let next = Copy { hop: copy.hop.saturating_add(1), ..*copy };
                        self.out.push_back((from, Frame::Message(next)));
                    }
                }
            }
            Frame::Graft if self.mesh.len() < D_HIGH && self.links.contains(&from) => {
                self.mesh.insert(from);
            }
            Frame::Graft => self.out.push_back((from, Frame::Prune)),
            Frame::Prune => {
                self.mesh.remove(&from);
            }
        }
        Ok(())
    }

    fn next_frame(&mut self, _: Time) -> Option<(MemberId, Frame)> {
        self.out.pop_front()
    }

    fn next_arrival(&mut self, _: Time) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        Some(self.heartbeat)
    }

    fn tick(&mut self, now: Time) {
        self.heartbeat = now + HEARTBEAT;
        if self.mesh.len() < D_LOW {
            for peer in self.strangers(D - self.mesh.len()) {
                self.graft(peer);
            }
        }
        while self.mesh.len() > D_HIGH {
            let place = self.dice.below(self.mesh.len() as u64) as usize;
            let Some(peer) = self.mesh.iter().nth(place).copied() else { break };
            self.mesh.remove(&peer);
            self.out.push_back((peer, Frame::Prune));
        }
        let told: Rc<[(MemberId, u64)]> =
            self.history.iter().take(GOSSIP).flatten().map(|copy| (copy.origin, copy.seq)).collect();
        if !told.is_empty() {
            for peer in self.strangers(D_LAZY) {
                self.out.push_back((peer, Frame::Have(Rc::clone(&told))));
            }
        }
        self.history.push_front(Vec::new());
        self.history.truncate(HISTORY);
    }

    fn size(frame: &Frame) -> usize {
        match frame {
            Frame::Message(copy) => 16 + copy.bytes as usize,
            // Ids of messages have 20 bytes.
            Frame::Have(ids) | Frame::Want(ids) => 4 + 20 * ids.len(),
            Frame::Graft | Frame::Prune => 4,
        }
    }

    fn message(frame: &Frame) -> Option<(MemberId, u64)> {
        match frame {
            Frame::Message(copy) => Some((copy.origin, copy.seq)),
            _ => None,
        }
    }
}
