//! Listeners: clients that want to know which names others are subscribed to, and look after those they accept.
//!
//! A name that is subscribed to is offered to one listener at a time whose pattern matches, in the order in which they
//! began to listen, until one accepts. When that one goes, the name is offered anew. A listener that begins is offered
//! the names that nobody looks after, a limited number of them at a time, so that it is not flooded.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regex::{Regex, RegexBuilder};

use super::{
    ConnId,
    outbox::{Outbox, Peer},
    registry::Registry,
    session::Session,
};
use crate::{
    limits,
    message::{Problem, Reply, Topic},
    name::Name,
    permission::{Permissions, Right},
    time::{Micros, Time},
};

/// The listeners of a topic.
#[derive(Debug)]
pub(crate) struct Listening {
    topic: Topic,
    timeout: Micros,
    permissions: Permissions,
    patterns: BTreeMap<Name, Pattern>,
    listeners: BTreeMap<ConnId, Listener>,
    /// Names that are offered or looked after.
    names: BTreeMap<Name, State>,
    /// When offers end.
    due: BTreeSet<(Time, Name)>,
    /// Listeners that have not been offered all that there was when they began.
    scans: BTreeMap<Turn, Scan>,
    /// When to go on with those.
    scan_due: Option<Time>,
    next: Turn,
}

/// The order in which listeners began, one number for each pattern of each.
type Turn = u64;

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    peers: BTreeMap<Turn, Peer>,
}

#[derive(Debug, Default)]
struct Listener {
    user: Option<Name>,
    role: Option<Arc<str>>,
    patterns: BTreeMap<Name, Turn>,
    /// What is offered to it, or looked after by it.
    names: BTreeSet<Name>,
    /// How many of these are offered.
    offers: usize,
}

#[derive(Clone, Debug)]
struct Holder {
    turn: Turn,
    peer: Peer,
    pattern: Name,
}

#[derive(Clone, Debug)]
enum State {
    Offered { to: Holder, until: Time },
    Provided { by: Holder },
}

#[derive(Debug)]
struct Scan {
    to: Holder,
    after: Option<Name>,
}

/// A name that a listener looked after, or was offered.
#[derive(Debug)]
pub(crate) struct Left {
    name: Name,
    was_provided: bool,
}

impl Listening {
    pub(crate) fn new(topic: Topic, timeout: Micros, permissions: Permissions) -> Listening {
        Listening {
            topic,
            timeout,
            permissions,
            patterns: BTreeMap::new(),
            listeners: BTreeMap::new(),
            names: BTreeMap::new(),
            due: BTreeSet::new(),
            scans: BTreeMap::new(),
            scan_due: None,
            next: 0,
        }
    }

    /// The right that it takes, to listen to a pattern and to be offered a name.
    pub(crate) fn right(&self) -> Right {
        if self.topic == Topic::Event { Right::EventListen } else { Right::RecordListen }
    }

    /// Somebody begins to listen.
    pub(crate) fn listen(&mut self, now: Time, peer: Peer, session: &Session, pattern: &Name) -> Result<(), Problem> {
        let listener = self.listeners.get(&peer.conn);
        if listener.is_some_and(|listener| listener.patterns.contains_key(pattern)) {
            return Err(Problem::MultipleSubscriptions);
        }
        let is_new = !self.patterns.contains_key(pattern);
        let is_too_much = listener.is_some_and(|listener| listener.patterns.len() >= limits::PATTERNS_EACH)
            || is_new && self.patterns.len() >= limits::PATTERNS;
        if is_too_much {
            return Err(Problem::Denied);
        }
        if is_new {
            let regex = compile(pattern).ok_or(Problem::InvalidListenPattern)?;
            self.patterns.insert(pattern.clone(), Pattern { regex, peers: BTreeMap::new() });
        }
        let turn = self.next;
        self.next += 1;
        if let Some(known) = self.patterns.get_mut(pattern) {
            known.peers.insert(turn, peer);
        }
        let listener = self.listeners.entry(peer.conn).or_default();
        listener.patterns.insert(pattern.clone(), turn);
        listener.user.clone_from(&session.user);
        listener.role.clone_from(&session.role);
        let to = Holder { turn, peer, pattern: pattern.clone() };
        self.scans.insert(turn, Scan { to, after: None });
        self.scan_due = Some(now);
        Ok(())
    }

