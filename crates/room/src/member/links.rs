//! Links: what the plan wants, what the two ends negotiate, what becomes of them.

use bytes::BytesMut;

use super::*;
use crate::wire::carried::Address;

impl Member {
    pub(super) fn is_current(&self, peer: MemberId, attempt: u32) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_current(attempt))
    }

    pub(super) fn is_up(&self, peer: MemberId, attempt: u32) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_connected() && peer.link.attempt == attempt)
    }

    /// Something came over a connection: it can take the hub's place, where that carries.
    pub(super) fn prove(&mut self, id: MemberId, attempt: u32) {
        let now = self.now;
        let proving = self.peers.get_mut(&id).filter(|peer| peer.link.is_proving(attempt));
        if let Some(todo) = proving.map(|peer| peer.link.proved(now)) {
            self.apply(id, todo);
        }
    }

    pub(super) fn planned(&mut self, plan: LinkPlan) {
        for link in plan.open {
            if let Some(peer) = self.peers.get_mut(&link.peer) {
                peer.link.may_be_carried = self.session.carries;
                if peer.draining.take().is_some() {
                    self.courier.drain_no_more(link.peer);
                    // The hub took it to be closed.
                    if peer.link.is_open() && !peer.link.suspect {
                        self.session.report(link.peer, Report::Up, self.now);
                    }
                }
                let todo = peer.link.plan(link.role, self.now);
                self.apply(link.peer, todo);
            }
        }
        let (eager, lazy) = (plan.eager, plan.lazy);
        self.eager.retain(|id| !lazy.contains(id) && !plan.close.contains(id));
        self.eager.extend(eager);
        self.plan_courier();
        for id in plan.close {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.link.role = None;
                peer.draining = Some((self.now + limits::DRAIN_MAX, self.now));
                self.drain_link(id);
            }
        }
    }

    /// Closes a link that the plan has no more, unless it is of use still.
    pub(super) fn drain_link(&mut self, id: MemberId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some((until, _)) = peer.draining.filter(|(_, look)| *look <= now) else { return };
        // What the hub carries ends with the plan.
        if peer.link.is_open() && !peer.link.is_carried() && until > now && self.courier.drain(now, id) {
            peer.draining = Some((until, now + limits::DRAIN_LOOK));
        } else {
            self.close_drained(id);
        }
    }

    /// Closes a link that the plan has no more; false where it has it.
    fn close_drained(&mut self, id: MemberId) -> bool {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.draining.is_some()) else { return false };
        peer.draining = None;
        let todo = peer.link.give_up();
        self.close_connections(id, &todo);
        self.session.retract(id);
        self.link_event(id, LinkState::Closed, Some("the plan has no link here any more"));
        true
    }

    /// Whether members pass on what others say.
    pub(super) fn is_relayed(&self) -> bool {
        self.session.topology != MESH
    }

    /// Lets the courier know how the room is linked. In a mesh everybody has what others say over a link of their own, and
    /// is waited for until it is there.
    pub(super) fn plan_courier(&mut self) {
        let relayed = self.is_relayed();
        let plan = courier::Plan { epoch: self.session.epoch, relayed, eager: self.eager.clone() };
        self.courier.plan(self.now, plan);
        self.sign_values();
        for (id, peer) in self.peers.iter().filter(|(_, peer)| !peer.info.relay) {
            if relayed {
                self.courier.expect_no_more(self.now, *id);
            } else {
                self.courier.expect_since(self.now, *id, peer.offer_from());
            }
        }
    }

    pub(super) fn signal(&mut self, from: MemberId, attempt: u32, data: &Json) {
        if data.as_str().len() > limits::DESCRIPTION_MAX {
            return;
        }
        // What cannot be read is the sender's mistake: its attempt will not open.
        let (Some(peer), Ok(data)) = (self.peers.get_mut(&from), data.to::<Negotiation>()) else { return };
        let todo = peer.link.negotiate(attempt, data, self.now);
        self.apply(from, todo);
    }

    pub(super) fn local(&mut self, peer: MemberId, attempt: u32, data: &Negotiation) {
        if self.is_current(peer, attempt) {
            self.tell_peer(peer, attempt, data);
        }
    }

    fn tell_peer(&mut self, to: MemberId, attempt: u32, data: &Negotiation) {
        if self.session.is_joined() {
            let data = Json::from(data).expect("negotiations have a JSON form");
            self.tell(ClientMessage::Signal(SignalTo { to, attempt, data }));
        }
    }

    pub(super) fn link_up(&mut self, id: MemberId, attempt: u32, path: String) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.link.is_connecting(attempt)
        {
            let todo = peer.link.up(path, self.now);
            self.apply(id, todo);
        }
    }

    /// Frames have a way to a peer; HELLO goes first.
    fn greet(&mut self, id: MemberId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.lossy.link_up();
        let how = LinkUp { vouches: peer.vouches(), offer_from: peer.offer_from() };
        self.courier.link_up(self.now, id, how);
        self.publish_all(id);
        self.dirty.insert(id);
    }

    /// The hub passes on that another member wants it to carry, or carries no more.
    pub(super) fn carry(&mut self, CarryFrom { from, episode, over }: CarryFrom) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        match over {
            None => {
                let todo = peer.link.asked(episode, self.now);
                self.apply(from, todo);
            }
            Some(end) if peer.link.carriage.episode == episode => {
                let pause = match end {
                    CarryEnd::Closed | CarryEnd::Away => limits::CARRY_AFTER,
                    CarryEnd::NotLinked | CarryEnd::TooMany | CarryEnd::TooSlow => limits::CARRY_AGAIN,
                };
                self.end_carriage(from, carriage::reason(end), pause, false);
            }
            Some(_) => {}
        }
    }

    /// The way over the hub is no more; `tell`: the hub does not know.
    fn end_carriage(&mut self, id: MemberId, reason: &str, pause: Micros, tell: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let was_open = peer.link.is_carried() && (peer.link.is_open() || !peer.link.has_connection());
        let todo = peer.link.carriage_failed(self.now, pause, tell);
        let is_up = peer.link.is_up();
        self.apply(id, todo);
        if was_open && !is_up {
            self.session.report(id, Report::Down, self.now);
            self.link_event(id, LinkState::Failed, Some(reason));
            self.give_up_returning(id);
        }
    }

    /// The hub is out of reach: it carries nothing.
    pub(super) fn lose_carriages(&mut self) {
        let ids: Vec<MemberId> = self.peers.keys().copied().collect();
        for id in ids {
            self.end_carriage(id, "the server that carried it is out of reach", Micros(0), false);
        }
    }

    /// Something that the hub carried.
    pub(super) fn carried(&mut self, message: Bytes) {
        self.session.heard(self.now);
        // The hub has read the first part of it, and no more: what cannot be read is the other end's mistake.
        let Ok(Address { peer: id, episode, .. }) = Address::read(message.clone()) else { return };
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.link.carriage.is_current(episode)) else { return };
        let came = match Carried::decode(message).map(|carried| carried.freight) {
            Err(error) => Err(LinkError::Frame(error)),
            Ok(Freight::Taken { reliable, lossy }) => match peer.link.carriage.taken([reliable, lossy]) {
                Some([reliable, lossy]) => {
                    peer.lossy.buffered = lossy;
                    self.courier.buffered(id, reliable);
                    self.dirty.insert(id);
                    Ok(())
                }
                None => Err(LinkError::Acknowledged),
            },
            Ok(Freight::Reliable(bytes)) => self.carried_packet(id, episode, Lane::Reliable, bytes),
            Ok(Freight::Lossy(bytes)) => self.carried_packet(id, episode, Lane::Lossy, bytes),
        };
        if let Err(error) = came {
            self.faulty(id, error);
        }
    }

    fn carried_packet(&mut self, id: MemberId, episode: u32, lane: Lane, bytes: Bytes) -> Result<(), LinkError> {
        let told = self.peers.get_mut(&id).and_then(|peer| peer.link.carriage.received(lane as usize, bytes.len()));
        if let Some(freight) = told {
            self.outputs.push_back(Output::Carry { message: Carried { peer: id, episode, freight }.encode() });
        }
        self.packet(id, lane, bytes)
    }

    pub(super) fn apply(&mut self, id: MemberId, todo: Vec<Do>) {
        for step in todo {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let attempt = peer.link.attempt;
            match step {
                Do::Open(role) => {
                    let beside = peer.link.is_carried();
                    self.outputs.push_back(Output::Open { peer: id, attempt, role });
                    if !beside {
                        self.link_event(id, LinkState::Connecting, None);
                    }
                }
                Do::Greet => self.greet(id),
                Do::Down | Do::Close(_) => self.close_connections(id, &[step]),
                Do::Carry(episode) => self.tell_carry(id, episode, false),
                Do::CarryNoMore(episode) => self.tell_carry(id, episode, true),
                Do::Prove(attempt, token) => {
                    let mut packet = BytesMut::new();
                    frame::push_frame(&mut packet, &Frame::Ping { token }.encode());
                    let bytes = packet.freeze();
                    self.outputs.push_back(Output::Packet { peer: id, attempt, lane: Lane::Lossy, bytes });
                }
                Do::Remote(data) => self.outputs.push_back(Output::Remote { peer: id, attempt, data }),
                Do::Over(yours) => self.tell_peer(id, attempt, &Negotiation::Over(yours)),
                Do::RestartIce => self.outputs.push_back(Output::RestartIce { peer: id, attempt }),
                Do::Ping(token) => {
                    peer.lossy.send(Frame::Ping { token }.encode());
                    self.dirty.insert(id);
                }
                Do::Suspect => {
                    self.courier.suspect(self.now, id, true);
                    self.session.report(id, Report::Suspect, self.now);
                    self.link_event(id, LinkState::Suspect, Some("nothing was heard for a while"));
                    self.give_up_returning(id);
                }
                Do::Fail(reason) => self.fail_link(id, reason),
                Do::FailCarriage(reason) => self.end_carriage(id, reason, limits::CARRY_AFTER, true),
            }
        }
    }

    fn tell_carry(&mut self, to: MemberId, episode: u32, over: bool) {
        if self.session.is_joined() {
            self.tell(ClientMessage::Carry(CarryTo { to, episode, over }));
        }
    }

    /// Ends what frames went over. The hub knows that it carries them no more.
    pub(super) fn close_connections(&mut self, peer: MemberId, todo: &[Do]) {
        for step in todo {
            match step {
                Do::Down => {
                    // Others may be asked that there is no link to yet.
                    self.courier.hope(true);
                    self.courier.link_down(self.now, peer);
                }
                Do::Close(attempt) => self.outputs.push_back(Output::Close { peer, attempt: *attempt }),
                _ => {}
            }
        }
    }

    pub(super) fn fail_link(&mut self, id: MemberId, reason: &str) {
        if self.close_drained(id) {
            return self.give_up_returning(id);
        }
        if !self.end_connection(id, Micros(0)) {
            return;
        }
        self.link_event(id, LinkState::Failed, Some(reason));
        self.give_up_returning(id);
        if !self.is_relayed() {
            self.courier.detour(self.now, id);
        }
    }

    /// The peer broke the rules: its link is cut. Where it forged that is said to the hub, and the link stays closed for a
    /// while.
    pub(super) fn faulty(&mut self, id: MemberId, error: LinkError) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if error == LinkError::Forged {
            peer.link.rest(self.now);
            self.session.accuse(id, self.now);
        }
        let is_carried = peer.link.is_carried();
        if !is_carried || error == LinkError::Forged {
            self.fail_link(id, &error.to_string());
        }
        if is_carried {
            self.end_carriage(id, &error.to_string(), limits::CARRY_AGAIN, true);
        }
    }

    /// The peer closed the link. Where it is leaving, that it left is all that the application hears.
    pub(super) fn part_link(&mut self, id: MemberId, reason: String) {
        if self.close_drained(id) {
            return self.give_up_returning(id);
        }
        if !self.end_connection(id, limits::PARTING_GRACE) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.parting = Some((self.now + limits::PARTING_GRACE, reason));
        }
        self.give_up_returning(id);
    }

    /// The peer that closed its link stays: the link has failed.
    pub(super) fn tell_parted(&mut self, id: MemberId) {
        let now = self.now;
        let parted = self.peers.get_mut(&id).and_then(|peer| peer.parting.take_if(|(until, _)| *until <= now));
        if let Some((_, reason)) = parted {
            self.link_event(id, LinkState::Failed, Some(&reason));
        }
    }

    /// Whether the link ended with its connection: the hub may carry its frames.
    fn end_connection(&mut self, id: MemberId, grace: Micros) -> bool {
        let jitter = self.session.jitter();
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let todo = peer.link.failed(self.now, jitter, grace);
        let is_carried = peer.link.is_carried();
        self.close_connections(id, &todo);
        if !is_carried {
            self.session.report(id, Report::Down, self.now);
        }
        !is_carried
    }

    /// Tells the hub how far the other ends of links are, as far as that is news.
    pub(super) fn tell_rtts(&mut self) {
        let news = self.peers.iter_mut().filter_map(|(id, peer)| Some((*id, peer.link.rtt_news()?, &mut peer.link)));
        let mut news = news.peekable();
        let mut rtt = BTreeMap::new();
        for (id, ms, link) in news.by_ref().take(limits::DISTANCES_TOLD) {
            link.tell_rtt(Some(ms));
            rtt.insert(id, u32::try_from(ms).unwrap_or(u32::MAX));
        }
        if news.peek().is_some() {
            self.session.measured(self.now);
        }
        if !rtt.is_empty() {
            self.tell(ClientMessage::Links(LinkReport { rtt, ..LinkReport::default() }));
        }
    }

    /// The hub may know nothing of what it was told.
    pub(super) fn forget_told_rtts(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.link.tell_rtt(None));
        self.session.forget_told_rtts();
        let measured: Vec<MemberId> = self.peers.keys().copied().collect();
        measured.into_iter().for_each(|id| self.look_for_rtt_news(id));
    }

    /// The hub is to be told of a link soon, where that is news to it and the room is large enough.
    pub(super) fn look_for_rtt_news(&mut self, id: MemberId) {
        let is_news = self.peers.get(&id).is_some_and(|peer| peer.link.rtt_news().is_some());
        if is_news && self.peers.len() > limits::DISTANCES_ABOVE {
            self.session.measured(self.now);
        }
    }

    /// A member that a restarted hub does not list is believed in only while its link lives.
    fn give_up_returning(&mut self, id: MemberId) {
        // One that was reached over the hub alone has no link before it is back.
        if self.peers.get(&id).is_some_and(|peer| peer.returning.is_some() && !peer.link.was_carried) {
            self.gone(id, GoneReason::Crashed);
        }
    }

    pub(super) fn link_event(&mut self, id: MemberId, state: LinkState, reason: Option<&str>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // Whatever is news of the link makes old what was to be said of it.
        peer.parting = None;
        let path = if state == LinkState::Open { peer.link.path().map(str::to_owned) } else { None };
        let rtt = if state == LinkState::Open { peer.link.rtt } else { None };
        self.event(Event::Link { peer: id, state, path, rtt, reason: reason.map(str::to_owned) });
    }
}

