//! What came and waits for the application: one queue of the room's events, and one of messages for each open channel.
//!
//! The driver puts in, the application takes out, and neither waits for the other. What bounds the queues is flow
//! control: a message is reported as consumed only when the application took it, and until then counts against what
//! its sender may send. Other events are bounded by number, and what does not fit is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use room::id::MemberId;
use tokio::sync::Notify;

use crate::{
    event::{Closed, Event, Message, Mode},
    limits::{EVENTS_HELD, TAKEN_NOTICE_BYTES, TAKEN_NOTICE_MESSAGES},
};

/// A message that the application took: what the member machine wants to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub from: MemberId,
    pub bytes: usize,
    pub lossy: bool,
}

/// Names one opening of a channel.
pub(crate) type ReceiverId = u64;

/// The queues between the driver and the application.
#[derive(Default)]
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    /// Rung when the driver should look at what was taken.
    pub bell: Notify,
}

#[derive(Default)]
struct Queues {
    room: Queue<Event>,
    /// Events in `room` that are no messages.
    held: usize,
    /// Which opening of a channel gets its messages.
    open: BTreeMap<(Mode, String), ReceiverId>,
    channels: BTreeMap<ReceiverId, Queue<Message>>,
    receivers: ReceiverId,
    /// Not reported to the machine yet; no more than was in the queues.
    taken: Vec<Taken>,
    taken_bytes: usize,
    closed: bool,
}

struct Queue<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    /// Nothing more will be put in.
    ended: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { items: VecDeque::new(), waker: None, ended: false }
    }
}

impl<T> Queue<T> {
    fn push(&mut self, item: T) -> Option<Waker> {
        self.items.push_back(item);
        self.waker.take()
    }

