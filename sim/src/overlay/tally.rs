//! The promise, counted from outside: what is published while publisher and receiver are there arrives at every survivor,
//! once, in its publisher's order. And what it cost.

use room::{time::Time, wire::frame::HOP_UNKNOWN};

use super::curve::Curve;
use crate::fingerprint::Fingerprint;

/// Violations that are kept in full; all are counted.
const VIOLATIONS_KEPT: usize = 20;

/// What was published and what became of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    publishers: Vec<Publisher>,
    /// By member's number; `NONE` where it has not published.
    publisher_of: Vec<u32>,
    receivers: Vec<Receiver>,
    /// Whether messages must come in order.
    ordered: bool,
    /// From when on what is published counts in the figures.
    from: Time,
    /// Between these times what is published is published during a switch.
    switches: Vec<(Time, Time)>,
    pub(super) totals: Totals,
    pub(super) curve: Curve,
    pub(super) switch_curve: Curve,
    pub(super) violations: Vec<String>,
    print: Fingerprint,
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) sent: u64,
    /// Deliveries owed to those who are there at the end, and how many of them happened.
    pub(super) expected: u64,
    pub(super) delivered: u64,
    pub(super) missed: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    /// Deliveries that count and copies that arrived for them, of an origin's first message and of the later ones.
    pub(super) fresh: [u64; 2],
    pub(super) copies: [u64; 2],
    /// All deliveries, owed or not.
    pub(super) deliveries: u64,
    /// Frames that arrived, and their bytes.
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    pub(super) degree_max: usize,
    pub(super) violations: u64,
}

#[derive(Debug)]
struct Publisher {
    member: u32,
    /// When each message was published.
    times: Vec<Time>,
    /// Most links that each took.
    hops: Vec<u8>,
}

#[derive(Debug, Default)]
struct Receiver {
    /// It is owed nothing: a relay passes on what it gets, and gets nothing in a mesh.
    is_relay: bool,
    /// When it had its first link.
    linked: Option<Time>,
    /// By publisher, up to the last that anything came from.
    tracks: Vec<Track>,
}

/// Where a receiver stands with a publisher.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// The number expected next, after the latest that came; 0 before the first.
    next: u32,
    /// Owed messages that came.
    delivered: u32,
}

const NONE: u32 = u32::MAX;

impl Tally {
    /// Whether messages must come in order, and from when on what is published counts in the figures.
    pub(super) fn new(ordered: bool, from: Time) -> Tally {
        Tally { ordered, from, ..Tally::default() }
    }

    /// A member enters the room.
    pub(super) fn enter(&mut self, is_relay: bool) {
        self.receivers.push(Receiver { is_relay, ..Receiver::default() });
        self.publisher_of.push(NONE);
    }

    /// A member has a link.
    pub(super) fn linked(&mut self, member: u32, now: Time, degree: usize) {
        let receiver = &mut self.receivers[member as usize];
        if !receiver.is_relay {
            receiver.linked.get_or_insert(now);
        }
        self.totals.degree_max = self.totals.degree_max.max(degree);
    }

    pub(super) fn published(&mut self, member: u32, now: Time) {
        self.totals.sent += 1;
        let place = &mut self.publisher_of[member as usize];
        if *place == NONE {
            *place = self.publishers.len() as u32;
            self.publishers.push(Publisher { member, times: Vec::new(), hops: Vec::new() });
        }
        let publisher = &mut self.publishers[*place as usize];
        publisher.times.push(now);
        publisher.hops.push(0);
    }

    pub(super) fn has_published(&self, member: u32) -> bool {
        self.publisher_of.get(member as usize).is_some_and(|place| *place != NONE)
    }

    /// A topology takes another's place from now on.
    pub(super) fn switch_begins(&mut self, now: Time) {
        self.switches.push((now, Time(u64::MAX)));
    }

    /// It has done so.
    pub(super) fn switch_ends(&mut self, now: Time) {
        if let Some(last) = self.switches.last_mut() {
            last.1 = now;
        }
    }

    /// A frame arrived, with the message that it carries.
    pub(super) fn frame(&mut self, bytes: usize, message: Option<(u32, u64)>) {
        self.totals.frames += 1;
        self.totals.frame_bytes += bytes as u64;
        let Some((origin, seq)) = message else { return };
        let place = self.publisher_of.get(origin as usize).copied().unwrap_or(NONE);
        let Some(publisher) = self.publishers.get(place as usize) else { return };
        if seq == 1 || publisher.times.get(seq as usize - 1).is_some_and(|sent| *sent >= self.from) {
            self.totals.copies[usize::from(seq > 1)] += 1;
        }
    }

