//! Lists, and what becomes of writes to them that were made at the same time.
//!
//! A list is a record that is an array of strings. Clients only ever write it whole, with the version that it is to
//! have: one more than the version of the copy that they changed. If that is not one more than the list's version, then
//! others wrote first. The original server drops such a write, and with it whoever joined a room at that moment. Here
//! the writer's change is worked out and made to the list as it is now.
//!
//! For that a list remembers what its last writes changed, so that the copy that the writer started from can be worked
//! out. Which copy that was is told by the version, but not always: a client that wrote at version 4 stands at 5; so it
//! does when it then takes an update to version 5 in, which replaces its own copy. If it writes again, as version 6, it
//! may have started from either. Its change is then taken to be the smaller of the two, as clients add or remove one
//! entry at a time; where they are equally small, age decides: an update that was sent long ago has been seen.
//!
//! Where two change the same in the same way (both add an entry, or both remove it) it is done once: a page that misses
//! its own entry, because another's update came in between, and adds it again, is not in the list twice.
//!
//! Both clients take any update in, whatever version they stand at, and write on from its version (seen on the wire).
//! So everybody, the writer too, is sent the merged list, and all end with the same.

use std::collections::{BTreeMap, VecDeque};

use super::ConnId;
use crate::{
    limits,
    time::{Micros, Time},
};

/// What a list remembers beside its entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// The changes that led to the last versions, oldest first.
    deltas: VecDeque<Delta>,
    bytes: usize,
    /// What connections did that their own copies have, and the list's versions of the same numbers have not.
    chains: BTreeMap<ConnId, Chain>,
}

/// How often each entry was added (or removed, below zero). Lists may have an entry twice.
pub(crate) type Counts = BTreeMap<String, i64>;

#[derive(Clone, Debug)]
struct Delta {
    version: u64,
    counts: Counts,
    at: Time,
}

/// Writes of a connection, one after the other, that were merged.
#[derive(Clone, Debug)]
struct Chain {
    /// The version that its copy had after the last of them.
    version: u64,
    /// The list's version that they started from.
    base: u64,
    /// What they changed, together.
    counts: Counts,
}

/// A write that was merged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) entries: Vec<String>,
    /// What changed, compared with the list as it was.
    pub(crate) delta: Counts,
    /// What the writer changed in its copy.
    pub(crate) change: Counts,
}

impl Past {
    /// Notes what led to a version.
    pub(crate) fn note(&mut self, now: Time, version: u64, delta: Counts) {
        self.bytes += size(&delta);
        self.deltas.push_back(Delta { version, counts: delta, at: now });
        while self.deltas.len() > limits::HISTORY || self.bytes > limits::HISTORY_BYTES {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.bytes -= size(&oldest.counts);
        }
    }

    /// Bytes in the changes that are remembered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the list has changed last, as far as is remembered.
    pub(crate) fn changed(&self) -> Time {
        self.deltas.back().map_or(Time(0), |last| last.at)
    }

