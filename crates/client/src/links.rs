//! Which connection of the endpoint is which link of the member machine.

use std::collections::BTreeMap;

use bytes::Bytes;
use room::{
    id::MemberId,
    member::{Input, Lane},
    wire::signal::{Candidate, Negotiation, Role},
};
use rtc::{CandidateKind, ChannelConfig, Config, DownReason, Endpoint, PeerId, Reliability, Signal, SignalError};

/// One connection of a pair, as the machine names it.
pub(crate) type LinkId = (MemberId, u32);

/// The endpoint's connections under the machine's names.
pub(crate) struct Links {
    endpoint: Endpoint,
    peers: BTreeMap<LinkId, PeerId>,
    links: BTreeMap<PeerId, LinkId>,
}

impl Links {
    /// Binds a UDP socket.
    pub(crate) fn bind(loopback: bool) -> Result<Links, rtc::BindError> {
        let config = Config { loopback, max_peers: MAX_PEERS, ..Config::new(channels()) };
        Ok(Links { endpoint: Endpoint::bind(config)?, peers: BTreeMap::new(), links: BTreeMap::new() })
    }

    /// Serves the connections until one of them has something to say; begins with sending what is queued.
    pub(crate) async fn wait(&mut self) {
        self.endpoint.wait().await;
    }

    /// What a connection has to say.
    pub(crate) fn poll(&mut self) -> Option<Input> {
        loop {
            let event = self.endpoint.poll_event()?;
            if let Some(input) = self.input(event) {
                return Some(input);
            }
        }
    }

    fn input(&mut self, event: rtc::Event) -> Option<Input> {
        use rtc::Event;
        let link = |peer: PeerId| self.links.get(&peer).copied();
        Some(match event {
            Event::Signal { peer, signal } => {
                let (peer, attempt) = link(peer)?;
                Input::Local { peer, attempt, data: negotiation(signal) }
            }
            Event::Open { peer, path } => {
                let (peer, attempt) = link(peer)?;
                Input::LinkUp { peer, attempt, path: path_name(path).to_owned() }
            }
            Event::Data { peer, lane, bytes } => {
                let (peer, attempt) = link(peer)?;
                Input::Packet { peer, attempt, lane: machine_lane(lane)?, bytes }
            }
            Event::Buffered { peer, lane, bytes } => {
                let (peer, attempt) = link(peer)?;
                Input::Buffered { peer, attempt, lane: machine_lane(lane)?, bytes }
            }
            Event::Down { peer, reason } => {
                let (member, attempt) = link(peer)?;
                self.forget((member, attempt));
                let closed = reason == DownReason::Closed;
                Input::LinkDown { peer: member, attempt, reason: reason.to_string(), closed }
            }
            // The machine has its own pings, and restarts ICE when they stay unanswered.
            Event::Interrupted { .. } | Event::Path { .. } => return None,
            _ => return None,
        })
    }

    // ---- what the machine asks for; what goes wrong at once is an input for it ------------------

    pub(crate) fn open(&mut self, link: LinkId, role: Role) -> Result<(), Box<Input>> {
        let role = match role {
            Role::Offer => rtc::Role::Offer,
            Role::Answer => rtc::Role::Answer,
        };
        let peer = self.endpoint.connect(role).map_err(|error| Box::new(down(link, error)))?;
        self.peers.insert(link, peer);
        self.links.insert(peer, link);
        Ok(())
    }

    pub(crate) fn remote(&mut self, link: LinkId, data: Negotiation) -> Result<(), Box<Input>> {
        let Some(peer) = self.peers.get(&link).copied() else { return Ok(()) };
        let (signal, is_candidate) = match data {
            Negotiation::Offer(sdp) => (Signal::Offer(sdp), false),
            Negotiation::Answer(sdp) => (Signal::Answer(sdp), false),
            Negotiation::Candidate(candidate) => (Signal::Candidate(candidate.candidate), true),
            Negotiation::Over(_) => return Ok(()),
        };
        match self.endpoint.signal(peer, signal) {
            Ok(()) => Ok(()),
            // Others may lead to it, and it may find a way to us by itself.
            Err(error) if is_candidate => {
                tracing::debug!(member = %link.0, %error, "passed over a candidate");
                Ok(())
            }
            // One that comes twice, or crosses ours, changes nothing: the connection goes on as it was.
            Err(error @ (SignalError::OutOfOrder | SignalError::Glare)) => {
                tracing::debug!(member = %link.0, %error, "passed over a description");
                Ok(())
            }
            Err(error) => Err(self.fail(link, peer, error)),
        }
    }

    pub(crate) fn restart(&mut self, link: LinkId) {
        let Some(peer) = self.peers.get(&link).copied() else { return };
        if let Err(error) = self.endpoint.restart(peer) {
            tracing::debug!(member = %link.0, %error, "ICE is not restarted");
        }
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        if let Some(peer) = self.forget(link) {
            self.endpoint.close(peer);
        }
    }

    pub(crate) fn send(&mut self, link: LinkId, lane: Lane, bytes: Bytes) -> Result<(), Box<Input>> {
        let Some(peer) = self.peers.get(&link).copied() else { return Ok(()) };
        match self.endpoint.send(peer, rtc::Lane(lane as u16), bytes) {
            Ok(()) => Ok(()),
            // The machine sends only over open links, so this one just ended, which it is about to hear.
            Err(rtc::SendError::NoPeer | rtc::SendError::NotOpen) => Ok(()),
            Err(error) if lane == Lane::Lossy => {
                tracing::debug!(member = %link.0, %error, "a lossy packet is dropped");
                Ok(())
            }
            // A reliable lane that lost a packet is none: the next connection goes on where this one stood.
            Err(error) => Err(self.fail(link, peer, error)),
        }
    }

