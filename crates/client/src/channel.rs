//! Channels: where messages go, and where they come from.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use room::id::MemberId;

use crate::{Membership, Message, Payload, SendError, event::Mode, inbox::ReceiverId};

/// A channel of a room: a name under which members exchange messages.
///
/// Every member has every channel; nothing is set up, and a clone costs little. The same name in another [`Mode`] is
/// another channel.
///
/// **Where messages arrive.** A channel that is open ([`Channel::open`]) gets its messages. Those of all other
/// channels are [`Event::Message`](crate::Event::Message) among the room's events.
#[derive(Clone)]
pub struct Channel {
    membership: Membership,
    name: String,
    mode: Mode,
}

impl Channel {
    pub(crate) fn new(membership: Membership, name: String) -> Channel {
        Channel { membership, name, mode: Mode::Reliable }
    }

    /// The channel of the same name with another way of treating its messages.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Channel {
        Channel { mode, ..self }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a message to everybody who is in the room now.
    ///
    /// It returns when the message is on its way, in order after all earlier ones. On a reliable channel it waits
    /// while these fill what may be on the way: that is the room's backpressure. On a lossy channel it never waits for
    /// the network.
    ///
    /// # Errors
    /// If the message is too large, this member may not send, or the room is closed.
    pub async fn send(&self, message: impl Into<Payload>) -> Result<(), SendError> {
        self.membership.send(self.mode, &self.name, None, message.into()).await
    }

    /// Sends a message to one member only. Otherwise as [`Channel::send`].
    ///
    /// # Errors
    /// As [`Channel::send`], and if the addressee is not in the room.
    pub async fn send_to(&self, to: MemberId, message: impl Into<Payload>) -> Result<(), SendError> {
        self.membership.send(self.mode, &self.name, Some(to), message.into()).await
    }

    /// Opens the channel: from now on its messages come here instead of being events of the room.
    ///
    /// Opened again, they go to the newer one, and the older ends after what it has.
    pub fn open(&self) -> Messages {
        let receiver = self.membership.shared().inbox.open(self.mode, &self.name);
        Messages { channel: self.clone(), receiver }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The messages of one channel, in the order in which they came.
///
/// While a reliable message is not taken, it counts against what its sender may send to this member. Others are not
/// held back by that for longer than [`room::limits::STALL_OPEN`]: then this member gets a
/// [`Gap`](crate::Event::Gap). Dropped, it gives the channel back to the room's events.
pub struct Messages {
    channel: Channel,
    receiver: ReceiverId,
}

impl Messages {
    /// The next message. `None` when the room is closed, or the channel was opened again.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        // Taking part in tokio's cooperation, so that a flood of messages does not keep the thread.
        let turn = std::task::ready!(tokio::task::coop::poll_proceed(cx));
        let polled = self.channel.membership.shared().inbox.poll_message(self.receiver, cx);
        if polled.is_ready() {
            turn.made_progress();
        }
        polled
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.channel.membership.shared().inbox.shut(self.receiver);
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("channel", &self.channel).finish_non_exhaustive()
    }
}
