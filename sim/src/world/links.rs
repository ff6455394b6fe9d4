//! The way between members: peer connections, how they come to be, and the packets on their two lanes.
//!
//! A connection has two ends, the offerer's (0) and the answerer's (1). Its reliable lane loses nothing and reorders
//! nothing while the connection stands: what is lost comes later, what meets a broken path waits for another one. Its
//! lossy lane loses and reorders.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use room::{
    id::MemberId,
    limits,
    member::{Input, Lane},
    time::{Micros, Time},
    wire::{
        frame::PacketReader,
        signal::{Candidate, Negotiation, Role},
    },
};

use super::{Event, World, actor::EdgeLink};
use crate::network::Path;

/// A connection between two actors.
#[derive(Debug)]
pub(super) struct Conn {
    attempt: u32,
    ends: [End; 2],
    /// Its path is no good any more.
    broken: bool,
    /// Whether the answer has reached the offerer.
    answered: bool,
}

#[derive(Debug)]
struct End {
    actor: usize,
    /// Whether the machine at this end has the connection and has not closed it.
    attached: bool,
    /// When it was told that the connection is up; nothing arrives before.
    up: Option<Time>,
    /// When the machine at this end closed the connection, or was no more.
    detached: Option<Time>,
    /// What this end sends, by lane.
    lanes: [Outgoing; 2],
}

#[derive(Debug, Default)]
struct Outgoing {
    /// Bytes in the send buffer.
    buffered: usize,
    /// Bytes that left it since the machine was told.
    untold: usize,
    /// When the last packet arrives.
    last: Time,
    /// Until when the sender must stand for it to arrive: what was lost it sends again.
    resent: Time,
    path: Path,
    /// What waits for a path.
    held: VecDeque<Bytes>,
}

/// Why an attempt at a link did not open.
pub(super) const NO_WAY: &str = "no way was found";

impl World {
    // ---- coming to be --------------------------------------------------------------------------------------------

    pub(super) fn open(&mut self, actor: usize, peer: MemberId, attempt: u32, role: Role) {
        if self.actors[actor].links.contains_key(&peer) {
            self.checks.violation(self.now, format!("{actor} opens a second connection to {peer}"));
        }
        let conn = match (role, self.numbers.get(&peer).copied()) {
            (Role::Offer, Some(other)) => {
                self.conns_made += 1;
                let end =
                    |actor, attached| End { actor, attached, up: None, detached: None, lanes: Default::default() };
                let ends = [end(actor, true), end(other, false)];
                self.conns.insert(self.conns_made, Conn { attempt, ends, broken: false, answered: false });
                Some(self.conns_made)
            }
            _ => None,
        };
        let end = usize::from(role == Role::Answer);
        self.actors[actor].links.insert(peer, EdgeLink { attempt, conn, end });
        if let Some(conn) = conn {
            self.negotiate(conn, 0, Negotiation::Offer(sdp(conn)));
            self.trickle(conn, 0);
        }
    }

    /// A description or candidate comes out of one end, after a moment.
    fn negotiate(&mut self, conn: u64, end: usize, data: Negotiation) {
        let Some((peer, attempt)) = self.far(conn, end) else { return };
        let think = Micros(self.network.dice().between(500, 5_000));
        self.queue
            .push(self.now + think, Event::Give { conn, end, input: Box::new(Input::Local { peer, attempt, data }) });
    }

    fn trickle(&mut self, conn: u64, end: usize) {
        for number in 0..2 {
            let candidate = Candidate {
                candidate: format!("candidate:{number} 1 udp 2122260223 192.0.2.1 {} typ host", 1024 + conn % 60_000),
                sdp_mid: Some("0".to_owned()),
                sdp_m_line_index: Some(0),
                username_fragment: None,
            };
            self.negotiate(conn, end, Negotiation::Candidate(candidate));
        }
    }

    /// Who is at the other end, as the machine at this end knows it.
    fn far(&self, conn: u64, end: usize) -> Option<(MemberId, u32)> {
        let conn = self.conns.get(&conn)?;
        Some((self.actors[conn.ends[1 - end].actor].id, conn.attempt))
    }

