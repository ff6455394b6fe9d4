//! One stream as a member has it.

use super::{
    Distance, StreamId,
    log::Log,
    proof::Proofs,
    waiting::Waiting,
    window::{Lost, Window},
};
use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::Have,
};

/// What a stream is to this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What this member says to the room.
    Own,
    /// What another says to the room.
    Room,
    /// What this member says to one other.
    Sent,
    /// What another says to this member only.
    Received,
    /// What one member says to another by way of this one.
    Passing,
}

/// Where a member's stream begins for another, as far as those two heard of each other by the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It was in the room before: others know.
    Before,
    /// It entered later, or came back to a hub that did not know it, and has said what comes before to others only.
    At(u64),
    /// The two meet at a hub that neither was welcomed by before the other: nothing is owed of what was said until then.
    Anywhere,
}

/// Where a stream was offered to a newcomer: somewhere between the two it begins, as caches and those who entered shortly
/// before the newcomer offer less than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub least: u64,
    pub most: u64,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub id: StreamId,
    pub kind: Kind,
    /// What is kept of it to hand it on; of no use where it is received here only.
    pub log: Log,
    /// What shows whose the chunks of the log are.
    pub proofs: Proofs,
    /// When its chunks were last given to be signed, where it is one's own.
    pub sealed_at: Option<Time>,
    /// Whether a signature is awaited.
    pub sealing: bool,
    /// What puts messages together, of streams of others that are for this member too.
    pub window: Window,
    /// What waits for room in the log, of one's own.
    pub waiting: Waiting,
    /// Its origin is known to be in the room.
    pub is_named: bool,
    /// Where it begins, as far as the hub's word tells.
    pub beginning: Beginning,
    /// It was met in the middle, and nothing of it came yet.
    pub is_untouched: bool,
    /// Where those offered it that were in the room before this member.
    pub offered: Option<Offered>,
    /// The link that it comes by.
    pub parent: Option<usize>,
    /// It had a parent, and lost it.
    pub bereft: bool,
    /// How far it is from its origin to here.
    pub far: Distance,
    /// The link to its parent is to go, and nobody else is known to have it.
    pub leaving: bool,
    /// When the last chunk came.
    pub fresh_at: Time,
    /// What was missing was given up, and nothing came since.
    pub gave_up: bool,
    /// Others have what is missing here.
    pub repair: Option<Repair>,
    /// Since when no neighbour can bring it, and when a link to its origin is asked for (again).
    pub rescue: Option<Rescue>,
    /// Its origin has nothing below any more, by its own word.
    pub lost_below: u64,
    /// Until when the way that it comes by is kept, although another looks better.
    pub settled_until: Time,
    /// Its origin is gone: until then it is kept for the other survivors.
    pub forget_at: Option<Time>,
    /// The link that it goes to its addressee by, and who passes it on from there.
    pub toward: Option<usize>,
    pub route: Vec<MemberId>,
}

/// Somebody has announced chunks that are missing here.
#[derive(Debug)]
pub(super) struct Repair {
    /// They have everything below.
    pub upto: u64,
    pub since: Time,
    /// When (the next) one is asked for them.
    pub due: Time,
    /// Links that were asked.
    pub asked: Vec<usize>,
    /// How often somebody was asked in vain.
    pub tries: u32,
}

/// No neighbour has what comes next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rescue {
    pub since: Time,
    /// When a link to the origin is asked for (again).
    pub due: Time,
}

impl Stream {
    pub fn new(id: StreamId, kind: Kind, now: Time) -> Stream {
        Stream {
            id,
            kind,
            log: Log::at(1),
            proofs: Proofs::default(),
            sealed_at: None,
            sealing: false,
            // Who says something to this member alone begins with the first chunk: others know nothing of it.
            window: if kind == Kind::Received { Window::at(1) } else { Window::default() },
            waiting: Waiting::default(),
            is_named: false,
            beginning: Beginning::Before,
            is_untouched: false,
            offered: None,
            parent: None,
            bereft: false,
            leaving: false,
            far: if matches!(kind, Kind::Own | Kind::Sent) { Distance::ORIGIN } else { Distance::UNKNOWN },
            fresh_at: now,
            gave_up: false,
            repair: None,
            rescue: None,
            lost_below: 0,
            settled_until: now,
            forget_at: None,
            toward: None,
            route: Vec::new(),
        }
    }

