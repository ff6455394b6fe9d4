//! Links: what the plan wants, what the two ends negotiate, what becomes of them.

use super::*;

impl Member {
    pub(super) fn is_current(&self, peer: MemberId, attempt: u32) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_current(attempt))
    }

    pub(super) fn is_up(&self, peer: MemberId, attempt: u32) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.link.is_up() && peer.link.attempt == attempt)
    }

    pub(super) fn planned(&mut self, plan: LinkPlan) {
        for link in plan.open {
            if let Some(peer) = self.peers.get_mut(&link.peer) {
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
                let todo = peer.link.give_up();
                self.close_connections(id, &todo);
                self.link_event(id, LinkState::Closed, Some("the plan has no link here any more"));
            }
        }
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
        for (id, _) in self.peers.iter().filter(|(_, peer)| !peer.info.relay) {
            if relayed {
                self.courier.expect_no_more(self.now, *id);
            } else {
                self.courier.expect(self.now, *id);
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
        if self.is_current(peer, attempt) && self.session.is_joined() {
            let data = Json::from(data).expect("negotiations have a JSON form");
            self.tell(ClientMessage::Signal(SignalTo { to: peer, attempt, data }));
        }
    }

    pub(super) fn link_up(&mut self, id: MemberId, attempt: u32, path: String) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.link.is_connecting(attempt)
        {
            peer.link.up(path, self.now);
            peer.lossy.link_up();
            let offer_from = (!peer.elder).then_some(Time(peer.since.0.saturating_sub(limits::ENTRY_MARGIN.0)));
            let vouches = peer.elder && self.session.topology != MESH;
            self.courier.link_up(self.now, id, LinkUp { vouches, offer_from });
            self.publish_all(id);
            self.dirty.insert(id);
        }
    }

    pub(super) fn apply(&mut self, id: MemberId, todo: Vec<Do>) {
        for step in todo {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let attempt = peer.link.attempt;
            match step {
                Do::Open(role) => {
                    self.outputs.push_back(Output::Open { peer: id, attempt, role });
                    self.link_event(id, LinkState::Connecting, None);
                }
                Do::Close(_) => self.close_connections(id, &[step]),
                Do::Remote(data) => self.outputs.push_back(Output::Remote { peer: id, attempt, data }),
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
            }
        }
    }

    pub(super) fn close_connections(&mut self, peer: MemberId, todo: &[Do]) {
        for step in todo {
            if let Do::Close(attempt) = step {
                self.courier.link_down(self.now, peer);
                self.outputs.push_back(Output::Close { peer, attempt: *attempt });
            }
        }
    }

    pub(super) fn fail_link(&mut self, id: MemberId, reason: &str) {
        self.end_link(id, Micros(0));
        self.link_event(id, LinkState::Failed, Some(reason));
        self.give_up_returning(id);
    }

    /// The peer broke the rules: its link is cut. Where it forged that is said to the hub, and the link stays closed for a
    /// while.
    pub(super) fn faulty(&mut self, id: MemberId, error: LinkError) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if error == LinkError::Forged {
            peer.link.rest(self.now);
            self.session.accuse(id, self.now);
        }
        self.fail_link(id, &error.to_string());
    }

    /// The peer closed the link. Where it is leaving, that it left is all that the application hears.
    pub(super) fn part_link(&mut self, id: MemberId, reason: String) {
        self.end_link(id, limits::PARTING_GRACE);
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

    fn end_link(&mut self, id: MemberId, grace: Micros) {
        let jitter = self.session.jitter();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let todo = peer.link.failed(self.now, jitter, grace);
        self.close_connections(id, &todo);
        self.session.report(id, Report::Down, self.now);
    }

    /// A member that a restarted hub does not list is believed in only while its link lives.
    fn give_up_returning(&mut self, id: MemberId) {
        if self.peers.get(&id).is_some_and(|peer| peer.returning.is_some()) {
            self.gone(id, GoneReason::Crashed);
        }
    }

    pub(super) fn link_event(&mut self, id: MemberId, state: LinkState, reason: Option<&str>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // Whatever is news of the link makes old what was to be said of it.
        peer.parting = None;
        let path = if state == LinkState::Open { peer.link.path.clone() } else { None };
        let rtt = if state == LinkState::Open { peer.link.rtt } else { None };
        self.event(Event::Link { peer: id, state, path, rtt, reason: reason.map(str::to_owned) });
    }
}

/// The topology in which every pair has a link.
const MESH: &str = "mesh";
