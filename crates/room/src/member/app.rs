//! What the application asks for: messages, lossy values, calls; and the outboxes that they fill.

use super::*;

impl Member {
    fn is_mute(&self) -> bool {
        self.this.as_ref().is_some_and(|this| this.mute)
    }

    pub(super) fn send(&mut self, ticket: u64, channel: String, to: Option<MemberId>, payload: Bytes) {
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

    pub(super) fn publish(&mut self, mode: Lossy, channel: &str, to: Option<MemberId>, payload: Bytes) {
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

    pub(super) fn call(
        &mut self,
        ticket: u64,
        to: MemberId,
        method: String,
        argument: &Bytes,
        timeout: Option<Micros>,
    ) {
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

    pub(super) fn fill_addressed(&mut self, id: MemberId) {
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

    pub(super) fn trim_room(&mut self) {
        let has = self.peers.values().map(|peer| peer.flow.room_acked()).min();
        self.room.trim(has.unwrap_or(self.room.next()));
        self.fill_room();
    }

    /// Passes over members that hold the room's outbox back and do not get on.
    pub(super) fn relieve(&mut self) {
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

    pub(super) fn stalled_at(&self) -> Option<Time> {
        if !self.room.is_waiting() {
            return None;
        }
        let first = self.room.first();
        let holders = self.peers.values().filter(|peer| peer.flow.room_acked() == first);
        holders.map(Peer::stalled_at).min()
    }
}
