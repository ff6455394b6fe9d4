//! The promise: what is sent reliably is delivered exactly once, in its sender's order, to everybody who was there when
//! it was sent and stayed; else the receiver is told of a gap, and there is a reason for it.

use std::collections::{BTreeMap, BTreeSet};

use room::{
    limits,
    time::{Micros, Time},
};

/// What was sent to whom, and what became of it. Actors stand for members.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// By sender and, where addressed, receiver.
    streams: BTreeMap<(usize, Option<usize>), Vec<Sent>>,
    /// By receiver, sender, and whether addressed.
    progress: BTreeMap<(usize, usize, bool), Progress>,
    /// When one of two last heard that the other was gone; the lower number first.
    parted: BTreeMap<(usize, usize), Time>,
    /// Senders whose outbox was full once.
    full: BTreeSet<usize>,
    /// Those that have crashed.
    crashed: BTreeSet<usize>,
    violations: Vec<String>,
    /// In µs, by receiver.
    pub(crate) latencies: BTreeMap<usize, Vec<u32>>,
    pub(crate) totals: Totals,
}

/// How much of it there was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Chunks of what was delivered.
    pub(crate) chunks: u64,
    pub(crate) missed: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) gaps: u64,
    /// Messages lost, and told of by a gap.
    pub(crate) lost_in_gaps: u64,
    /// Messages of senders that left since that never came, without a word.
    pub(crate) last_words_missed: u64,
}

#[derive(Debug)]
struct Sent {
    at: Time,
    owed: Vec<usize>,
    chunks: u64,
    /// What its chunks cost to keep.
    cost: u64,
    refused: bool,
}

#[derive(Debug, Default)]
struct Progress {
    /// The number of the message that comes next.
    next: u64,
    /// The last message owed, plus one.
    owed: u64,
    /// A gap was told since the last delivery.
    gap: bool,
    /// Passed over.
    skipped: BTreeSet<u64>,
}

impl Delivery {
    /// An application sends something: its number in its stream.
    pub(crate) fn sent(&mut self, from: usize, to: Option<usize>, owed: Vec<usize>, at: Time, bytes: usize) -> u64 {
        self.totals.sent += 1;
        let stream = self.streams.entry((from, to)).or_default();
        let number = stream.len() as u64;
        for receiver in &owed {
            self.progress.entry((*receiver, from, to.is_some())).or_default().owed = number + 1;
        }
        let chunks = bytes.div_ceil(limits::CHUNK).max(1) as u64;
        let cost = bytes as u64 + chunks * limits::FRAME_COST;
        stream.push(Sent { at, owed, chunks, cost, refused: false });
        number
    }

    /// It was told that this will not be sent.
    pub(crate) fn refused(&mut self, from: usize, to: Option<usize>, number: u64) {
        if let Some(sent) = self.streams.get_mut(&(from, to)).and_then(|stream| stream.get_mut(number as usize)) {
            sent.refused = true;
        }
    }

    /// A message came.
    pub(crate) fn delivered(&mut self, at: usize, from: usize, addressed: bool, number: u64, now: Time) {
        let stream = self.streams.get(&(from, addressed.then_some(at)));
        let Some(sent) = stream.and_then(|stream| stream.get(number as usize)) else {
            return self.violations.push(format!("{at} gets a message {number} that {from} never sent"));
        };
        if sent.refused {
            self.violations.push(format!("{at} gets message {number} of {from}, which was said not to be sent"));
        }
        self.totals.delivered += 1;
        self.totals.chunks += sent.chunks;
        let latency = u32::try_from(now.since(sent.at).0).unwrap_or(u32::MAX);
        self.latencies.entry(at).or_default().push(latency);
        let progress = self.progress.entry((at, from, addressed)).or_default();
        if number < progress.next {
            if progress.skipped.remove(&number) {
                self.totals.reordered += 1;
                self.violations.push(format!("{at} gets message {number} of {from} too late"));
            } else {
                self.totals.duplicated += 1;
                self.violations.push(format!("{at} gets message {number} of {from} twice"));
            }
            return;
        }
        let passed = progress.next..number;
        progress.next = number + 1;
        let told = std::mem::take(&mut progress.gap);
        for passed in passed {
            if self.is_due(at, from, addressed, passed) {
                self.missing(at, from, passed, told);
            }
            if let Some(progress) = self.progress.get_mut(&(at, from, addressed)) {
                progress.skipped.insert(passed);
            }
        }
    }

