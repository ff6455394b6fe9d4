//! What the application asks for: messages, lossy values, calls; and the outboxes that they fill.

use super::*;

impl Member {
    fn is_mute(&self) -> bool {
        self.this.as_ref().is_some_and(|this| this.mute)
    }

    pub(super) fn send(&mut self, ticket: u64, channel: String, to: Option<MemberId>, payload: Bytes) {
        let why = if payload.len() > limits::MESSAGE_MAX || channel.len() > limits::CHANNEL_NAME_MAX {
            Some(NotSent::TooLarge)
        } else if self.is_mute() {
            Some(NotSent::NotAllowed)
        } else if to.is_some_and(|to| !self.knows(to)) {
            Some(NotSent::UnknownMember)
        } else if !self.courier.has_room_for(to, payload.len()) {
            Some(NotSent::TooMany)
        } else {
            None
        };
        match why {
            Some(why) => self.event(Event::NotSent { ticket, why }),
            None => self.push(Some(ticket), to, Head { kind: Kind::Message, channel }, payload),
        }
    }

    /// Whether somebody is in the room whom something may be said to.
    fn knows(&self, id: MemberId) -> bool {
        self.peers.get(&id).is_some_and(|peer| !peer.info.relay)
    }

    fn push(&mut self, ticket: Option<u64>, to: Option<MemberId>, head: Head, payload: Bytes) {
        if to.is_none() {
            self.meter.said(payload.len(), self.now);
        }
        if to.is_none_or(|to| self.peers.contains_key(&to)) {
            self.courier.send(self.now, to, ticket, head, payload);
        }
    }

    pub(super) fn publish(&mut self, mode: Lossy, channel: &str, to: Option<MemberId>, payload: Bytes) {
        if payload.len() > limits::LOSSY_MAX || channel.len() > limits::CHANNEL_NAME_MAX || self.is_mute() {
            return;
        }
        if to.is_none() {
            self.meter.said(payload.len(), self.now);
        }
        let stream = Stream { origin: self.id, to };
        let is_signed = to.is_none() && self.signs_lossy();
        match mode {
            Lossy::Latest => {
                let value = self.published.value(stream, channel, payload);
                if is_signed {
                    self.sign_value(channel);
                } else {
                    self.spread_value(channel, to, &value);
                }
            }
            Lossy::Datagram => {
                let (seq, channel) = (self.published.number(), channel.to_owned());
                let frame = Frame::Datagram { stream, seq, channel, payload, signature: None };
                if is_signed {
                    self.sign_datagram(frame);
                } else {
                    self.spread_datagram(to, &frame.encode());
                }
            }
        }
    }

    /// Whom something that is said on a lossy channel is sent to from here.
    fn hearers(&mut self, to: Option<MemberId>) -> impl Iterator<Item = (&MemberId, &mut Peer)> {
        let relayed = self.is_relayed();
        self.peers.iter_mut().filter(move |(id, peer)| match to {
            Some(to) => to == **id,
            None => !relayed || peer.link.role.is_some(),
        })
    }

    /// Sends a value of this member on its way.
    pub(super) fn spread_value(&mut self, channel: &str, to: Option<MemberId>, value: &Value) {
        let this = self.id;
        let mut told = Vec::new();
        for (id, peer) in self.hearers(to) {
            peer.lossy.publish(this, channel, value.clone());
            told.push(*id);
        }
        self.dirty.extend(told);
    }

    /// Sends a datagram of this member on its way.
    pub(super) fn spread_datagram(&mut self, to: Option<MemberId>, frame: &Bytes) {
        let everywhere = to.is_some() || !self.is_relayed();
        let open: Vec<MemberId> = self.hearers(to).filter(|(_, peer)| peer.link.is_open()).map(|(id, _)| *id).collect();
        for id in open {
            if (everywhere || self.courier.carries(self.id, id))
                && let Some(peer) = self.peers.get_mut(&id)
            {
                peer.lossy.send(frame.clone());
                self.dirty.insert(id);
            }
        }
    }