    /// A machine hands its end what the peer said.
    pub(super) fn remote(&mut self, actor: usize, peer: MemberId, attempt: u32, data: Negotiation) {
        let Some(link) = self.actors[actor].links.get(&peer).copied().filter(|link| link.attempt == attempt) else {
            return self.checks.violation(self.now, format!("{actor} negotiates without a connection to {peer}"));
        };
        match data {
            Negotiation::Offer(sdp) => {
                let Some(conn) = number_of(&sdp).filter(|conn| self.conns.contains_key(conn)) else { return };
                if let Some(link) = self.actors[actor].links.get_mut(&peer) {
                    link.conn = Some(conn);
                }
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.ends[1].attached = true;
                }
                self.negotiate(conn, 1, Negotiation::Answer(sdp));
                self.trickle(conn, 1);
            }
            Negotiation::Answer(_) => {
                let Some(id) = link.conn else { return };
                let Some(conn) = self.conns.get_mut(&id) else { return };
                if std::mem::replace(&mut conn.answered, true) {
                    let [a, b] = [conn.ends[0].actor, conn.ends[1].actor];
                    let trip = self.network.round_trip(a, b);
                    self.queue.push(self.now + trip, Event::Repair { conn: id });
                    return;
                }
                let [a, b] = [conn.ends[0].actor, conn.ends[1].actor];
                match self.network.establish(a, b) {
                    Some(after) => self.queue.push(self.now + after, Event::Establish { conn: id, opens: true }),
                    None => {
                        // ICE gives up after a while, or not before the member does.
                        let after = Micros(self.network.dice().between(3_000_000, 15_000_000));
                        self.queue.push(self.now + after, Event::Establish { conn: id, opens: false });
                    }
                }
            }
            Negotiation::Candidate(_) | Negotiation::Over(_) => {}
        }
    }

    pub(super) fn establish(&mut self, id: u64, opens: bool) {
        let Some(conn) = self.conns.get(&id) else { return };
        let [a, b] = [conn.ends[0].actor, conn.ends[1].actor];
        let both = conn.ends.iter().all(|end| end.attached);
        if !both || !opens || self.network.is_cut(a, b) {
            for end in 0..2 {
                let Some((peer, attempt)) = self.far(id, end) else { return };
                let reason = NO_WAY.to_owned();
                let input = Box::new(Input::LinkDown { peer, attempt, reason, closed: false });
                self.queue.push(self.now, Event::Give { conn: id, end, input });
            }
            return;
        }
        for end in 0..2 {
            // The last message of the handshake is on its way to one of them.
            let after = if end == 0 { Micros(0) } else { self.network.delay(a, b) };
            let up = self.now + after;
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.ends[end].up = Some(up);
            }
            let Some((peer, attempt)) = self.far(id, end) else { return };
            let input = Box::new(Input::LinkUp { peer, attempt, path: "host".to_owned() });
            self.queue.push(up, Event::Give { conn: id, end, input });
        }
    }

    pub(super) fn restart_ice(&mut self, actor: usize, peer: MemberId, attempt: u32) {
        let link = self.actors[actor].links.get(&peer).copied();
        if let Some(EdgeLink { conn: Some(conn), end: 0, .. }) = link.filter(|link| link.attempt == attempt) {
            self.negotiate(conn, 0, Negotiation::Offer(sdp(conn)));
        }
    }

    /// ICE has looked for another path.
    pub(super) fn repair(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            let [a, b] = [conn.ends[0].actor, conn.ends[1].actor];
            if !self.network.is_cut(a, b) {
                conn.broken = false;
                self.flush_link(id);
            }
        }
    }

    // ---- ending --------------------------------------------------------------------------------------------------

    pub(super) fn close(&mut self, actor: usize, peer: MemberId, attempt: u32) {
        let Some(link) = self.actors[actor].links.remove(&peer) else {
            return self.checks.violation(self.now, format!("{actor} closes a connection that it has not"));
        };
        if link.attempt != attempt {
            self.checks.violation(self.now, format!("{actor} closes attempt {attempt}, and has {}", link.attempt));
        }
        let Some(id) = link.conn else { return };
        self.detach(id, link.end);
        let Some(conn) = self.conns.get(&id) else { return };
        let other = conn.ends[1 - link.end].actor;
        if conn.ends[link.end].up.is_some()
            && !conn.broken
            && !self.network.is_cut(actor, other)
            && self.network.tells_close()
        {
            let Some((peer, attempt)) = self.far(id, 1 - link.end) else { return };
            let at = self.now + self.network.delay(actor, other);
            let reason = "the other side closed it".to_owned();
            let input = Box::new(Input::LinkDown { peer, attempt, reason, closed: true });
            self.queue.push(at, Event::Give { conn: id, end: 1 - link.end, input });
        }
    }

    /// An actor's process is gone: its ends fall silent.
    pub(super) fn silence_links(&mut self, actor: usize) {
        for link in std::mem::take(&mut self.actors[actor].links).into_values() {
            if let Some(conn) = link.conn {
                self.detach(conn, link.end);
            }
        }
    }

    fn detach(&mut self, id: u64, end: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.ends[end].attached = false;
        conn.ends[end].detached = Some(self.now);
        conn.ends[end].lanes = Default::default();
        // What a closed connection has not sent yet is nobody's any more.
        self.actors[conn.ends[end].actor].uplink.forget(id);
        if conn.ends.iter().all(|end| !end.attached) && conn.answered {
            self.conns.remove(&id);
        }
    }

    pub(super) fn rebind(&mut self, a: usize, b: usize) {
        let Some(peer) = self.actors.get(b).map(|actor| actor.id) else { return };
        let link = self.actors.get(a).and_then(|actor| actor.links.get(&peer));
        if let Some(conn) = link.and_then(|link| link.conn).and_then(|conn| self.conns.get_mut(&conn)) {
            conn.broken = true;
        }
    }

    /// The machine at an end that has not closed the connection.
    pub(super) fn attached(&self, conn: u64, end: usize) -> Option<usize> {
        let end = &self.conns.get(&conn)?.ends[end];
        end.attached.then_some(end.actor)
    }

    // ---- packets -------------------------------------------------------------------------------------------------

    pub(super) fn packet(&mut self, actor: usize, peer: MemberId, attempt: u32, lane: Lane, bytes: Bytes) {
        let link = self.actors[actor].links.get(&peer).filter(|link| link.attempt == attempt);
        let Some((EdgeLink { end, .. }, id)) = link.and_then(|link| Some((*link, link.conn?))) else {
            return self.checks.violation(self.now, format!("{actor} sends to {peer} without a connection"));
        };
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.ends[end].up.is_some_and(|up| up <= self.now))
        else {
            return self.checks.violation(self.now, format!("{actor} sends to {peer} before the link is up"));
        };
        let outgoing = &mut conn.ends[end].lanes[lane as usize];
        outgoing.buffered += bytes.len();
        let bound = match lane {
            Lane::Reliable => limits::LINK_PAUSE,
            Lane::Lossy => limits::LOSSY_PAUSE,
        };
        if bytes.len() > limits::PACKET_MAX || outgoing.buffered > bound + limits::PACKET_MAX {
            let (packet, buffer) = (bytes.len(), outgoing.buffered);
            self.checks.violation(self.now, format!("{actor} sends {packet} B into a buffer of {buffer} B"));
        }
        if self.network.serialization(bytes.len()) == Micros(0) {
            return self.depart(id, end, lane, bytes);
        }
        self.actors[actor].uplink.push(id, end, lane, bytes);
        self.serve_uplink(actor);
    }

    /// Puts an uplink's next packet on the wire, unless one is on it.
    fn serve_uplink(&mut self, actor: usize) {
        if let Some((conn, end, lane, bytes)) = self.actors[actor].uplink.next() {
            let at = self.now + self.network.serialization(bytes.len());
            self.queue.push(at, Event::Depart { actor, conn, end, lane, bytes });
        }
    }

    /// An uplink is through with a packet.
    pub(super) fn departed(&mut self, actor: usize, id: u64, end: usize, lane: Lane, bytes: Bytes) {
        self.depart(id, end, lane, bytes);
        self.actors[actor].uplink.done();
        self.serve_uplink(actor);
    }

    fn depart(&mut self, id: u64, end: usize, lane: Lane, bytes: Bytes) {
        let Some(conn) = self.conns.get(&id).filter(|conn| conn.ends[end].attached) else { return };
        let [from, to] = [conn.ends[end].actor, conn.ends[1 - end].actor];
        let passes = !conn.broken && conn.ends[1 - end].attached && !self.network.is_cut(from, to);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let start = conn.ends[1 - end].up.unwrap_or(self.now);
        let outgoing = &mut conn.ends[end].lanes[lane as usize];
        // What is sent must be acknowledged before it leaves the buffer; nothing overtakes on the reliable lane.
        if lane == Lane::Reliable && (!passes || !outgoing.held.is_empty()) {
            outgoing.held.push_back(bytes);
            return;
        }
        outgoing.buffered -= bytes.len();
        outgoing.untold += bytes.len();
        let lost = !passes || self.network.loses(&mut outgoing.path);
        let mut at = (self.now + self.network.delay(from, to)).max(start);
        if lane == Lane::Reliable {
            if lost {
                let again = self.network.repair(from, to);
                at = at + again;
                outgoing.resent = outgoing.resent.max(self.now + again);
            }
            at = at.max(outgoing.last);
            outgoing.last = at;
        }
        let needs = if lane == Lane::Reliable { outgoing.resent } else { self.now };
        // The machine need not hear of every packet, only often enough that it does not stop for nothing.
        let (bound, often) = match lane {
            Lane::Reliable => (limits::LINK_RESUME, limits::LINK_RESUME / 2),
            Lane::Lossy => (limits::LOSSY_PAUSE / 4, limits::LOSSY_PAUSE / 4),
        };
        if outgoing.buffered <= bound && outgoing.untold >= often {
            outgoing.untold = 0;
            self.queue.push(self.now, Event::Drained { conn: id, end, lane });
        }
        if !lost || lane == Lane::Reliable {
            self.queue.push(at, Event::Arrive { conn: id, end: 1 - end, lane, bytes, needs });
        }
    }

    /// A machine hears how much is in a send buffer now.
    pub(super) fn drained(&mut self, id: u64, end: usize, lane: Lane) {
        let Some(actor) = self.attached(id, end) else { return };
        let Some((peer, attempt)) = self.far(id, end) else { return };
        let Some(bytes) = self.conns.get(&id).map(|conn| conn.ends[end].lanes[lane as usize].buffered) else { return };
        self.turn(actor, Input::Buffered { peer, attempt, lane, bytes });
    }

    /// A packet reaches an end, unless it was lost, or comes after one that was, and who sent it was no more when it had to be
    /// sent again, at `needs`.
    pub(super) fn arrive(&mut self, id: u64, end: usize, lane: Lane, bytes: Bytes, needs: Time) {
        let Some(actor) = self.attached(id, end) else { return };
        let detached = self.conns.get(&id).and_then(|conn| conn.ends[1 - end].detached);
        if detached.is_some_and(|detached| detached < needs) {
            return;
        }
        let Some((peer, attempt)) = self.far(id, end) else { return };
        if lane == Lane::Reliable {
            self.checks.plan.data_frames += data_frames(&bytes);
        }
        self.turn(actor, Input::Packet { peer, attempt, lane, bytes });
    }

    /// What waited for a path goes on.
    pub(super) fn flush_links(&mut self) {
        let waiting = |conn: &&Conn| conn.ends.iter().any(|end| !end.lanes[0].held.is_empty());
        let ids: Vec<u64> = self.conns.iter().filter(|(_, conn)| waiting(conn)).map(|(id, _)| *id).collect();
        for id in ids {
            self.flush_link(id);
        }
    }

    fn flush_link(&mut self, id: u64) {
        for end in 0..2 {
            let Some(conn) = self.conns.get_mut(&id) else { return };
            let [from, to] = [conn.ends[end].actor, conn.ends[1 - end].actor];
            if conn.broken || !conn.ends[1 - end].attached || self.network.is_cut(from, to) {
                continue;
            }
            let outgoing = &mut conn.ends[end].lanes[Lane::Reliable as usize];
            let held = std::mem::take(&mut outgoing.held);
            if !held.is_empty() {
                // SCTP tries again less and less often.
                let pause = Micros(self.dice.below(1_000_000));
                outgoing.last = outgoing.last.max(self.now + pause);
            }
            for bytes in held {
                self.depart(id, end, Lane::Reliable, bytes);
            }
        }
    }
}

