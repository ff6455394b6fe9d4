//! What lossy channels promise: the newest value of a `latest` channel arrives, none after a newer one; no datagram
//! comes twice.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct LossyCheck {
    /// By sender and channel: values published.
    published: BTreeMap<(usize, String), u64>,
    /// By receiver, sender and channel: the newest value.
    seen: BTreeMap<(usize, usize, String), u64>,
    sent: BTreeMap<usize, u64>,
    /// Receiver, sender, number.
    received: BTreeSet<(usize, usize, u64)>,
}

impl LossyCheck {
    /// A value is published: its number.
    pub(crate) fn published(&mut self, from: usize, channel: &str) -> u64 {
        let count = self.published.entry((from, channel.to_owned())).or_default();
        *count += 1;
        *count
    }

    /// A value came: what is wrong with it, if anything is. The same one may come again after a parting.
    pub(crate) fn seen(&mut self, at: usize, from: usize, channel: &str, number: u64) -> Option<String> {
        let newest = self.seen.entry((at, from, channel.to_owned())).or_default();
        let odd = (number < *newest).then(|| format!("gets value {number} of {from} after {newest}"));
        *newest = (*newest).max(number);
        odd
    }

    /// A datagram is sent: its number.
    pub(crate) fn sent(&mut self, from: usize) -> u64 {
        let count = self.sent.entry(from).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn received(&mut self, at: usize, from: usize, number: u64) -> Option<String> {
        (!self.received.insert((at, from, number))).then(|| format!("gets datagram {number} of {from} twice"))
    }

    /// Part of the datagrams that came, were there no loss and nobody absent.
    pub(crate) fn datagrams(&self) -> (u64, u64) {
        (self.sent.values().sum(), self.received.len() as u64)
    }

    /// A newest value that somebody who stands has not seen.
    pub(crate) fn outstanding(&self, standing: &[usize]) -> Option<String> {
        let published = self.published.iter().filter(|((from, _), _)| standing.contains(from));
        published.into_iter().find_map(|((from, channel), newest)| {
            let others = standing.iter().filter(|at| *at != from);
            let behind = others
                .into_iter()
                .find(|at| self.seen.get(&(**at, *from, channel.clone())).is_none_or(|seen| seen < newest))?;
            Some(format!("{behind} waits for the newest value of {from} on {channel}"))
        })
    }
}
