//! Records, lists among them: what they are, who is subscribed to them, and how they come and go.

mod owners;
mod store;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_core::RngCore;

use super::{
    Config, ConnId, Loaded,
    list::Past,
    listening::Listening,
    outbox::{Outbox, Peer},
    registry::Registry,
};
use crate::{
    json, limits,
    message::{Action, Problem, Reply, Topic},
    name::Name,
    pattern::Pattern,
    time::Time,
};
use owners::Owners;
pub(crate) use store::Store;
pub(crate) use write::refuse;

/// What a record is at first. Clients see an empty list in it, too.
const EMPTY: &str = "{}";

/// All records.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) registry: Registry,
    pub(crate) listening: Listening,
    pub(crate) store: Store,
    records: BTreeMap<Name, Record>,
    /// Bytes in all names and values.
    bytes: usize,
    /// Bytes in what lists remember.
    pasts: usize,
    /// The ephemeral lists that a connection may have entries in.
    owned: BTreeMap<ConnId, BTreeSet<Name>>,
    ephemeral: Vec<Pattern>,
    /// Chooses at what versions ephemeral lists begin.
    rng: ChaCha8Rng,
    /// The server's own.
    reserved: Option<Pattern>,
    records_max: usize,
    bytes_max: usize,
    record_max: usize,
}

#[derive(Debug)]
struct Record {
    /// How often it was written, on top of `start`.
    version: u64,
    /// Its version before it was written for the first time: 0, but for ephemeral lists.
    start: u64,
    /// An object or an array.
    json: Arc<str>,
    /// For lists.
    past: Option<Box<Past>>,
    /// For lists whose entries go with the connections that added them.
    owners: Option<Box<Owners>>,
}

