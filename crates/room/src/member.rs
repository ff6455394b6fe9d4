//! A room as one member sees it: its session with the hub, its links, and the messages that go over them.
//!
//! [`Member`] owns no socket. Its edge (the Rust client, the simulator, or in JavaScript the browser) opens the
//! WebSocket and the peer connections that it asks for and reports what happens to them.
//!
//! - `session`: entering, coming back, the roster, the shared state.
//! - `link`: negotiating links where the plan says so, and noticing silence.
//! - `courier`: reliable streams: outboxes, credit, acknowledgements; `window` is the receiving end of one.
//! - `lossy`: `latest` and `datagram` channels. `call`: calls and their replies.
//!
//! The JavaScript member in `sdk/src/` is this machine's twin; `protocol/traces/` holds both to the same outputs.

mod call;
mod courier;
mod io;
mod link;
mod lossy;
mod outbox;
mod session;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

pub use self::io::{Answer, Config, Event, Input, Joined, Lane, LinkState, Lossy, NotSent, Output};
use self::{
    call::Calls,
    courier::{Flow, LinkError, Position},
    link::{Do, Link},
    lossy::{LossyFlow, Published},
    outbox::Outbox,
    session::{Report, Session, State},
    window::Lost,
};
use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::{
        frame::{self, Frame, Head, Kind, PacketReader, Stream},
        signal::{
            ClientMessage, GoneReason, Json, LinkPlan, Member as MemberInfo, Negotiation, RefusalCode, ServerMessage,
            SetState, SignalTo, Welcome,
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
    /// Where the streams of members that went stood, oldest first.
    departed: VecDeque<(MemberId, Position)>,
    /// What this member says to the whole room.
    room: Outbox,
    /// Numbers all chunks of this member, whatever their stream.
    stamp: u64,
    published: Published,
    calls: Calls,
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
    link: Link,
    flow: Flow,
    lossy: LossyFlow,
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
            room: Outbox::new(Stream::room(id), 1),
            stamp: 0,
            published: Published::default(),
            calls: Calls::default(),
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
        self.peers.values().map(|peer| &peer.info)
    }

    /// The state and round-trip time of the link to a member.
    pub fn link(&self, peer: MemberId) -> Option<(LinkState, Option<Micros>)> {
        self.peers.get(&peer).map(|peer| (peer.link.public_state(), peer.link.rtt))
    }

    /// Whether messages wait for room in an outbox: an edge takes no further sends meanwhile.
    pub fn is_waiting(&self) -> bool {
        self.room.is_waiting() || self.peers.values().any(|peer| peer.flow.outbox.is_waiting())
    }

    /// Bytes, with overhead, that are kept for members that have not acknowledged them.
    pub fn outbox_bytes(&self) -> usize {
        self.room.cost() + self.peers.values().map(|peer| peer.flow.outbox.cost()).sum::<usize>()
    }

    /// Tells the machine what happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        if now.since(self.now) > limits::SLEPT_AFTER {
            self.peers.values_mut().for_each(|peer| peer.link.slept(now));
        }
        self.now = now;
        if self.session.state == State::Closed {
            self.refuse_closed(input);
            return;
        }
        match input {
            Input::Connected => self.connected(),
            Input::Disconnected { code, reason } => self.disconnected(code, &reason),
            Input::Hub(message) => self.hub(message),
            Input::Local { peer, attempt, data } => self.local(peer, attempt, &data),
            Input::LinkUp { peer, attempt, path } => self.link_up(peer, attempt, path),
            Input::LinkDown { peer, attempt, reason } => {
                if self.is_current(peer, attempt) {
                    self.fail_link(peer, &reason);
                }
            }
            Input::Packet { peer, attempt, lane, bytes } => {
                if self.is_current(peer, attempt)
                    && let Err(error) = self.packet(peer, lane, bytes)
                {
                    self.fail_link(peer, &error.to_string());
                }
            }
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
            Input::SetToken { token } => self.session.config.token = token,
            Input::Consumed { from, bytes, lossy } => self.consumed(from, bytes, lossy),
            Input::Leave => {
                self.leave_by.get_or_insert(now + limits::LEAVE_FLUSH);
            }
            Input::Timeout => self.tick(),
        }
        self.relieve();
        self.leave_when_flushed();
    }

    /// The next thing to do. Packets are put together only here, so that what several inputs caused shares them.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.outputs.is_empty()
            && let Some(peer) = self.dirty.pop_first()
        {
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
                if open { peer.flow.ack_due() } else { None },
                if open { peer.lossy.resend_at(peer.link.rtt) } else { None },
            ]
        });
        let own = [self.session.timeout(), self.leave_by, self.calls.timeout(), self.stalled_at()];
        peers.chain(own).flatten().min()
    }

    // ---- the hub --------------------------------------------------------------------------------

    fn connected(&mut self) {
        if self.session.state == State::Connecting {
            let open = self.peers.iter().filter(|(_, peer)| peer.link.is_open() && !peer.link.suspect);
            let up = open.map(|(id, _)| *id).collect();
            let join = self.session.join(up, self.now);
            self.tell(join);
        }
    }

    fn disconnected(&mut self, code: Option<RefusalCode>, reason: &str) {
        if let State::Pause { .. } = self.session.state {
            return;
        }
        let refusal = self.session.refusal.take();
        if let Some(code) = refusal.as_ref().map(|refusal| refusal.code).or(code)
            && !code.may_return()
        {
            let (reason, hint) = match &refusal {
                Some(refusal) => (refusal.message.as_str(), refusal.hint.as_str()),
                None => (reason, ""),
            };
            self.session.state = State::Pause { until: self.now };
            self.close(Some(code), reason, hint);
            return;
        }
        let joined = self.session.is_joined();
        let until = self.session.lost(self.now);
        if joined {
            self.event(Event::Reconnecting { reason: reason.to_owned() });
        } else if self.session.hub.is_none() && until > self.session.enter_by {
            self.give_up_entering(reason);
        }
    }

    fn give_up_entering(&mut self, reason: &str) {
        let reason = format!("the server could not be reached: {reason}");
        self.close(None, &reason, "check the address and that the server runs");
    }

    fn hub(&mut self, message: ServerMessage) {
        self.session.heard(self.now);
        match message {
            ServerMessage::Welcome(welcome) => {
                if self.session.state == State::Joining {
                    self.welcomed(*welcome);
                }
            }
            ServerMessage::Member(info) => self.entered(info, false),
            ServerMessage::Gone(gone) => self.gone(gone.id, gone.reason),
            ServerMessage::Update(update) => {
                self.updated(update.id, |info| info.attributes = update.attributes, update.op)
            }
            ServerMessage::Links(plan) => self.planned(plan),
            ServerMessage::Signal(signal) => self.signal(signal.from, signal.attempt, &signal.data),
            ServerMessage::State(change) => {
                if change.by == self.id {
                    self.session.confirmed(change.op);
                }
                self.state_changed(change.key, change.value, change.version, Some(change.by));
            }
            ServerMessage::Topology(change) => {
                self.session.epoch = change.epoch;
                self.topology_is(change.to);
            }
            ServerMessage::Refused(refused) if refused.fatal => self.session.refusal = Some(refused),
            ServerMessage::Refused(refused) => {
                self.event(Event::Refused { code: refused.code, message: refused.message, hint: refused.hint });
            }
            ServerMessage::Closing(closing) => {
                self.session.retry = Some(Micros::from_millis(closing.retry_ms).min(limits::RECONNECT_MAX));
            }
            ServerMessage::Ping {} => self.tell(ClientMessage::Pong {}),
            ServerMessage::Pong {} => {}
        }
    }

    fn welcomed(&mut self, welcome: Welcome) {
        let before = self.session.hub.clone();
        let again = self.session.welcomed(&welcome);
        match before {
            None => self.joined(&welcome),
            Some(hub) => self.rejoined(&welcome, hub == welcome.hub),
        }
        self.planned(LinkPlan { open: welcome.links, close: Vec::new() });
        for message in again {
            self.tell(message);
        }
    }

    fn joined(&mut self, welcome: &Welcome) {
        self.this = Some(welcome.this.clone());
        self.session.topology.clone_from(&welcome.topology);
        self.session.room_state.clone_from(&welcome.state);
        for info in &welcome.members {
            self.entered(info.clone(), true);
        }
        self.event(Event::Joined(Box::new(Joined {
            this: welcome.this.clone(),
            members: welcome.members.clone(),
            topology: welcome.topology.clone(),
            state: welcome.state.clone(),
            ice: welcome.ice.clone(),
        })));
    }

    fn rejoined(&mut self, welcome: &Welcome, same_hub: bool) {
        self.this = Some(welcome.this.clone());
        self.event(Event::Reconnected { resumed: welcome.resumed });
        self.topology_is(welcome.topology.clone());
        let listed: BTreeSet<MemberId> = welcome.members.iter().map(|info| info.id).collect();
        let wanted: BTreeSet<MemberId> = welcome.links.iter().map(|link| link.peer).collect();
        let missing: Vec<MemberId> = self.peers.keys().filter(|id| !listed.contains(id)).copied().collect();
        for id in missing {
            let until = self.now + limits::RESUME_WINDOW;
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if same_hub {
                self.gone(id, GoneReason::Left);
            } else if peer.link.is_open() && !peer.link.suspect {
                peer.returning.get_or_insert(until);
            } else {
                self.gone(id, GoneReason::Crashed);
            }
        }
        for info in &welcome.members {
            self.entered(info.clone(), false);
        }
        let unwanted = self
            .peers
            .iter()
            .filter(|(id, peer)| listed.contains(id) && !wanted.contains(id) && peer.link.role.is_some());
        let close = unwanted.map(|(id, _)| *id).collect();
        self.planned(LinkPlan { open: Vec::new(), close });

        let old = std::mem::take(&mut self.session.room_state);
        for key in old.keys().filter(|key| !welcome.state.contains_key(*key)) {
            self.event(Event::State { key: key.clone(), value: Json::null(), by: None });
        }
        self.session.room_state = old;
        self.session.room_state.retain(|key, _| welcome.state.contains_key(key));
        for (key, entry) in &welcome.state {
            self.state_changed(key.clone(), entry.value.clone(), entry.version, None);
        }
    }

    fn entered(&mut self, info: MemberInfo, quietly: bool) {
        if info.id == self.id {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&info.id) {
            peer.returning = None;
            if peer.info != info {
                peer.info = info.clone();
                self.event(Event::MemberUpdate(info));
            }
            return;
        }
        let known = self.departed.iter().position(|(id, _)| *id == info.id);
        let known = known.and_then(|at| self.departed.remove(at)).map(|(_, position)| position);
        let peer = Peer {
            info: info.clone(),
            returning: None,
            link: Link::new(self.now),
            flow: Flow::new(self.id, info.id, self.room.next(), known, self.now),
            lossy: LossyFlow::new(&self.published),
        };
        self.peers.insert(info.id, peer);
        if !quietly {
            self.event(Event::MemberJoin(info));
        }
    }

    fn gone(&mut self, id: MemberId, reason: GoneReason) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        if self.departed.len() >= limits::DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((id, peer.flow.position()));
        self.session.forget(id);
        self.dirty.remove(&id);
        let todo = peer.link.give_up();
        self.close_connections(id, &todo);
        for ticket in peer.flow.outbox.clear() {
            self.event(Event::NotSent { ticket, why: NotSent::UnknownMember });
        }
        for ticket in self.calls.member_left(id) {
            self.call_failed(ticket, "member_left", "the member left before it answered");
        }
        self.event(Event::MemberLeave { member: peer.info, reason });
        self.trim_room();
    }

    fn updated(&mut self, id: MemberId, change: impl FnOnce(&mut MemberInfo), op: u64) {
        let info = if id == self.id {
            self.session.confirmed(op);
            self.this.as_mut()
        } else {
            self.peers.get_mut(&id).map(|peer| &mut peer.info)
        };
        if let Some(info) = info {
            change(info);
            let info = info.clone();
            self.event(Event::MemberUpdate(info));
        }
    }

    fn state_changed(&mut self, key: String, value: Json, version: u64, by: Option<MemberId>) {
        let state = &mut self.session.room_state;
        if state.get(&key).is_some_and(|entry| entry.version >= version) {
            return;
        }
        state.insert(key.clone(), crate::wire::signal::StateEntry { value: value.clone(), version });
        self.event(Event::State { key, value, by });
    }

    fn topology_is(&mut self, to: String) {
        if self.session.topology != to {
            let from = std::mem::replace(&mut self.session.topology, to.clone());
            self.event(Event::Topology { from, to });
        }
    }

    fn tell_change(&mut self, change: Option<ClientMessage>) {
        match change {
            Some(message) if self.session.is_joined() => self.tell(message),
            // It goes out with the next welcome.
            Some(_) => {}
            None => self.event(Event::Refused {
                code: RefusalCode::RateLimited,
                message: "too many changes wait for the server to confirm them".to_owned(),
                hint: "make fewer changes, or wait until the server is back".to_owned(),
            }),
        }
    }

    // ---- links ----------------------------------------------------------------------------------

    fn is_current(&self, peer: MemberId, attempt: u32) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_current(attempt))
    }

    fn planned(&mut self, plan: LinkPlan) {
        for link in plan.open {
            if let Some(peer) = self.peers.get_mut(&link.peer) {
                let todo = peer.link.plan(link.role, self.now);
                self.apply(link.peer, todo);
            }
        }
        for id in plan.close {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.link.role = None;
                let todo = peer.link.give_up();
                self.close_connections(id, &todo);
                self.link_event(id, LinkState::Closed, Some("the plan has no link here any more"));
            }
        }
    }

    fn signal(&mut self, from: MemberId, attempt: u32, data: &Json) {
        if data.as_str().len() > limits::DESCRIPTION_MAX {
            return;
        }
        // What cannot be read is the sender's mistake: its attempt will not open.
        let (Some(peer), Ok(data)) = (self.peers.get_mut(&from), data.to::<Negotiation>()) else { return };
        let todo = peer.link.negotiate(attempt, data, self.now);
        self.apply(from, todo);
    }

    fn local(&mut self, peer: MemberId, attempt: u32, data: &Negotiation) {
        if self.is_current(peer, attempt) && self.session.is_joined() {
            let data = Json::from(data).expect("negotiations have a JSON form");
            self.tell(ClientMessage::Signal(SignalTo { to: peer, attempt, data }));
        }
    }

    fn link_up(&mut self, id: MemberId, attempt: u32, path: String) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.link.is_connecting(attempt)
        {
            peer.link.up(path, self.now);
            peer.flow.link_up(&self.room, self.session.epoch);
            peer.lossy.link_up();
            self.dirty.insert(id);
        }
    }

    fn apply(&mut self, id: MemberId, todo: Vec<Do>) {
        for step in todo {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let attempt = peer.link.attempt;
            match step {
                Do::Open(role) => {
                    self.outputs.push_back(Output::Open { peer: id, attempt, role });
                    self.link_event(id, LinkState::Connecting, None);
                }
                Do::Close(attempt) => self.outputs.push_back(Output::Close { peer: id, attempt }),
                Do::Remote(data) => self.outputs.push_back(Output::Remote { peer: id, attempt, data }),
                Do::RestartIce => self.outputs.push_back(Output::RestartIce { peer: id, attempt }),
                Do::Ping(token) => {
                    peer.lossy.send(Frame::Ping { token }.encode());
                    self.dirty.insert(id);
                }
                Do::Suspect => {
                    self.session.report(id, Report::Suspect, self.now);
                    self.link_event(id, LinkState::Suspect, Some("nothing was heard for a while"));
                    self.give_up_returning(id);
                }
                Do::Fail(reason) => self.fail_link(id, reason),
            }
        }
    }

    fn close_connections(&mut self, peer: MemberId, todo: &[Do]) {
        for step in todo {
            if let Do::Close(attempt) = step {
                self.outputs.push_back(Output::Close { peer, attempt: *attempt });
            }
        }
    }

    fn fail_link(&mut self, id: MemberId, reason: &str) {
        let jitter = self.session.jitter();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let todo = peer.link.failed(self.now, jitter);
        self.close_connections(id, &todo);
        self.session.report(id, Report::Down, self.now);
        self.link_event(id, LinkState::Failed, Some(reason));
        self.give_up_returning(id);
    }

    /// A member that a restarted hub does not list is believed in only while its link lives.
    fn give_up_returning(&mut self, id: MemberId) {
        if self.peers.get(&id).is_some_and(|peer| peer.returning.is_some()) {
            self.gone(id, GoneReason::Crashed);
        }
    }

    fn link_event(&mut self, id: MemberId, state: LinkState, reason: Option<&str>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let path = if state == LinkState::Open { peer.link.path.clone() } else { None };
        let rtt = if state == LinkState::Open { peer.link.rtt } else { None };
        self.event(Event::Link { peer: id, state, path, rtt, reason: reason.map(str::to_owned) });
    }

    // ---- frames ---------------------------------------------------------------------------------

    fn packet(&mut self, id: MemberId, lane: Lane, bytes: Bytes) -> Result<(), LinkError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        if peer.link.heard(self.now) && peer.link.is_open() {
            self.session.report(id, Report::Up, self.now);
            self.link_event(id, LinkState::Open, None);
        }
        for frame in PacketReader::new(bytes)? {
            let (frame, length) = frame?;
            // A frame's consequences may end the link; what follows it is then of no use.
            let Some(peer) = self.peers.get(&id) else { return Ok(()) };
            let open = peer.link.is_open();
            match (lane, frame) {
                (Lane::Reliable, Frame::Hello { version, credit, holdings, .. }) if !open => {
                    self.hello(id, version, credit, &holdings)?;
                }
                (Lane::Reliable, _) if !open => return Err(LinkError::Hello),
                (Lane::Reliable, frame) => self.reliable_frame(id, frame, length)?,
                // The lanes race: what comes before HELLO is sent again, or was free to get lost.
                (Lane::Lossy, _) if !open => {}
                (Lane::Lossy, frame) => self.lossy_frame(id, frame)?,
            }
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.flow.grant();
            self.dirty.insert(id);
        }
        Ok(())
    }

    fn hello(&mut self, id: MemberId, version: u64, credit: u64, holdings: &[frame::Holding]) -> Result<(), LinkError> {
        if version != frame::VERSION {
            return Err(LinkError::Version(version));
        }
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        let [room, addressed] = peer.flow.hello(&self.room, credit, holdings, self.now)?;
        peer.link.greeted(self.now);
        self.session.report(id, Report::Up, self.now);
        self.link_event(id, LinkState::Open, None);
        self.gap(id, false, room);
        self.gap(id, true, addressed);
        self.acknowledged(id);
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        let todo = peer.link.tick(self.now, self.session.is_joined());
        self.apply(id, todo);
        Ok(())
    }

    fn reliable_frame(&mut self, id: MemberId, frame: Frame, length: usize) -> Result<(), LinkError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        match frame {
            Frame::Data(data) => {
                let addressed = data.stream.to.is_some();
                let delivery = peer.flow.data(data, length, self.now)?;
                self.gap(id, addressed, delivery.lost);
                if let Some((head, payload)) = delivery.message {
                    self.message(id, addressed, head, payload);
                }
            }
            Frame::Ack(acks) => {
                for ack in acks {
                    peer.flow.acknowledged(&self.room, ack, self.now)?;
                }
                self.acknowledged(id);
            }
            Frame::Credit { total } => peer.flow.credited(total),
            Frame::Skip { stream, upto } => {
                let lost = peer.flow.skipped(stream, upto, self.now)?;
                self.gap(id, stream.to.is_some(), lost);
            }
            _ => return Err(LinkError::Hello),
        }
        Ok(())
    }

    fn lossy_frame(&mut self, id: MemberId, frame: Frame) -> Result<(), LinkError> {
        let this = self.id;
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        let ours = |stream: Stream| stream.origin == id && stream.to.is_none_or(|to| to == this);
        match frame {
            Frame::Ping { token } => peer.lossy.send(Frame::Pong { token }.encode()),
            Frame::Pong { token } => {
                if peer.link.ponged(token, self.now) {
                    self.link_event(id, LinkState::Open, None);
                }
            }
            Frame::Latest { stream, seq, channel, payload } if ours(stream) => {
                if !peer.info.mute && peer.lossy.value(id, &channel, seq, payload.len()) {
                    self.event(Event::Lossy { from: id, mode: Lossy::Latest, channel, payload });
                }
            }
            Frame::Seen { origin, seq, channel } if origin == this => peer.lossy.acknowledged(&channel, seq),
            Frame::Datagram { stream, channel, payload } if ours(stream) => {
                if !peer.info.mute && peer.lossy.hold(payload.len()) {
                    self.event(Event::Lossy { from: id, mode: Lossy::Datagram, channel, payload });
                }
            }
            _ => return Err(LinkError::Forged),
        }
        Ok(())
    }

    fn gap(&mut self, member: MemberId, addressed: bool, lost: Option<Lost>) {
        if let Some(Lost { from, to }) = lost {
            self.event(Event::Gap { member, addressed, from_seq: from, to_seq: to });
        }
    }

    fn message(&mut self, from: MemberId, addressed: bool, head: Head, payload: Bytes) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.info.mute {
            return;
        }
        match head.kind {
            Kind::Message => {
                peer.flow.hold(payload.len());
                self.event(Event::Message { from, channel: head.channel, addressed, payload });
            }
            // Calls and answers that are not addressed, or not numbered, mean nothing.
            _ if !addressed => {}
            Kind::Call => {
                if let Ok((call, payload)) = frame::split_varint(payload) {
                    peer.flow.hold(payload.len());
                    self.event(Event::Call { from, call, method: head.channel, payload });
                }
            }
            Kind::Reply | Kind::Failure => {
                if let Some((ticket, answer)) = self.calls.answered(from, head.kind, payload) {
                    self.event(Event::Called { ticket, answer });
                }
            }
        }
    }

    fn acknowledged(&mut self, id: MemberId) {
        self.fill_addressed(id);
        self.trim_room();
    }

    fn consumed(&mut self, from: MemberId, bytes: usize, lossy: bool) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if lossy {
            peer.lossy.consumed(bytes);
        } else {
            peer.flow.consumed(bytes);
            peer.flow.grant();
            self.dirty.insert(from);
        }
    }

    fn buffered(&mut self, id: MemberId, attempt: u32, lane: Lane, bytes: usize) {
        if !self.is_current(id, attempt) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            match lane {
                Lane::Reliable => peer.flow.buffered = bytes,
                Lane::Lossy => peer.lossy.buffered = bytes,
            }
            self.dirty.insert(id);
        }
    }

    /// Puts together what can be sent to a peer now.
    fn pump(&mut self, id: MemberId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !peer.link.is_up() {
            return;
        }
        let attempt = peer.link.attempt;
        while let Some(bytes) = peer.flow.next_packet(&self.room, self.now) {
            self.outputs.push_back(Output::Packet { peer: id, attempt, lane: Lane::Reliable, bytes });
        }
        while peer.link.is_open()
            && let Some(bytes) = peer.lossy.next_packet(peer.link.rtt, self.now)
        {
            self.outputs.push_back(Output::Packet { peer: id, attempt, lane: Lane::Lossy, bytes });
        }
    }

    // ---- the application ------------------------------------------------------------------------

    fn is_mute(&self) -> bool {
        self.this.as_ref().is_some_and(|this| this.mute)
    }

    fn send(&mut self, ticket: u64, channel: String, to: Option<MemberId>, payload: Bytes) {
        let outbox = match to {
            None => Some(&self.room),
            Some(to) => self.peers.get(&to).map(|peer| &peer.flow.outbox),
        };
        let why = if payload.len() > limits::MESSAGE_MAX || channel.len() > limits::CHANNEL_NAME_MAX {
            Some(NotSent::TooLarge)
        } else if self.is_mute() {
            Some(NotSent::NotAllowed)
        } else {
            match outbox {
                None => Some(NotSent::UnknownMember),
                Some(outbox) if !outbox.has_room_for(payload.len()) => Some(NotSent::TooMany),
                Some(_) => None,
            }
        };
        match why {
            Some(why) => self.event(Event::NotSent { ticket, why }),
            None => self.push(Some(ticket), to, Head { kind: Kind::Message, channel }, payload),
        }
    }

    fn push(&mut self, ticket: Option<u64>, to: Option<MemberId>, head: Head, payload: Bytes) {
        match to {
            None => {
                self.room.push(ticket, head, payload);
                self.fill_room();
            }
            Some(to) => {
                if let Some(peer) = self.peers.get_mut(&to) {
                    peer.flow.outbox.push(ticket, head, payload);
                    self.fill_addressed(to);
                }
            }
        }
    }

    fn publish(&mut self, mode: Lossy, channel: &str, to: Option<MemberId>, payload: Bytes) {
        if payload.len() > limits::LOSSY_MAX || channel.len() > limits::CHANNEL_NAME_MAX || self.is_mute() {
            return;
        }
        let stream = Stream { origin: self.id, to };
        let targets = self.peers.iter_mut().filter(|(id, _)| to.is_none_or(|to| to == **id));
        match mode {
            Lossy::Latest => {
                let value = self.published.value(stream, channel, payload);
                for (id, peer) in targets {
                    peer.lossy.publish(channel, value.clone());
                    self.dirty.insert(*id);
                }
            }
            Lossy::Datagram => {
                let frame = Frame::Datagram { stream, channel: channel.to_owned(), payload }.encode();
                for (id, peer) in targets.filter(|(_, peer)| peer.link.is_open()) {
                    peer.lossy.send(frame.clone());
                    self.dirty.insert(*id);
                }
            }
        }
    }

    fn call(&mut self, ticket: u64, to: MemberId, method: String, argument: &Bytes, timeout: Option<Micros>) {
        let deadline = self.now + timeout.unwrap_or(limits::CALL_TIMEOUT);
        let Some(peer) = self.peers.get(&to) else {
            return self.call_failed(ticket, "unknown_member", "the member is not in the room");
        };
        if self.is_mute() {
            return self.call_failed(ticket, "not_allowed", "this member may not send data");
        }
        if method.len() > limits::CHANNEL_NAME_MAX || argument.len() > limits::MESSAGE_MAX - NUMBER_BYTES {
            return self.call_failed(ticket, "too_large", "the argument or the method's name is too large");
        }
        let room = peer.flow.outbox.has_room_for(argument.len() + NUMBER_BYTES);
        let payload = if room { self.calls.begin(ticket, to, argument, deadline) } else { None };
        match payload {
            Some(payload) => self.push(None, Some(to), Head { kind: Kind::Call, channel: method }, payload),
            None => self.call_failed(ticket, "too_many_calls", "too many calls are under way; await some of them"),
        }
    }

    fn reply(&mut self, to: MemberId, call: u64, answer: &Answer) {
        let (mut kind, mut payload) = call::encode(call, answer);
        if payload.len() > limits::MESSAGE_MAX {
            let message = "the result is too large for one message".to_owned();
            (kind, payload) = call::encode(call, &Answer::Failure { code: "too_large".to_owned(), message });
        }
        self.push(None, Some(to), Head { kind, channel: String::new() }, payload);
    }

    fn call_failed(&mut self, ticket: u64, code: &str, message: &str) {
        let answer = Answer::Failure { code: code.to_owned(), message: message.to_owned() };
        self.event(Event::Called { ticket, answer });
    }

    fn fill_addressed(&mut self, id: MemberId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let sent = peer.flow.outbox.fill(&mut self.stamp);
        self.dirty.insert(id);
        for ticket in sent {
            self.event(Event::Sent { ticket });
        }
    }

    /// Moves what waits into the room's outbox, and lets go of what everybody has, as long as either helps.
    fn fill_room(&mut self) {
        loop {
            let before = self.room.next();
            for ticket in self.room.fill(&mut self.stamp) {
                self.event(Event::Sent { ticket });
            }
            if self.room.next() == before {
                return;
            }
            for (id, peer) in &mut self.peers {
                let had_all = peer.flow.has_all_before(before);
                peer.flow.owed_more(had_all, self.now);
                self.dirty.insert(*id);
            }
            let has = self.peers.values().map(|peer| peer.flow.room_acked()).min();
            self.room.trim(has.unwrap_or(self.room.next()));
        }
    }

    fn trim_room(&mut self) {
        let has = self.peers.values().map(|peer| peer.flow.room_acked()).min();
        self.room.trim(has.unwrap_or(self.room.next()));
        self.fill_room();
    }

    /// Passes over members that hold the room's outbox back and do not get on.
    fn relieve(&mut self) {
        while self.room.is_waiting() {
            let first = self.room.first();
            let mut relieved = false;
            for peer in self.peers.values_mut().filter(|peer| peer.flow.room_acked() == first) {
                if peer.link.suspect || peer.stalled_at() <= self.now {
                    peer.flow.pass_over(&self.room);
                    relieved = true;
                }
            }
            if !relieved {
                return;
            }
            self.trim_room();
        }
    }

    fn stalled_at(&self) -> Option<Time> {
        if !self.room.is_waiting() {
            return None;
        }
        let first = self.room.first();
        let holders = self.peers.values().filter(|peer| peer.flow.room_acked() == first);
        holders.map(Peer::stalled_at).min()
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
        for ticket in self.calls.expired(self.now) {
            self.call_failed(ticket, "timeout", "no answer came in time");
        }
        let ids: Vec<MemberId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let todo = peer.link.tick(self.now, self.session.is_joined());
            let due = peer.flow.ack_due().is_some_and(|due| due <= self.now)
                || peer.lossy.resend_at(peer.link.rtt).is_some_and(|due| due <= self.now);
            if due {
                self.dirty.insert(id);
            }
            if peer.returning.is_some_and(|until| until <= self.now) {
                self.gone(id, GoneReason::Timeout);
            }
            self.apply(id, todo);
        }
    }

    fn leave_when_flushed(&mut self) {
        let Some(leave_by) = self.leave_by else { return };
        let flushed = !self.room.is_waiting()
            && self.peers.values().all(|peer| peer.link.suspect || peer.flow.is_flushed(&self.room));
        if flushed || leave_by <= self.now {
            self.close(None, "left", "");
        }
    }

    /// Ends everything.
    fn close(&mut self, code: Option<RefusalCode>, reason: &str, hint: &str) {
        match self.session.state {
            State::Closed => return,
            State::Joined => {
                self.tell(ClientMessage::Leave {});
                self.outputs.push_back(Output::Disconnect);
            }
            State::Connecting | State::Joining => self.outputs.push_back(Output::Disconnect),
            State::Pause { .. } => {}
        }
        self.session.state = State::Closed;
        let mut unsent = self.room.clear();
        for (id, mut peer) in std::mem::take(&mut self.peers) {
            let todo = peer.link.give_up();
            self.close_connections(id, &todo);
            unsent.extend(peer.flow.outbox.clear());
        }
        for ticket in unsent {
            self.event(Event::NotSent { ticket, why: NotSent::Closed });
        }
        for ticket in self.calls.close() {
            self.call_failed(ticket, "closed", "the room was left before the answer came");
        }
        self.dirty.clear();
        self.event(Event::Closed { code, reason: reason.to_owned(), hint: hint.to_owned() });
    }

    fn refuse_closed(&mut self, input: Input) {
        match input {
            Input::Send { ticket, .. } => self.event(Event::NotSent { ticket, why: NotSent::Closed }),
            Input::Call { ticket, .. } => self.call_failed(ticket, "closed", "the room is closed"),
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

impl Peer {
    /// When this member may hold the room's outbox back no longer.
    fn stalled_at(&self) -> Time {
        self.flow.progress + courier::patience(self.link.is_open())
    }
}

/// What a call's number takes at most.
const NUMBER_BYTES: usize = 8;
