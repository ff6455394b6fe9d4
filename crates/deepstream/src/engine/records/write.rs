//! Writes to records: the rule of versions, and how lists are spared from it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Record, Records, disown};
use crate::{
    engine::{
        ConnId,
        list::{self, Counts},
        outbox::{Outbox, Peer},
    },
    json::{self, Kind, splice},
    limits,
    message::{Change, Problem, Reply, Write},
    name::Name,
    payload::Payload,
    time::Time,
};

/// What a write makes of a record.
struct Outcome {
    json: Arc<str>,
    /// Where it is a list: how the entries change, and what of that was meant.
    list: Option<(Counts, Counts)>,
    /// Whether it was a list before.
    was_list: bool,
    /// Whether the writer's own copy is something else.
    is_merged: bool,
}

impl Records {
    /// Carries out a write, and tells the writer what became of it, and everybody else what changed. A writer that may
    /// not read is not told what it conflicts with.
    pub(crate) fn write(&mut self, now: Time, peer: Peer, write: Write, may_read: bool, out: &mut Outbox) {
        let name = &write.name;
        let is_new = !self.contains(name);
        if is_new && !write.creates() {
            return refuse(peer, &write, Problem::RecordNotFound, out);
        }
        if is_new && !self.create(name) {
            return refuse(peer, &write, Problem::Denied, out);
        }
        out.charge(self.work(&write));
        let outcome = match self.outcome(now, peer.conn, &write) {
            Ok(outcome) => outcome,
            Err(Problem::Conflict) if !may_read => {
                out.counters.conflicts += 1;
                return refuse(peer, &write, Problem::Denied, out);
            }
            Err(problem) => {
                self.tell_failed(peer, &write, problem, out);
                return self.drop_unused(name);
            }
        };
        if let Err(problem) = self.fits(name, &outcome.json) {
            refuse(peer, &write, problem, out);
            return self.drop_unused(name);
        }
        if let Some(past) = self.records.get_mut(name).and_then(|record| record.past.as_mut())
            && !self.registry.contains(peer, name)
        {
            // Who is not subscribed has no copy, and would not be forgotten when it goes.
            past.forget(peer.conn);
        }
        let is_merged = outcome.is_merged;
        out.counters.merged += u64::from(is_merged);
        let Some((version, json)) = self.commit(now, name, peer.conn, outcome) else { return };
        self.tell_written(peer, &write, version, &json, is_merged, out);
        let ack = write.ack.map(|ack| (peer, ack));
        let is_kept = !self.is_ephemeral(name);
        self.store.written(name, version, &json, is_kept, ack, out);
        self.drop_unused(name);
    }

    /// What a write takes: all of it and of the record is read and written.
    fn work(&self, write: &Write) -> u64 {
        let Some(record) = self.records.get(&write.name) else { return 0 };
        let written = match &write.change {
            Change::Whole(json) => json.len(),
            Change::At(_, payload) => payload.as_ref().map_or(0, Payload::len),
        };
        let is_list = json::kind(&record.json) == Kind::Array;
        // Each stands between two quotes.
        let entries = if is_list { record.json.bytes().filter(|byte| *byte == b'"').count() / 2 } else { 0 };
        let remembered = record.past.as_ref().map_or(0, |past| past.bytes());
        let bytes = record.json.len() + written + remembered;
        bytes as u64 * limits::WRITE_PASSES + entries as u64 * limits::ENTRY_WORK
    }

    /// Removes the entries of a connection that is gone.
    pub(super) fn leave(&mut self, now: Time, conn: ConnId, name: &Name, out: &mut Outbox) {
        let Some(record) = self.records.get_mut(name) else { return };
        let (Some(owners), Some(entries)) = (&mut record.owners, json::entries(&record.json)) else { return };
        let gone = owners.leave(conn, &list::count(&entries));
        if !gone.is_empty() {
            let delta: Counts = gone.iter().map(|(entry, times)| (entry.clone(), -times)).collect();
            let json: Arc<str> = json::write(&list::without(&entries, gone)).into();
            let outcome = Outcome { json, list: Some((delta, Counts::new())), was_list: true, is_merged: true };
            if let Some((version, json)) = self.commit(now, name, conn, outcome)
                && let Some(to) = self.registry.recipients(name)
            {
                out.tell(to, None, &Reply::Updated { name, version, json: &json });
            }
        }
        self.drop_unused(name);
    }

    /// What a write would make of a record.
    fn outcome(&mut self, now: Time, writer: ConnId, write: &Write) -> Result<Outcome, Problem> {
        let record = self.records.get_mut(&write.name).ok_or(Problem::RecordNotFound)?;
        let next = record.version + 1;
        // Whoever wants to overwrite whatever there is writes what is next.
        let version = if write.version == Write::NEXT { next } else { u64::try_from(write.version).unwrap_or(0) };
        if version > next {
            return Err(Problem::InvalidVersion);
        }
        let lists = match &write.change {
            Change::Whole(json) if json::kind(json) == Kind::Array => {
                json::entries(json).zip(json::entries(&record.json))
            }
            _ => None,
        };
        if let Some((wanted, current)) = &lists
            && let Some(outcome) = merged(record, now, writer, version, wanted, current)
        {
            return Ok(outcome);
        }
        if version != next {
            return Err(Problem::Conflict);
        }
        if let Some(past) = &mut record.past {
            past.forget(writer);
        }
        let json = changed(&record.json, &write.change)?;
        let new = if json::kind(&json) == Kind::Array { json::entries(&json) } else { None };
        let old = if new.is_some() { json::entries(&record.json) } else { None };
        let was_list = old.is_some();
        let old = list::count(&old.unwrap_or_default());
        let delta = new.map(|new| list::difference(&old, &list::count(&new)));
        let list = delta.map(|delta| (delta.clone(), delta));
        Ok(Outcome { json: json.into(), list, was_list, is_merged: false })
    }