impl Records {
    pub(crate) fn new(config: &Config, seed: u64) -> Records {
        Records {
            registry: Registry::default(),
            listening: Listening::new(Topic::Record, config.listen_timeout, config.permissions.clone()),
            store: Store::new(config.persist),
            records: BTreeMap::new(),
            bytes: 0,
            pasts: 0,
            owned: BTreeMap::new(),
            ephemeral: config.ephemeral.clone(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            reserved: config.reserved.clone(),
            records_max: config.records_max,
            bytes_max: config.records_bytes_max,
            record_max: config.record_max,
        }
    }

    /// A record's version and value.
    pub(crate) fn get(&self, name: &str) -> Option<(u64, &Arc<str>)> {
        self.records.get(name).map(|record| (record.version, &record.json))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.records.contains_key(name)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Takes in a record from the store. What is here already is newer. What has become ephemeral since it was stored,
    /// or the server's own, is deleted there: its entries would be ghosts when it is not any more.
    pub(crate) fn load(&mut self, loaded: Loaded, out: &mut Outbox) {
        if self.is_own(&loaded.name) || self.is_ephemeral(&loaded.name) {
            self.store.clear(&loaded.name, out);
        } else {
            self.keep(loaded);
        }
    }

    /// Takes in a record that there was before.
    pub(crate) fn keep(&mut self, loaded: Loaded) {
        let Loaded { name, version, json } = loaded;
        if json::check_record(&json).is_ok() && !self.contains(&name) && !self.is_ephemeral(&name) {
            self.bytes += name.len() + json.len();
            self.records.insert(name, Record { version, start: 0, json, past: None, owners: None });
        }
    }

    /// Takes all records that say something out, whatever state the rest is in.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Loaded> {
        let records = std::mem::take(&mut self.records).into_iter().filter(|(_, record)| record.is_written());
        records.map(|(name, Record { version, json, .. })| Loaded { name, version, json })
    }

    /// Whether who comes back to this is to find it, though it is not there. The newer client asks for the version only
    /// then, and takes a record that is not there for deleted: an ephemeral list that was forgotten is just empty, and
    /// its clients add themselves again.
    pub(crate) fn revives(&self, how: Action, name: &Name) -> bool {
        how == Action::OpenHead && self.is_ephemeral(name) && !self.contains(name)
    }

    /// Subscribes to a record, creating it where `creates` says so.
    pub(crate) fn open(
        &mut self,
        now: Time,
        peer: Peer,
        (how, creates): (Action, bool),
        name: &Name,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        if creates && !self.create(name) && how == Action::Open {
            return Err(Problem::Denied);
        }
        if how == Action::OpenRead && !self.contains(name) {
            return Err(Problem::RecordNotFound);
        }
        if self.registry.add(peer, name) == Some(true) {
            self.listening.wanted(now, name, out);
        }
        Ok(())
    }

    /// Tells a new subscriber what it is subscribed to.
    pub(crate) fn tell(&self, peer: Peer, how: Action, names: &[Name], out: &mut Outbox) {
        match how {
            Action::OpenHead | Action::Heads => {
                let versions: Vec<_> = names.iter().map(|name| (name.clone(), self.version(name))).collect();
                out.send(peer, &Reply::Versions(&versions));
            }
            _ => {
                for name in names {
                    if out.is_full() {
                        return;
                    }
                    if let Some((version, json)) = self.get(name) {
                        out.send(peer, &Reply::Record { name, version, json });
                    }
                }
            }
        }
        if how != Action::Heads {
            for name in names.iter().filter(|name| self.listening.is_provided(name)) {
                out.send(peer, &Reply::Provided { name, provided: true });
            }
        }
    }

    /// A record's version, if there is one.
    pub(crate) fn version(&self, name: &str) -> Option<u64> {
        self.records.get(name).map(|record| record.version)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, peer: Peer, name: &Name, out: &mut Outbox) {
        let Some(is_last) = self.registry.remove(peer, name) else { return };
        if let Some(past) = self.records.get_mut(name).and_then(|record| record.past.as_mut()) {
            past.forget(peer.conn);
        }
        if is_last {
            self.listening.unwanted(name, out);
            self.drop_unused(name);
        }
    }

    /// Deletes a record. All subscriptions to it end.
    pub(crate) fn delete(&mut self, peer: Peer, name: &Name, out: &mut Outbox) {
        let Some(record) = self.records.remove(name) else {
            return out.send(peer, &Reply::DeleteDone(name));
        };
        self.forget(name, &record);
        let subscribers = self.registry.remove_name(name);
        out.tell(&subscribers, Some(peer.conn), &Reply::Deleted(name));
        if !subscribers.is_empty() {
            self.listening.unwanted(name, out);
        }
        let is_stored = !self.is_ephemeral(name) && record.version > 0;
        self.store.deleted(peer, name, is_stored, out);
    }

    /// A connection is gone, and with it its subscriptions, and its entries in ephemeral lists.
    pub(crate) fn closed(&mut self, now: Time, peer: Peer, out: &mut Outbox) {
        let left = self.listening.leave(peer.conn);
        for name in self.registry.names_of(peer.conn) {
            self.unsubscribe(peer, &name, out);
        }
        self.listening.pass_on_all(now, left, &self.registry, out);
        for name in self.owned.remove(&peer.conn).unwrap_or_default() {
            self.leave(now, peer.conn, &name, out);
        }
        self.store.closed(peer.conn);
    }

    /// Makes a record of the server's own this. Nobody else writes to it, so that there is no conflict, and nothing to
    /// remember of it as a list.
    pub(crate) fn put(&mut self, name: &Name, json: Arc<str>, out: &mut Outbox) {
        let before = self.records.get(name).map_or(0, |record| name.len() + record.json.len());
        let empty = || Record { version: 0, start: 0, json: EMPTY.into(), past: None, owners: None };
        let record = self.records.entry(name.clone()).or_insert_with(empty);
        if record.is_written() && record.json == json {
            return;
        }
        self.bytes = self.bytes - before + name.len() + json.len();
        record.version += 1;
        record.json = json;
        let Record { version, json, .. } = record;
        if let Some(to) = self.registry.recipients(name) {
            out.tell(to, None, &Reply::Updated { name, version: *version, json });
        }
    }

    fn is_ephemeral(&self, name: &Name) -> bool {
        Pattern::any(&self.ephemeral, name) && !self.is_own(name)
    }

    /// Whether it is the server's own.
    fn is_own(&self, name: &Name) -> bool {
        self.reserved.as_ref().is_some_and(|pattern| pattern.matches(name, None))
    }

    /// Creates a record. False where there are as many as there may be.
    fn create(&mut self, name: &Name) -> bool {
        let bytes = self.bytes + name.len() + EMPTY.len();
        if self.records.len() >= self.records_max || bytes > self.bytes_max {
            return false;
        }
        self.bytes = bytes;
        let owners = self.is_ephemeral(name).then(Box::default);
        // Clients come back with copies of lists that were forgotten here, with everybody gone or with the server. The newer
        // client writes its copy, with all who were there, where it is one version ahead of what it finds: it must not be.
        let start = if owners.is_some() { u64::from(self.rng.next_u32() % limits::START_MAX) } else { 0 };
        self.records.insert(name.clone(), Record { version: start, start, json: EMPTY.into(), past: None, owners });
        true
    }

    /// Drops a record that nobody is subscribed to and that says nothing: it was never written, or is an ephemeral
    /// list that everybody has left.
    fn drop_unused(&mut self, name: &Name) {
        let Some(record) = self.records.get(name).filter(|_| self.registry.recipients(name).is_none()) else { return };
        let is_left = || record.owners.is_some() && json::is_empty_list(&record.json);
        if (!record.is_written() || is_left())
            && let Some(record) = self.records.remove(name)
        {
            self.forget(name, &record);
        }
    }

    /// A record is not there any more.
    fn forget(&mut self, name: &Name, record: &Record) {
        self.bytes -= name.len() + record.json.len();
        self.pasts -= record.past.as_ref().map_or(0, |past| past.bytes());
        disown(&mut self.owned, name, record.owners.iter().flat_map(|owners| owners.conns()));
    }

    /// Where lists remember more than they may together, has those that have not changed for longest forget it, until
    /// half of that is left: writes to them that come late are conflicts.
    fn forget_pasts(&mut self) {
        if self.pasts <= limits::HISTORIES_BYTES {
            return;
        }
        let past = |(name, record): (&Name, &Record)| Some((record.past.as_ref()?.changed(), name.clone()));
        let mut pasts: Vec<(Time, Name)> = self.records.iter().filter_map(past).collect();
        pasts.sort_unstable();
        for (_, name) in pasts {
            if self.pasts <= limits::HISTORIES_BYTES / 2 {
                break;
            }
            let past = self.records.get_mut(&name).and_then(|record| record.past.take());
            self.pasts -= past.map_or(0, |past| past.bytes());
        }
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        let pasts = self.records.values().filter_map(|record| record.past.as_ref());
        assert_eq!(self.pasts, pasts.map(|past| past.bytes()).sum::<usize>());
        assert!(self.pasts <= limits::HISTORIES_BYTES);
        self.registry.check();
        self.listening.check(&self.registry);
        let bytes = self.records.iter().map(|(name, record)| name.len() + record.json.len());
        assert_eq!(self.bytes, bytes.sum::<usize>());
        let own: Vec<_> = self.records.iter().filter(|(name, _)| self.is_own(name)).collect();
        let own_bytes: usize = own.iter().map(|(name, record)| name.len() + record.json.len()).sum();
        assert!(self.records.len() - own.len() <= self.records_max && self.bytes - own_bytes <= self.bytes_max);
        for (name, record) in &self.records {
            assert!(record.json.len() <= self.record_max.max(EMPTY.len()) || self.is_own(name));
            assert!(json::check_record(&record.json).is_ok(), "{}", record.json);
            assert!(record.is_written() || self.registry.recipients(name).is_some(), "{name} is of no use");
            let mut writers = record.past.iter().flat_map(|past| past.writers());
            assert!(writers.all(|conn| self.registry.names_of(conn).contains(name)), "{name} remembers who is gone");
            if let Some(owners) = &record.owners {
                let counts = json::entries(&record.json).map(|list| super::list::count(&list));
                let is_left = counts.as_ref().is_some_and(super::list::Counts::is_empty);
                assert!(!is_left || self.registry.recipients(name).is_some(), "{name} is left by all");
                owners.check(&counts.unwrap_or_default());
                assert!(owners.conns().iter().all(|conn| self.owned[conn].contains(name)));
            }
        }
        let owners_of = |name| self.records.get(name).and_then(|record: &Record| record.owners.as_ref());
        for (conn, names) in &self.owned {
            assert!(!names.is_empty());
            assert!(names.iter().all(|name| owners_of(name).is_some_and(|owners| owners.has_any(*conn))));
        }
    }

    #[cfg(test)]
    pub(crate) fn owns_nothing(&self, conn: ConnId) -> bool {
        !self.owned.contains_key(&conn)
            && self.records.values().flat_map(|record| &record.owners).all(|owners| !owners.conns().contains(&conn))
    }
}

impl Record {
    fn is_written(&self) -> bool {
        self.version > self.start
    }
}

/// Notes that connections have no entries in a list any more.
fn disown(owned: &mut BTreeMap<ConnId, BTreeSet<Name>>, name: &Name, conns: impl IntoIterator<Item = ConnId>) {
    for conn in conns {
        if let Some(names) = owned.get_mut(&conn) {
            names.remove(name);
            if names.is_empty() {
                owned.remove(&conn);
            }
        }
    }
}
