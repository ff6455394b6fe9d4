//! What the hub says, and coming back to it.

use super::*;
use crate::wire::frame::NUMBER_MAX;

impl Member {
    pub(super) fn connected(&mut self) {
        if self.session.state == State::Connecting {
            let open = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.link.is_open() && !peer.link.suspect && peer.draining.is_none());
            let up = open.map(|(id, _)| *id).collect();
            let join = self.session.join(up, self.courier.next(), self.now);
            self.tell(join);
        }
    }

    pub(super) fn disconnected(&mut self, code: Option<RefusalCode>, reason: &str) {
        if let State::Pause { .. } = self.session.state {
            return;
        }
        let refusal = self.session.refusal.take();
        let code = refusal.as_ref().map(|refusal| refusal.code).or(code);
        let refused = |member: &mut Member| match &refusal {
            Some(refusal) => member.close(code, &refusal.message, &refusal.hint),
            None => member.close(code, reason, ""),
        };
        if code.is_some_and(|code| !code.may_return()) {
            self.session.state = State::Pause { until: self.now };
            return refused(self);
        }
        let joined = self.session.is_joined();
        let until = self.session.lost(self.now);
        self.forget_pins(&NotPinned::Unreachable);
        if joined {
            self.event(Event::Reconnecting { reason: reason.to_owned() });
        } else if self.session.hub.is_none() && until > self.session.enter_by {
            // A server that says why it does not let the member in was reached.
            if code.is_some() { refused(self) } else { self.give_up_entering(reason) }
        }
        self.lose_carriages();
    }

    pub(super) fn give_up_entering(&mut self, reason: &str) {
        let reason = format!("the server could not be reached: {reason}");
        self.close(None, &reason, "check the address and that the server runs");
    }

    pub(super) fn hub(&mut self, message: ServerMessage) {
        self.session.heard(self.now);
        if !self.session.is_joined() && is_about_the_room(&message) {
            return;
        }
        match message {
            ServerMessage::Welcome(welcome) => {
                if self.session.state == State::Joining {
                    self.welcomed(*welcome);
                }
            }
            ServerMessage::Member(Entered { member, next }) => {
                self.entered(member, Beginning::At(next.unwrap_or(1).min(NUMBER_MAX)));
            }
            ServerMessage::Gone(gone) => self.gone(gone.id, gone.reason),
            ServerMessage::Update(update) => self.updated(update.id, update.attributes, update.op),
            ServerMessage::Links(plan) => self.planned(plan),
            ServerMessage::Signal(signal) => self.signal(signal.from, signal.attempt, &signal.data),
            ServerMessage::State(change) => {
                if change.by == self.id {
                    self.session.confirmed(change.op);
                }
                self.state_changed(change.key, change.value, change.version, Some(change.by));
            }
            ServerMessage::Topology(change) => {
                self.pin_is(change.pin);
                self.session.epoch = change.epoch.min(NUMBER_MAX);
                self.topology_is(change.to);
                self.plan_courier();
                // What an origin had no link to bring to somebody, its neighbours bring now.
                let open: Vec<MemberId> =
                    self.peers.iter().filter(|(_, peer)| peer.link.is_open()).map(|(id, _)| *id).collect();
                for id in open {
                    self.publish_all(id);
                    self.dirty.insert(id);
                }
            }
            ServerMessage::Pinned(answer) => self.pinned(&answer.pin, answer.refused),
            ServerMessage::Route(route) => self.routed(route.to, &route.path),
            ServerMessage::Carry(carry) => self.carry(carry),
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
        let again = self.session.welcomed(&welcome, self.now);
        self.meter.welcomed(self.now, welcome.resumed);
        match before {
            None => self.joined(&welcome),
            Some(hub) => self.rejoined(&welcome, hub == welcome.hub),
        }
        self.forget_told_rtts();
        self.eager.clear();
        self.planned(LinkPlan { open: welcome.links, eager: welcome.eager, ..LinkPlan::default() });
        for message in again {
            self.tell(message);
        }
        if self.drain_by.is_some() {
            self.tell(ClientMessage::Drain {});
        }
    }

    fn joined(&mut self, welcome: &Welcome) {
        self.this = Some(welcome.this.clone());
        if self.session.config.key.is_some() {
            self.courier.sign(welcome.room.as_str());
        }
        self.session.topology.clone_from(&welcome.topology);
        self.session.wanted.clone_from(&welcome.pin);
        self.session.room_state.clone_from(&welcome.state);
        for info in &welcome.members {
            self.entered(info.clone(), Beginning::Before);
        }
        self.courier.met_all();
        self.event(Event::Joined(Box::new(Joined {
            this: welcome.this.clone(),
            members: welcome.members.iter().filter(|info| !info.relay).cloned().collect(),
            topology: welcome.topology.clone(),
            pin: welcome.pin.clone(),
            admin: welcome.admin,
            state: welcome.state.clone(),
        })));
    }

    fn rejoined(&mut self, welcome: &Welcome, same_hub: bool) {
        self.this = Some(welcome.this.clone());
        self.event(Event::Reconnected { resumed: welcome.resumed });
        self.pin_is(welcome.pin.clone());
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
            } else if peer.link.was_carried {
                peer.returning.get_or_insert(self.now + limits::CARRIED_RETURN);
            } else {
                self.gone(id, GoneReason::Crashed);
            }
        }
        // To a hub that knew this member, whoever entered meanwhile has said everything to this member, too.
        let beginning = if same_hub { Beginning::At(1) } else { Beginning::Anywhere };
        for info in &welcome.members {
            self.entered(info.clone(), beginning);
        }
        let unwanted = self
            .peers
            .iter()
            .filter(|(id, peer)| listed.contains(id) && !wanted.contains(id) && peer.link.role.is_some());
        let close = unwanted.map(|(id, _)| *id).collect();
        self.planned(LinkPlan { close, ..LinkPlan::default() });

        let old = std::mem::take(&mut self.session.room_state);
        for key in old.keys().filter(|key| !welcome.state.contains_key(*key)) {
            self.event(Event::State { key: key.clone(), value: Json::null(), by: None });
        }
        self.session.room_state = old;
        // The hub's state is the state, also where this member had a later entry: it may not have been let write it, or
        // had no room for it in its `join`.
        self.session
            .room_state
            .retain(|key, entry| welcome.state.get(key).is_some_and(|standing| standing.version >= entry.version));
        for (key, entry) in &welcome.state {
            self.state_changed(key.clone(), entry.value.clone(), entry.version, None);
        }
    }

    /// Somebody is in the room. Who was there before this member is part of what it finds, and no news.
    fn entered(&mut self, mut info: MemberInfo, beginning: Beginning) {
        if info.id == self.id {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&info.id) {
            peer.returning = None;
            // A session has one key.
            info.key = peer.info.key.or(info.key);
            if peer.info != info {
                peer.info = info.clone();
                if !info.relay {
                    self.event(Event::MemberUpdate(info));
                }
            }
            return;
        }
        let known = self.departed.iter().position(|(id, ..)| *id == info.id);
        let known = known.and_then(|at| self.departed.remove(at)).map(|(_, departed)| departed);
        self.parted(info.id);
        self.courier.entered(self.now, info.id, beginning);
        let mut link = Link::new(self.now);
        // It may never have been away: it may still have its end of the last connection, and takes none that is older, and
        // others owe it what they said meanwhile.
        let new = Departed { attempt: (0, false), heard: Heard::default(), since: self.now };
        let Departed { attempt, heard, since } = known.unwrap_or(new);
        (link.attempt, link.mine) = attempt;
        let peer = Peer {
            info: info.clone(),
            returning: None,
            parting: None,
            draining: None,
            elder: beginning == Beginning::Before,
            since,
            link,
            lossy: LossyFlow::default(),
            heard,
        };
        let id = info.id;
        self.peers.insert(id, peer);
        if let Some(key) = info.key {
            self.courier.key(self.now, id, key);
        }
        if self.peers.len() > 1 {
            self.courier.in_company();
        }
        if !self.is_relayed() && !info.relay {
            self.courier.expect(self.now, id);
        }
        if beginning != Beginning::Before && !info.relay {
            self.event(Event::MemberJoin(info));
        }
        self.hear_early(id);
    }

    pub(super) fn gone(&mut self, id: MemberId, reason: GoneReason) {
        let is_linked = |peer: &Peer| peer.link.role.is_some() || peer.draining.is_some();
        if self.peers.get(&id).is_some_and(|peer| peer.info.relay && is_linked(peer)) {
            // Applications are told of a relay's link, and not that the relay is gone.
            self.link_event(id, LinkState::Closed, Some("the relay is gone"));
        }
        let Some(mut peer) = self.peers.remove(&id) else { return };
        if self.departed.len() >= limits::DEPARTED_MAX {
            self.departed.pop_front();
        }
        let (attempt, heard) = ((peer.link.attempt, peer.link.mine), peer.heard.remembered());
        self.departed.push_back((id, Departed { attempt, heard, since: peer.since }));
        self.session.forget(id);
        self.unrouted.remove(&id);
        self.eager.remove(&id);
        self.dirty.remove(&id);
        let todo = peer.link.give_up();
        self.close_connections(id, &todo);
        for ticket in self.calls.member_left(id) {
            self.call_failed(ticket, "member_left", "the member left before it answered");
        }
        let until = if self.is_relayed() { self.now + limits::PARTING_WORDS } else { self.now };
        self.courier.gone(self.now, id);
        self.leaving.insert(id, Leaving { info: peer.info, reason, until });
        if until <= self.now {
            self.parted(id);
        }
    }

    /// A member that is gone has said its last word.
    pub(super) fn parted(&mut self, id: MemberId) {
        let Some(Leaving { info, reason, .. }) = self.leaving.remove(&id) else { return };
        for ticket in self.courier.forget(self.now, id) {
            self.event(Event::NotSent { ticket, why: NotSent::UnknownMember });
        }
        if !info.relay {
            self.event(Event::MemberLeave { member: info, reason });
        }
    }

    fn updated(&mut self, id: MemberId, attributes: Attributes, op: u64) {
        let info = if id == self.id {
            self.session.confirmed(op);
            self.session.attributes_are(&attributes);
            self.this.as_mut()
        } else {
            self.peers.get_mut(&id).map(|peer| &mut peer.info)
        };
        if let Some(info) = info {
            info.attributes = attributes;
            if !info.relay {
                let info = info.clone();
                self.event(Event::MemberUpdate(info));
            }
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

    fn pin_is(&mut self, pin: Option<String>) {
        if self.session.wanted != pin {
            self.session.wanted.clone_from(&pin);
            self.event(Event::Pin { pin });
        }
    }

    /// Tells the hub how the room should be linked.
    pub(super) fn pin(&mut self, ticket: u64, topology: String) {
        if !self.session.is_joined() {
            return self.event(Event::NotPinned { ticket, why: NotPinned::Unreachable });
        }
        match self.session.pin(ticket, topology) {
            Some(message) => self.tell(message),
            None => {
                let why = NotPinned::Refused {
                    code: RefusalCode::RateLimited,
                    message: "too many changes of topology wait for the server's answer".to_owned(),
                    hint: "await one before the next".to_owned(),
                };
                self.event(Event::NotPinned { ticket, why });
            }
        }
    }

    fn pinned(&mut self, word: &str, refused: Option<Refused>) {
        let Some(ticket) = self.session.pinned(word) else { return };
        self.event(match refused {
            None => Event::Pinned { ticket },
            Some(Refused { code, message, hint, .. }) => {
                Event::NotPinned { ticket, why: NotPinned::Refused { code, message, hint } }
            }
        });
    }

    /// Nobody will answer the wishes that wait.
    pub(super) fn forget_pins(&mut self, why: &NotPinned) {
        for ticket in self.session.unpinned() {
            self.event(Event::NotPinned { ticket, why: why.clone() });
        }
    }

    pub(super) fn tell_change(&mut self, change: Option<ClientMessage>) {
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
}

/// Whether a hub says this only to a member that it has welcomed on this socket.
fn is_about_the_room(message: &ServerMessage) -> bool {
    use ServerMessage::{Closing, Ping, Pong, Refused, Welcome};
    !matches!(message, Welcome(_) | Refused(_) | Closing(_) | Ping {} | Pong {})
}