/// What waits for a member's uplink: lossy packets first, then the connections by turns, as SCTP's streams and the
/// network's queues share a line.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    lossy: VecDeque<(u64, usize, Bytes)>,
    reliable: BTreeMap<u64, VecDeque<(usize, Bytes)>>,
    /// The connection that was served last.
    last: u64,
    busy: bool,
}

impl Uplink {
    fn push(&mut self, conn: u64, end: usize, lane: Lane, bytes: Bytes) {
        match lane {
            Lane::Lossy => self.lossy.push_back((conn, end, bytes)),
            Lane::Reliable => self.reliable.entry(conn).or_default().push_back((end, bytes)),
        }
    }

    /// The packet whose turn it is, where the line is free.
    fn next(&mut self) -> Option<(u64, usize, Lane, Bytes)> {
        if self.busy {
            return None;
        }
        let packet = match self.lossy.pop_front() {
            Some((conn, end, bytes)) => (conn, end, Lane::Lossy, bytes),
            None => {
                let after = self.reliable.range(self.last + 1..).next().or(self.reliable.iter().next());
                self.last = *after?.0;
                let waiting = self.reliable.get_mut(&self.last)?;
                let (end, bytes) = waiting.pop_front()?;
                if waiting.is_empty() {
                    self.reliable.remove(&self.last);
                }
                (self.last, end, Lane::Reliable, bytes)
            }
        };
        self.busy = true;
        Some(packet)
    }

    fn done(&mut self) {
        self.busy = false;
    }

    /// A connection is closed.
    fn forget(&mut self, conn: u64) {
        self.reliable.remove(&conn);
        self.lossy.retain(|(other, ..)| *other != conn);
    }
}

/// What stands for a description: which connection it is of.
fn sdp(conn: u64) -> String {
    format!("v=0 o={conn}")
}

fn number_of(sdp: &str) -> Option<u64> {
    sdp.strip_prefix("v=0 o=")?.parse().ok()
}

/// DATA frames in a packet.
fn data_frames(packet: &Bytes) -> u64 {
    let frames = PacketReader::new(packet.clone()).into_iter().flatten();
    frames.filter(|frame| matches!(frame, Ok((room::wire::frame::Frame::Data(_), _)))).count() as u64
}