    /// Lets a peer have the newest value of each `latest` channel; where members pass on what others say, also of theirs.
    pub(super) fn publish_all(&mut self, id: MemberId) {
        let own = self.published.all().map(|(name, value)| (self.id, name.clone(), value));
        let due = self.now + limits::LATEST_LAZY;
        let others = self.peers.iter().filter(|(origin, _)| self.is_relayed() && **origin != id);
        let others = others.flat_map(|(origin, peer)| {
            peer.heard.kept().map(|(name, seq, frame)| (*origin, name.clone(), Value::of(seq, frame.clone(), due)))
        });
        let all: Vec<_> = own.chain(others).collect();
        if let Some(peer) = self.peers.get_mut(&id) {
            all.into_iter().for_each(|(origin, name, value)| peer.lossy.publish(origin, &name, value));
        }
    }

    /// Passes on what another member says to the room on a lossy channel: along the ways of its stream now, and a value
    /// later over all other links, too.
    pub(super) fn pass_on(&mut self, from: MemberId, stream: Stream, channel: &str, seq: u64, frame: &Frame) {
        let is_value = matches!(frame, Frame::Latest { .. });
        if stream.to.is_some() || !(is_value || self.is_relayed()) {
            return;
        }
        let bytes = frame.encode();
        // Also in a mesh: the room may come to be linked otherwise.
        if is_value && let Some(origin) = self.peers.get_mut(&stream.origin) {
            origin.heard.keep(channel, bytes.clone());
        }
        if !self.is_relayed() {
            return;
        }
        // Also to whoever is still to say HELLO: what was kept by the time that its link came up it has been given already.
        let up = |(id, peer): &(&MemberId, &mut Peer)| peer.link.is_up() && ![from, stream.origin].contains(id);
        for (id, peer) in self.peers.iter_mut().filter(up) {
            let carries = self.courier.carries(stream.origin, *id);
            if is_value {
                let due = if carries { Time(0) } else { self.now + limits::LATEST_LAZY };
                peer.lossy.publish(stream.origin, channel, Value::of(seq, bytes.clone(), due));
            } else if carries && peer.link.is_open() {
                peer.lossy.send(bytes.clone());
            }
            self.dirty.insert(*id);
        }
    }

    pub(super) fn call(
        &mut self,
        ticket: u64,
        to: MemberId,
        method: String,
        argument: &Bytes,
        timeout: Option<Micros>,
    ) {
        let deadline = self.now + timeout.unwrap_or(limits::CALL_TIMEOUT);
        if !self.knows(to) {
            return self.call_failed(ticket, "unknown_member", "the member is not in the room");
        }
        if self.is_mute() {
            return self.call_failed(ticket, "not_allowed", "this member may not send data");
        }
        if method.len() > limits::CHANNEL_NAME_MAX || argument.len() > limits::MESSAGE_MAX - NUMBER_BYTES {
            return self.call_failed(ticket, "too_large", "the argument or the method's name is too large");
        }
        let room = self.courier.has_room_for(Some(to), argument.len() + NUMBER_BYTES);
        let payload = if room { self.calls.begin(ticket, to, argument, deadline) } else { None };
        match payload {
            Some(payload) => self.push(None, Some(to), Head { kind: Kind::Call, channel: method }, payload),
            None => self.call_failed(ticket, "too_many_calls", "too many calls are under way; await some of them"),
        }
    }

    pub(super) fn reply(&mut self, to: MemberId, call: u64, answer: &Answer) {
        let (mut kind, mut payload) = call::encode(call, answer);
        if payload.len() > limits::MESSAGE_MAX {
            let message = "the result is too large for one message".to_owned();
            (kind, payload) = call::encode(call, &Answer::Failure { code: "too_large".to_owned(), message });
        }
        self.push(None, Some(to), Head { kind, channel: String::new() }, payload);
    }

    pub(super) fn call_failed(&mut self, ticket: u64, code: &str, message: &str) {
        let answer = Answer::Failure { code: code.to_owned(), message: message.to_owned() };
        self.event(Event::Called { ticket, answer });
    }
}