/// The topology in which every pair has a link.
pub(super) const MESH: &str = "mesh";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::signal::{Entered, Gone, LinkTo, Role};

    /// A member, and another whose link to it is open.
    fn linked(relay: bool) -> (Member, MemberId) {
        let mut member = Member::plain();
        (member.session.state, member.session.topology) = (State::Joined, MESH.to_owned());
        let id = MemberId([7; 8]);
        let (name, attributes) = ("seven".to_owned(), Default::default());
        let info = MemberInfo { id, name, identity: None, attributes, mute: false, relay, key: None };
        member.handle(Time(0), Input::Hub(ServerMessage::Member(Entered { member: info, next: None })));
        let peer = member.peers.get_mut(&id).expect("it entered");
        (peer.link.role, peer.link.state) = (Some(Role::Offer), link::State::Open);
        (member, id)
    }

    fn outputs(member: &mut Member) -> Vec<Output> {
        std::iter::from_fn(|| member.poll_output()).collect()
    }

    #[test]
    fn a_link_that_was_to_go_and_is_wanted_again_is_reported_as_up() {
        for (suspect, up) in [(false, true), (true, false)] {
            let (mut member, id) = linked(false);
            let peer = member.peers.get_mut(&id).expect("it entered");
            peer.link.suspect = suspect;
            peer.draining = Some((member.now + limits::DRAIN_MAX, member.now + limits::DRAIN_LOOK));
            member.planned(LinkPlan { open: vec![LinkTo { peer: id, role: Role::Offer }], ..LinkPlan::default() });
            member.handle(member.now + limits::REPORT_DELAY, Input::Timeout);
            let tells =
                |output| matches!(output, Output::Tell(ClientMessage::Links(LinkReport { up, .. })) if up == [id]);
            assert_eq!(outputs(&mut member).into_iter().any(tells), up, "suspect: {suspect}");
        }
    }

    #[test]
    fn a_link_that_the_plan_closed_and_wants_anew_is_not_reported_as_up_before_it_is() {
        let (mut member, id) = linked(false);
        member.session.report(id, Report::Up, member.now);
        member.planned(LinkPlan { close: vec![id], ..LinkPlan::default() });
        member.planned(LinkPlan { open: vec![LinkTo { peer: id, role: Role::Answer }], ..LinkPlan::default() });
        member.handle(member.now + limits::REPORT_DELAY, Input::Timeout);
        let tells = |output| matches!(output, Output::Tell(ClientMessage::Links(_)));
        assert!(!outputs(&mut member).into_iter().any(tells));
    }

    #[test]
    fn a_relay_that_goes_takes_its_link_along_and_nobody_hears_more() {
        for relay in [false, true] {
            let (mut member, id) = linked(relay);
            outputs(&mut member);
            let gone = Gone { id, reason: GoneReason::Left };
            member.handle(Time(0), Input::Hub(ServerMessage::Gone(gone)));
            let told = outputs(&mut member).into_iter().filter_map(|output| match output {
                Output::Event(Event::Link { peer, state, .. }) if peer == id => Some(state == LinkState::Closed),
                Output::Event(Event::MemberLeave { .. }) => Some(false),
                _ => None,
            });
            assert_eq!(told.collect::<Vec<_>>(), [relay]);
        }
    }
}
