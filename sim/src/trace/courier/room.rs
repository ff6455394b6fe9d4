//! A made-up room of couriers, in which everything happens that can, by chance.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ::room::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::Kind,
};
use bytes::Bytes;

use super::{Hex, Input, Line, Said, Turning, garble};
use crate::{dice::Dice, queue::Queue};

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub name: &'static str,
    pub seed: u64,
    pub members: usize,
    pub relayed: bool,
    /// How many things happen.
    pub events: u32,
    /// The mean time between them.
    pub every: Micros,
    /// How often what happens is of each kind, one beside another.
    pub odds: Odds,
    /// Bytes of long messages.
    pub long: u64,
    /// Bytes that a link carries in a second.
    pub rate: u64,
    /// Whether the recorded member takes long to take what comes.
    pub sluggish: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    pub say: u64,
    pub say_long: u64,
    pub tell: u64,
    pub link: u64,
    pub unlink: u64,
    pub suspect: u64,
    pub plan: u64,
    pub crash: u64,
    pub enter: u64,
    pub expect: u64,
    pub garble: u64,
}

/// The member that is recorded: others were there before it, and have spoken.
const RECORDED: usize = 2;

pub(super) struct Room {
    weather: Weather,
    now: Time,
    dice: Dice,
    members: Vec<Option<Member>>,
    ids: Vec<MemberId>,
    /// By both ends, a direction each.
    ways: BTreeMap<(usize, usize), Way>,
    happening: Queue<Happening>,
    connections: u64,
    epoch: u64,
    relayed: bool,
    tickets: u64,
    lines: Vec<Line>,
}

struct Member {
    turning: Turning,
    wake: Option<Time>,
    eager: BTreeSet<usize>,
    suspects: BTreeSet<usize>,
}

struct Way {
    connection: u64,
    latency: Micros,
    /// When all that was sent is on its way.
    free: Time,
    /// Bytes that were put into the send buffer since it was last said how much it holds.
    unsaid: usize,
}

/// What may happen.
type Chance = fn(&mut Room);

enum Happening {
    /// By chance.
    Something,
    Arrival {
        from: usize,
        to: usize,
        connection: u64,
        bytes: Bytes,
    },
    /// A send buffer is empty.
    Drained {
        from: usize,
        to: usize,
        connection: u64,
    },
    Tick(usize),
    Route {
        from: usize,
        to: MemberId,
    },
    Consumed {
        member: usize,
        origin: MemberId,
        bytes: usize,
    },
    /// A member that went is forgotten.
    Forgotten {
        by: usize,
        id: MemberId,
    },
}

impl Room {
    pub fn new(weather: Weather) -> Room {
        let mut room = Room {
            weather,
            now: Time(0),
            dice: Dice::new(weather.seed, 0, 0xC0),
            members: Vec::new(),
            ids: Vec::new(),
            ways: BTreeMap::new(),
            happening: Queue::new(),
            connections: 0,
            epoch: 1,
            relayed: weather.relayed,
            tickets: 0,
            lines: Vec::new(),
        };
        for _ in 0..weather.members {
            room.enter();
            room.say();
            let end = room.now + room.dice.around(weather.every);
            room.until(end);
        }
        room
    }

    /// Lets everything happen; gives the lines of the recorded member.
    pub fn run(mut self) -> Vec<Line> {
        for _ in 0..self.weather.events {
            let end = self.now + self.dice.around(self.weather.every);
            self.until(end);
            self.happening.push(self.now, Happening::Something);
        }
        let end = self.now + Micros::from_secs(8);
        self.until(end);
        self.act(RECORDED, Input::Close);
        let counters = self.members[RECORDED].as_ref().map(|member| member.turning.counters()).unwrap_or_default();
        self.lines.push(Line::End { counters });
        self.lines
    }