    /// Somebody listens no more. It is told to leave what it looked after, which is offered to others.
    pub(crate) fn unlisten(
        &mut self,
        now: Time,
        peer: Peer,
        pattern: &Name,
        registry: &Registry,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        let listener = self.listeners.get_mut(&peer.conn).ok_or(Problem::NotSubscribed)?;
        let turn = listener.patterns.remove(pattern).ok_or(Problem::NotSubscribed)?;
        let is_last = listener.patterns.is_empty();
        let names: Vec<Name> = listener.names.iter().cloned().collect();
        self.forget(pattern, turn);
        for name in names {
            if self.names.get(&name).is_some_and(|state| state.holder().turn == turn) {
                out.send(peer, &Reply::Unwanted { topic: self.topic, pattern, name: &name });
                self.pass_on(now, &name, 0, registry, out);
            }
        }
        if is_last {
            self.listeners.remove(&peer.conn);
        }
        Ok(())
    }

    /// A connection is gone. What it leaves is to be passed on when its own subscriptions have ended, too.
    pub(crate) fn leave(&mut self, conn: ConnId) -> Vec<Left> {
        let Some(listener) = self.listeners.remove(&conn) else { return Vec::new() };
        for (pattern, turn) in &listener.patterns {
            self.forget(pattern, *turn);
        }
        let left = listener.names.into_iter().map(|name| {
            let was_provided = self.is_provided(&name);
            self.release(&name);
            Left { name, was_provided }
        });
        left.collect()
    }

    /// Offers what a listener has left to others.
    pub(crate) fn pass_on_all(&mut self, now: Time, left: Vec<Left>, registry: &Registry, out: &mut Outbox) {
        for Left { name, was_provided } in left {
            if was_provided {
                self.tell_provided(&name, false, registry, out);
            }
            if registry.recipients(&name).is_some() {
                self.offer_after(now, &name, 0, out);
            }
        }
    }

    /// Somebody is subscribed to a name that nobody was subscribed to.
    pub(crate) fn wanted(&mut self, now: Time, name: &Name, out: &mut Outbox) {
        self.offer_after(now, name, 0, out);
    }

    /// Nobody is subscribed to a name any more.
    pub(crate) fn unwanted(&mut self, name: &Name, out: &mut Outbox) {
        if let Some(holder) = self.release(name) {
            out.send(holder.peer, &Reply::Unwanted { topic: self.topic, pattern: &holder.pattern, name });
        }
    }

    /// Whether a listener looks after a name.
    pub(crate) fn is_provided(&self, name: &str) -> bool {
        matches!(self.names.get(name), Some(State::Provided { .. }))
    }

    /// A listener takes a name on. Late is better than nobody.
    pub(crate) fn accept(&mut self, peer: Peer, pattern: &Name, name: &Name, registry: &Registry, out: &mut Outbox) {
        let Some(turn) = self.turn(peer, pattern) else { return };
        let is_its_own = self.names.get(name).is_some_and(|state| state.holder().turn == turn);
        let is_wanted = registry.recipients(name).is_some() && self.is_for(peer.conn, pattern, name);
        if self.is_provided(name) && is_its_own {
            return;
        }
        if self.is_provided(name) || !is_wanted {
            return out.send(peer, &Reply::Unwanted { topic: self.topic, pattern, name });
        }
        self.release(name);
        if let Some(listener) = self.listeners.get_mut(&peer.conn) {
            listener.names.insert(name.clone());
        }
        self.names.insert(name.clone(), State::Provided { by: Holder { turn, peer, pattern: pattern.clone() } });
        self.tell_provided(name, true, registry, out);
    }