    /// A connection's copy is the list's again, or it has none any more.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.chains.remove(&conn);
    }

    /// Merges a write that came too late: `wanted` is what the writer's copy had become, as its version `version`,
    /// `current` the list at its version `at`. `None` where what the writer started from is not known any more.
    pub(crate) fn merge(
        &mut self,
        now: Time,
        writer: ConnId,
        version: u64,
        wanted: &[String],
        current: &[String],
        at: u64,
    ) -> Option<Merged> {
        let base = version.checked_sub(1)?;
        let (wanted_counts, current_counts) = (count(wanted), count(current));
        let from = |copy: Option<Counts>| copy.map(|copy| difference(&copy, &wanted_counts));
        let sent = from(self.copy(&current_counts, base, at));
        let chain = self.chains.get(&writer).filter(|chain| chain.version == base);
        let own = chain.and_then(|chain| {
            let copy = self.copy(&current_counts, chain.base, at)?;
            from(Some(sum(copy, &chain.counts)))
        });
        let (change, is_own) = match (own, sent) {
            // It does again what an update took from its copy. Or it did by itself exactly what others had done: that
            // comes to the same list, but what it did would be counted as its own.
            (Some(_), Some(sent)) if chain.is_some_and(|chain| chain.counts == sent) => (sent, false),
            (Some(own), Some(sent)) => {
                let is_seen = self.age(now, base) >= limits::SURELY_SEEN;
                let is_own = (weight(&own), is_seen) < (weight(&sent), true);
                if is_own { (own, true) } else { (sent, false) }
            }
            (Some(own), None) => (own, true),
            (None, Some(sent)) => (sent, false),
            (None, None) => return None,
        };
        self.chain(writer, version, is_own, &change);
        let delta = due(&change, &wanted_counts, &current_counts);
        Some(Merged { entries: apply(current, wanted, &delta), delta, change })
    }

    /// Merges a write as additions only, for where what it left out cannot be meant to go.
    pub(crate) fn add_only(&mut self, writer: ConnId, wanted: &[String], current: &[String]) -> Merged {
        self.forget(writer);
        let current_counts = count(current);
        let mut change = difference(&current_counts, &count(wanted));
        change.retain(|_, times| *times > 0);
        Merged { entries: apply(current, wanted, &change), delta: change.clone(), change }
    }

    /// Those of whose copies something is remembered.
    #[cfg(test)]
    pub(crate) fn writers(&self) -> impl Iterator<Item = ConnId> {
        self.chains.keys().copied()
    }

    /// The list as it was at a version.
    fn copy(&self, current: &Counts, version: u64, at: u64) -> Option<Counts> {
        if version == at {
            return Some(current.clone());
        }
        // All lists begin empty.
        if version == 0 {
            return Some(Counts::new());
        }
        let is_known = version < at && self.deltas.front().is_some_and(|oldest| oldest.version <= version + 1);
        if !is_known {
            return None;
        }
        let later = self.deltas.iter().rev().take_while(|delta| delta.version > version);
        let mut copy = current.clone();
        for delta in later {
            for (entry, times) in &delta.counts {
                add(&mut copy, entry, -times);
            }
        }
        Some(copy)
    }

    /// How long ago a version was made.
    fn age(&self, now: Time, version: u64) -> Micros {
        let made = self.deltas.binary_search_by_key(&version, |delta| delta.version);
        made.map_or(Micros(u64::MAX), |index| now.since(self.deltas[index].at))
    }

    fn chain(&mut self, writer: ConnId, version: u64, is_own: bool, change: &Counts) {
        let before = self.chains.remove(&writer).filter(|_| is_own);
        let (base, counts) = match before {
            Some(before) => (before.base, sum(before.counts, change)),
            None => (version - 1, change.clone()),
        };
        if size(&counts) <= limits::CHAIN_BYTES {
            self.chains.insert(writer, Chain { version, base, counts });
        }
    }
}

/// How often each entry is there.
pub(crate) fn count(entries: &[String]) -> Counts {
    let mut counts = Counts::new();
    for entry in entries {
        add(&mut counts, entry, 1);
    }
    counts
}

/// What must be added to the one to have the other.
pub(crate) fn difference(from: &Counts, to: &Counts) -> Counts {
    let mut difference = to.clone();
    for (entry, times) in from {
        add(&mut difference, entry, -times);
    }
    difference
}

/// Entries without some of them, the last of equal ones first.
pub(crate) fn without(entries: &[String], mut removed: Counts) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(entries.len());
    for entry in entries.iter().rev() {
        match removed.get_mut(entry) {
            Some(times) if *times > 0 => *times -= 1,
            _ => kept.push(entry.clone()),
        }
    }
    kept.reverse();
    kept
}

fn add(counts: &mut Counts, entry: &str, times: i64) {
    match counts.get_mut(entry) {
        Some(count) => {
            *count += times;
            if *count == 0 {
                counts.remove(entry);
            }
        }
        None if times != 0 => drop(counts.insert(entry.to_owned(), times)),
        None => {}
    }
}

fn sum(mut counts: Counts, other: &Counts) -> Counts {
    for (entry, times) in other {
        add(&mut counts, entry, *times);
    }
    counts
}

fn weight(counts: &Counts) -> u64 {
    counts.values().map(|times| times.unsigned_abs()).sum()
}

fn size(counts: &Counts) -> usize {
    // What an entry costs beside its bytes.
    const EACH: usize = 64;
    counts.keys().map(|entry| entry.len() + EACH).sum::<usize>() + EACH
}