    fn until(&mut self, end: Time) {
        while let Some((at, happening)) = self.happening.pop(end) {
            self.now = at;
            self.happen(happening);
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Something => self.something(),
            Happening::Arrival { from, to, connection, bytes } => {
                if self.ways.get(&(from, to)).is_some_and(|way| way.connection == connection) {
                    let peer = self.ids[from];
                    self.act(to, Input::Packet { peer, bytes: Hex(bytes) });
                }
            }
            Happening::Drained { from, to, connection } => {
                if let Some(way) = self.ways.get_mut(&(from, to)).filter(|way| way.connection == connection) {
                    way.unsaid = 0;
                    let bytes = (way.free.since(self.now).0 * self.weather.rate / 1_000_000) as usize;
                    let peer = self.ids[to];
                    self.act(from, Input::Buffered { peer, bytes });
                }
            }
            Happening::Tick(member) => {
                let now = self.now;
                let woken = |node: &mut Member| node.wake.take_if(|wake| *wake == now).is_some();
                if self.members[member].as_mut().is_some_and(woken) {
                    self.act(member, Input::Tick);
                }
            }
            Happening::Route { from, to } => {
                let path = self.path(from, to);
                self.act(from, Input::Route { to, path });
            }
            Happening::Consumed { member, origin, bytes } => self.act(member, Input::Consumed { origin, bytes }),
            Happening::Forgotten { by, id } => self.act(by, Input::Forget(id)),
        }
    }

    /// Gives a member an input, and sees to what comes out.
    fn act(&mut self, at: usize, input: Input) {
        let now = self.now;
        let Some(member) = &mut self.members[at] else { return };
        let outcome = member.turning.turn(now, &input);
        let due = member.turning.courier.poll_timeout();
        if let Some(due) = due.map(|due| due.max(now)).filter(|due| member.wake.is_none_or(|wake| *due < wake)) {
            member.wake = Some(due);
            self.happening.push(due, Happening::Tick(at));
        }
        for (peer, packet) in &outcome.packets {
            self.send(at, *peer, packet.0.clone());
        }
        let events = outcome.events.clone();
        let breaker = match input {
            Input::Packet { peer, .. } if outcome.error.is_some() => Some(self.number(peer)),
            _ => None,
        };
        if at == RECORDED {
            self.lines.push(Line::Turn { at: now, input, outcome, due });
        }
        if let Some(peer) = breaker {
            self.unlink(at, peer);
        }
        for event in events {
            self.heard(at, event);
        }
    }

    fn heard(&mut self, at: usize, event: Said) {
        match event {
            Said::Message { origin, payload, .. } => {
                let bytes = payload.0.len();
                // What is not held is consumed all the same, as by a member that drops what it does not know.
                if self.dice.chance(0.9) {
                    self.act(at, Input::Hold { origin, bytes });
                }
                let mean = if at == RECORDED && self.weather.sluggish { 3_000 } else { 3 };
                let when = self.now + self.dice.around(Micros::from_millis(mean));
                self.happening.push(when, Happening::Consumed { member: at, origin, bytes });
            }
            Said::Unroutable(to) => {
                let when = self.now + self.dice.around(Micros::from_millis(60));
                self.happening.push(when, Happening::Route { from: at, to });
            }
            _ => {}
        }
    }

    fn send(&mut self, from: usize, peer: MemberId, bytes: Bytes) {
        let (now, rate) = (self.now, self.weather.rate);
        let to = self.number(peer);
        let Some(way) = self.ways.get_mut(&(from, to)) else { return };
        way.free = way.free.max(now) + Micros(bytes.len() as u64 * 1_000_000 / rate);
        way.unsaid += bytes.len();
        let (connection, when) = (way.connection, way.free);
        if way.unsaid >= limits::LINK_RESUME {
            way.unsaid = 0;
            self.happening.push(when, Happening::Drained { from, to, connection });
        }
        self.happening.push(when + way.latency, Happening::Arrival { from, to, connection, bytes });
    }

    fn number(&self, id: MemberId) -> usize {
        self.ids.iter().position(|other| *other == id).expect("ids are of members")
    }

    /// The shortest way over links; nothing where there is none.
    fn path(&self, from: usize, to: MemberId) -> Vec<MemberId> {
        let to = self.number(to);
        let (mut back, mut queue) = (BTreeMap::from([(to, to)]), VecDeque::from([to]));
        while let Some(member) = queue.pop_front().filter(|member| *member != from) {
            for (_, peer) in self.ways.keys().filter(|(a, _)| *a == member) {
                if !back.contains_key(peer) {
                    back.insert(*peer, member);
                    queue.push_back(*peer);
                }
            }
        }
        let steps = std::iter::successors(Some(from), |at| back.get(at).copied().filter(|next| next != at));
        steps.skip(1).map(|step| self.ids[step]).collect()
    }