    pub fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own | Kind::Sent)
    }

    /// Whether it is known where the stream begins for this member.
    pub fn has_begun(&self) -> bool {
        self.kind != Kind::Room || self.window.next().is_some()
    }

    /// The first chunk that is missing.
    pub fn next(&self) -> u64 {
        match self.kind {
            Kind::Received => self.window.next().unwrap_or(0),
            _ => self.log.next(),
        }
    }

    /// Begins, or goes on, at `next`; gives the chunks that will never come.
    pub fn start(&mut self, next: u64) -> Option<Lost> {
        let next = next.max(1);
        let lost = self.window.start(next);
        if next > self.log.next() || self.log.is_empty() {
            self.log.restart(self.window.next().unwrap_or(next));
        }
        lost
    }

    /// Begins where the hub's word says; with its first chunk where that says nothing.
    pub fn begin(&mut self) {
        let first = if let Beginning::At(first) = self.beginning { first } else { 1 };
        self.begin_at(first.max(self.next()));
        self.is_untouched = self.beginning == Beginning::Anywhere;
    }

    /// Whether it has begun, now that somebody has some of it. In a mesh its origin says where it begins; when others come
    /// to bring it, as in a room that has moved while the hub was out of reach, the hub's word must do.
    pub fn begins(&mut self) -> bool {
        if !self.has_begun() && matches!(self.beginning, Beginning::At(_)) {
            self.begin();
        }
        self.has_begun()
    }

    /// Somebody who was here before offers it from `first` on. `late`: that one may have had more.
    pub fn offer(&mut self, first: u64, late: bool) {
        let offered = self.offered.get_or_insert(Offered { least: first, most: first });
        offered.least = offered.least.min(first);
        if !late {
            offered.most = offered.most.max(first);
        }
    }

    /// Its origin was believed to be gone before it was known where the stream begins, and has said what comes before `next` to
    /// those whom it knew, maybe to this member too.
    pub fn reappear(&mut self, next: u64) {
        self.beginning = Beginning::Anywhere;
        if next > 1 {
            self.offer(next, false);
        }
    }

    /// Whether it may begin as late as at `next`, as nothing of it came yet.
    pub fn may_begin_at(&self, next: u64) -> bool {
        self.is_untouched && self.offered.is_none_or(|offered| next <= offered.most)
    }

    /// Where it is to begin that has not begun yet, as far as that is known.
    pub fn first(&self) -> Option<u64> {
        match self.beginning {
            Beginning::At(first) => Some(first),
            _ => self.offered.map(|offered| offered.least),
        }
    }

    /// Begins where those who were here before offered it; with its first chunk, or later, where they know only that it has begun.
    pub fn meet(&mut self) {
        self.start(self.offered.map_or(1, |offered| offered.least));
        self.is_untouched = true;
    }

    /// Begins at `next`, whatever was believed before.
    pub fn begin_at(&mut self, next: u64) {
        self.window = Window::default();
        self.start(next);
    }

    /// Goes on where an earlier one of the same origin stood.
    pub fn resume(&mut self, next: u64) {
        self.window = Window::at(next);
        self.log.restart(next);
        self.is_untouched = false;
    }

    /// "Everything below `next` is here."
    pub fn have(&self, next: u64) -> Have {
        let Distance { hop, delay_ms } = self.claim();
        Have { origin: self.id.origin, next, hop, delay_ms: u64::from(delay_ms) }
    }

    /// How far others are told that it is: nobody is to come or stay for what is about to go.
    pub fn claim(&self) -> Distance {
        if self.leaving { self.far.delayed(limits::LEAVING_MS) } else { self.far }
    }

    pub fn is_active(&self, now: Time) -> bool {
        now.since(self.fresh_at) < limits::ACTIVE_FOR
    }
}

/// How late chunks are after they were announced, as the 95th percentile: the base of how long to wait for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lateness(u64);

impl Lateness {
    /// What it moves by with each sample.
    const STEP: u64 = 500;

    pub fn new() -> Lateness {
        Lateness(limits::GRAFT_MAX.0 / 4)
    }

    /// A chunk came so long after it had been announced.
    pub fn sample(&mut self, late: Micros) {
        if late.0 > self.0 {
            self.0 = (self.0 + 19 * Lateness::STEP).min(limits::GRAFT_MAX.0);
        } else {
            self.0 = self.0.saturating_sub(Lateness::STEP);
        }
    }

    /// How long to wait for a chunk that others have.
    pub fn patience(self) -> Micros {
        Micros((2 * self.0).clamp(limits::GRAFT_MIN.0, limits::GRAFT_MAX.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_lateness_and_stays_within_its_bounds() {
        let mut lateness = Lateness::new();
        assert_eq!(lateness.patience(), Micros(limits::GRAFT_MAX.0 / 2));
        (0..100).for_each(|_| lateness.sample(Micros::from_millis(200)));
        assert!(lateness.patience() > Micros::from_millis(350), "{lateness:?}");
        (0..1_000).for_each(|_| lateness.sample(Micros::from_secs(9)));
        assert_eq!(lateness.patience(), limits::GRAFT_MAX);
        (0..10_000).for_each(|_| lateness.sample(Micros(0)));
        assert_eq!(lateness.patience(), limits::GRAFT_MIN);
    }
}
