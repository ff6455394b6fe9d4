//! What a client that has logged in may ask for, and what is done about it.

use super::{Engine, outbox::Peer, records, rpc::Answer};
use crate::{
    limits,
    message::{Action, Problem, Reply, Request, Topic, Write},
    name::Name,
    permission::Right,
    time::Time,
};

impl Engine {
    pub(super) fn act(&mut self, now: Time, peer: Peer, request: Request) {
        match request {
            Request::Subscribe { topic, names, ack } => self.subscribe(now, peer, topic, &names, ack.as_deref()),
            Request::Unsubscribe { topic, names, ack } => self.unsubscribe(peer, topic, &names, ack.as_deref()),
            Request::Open { how, names, ack } => self.open(now, peer, how, names, ack.as_deref()),
            Request::Listen { topic, pattern } => self.listen(now, peer, topic, &pattern),
            Request::Unlisten { topic, pattern } => self.unlisten(now, peer, topic, &pattern),
            Request::Answer { topic, pattern, name, accept } => {
                self.answer_listening(now, peer, topic, &pattern, &name, accept);
            }
            Request::Emit { name, payload } => {
                if self.may(peer, Right::EventPublish, &name, Action::Emit, None) {
                    self.tap(&name, &payload);
                    if let Some(to) = self.events.recipients(&name) {
                        self.out.counters.emitted += 1;
                        self.out.tell(to, Some(peer.conn), &Reply::Event { name: &name, payload: &payload });
                    }
                }
            }
            Request::Write(write) => self.write(now, peer, *write),
            Request::Read(name) => {
                if self.may(peer, Right::RecordRead, &name, Action::Read, None) {
                    match self.records.get(&name) {
                        Some((version, json)) => self.out.send(peer, &Reply::Record { name: &name, version, json }),
                        None => self.problem(peer, Problem::RecordNotFound, Action::Read, Some(&name), None),
                    }
                }
            }
            Request::Head(name) => {
                if self.may(peer, Right::RecordRead, &name, Action::Head, None) {
                    let version = self.records.version(&name);
                    self.out.send(peer, &Reply::Version { name: &name, version });
                }
            }
            Request::Heads { names, ack } => {
                let names = self.allowed(peer, Right::RecordRead, names, Action::Heads, ack.as_deref());
                self.records.tell(peer, Action::Heads, &names, &mut self.out);
            }
            Request::Has(name) => {
                if self.may(peer, Right::RecordRead, &name, Action::Has, None) {
                    let has = self.records.contains(&name);
                    self.out.send(peer, &Reply::Has { name: &name, has });
                }
            }
            Request::Delete(name) => {
                if self.may(peer, Right::RecordDelete, &name, Action::Delete, None) {
                    self.records.delete(peer, &name, &mut self.out);
                }
            }
            // Nothing changes the store but this engine, so that there is nothing to read again.
            Request::Notify { names, ack } => self.ack(peer, Action::Notify, &names, ack.as_deref()),
            Request::Call { name, id, payload } => {
                if self.may(peer, Right::RpcRequest, &name, Action::Call, Some(&id)) {
                    self.rpc.call(now, peer, (&name, &id), payload, &mut self.rng, &mut self.out);
                }
            }
            Request::CallAccept { name, id } => self.answer_call(now, peer, &name, &id, Answer::Accept),
            Request::CallRespond { name, id, payload } => {
                self.answer_call(now, peer, &name, &id, Answer::Respond(payload));
            }
            Request::CallFail { name, id, payload } => self.answer_call(now, peer, &name, &id, Answer::Fail(payload)),
            Request::CallDecline { name, id } => self.answer_call(now, peer, &name, &id, Answer::Decline),
            Request::QueryAll => {
                if self.may_watch_all(peer, Action::QueryAll) {
                    let users = self.presence.users(self.user(peer));
                    self.out.charge(limits::NAME_WORK * users.len() as u64);
                    self.out.send(peer, &Reply::Users(&users));
                }
            }
            Request::Query { names, id } => {
                let names = self.allowed(peer, Right::Presence, names, Action::Query, Some(&id));
                let states = names.into_iter().map(|name| (name.clone(), self.presence.is_here(&name)));
                let states: Vec<(Name, bool)> = states.collect();
                self.out.send(peer, &Reply::UserStates { id: &id, states: &states });
            }
            Request::SubscribeAll => {
                if self.may_watch_all(peer, Action::SubscribeAll) {
                    self.presence.watchers.insert(peer);
                    self.ack(peer, Action::SubscribeAll, &[], None);
                }
            }
            Request::UnsubscribeAll => {
                self.presence.watchers.remove(peer);
                self.ack(peer, Action::UnsubscribeAll, &[], None);
            }
            Request::Hello | Request::Login(_) | Request::Ping | Request::Pong | Request::Leave => {}
        }
    }