    /// Makes a record what a write made of it.
    fn commit(&mut self, now: Time, name: &Name, writer: ConnId, outcome: Outcome) -> Option<(u64, Arc<str>)> {
        let Outcome { json, list, was_list, .. } = outcome;
        let record = self.records.get_mut(name)?;
        self.bytes = self.bytes - record.json.len() + json.len();
        record.version += 1;
        record.json = json.clone();
        if !was_list || list.is_none() {
            self.pasts -= record.past.take().map_or(0, |past| past.bytes());
            let lost = record.owners.as_mut().map(|owners| owners.clear());
            disown(&mut self.owned, name, lost.unwrap_or_default());
        }
        let Some((delta, change)) = list else { return Some((record.version, json)) };
        let past = record.past.get_or_insert_default();
        self.pasts -= past.bytes();
        past.note(now, record.version, delta);
        self.pasts += past.bytes();
        if let Some(owners) = &mut record.owners {
            let entries = json::entries(&json).unwrap_or_default();
            let lost = owners.note(writer, &change, &list::count(&entries));
            disown(&mut self.owned, name, lost);
            if owners.has_any(writer) {
                self.owned.entry(writer).or_default().insert(name.clone());
            }
        }
        let version = record.version;
        self.forget_pasts();
        Some((version, json))
    }

    fn fits(&self, name: &Name, json: &str) -> Result<(), Problem> {
        let before = self.records.get(name).map_or(0, |record| record.json.len());
        let bytes = self.bytes - before + json.len();
        if json.len() > self.record_max || bytes > self.bytes_max { Err(Problem::UpdateFailed) } else { Ok(()) }
    }

    fn tell_written(&self, peer: Peer, write: &Write, version: u64, json: &str, is_merged: bool, out: &mut Outbox) {
        let name = write.name.as_str();
        let Some(to) = self.registry.recipients(name) else { return };
        let updated = Reply::Updated { name, version, json };
        match &write.change {
            _ if is_merged => out.tell(to, None, &updated),
            // Clients' lists take no patches: the older client's throw.
            Change::At(path, payload) if json::kind(json) == Kind::Object => {
                let (path, payload) = (path.as_str(), payload.as_ref());
                out.tell(to, Some(peer.conn), &Reply::Patched { name, version, path, payload });
            }
            _ => out.tell(to, Some(peer.conn), &updated),
        }
    }

    fn tell_failed(&self, peer: Peer, write: &Write, problem: Problem, out: &mut Outbox) {
        let (name, ack) = (write.name.as_str(), write.ack.as_ref());
        let Some((version, json)) = self.get(name).filter(|_| problem == Problem::Conflict) else {
            refuse(peer, write, problem, out);
            // Its copy is ahead, because a write before was refused, and would stay so: it is brought back.
            if let Some((version, json)) = self.get(name).filter(|_| problem == Problem::InvalidVersion)
                && self.registry.contains(peer, name)
            {
                out.send(peer, &Reply::Updated { name, version, json });
            }
            return;
        };
        out.counters.conflicts += 1;
        out.send(peer, &Reply::Conflict { name, version, json, action: write.action, ack });
        // The newer client merges, but never tells the writer. The older one tells it by itself.
        if let Some(ack) = ack.filter(|ack| ack.id.is_some()) {
            out.send(peer, &Reply::Written { name, ack, problem: Some(problem) });
        }
    }
}

/// What becomes of a list where a write to it is to be merged; `None` where it is not, or cannot be.
fn merged(
    record: &mut Record,
    now: Time,
    writer: ConnId,
    version: u64,
    wanted: &[String],
    current: &[String],
) -> Option<Outcome> {
    let past = record.past.get_or_insert_default();
    let is_late = version <= record.version;
    // A connection without an entry that keeps none of the others' did not remove them: it did not know them. The
    // newer client's list writes so where it is changed before it is loaded.
    let is_stranger = record.owners.as_ref().is_some_and(|owners| !owners.has_any(writer));
    let knows_none = || {
        let known: BTreeSet<&String> = current.iter().collect();
        !wanted.is_empty() && !known.is_empty() && !wanted.iter().any(|entry| known.contains(entry))
    };
    let merged = if is_stranger && knows_none() {
        past.add_only(writer, wanted, current)
    } else if is_late {
        match past.merge(now, writer, version, wanted, current, record.version) {
            Some(merged) => merged,
            None if record.owners.is_some() => past.add_only(writer, wanted, current),
            None => return None,
        }
    } else {
        return None;
    };
    let json = json::write(&merged.entries).into();
    Some(Outcome { json, list: Some((merged.delta, merged.change)), was_list: true, is_merged: true })
}

fn changed(json: &str, change: &Change) -> Result<String, Problem> {
    match change {
        Change::Whole(json) => Ok(json.clone()),
        Change::At(path, Some(payload)) => {
            let value = payload.to_json().ok_or(Problem::InvalidData)?;
            splice::set(json, path, &value).map_err(|_| Problem::InvalidData)
        }
        Change::At(path, None) => splice::remove(json, path).map_err(|_| Problem::InvalidData),
    }
}

/// Tells a writer that nothing was written.
pub(crate) fn refuse(peer: Peer, write: &Write, problem: Problem, out: &mut Outbox) {
    let name = write.name.as_str();
    match &write.ack {
        Some(ack) => out.send(peer, &Reply::Written { name, ack, problem: Some(problem) }),
        None => out.send(peer, &Reply::Problem { problem, action: write.action, name: Some(name), id: None }),
    }
}