    /// A listener does not want a name, or not any more.
    pub(crate) fn reject(
        &mut self,
        now: Time,
        peer: Peer,
        pattern: &Name,
        name: &Name,
        registry: &Registry,
        out: &mut Outbox,
    ) {
        let Some(turn) = self.turn(peer, pattern) else { return };
        if self.names.get(name).is_some_and(|state| state.holder().turn == turn) {
            self.pass_on(now, name, turn + 1, registry, out);
        }
    }

    pub(crate) fn due(&self) -> Option<Time> {
        let offer = self.due.first().map(|(at, _)| *at);
        [offer, self.scan_due].into_iter().flatten().min()
    }

    /// Ends offers that nobody took in time, and makes more to new listeners.
    pub(crate) fn wake(&mut self, now: Time, registry: &Registry, out: &mut Outbox) {
        while let Some((at, name)) = self.due.first().cloned() {
            if at > now {
                break;
            }
            match self.names.get(&name) {
                Some(State::Offered { to, .. }) => {
                    let after = to.turn + 1;
                    self.pass_on(now, &name, after, registry, out);
                }
                _ => drop(self.due.pop_first()),
            }
        }
        if self.scan_due.take_if(|at| *at <= now).is_some() {
            self.scan(now, registry, out);
        }
    }

    // ---- names -----------------------------------------------------------------------------------------------------

    /// Takes a name from whom it is offered to or looked after by, and offers it to the next.
    fn pass_on(&mut self, now: Time, name: &Name, from: Turn, registry: &Registry, out: &mut Outbox) {
        let was_provided = self.is_provided(name);
        self.release(name);
        if was_provided {
            self.tell_provided(name, false, registry, out);
        }
        if registry.recipients(name).is_some() {
            self.offer_after(now, name, from, out);
        }
    }

    /// Offers a name to the first listener from a turn on.
    fn offer_after(&mut self, now: Time, name: &Name, from: Turn, out: &mut Outbox) {
        out.charge(self.patterns.len() as u64 * work(name));
        let matching = self.patterns.iter().filter(|(_, pattern)| pattern.regex.is_match(name));
        let first = matching.filter_map(|(text, pattern)| {
            let mut peers = pattern.peers.range(from..);
            let (turn, peer) = peers.find(|(_, peer)| self.may(peer.conn, name))?;
            Some((*turn, *peer, text))
        });
        if let Some((turn, peer, pattern)) = first.min_by_key(|(turn, ..)| *turn) {
            let to = Holder { turn, peer, pattern: pattern.clone() };
            self.offer(now, name, to, out);
        }
    }

    /// Whether a name can be offered to a listener, by one of its patterns.
    fn is_for(&self, conn: ConnId, pattern: &Name, name: &Name) -> bool {
        self.patterns.get(pattern).is_some_and(|pattern| pattern.regex.is_match(name)) && self.may(conn, name)
    }

    /// Whether a listener may learn of a name: a pattern can match more than its text says.
    fn may(&self, conn: ConnId, name: &Name) -> bool {
        let of = |Listener { user, role, .. }: &Listener| {
            self.permissions.allow(user.as_ref(), role.as_deref(), self.right(), name)
        };
        self.listeners.get(&conn).is_some_and(of)
    }

    fn offer(&mut self, now: Time, name: &Name, to: Holder, out: &mut Outbox) {
        out.send(to.peer, &Reply::Wanted { topic: self.topic, pattern: &to.pattern, name });
        if let Some(listener) = self.listeners.get_mut(&to.peer.conn) {
            listener.names.insert(name.clone());
            listener.offers += 1;
        }
        let until = now + self.timeout;
        self.due.insert((until, name.clone()));
        self.names.insert(name.clone(), State::Offered { to, until });
    }

    /// Makes a name nobody's. Returns whose it was.
    fn release(&mut self, name: &Name) -> Option<Holder> {
        let state = self.names.remove(name)?;
        let listener = self.listeners.get_mut(&state.holder().peer.conn);
        if let Some(listener) = listener {
            listener.names.remove(name);
            if matches!(state, State::Offered { .. }) {
                listener.offers -= 1;
                let has_room = listener.offers <= limits::OFFERS / 2;
                // Whichever of its patterns waits: they share the room.
                if has_room && listener.patterns.values().any(|turn| self.scans.contains_key(turn)) {
                    // Its answer makes room: at once, which is any time that has come.
                    self.scan_due = Some(Time(0));
                }
            }
        }
        Some(match state {
            State::Offered { to, until } => {
                self.due.remove(&(until, name.clone()));
                to
            }
            State::Provided { by } => by,
        })
    }