    // ---- subscriptions ---------------------------------------------------------------------------------------------

    fn subscribe(&mut self, now: Time, peer: Peer, topic: Topic, names: &[Name], ack: Option<&str>) {
        let right = match topic {
            Topic::Event => Right::EventSubscribe,
            Topic::Record => Right::RecordRead,
            Topic::Rpc => Right::RpcProvide,
            Topic::Presence => Right::Presence,
        };
        let action = Action::Subscribe(topic);
        self.charge(names);
        let mut done = Vec::with_capacity(names.len());
        for name in names {
            if !self.may(peer, right, name, action, ack) {
                continue;
            }
            if !self.has_room(peer) {
                self.problem(peer, Problem::Denied, action, Some(name), ack);
                continue;
            }
            let added = match topic {
                Topic::Event => self.events.add(peer, name),
                Topic::Record => self.records.registry.add(peer, name),
                Topic::Rpc => self.rpc.providers.add(peer, name),
                // Whoever watches a user twice watches it.
                Topic::Presence => self.presence.watching.add(peer, name).or(Some(false)),
            };
            let Some(is_first) = added else {
                self.problem(peer, Problem::MultipleSubscriptions, action, Some(name), ack);
                continue;
            };
            done.push(name.clone());
            match topic {
                Topic::Event if is_first => self.event_listening.wanted(now, name, &mut self.out),
                Topic::Record if is_first => self.records.listening.wanted(now, name, &mut self.out),
                _ => {}
            }
        }
        if !done.is_empty() {
            self.ack(peer, action, &done, ack);
        }
    }

    fn unsubscribe(&mut self, peer: Peer, topic: Topic, names: &[Name], ack: Option<&str>) {
        let action = Action::Unsubscribe(topic);
        self.charge(names);
        let mut done = Vec::with_capacity(names.len());
        for name in names {
            let removed = match topic {
                Topic::Event => self.events.remove(peer, name),
                Topic::Rpc => self.rpc.providers.remove(peer, name),
                Topic::Presence => self.presence.watching.remove(peer, name).or(Some(false)),
                Topic::Record => {
                    // The record may have been deleted meanwhile, and the subscription with it.
                    self.records.unsubscribe(peer, name, &mut self.out);
                    Some(false)
                }
            };
            match removed {
                Some(is_last) => {
                    if is_last && topic == Topic::Event {
                        self.event_listening.unwanted(name, &mut self.out);
                    }
                    done.push(name.clone());
                }
                None => self.problem(peer, Problem::NotSubscribed, action, Some(name), ack),
            }
        }
        if !done.is_empty() {
            self.ack(peer, action, &done, ack);
        }
    }

    fn open(&mut self, now: Time, peer: Peer, how: Action, names: Vec<Name>, ack: Option<&str>) {
        let mut done = Vec::with_capacity(names.len());
        for name in self.allowed(peer, Right::RecordRead, names, how, ack) {
            let is_missing = how == Action::Open && !self.records.contains(&name);
            if is_missing && !self.may(peer, Right::RecordCreate, &name, how, ack) {
                continue;
            }
            let revives = self.records.revives(how, &name) && self.is_allowed(peer, Right::RecordCreate, &name);
            let creates = is_missing || revives;
            let opened = if self.has_room(peer) || self.records.registry.contains(peer, &name) {
                self.records.open(now, peer, (how, creates), &name, &mut self.out)
            } else {
                Err(Problem::Denied)
            };
            match opened {
                Ok(()) => done.push(name),
                Err(problem) => self.problem(peer, problem, how, Some(&name), ack),
            }
        }
        if !done.is_empty() {
            self.ack(peer, how, &done, ack);
            self.records.tell(peer, how, &done, &mut self.out);
        }
    }

    /// Whether a connection may subscribe to more.
    fn has_room(&self, peer: Peer) -> bool {
        let registries = [&self.events, &self.records.registry, &self.rpc.providers, &self.presence.watching];
        let count: usize = registries.iter().map(|registry| registry.count(peer.conn)).sum();
        count < self.config.subscriptions_max
    }

    // ---- listening -------------------------------------------------------------------------------------------------

    fn listen(&mut self, now: Time, peer: Peer, topic: Topic, pattern: &Name) {
        let action = Action::Listen(topic);
        let listening = if topic == Topic::Event { &self.event_listening } else { &self.records.listening };
        if !self.may(peer, listening.right(), pattern, action, None) {
            return;
        }
        self.out.charge(limits::PATTERN_WORK);
        let Some(session) = self.sessions.get(peer.conn) else { return };
        let listening = if topic == Topic::Event { &mut self.event_listening } else { &mut self.records.listening };
        match listening.listen(now, peer, session, pattern) {
            Ok(()) => {
                self.ack(peer, action, std::slice::from_ref(pattern), None);
                self.wake_listening(now);
            }
            Err(problem) => self.problem(peer, problem, action, Some(pattern), None),
        }
    }

