//! Members, a hub of the simplest kind, and the wire between them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use room::{
    id::{MemberId, Secret},
    member::{Config, Event, Input, LinkState, Member, Output},
    time::{Micros, Time},
    wire::signal::{
        self, Attributes, ClientMessage, Gone, GoneReason, Join, LinkPlan, LinkTo, Negotiation, Role, ServerMessage,
        StateEntry, Welcome,
    },
};

/// Members, a hub of the simplest kind, and links that deliver at once unless they are cut.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) events: BTreeMap<MemberId, Vec<Event>>,
    /// Attempts whose transport is up, with their two ends.
    pub(crate) transports: BTreeMap<(MemberId, MemberId), u32>,
    /// Nothing passes between these.
    pub(crate) cut: Vec<(MemberId, MemberId)>,
    pub(crate) hub: &'static str,
    /// How whoever enters is told that the room is linked.
    pub(crate) topology: &'static str,
    /// Members that the hub has welcomed.
    pub(crate) present: Vec<MemberId>,
    pub(crate) wire: VecDeque<(MemberId, Input)>,
    /// Whether applications take what they are given.
    pub(crate) consume: bool,
}

pub(crate) fn config(number: u8) -> Config {
    let (secret, name, seed) = (Secret([number; 16]), format!("m{number}"), u32::from(number));
    let attributes = Attributes::new();
    Config { secret, key: None, name, attributes, token: None, topology: None, agent: None, relay: None, seed }
}

impl World {
    pub(crate) fn new(count: u8) -> World {
        let now = Time(1_000_000);
        let mut world = World {
            now,
            members: BTreeMap::new(),
            events: BTreeMap::new(),
            transports: BTreeMap::new(),
            cut: Vec::new(),
            hub: "00000000000000aa",
            topology: "mesh",
            present: Vec::new(),
            wire: VecDeque::new(),
            consume: true,
        };
        for number in 0..count {
            world.enter(number);
        }
        world
    }

    pub(crate) fn enter(&mut self, number: u8) -> MemberId {
        let member = Member::new(config(number), self.now);
        let id = member.id();
        self.members.insert(id, member);
        self.settle();
        id
    }

    pub(crate) fn id(&self, number: u8) -> MemberId {
        Secret([number; 16]).member_id()
    }

    pub(crate) fn give(&mut self, to: MemberId, input: Input) {
        self.wire.push_back((to, input));
        self.settle();
    }

    /// Runs until nothing is under way.
    pub(crate) fn settle(&mut self) {
        loop {
            let ids: Vec<_> = self.members.keys().copied().collect();
            for id in ids {
                while let Some(output) = self.members.get_mut(&id).and_then(Member::poll_output) {
                    self.output(id, output);
                }
            }
            match self.wire.pop_front() {
                Some((to, input)) => {
                    if let Some(member) = self.members.get_mut(&to) {
                        member.handle(self.now, input);
                    }
                }
                None => return,
            }
        }
    }

    /// Lets time pass in the members' own steps.
    pub(crate) fn pass(&mut self, duration: Micros) {
        let end = self.now + duration;
        loop {
            let due = self.members.values().filter_map(Member::poll_timeout).min();
            let next = due.map_or(end, |due| due.clamp(self.now, end));
            self.now = next;
            let ids: Vec<_> = self.members.keys().copied().collect();
            for id in ids {
                let member = self.members.get_mut(&id).unwrap();
                if member.poll_timeout().is_some_and(|due| due <= next) {
                    member.handle(next, Input::Timeout);
                }
            }
            self.settle();
            if next >= end {
                return;
            }
        }
    }

    pub(crate) fn is_cut(&self, a: MemberId, b: MemberId) -> bool {
        self.cut.contains(&(a, b)) || self.cut.contains(&(b, a))
    }

    pub(crate) fn output(&mut self, id: MemberId, output: Output) {
        match output {
            Output::Connect => self.wire.push_back((id, Input::Connected)),
            Output::Tell(message) => self.told(id, message),
            Output::Open { peer, attempt, role: Role::Offer } => {
                let data = Negotiation::Offer("sdp".into());
                self.wire.push_back((id, Input::Local { peer, attempt, data }));
            }
            Output::Remote { peer, attempt, data } => match data {
                Negotiation::Offer(_) => {
                    let data = Negotiation::Answer("sdp".into());
                    self.wire.push_back((id, Input::Local { peer, attempt, data }));
                }
                Negotiation::Answer(_) if !self.is_cut(id, peer) => {
                    for (a, b) in [(id, peer), (peer, id)] {
                        self.transports.insert((a, b), attempt);
                        self.wire.push_back((a, Input::LinkUp { peer: b, attempt, path: "host".into() }));
                    }
                }
                _ => {}
            },
            Output::RestartIce { .. } => {}
            Output::Close { peer, attempt } => {
                self.transports.remove(&(id, peer));
                if self.transports.remove(&(peer, id)).is_some() && !self.is_cut(id, peer) {
                    let input = Input::LinkDown { peer: id, attempt, reason: "closed".into(), closed: true };
                    self.wire.push_back((peer, input));
                }
            }
            Output::Packet { peer, attempt, lane, bytes }
                if self.transports.get(&(id, peer)) == Some(&attempt) && !self.is_cut(id, peer) =>
            {
                self.wire.push_back((peer, Input::Packet { peer: id, attempt, lane, bytes }));
                self.wire.push_back((id, Input::Buffered { peer, attempt, lane, bytes: 0 }));
            }
            Output::Event(event) => {
                let consumed = match &event {
                    Event::Message { from, payload, .. } | Event::Call { from, payload, .. } => {
                        Some(Input::Consumed { from: *from, bytes: payload.len(), lossy: false })
                    }
                    Event::Lossy { from, payload, .. } => {
                        Some(Input::Consumed { from: *from, bytes: payload.len(), lossy: true })
                    }
                    _ => None,
                };
                if self.consume {
                    self.wire.extend(consumed.map(|input| (id, input)));
                }
                self.events.entry(id).or_default().push(event);
            }
            _ => {}
        }
    }

