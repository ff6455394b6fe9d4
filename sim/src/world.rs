//! One room: its hub, its members with their applications, and the network between them, over virtual time.
//!
//! The hub and the members are the real machines. This module is their edge, and it alone decides what happens when:
//! [`World::run`] takes one event after the other from the queue. `sockets` is the way between members and hub, `links`
//! the way between members, `app` what applications say and hear.

mod actor;
mod app;
mod links;
mod mischief;
mod settle;
mod sockets;

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use room::{
    hub::Hub,
    id::{Key, MemberId, Signature},
    limits,
    member::{Event as MemberEvent, Input, Lane, Member, Output},
    time::{Micros, Time},
    wire::signal::{ClientMessage, RefusalCode, ServerMessage},
};

use crate::{
    check::Checks,
    dice::Dice,
    fingerprint::Fingerprint,
    network::Network,
    queue::Queue,
    scenario::{Mischief, Scenario},
    schedule::{Action, Schedule},
    trace::Recorder,
};
use actor::{Actor, Fate};
use links::Conn;
use sockets::{HubSide, Socket};

/// How long a room in which nothing arrives gets to settle once all work and faults are over: a hung member in a room
/// of two, found by heartbeats, and whatever comes on top.
const SETTLE_MAX: Micros = Micros::from_secs(100);
/// How often a room that settles is looked at.
const SETTLE_STEP: Micros = Micros::from_millis(500);
/// Turns that a machine may take without time going by. More, and it will never stop.
const TURNS_MAX: u32 = 100_000;

/// Signatures of which it is kept whether they are good.
const VERDICTS_MAX: usize = 16 * 1024;

/// A room and everything around it.
pub(crate) struct World {
    now: Time,
    end: Time,
    seed: u64,
    room: usize,
    topology: String,
    /// Whether the server has relays of its own.
    has_relays: bool,
    mischief: Option<Mischief>,
    queue: Queue<Event>,
    schedule: Schedule,
    network: Network,
    actors: Vec<Actor>,
    numbers: BTreeMap<MemberId, usize>,
    conns: BTreeMap<u64, Conn>,
    conns_made: u64,
    sockets: Vec<Socket>,
    hub: HubSide,
    partitions: u64,
    /// Signatures that were verified.
    verdicts: BTreeMap<[u8; 64], (Key, Bytes, bool)>,
    dice: Dice,
    pub(crate) checks: Checks,
    pub(crate) recorder: Option<Recorder>,
    /// Of everything that any machine put out.
    print: Fingerprint,
    pub(crate) events: u64,
    turns: u32,
}

/// What is to happen.
#[derive(Debug)]
enum Event {
    /// By its place in the schedule.
    Act(usize),
    /// A member's timeout, unless another one is planned by now.
    Wake { actor: usize, at: Time },
    /// The hub's timeout, likewise.
    HubWake { generation: u32, at: Time },
    /// A member has slept enough.
    Awake { actor: usize },
    /// An application takes what it left lying.
    Consume { actor: usize },
    /// A partition ends.
    Heal { number: u64 },
    /// The server starts a relay of its own, or drains it.
    Relay { generation: u32 },
    /// The hub starts.
    HubStart,
    /// Something of a connection reaches the machine at one end of it.
    Give { conn: u64, end: usize, input: Box<Input> },
    /// A send buffer is as good as empty.
    Drained { conn: u64, end: usize, lane: Lane },
    /// A packet has left its sender's uplink.
    Depart { actor: usize, conn: u64, end: usize, lane: Lane, bytes: Bytes },
    /// A packet reaches an end, if its sender stood until `needs`.
    Arrive { conn: u64, end: usize, lane: Lane, bytes: Bytes, needs: Time },
    /// A connection has found its way, or has not.
    Establish { conn: u64, opens: bool },
    /// ICE has found a new way for a connection.
    Repair { conn: u64 },
    /// A socket is open at the member's end, or could not be opened.
    Connected { socket: usize },
    /// A socket has ended at the member's end.
    Lost { socket: usize, code: Option<RefusalCode> },
    /// A socket has ended at the hub's end.
    HubLost { socket: usize, left: bool },
    /// Somebody's message reaches the hub.
    ToHub { socket: usize, message: Box<ClientMessage> },
    /// The hub's message reaches a member.
    ToMember { socket: usize, message: Rc<ServerMessage> },
    /// What is to be carried reaches the hub.
    FreightUp { socket: usize, message: Bytes },
    /// What the hub carries reaches a member.
    FreightDown { socket: usize, message: Bytes },
}