    fn unlisten(&mut self, now: Time, peer: Peer, topic: Topic, pattern: &Name) {
        let (listening, registry) = match topic {
            Topic::Event => (&mut self.event_listening, &self.events),
            _ => (&mut self.records.listening, &self.records.registry),
        };
        let action = Action::Unlisten(topic);
        match listening.unlisten(now, peer, pattern, registry, &mut self.out) {
            Ok(()) => self.ack(peer, action, std::slice::from_ref(pattern), None),
            Err(problem) => self.problem(peer, problem, action, Some(pattern), None),
        }
    }

    fn answer_listening(&mut self, now: Time, peer: Peer, topic: Topic, pattern: &Name, name: &Name, accept: bool) {
        let (listening, registry) = match topic {
            Topic::Event => (&mut self.event_listening, &self.events),
            _ => (&mut self.records.listening, &self.records.registry),
        };
        if accept {
            listening.accept(peer, pattern, name, registry, &mut self.out);
        } else {
            listening.reject(now, peer, pattern, name, registry, &mut self.out);
        }
        // Its answer may make room for more.
        self.wake_listening(now);
    }

    // ---- records and calls -----------------------------------------------------------------------------------------

    fn write(&mut self, now: Time, peer: Peer, write: Write) {
        let creates = write.creates() && !self.records.contains(&write.name);
        let may = |right| self.is_allowed(peer, right, &write.name);
        if may(Right::RecordWrite) && (!creates || may(Right::RecordCreate)) {
            // Who is subscribed may.
            let may_read = self.records.registry.contains(peer, &write.name) || may(Right::RecordRead);
            self.out.counters.writes += 1;
            self.records.write(now, peer, write, may_read, &mut self.out);
        } else {
            self.out.counters.denied += 1;
            records::refuse(peer, &write, Problem::Denied, &mut self.out);
        }
    }

    fn answer_call(&mut self, now: Time, peer: Peer, name: &Name, id: &str, answer: Answer) {
        self.rpc.answer(now, peer, (name, id), answer, &mut self.rng, &mut self.out);
    }

    // ---- permissions -----------------------------------------------------------------------------------------------

    fn user(&self, peer: Peer) -> Option<&Name> {
        self.sessions.get(peer.conn)?.user.as_ref()
    }

    /// Charges a client for looking its names up.
    fn charge(&mut self, names: &[Name]) {
        self.out.charge(limits::NAME_WORK * names.len() as u64);
    }

    fn is_allowed(&self, peer: Peer, right: Right, name: &str) -> bool {
        let session = self.sessions.get(peer.conn);
        let (user, role) = session.map_or((None, None), |session| (session.user.as_ref(), session.role.as_deref()));
        self.leaves(right, name) && self.config.permissions.allow(user, role, right, name)
    }

    /// Whether a client may do something; if not, it is told.
    fn may(&mut self, peer: Peer, right: Right, name: &Name, action: Action, id: Option<&str>) -> bool {
        let may = self.is_allowed(peer, right, name);
        if !may {
            self.out.counters.denied += 1;
            self.problem(peer, Problem::Denied, action, Some(name), id);
        }
        may
    }

    fn may_watch_all(&mut self, peer: Peer, action: Action) -> bool {
        let may = self.is_allowed(peer, Right::Presence, "*");
        if !may {
            self.out.counters.denied += 1;
            self.problem(peer, Problem::Denied, action, None, None);
        }
        may
    }

    /// The names of those that a client may do something with; of the others it is told.
    fn allowed(
        &mut self,
        peer: Peer,
        right: Right,
        mut names: Vec<Name>,
        action: Action,
        id: Option<&str>,
    ) -> Vec<Name> {
        self.charge(&names);
        names.retain(|name| self.may(peer, right, name, action, id));
        names
    }

    // ---- telling ---------------------------------------------------------------------------------------------------

    fn ack(&mut self, peer: Peer, action: Action, names: &[Name], id: Option<&str>) {
        self.out.send(peer, &Reply::Ack { action, names, id });
    }

    pub(super) fn problem(
        &mut self,
        peer: Peer,
        problem: Problem,
        action: Action,
        name: Option<&Name>,
        id: Option<&str>,
    ) {
        self.out.send(peer, &Reply::Problem { problem, action, name: name.map(Name::as_str), id });
    }
}
