//! Frames: what comes over a link, and what is put together to go over it.

use super::*;

impl Member {
    pub(super) fn packet(&mut self, id: MemberId, lane: Lane, bytes: Bytes) -> Result<(), LinkError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        if peer.link.heard(self.now) && peer.link.is_open() {
            self.courier.suspect(self.now, id, false);
            self.session.report(id, Report::Up, self.now);
            self.link_event(id, LinkState::Open, None);
        }
        match lane {
            Lane::Reliable => {
                for frame in PacketReader::new(bytes)?.raw() {
                    self.courier.frame(self.now, id, frame?)?;
                }
            }
            Lane::Lossy => {
                for frame in PacketReader::new(bytes)? {
                    let (frame, _) = frame?;
                    // The lanes race: what comes before HELLO is sent again, or was free to get lost.
                    if self.peers.get(&id).is_some_and(|peer| peer.link.is_open()) {
                        self.lossy_frame(id, frame)?;
                    }
                }
            }
        }
        self.dirty.insert(id);
        Ok(())
    }

    /// Takes what the courier has to say.
    pub(super) fn hear_courier(&mut self) {
        while let Some(event) = self.courier.poll_event() {
            match event {
                courier::Event::Open { peer } => self.greeted(peer),
                courier::Event::Sent { ticket } => self.event(Event::Sent { ticket }),
                courier::Event::Message { origin, addressed, head, payload, .. } => {
                    self.message(origin, addressed, head, payload);
                }
                courier::Event::Sign { token, text } => self.outputs.push_back(Output::Sign { token, text }),
                courier::Event::Verify { token, key, text, signature } => {
                    self.outputs.push_back(Output::Verify { token, key, text, signature });
                }
                courier::Event::Faulty { peer, error } => self.faulty(peer, error),
                // Of somebody who left before this member came there is nothing to tell.
                courier::Event::Gap { origin, addressed, from, to }
                    if self.peers.contains_key(&origin) || self.leaving.contains_key(&origin) =>
                {
                    self.event(Event::Gap { member: origin, addressed, from_seq: from, to_seq: to });
                }
                courier::Event::Gap { .. } => {}
                courier::Event::Unreached { origin } => self.session.lack(origin, self.now),
                // Where the plan has a link there will be one, mostly.
                courier::Event::Unroutable { to } => {
                    let patience = if self.is_planned(to) { limits::CONNECT_TIMEOUT } else { Micros(0) };
                    self.unrouted.insert(to, self.now + patience);
                    self.ask_ways();
                }
            }
        }
    }

    /// Whether the plan has a link to a member, though it may not be open.
    fn is_planned(&self, id: MemberId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.link.role.is_some())
    }

    /// Asks the hub by whom what is said to others is passed on.
    pub(super) fn ask_ways(&mut self) {
        if !self.session.is_joined() {
            return;
        }
        let due: Vec<MemberId> = self.unrouted.iter().filter(|(_, at)| **at <= self.now).map(|(to, _)| *to).collect();
        for to in due {
            self.unrouted.insert(to, self.now + limits::ROUTE_EVERY);
            self.tell(ClientMessage::Route(RouteTo { to }));
        }
    }

    /// The hub knows a way, or none.
    pub(super) fn routed(&mut self, to: MemberId, path: &[MemberId]) {
        let wanted = self.unrouted.contains_key(&to) && path.len() <= limits::ROUTE_MAX;
        // Where it breaks the courier asks for another.
        if wanted && self.courier.route(self.now, to, path) {
            self.unrouted.remove(&to);
        }
    }

    fn greeted(&mut self, id: MemberId) {
        self.unrouted.remove(&id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.link.greeted(self.now);
        if peer.link.path() == Some(OVER_TURN) {
            self.meter.watch(self.now);
        }
        self.session.report(id, Report::Up, self.now);
        self.link_event(id, LinkState::Open, None);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let todo = peer.link.tick(self.now, self.session.is_joined());
        self.apply(id, todo);
    }

    fn lossy_frame(&mut self, id: MemberId, frame: Frame) -> Result<(), LinkError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        match frame {
            Frame::Ping { token } => peer.lossy.send(Frame::Pong { token }.encode()),
            Frame::Pong { token } => {
                if peer.link.ponged(token, self.now) {
                    peer.link.rtt.into_iter().for_each(|rtt| self.courier.measured(id, rtt));
                    self.look_for_rtt_news(id);
                    self.link_event(id, LinkState::Open, None);
                }
            }
            Frame::Seen { origin, seq, channel } => peer.lossy.acknowledged(origin, &channel, seq),
            said => return self.lossy_said(id, said),
        }
        Ok(())
    }

    /// A lossy message is known to be its origin's. Whether it can be passed on: `is_vouched`.
    pub(super) fn lossy_came(&mut self, by: MemberId, frame: Frame, is_vouched: bool) {
        match frame {
            Frame::Latest { stream, seq, ref channel, ref payload, signature } => {
                let mut lacked = false;
                let came = match self.peers.get_mut(&stream.origin) {
                    Some(origin) => {
                        lacked = signature.is_some() && origin.heard.lacks(channel, seq);
                        origin.heard.value(channel, seq, payload.len())
                    }
                    None if stream.origin == self.id => Came::Again,
                    // Whoever it is, it will be sent again when the hub has told of it.
                    None => Came::Refused,
                };
                if let Some(peer) = self.peers.get_mut(&by) {
                    peer.lossy.acknowledged(stream.origin, channel, seq);
                    if came != Came::Refused {
                        peer.lossy.send(Frame::Seen { origin: stream.origin, seq, channel: channel.clone() }.encode());
                    }
                }
                if is_vouched && (came == Came::Fresh || lacked) {
                    self.pass_on(by, stream, channel, seq, &frame);
                }
                if came == Came::Fresh {
                    self.lossy(stream.origin, Lossy::Latest, frame);
                }
            }
            Frame::Datagram { stream, seq, ref channel, ref payload, .. } => {
                let origin = self.peers.get_mut(&stream.origin);
                if origin.is_some_and(|origin| origin.heard.datagram(seq, payload.len())) {
                    if is_vouched {
                        self.pass_on(by, stream, channel, seq, &frame);
                    }
                    self.lossy(stream.origin, Lossy::Datagram, frame);
                }
            }
            _ => {}
        }
    }

    /// Hands a lossy message to the application, unless its sender may not send.
    fn lossy(&mut self, from: MemberId, mode: Lossy, frame: Frame) {
        if let Frame::Latest { channel, payload, .. } | Frame::Datagram { channel, payload, .. } = frame
            && let Some(peer) = self.peers.get_mut(&from)
        {
            if peer.info.mute || self.session.config.relay.is_some() {
                peer.heard.consumed(payload.len());
            } else {
                self.event(Event::Lossy { from, mode, channel, payload });
            }
        }
    }

    /// Hands on what came before the hub's word that its sender is here.
    pub(super) fn hear_early(&mut self, from: MemberId) {
        let (theirs, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.from == from);
        self.early = others;
        let theirs: VecDeque<Early> = theirs;
        for Early { addressed, head, payload, .. } in theirs {
            self.message(from, addressed, head, payload);
        }
    }

    fn keep_early(&mut self, early: Early) {
        self.early.push_back(early);
        let mut bytes: usize = self.early.iter().map(|early| early.payload.len()).sum();
        while self.early.len() > limits::EARLY_MAX || bytes > limits::EARLY_BYTES {
            let Some(oldest) = self.early.pop_front() else { return };
            bytes -= oldest.payload.len();
        }
    }

    fn message(&mut self, from: MemberId, addressed: bool, head: Head, payload: Bytes) {
        let parting = || self.leaving.get(&from).map(|leaving| &leaving.info);
        match self.peers.get(&from).map(|peer| &peer.info).or_else(parting) {
            Some(info) if info.mute => return,
            Some(_) => {}
            None => return self.keep_early(Early { from, addressed, head, payload }),
        }
        // A relay has passed it on; it keeps nothing of it.
        if self.session.config.relay.is_some() {
            return;
        }
        match head.kind {
            Kind::Message => {
                self.courier.hold(from, payload.len());
                self.event(Event::Message { from, channel: head.channel, addressed, payload });
            }
            // Calls and answers that are not addressed, or not numbered, mean nothing.
            _ if !addressed => {}
            Kind::Call => {
                if let Ok((call, payload)) = frame::split_varint(payload) {
                    self.courier.hold(from, payload.len());
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

    pub(super) fn consumed(&mut self, from: MemberId, bytes: usize, lossy: bool) {
        if !lossy {
            self.courier.consumed(self.now, from, bytes);
        } else if let Some(peer) = self.peers.get_mut(&from) {
            peer.heard.consumed(bytes);
        }
    }

    pub(super) fn buffered(&mut self, id: MemberId, attempt: u32, lane: Lane, bytes: usize) {
        // A connection beside the hub's way does not count.
        if !self.is_up(id, attempt) {
            return;
        }
        match lane {
            Lane::Reliable => self.courier.buffered(id, bytes),
            Lane::Lossy => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.lossy.buffered = bytes;
                }
            }
        }
        self.dirty.insert(id);
    }

    /// Puts together what can be sent to a peer now.
    pub(super) fn pump(&mut self, id: MemberId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !peer.link.is_up() {
            return;
        }
        let mut send = |peer: &mut Peer, lane: Lane, bytes: Bytes| {
            let output = if peer.link.is_carried() {
                let carriage = &mut peer.link.carriage;
                carriage.sent(lane as usize, bytes.len());
                let freight = match lane {
                    Lane::Reliable => Freight::Reliable(bytes),
                    Lane::Lossy => Freight::Lossy(bytes),
                };
                Output::Carry { message: Carried { peer: id, episode: carriage.episode, freight }.encode() }
            } else {
                Output::Packet { peer: id, attempt: peer.link.attempt, lane, bytes }
            };
            self.outputs.push_back(output);
        };
        while let Some(bytes) = self.courier.next_packet(self.now, id) {
            send(peer, Lane::Reliable, bytes);
        }
        while peer.link.is_open()
            && let Some(bytes) = peer.lossy.next_packet(peer.link.rtt, self.now)
        {
            send(peer, Lane::Lossy, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_its_sender_is_bounded_in_number_and_bytes() {
        let mut member = Member::plain();
        let mut comes = |length: usize| {
            let head = Head { kind: Kind::Message, channel: "chat".to_owned() };
            let payload = Bytes::from(vec![0; length]);
            member.message(MemberId([7; 8]), false, head, payload);
            (member.early.len(), member.early.iter().map(|early| early.payload.len()).sum::<usize>())
        };
        assert_eq!(comes(limits::MESSAGE_MAX), (1, limits::MESSAGE_MAX), "one of any size has room");
        assert_eq!(comes(10), (1, 10), "the oldest makes way");
        for _ in 0..2 * limits::EARLY_MAX {
            comes(1);
        }
        assert_eq!(comes(1), (limits::EARLY_MAX, limits::EARLY_MAX));
        assert_eq!(comes(limits::EARLY_BYTES - 5), (6, limits::EARLY_BYTES));
    }
}
