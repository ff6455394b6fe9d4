//! A room as one member sees it: its session with the hub, its links, and the messages that go over them.
//!
//! [`Member`] owns no socket. Its edge (the Rust client, the simulator, or in JavaScript the browser) opens the
//! WebSocket and the peer connections that it asks for and reports what happens to them.
//!
//! - `hub`: what the hub says, and coming back to it; `session` is what lasts from one socket to the next, `resume` what is
//!   told of it.
//! - `links`: what the plan wants; `link` negotiates one and notices when it falls silent, `carriage` is its way over the hub.
//! - `frames`: what comes over a link and what goes; the [`courier`](crate::courier) delivers what must arrive, `lossy`
//!   the rest.
//! - `app`: what the application asks for; `call` numbers its calls; `traffic` measures what is said to the room.
//! - `vouch`: signatures of what is said on lossy channels.
//!
//! The JavaScript member in `sdk/src/` is this machine's twin; `protocol/traces/` holds both to the same outputs.

mod app;
mod call;
mod carriage;
mod frames;
mod hub;
mod io;
mod link;
mod links;
mod lossy;
mod resume;
mod session;
mod traffic;
mod vouch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

pub use self::io::{Answer, Config, Event, Input, Joined, Lane, LinkState, Lossy, NotPinned, NotSent, Output};
use self::{
    call::Calls,
    link::{Do, Link},
    lossy::{Came, Heard, LossyFlow, Published, Value},
    session::{Report, Session, State},
    traffic::Meter,
    vouch::Vouching,
};
use crate::{
    courier::{self, Beginning, Courier, LinkError, LinkUp},
    id::{MemberId, Signature},
    limits,
    time::{Micros, Time},
    wire::{
        carried::{Carried, Freight},
        frame::{self, Frame, Head, Kind, PacketReader, Stream},
        signal::{
            Attributes, CarryEnd, CarryFrom, CarryTo, ClientMessage, Entered, GoneReason, Json, LinkPlan, LinkReport,
            Member as MemberInfo, Negotiation, RefusalCode, Refused, RouteTo, ServerMessage, SetState, SignalTo,
            Welcome,
        },
    },
};

/// One member of a room.
///
/// Make one, drain [`Member::poll_output`], then call [`Member::handle`] for whatever happens and drain again; several
/// inputs may be handled before draining, so that small messages share packets. When [`Member::poll_timeout`] is due,
/// handle [`Input::Timeout`].
#[derive(Debug)]
pub struct Member {
    id: MemberId,
    session: Session,
    /// This member as others see it, once welcomed.
    this: Option<MemberInfo>,
    peers: BTreeMap<MemberId, Peer>,
    /// Members that went, oldest first.
    departed: VecDeque<(MemberId, Departed)>,
    courier: Courier,
    /// The other ends of the links along which the plan wants new streams pushed.
    eager: BTreeSet<MemberId>,
    /// Members that are gone, and what they said may still be on its way.
    leaving: BTreeMap<MemberId, Leaving>,
    /// What came from members of whom the hub has not told yet, the oldest first.
    early: VecDeque<Early>,
    /// Members to whom there is no way, and when one is asked for.
    unrouted: BTreeMap<MemberId, Time>,
    published: Published,
    /// What the edge was asked to sign or to verify of what is said on lossy channels, by number.
    vouching: BTreeMap<u64, Vouching>,
    calls: Calls,
    meter: Meter,
    /// Until when [`Input::Drain`] waits for others to be linked elsewhere.
    drain_by: Option<Time>,
    /// Until when [`Input::Leave`] waits for acknowledgements.
    leave_by: Option<Time>,
    now: Time,
    outputs: VecDeque<Output>,
    /// Peers that something may have to be sent to.
    dirty: BTreeSet<MemberId>,
}

/// Somebody else in the room.
#[derive(Debug)]
struct Peer {
    info: MemberInfo,
    /// A hub that restarted does not list it yet; until then it is believed to come back.
    returning: Option<Time>,
    /// It closed the link, for this reason. It may be leaving; until then the application is not told.
    parting: Option<(Time, String)>,
    /// The plan has no link to it any more; the one that there is stays until then, while it is of use, and that is looked
    /// at next at the other time.
    draining: Option<(Time, Time)>,
    /// It was in the room before this member.
    elder: bool,
    /// When this member first heard that it entered.
    since: Time,
    link: Link,
    lossy: LossyFlow,
    heard: Heard,
}

