//! The way between members and the hub: WebSockets, ordered in either direction, which break in many ways.

use std::rc::Rc;

use bytes::Bytes;
use room::{
    hub::{Config, ConnId, Grant, Hub, IdentityPolicy, Input as HubInput, Output as HubOutput},
    limits,
    member::Input,
    time::{Micros, Time},
    wire::signal::{ClientMessage, RefusalCode, ServerMessage},
};

use super::{
    Event, World,
    actor::{Actor, Fate},
};
use crate::{dice::Dice, schedule::Action};

/// What the hub's clock shows when the simulation's shows zero.
const EPOCH: Time = Time(1_700_000_000_000_000);
/// How long a member waits for an answer to its attempt to connect.
const CONNECT_PATIENCE: Micros = Micros::from_secs(5);

/// The hub and the server around it.
#[derive(Debug)]
pub(super) struct HubSide {
    /// `None` while it is down.
    pub(super) hub: Option<Hub>,
    /// How many hubs there have been.
    pub(super) generation: u32,
    /// Clocks of servers differ.
    offset: Micros,
    wake: Option<Time>,
    /// The server's own relay in this room, and whether the hub wants one.
    relay: Option<usize>,
    wants_relay: bool,
}

#[derive(Debug)]
pub(super) struct Socket {
    actor: usize,
    /// The hub that it leads to.
    generation: u32,
    /// Whether it stands at the member's end, and at the hub's.
    member: bool,
    hub: bool,
    /// Nothing passes any more, whether or not the ends know.
    cut: bool,
    /// When the last thing arrives, each way: nothing overtakes.
    up: Time,
    down: Time,
    /// What waits for the end of a partition, in order.
    held: Vec<Event>,
}

impl HubSide {
    /// `relay`: whether the server has relays.
    pub(super) fn new(room: usize, relay: bool, dice: &mut Dice) -> HubSide {
        let mut side =
            HubSide { hub: None, generation: 0, offset: Micros(0), wake: None, relay: None, wants_relay: false };
        side.start(room, relay, Time(0), dice);
        side
    }

    fn start(&mut self, room: usize, relay: bool, now: Time, dice: &mut Dice) {
        self.generation += 1;
        self.offset = Micros(dice.below(2_000_000));
        self.wake = None;
        self.wants_relay = false;
        let config = Config {
            room: format!("room-{room}").parse().expect("a room's name"),
            hub_id: format!("{:016x}", dice.number()),
            identity_policy: IdentityPolicy::Coexist,
            members_max: limits::ROOM_MEMBERS,
            resume_window: limits::RESUME_WINDOW,
            relay,
            carried_links: limits::CARRIED_LINKS,
            topology: None,
        };
        self.hub = Some(Hub::new(config, dice.number(), self.clock(now)));
    }

    fn clock(&self, now: Time) -> Time {
        EPOCH + self.offset + Micros(now.0)
    }
}

impl World {
    // ---- the member's end ----------------------------------------------------------------------------------------

    pub(super) fn connect(&mut self, actor: usize) {
        let socket = self.sockets.len();
        self.sockets.push(Socket {
            actor,
            generation: self.hub.generation,
            member: true,
            hub: false,
            cut: false,
            up: self.now,
            down: self.now,
            held: Vec::new(),
        });
        self.actors[actor].socket = Some(socket);
        let trip = Micros(self.network.hub_delay(actor).0 * 3);
        if self.network.is_cut_off(actor) {
            self.queue.push(self.now + CONNECT_PATIENCE, Event::Lost { socket, code: None });
        } else {
            self.queue.push(self.now + trip, Event::Connected { socket });
        }
    }

    pub(super) fn socket_connected(&mut self, socket: usize) {
        let Some(actor) = self.socket_owner(socket) else { return };
        if self.hub.hub.is_none() || self.network.is_cut_off(actor) {
            return self.socket_lost(socket, None);
        }
        self.sockets[socket].hub = true;
        self.sockets[socket].generation = self.hub.generation;
        self.turn(actor, Input::Connected);
    }

    pub(super) fn tell(&mut self, actor: usize, message: &ClientMessage) {
        let Some(socket) = self.actors[actor].socket else {
            return self.checks.violation(self.now, format!("{actor} tells the hub something without a socket"));
        };
        let text = message.encode();
        match ClientMessage::decode(&text) {
            Ok(decoded) => self.send_up(socket, Event::ToHub { socket, message: Box::new(decoded) }),
            Err(refused) => self.checks.violation(self.now, format!("{actor} sends what cannot be read: {refused:?}")),
        }
    }

    /// A member has the hub carry something.
    pub(super) fn carry(&mut self, actor: usize, message: Bytes) {
        let Some(socket) = self.actors[actor].socket else {
            return self.checks.violation(self.now, format!("{actor} has something carried without a socket"));
        };
        if message.len() > limits::CARRIED_MAX {
            self.checks.violation(self.now, format!("{actor} has {} B carried at once", message.len()));
        }
        self.send_up(socket, Event::FreightUp { socket, message });
    }

