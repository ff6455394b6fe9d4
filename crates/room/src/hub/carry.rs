//! Links whose frames the hub carries, because no connection joins their ends.
//!
//! Both ends must wish it, under the same number, and the plan must link them. What is carried the hub neither reads nor
//! keeps: its edge says where too much of it waits for somebody. To a member that is away nothing can be carried, so all of
//! it is over then, and what it and the other ends said of each other says nothing any more.

use bytes::Bytes;

use super::{ConnId, Hub, Output};
use crate::{
    id::MemberId,
    limits,
    wire::{
        carried::Address,
        signal::{CarryEnd, CarryFrom, CarryTo, RefusalCode, Refused, ServerMessage},
    },
};

impl Hub {
    /// How many links of a member are carried at most.
    pub(super) fn carried_max(&self, id: MemberId) -> usize {
        let is_relay = self.roster.get(id).is_some_and(|session| session.member.relay);
        match self.config.carried_links {
            0 => 0,
            most if is_relay => most.max(limits::RELAY_LINKS.into()),
            most => most,
        }
    }

    /// A member wishes that the hub carry a link's frames, or takes that back.
    pub(super) fn carry(&mut self, id: MemberId, CarryTo { to, episode, over }: CarryTo) {
        if over {
            if self.roster.get(id).and_then(|session| session.carries.get(&to)) == Some(&episode) {
                self.end_carriage(id, to, CarryEnd::Closed);
            }
            return;
        }
        let is_here = self.roster.get(to).is_some_and(|session| session.conn.is_some());
        let max = self.carried_max(id);
        let Some(session) = self.roster.get(id) else { return };
        let end = if id == to || !self.linked(id, to) {
            Some(CarryEnd::NotLinked)
        } else if !is_here {
            Some(CarryEnd::Away)
        } else if !session.carries.contains_key(&to) && session.carries.len() >= max {
            Some(CarryEnd::TooMany)
        } else {
            None
        };
        match end {
            Some(end) => {
                self.end_carriage(id, to, end);
                self.tell_carry(id, to, episode, Some(end));
            }
            None => {
                if let Some(session) = self.roster.get_mut(id) {
                    session.carries.insert(to, episode);
                }
                self.counters.carriages += u64::from(self.carries(id, to, episode));
                self.tell_carry(to, id, episode, None);
            }
        }
    }

    /// Passes on what a member wants carried. What comes when it is over was on its way then.
    pub(super) fn carried(&mut self, id: MemberId, conn: ConnId, message: Bytes) {
        let bytes = message.len();
        let Ok(Address { peer, episode, rest }) = Address::read(message) else {
            let hint = "a member's id and a number come first, see PROTOCOL.md";
            let refused = Refused::of_message(RefusalCode::BadMessage, "not a message that can be carried", hint);
            return self.refuse_message(conn, refused);
        };
        match self.roster.get(peer).and_then(|session| session.conn) {
            Some(to) if self.carries(id, peer, episode) => {
                self.counters.carried += 1;
                self.counters.carried_bytes += bytes as u64;
                self.outputs.push_back(Output::Carry { to, from: id, rest });
            }
            _ => self.counters.carried_dropped += 1,
        }
    }

    /// More waits to be carried to a member than the edge holds.
    pub(super) fn clogged(&mut self, from: MemberId, to: MemberId) {
        let Some(episode) = self.roster.get(from).and_then(|session| session.carries.get(&to)).copied() else { return };
        self.end_carriage(from, to, CarryEnd::TooSlow);
        self.tell_carry(from, to, episode, Some(CarryEnd::TooSlow));
    }

    /// Nothing is carried to or from a member any more.
    pub(super) fn end_carriages(&mut self, id: MemberId, end: CarryEnd) {
        for peer in self.roster.carried_with(id) {
            let episode = self.roster.get(id).and_then(|session| session.carries.get(&peer)).copied();
            if episode.is_some_and(|episode| self.carries(id, peer, episode)) {
                self.roster.retract(id, peer);
            }
            self.end_carriage(id, peer, end);
        }
    }

    /// The plan has no link between two members any more, as both are told.
    pub(super) fn drop_carriage(&mut self, a: MemberId, b: MemberId) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(session) = self.roster.get_mut(one) {
                session.carries.remove(&other);
            }
        }
    }

    /// Ends what a member wanted carried, and tells the other end.
    fn end_carriage(&mut self, id: MemberId, peer: MemberId, end: CarryEnd) {
        let theirs = self.roster.get(peer).and_then(|session| session.carries.get(&id)).copied();
        self.drop_carriage(id, peer);
        if let Some(episode) = theirs {
            self.tell_carry(peer, id, episode, Some(end));
        }
    }

    /// Whether both ends want this carried.
    fn carries(&self, a: MemberId, b: MemberId, episode: u32) -> bool {
        let wishes =
            |one, other| self.roster.get(one).and_then(|session| session.carries.get(&other)) == Some(&episode);
        wishes(a, b) && wishes(b, a)
    }

    fn tell_carry(&mut self, to: MemberId, from: MemberId, episode: u32, over: Option<CarryEnd>) {
        if let Some(conn) = self.roster.get(to).and_then(|session| session.conn) {
            self.send(vec![conn], ServerMessage::Carry(CarryFrom { from, episode, over }));
        }
    }
}