/// What of a change is left to do: what others have done already need not be done again.
fn due(change: &Counts, wanted: &Counts, current: &Counts) -> Counts {
    let mut due = Counts::new();
    for (entry, times) in change {
        let copy = wanted.get(entry).unwrap_or(&0) - times;
        let now = *current.get(entry).unwrap_or(&0);
        let done = now - copy;
        let left = match (times.signum() == done.signum(), times.abs() > done.abs()) {
            (true, true) => times - done,
            (true, false) => 0,
            (false, _) => *times,
        };
        add(&mut due, entry, left.max(-now));
    }
    due
}

/// Makes a change to a list. What is added is put behind what stands before it in the writer's copy, at the end where
/// it stands at the end there. A writer that only moved entries gets its order.
fn apply(current: &[String], wanted: &[String], change: &Counts) -> Vec<String> {
    let removed: Counts =
        change.iter().filter(|(_, times)| **times < 0).map(|(e, times)| (e.clone(), -times)).collect();
    let kept = without(current, removed);
    if change.is_empty() && count(&kept) == count(wanted) {
        return wanted.to_vec();
    }
    // Each place in what is kept, by the entry and how many of the same stand before it.
    let mut seen = Counts::new();
    let mut places: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    for (place, entry) in kept.iter().enumerate() {
        let times = seen.entry(entry.clone()).or_default();
        places.insert((entry, *times), place + 1);
        *times += 1;
    }
    let mut adding: Counts =
        change.iter().filter(|(_, times)| **times > 0).map(|(e, times)| (e.clone(), *times)).collect();
    let mut added: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
    let mut passed = Counts::new();
    // From the end, so that of equal entries the last are the new ones, and what is at the end stays there.
    let mut new = vec![false; wanted.len()];
    for (index, entry) in wanted.iter().enumerate().rev() {
        if let Some(times) = adding.get_mut(entry).filter(|times| **times > 0) {
            *times -= 1;
            new[index] = true;
        }
    }
    let tail = new.iter().rposition(|is_new| !is_new).map_or(0, |last_old| last_old + 1);
    let mut after = 0;
    for (index, entry) in wanted.iter().enumerate() {
        if new[index] {
            added.entry(if index >= tail { kept.len() } else { after }).or_default().push(entry);
            continue;
        }
        let times = passed.entry(entry.clone()).or_default();
        after = places.get(&(entry.as_str(), *times)).copied().unwrap_or(after);
        *times += 1;
    }
    let mut entries = Vec::with_capacity(kept.len() + 1);
    let mut insert = |entries: &mut Vec<String>, place: usize| {
        entries.extend(added.remove(&place).into_iter().flatten().cloned());
    };
    insert(&mut entries, 0);
    for (place, entry) in kept.iter().enumerate() {
        entries.push(entry.clone());
        insert(&mut entries, place + 1);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A list that was written, version by version, starting empty.
    fn past(versions: &[&str]) -> Past {
        let mut past = Past::default();
        let mut before = Counts::new();
        for (at, text) in versions.iter().enumerate() {
            let counts = count(&list(text));
            past.note(Time(0), at as u64 + 1, difference(&before, &counts));
            before = counts;
        }
        past
    }

    fn merge(past: &mut Past, version: u64, wanted: &str, current: &str, at: u64) -> Option<String> {
        let merged = past.merge(Time(0), A, version, &list(wanted), &list(current), at)?;
        assert_eq!(sum(count(&list(current)), &merged.delta), count(&merged.entries));
        Some(merged.entries.join(" "))
    }

    #[test]
    fn changes_made_at_once_are_all_made() {
        let mut past = past(&["a b", "a b x", "a b x y"]);
        assert_eq!(merge(&mut past, 2, "a b z", "a b x y", 3).as_deref(), Some("a b x y z"));
        assert_eq!(merge(&mut past, 2, "b", "a b x y", 3).as_deref(), Some("b x y"));
        assert_eq!(merge(&mut past, 2, "b z", "a b x y", 3).as_deref(), Some("b x y z"));
        assert_eq!(merge(&mut past, 1, "q", "a b x y", 3).as_deref(), Some("a b x y q"), "lists begin empty");
    }

    #[test]
    fn entries_that_are_there_twice_are_counted() {
        let mut past = past(&["a a", "a"]);
        assert_eq!(merge(&mut past, 2, "a a a", "a", 2).as_deref(), Some("a a"));
        assert_eq!(merge(&mut past, 2, "", "a", 2).as_deref(), Some(""));
    }

    #[test]
    fn what_two_do_alike_is_done_once() {
        let mut past = past(&["a b", "a b x", "b x"]);
        assert_eq!(merge(&mut past, 2, "a b x", "b x", 3).as_deref(), Some("b x"));
        assert_eq!(merge(&mut past, 2, "b", "b x", 3).as_deref(), Some("b x"));
        // It wrote p as 1, took x in as 1, missed itself and added p again.
        let mut past = self::past(&["x"]);
        merge(&mut past, 1, "p", "x", 1).unwrap();
        past.note(Time(0), 2, count(&list("p")));
        assert_eq!(merge(&mut past, 2, "x p", "x p", 2).as_deref(), Some("x p"));
    }

    #[test]
    fn places_are_kept_where_they_can() {
        let mut past = past(&["a b c", "a b c x"]);
        assert_eq!(merge(&mut past, 2, "n a b c", "a b c x", 2).as_deref(), Some("n a b c x"));
        assert_eq!(merge(&mut past, 2, "a n m b c", "a b c x", 2).as_deref(), Some("a n m b c x"));
        assert_eq!(merge(&mut past, 2, "c b a", "a b c x", 2).as_deref(), Some("a b c x"), "moves are lost");
        let mut past = Past::default();
        past.note(Time(0), 1, count(&list("a b")));
        past.note(Time(0), 2, Counts::new());
        assert_eq!(merge(&mut past, 2, "b a", "a b", 2).as_deref(), Some("b a"), "unless nothing else changed");
    }

    #[test]
    fn a_writer_that_writes_on_before_it_is_told_loses_nothing() {
        // The list was empty at 0; another wrote "x" as 1. The writer, seeing the empty list, adds p, then q, then
        // removes p, as versions 1, 2 and 3.
        let mut past = past(&["x"]);
        let merged = merge(&mut past, 1, "p", "x", 1).unwrap();
        past.note(Time(0), 2, count(&list("p")));
        assert_eq!(merged, "x p");
        let merged = merge(&mut past, 2, "p q", "x p", 2).unwrap();
        past.note(Time(0), 3, count(&list("q")));
        assert_eq!(merged, "x p q", "x was not removed: the writer never had it");
        let merged = merge(&mut past, 3, "q", "x p q", 3).unwrap();
        assert_eq!(merged, "x q");
    }

    #[test]
    fn a_writer_that_has_seen_the_update_starts_from_it() {
        let mut past = past(&["x"]);
        merge(&mut past, 1, "p", "x", 1).unwrap();
        past.note(Time(0), 2, count(&list("p")));
        // It took version 1, "x", in, which replaced its own copy, and adds q.
        assert_eq!(merge(&mut past, 2, "x q", "x p", 2).as_deref(), Some("x p q"));
    }

    #[test]
    fn age_decides_where_both_are_as_likely() {
        for (age, result) in [(0, "x"), (limits::SURELY_SEEN.0, "p")] {
            let mut past = past(&["x"]);
            merge(&mut past, 1, "p", "x", 1).unwrap();
            past.note(Time(0), 2, count(&list("p")));
            // Either it removed its own p again, or it saw x in its place and removed that.
            let merged = past.merge(Time(age), A, 2, &[], &list("x p"), 2).unwrap();
            assert_eq!(merged.entries.join(" "), result);
        }
    }

    #[test]
    fn what_is_forgotten_cannot_be_merged() {
        let mut past = Past::default();
        for version in 1..=limits::HISTORY as u64 + 10 {
            past.note(Time(0), version, count(&[format!("e{version}")]));
        }
        let at = limits::HISTORY as u64 + 10;
        assert!(past.bytes <= limits::HISTORY_BYTES && past.deltas.len() <= limits::HISTORY);
        assert!(past.merge(Time(0), A, 2, &list("a"), &[], at).is_none());
        assert!(past.merge(Time(0), A, at, &list("a"), &[], at).is_some());
        past.note(Time(0), at + 1, count(&["x".repeat(limits::HISTORY_BYTES)]));
        assert_eq!((past.deltas.len(), past.bytes), (0, 0));
    }
}