impl Peer {
    /// Since when it is offered what there is; `None`: it may have everything.
    fn offer_from(&self) -> Option<Time> {
        let margin = if self.info.relay { limits::RELAY_MARGIN } else { limits::ENTRY_MARGIN };
        (!self.elder).then_some(Time(self.since.0.saturating_sub(margin.0)))
    }

    /// Whether where it says that streams begin is true for this member: it was here before, or is a relay, which in a star may
    /// be all the neighbours that there are.
    fn vouches(&self) -> bool {
        self.elder || self.info.relay
    }
}

/// What is remembered of a member that went: it may only have been believed to be gone.
#[derive(Debug)]
struct Departed {
    /// The last attempt at a link, and whether this side made it.
    attempt: (u32, bool),
    /// What was heard of it.
    heard: Heard,
    /// When this member first heard that it entered.
    since: Time,
}

/// A member that is gone; the application is told when its last words have had time to come.
#[derive(Debug)]
struct Leaving {
    info: MemberInfo,
    reason: GoneReason,
    until: Time,
}

/// A message that came before its sender was known.
#[derive(Debug)]
struct Early {
    from: MemberId,
    addressed: bool,
    head: Head,
    payload: Bytes,
}

impl Member {
    /// A member that is about to enter.
    pub fn new(config: Config, now: Time) -> Member {
        let id = config.secret.member_id();
        Member {
            id,
            session: Session::new(config, now),
            this: None,
            peers: BTreeMap::new(),
            departed: VecDeque::new(),
            courier: Courier::new(id, now),
            eager: BTreeSet::new(),
            leaving: BTreeMap::new(),
            early: VecDeque::new(),
            unrouted: BTreeMap::new(),
            published: Published::default(),
            vouching: BTreeMap::new(),
            calls: Calls::default(),
            meter: Meter::default(),
            drain_by: None,
            leave_by: None,
            now,
            outputs: VecDeque::from([Output::Connect]),
            dirty: BTreeSet::new(),
        }
    }

    /// This member's id.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Everybody else, as known now.
    pub fn members(&self) -> impl Iterator<Item = &MemberInfo> {
        self.peers.values().map(|peer| &peer.info).filter(|info| !info.relay)
    }

    /// The relays that are there, as known now.
    pub fn relays(&self) -> impl Iterator<Item = &MemberInfo> {
        self.peers.values().map(|peer| &peer.info).filter(|info| info.relay)
    }

    /// The state and round-trip time of the link to a member.
    pub fn link(&self, peer: MemberId) -> Option<(LinkState, Option<Micros>)> {
        self.peers.get(&peer).map(|peer| (peer.link.public_state(), peer.link.rtt))
    }

