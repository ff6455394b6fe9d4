//! Signatures of what is said to the room on lossy channels, where others pass it on: one a message, since each is lost or
//! superseded for itself. In a mesh links say whose it is; when the room comes to be linked otherwise, members sign what
//! stands of their values and say it again, and whoever has it keeps it to pass it on.
//!
//! As with chunks (`courier::trust`) nothing that somebody else brings counts before it was verified, so whoever brings
//! what its origin did not say has not verified it, and is to blame.

use super::*;

/// What the edge was asked for.
#[derive(Debug)]
pub(super) enum Vouching {
    /// The signature of an own channel's value.
    Value { channel: String, seq: u64 },
    /// That of an own datagram.
    Datagram(Frame),
    /// Whether what somebody brought is its origin's.
    Brought { by: MemberId, frame: Frame },
}

impl Member {
    /// Whether what this member says to the room goes with a signature.
    pub(super) fn signs_lossy(&self) -> bool {
        self.is_relayed() && self.courier.signs()
    }

    /// Asks for the signature of a channel's value, unless it has one or awaits one.
    pub(super) fn sign_value(&mut self, channel: &str) {
        if let Some((seq, frame)) = self.published.unsigned(channel)
            && let Some((token, text)) = self.courier.vouch(&frame.encode())
        {
            self.published.asked(channel);
            self.vouching.insert(token, Vouching::Value { channel: channel.to_owned(), seq });
            self.outputs.push_back(Output::Sign { token, text });
        }
    }

    /// Members pass on what others say: what was said without a signature gets one.
    pub(super) fn sign_values(&mut self) {
        if self.signs_lossy() {
            self.published.channels().into_iter().for_each(|channel| self.sign_value(&channel));
        }
    }

    /// Asks for the signature of a datagram. Where too many await theirs it is lost.
    pub(super) fn sign_datagram(&mut self, frame: Frame) {
        let waiting = self.vouching.values().filter(|asked| matches!(asked, Vouching::Datagram(_))).count();
        let frame = frame.with_signature(Signature([0; Signature::LENGTH]));
        if waiting < limits::LOSSY_SIGNING
            && let Some((token, text)) = self.courier.vouch(&frame.encode())
        {
            self.vouching.insert(token, Vouching::Datagram(frame));
            self.outputs.push_back(Output::Sign { token, text });
        }
    }

    /// The answer to [`Output::Sign`].
    pub(super) fn signed(&mut self, token: u64, signature: Signature) {
        match self.vouching.remove(&token) {
            Some(Vouching::Value { channel, seq }) => match self.published.signed(&channel, seq, signature) {
                Some(value) => self.spread_value(&channel, None, &value),
                // There is a newer one meanwhile.
                None => self.sign_value(&channel),
            },
            Some(Vouching::Datagram(frame)) => self.spread_datagram(None, &frame.with_signature(signature).encode()),
            Some(Vouching::Brought { .. }) => {}
            None => self.courier.signed(self.now, token, signature),
        }
    }

    /// The answer to [`Output::Verify`].
    pub(super) fn verified(&mut self, token: u64, is_good: bool) {
        match self.vouching.remove(&token) {
            Some(Vouching::Brought { by, frame }) if is_good => {
                self.lossy_came(by, frame, true);
                self.dirty.insert(by);
            }
            Some(Vouching::Brought { by, .. }) => self.faulty(by, LinkError::Forged),
            Some(_) => {}
            None => self.courier.verified(self.now, token, is_good),
        }
    }

    /// Takes a lossy message that came over a link. What its origin said here counts at once, what somebody else brings
    /// when it is known to be its origin's.
    pub(super) fn lossy_said(&mut self, by: MemberId, frame: Frame) -> Result<(), LinkError> {
        let (Frame::Latest { stream, signature, .. } | Frame::Datagram { stream, signature, .. }) = frame else {
            return Err(LinkError::Lane);
        };
        // What is said to one member goes over the link of the two.
        if stream.to.is_some_and(|to| to != self.id || stream.origin != by) {
            return Err(LinkError::Forged);
        }
        if !self.courier.signs() || stream.to.is_some() {
            self.lossy_came(by, frame, true);
        } else if signature.is_none() {
            // From somebody else that is nothing: members that sign pass on nothing else, others nothing that counts.
            if stream.origin == by {
                self.lossy_came(by, frame, false);
            }
        } else if self.wants(&frame) {
            self.check(by, frame);
        } else {
            self.lossy_came(by, frame, false);
        }
        Ok(())
    }

    /// Whether a message is news, or can be passed on now.
    fn wants(&self, frame: &Frame) -> bool {
        match frame {
            Frame::Latest { stream, seq, channel, .. } => {
                let origin = self.peers.get(&stream.origin);
                origin.is_some_and(|origin| origin.heard.is_news(channel, *seq) || origin.heard.lacks(channel, *seq))
            }
            Frame::Datagram { stream, seq, .. } => {
                self.peers.get(&stream.origin).is_some_and(|origin| origin.heard.is_new_datagram(*seq))
            }
            _ => false,
        }
    }

    /// Has a message verified. Where that cannot be, or too many of those that this member brought wait, it is lost.
    fn check(&mut self, by: MemberId, frame: Frame) {
        let (Frame::Latest { stream, signature, .. } | Frame::Datagram { stream, signature, .. }) = frame else {
            return;
        };
        let of_same = |asked: &&Vouching| matches!(asked, Vouching::Brought { by: other, .. } if *other == by);
        let waiting = self.vouching.values().filter(of_same).count();
        let key = self.peers.get(&stream.origin).and_then(|origin| origin.info.key);
        if let (Some(key), Some(signature)) = (key, signature)
            && waiting < limits::LOSSY_CHECKING
            && let Some((token, text)) = self.courier.vouch(&frame.encode())
        {
            self.vouching.insert(token, Vouching::Brought { by, frame });
            self.outputs.push_back(Output::Verify { token, key, text, signature });
        }
    }
}