impl World {
    /// The room of a scenario.
    pub(crate) fn new(scenario: &Scenario, room: usize) -> World {
        let schedule = Schedule::random(scenario, room);
        World::of(scenario, room, schedule)
    }

    /// A room with a schedule of its own.
    pub(crate) fn of(scenario: &Scenario, room: usize, schedule: Schedule) -> World {
        let seed = scenario.seed;
        let mut queue = Queue::new();
        for (place, (at, _)) in schedule.actions.iter().enumerate() {
            queue.push(*at, Event::Act(place));
        }
        let mut dice = Dice::new(seed, room, 3);
        let hub = HubSide::new(room, scenario.has_relays(), &mut dice);
        World {
            now: Time(0),
            end: schedule.end.max(Time(scenario.seconds * 1_000_000)),
            seed,
            room,
            topology: scenario.topology.clone(),
            has_relays: scenario.has_relays(),
            mischief: scenario.faults.mischief,
            queue,
            schedule,
            network: Network::new(scenario.network.clone(), Dice::new(seed, room, 2)),
            actors: Vec::new(),
            numbers: BTreeMap::new(),
            conns: BTreeMap::new(),
            conns_made: 0,
            sockets: Vec::new(),
            hub,
            partitions: 0,
            verdicts: BTreeMap::new(),
            dice,
            checks: Checks::new(scenario),
            recorder: None,
            print: Fingerprint::default(),
            events: 0,
            turns: 0,
        }
    }

    /// Plays the whole schedule, lets the room settle, and checks what has become of it. Gives the time.
    pub(crate) fn run(&mut self) -> Time {
        self.run_until(self.end);
        self.network.mend();
        let (mut progress, mut give_up) = (0, self.end + SETTLE_MAX);
        while !self.is_settled() && self.now < give_up {
            self.run_until(self.now + SETTLE_STEP);
            // Narrow uplinks take their time.
            if progress != self.checks.delivery.totals.delivered {
                progress = self.checks.delivery.totals.delivered;
                give_up = self.now + SETTLE_MAX;
            }
        }
        self.final_checks();
        self.now
    }

    /// What the machines put out, in one number.
    pub(crate) fn hash(&self) -> u64 {
        self.print.value()
    }

    fn run_until(&mut self, end: Time) {
        while let Some((at, event)) = self.queue.pop(end) {
            if at > self.now {
                self.turns = 0;
            }
            self.turns += 1;
            if self.turns > TURNS_MAX {
                self.checks.violation(self.now, "time stands still: a machine asks for turns without end");
                self.now = end;
                return;
            }
            self.now = at;
            self.events += 1;
            match self.sleeper(&event) {
                Some(actor) => self.actors[actor].deferred.push(event),
                None => self.happen(event),
            }
        }
        self.now = end;
    }