    fn tell_provided(&self, name: &Name, provided: bool, registry: &Registry, out: &mut Outbox) {
        if let (Topic::Record, Some(to)) = (self.topic, registry.recipients(name)) {
            out.tell(to, None, &Reply::Provided { name, provided });
        }
    }

    // ---- listeners -------------------------------------------------------------------------------------------------

    fn turn(&self, peer: Peer, pattern: &Name) -> Option<Turn> {
        self.listeners.get(&peer.conn)?.patterns.get(pattern).copied()
    }

    fn forget(&mut self, pattern: &Name, turn: Turn) {
        self.scans.remove(&turn);
        if let Some(known) = self.patterns.get_mut(pattern) {
            known.peers.remove(&turn);
            if known.peers.is_empty() {
                self.patterns.remove(pattern);
            }
        }
    }

    /// Goes on offering to listeners what there was before they began.
    fn scan(&mut self, now: Time, registry: &Registry, out: &mut Outbox) {
        let turns: Vec<Turn> = self.scans.keys().copied().collect();
        let mut seen = 0;
        for turn in turns {
            let Some(Scan { to, mut after }) = self.scans.remove(&turn) else { continue };
            let (mut is_done, mut taken) = (true, 0);
            for name in registry.names_after(after.clone().as_ref()) {
                let offers = self.listeners.get(&to.peer.conn).map_or(0, |listener| listener.offers);
                if seen == limits::SCAN || offers >= limits::OFFERS {
                    is_done = false;
                    // Where it is full, its answers or their timeouts wake this.
                    self.scan_due = (offers < limits::OFFERS).then_some(now).or(self.scan_due);
                    break;
                }
                seen += 1;
                taken += work(name);
                after = Some(name.clone());
                let is_free = !self.names.contains_key(name);
                if is_free && self.is_for(to.peer.conn, &to.pattern, name) {
                    self.offer(now, name, to.clone(), out);
                }
            }
            out.bill(to.peer.conn, taken);
            if !is_done {
                self.scans.insert(turn, Scan { to, after });
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn check(&self, registry: &Registry) {
        for (name, state) in &self.names {
            assert!(registry.recipients(name).is_some(), "{name} is nobody's");
            let holder = state.holder();
            assert_eq!(self.listeners[&holder.peer.conn].patterns.get(&holder.pattern), Some(&holder.turn));
            assert!(self.listeners[&holder.peer.conn].names.contains(name));
            if let State::Offered { until, .. } = state {
                assert!(self.due.contains(&(*until, name.clone())));
            }
        }
        for (conn, listener) in &self.listeners {
            let is_offered = |name: &&Name| matches!(self.names[*name], State::Offered { .. });
            assert_eq!(listener.names.iter().filter(is_offered).count(), listener.offers);
            assert!(listener.names.iter().all(|name| self.names[name].holder().peer.conn == *conn));
            assert!(!listener.patterns.is_empty());
        }
        assert_eq!(self.due.len(), self.listeners.values().map(|listener| listener.offers).sum::<usize>());
        assert!(self.patterns.values().all(|pattern| !pattern.peers.is_empty()));
    }
}

impl State {
    fn holder(&self) -> &Holder {
        match self {
            State::Offered { to, .. } => to,
            State::Provided { by } => by,
        }
    }
}

/// What it takes to look at a name and match a pattern with it.
fn work(name: &Name) -> u64 {
    limits::NAME_WORK + limits::PATTERN_PASSES * name.len() as u64
}

/// A pattern as JavaScript would search with it, as far as that takes linear time: no references, no look-around.
fn compile(pattern: &Name) -> Option<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(limits::PATTERN_COMPILED).dfa_size_limit(limits::PATTERN_COMPILED);
    builder.nest_limit(limits::PATTERN_DEPTH).build().ok()
}