    fn fail(&mut self, link: LinkId, peer: PeerId, error: impl std::fmt::Display) -> Box<Input> {
        self.forget(link);
        self.endpoint.close(peer);
        Box::new(down(link, error))
    }

    fn forget(&mut self, link: LinkId) -> Option<PeerId> {
        let peer = self.peers.remove(&link)?;
        self.links.remove(&peer);
        Some(peer)
    }
}

/// Connections of one member: to everybody in the largest room, and those that replace others.
const MAX_PEERS: usize = 2 * room::limits::ROOM_MEMBERS;

/// The data channels of every link (PROTOCOL.md, "Links"), by [`Lane`]. Lossy messages are the more urgent ones.
fn channels() -> Vec<ChannelConfig> {
    let channel = |label: &str, ordered, reliability, priority| ChannelConfig {
        label: label.to_owned(),
        ordered,
        reliability,
        priority,
    };
    vec![
        channel("roomful", true, Reliability::Reliable, 1),
        channel("roomful-lossy", false, Reliability::MaxRetransmits(0), 0),
    ]
}

fn machine_lane(lane: rtc::Lane) -> Option<Lane> {
    match lane.0 {
        0 => Some(Lane::Reliable),
        1 => Some(Lane::Lossy),
        _ => None,
    }
}

fn negotiation(signal: Signal) -> Negotiation {
    match signal {
        Signal::Offer(sdp) => Negotiation::Offer(sdp),
        Signal::Answer(sdp) => Negotiation::Answer(sdp),
        // There is one media section, the data channels'.
        Signal::Candidate(candidate) => Negotiation::Candidate(Candidate {
            candidate,
            sdp_mid: None,
            sdp_m_line_index: Some(0),
            username_fragment: None,
        }),
    }
}

fn path_name(path: rtc::Path) -> &'static str {
    let is = |kind| path.local == kind || path.remote == kind;
    if is(CandidateKind::Relayed) {
        "relayed"
    } else if is(CandidateKind::Reflexive) {
        "reflexive"
    } else {
        "host"
    }
}

fn down((peer, attempt): LinkId, error: impl std::fmt::Display) -> Input {
    Input::LinkDown { peer, attempt, reason: error.to_string(), closed: false }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Lets both ends talk until this finds something in an input of the first one.
    async fn meet<T>(ends: &mut [Links; 2], ids: [LinkId; 2], mut wanted: impl FnMut(&Input) -> Option<T>) -> T {
        let talk = async {
            loop {
                for at in [0, 1] {
                    while let Some(input) = ends[at].poll() {
                        if at == 0
                            && let Some(found) = wanted(&input)
                        {
                            return found;
                        }
                        match input {
                            Input::Local { data, .. } => ends[1 - at].remote(ids[1 - at], data).expect("in order"),
                            Input::LinkDown { reason, .. } => panic!("{reason}"),
                            _ => {}
                        }
                    }
                }
                let [one, other] = ends;
                tokio::select! {
                    () = one.wait() => {}
                    () = other.wait() => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), talk).await.expect("it takes too long")
    }

    #[tokio::test]
    async fn a_description_out_of_order_ends_no_link() {
        let mut ends = [true, true].map(|loopback| Links::bind(loopback).expect("a UDP socket"));
        let ids = [(MemberId::from(1), 1), (MemberId::from(2), 1)];
        ends[1].open(ids[1], Role::Answer).expect("a connection");
        ends[0].open(ids[0], Role::Offer).expect("a connection");
        let offer = meet(&mut ends, ids, |input| match input {
            Input::Local { data: Negotiation::Offer(sdp), .. } => Some(sdp.clone()),
            _ => None,
        })
        .await;
        // Our own offer is under way; the peer's comes across it, or is its answer to nothing.
        ends[0].remote(ids[0], Negotiation::Offer(offer.clone())).expect("passed over");
        ends[1].remote(ids[1], Negotiation::Offer(offer.clone())).expect("in order");
        let mut answer = None;
        while answer.is_none() {
            ends[1].wait().await;
            while let Some(input) = ends[1].poll() {
                match input {
                    Input::Local { data: Negotiation::Answer(sdp), .. } => answer = Some(sdp),
                    Input::Local { data, .. } => ends[0].remote(ids[0], data).expect("a candidate"),
                    _ => {}
                }
            }
        }
        let answer = answer.map(Negotiation::Answer).expect("it was waited for");
        for _ in 0..2 {
            ends[0].remote(ids[0], answer.clone()).expect("the second one is passed over");
        }
        meet(&mut ends, ids, |input| matches!(input, Input::LinkUp { .. }).then_some(())).await;
        ends[0].remote(ids[0], answer).expect("passed over");
        ends[0].send(ids[0], Lane::Reliable, Bytes::from_static(b"still here")).expect("an open link");
        ends.swap(0, 1);
        let heard = meet(&mut ends, [ids[1], ids[0]], |input| match input {
            Input::Packet { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .await;
        assert_eq!(heard, "still here");
    }
}
