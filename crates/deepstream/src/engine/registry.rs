//! Who is subscribed to which names.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::{ConnId, outbox::Peer};
use crate::{name::Name, wire::Wire};

/// Connections that are sent the same: by protocol, so that a message is encoded once for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipients {
    text: Vec<ConnId>,
    protobuf: Vec<ConnId>,
}

/// Names, and who is subscribed to each. A name is here as long as somebody is.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: BTreeMap<Name, Recipients>,
    of: BTreeMap<ConnId, BTreeSet<Name>>,
}

impl Recipients {
    /// The connections that speak a protocol, in order.
    pub(crate) fn of(&self, wire: Wire) -> &[ConnId] {
        match wire {
            Wire::Text => &self.text,
            Wire::Protobuf => &self.protobuf,
        }
    }

    /// All of them.
    pub(crate) fn peers(&self) -> impl Iterator<Item = Peer> {
        let all = |wire| self.of(wire).iter().map(move |conn| Peer { conn: *conn, wire });
        all(Wire::Text).chain(all(Wire::Protobuf))
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + self.protobuf.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn contains(&self, peer: Peer) -> bool {
        self.of(peer.wire).binary_search(&peer.conn).is_ok()
    }

    /// Whether it was not there.
    pub(crate) fn insert(&mut self, peer: Peer) -> bool {
        let conns = self.of_mut(peer.wire);
        let Err(at) = conns.binary_search(&peer.conn) else { return false };
        conns.insert(at, peer.conn);
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, peer: Peer) -> bool {
        let conns = self.of_mut(peer.wire);
        let Ok(at) = conns.binary_search(&peer.conn) else { return false };
        conns.remove(at);
        true
    }

    fn of_mut(&mut self, wire: Wire) -> &mut Vec<ConnId> {
        match wire {
            Wire::Text => &mut self.text,
            Wire::Protobuf => &mut self.protobuf,
        }
    }
}

impl Registry {
    /// Adds a subscription. `None` where it was there, else whether it is the first to that name.
    pub(crate) fn add(&mut self, peer: Peer, name: &Name) -> Option<bool> {
        if !self.of.entry(peer.conn).or_default().insert(name.clone()) {
            return None;
        }
        let recipients = self.names.entry(name.clone()).or_default();
        let is_first = recipients.is_empty();
        recipients.insert(peer);
        Some(is_first)
    }

    /// Removes a subscription. `None` where it was not there, else whether it was the last to that name.
    pub(crate) fn remove(&mut self, peer: Peer, name: &str) -> Option<bool> {
        let names = self.of.get_mut(&peer.conn)?;
        if !names.remove(name) {
            return None;
        }
        if names.is_empty() {
            self.of.remove(&peer.conn);
        }
        let recipients = self.names.get_mut(name)?;
        recipients.remove(peer);
        let is_last = recipients.is_empty();
        if is_last {
            self.names.remove(name);
        }
        Some(is_last)
    }

    /// Ends all subscriptions to a name. They are returned.
    pub(crate) fn remove_name(&mut self, name: &str) -> Recipients {
        let recipients = self.names.remove(name).unwrap_or_default();
        for peer in recipients.peers() {
            if let Some(names) = self.of.get_mut(&peer.conn) {
                names.remove(name);
                if names.is_empty() {
                    self.of.remove(&peer.conn);
                }
            }
        }
        recipients
    }

    /// What a connection is subscribed to.
    pub(crate) fn names_of(&self, conn: ConnId) -> Vec<Name> {
        self.of.get(&conn).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }

    /// How much a connection is subscribed to.
    pub(crate) fn count(&self, conn: ConnId) -> usize {
        self.of.get(&conn).map_or(0, BTreeSet::len)
    }

    /// Who is subscribed to a name.
    pub(crate) fn recipients(&self, name: &str) -> Option<&Recipients> {
        self.names.get(name)
    }

    pub(crate) fn contains(&self, peer: Peer, name: &str) -> bool {
        self.names.get(name).is_some_and(|recipients| recipients.contains(peer))
    }

    /// The names that somebody is subscribed to, in order, from behind one on.
    pub(crate) fn names_after<'a>(&'a self, after: Option<&Name>) -> impl Iterator<Item = &'a Name> + use<'a> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        self.names.range((from, Bound::Unbounded)).map(|(name, _)| name)
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        let pairs = self.of.iter().flat_map(|(conn, names)| names.iter().map(move |name| (name.clone(), *conn)));
        let by_conn: BTreeSet<(Name, ConnId)> = pairs.collect();
        let pairs = self.names.iter().flat_map(|(name, to)| to.peers().map(move |peer| (name.clone(), peer.conn)));
        assert_eq!(by_conn, pairs.collect());
        assert!(self.names.values().all(|recipients| !recipients.is_empty()));
        assert!(self.of.values().all(|names| !names.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(conn: u64) -> Peer {
        Peer { conn: ConnId(conn), wire: if conn.is_multiple_of(2) { Wire::Text } else { Wire::Protobuf } }
    }

    #[test]
    fn first_and_last_are_told() {
        let mut registry = Registry::default();
        let name = Name::new("a").unwrap();
        assert_eq!(registry.add(peer(1), &name), Some(true));
        assert_eq!(registry.add(peer(1), &name), None);
        assert_eq!(registry.add(peer(2), &name), Some(false));
        assert_eq!(registry.recipients("a").unwrap().of(Wire::Text), [ConnId(2)]);
        assert_eq!(registry.remove(peer(1), "a"), Some(false));
        assert_eq!(registry.remove(peer(1), "a"), None);
        assert_eq!(registry.remove(peer(2), "a"), Some(true));
        assert!(registry.recipients("a").is_none());
        registry.check();
    }

    #[test]
    fn a_hundred_thousand_names_cost_no_more_than_their_logarithm() {
        let mut registry = Registry::default();
        let names: Vec<Name> = (0..100_000).map(|at| Name::new(&format!("signal/{at}")).unwrap()).collect();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(registry.add(peer(at as u64 % 64), name), Some(true));
        }
        assert_eq!(registry.names_after(Some(&names[99_999])).count(), 0);
        for conn in 0..64 {
            for name in registry.names_of(ConnId(conn)) {
                assert_eq!(registry.remove(peer(conn), &name), Some(true));
            }
        }
        registry.check();
        assert_eq!(registry.names_after(None).count(), 0);
    }
}