    /// A receiver is told of a gap, whose last chunk has the number `to`. There must be a reason: the two have parted, the
    /// sender has crashed, its outbox was full, or it was so long ago, or so much was said since, that it need not have it any
    /// more.
    pub(crate) fn gap(&mut self, at: usize, from: usize, addressed: bool, to: u64, now: Time) {
        self.totals.gaps += 1;
        self.progress.entry((at, from, addressed)).or_default().gap = true;
        let parted = self.parted.contains_key(&(at.min(from), at.max(from))) || self.crashed.contains(&from);
        if !parted && !self.full.contains(&from) && (addressed || !self.is_dropped(from, to, now)) {
            self.violations.push(format!("{at} is told of a gap in what {from} says, for no reason, at {now}"));
        }
    }

    /// Whether a sender need not keep any more what it said to the room with a chunk.
    fn is_dropped(&self, from: usize, chunk: u64, now: Time) -> bool {
        let said = self.streams.get(&(from, None)).into_iter().flatten().filter(|sent| !sent.refused);
        let mut end = 0;
        let mut since = said.skip_while(|sent| {
            end += sent.chunks;
            end < chunk
        });
        let Some(first) = since.next() else { return false };
        first.at + limits::CACHE_AGE <= now || since.map(|sent| sent.cost).sum::<u64>() > limits::CACHE_OWN as u64
    }

    /// One heard that the other is gone.
    pub(crate) fn parted(&mut self, a: usize, b: usize, now: Time) {
        self.parted.insert((a.min(b), a.max(b)), now);
    }

    /// Somebody is no more, whoever has heard of it.
    pub(crate) fn crashed(&mut self, actor: usize) {
        self.crashed.insert(actor);
    }

    /// Messages wait for room in a sender's outbox.
    pub(crate) fn full(&mut self, from: usize) {
        self.full.insert(from);
    }

    /// A message that somebody who stands is still owed, for a word in a report.
    pub(crate) fn outstanding(&self, standing: impl Fn(usize) -> bool) -> Option<String> {
        let owing = |((at, from, addressed), progress): (&(usize, usize, bool), &Progress)| {
            let due = (progress.next..progress.owed).find(|number| self.is_due(*at, *from, *addressed, *number));
            let due = due.filter(|_| standing(*at) && standing(*from) && !progress.gap)?;
            Some(format!("{at} waits for message {due} of {from}"))
        };
        self.progress.iter().find_map(owing)
    }

    /// Everybody has had their time; `left` says who left properly.
    pub(crate) fn finish(&mut self, standing: &[bool], left: &[bool]) {
        let behind = |((at, from, _), progress): (&(usize, usize, bool), &Progress)| {
            standing[*at] && left[*from] && !progress.gap && progress.next < progress.owed
        };
        let owed = self.progress.iter().filter(|entry| behind(*entry));
        let numbers = owed.map(|((at, from, addressed), progress)| {
            let stream = self.streams.get(&(*from, addressed.then_some(*at)));
            let is_owed = |sent: &&Sent| !sent.refused && sent.owed.contains(at);
            stream.map_or(0, |stream| stream[progress.next as usize..].iter().filter(is_owed).count() as u64)
        });
        self.totals.last_words_missed = numbers.sum();
        let open: Vec<_> = self
            .progress
            .iter()
            .filter(|((at, from, _), _)| standing[*at] && standing[*from])
            .map(|(key, progress)| (*key, progress.next..progress.owed, progress.gap))
            .collect();
        for ((at, from, addressed), numbers, told) in open {
            for number in numbers {
                if self.is_due(at, from, addressed, number) {
                    self.missing(at, from, number, told);
                }
            }
        }
    }

    pub(crate) fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    fn missing(&mut self, at: usize, from: usize, number: u64, told: bool) {
        if told {
            self.totals.lost_in_gaps += 1;
        } else {
            self.totals.missed += 1;
            self.violations.push(format!("{at} never gets message {number} of {from}"));
        }
    }

    /// Whether a message is owed: it was sent, to this receiver among others, and the two have not parted since.
    fn is_due(&self, at: usize, from: usize, addressed: bool, number: u64) -> bool {
        let stream = self.streams.get(&(from, addressed.then_some(at)));
        let Some(sent) = stream.and_then(|stream| stream.get(number as usize)) else { return false };
        let parted = self.parted.get(&(at.min(from), at.max(from)));
        !sent.refused && sent.owed.contains(&at) && parted.is_none_or(|parted| *parted < sent.at)
    }
}

/// The latency that this part of all deliveries does not exceed.
pub(crate) fn percentile(sorted: &[u32], part: f64) -> Micros {
    let place = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    Micros(sorted.get(place).copied().map_or(0, u64::from))
}
