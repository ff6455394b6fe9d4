//! Frames: what comes over a link, and what is put together to go over it.

use super::*;

impl Member {
    pub(super) fn packet(&mut self, id: MemberId, lane: Lane, bytes: Bytes) -> Result<(), LinkError> {
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

    pub(super) fn consumed(&mut self, from: MemberId, bytes: usize, lossy: bool) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if lossy {
            peer.lossy.consumed(bytes);
        } else {
            peer.flow.consumed(bytes);
            peer.flow.grant();
            self.dirty.insert(from);
        }
    }

    pub(super) fn buffered(&mut self, id: MemberId, attempt: u32, lane: Lane, bytes: usize) {
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
    pub(super) fn pump(&mut self, id: MemberId) {
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
}
