//! How much may be on its way to the desk: of one connection, and of all together. Frames wait where they were read,
//! so that a client that sends more is not read from meanwhile.

use std::{fmt, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;

/// What one connection may have on its way.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Bytes, until they are dealt with.
    own: Arc<Semaphore>,
    /// Bytes of all connections in large frames, until they have arrived. Small ones are few enough by their number.
    inbox: Arc<Semaphore>,
}

/// The room that a frame takes, until it is dropped.
pub(crate) struct Passage {
    own: OwnedSemaphorePermit,
    inbox: Option<OwnedSemaphorePermit>,
}

impl Window {
    /// `inbox` is what all share.
    pub(crate) fn new(inbox: Arc<Semaphore>) -> Window {
        Window { own: Arc::new(Semaphore::new(limits::WINDOW_BYTES)), inbox }
    }

    /// Room for a frame, where there is some.
    pub(crate) fn try_pass(&self, bytes: usize) -> Option<Passage> {
        let (own, shared) = needs(bytes);
        let own = self.own.clone().try_acquire_many_owned(own).ok()?;
        let inbox = match shared {
            0 => None,
            shared => Some(self.inbox.clone().try_acquire_many_owned(shared).ok()?),
        };
        Some(Passage { own, inbox })
    }

    /// Room for a frame, when there is some. What waits for its own connection takes nothing from the others.
    pub(crate) async fn pass(&self, bytes: usize) -> Passage {
        let (own, shared) = needs(bytes);
        let own = acquire(&self.own, own).await;
        let inbox = if shared == 0 { None } else { Some(acquire(&self.inbox, shared).await) };
        Passage { own, inbox }
    }
}

impl Passage {
    /// The frame is not on its way any more, though it is not dealt with.
    pub(crate) fn arrive(&mut self) {
        self.inbox = None;
    }

    /// What it takes of its connection's window.
    pub(crate) fn bytes(&self) -> usize {
        self.own.num_permits()
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passage({})", self.bytes())
    }
}

/// What a frame takes of its connection's window, and of what all share. A frame that is larger than either has it alone.
fn needs(bytes: usize) -> (u32, u32) {
    let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let own = bytes.clamp(limits::WINDOW_FRAME, limits::WINDOW_BYTES);
    let shared = if bytes <= limits::SMALL_FRAME { 0 } else { bytes.min(limits::INBOX_BYTES) };
    (number(own), number(shared))
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_many_owned(permits).await.expect("windows are never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(limits::INBOX_BYTES))
    }

    #[test]
    fn one_connection_has_so_much_on_its_way_and_no_more() {
        let inbox = inbox();
        for (bytes, count) in [(0, limits::WINDOW_BYTES / limits::WINDOW_FRAME), (limits::WINDOW_BYTES, 1)] {
            let (window, other) = (Window::new(inbox.clone()), Window::new(inbox.clone()));
            let passages: Vec<_> = (0..count).map(|_| window.try_pass(bytes).unwrap()).collect();
            assert!(window.try_pass(0).is_none() && other.try_pass(0).is_some());
            drop(passages);
            assert!(window.try_pass(bytes).is_some());
        }
        assert_eq!(inbox.available_permits(), limits::INBOX_BYTES);
    }

    #[tokio::test]
    async fn all_together_have_so_much_in_large_frames_until_they_have_arrived() {
        let inbox = inbox();
        let window = || Window::new(inbox.clone());
        let count = limits::INBOX_BYTES / limits::WINDOW_BYTES;
        let mut passages = Vec::new();
        for _ in 0..count {
            passages.push(window().try_pass(limits::WINDOW_BYTES).unwrap());
        }
        assert!(
            window().try_pass(limits::SMALL_FRAME + 1).is_none() && window().try_pass(limits::SMALL_FRAME).is_some()
        );
        let late = window();
        let waits = tokio::spawn(async move { late.pass(limits::WINDOW_BYTES).await.bytes() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        passages[0].arrive();
        assert_eq!(waits.await.unwrap(), limits::WINDOW_BYTES);
    }
}