    // ---- chance ---------------------------------------------------------------------------------

    fn something(&mut self) {
        let Odds { say, say_long, tell, link, unlink, suspect, plan, crash, enter, expect, garble } = self.weather.odds;
        let kinds: [(u64, Chance); 11] = [
            (say, Room::say),
            (say_long, Room::say_long),
            (tell, Room::tell),
            (link, Room::link_some),
            (unlink, Room::unlink_some),
            (suspect, Room::suspect_some),
            (plan, Room::plan_anew),
            (crash, Room::crash_some),
            (enter, Room::enter),
            (expect, Room::expect_some),
            (garble, Room::garble),
        ];
        let mut at = self.dice.below(kinds.iter().map(|(odds, _)| odds).sum());
        for (odds, happen) in kinds {
            if at < odds {
                return happen(self);
            }
            at -= odds;
        }
    }

    fn someone(&mut self) -> usize {
        // The recorded one has most to do.
        if self.dice.chance(0.3) && self.members.len() > RECORDED {
            return RECORDED;
        }
        let alive: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].is_some()).collect();
        self.dice.pick(&alive).copied().unwrap_or(RECORDED)
    }

    fn payload(&mut self, length: u64) -> Hex {
        let byte = self.dice.below(256) as u8;
        Hex(vec![byte; length as usize].into())
    }

    fn speak(&mut self, at: usize, to: Option<MemberId>, length: u64) {
        self.tickets += 1;
        let payload = self.payload(length);
        let ticket = self.dice.chance(0.8).then_some(self.tickets);
        let kind = if to.is_some() && self.dice.chance(0.2) { Kind::Reply } else { Kind::Message };
        let channel = if kind == Kind::Reply { "" } else { "chat" }.to_owned();
        self.act(at, Input::Send { to, ticket, kind, channel, payload });
    }

    fn say(&mut self) {
        let (at, length) = (self.someone(), self.dice.below(40));
        self.speak(at, None, length);
    }

    fn say_long(&mut self) {
        let (at, length) = (self.someone(), self.dice.below(self.weather.long));
        self.speak(at, None, length);
    }

    fn tell(&mut self) {
        let (at, to) = (self.someone(), self.someone());
        let length = if self.dice.chance(0.2) { self.dice.below(self.weather.long) } else { self.dice.below(40) };
        if at != to {
            let to = self.ids[to];
            self.speak(at, Some(to), length);
        }
    }

    fn link_some(&mut self) {
        let (a, b) = (self.someone(), self.someone());
        let eager = self.dice.chance(0.5);
        if a != b {
            self.link(a, b, eager);
        }
    }

    fn link(&mut self, a: usize, b: usize, eager: bool) {
        for (a, b) in [(a, b), (b, a)] {
            let Some(member) = &mut self.members[a] else { continue };
            if eager && member.eager.insert(b) {
                self.planned(a);
            }
        }
        self.connections += 1;
        let mut rtt = Micros(0);
        for (a, b) in [(a, b), (b, a)] {
            let latency = Micros::from_millis(3) + self.dice.around(Micros::from_millis(30));
            rtt = rtt + latency;
            self.ways.insert((a, b), Way { connection: self.connections, latency, free: self.now, unsaid: 0 });
        }
        for (a, b) in [(a, b), (b, a)] {
            // Whoever was there before knows how it began.
            let (peer, vouches) = (self.ids[b], b < a);
            let offer_from = (b > a || self.dice.chance(0.5)).then_some(self.now);
            self.act(a, Input::LinkUp { peer, vouches, offer_from });
            if self.dice.chance(0.8) {
                self.act(a, Input::Measured { peer, rtt });
            }
        }
    }

    fn planned(&mut self, at: usize) {
        let Some(member) = &self.members[at] else { return };
        let eager = member.eager.iter().map(|peer| self.ids[*peer]).collect();
        self.act(at, Input::Plan { epoch: self.epoch, relayed: self.relayed, eager });
    }

    fn unlink_some(&mut self) {
        let links: Vec<(usize, usize)> = self.ways.keys().copied().filter(|(a, b)| a < b).collect();
        if let Some((a, b)) = self.dice.pick(&links).copied() {
            self.unlink(a, b);
        }
    }

    fn unlink(&mut self, a: usize, b: usize) {
        for (a, b) in [(a, b), (b, a)] {
            self.ways.remove(&(a, b));
            let peer = self.ids[b];
            self.act(a, Input::LinkDown(peer));
            if !self.relayed && self.dice.chance(0.7) {
                self.act(a, Input::Detour(peer));
            }
        }
    }

    fn suspect_some(&mut self) {
        let links: Vec<(usize, usize)> = self.ways.keys().copied().collect();
        let Some((a, b)) = self.dice.pick(&links).copied() else { return };
        let peer = self.ids[b];
        let Some(member) = &mut self.members[a] else { return };
        let suspect = if member.suspects.remove(&b) { false } else { member.suspects.insert(b) };
        self.act(a, Input::Suspect { peer, suspect });
    }

    fn plan_anew(&mut self) {
        self.epoch += 1;
        if self.dice.chance(0.4) {
            self.relayed = !self.relayed;
        }
        for at in 0..self.members.len() {
            let eager = (0..self.ids.len()).filter(|_| self.dice.chance(0.4)).collect();
            if let Some(member) = &mut self.members[at] {
                member.eager = eager;
            }
            self.planned(at);
        }
    }

    fn crash_some(&mut self) {
        let at = self.someone();
        if at == RECORDED {
            return;
        }
        self.members[at] = None;
        let id = self.ids[at];
        for peer in 0..self.members.len() {
            if self.ways.contains_key(&(at, peer)) {
                self.unlink(peer, at);
            }
        }
        for by in 0..self.members.len() {
            if self.dice.chance(0.7) {
                self.act(by, Input::Gone(id));
            } else {
                let when = self.now + self.dice.around(Micros::from_secs(1));
                self.happening.push(when, Happening::Forgotten { by, id });
            }
            if self.dice.chance(0.2) {
                let later = self.dice.chance(0.5);
                self.act(by, Input::Entered { id, later });
            }
        }
    }

    fn enter(&mut self) {
        if self.members.len() >= 2 * self.weather.members {
            return;
        }
        let (at, id) = (self.members.len(), MemberId(self.dice.bytes()));
        self.ids.push(id);
        if at == RECORDED {
            self.lines.push(Line::Begin { courier: id });
        }
        let (eager, suspects) = (BTreeSet::new(), BTreeSet::new());
        self.members.push(Some(Member { turning: Turning::new(id), wake: None, eager, suspects }));
        for peer in 0..at {
            let earlier = self.ids[peer];
            if self.members[peer].is_some() || self.dice.chance(0.2) {
                self.act(at, Input::Entered { id: earlier, later: false });
            }
        }
        self.act(at, Input::MetAll);
        self.planned(at);
        for peer in 0..at {
            self.act(peer, Input::Entered { id, later: true });
            if !self.relayed {
                self.act(peer, Input::Expect(id));
            }
        }
        for peer in 0..at {
            // The first links make a tree.
            let (tree, other) = (peer == at / 2, self.dice.chance(if self.relayed { 0.2 } else { 0.9 }));
            if (tree || other) && self.members[peer].is_some() {
                self.link(at, peer, tree);
            }
        }
    }

    fn expect_some(&mut self) {
        let (at, id) = (self.someone(), self.someone());
        let id = self.ids[id];
        let input = match self.dice.below(4) {
            0 => Input::Expect(id),
            1 => Input::ExpectNoMore(id),
            2 => Input::Detour(id),
            _ => Input::Entered { id, later: at < self.number(id) },
        };
        if at != self.number(id) {
            self.act(at, input);
        }
    }

    /// Somebody says what it would never say.
    fn garble(&mut self) {
        let to = self.someone();
        let peers: Vec<usize> = self.ways.keys().filter(|(_, b)| *b == to).map(|(a, _)| *a).collect();
        let Some(from) = self.dice.pick(&peers).copied() else { return };
        let peer = self.ids[from];
        let bytes = Hex(garble::packet(&mut self.dice, &self.ids));
        self.act(to, Input::Packet { peer, bytes });
    }
}