    pub(crate) fn info(&self, id: MemberId) -> signal::Member {
        let (name, attributes) = (id.to_string(), Attributes::new());
        signal::Member { id, name, identity: None, attributes, mute: false, relay: false, key: None }
    }

    pub(crate) fn welcome(&self, id: MemberId, state: BTreeMap<String, StateEntry>) -> Welcome {
        let others: Vec<_> = self.present.iter().copied().filter(|other| *other != id).collect();
        Welcome {
            v: 1,
            hub: self.hub.into(),
            this: self.info(id),
            room: "test".parse().unwrap(),
            members: others.iter().map(|other| self.info(*other)).collect(),
            links: others.iter().map(|peer| LinkTo { peer: *peer, role: Role::Answer }).collect(),
            eager: Vec::new(),
            state,
            topology: self.topology.into(),
            pin: None,
            epoch: 1,
            resumed: self.present.contains(&id),
            op: 0,
            ping_ms: 10_000,
            admin: true,
            carry: 0,
            ice: Vec::new(),
        }
    }

    /// Takes a member's socket away, and gives the `join` with which it comes back; its answer is for the test to give.
    pub(crate) fn rejoins(&mut self, id: MemberId) -> Join {
        self.wants(id, Input::Disconnected { code: None, reason: "cut".into() });
        self.now = self.members[&id].poll_timeout().unwrap();
        assert_eq!(self.wants(id, Input::Timeout)[0], Output::Connect);
        match &self.wants(id, Input::Connected)[..] {
            [Output::Tell(ClientMessage::Join(join))] => join.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn told(&mut self, id: MemberId, message: ClientMessage) {
        match message {
            ClientMessage::Join(join) => {
                let others: Vec<_> = self.present.iter().copied().filter(|other| *other != id).collect();
                let welcome = self.welcome(id, join.resume.map(|resume| resume.state).unwrap_or_default());
                self.wire.push_back((id, Input::Hub(ServerMessage::Welcome(Box::new(welcome)))));
                if !self.present.contains(&id) {
                    self.present.push(id);
                }
                for other in others {
                    let plan = LinkPlan { open: vec![LinkTo { peer: id, role: Role::Offer }], ..LinkPlan::default() };
                    self.wire.push_back((other, Input::Hub(ServerMessage::Member(self.info(id).into()))));
                    self.wire.push_back((other, Input::Hub(ServerMessage::Links(plan))));
                }
            }
            ClientMessage::Signal(signal) => {
                let message = signal::SignalFrom { from: id, attempt: signal.attempt, data: signal.data };
                self.wire.push_back((signal.to, Input::Hub(ServerMessage::Signal(message))));
            }
            ClientMessage::Leave {} => self.go(id, GoneReason::Left),
            ClientMessage::Ping {} => self.wire.push_back((id, Input::Hub(ServerMessage::Pong {}))),
            _ => {}
        }
    }

    /// What a member wants after an input that nobody else hears of.
    pub(crate) fn wants(&mut self, id: MemberId, input: Input) -> Vec<Output> {
        let member = self.members.get_mut(&id).unwrap();
        member.handle(self.now, input);
        std::iter::from_fn(|| member.poll_output()).collect()
    }

    pub(crate) fn go(&mut self, id: MemberId, reason: GoneReason) {
        self.present.retain(|present| *present != id);
        for other in self.present.clone() {
            self.wire.push_back((other, Input::Hub(ServerMessage::Gone(Gone { id, reason }))));
        }
    }

    pub(crate) fn send(&mut self, from: MemberId, to: Option<MemberId>, text: impl Into<Bytes>) {
        let payload = text.into();
        self.give(from, Input::Send { ticket: payload.len() as u64, channel: "chat".into(), to, payload });
    }

    /// The reliable messages that a member got from another.
    pub(crate) fn got(&self, at: MemberId, from: MemberId) -> Vec<Bytes> {
        let events = self.events.get(&at).into_iter().flatten();
        events
            .filter_map(|event| match event {
                Event::Message { from: sender, payload, .. } if *sender == from => Some(payload.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn is_open(&self, a: MemberId, b: MemberId) -> bool {
        self.members[&a].link(b).is_some_and(|(state, _)| state == LinkState::Open)
    }

    pub(crate) fn count(&self, at: MemberId, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.get(&at).into_iter().flatten().filter(|event| wanted(event)).count()
    }
}
