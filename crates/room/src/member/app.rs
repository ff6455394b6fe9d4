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
        } else if to.is_some_and(|to| !self.peers.contains_key(&to)) {
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

    fn push(&mut self, ticket: Option<u64>, to: Option<MemberId>, head: Head, payload: Bytes) {
        if to.is_none_or(|to| self.peers.contains_key(&to)) {
            self.courier.send(self.now, to, ticket, head, payload);
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
        if !self.peers.contains_key(&to) {
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
