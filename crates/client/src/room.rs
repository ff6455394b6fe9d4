//! A room that was entered.

use std::{
    fmt,
    future::poll_fn,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;

use crate::{Event, Membership};

/// A room that was entered: its events, and by [`Membership`] everything else.
///
/// Take its events, with [`Room::next`] or as a [`Stream`], for as long as the membership is to last: messages on
/// channels that are not open are among them, and hold their senders back until they are taken.
///
/// Dropped, it leaves the room in the background; [`Membership::leave`] waits for that.
pub struct Room {
    membership: Membership,
}

impl Room {
    pub(crate) fn new(membership: Membership) -> Room {
        Room { membership }
    }

    /// The next event. `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Everything but the events, for other tasks. The room is left when the [`Room`] is dropped, not with this.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // Taking part in tokio's cooperation, so that a flood of events does not keep the thread.
        let turn = std::task::ready!(tokio::task::coop::poll_proceed(cx));
        let polled = self.membership.shared().inbox.poll_event(cx);
        if polled.is_ready() {
            turn.made_progress();
        }
        polled
    }
}

impl Deref for Room {
    type Target = Membership;

    fn deref(&self) -> &Membership {
        &self.membership
    }
}

impl Stream for Room {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.membership.shared().leave();
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("me", &self.id()).finish_non_exhaustive()
    }
}