    /// The member closes its socket. Whether it leaves, it has told before.
    pub(super) fn disconnect(&mut self, actor: usize) {
        if let Some(socket) = self.actors[actor].socket.take() {
            self.sockets[socket].member = false;
            self.send_up(socket, Event::HubLost { socket, left: false });
        }
    }

    /// The member's process is gone.
    pub(super) fn abandon_socket(&mut self, actor: usize, hangs: bool) {
        if let Some(socket) = self.actors[actor].socket.take() {
            self.sockets[socket].member = false;
            if !hangs {
                self.send_up(socket, Event::HubLost { socket, left: false });
            }
            self.sockets[socket].cut = true;
        }
    }

    /// Cuts a member's socket; the two ends notice when they do.
    pub(super) fn cut(&mut self, actor: usize, member_notices: Option<Micros>, hub_notices: Option<Micros>) {
        let Some(socket) = self.actors.get(actor).and_then(|actor| actor.socket) else { return };
        self.sockets[socket].cut = true;
        if let Some(after) = member_notices {
            self.queue.push(self.now + after, Event::Lost { socket, code: None });
        }
        if let Some(after) = hub_notices {
            self.queue.push(self.now + after, Event::HubLost { socket, left: false });
        }
    }

    pub(super) fn socket_lost(&mut self, socket: usize, code: Option<RefusalCode>) {
        let Some(actor) = self.socket_owner(socket) else { return };
        self.sockets[socket].member = false;
        self.actors[actor].socket = None;
        self.turn(actor, Input::Disconnected { code, reason: "the socket ended".to_owned() });
    }

    /// The member that a socket still matters to.
    pub(super) fn socket_owner(&self, socket: usize) -> Option<usize> {
        let actor = self.sockets[socket].actor;
        (self.sockets[socket].member && self.actors[actor].socket == Some(socket)).then_some(actor)
    }

    // ---- the way -------------------------------------------------------------------------------------------------

    fn send_up(&mut self, socket: usize, event: Event) {
        if self.sockets[socket].cut {
            return;
        }
        let actor = self.sockets[socket].actor;
        if self.network.is_cut_off(actor) {
            self.sockets[socket].held.push(event);
            return;
        }
        let at = (self.now + self.network.hub_delay(actor)).max(self.sockets[socket].up);
        self.sockets[socket].up = at;
        self.queue.push(at, event);
    }

    fn send_down(&mut self, socket: usize, event: Event) {
        if self.sockets[socket].cut {
            return;
        }
        let actor = self.sockets[socket].actor;
        if self.network.is_cut_off(actor) {
            self.sockets[socket].held.push(event);
            return;
        }
        let at = (self.now + self.network.hub_delay(actor)).max(self.sockets[socket].down);
        self.sockets[socket].down = at;
        self.queue.push(at, event);
    }

    /// What waited for the end of a partition goes on, after a moment: TCP tries again less and less often.
    pub(super) fn flush_sockets(&mut self) {
        for socket in 0..self.sockets.len() {
            let actor = self.sockets[socket].actor;
            if self.sockets[socket].held.is_empty() || self.network.is_cut_off(actor) {
                continue;
            }
            let pause = Micros(self.dice.below(1_000_000));
            self.sockets[socket].up = self.sockets[socket].up.max(self.now + pause);
            self.sockets[socket].down = self.sockets[socket].down.max(self.now + pause);
            for event in std::mem::take(&mut self.sockets[socket].held) {
                match event {
                    Event::ToMember { .. } | Event::FreightDown { .. } | Event::Lost { .. } => {
                        self.send_down(socket, event);
                    }
                    event => self.send_up(socket, event),
                }
            }
        }
    }

    // ---- the hub's end -------------------------------------------------------------------------------------------

    fn leads_to_hub(&self, socket: usize) -> bool {
        self.sockets[socket].hub && self.sockets[socket].generation == self.hub.generation
    }

    pub(super) fn reach_hub(&mut self, socket: usize, message: ClientMessage) {
        if !self.leads_to_hub(socket) {
            return;
        }
        let conn = ConnId(socket as u64);
        let input = match message {
            ClientMessage::Join(join) => HubInput::Join { conn, join: Box::new(join), grant: Some(Grant::open()) },
            message => HubInput::Message { conn, message },
        };
        self.hub_turn(input);
    }

    pub(super) fn freight_at_hub(&mut self, socket: usize, message: Bytes) {
        if self.leads_to_hub(socket) {
            self.hub_turn(HubInput::Carried { conn: ConnId(socket as u64), message });
        }
    }

    pub(super) fn hub_lost(&mut self, socket: usize, left: bool) {
        if self.leads_to_hub(socket) {
            self.sockets[socket].hub = false;
            self.hub_turn(HubInput::Closed { conn: ConnId(socket as u64), left });
        }
    }

    pub(super) fn hub_wake(&mut self, generation: u32, at: Time) {
        if generation == self.hub.generation && self.hub.wake == Some(at) {
            self.hub.wake = None;
            self.hub_turn(HubInput::Timeout);
        }
    }