    /// A message came.
    pub(super) fn delivered(&mut self, at: u32, origin: u32, seq: u64, hop: u8, now: Time) {
        let place = self.publisher_of.get(origin as usize).copied().unwrap_or(NONE);
        let Some(publisher) = self.publishers.get_mut(place as usize) else {
            return self.violation(now, format_args!("{at} gets something from {origin}, who said nothing"));
        };
        let Some(sent) = seq.checked_sub(1).and_then(|at| publisher.times.get(at as usize)).copied() else {
            return self.violation(now, format_args!("{at} gets message {seq} of {origin}, who never sent it"));
        };
        for number in [u64::from(at), u64::from(origin), seq, now.0] {
            self.print.number(number);
        }
        let receiver = &mut self.receivers[at as usize];
        let owed = owed_from(&publisher.times, receiver.linked);
        let track = receiver.track(place as usize);
        let number = seq as u32;
        if self.ordered {
            if track.next == 0 {
                // It may begin earlier than it must; not later.
                track.next = number.min(owed);
            }
            if number < track.next {
                self.totals.duplicated += 1;
                return self.violation(now, format_args!("{at} gets message {seq} of {origin} again"));
            }
            if number > track.next {
                self.totals.reordered += 1;
                let next = track.next;
                self.violation(now, format_args!("{at} gets message {seq} of {origin} instead of {next}"));
            }
        }
        let track = self.receivers[at as usize].track(place as usize);
        track.next = track.next.max(number + 1);
        let counts = sent >= self.from;
        if counts || seq == 1 {
            self.totals.fresh[usize::from(seq > 1)] += 1;
        }
        self.totals.deliveries += 1;
        if number >= owed {
            self.receivers[at as usize].track(place as usize).delivered += 1;
            let latency = now.since(sent);
            if counts {
                let hops = &mut self.publishers[place as usize].hops[number as usize - 1];
                if hop != HOP_UNKNOWN {
                    *hops = (*hops).max(hop);
                }
                self.curve.add(latency);
            }
            if self.switches.iter().any(|(from, to)| (*from..*to).contains(&sent)) {
                self.switch_curve.add(latency);
            }
        }
    }

    /// A receiver is told that messages will not come.
    pub(super) fn gap(&mut self, at: u32, origin: u32, from: u64, to: u64, now: Time) {
        let place = self.publisher_of.get(origin as usize).copied().unwrap_or(NONE);
        let Some(publisher) = self.publishers.get(place as usize) else { return };
        let owed = owed_from(&publisher.times, self.receivers[at as usize].linked);
        let track = self.receivers[at as usize].track(place as usize);
        track.next = track.next.max(to as u32 + 1);
        if to >= u64::from(owed) {
            self.violation(now, format_args!("{at} is told of a gap in {origin}: {from} to {to}"));
        }
    }

    /// The run is over. `states` says of each member whether it is there, or how it went.
    pub(super) fn finish(&mut self, now: Time, state: impl Fn(u32) -> State) {
        for place in 0..self.publishers.len() {
            let Publisher { member: origin, times, .. } = &self.publishers[place];
            let origin = *origin;
            let standing = |(at, _): &(usize, &Receiver)| state(*at as u32) == State::There && *at != origin as usize;
            let said = times.len() as u32;
            let last = match state(origin) {
                // Of a crashed member's messages survivors have those that any survivor has.
                State::Crashed => {
                    let held = |(_, receiver): (usize, &Receiver)| receiver.held(place);
                    self.receivers.iter().enumerate().filter(standing).map(held).max().unwrap_or(0)
                }
                State::There | State::Left => said,
            };
            let mut missing = Vec::new();
            for (at, receiver) in self.receivers.iter().enumerate().filter(standing) {
                let Some(linked) = receiver.linked else { continue };
                let expected = u64::from((last + 1).saturating_sub(owed_from(times, Some(linked))));
                let delivered = receiver.tracks.get(place).map_or(0, |track| u64::from(track.delivered)).min(expected);
                self.totals.expected += expected;
                self.totals.delivered += delivered;
                self.totals.missed += expected - delivered;
                if delivered < expected && missing.len() < VIOLATIONS_KEPT {
                    let held = receiver.held(place);
                    missing.push(format!(
                        "{at}, linked at {linked} s, lacks {} of {expected} messages of {origin}; it is at {held} of {last}",
                        expected - delivered
                    ));
                }
            }
            if self.ordered {
                for what in missing {
                    self.violation(now, format_args!("{what}"));
                }
            }
        }
        if self.ordered && self.totals.missed > 0 {
            self.totals.violations = self.totals.violations.max(self.totals.missed);
        }
    }

    /// Of all messages that came to anybody, the most links that each took: their mean and the most.
    pub(super) fn last_hops(&self) -> (f64, u32) {
        let hops: Vec<u32> = self
            .publishers
            .iter()
            .flat_map(|publisher| &publisher.hops)
            .filter(|hop| **hop > 0)
            .map(|hop| u32::from(*hop))
            .collect();
        let mean = hops.iter().sum::<u32>() as f64 / hops.len().max(1) as f64;
        (mean, hops.into_iter().max().unwrap_or(0))
    }

    pub(super) fn hash(&self) -> u64 {
        self.print.value()
    }

    pub(super) fn violation(&mut self, now: Time, what: impl std::fmt::Display) {
        self.totals.violations += 1;
        if self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(format!("at {now} s: {what}"));
        }
    }
}

