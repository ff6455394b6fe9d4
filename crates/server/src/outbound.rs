//! What waits to be written to one connection: bounded, filled by a shard, emptied by the connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use room::wire::signal::RefusalCode;

use crate::limits;

/// How a connection is to end, once what waits has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A normal close.
    Done,
    /// The refusal was among what was written.
    Refused(RefusalCode),
    /// More waited than may. What waited is gone.
    TooSlow,
}

/// What a connection does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Frames were taken: all that waited, so that the connection is woken for the next, or some.
    Frames {
        /// Whether it was all.
        all: bool,
    },
    /// Nothing is left: end the connection.
    End(End),
}

/// The bounds that the queues of one server share.
#[derive(Debug)]
pub(crate) struct Depot {
    queue_messages: usize,
    queue_bytes: usize,
    /// Bytes that queues may still hold beyond what is their own.
    left: AtomicUsize,
}

impl Depot {
    pub(crate) fn new(queue_messages: usize, queue_bytes: usize) -> Depot {
        Depot { queue_messages, queue_bytes, left: AtomicUsize::new(limits::QUEUES_BYTES) }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub(crate) struct Outbound {
    depot: Arc<Depot>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What waits, and whether it is carried for another member.
    frames: VecDeque<(Bytes, bool)>,
    bytes: usize,
    /// Part of `bytes` that is carried.
    carried: usize,
    /// Part of `bytes` that the depot gave.
    lent: usize,
    end: Option<End>,
    /// The connection, where it wants to be woken: for an end always, for frames if it has nothing else to write.
    waker: Option<Waker>,
    idle: bool,
}

impl Outbound {
    pub(crate) fn new(depot: Arc<Depot>) -> Outbound {
        Outbound { depot, queue: Mutex::new(Queue::default()) }
    }

    /// Puts a frame at the end of the queue. False where that is beyond the bounds: then the connection ends, as
    /// too slow. What comes after an end is dropped.
    pub(crate) fn push(&self, frame: &Bytes) -> bool {
        let mut queue = self.lock();
        if queue.end.is_some() {
            return true;
        }
        let bytes = queue.bytes + frame.len();
        let fits = queue.frames.len() < self.depot.queue_messages && bytes <= self.depot.queue_bytes;
        if !(fits && self.borrow(&mut queue, bytes)) {
            self.finish(&mut queue, End::TooSlow);
            return false;
        }
        add(queue, frame.clone(), false);
        true
    }

    /// The same for what is carried for another member, where it is dropped that does not fit: nobody is too slow for that.
    pub(crate) fn push_carried(&self, frame: Bytes) -> bool {
        let mut queue = self.lock();
        if queue.end.is_some() {
            return true;
        }
        let (bytes, carried) = (queue.bytes + frame.len(), queue.carried + frame.len());
        // What the hub has to say has room behind it.
        let fits = carried <= limits::CARRIED_BYTES
            && bytes <= self.depot.queue_bytes / 2
            && queue.frames.len() < self.depot.queue_messages / 2;
        if !(fits && self.borrow(&mut queue, bytes)) {
            return false;
        }
        add(queue, frame, true);
        true
    }

    /// Ends the connection after what waits now. Only the first end counts.
    pub(crate) fn end(&self, end: End) {
        let mut queue = self.lock();
        if queue.end.is_none() {
            queue.end = Some(end);
            wake(queue);
        }
    }

    /// Takes frames to be written, as many as are good to write at once; pending where there are none.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, frames: &mut VecDeque<Bytes>) -> Poll<Next> {
        let mut queue = self.lock();
        let mut taken = 0;
        while let Some((frame, _)) = queue.frames.front() {
            if taken > 0 && (taken + frame.len() > limits::WRITE_BYTES || frames.len() >= limits::WRITE_BATCH) {
                break;
            }
            let Some((frame, is_carried)) = queue.frames.pop_front() else { break };
            taken += frame.len();
            queue.carried -= if is_carried { frame.len() } else { 0 };
            frames.push_back(frame);
        }
        queue.bytes -= taken;
        self.give_back(&mut queue);
        if queue.frames.is_empty() && queue.frames.capacity() > limits::WRITE_BATCH {
            queue.frames = VecDeque::new();
        }
        let all = queue.frames.is_empty() && queue.end.is_none();
        if all {
            queue.idle = true;
            listen(&mut queue, cx);
        }
        match queue.end {
            _ if taken > 0 => Poll::Ready(Next::Frames { all }),
            Some(end) => Poll::Ready(Next::End(end)),
            None => Poll::Pending,
        }
    }

    /// Whether the connection was found too slow, while it has other things to write.
    pub(crate) fn is_too_slow(&self, cx: &mut Context<'_>) -> bool {
        let mut queue = self.lock();
        queue.idle = false;
        listen(&mut queue, cx);
        queue.end == Some(End::TooSlow)
    }

    /// Says that nothing will be taken any more: what waits is dropped, and so is whatever comes.
    pub(crate) fn abandon(&self) {
        self.finish(&mut self.lock(), End::Done);
    }

    fn finish(&self, queue: &mut Queue, end: End) {
        queue.frames = VecDeque::new();
        queue.bytes = 0;
        queue.carried = 0;
        self.give_back(queue);
        queue.end = Some(end);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Borrows from the depot what `bytes` are beyond the queue's own.
    fn borrow(&self, queue: &mut Queue, bytes: usize) -> bool {
        let more = bytes.saturating_sub(limits::QUEUE_OWN).saturating_sub(queue.lent);
        if more == 0 {
            return true;
        }
        let lent = self.depot.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        queue.lent += if lent.is_ok() { more } else { 0 };
        lent.is_ok()
    }

    fn give_back(&self, queue: &mut Queue) {
        let due = queue.lent - queue.lent.min(queue.bytes.saturating_sub(limits::QUEUE_OWN));
        if due > 0 {
            queue.lent -= due;
            self.depot.left.fetch_add(due, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn listen(queue: &mut Queue, cx: &Context<'_>) {
    match &mut queue.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Puts a frame at the end, for which there is room.
fn add(mut queue: MutexGuard<'_, Queue>, frame: Bytes, is_carried: bool) {
    queue.bytes += frame.len();
    queue.carried += if is_carried { frame.len() } else { 0 };
    queue.frames.push_back((frame, is_carried));
    if queue.idle {
        queue.idle = false;
        wake(queue);
    }
}

/// Wakes the connection, with the queue free for it to take.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    fn take(outbound: &Outbound) -> (Poll<Next>, Vec<Bytes>) {
        let mut frames = VecDeque::new();
        let next = outbound.poll_take(&mut Context::from_waker(Waker::noop()), &mut frames);
        (next, frames.into())
    }

    #[test]
    fn frames_come_out_in_order_and_then_the_end() {
        let outbound = Outbound::new(Arc::new(Depot::new(8, 1_000)));
        assert_eq!(take(&outbound).0, Poll::Pending);
        let frames = [Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        assert!(frames.iter().all(|frame| outbound.push(frame)));
        outbound.end(End::Done);
        assert!(outbound.push(&frames[0]), "dropped after the end");
        outbound.end(End::TooSlow);
        assert_eq!(take(&outbound), (Poll::Ready(Next::Frames { all: false }), frames.to_vec()), "the end is left");
        assert_eq!(take(&outbound).0, Poll::Ready(Next::End(End::Done)));
    }

    #[test]
    fn overflow_in_count_or_bytes_ends_it() {
        for (frame, fit) in [(Bytes::from_static(b"a"), 3), (Bytes::from_static(&[0; 400]), 2)] {
            let outbound = Outbound::new(Arc::new(Depot::new(3, 1_000)));
            for _ in 0..fit {
                assert!(outbound.push(&frame));
            }
            assert!(!outbound.push(&frame));
            assert_eq!(take(&outbound), (Poll::Ready(Next::End(End::TooSlow)), vec![]));
        }
    }

    #[test]
    fn queues_share_what_is_not_their_own() {
        let depot = Arc::new(Depot::new(usize::MAX, usize::MAX));
        let frame = Bytes::from(vec![0; limits::QUEUES_BYTES / 2 + limits::QUEUE_OWN]);
        let queues = [(); 3].map(|()| Outbound::new(depot.clone()));
        assert!(queues[0].push(&frame) && queues[1].push(&frame));
        assert!(queues[2].push(&Bytes::from(vec![0; limits::QUEUE_OWN])), "its own");
        assert!(!queues[2].push(&Bytes::from_static(b"a")), "beyond");
        assert_eq!(take(&queues[0]).0, Poll::Ready(Next::Frames { all: true }));
        drop(queues);
        assert_eq!(depot.left.load(Ordering::Relaxed), limits::QUEUES_BYTES);
    }

    #[test]
    fn what_is_carried_has_bounds_of_its_own_and_ends_nobody() {
        let outbound = Outbound::new(Arc::new(Depot::new(usize::MAX, usize::MAX)));
        let frame = Bytes::from(vec![0; limits::CARRIED_BYTES / 2]);
        assert!(outbound.push_carried(frame.clone()) && outbound.push_carried(frame.clone()));
        assert!(!outbound.push_carried(Bytes::from_static(b"a")), "dropped");
        assert!(outbound.push(&Bytes::from_static(b"the hub's word")), "goes on");
        assert_eq!(take(&outbound).1, vec![frame.clone()]);
        assert!(outbound.push_carried(frame), "there is room again");
    }

    #[test]
    fn big_batches_are_cut() {
        let outbound = Outbound::new(Arc::new(Depot::new(usize::MAX, usize::MAX)));
        let frame = Bytes::from(vec![0; limits::WRITE_BYTES]);
        assert!(outbound.push(&frame) && outbound.push(&frame));
        for all in [false, true] {
            let (next, frames) = take(&outbound);
            assert_eq!((next, frames.len()), (Poll::Ready(Next::Frames { all }), 1));
        }
    }

    #[test]
    fn who_has_taken_all_is_woken_for_the_next_and_who_is_busy_for_the_end_only() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let outbound = Outbound::new(Arc::new(Depot::new(8, 1_000)));
        let frame = Bytes::from_static(b"a");
        let mut expect = |act: &mut dyn FnMut(&mut Context<'_>), wakes| {
            act(&mut cx);
            assert_eq!(count.0.swap(0, Ordering::Relaxed), wakes);
        };
        let mut push = |_: &mut Context<'_>| assert!(outbound.push(&frame));
        expect(&mut push, 0);
        expect(&mut |cx| drop(outbound.poll_take(cx, &mut VecDeque::new())), 0);
        expect(&mut push, 1);
        expect(&mut push, 0);
        expect(&mut |cx| drop(outbound.poll_take(cx, &mut VecDeque::new())), 0);
        expect(&mut |cx| assert!(!outbound.is_too_slow(cx)), 0);
        expect(&mut push, 0);
        expect(&mut |_| outbound.end(End::Done), 1);
    }
}