    /// The hub ends. Where it does not tell, its sockets are reset.
    pub(super) fn hub_stop(&mut self, tells: bool, down: Micros) {
        if self.hub.hub.is_none() {
            return;
        }
        if tells {
            let retry = Micros::from_millis(500);
            self.hub_turn(HubInput::Shutdown { reason: "a new version".to_owned(), retry });
        }
        self.hub.hub = None;
        // The server's relay is in its process.
        if let Some(relay) = self.hub.relay.take() {
            self.crash(relay, false);
        }
        for socket in 0..self.sockets.len() {
            if self.sockets[socket].hub {
                self.sockets[socket].hub = false;
                self.send_down(socket, Event::Lost { socket, code: None });
            }
        }
        self.queue.push(self.now + down, Event::HubStart);
    }

    pub(super) fn hub_start(&mut self) {
        if self.hub.hub.is_none() {
            self.hub.start(self.room, self.has_relays, self.now, &mut self.dice);
        }
    }

    /// The server starts a relay, or drains the one that it has.
    pub(super) fn tend_relay(&mut self, generation: u32) {
        if generation != self.hub.generation || self.hub.hub.is_none() {
            return;
        }
        if self.hub.wants_relay {
            if self.hub.relay.is_some() {
                return;
            }
            // Behind all whom the schedule names.
            let scheduled = self.schedule.actions.iter().filter_map(|(_, action)| match action {
                Action::Enter(actor) => Some(actor + 1),
                _ => None,
            });
            self.expect_actors(scheduled.max().unwrap_or(0));
            self.network.place();
            let number = self.actors.len();
            let relay = Actor::relay(self.seed, self.room, number);
            self.numbers.insert(relay.id, number);
            self.actors.push(relay);
            self.hub.relay = Some(number);
            self.enter(number);
        } else if let Some(relay) = self.hub.relay.take()
            && self.is_alive(relay)
        {
            self.actors[relay].fate = Fate::Leaving;
            self.turn(relay, Input::Drain);
        }
    }

    /// The server's relay ends without a word; it starts another where one is wanted still.
    pub(super) fn crash_relay(&mut self) {
        if let Some(relay) = self.hub.relay.take() {
            self.crash(relay, false);
            self.tend_relay_after(Micros::from_secs(1));
        }
    }

    fn tend_relay_after(&mut self, most: Micros) {
        let after = Micros(self.dice.between(1_000, most.0));
        self.queue.push(self.now + after, Event::Relay { generation: self.hub.generation });
    }

    fn hub_turn(&mut self, input: HubInput) {
        let clock = self.hub.clock(self.now);
        let Some(hub) = self.hub.hub.as_mut() else { return };
        hub.handle(clock, input);
        while let Some(output) = self.hub.hub.as_mut().and_then(Hub::poll_output) {
            self.hub_output(output);
        }
        let Some(hub) = self.hub.hub.as_ref() else { return };
        if let Some(due) = hub.poll_timeout() {
            let at = (self.now + due.since(clock)).max(self.now);
            if self.hub.wake.is_none_or(|planned| at < planned) {
                self.hub.wake = Some(at);
                self.queue.push(at, Event::HubWake { generation: self.hub.generation, at });
            }
        }
    }

    fn hub_output(&mut self, output: HubOutput) {
        match output {
            HubOutput::Send { to, message } => {
                let text = message.encode();
                self.print.bytes(text.as_bytes());
                self.checks.plan.watch(&message);
                let message = match ServerMessage::decode(&text) {
                    Ok(message) => Rc::new(message),
                    Err(error) => return self.checks.violation(self.now, format!("the hub says nonsense: {error}")),
                };
                for conn in to {
                    let socket = conn.0 as usize;
                    if self.sockets[socket].hub {
                        self.send_down(socket, Event::ToMember { socket, message: Rc::clone(&message) });
                    } else {
                        self.checks.violation(self.now, format!("the hub sends to a closed socket: {text}"));
                    }
                }
            }
            HubOutput::Carry { to, from, rest } => {
                let message = Bytes::from([&from.0[..], &rest].concat());
                self.print.bytes(&message);
                let socket = to.0 as usize;
                if self.sockets[socket].hub {
                    self.checks.carried += 1;
                    self.send_down(socket, Event::FreightDown { socket, message });
                } else {
                    self.checks.violation(self.now, "the hub carries something to a closed socket");
                }
            }
            HubOutput::Relay { wanted } => {
                self.print.number(u64::from(wanted));
                self.hub.wants_relay = wanted;
                self.tend_relay_after(Micros(50_000));
            }
            HubOutput::Close { conn, code } => {
                let socket = conn.0 as usize;
                self.print.number(conn.0 << 16 | u64::from(code.map_or(0, RefusalCode::close_code)));
                self.sockets[socket].hub = false;
                self.send_down(socket, Event::Lost { socket, code });
            }
        }
    }
}