    fn end(&mut self) -> Option<Waker> {
        self.ended = true;
        self.waker.take()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.ended => Poll::Ready(None),
            None => {
                if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    self.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Inbox {
    // ---- for the driver -------------------------------------------------------------------------

    /// A message goes to whoever has its channel open, else to the room's events.
    pub(crate) fn deliver(&self, message: Message) {
        let mut queues = self.lock();
        // Only to be looked up by parts of the message, which are then moved.
        let key = (message.mode, message.channel);
        let receiver = queues.open.get(&key).copied();
        let message = Message { channel: key.1, ..message };
        let waker = match receiver.and_then(|id| queues.channels.get_mut(&id)) {
            Some(queue) => queue.push(message),
            None => queues.room.push(Event::Message(message)),
        };
        drop(queues);
        wake(waker);
    }

    /// Anything but a message.
    pub(crate) fn tell(&self, event: Event) {
        let mut queues = self.lock();
        let waker = if queues.held < EVENTS_HELD {
            queues.held += 1;
            queues.room.push(event)
        } else if let Some(Event::Missed { events }) = queues.room.items.back_mut() {
            *events += 1;
            None
        } else {
            queues.room.push(Event::Missed { events: 1 })
        };
        drop(queues);
        wake(waker);
    }

    /// The last event of all, for which there always is room.
    pub(crate) fn close(&self, closed: Closed) {
        let mut queues = self.lock();
        if mem::replace(&mut queues.closed, true) {
            return;
        }
        let mut wakers = vec![queues.room.push(Event::Closed(closed)), queues.room.end()];
        wakers.extend(queues.channels.values_mut().map(Queue::end));
        drop(queues);
        wakers.into_iter().for_each(wake);
    }

    /// What the application took since the last time.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let mut queues = self.lock();
        queues.taken_bytes = 0;
        mem::take(&mut queues.taken)
    }

    // ---- for the application --------------------------------------------------------------------

    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queues = self.lock();
        let polled = queues.room.poll(cx);
        let Poll::Ready(Some(event)) = &polled else { return polled };
        if let Event::Message(message) = event {
            let was_last = queues.room.items.is_empty();
            let notice = queues.take(message, was_last);
            drop(queues);
            self.ring(notice);
        } else {
            queues.held = queues.held.saturating_sub(1);
        }
        polled
    }

    pub(crate) fn poll_message(&self, receiver: ReceiverId, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut queues = self.lock();
        let Some(queue) = queues.channels.get_mut(&receiver) else { return Poll::Ready(None) };
        let polled = queue.poll(cx);
        let was_last = queue.items.is_empty();
        if let Poll::Ready(Some(message)) = &polled {
            let notice = queues.take(message, was_last);
            drop(queues);
            self.ring(notice);
        }
        polled
    }

    /// From now on this channel's messages go to the new receiver. One that had them gets no more.
    pub(crate) fn open(&self, mode: Mode, channel: &str) -> ReceiverId {
        let mut queues = self.lock();
        queues.receivers += 1;
        let id = queues.receivers;
        let before = queues.open.insert((mode, channel.to_owned()), id);
        let waker = before.and_then(|before| queues.channels.get_mut(&before)).and_then(Queue::end);
        let ended = queues.closed;
        queues.channels.insert(id, Queue { ended, ..Queue::default() });
        drop(queues);
        wake(waker);
        id
    }

    /// The receiver is gone: what it did not take counts as taken, and what comes next goes to the room's events.
    pub(crate) fn shut(&self, receiver: ReceiverId) {
        let mut queues = self.lock();
        queues.open.retain(|_, id| *id != receiver);
        let left = queues.channels.remove(&receiver).map(|queue| queue.items).unwrap_or_default();
        for message in &left {
            queues.take(message, false);
        }
        drop(queues);
        self.ring(!left.is_empty());
    }

    fn ring(&self, notice: bool) {
        if notice {
            self.bell.notify_one();
        }
    }

    /// The lock is held for a few operations on queues, which do not panic; should one do so nevertheless, what is in
    /// the queues is as good as before.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// Notes that the application has this message. Says whether the driver should know now: when a queue is empty,
    /// since its reader may then be waiting for what flow control holds back, or when it adds up.
    fn take(&mut self, message: &Message, was_last: bool) -> bool {
        let bytes = message.data.as_cbor().len();
        self.taken.push(Taken { from: message.from, bytes, lossy: message.mode != Mode::Reliable });
        self.taken_bytes += bytes;
        was_last || self.taken_bytes >= TAKEN_NOTICE_BYTES || self.taken.len() >= TAKEN_NOTICE_MESSAGES
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn message(channel: &str, text: &str) -> Message {
        Message {
            from: MemberId::from(1),
            channel: channel.to_owned(),
            mode: Mode::Reliable,
            addressed: false,
            data: Payload::from(text),
        }
    }

    fn topology() -> Event {
        Event::Topology { from: "mesh".to_owned(), to: "star".to_owned() }
    }

    fn next(inbox: &Inbox) -> Option<Event> {
        match inbox.poll_event(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => panic!("nothing there"),
        }
    }

    fn next_of(inbox: &Inbox, receiver: ReceiverId) -> Poll<Option<Message>> {
        inbox.poll_message(receiver, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_channels_messages_go_to_who_has_it_open() {
        let inbox = Inbox::default();
        inbox.deliver(message("chat", "0"));
        let receiver = inbox.open(Mode::Reliable, "chat");
        inbox.deliver(message("chat", "1"));
        inbox.deliver(message("other", "2"));
        assert_eq!(next_of(&inbox, receiver), Poll::Ready(Some(message("chat", "1"))));
        assert_eq!(next(&inbox), Some(Event::Message(message("chat", "0"))));
        assert_eq!(next(&inbox), Some(Event::Message(message("other", "2"))));

        let again = inbox.open(Mode::Reliable, "chat");
        inbox.deliver(message("chat", "3"));
        assert_eq!(next_of(&inbox, receiver), Poll::Ready(None));
        inbox.shut(receiver);
        inbox.deliver(message("chat", "4"));
        assert_eq!(inbox.taken().len(), 3);
        inbox.shut(again);
        assert_eq!(inbox.taken().len(), 2, "what was dropped with its receiver counts as taken");
        inbox.deliver(message("chat", "5"));
        assert_eq!(next(&inbox), Some(Event::Message(message("chat", "5"))));
    }

    #[test]
    fn events_beyond_the_bound_are_counted_and_messages_are_kept() {
        let inbox = Inbox::default();
        for _ in 0..EVENTS_HELD + 2 {
            inbox.tell(topology());
        }
        inbox.deliver(message("chat", "kept"));
        inbox.tell(topology());
        inbox.close(Closed { code: None, reason: "left".to_owned(), hint: String::new() });
        for _ in 0..EVENTS_HELD {
            assert_eq!(next(&inbox), Some(topology()));
        }
        assert_eq!(next(&inbox), Some(Event::Missed { events: 2 }));
        assert_eq!(next(&inbox), Some(Event::Message(message("chat", "kept"))));
        assert_eq!(next(&inbox), Some(Event::Missed { events: 1 }));
        assert!(matches!(next(&inbox), Some(Event::Closed(_))));
        assert_eq!(next(&inbox), None);
    }

    #[test]
    fn receivers_end_with_the_room() {
        let inbox = Inbox::default();
        let receiver = inbox.open(Mode::Latest, "cursor");
        inbox.close(Closed { code: None, reason: "left".to_owned(), hint: String::new() });
        assert_eq!(next_of(&inbox, receiver), Poll::Ready(None));
        let late = inbox.open(Mode::Latest, "cursor");
        assert_eq!(next_of(&inbox, late), Poll::Ready(None));
    }
}
