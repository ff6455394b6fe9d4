//! Clients that have taken more of the desk's time than is their share, or are in the middle of something that takes
//! long. What they say waits, in order, until their time comes; meanwhile all others have theirs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deepstream::{ConnId, Frame, time::Time};

use super::window::Passage;
use crate::limits;

/// Those clients.
#[derive(Debug, Default)]
pub(super) struct Arrears {
    debtors: BTreeMap<ConnId, Debtor>,
    /// When whose time comes; each stands here once.
    due: BTreeSet<(Time, ConnId)>,
    /// Bytes that wait.
    bytes: usize,
}

#[derive(Debug)]
struct Debtor {
    until: Time,
    /// Whether the engine has more to do of what was said before.
    is_unfinished: bool,
    said: VecDeque<(Frame, Passage)>,
    /// Whether its connection has ended behind what it said.
    has_ended: bool,
}

/// What a client's time has come for.
#[derive(Debug)]
pub(super) enum Next {
    Continue,
    Said(Frame),
    Closed,
}

impl Arrears {
    /// Has a client wait until then, at the least.
    pub(super) fn hold(&mut self, conn: ConnId, until: Time) {
        let empty = Debtor { until, is_unfinished: false, said: VecDeque::new(), has_ended: false };
        let debtor = self.debtors.entry(conn).or_insert(empty);
        self.due.remove(&(debtor.until, conn));
        debtor.until = debtor.until.max(until);
        self.due.insert((debtor.until, conn));
    }

    /// The engine is not done with what a client said.
    pub(super) fn is_unfinished(&mut self, conn: ConnId, now: Time) {
        self.hold(conn, now);
        if let Some(debtor) = self.debtors.get_mut(&conn) {
            debtor.is_unfinished = true;
        }
    }

    /// Has what a client says wait, where it is to; else gives it back. An error where more waits than may.
    pub(super) fn put(&mut self, conn: ConnId, frame: Frame, passage: Passage) -> Result<Option<Frame>, TooMuch> {
        let Some(debtor) = self.debtors.get_mut(&conn) else { return Ok(Some(frame)) };
        if self.bytes + passage.bytes() > limits::ARREARS_BYTES {
            return Err(TooMuch);
        }
        self.bytes += passage.bytes();
        debtor.said.push_back((frame, passage));
        Ok(None)
    }

    /// Whether the end of a connection waits behind what it said.
    pub(super) fn close(&mut self, conn: ConnId) -> bool {
        let debtor = self.debtors.get_mut(&conn);
        debtor.map(|debtor| debtor.has_ended = true).is_some()
    }

    /// Drops what waits of a client that the desk has ended.
    pub(super) fn forget(&mut self, conn: ConnId) {
        let Some(debtor) = self.debtors.remove(&conn) else { return };
        self.due.remove(&(debtor.until, conn));
        self.bytes -= debtor.said.iter().map(|(_, passage)| passage.bytes()).sum::<usize>();
    }

    /// When to ask for the next.
    pub(super) fn due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whose time has come, and for what. It stays here until nothing of it waits.
    pub(super) fn next(&mut self, now: Time) -> Option<(ConnId, Next)> {
        while let Some((at, conn)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, conn));
            let Some(debtor) = self.debtors.get_mut(&conn) else { continue };
            // Behind the others whose time has come.
            debtor.until = now;
            let next = if std::mem::take(&mut debtor.is_unfinished) {
                Some(Next::Continue)
            } else if let Some((frame, passage)) = debtor.said.pop_front() {
                self.bytes -= passage.bytes();
                Some(Next::Said(frame))
            } else {
                let debtor = self.debtors.remove(&conn);
                debtor.filter(|debtor| debtor.has_ended).map(|_| Next::Closed)
            };
            if self.debtors.contains_key(&conn) {
                self.due.insert((now, conn));
            }
            if let Some(next) = next {
                return Some((conn, next));
            }
        }
        None
    }
}

/// More waits than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::{super::window::Window, *};

    const ADA: ConnId = ConnId(1);

    fn put(arrears: &mut Arrears, conn: ConnId, text: &'static str) -> Result<Option<Frame>, TooMuch> {
        let window = Window::new(Arc::new(Semaphore::new(limits::INBOX_BYTES)));
        arrears.put(conn, Frame::Text(text.into()), window.try_pass(limits::WINDOW_BYTES).unwrap())
    }

    #[test]
    fn what_is_said_waits_in_order_and_the_end_behind_it() {
        let mut arrears = Arrears::default();
        assert!(put(&mut arrears, ADA, "now").unwrap().is_some() && !arrears.close(ADA), "it owes nothing");
        arrears.hold(ADA, Time(10));
        arrears.is_unfinished(ADA, Time(0));
        for text in ["a", "b"] {
            assert_eq!(put(&mut arrears, ADA, text), Ok(None));
        }
        assert!(arrears.close(ADA));
        assert!(arrears.next(Time(9)).is_none());
        assert_eq!(arrears.due(), Some(Time(10)));
        assert!(matches!(arrears.next(Time(10)), Some((ADA, Next::Continue))));
        assert!(matches!(arrears.next(Time(10)), Some((ADA, Next::Said(frame))) if frame == Frame::Text("a".into())));
        arrears.hold(ADA, Time(20));
        assert!(arrears.next(Time(19)).is_none());
        assert!(matches!(arrears.next(Time(20)), Some((ADA, Next::Said(_)))));
        assert!(matches!(arrears.next(Time(20)), Some((ADA, Next::Closed))));
        assert!(arrears.next(Time(20)).is_none() && arrears.due().is_none() && arrears.bytes == 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut arrears = Arrears::default();
        let count = limits::ARREARS_BYTES / limits::WINDOW_BYTES;
        for conn in 0..=count as u64 {
            arrears.hold(ConnId(conn), Time(1));
            let put = put(&mut arrears, ConnId(conn), "x");
            assert_eq!(put.is_err(), conn == count as u64);
        }
        arrears.forget(ConnId(0));
        assert!(put(&mut arrears, ConnId(count as u64), "x").is_ok());
        for conn in 0..=count as u64 {
            arrears.forget(ConnId(conn));
        }
        assert!(arrears.due().is_none() && arrears.bytes == 0);
    }
}