    /// The member that would have to do something now, and sleeps.
    fn sleeper(&self, event: &Event) -> Option<usize> {
        let actor = match event {
            Event::Act(place) => match self.schedule.actions[*place].1 {
                Action::Leave(actor) => actor,
                _ => return None,
            },
            Event::Wake { actor, .. } | Event::Consume { actor } => *actor,
            Event::Give { conn, end, .. } | Event::Arrive { conn, end, .. } | Event::Drained { conn, end, .. } => {
                self.attached(*conn, *end)?
            }
            Event::Connected { socket }
            | Event::Lost { socket, .. }
            | Event::ToMember { socket, .. }
            | Event::FreightDown { socket, .. } => self.socket_owner(*socket)?,
            _ => return None,
        };
        self.actors.get(actor).is_some_and(|actor| actor.asleep).then_some(actor)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(place) => {
                let action = self.schedule.actions[place].1.clone();
                self.act(action);
            }
            Event::Wake { actor, at } => self.wake(actor, at),
            Event::HubWake { generation, at } => self.hub_wake(generation, at),
            Event::Awake { actor } => self.awake(actor),
            Event::Consume { actor } => self.consume(actor),
            Event::Heal { number } => {
                self.network.heal(number);
                self.flush_sockets();
                self.flush_links();
            }
            Event::Relay { generation } => self.tend_relay(generation),
            Event::HubStart => self.hub_start(),
            Event::Give { conn, end, input } => {
                if let Some(actor) = self.attached(conn, end) {
                    self.turn(actor, *input);
                }
            }
            Event::Drained { conn, end, lane } => self.drained(conn, end, lane),
            Event::Depart { actor, conn, end, lane, bytes } => self.departed(actor, conn, end, lane, bytes),
            Event::Arrive { conn, end, lane, bytes, needs } => self.arrive(conn, end, lane, bytes, needs),
            Event::Establish { conn, opens } => self.establish(conn, opens),
            Event::Repair { conn } => self.repair(conn),
            Event::Connected { socket } => self.socket_connected(socket),
            Event::Lost { socket, code } => self.socket_lost(socket, code),
            Event::HubLost { socket, left } => self.hub_lost(socket, left),
            Event::ToHub { socket, message } => self.reach_hub(socket, *message),
            Event::ToMember { socket, message } => {
                if let Some(actor) = self.socket_owner(socket) {
                    self.turn(actor, Input::Hub(ServerMessage::clone(&message)));
                }
            }
            Event::FreightUp { socket, message } => self.freight_at_hub(socket, message),
            Event::FreightDown { socket, message } => {
                if let Some(actor) = self.socket_owner(socket) {
                    self.turn(actor, Input::Carried { message });
                }
            }
        }
    }

    // ---- actions -------------------------------------------------------------------------------------------------

    fn act(&mut self, action: Action) {
        match action {
            Action::Enter(actor) => self.enter(actor),
            Action::Leave(actor) => {
                if self.is_alive(actor) {
                    self.actors[actor].fate = Fate::Leaving;
                    self.actors[actor].app.stop();
                    self.turn(actor, Input::Leave);
                }
            }
            Action::Crash { actor, hangs } => self.crash(actor, hangs),
            Action::Cut { actor, member_notices, hub_notices } => self.cut(actor, member_notices, hub_notices),
            Action::Sleep { actor, length } => {
                if self.is_alive(actor) {
                    self.actors[actor].asleep = true;
                    self.queue.push(self.now + length, Event::Awake { actor });
                }
            }
            Action::Stall { actor, length } => {
                if self.is_alive(actor) {
                    self.actors[actor].app.stalled = true;
                    self.queue.push(self.now + length, Event::Consume { actor });
                }
            }
            Action::Rebind { a, b } => self.rebind(a, b),
            Action::Partition { side, hub, length } => {
                self.partitions += 1;
                let number = self.partitions;
                self.network.part(number, side, hub);
                self.queue.push(self.now + length, Event::Heal { number });
            }
            Action::CrashRelay => self.crash_relay(),
            Action::Restart { tells, down } => self.hub_stop(tells, down),
            Action::Say { actor, saying } => {
                if self.is_alive(actor) && self.actors[actor].fate == Fate::Alive {
                    self.actors[actor].app.backlog.push_back(saying);
                    self.speak(actor);
                }
            }
        }
    }

    fn enter(&mut self, actor: usize) {
        // Actors enter in the order of their numbers but for those whose turn a hand-written schedule changes.
        self.expect_actors(actor + 1);
        if self.actors[actor].fate != Fate::Unborn {
            return;
        }
        let born = &mut self.actors[actor];
        born.fate = Fate::Alive;
        born.born = self.now;
        let member = Member::new(born.config.clone(), Time(0));
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.actor == actor) {
            recorder.begin(&born.config);
        }
        self.actors[actor].machine = Some(member);
        self.after_turn(actor, None);
    }

    /// There are so many, born or not.
    fn expect_actors(&mut self, count: usize) {
        while self.actors.len() < count {
            self.network.place();
            let unborn = Actor::unborn(self.seed, self.room, self.actors.len(), &self.topology);
            self.numbers.insert(unborn.id, self.actors.len());
            self.actors.push(unborn);
        }
    }

    fn crash(&mut self, actor: usize, hangs: bool) {
        if !self.is_alive(actor) {
            return;
        }
        let victim = &mut self.actors[actor];
        victim.fate = Fate::Crashed;
        victim.machine = None;
        self.checks.crashed(actor, self.now);
        self.silence_links(actor);
        self.abandon_socket(actor, hangs);
    }

    fn is_alive(&self, actor: usize) -> bool {
        self.actors.get(actor).is_some_and(|actor| actor.machine.is_some())
    }

    // ---- turns ---------------------------------------------------------------------------------------------------

    /// A member's turn, and those that its application asks for at once.
    fn turn(&mut self, actor: usize, input: Input) {
        self.one_turn(actor, input);
        while let Some(next) = self.actors[actor].app.follow_ups.pop_front() {
            self.one_turn(actor, next);
        }
    }

    fn one_turn(&mut self, actor: usize, input: Input) {
        let local = self.local(actor);
        let recorded = self.recorder.as_ref().filter(|recorder| recorder.actor == actor).map(|_| input.clone());
        let says = matches!(input, Input::Send { .. } | Input::Call { .. } | Input::Reply { .. });
        let Some(machine) = self.actors[actor].machine.as_mut() else { return };
        machine.handle(local, input);
        if says {
            self.check_outboxes(actor);
        }
        self.after_turn(actor, recorded);
    }

    /// A member's clock starts when it is born.
    fn local(&self, actor: usize) -> Time {
        Time(self.now.since(self.actors[actor].born).0)
    }

    /// Carries out what a member wants.
    fn after_turn(&mut self, actor: usize, input: Option<Input>) {
        let mut outputs = Vec::new();
        while let Some(output) = self.actors[actor].machine.as_mut().and_then(Member::poll_output) {
            self.fingerprint(actor, &output);
            if self.recorder.as_ref().is_some_and(|recorder| recorder.actor == actor) {
                outputs.push(output.clone());
            }
            self.carry_out(actor, output);
        }
        let due = self.actors[actor].machine.as_ref().and_then(Member::poll_timeout);
        let local = self.local(actor);
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.actor == actor) {
            recorder.turn(local, input, outputs, due);
        }
        self.plan_wake(actor, due);
        if self.actors[actor].fate.is_over() {
            self.bury(actor);
        }
    }

    /// Outboxes have a bound; a full one is a reason for gaps.
    fn check_outboxes(&mut self, actor: usize) {
        let Some(machine) = &self.actors[actor].machine else { return };
        let streams = 1 + self.actors[actor].app.roster.len();
        if machine.outbox_bytes() > streams * (limits::OUTBOX_MAX + 2 * limits::CHUNK) {
            self.checks.violation(self.now, format!("the outboxes of {actor} hold {} B", machine.outbox_bytes()));
        }
        if machine.is_waiting() {
            self.checks.delivery.full(actor);
        }
    }

    fn carry_out(&mut self, actor: usize, output: Output) {
        match output {
            Output::Connect => self.connect(actor),
            Output::Disconnect => self.disconnect(actor),
            Output::Tell(message) => self.tell(actor, &message),
            Output::Open { peer, attempt, role } => self.open(actor, peer, attempt, role),
            Output::Remote { peer, attempt, data } => self.remote(actor, peer, attempt, data),
            Output::RestartIce { peer, attempt } => self.restart_ice(actor, peer, attempt),
            Output::Close { peer, attempt } => self.close(actor, peer, attempt),
            Output::Packet { peer, attempt, lane, bytes } => {
                let bytes = self.garbled(actor, bytes);
                self.packet(actor, peer, attempt, lane, bytes);
            }
            Output::Sign { token, text } => {
                let signature = self.actors[actor].signer.sign(&text);
                self.actors[actor].app.follow_ups.push_back(Input::Signed { token, signature });
            }
            Output::Verify { token, key, text, signature } => {
                let good = self.verified(&key, &text, &signature);
                self.actors[actor].app.follow_ups.push_back(Input::Verified { token, good });
            }
            Output::Carry { message } => self.carry(actor, message),
            Output::Event(event) => self.hear(actor, event),
            output => self.checks.violation(self.now, format!("an output that no edge knows: {output:?}")),
        }
    }

    /// Whether a signature is a key's, of a text. What one member passes on every other verifies: it is reckoned out once.
    fn verified(&mut self, key: &Key, text: &Bytes, signature: &Signature) -> bool {
        let is_same = |(known, said, _): &&(Key, Bytes, bool)| known == key && said == text;
        if let Some((.., good)) = self.verdicts.get(&signature.0).filter(is_same) {
            return *good;
        }
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.clear();
        }
        let good = signer::verify(key, text, signature);
        self.verdicts.insert(signature.0, (*key, text.clone(), good));
        good
    }

    fn plan_wake(&mut self, actor: usize, due: Option<Time>) {
        let Some(due) = due else { return };
        let at = (self.actors[actor].born + Micros(due.0)).max(self.now);
        if self.actors[actor].wake.is_none_or(|planned| at < planned) {
            self.actors[actor].wake = Some(at);
            self.queue.push(at, Event::Wake { actor, at });
        }
    }

    fn wake(&mut self, actor: usize, at: Time) {
        if self.actors[actor].wake != Some(at) {
            return;
        }
        self.actors[actor].wake = None;
        let due = self.actors[actor].machine.as_ref().and_then(Member::poll_timeout);
        match due {
            Some(due) if due <= self.local(actor) => self.turn(actor, Input::Timeout),
            due => self.plan_wake(actor, due),
        }
    }

    fn awake(&mut self, actor: usize) {
        self.actors[actor].asleep = false;
        // Timers and messages come in either order after a sleep.
        let timers_first = self.dice.chance(0.5);
        if timers_first {
            self.turn(actor, Input::Timeout);
        }
        for event in std::mem::take(&mut self.actors[actor].deferred) {
            self.happen(event);
        }
        if !timers_first {
            self.turn(actor, Input::Timeout);
        }
        self.speak(actor);
    }

    /// A member is out of the room for good.
    fn bury(&mut self, actor: usize) {
        self.actors[actor].machine = None;
        self.actors[actor].app.follow_ups.clear();
        self.silence_links(actor);
    }

    fn fingerprint(&mut self, actor: usize, output: &Output) {
        self.print.number(self.now.0);
        self.print.number(actor as u64);
        match output {
            Output::Packet { peer, attempt, lane, bytes } => {
                self.print.number(peer.to_u64());
                self.print.number(u64::from(*attempt) << 1 | *lane as u64);
                self.print.bytes(bytes);
            }
            Output::Carry { message } => self.print.bytes(message),
            Output::Event(
                MemberEvent::Message { from, channel, payload, .. } | MemberEvent::Lossy { from, channel, payload, .. },
            ) => {
                self.print.number(from.to_u64());
                self.print.bytes(channel.as_bytes());
                self.print.bytes(payload);
            }
            output => self.print.bytes(format!("{output:?}").as_bytes()),
        }
    }

    // ---- settling ------------------------------------------------------------------------------------------------

    /// Whether the room is as it should be when nobody does anything.
    fn is_settled(&self) -> bool {
        self.unsettled(1).is_empty()
    }

    fn final_checks(&mut self) {
        for what in self.unsettled(8) {
            self.checks.violation(self.now, format!("not settled: {what}"));
        }
        let standing: Vec<bool> = self.actors.iter().map(|actor| actor.machine.is_some()).collect();
        let left: Vec<bool> = self.actors.iter().map(|actor| actor.fate == Fate::Left).collect();
        self.checks.finish(self.now, &standing, &left);
    }

    fn hub(&self) -> Option<&Hub> {
        self.hub.hub.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Saying, To};

    /// Three members; the first sends 60 kB ten times a second for ten seconds, while the last takes nothing.
    fn flood(stalls: bool) -> World {
        let mut actions: Vec<(Time, Action)> = (0..3).map(|actor| (Time(0), Action::Enter(actor))).collect();
        for number in 0..100 {
            let saying = Saying::Message { to: To::Room, bytes: 60_000 };
            actions.push((Time(1_000_000 + 100_000 * number), Action::Say { actor: 0, saying }));
        }
        if stalls {
            actions.push((Time(1_000_000), Action::Stall { actor: 2, length: Micros::from_secs(10) }));
        }
        let network = crate::Network { loss: 0.0, burst_starts: 0.0, ..crate::Network::default() };
        let scenario = Scenario { seconds: 0, network, ..Scenario::default() };
        let mut world = World::of(&scenario, 0, Schedule::of(actions));
        world.run();
        assert!(world.checks.violations.is_empty(), "{:#?}", world.checks.violations);
        world
    }

    #[test]
    fn a_member_that_hangs_keeps_no_star_waiting_that_lost_its_relay() {
        for seed in 1..=6 {
            let mut actions: Vec<(Time, Action)> = (0..6).map(|actor| (Time(0), Action::Enter(actor))).collect();
            for number in 0..150 {
                let saying = Saying::Message { to: To::Room, bytes: 100 };
                actions.push((Time(8_000_000 + 100_000 * number), Action::Say { actor: 0, saying }));
            }
            actions.push((Time(12_000_000), Action::CrashRelay));
            actions.push((Time(12_000_000), Action::Crash { actor: 5, hangs: true }));
            let network = crate::Network { loss: 0.0, burst_starts: 0.0, ..crate::Network::default() };
            let scenario = Scenario { seed, seconds: 0, topology: "star".to_owned(), network, ..Scenario::default() };
            let mut world = World::of(&scenario, 0, Schedule::of(actions));
            world.run();
            assert!(world.checks.violations.is_empty(), "seed {seed}: {:#?}", world.checks.violations);
            assert_eq!(world.checks.plan.topologies.first().map(String::as_str), Some("star"), "seed {seed}");
            for receiver in 1..5 {
                let latencies = &world.checks.delivery.latencies[&receiver];
                assert_eq!(latencies.len(), 150, "seed {seed}");
                assert!(latencies.iter().max() < Some(&5_000_000), "seed {seed}: {:?} us", latencies.iter().max());
            }
        }
    }

    #[test]
    fn a_reader_that_stops_slows_nobody_else() {
        let (calm, stalled) = (flood(false), flood(true));
        let slowest = |world: &World, receiver: usize| world.checks.delivery.latencies[&receiver].iter().copied().max();
        assert!(slowest(&stalled, 2) > Some(5_000_000), "its window never closed");
        assert_eq!(stalled.checks.delivery.latencies[&1].len(), 100);
        assert!(slowest(&stalled, 1) <= slowest(&calm, 1).map(|most| most + 2_000));
    }
}