/// Whether a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    There,
    Left,
    Crashed,
}

impl Receiver {
    fn track(&mut self, publisher: usize) -> &mut Track {
        if self.tracks.len() <= publisher {
            self.tracks.resize(publisher + 1, Track::default());
        }
        &mut self.tracks[publisher]
    }

    /// The latest message that came.
    fn held(&self, publisher: usize) -> u32 {
        self.tracks.get(publisher).map_or(0, |track| track.next.saturating_sub(1))
    }
}

/// The first message that is owed to whoever has had a link since then.
fn owed_from(times: &[Time], linked: Option<Time>) -> u32 {
    linked.map_or(NONE, |linked| times.partition_point(|at| *at < linked) as u32 + 1)
}

#[cfg(test)]
mod tests {
    use room::time::Micros;

    use super::*;

    fn room() -> Tally {
        let mut tally = Tally::new(true, Time(0));
        for member in 0..3 {
            tally.enter(false);
            tally.linked(member, Time(0), 1);
        }
        for at in 1..=3 {
            tally.published(0, Time(at * 1_000_000));
        }
        tally
    }

    fn finish(tally: &mut Tally, origin: State) -> (u64, u64, u64) {
        tally.finish(Time(9_000_000), |member| if member == 0 { origin } else { State::There });
        (tally.totals.expected, tally.totals.delivered, tally.totals.missed)
    }

    fn all_to(tally: &mut Tally, at: u32, seqs: &[u64]) {
        for seq in seqs {
            tally.delivered(at, 0, *seq, 2, Time(4_000_000));
        }
    }

    #[test]
    fn what_everybody_gets_in_order_is_good() {
        let mut tally = room();
        all_to(&mut tally, 1, &[1, 2, 3]);
        all_to(&mut tally, 2, &[1, 2, 3]);
        assert_eq!(finish(&mut tally, State::There), (6, 6, 0));
        assert!(tally.violations.is_empty(), "{:?}", tally.violations);
    }

    #[test]
    fn every_fault_is_seen() {
        for (seqs, missed, duplicated, reordered) in [
            (&[1, 2][..], 1, 0, 0),
            (&[1, 2, 2, 3], 0, 1, 0),
            (&[1, 3], 1, 0, 1),
            (&[1, 3, 2], 1, 1, 1),
            (&[], 3, 0, 0),
        ] {
            let mut tally = room();
            all_to(&mut tally, 1, seqs);
            all_to(&mut tally, 2, &[1, 2, 3]);
            assert_eq!(finish(&mut tally, State::Left).2, missed, "{seqs:?}");
            assert_eq!((tally.totals.duplicated, tally.totals.reordered), (duplicated, reordered), "{seqs:?}");
            assert!(tally.totals.violations > 0, "{seqs:?}");
        }
    }

    #[test]
    fn of_a_crashed_publisher_survivors_have_what_any_survivor_has() {
        let mut tally = room();
        all_to(&mut tally, 1, &[1]);
        all_to(&mut tally, 2, &[1, 2]);
        assert_eq!(finish(&mut tally, State::Crashed), (4, 3, 1));
    }

    #[test]
    fn a_joiner_is_owed_what_is_published_after_its_first_link() {
        let mut tally = room();
        tally.receivers[2].linked = Some(Time(2_500_000));
        all_to(&mut tally, 1, &[1, 2, 3]);
        all_to(&mut tally, 2, &[2, 3]);
        assert_eq!(finish(&mut tally, State::There), (4, 4, 0));
        assert!(tally.violations.is_empty(), "{:?}", tally.violations);
    }

    #[test]
    fn a_relay_is_owed_nothing() {
        let mut tally = room();
        tally.enter(true);
        tally.linked(3, Time(0), 1);
        all_to(&mut tally, 1, &[1, 2, 3]);
        all_to(&mut tally, 2, &[1, 2, 3]);
        all_to(&mut tally, 3, &[2]);
        assert_eq!(finish(&mut tally, State::There), (6, 6, 0));
        assert!(tally.violations.is_empty(), "{:?}", tally.violations);
    }

    #[test]
    fn a_gap_is_a_miss() {
        let mut tally = room();
        all_to(&mut tally, 1, &[1, 2, 3]);
        all_to(&mut tally, 2, &[1]);
        tally.gap(2, 0, 2, 2, Time(4_000_000));
        all_to(&mut tally, 2, &[3]);
        assert_eq!(finish(&mut tally, State::There), (6, 5, 1));
        assert_eq!((tally.totals.reordered, tally.violations.len()), (0, 2));
    }

    #[test]
    fn a_switch_has_a_curve_of_its_own() {
        let mut tally = room();
        tally.switches.push((Time(1_500_000), Time(2_500_000)));
        all_to(&mut tally, 1, &[1, 2, 3]);
        assert_eq!(tally.curve.percentile(1.0), Micros(3_000_000));
        assert_eq!(tally.switch_curve.percentile(1.0), Micros(2_000_000));
        assert!(tally.switch_curve.part_within(Micros(2_000_000), 1) == 1.0);
    }
}