    /// Whether it is the hub that carries the frames of the link to a member.
    pub fn is_carried(&self, peer: MemberId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_carried())
    }

    /// Whether messages wait for room in an outbox: an edge takes no further sends meanwhile.
    pub fn is_waiting(&self) -> bool {
        self.courier.is_waiting()
    }

    /// Bytes, with overhead, that are kept for members that have not acknowledged them.
    pub fn outbox_bytes(&self) -> usize {
        self.courier.kept()
    }

    /// Tells the machine what happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        if now.since(self.now) > limits::SLEPT_AFTER {
            self.peers.values_mut().for_each(|peer| peer.link.slept(now));
        }
        self.now = now;
        if self.session.state == State::Closed {
            self.refuse_closed(&input);
            return;
        }
        match input {
            Input::Connected => self.connected(),
            Input::Disconnected { code, reason } => self.disconnected(code, &reason),
            Input::Hub(message) => self.hub(message),
            Input::Local { peer, attempt, data } => self.local(peer, attempt, &data),
            Input::LinkUp { peer, attempt, path } => self.link_up(peer, attempt, path),
            Input::LinkDown { peer, attempt, reason, closed } => {
                if self.is_current(peer, attempt) {
                    if closed { self.part_link(peer, reason) } else { self.fail_link(peer, &reason) }
                }
            }
            Input::Packet { peer, attempt, lane, bytes } => {
                self.prove(peer, attempt);
                if self.is_up(peer, attempt)
                    && let Err(error) = self.packet(peer, lane, bytes)
                {
                    self.faulty(peer, error);
                }
            }
            Input::Carried { message } => self.carried(message),
            Input::Buffered { peer, attempt, lane, bytes } => self.buffered(peer, attempt, lane, bytes),
            Input::Send { ticket, channel, to, payload } => self.send(ticket, channel, to, payload),
            Input::Publish { mode, channel, to, payload } => self.publish(mode, &channel, to, payload),
            Input::Call { ticket, to, method, payload, timeout } => self.call(ticket, to, method, &payload, timeout),
            Input::CancelCall { ticket } => self.calls.cancel(ticket),
            Input::Reply { to, call, answer } => self.reply(to, call, &answer),
            Input::SetState { key, value } => {
                let change = self.session.set_state(|op| SetState { op, key, value });
                self.tell_change(change);
            }
            Input::SetAttributes { set } => {
                let change = self.session.set_attributes(set);
                self.tell_change(change);
            }
            Input::Pin { ticket, topology } => self.pin(ticket, topology),
            Input::SetToken { token } => self.session.config.token = token,
            Input::Consumed { from, bytes, lossy } => self.consumed(from, bytes, lossy),
            Input::Drain => self.drain(),
            Input::Signed { token, signature } => self.signed(token, signature),
            Input::Verified { token, good } => self.verified(token, good),
            Input::Leave => {
                self.leave_by.get_or_insert(now + limits::LEAVE_FLUSH);
            }
            Input::Timeout => self.tick(),
        }
        self.hear_courier();
        if self.session.is_joined() && self.is_relayed() && self.courier.is_settled() {
            self.session.settle(self.now);
        }
        self.leave_when_drained();
        self.leave_when_flushed();
    }

    /// The next thing to do. Packets are put together only here, so that what several inputs caused shares them.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty() && self.session.state != State::Closed {
            // What was said in this turn is signed together.
            self.courier.seal(self.now);
            self.hear_courier();
            if !self.outputs.is_empty() {
                break;
            }
            while let Some(peer) = self.courier.poll_dirty() {
                self.dirty.insert(peer);
            }
            let Some(peer) = self.dirty.pop_first() else { break };
            self.pump(peer);
        }
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due. Ask after draining the outputs.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.session.state == State::Closed {
            return None;
        }
        let peers = self.peers.values().flat_map(|peer| {
            let open = peer.link.is_open();
            [
                peer.link.timeout(),
                peer.returning,
                peer.parting.as_ref().map(|(until, _)| *until),
                peer.draining.map(|(_, look)| look),
                if open { peer.lossy.resend_at() } else { None },
            ]
        });
        let ask = self.unrouted.values().min().copied().filter(|_| self.session.is_joined());
        let leaving = self.leaving.values().map(|leaving| leaving.until).min();
        let own = [
            ask,
            self.meter.timeout().filter(|_| self.session.is_joined() && self.session.config.relay.is_none()),
            leaving,
            self.session.timeout(),
            self.drain_by,
            self.leave_by.map(|by| if self.is_relayed() { by.min(self.now + limits::LEAVE_LOOK) } else { by }),
            self.calls.timeout(),
            self.courier.poll_timeout(),
        ];
        peers.chain(own).flatten().min()
    }

    // ---- time -----------------------------------------------------------------------------------

    fn tick(&mut self) {
        match self.session.state {
            State::Pause { until } if until <= self.now => {
                self.session.state = State::Connecting;
                self.outputs.push_back(Output::Connect);
            }
            State::Connecting | State::Joining if self.session.hub.is_none() && self.session.enter_by <= self.now => {
                self.give_up_entering("it did not answer in time");
                return;
            }
            _ => {}
        }
        match self.session.tick(self.now) {
            Ok(told) => told.into_iter().for_each(|message| self.tell(message)),
            Err(reason) => {
                self.outputs.push_back(Output::Disconnect);
                self.disconnected(None, reason);
            }
        }
        let is_awaited = |peer: &Peer| peer.link.role.is_some() && !peer.link.is_open();
        self.courier.hope(!self.session.is_joined() || self.peers.values().any(is_awaited));
        if self.session.tells_rtts(self.now) {
            self.tell_rtts();
        }
        self.courier.tick(self.now);
        self.ask_ways();
        self.tell_traffic();
        let gone: Vec<MemberId> =
            self.leaving.iter().filter(|(_, leaving)| leaving.until <= self.now).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.parted(id));
        for ticket in self.calls.expired(self.now) {
            self.call_failed(ticket, "timeout", "no answer came in time");
        }
        let ids: Vec<MemberId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let todo = peer.link.tick(self.now, self.session.is_joined());
            if peer.lossy.resend_at().is_some_and(|due| due <= self.now) {
                self.dirty.insert(id);
            }
            if peer.returning.is_some_and(|until| until <= self.now) {
                self.gone(id, GoneReason::Timeout);
            }
            self.tell_parted(id);
            self.drain_link(id);
            self.apply(id, todo);
        }
    }

    /// Tells the hub what has changed in what this member says to the room, and in how its links go.
    fn tell_traffic(&mut self) {
        if !self.session.is_joined() || self.session.config.relay.is_some() {
            return;
        }
        let open = || self.peers.values().filter(|peer| peer.link.is_open());
        let over_turn = || open().filter(|peer| peer.link.path() == Some(OVER_TURN));
        if let Some(traffic) = self.meter.tick(self.now, || (open().count(), over_turn().count())) {
            self.tell(ClientMessage::Stats(traffic));
        }
    }

    /// Nobody is to depend on this relay any more.
    fn drain(&mut self) {
        if self.session.config.relay.is_none() || self.leave_by.is_some() {
            return;
        }
        if self.drain_by.is_none() && self.session.is_joined() {
            self.tell(ClientMessage::Drain {});
        }
        self.drain_by.get_or_insert(self.now + limits::DRAIN_TIMEOUT);
    }

    /// With one link, nothing goes by way of this relay.
    fn leave_when_drained(&mut self) {
        let Some(drain_by) = self.drain_by else { return };
        let links = self.peers.values().filter(|peer| peer.link.role.is_some()).count();
        if links <= 1 || drain_by <= self.now {
            self.drain_by = None;
            self.leave_by.get_or_insert(self.now + limits::LEAVE_FLUSH);
        }
    }

    fn leave_when_flushed(&mut self) {
        let Some(leave_by) = self.leave_by else { return };
        if leave_by <= self.now || (self.courier.is_flushed() && self.is_dispensable(leave_by)) {
            self.close(None, "left", "");
        }
    }

    /// Whether nobody depends any more on what this member has of others' streams, or on its own reaching all: neighbours that
    /// took it may be about to leave as well.
    fn is_dispensable(&self, leave_by: Time) -> bool {
        let mut people = self.peers.values().filter(|peer| peer.link.role.is_some() && !peer.info.relay).peekable();
        if !self.is_relayed() || people.peek().is_none() {
            return true;
        }
        let since = |part: Micros| Time(leave_by.0 - limits::LEAVE_FLUSH.0) + part;
        self.now >= since(limits::LEAVE_LINGER)
            && people.any(|peer| peer.link.is_open())
            && self.courier.is_passed_on(self.now, since(Micros(limits::LEAVE_LINGER.0 / 2)))
    }

    /// Ends everything.
    fn close(&mut self, code: Option<RefusalCode>, reason: &str, hint: &str) {
        match self.session.state {
            State::Closed => return,
            // The `join` may have been taken, though its answer is still on its way.
            State::Joining | State::Joined => {
                self.tell(ClientMessage::Leave {});
                self.outputs.push_back(Output::Disconnect);
            }
            State::Connecting => self.outputs.push_back(Output::Disconnect),
            State::Pause { .. } => {}
        }
        self.session.state = State::Closed;
        let unsent = self.courier.close();
        for (id, mut peer) in std::mem::take(&mut self.peers) {
            let todo = peer.link.give_up();
            self.close_connections(id, &todo);
        }
        for ticket in unsent {
            self.event(Event::NotSent { ticket, why: NotSent::Closed });
        }
        for ticket in self.calls.close() {
            self.call_failed(ticket, "closed", "the room was left before the answer came");
        }
        self.forget_pins(&NotPinned::Closed);
        self.dirty.clear();
        self.event(Event::Closed { code, reason: reason.to_owned(), hint: hint.to_owned() });
    }

    fn refuse_closed(&mut self, input: &Input) {
        match input {
            Input::Send { ticket, .. } => self.event(Event::NotSent { ticket: *ticket, why: NotSent::Closed }),
            Input::Call { ticket, .. } => self.call_failed(*ticket, "closed", "the room is closed"),
            Input::Pin { ticket, .. } => self.event(Event::NotPinned { ticket: *ticket, why: NotPinned::Closed }),
            _ => {}
        }
    }

    fn tell(&mut self, message: ClientMessage) {
        self.outputs.push_back(Output::Tell(message));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// The path of a link that goes over TURN; see [`Input::LinkUp`].
const OVER_TURN: &str = "relayed";
/// What a call's number takes at most.
const NUMBER_BYTES: usize = 8;

#[cfg(test)]
impl Member {
    /// One of whom nothing matters but that it is a member.
    fn plain() -> Member {
        let config = Config {
            secret: crate::id::Secret([1; 16]),
            key: None,
            name: String::new(),
            attributes: Attributes::default(),
            token: None,
            topology: None,
            agent: None,
            relay: None,
            seed: 1,
        };
        Member::new(config, Time(0))
    }
}
