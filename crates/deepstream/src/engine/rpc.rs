//! Calls from one client to another. A call goes to one provider of its name, at random, and to the next where that
//! one declines, is gone, or does not accept in time. What was accepted is never given to another: it may be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::{
    ConnId,
    outbox::{Outbox, Peer},
    registry::{Recipients, Registry},
};
use crate::{
    limits,
    message::{Action, Problem, Reply},
    name::Name,
    payload::Payload,
    time::{Micros, Time},
};

/// Who provides what, and the calls under way.
#[derive(Debug)]
pub(crate) struct Rpc {
    pub(crate) providers: Registry,
    accept_timeout: Micros,
    response_timeout: Micros,
    calls: BTreeMap<CallId, Call>,
    /// Calls by their provider and id.
    at: BTreeMap<CallId, CallId>,
    due: BTreeSet<(Time, CallId)>,
}

/// A connection, and the id that the caller gave.
type CallId = (ConnId, Arc<str>);

#[derive(Debug)]
struct Call {
    caller: Peer,
    /// The caller is gone, so that nobody wants the answer.
    is_orphan: bool,
    name: Name,
    payload: Payload,
    provider: Peer,
    tried: BTreeSet<ConnId>,
    is_accepted: bool,
    due: Time,
    /// When the answer must be there.
    until: Time,
}

/// What a provider says to a call.
pub(crate) enum Answer {
    Accept,
    Respond(Payload),
    Fail(Payload),
    Decline,
}

impl Answer {
    fn action(&self) -> Action {
        match self {
            Answer::Accept => Action::CallAccept,
            Answer::Respond(_) => Action::CallRespond,
            Answer::Fail(_) => Action::CallFail,
            Answer::Decline => Action::CallDecline,
        }
    }
}

impl Rpc {
    pub(crate) fn new(accept_timeout: Micros, response_timeout: Micros) -> Rpc {
        Rpc {
            providers: Registry::default(),
            accept_timeout,
            response_timeout,
            calls: BTreeMap::new(),
            at: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    pub(crate) fn call(
        &mut self,
        now: Time,
        caller: Peer,
        (name, id): (&Name, &str),
        payload: Payload,
        rng: &mut ChaCha8Rng,
        out: &mut Outbox,
    ) {
        let id: CallId = (caller.conn, id.into());
        let many = self.calls.range((caller.conn, "".into())..).take_while(|((conn, _), _)| *conn == caller.conn);
        let many = many.count();
        out.charge(limits::NAME_WORK / 8 * many as u64);
        let problem = if self.calls.contains_key(&id) {
            // A second answer to the same id would be the other's.
            Some(Problem::InvalidData)
        } else if many >= limits::CALLS {
            Some(Problem::Denied)
        } else {
            None
        };
        if let Some(problem) = problem {
            return fail(caller, name, &id.1, problem, out);
        }
        let (due, until) = (now, now + self.response_timeout);
        let (is_orphan, is_accepted, tried) = (false, false, BTreeSet::new());
        let name = name.clone();
        let call = Call { caller, is_orphan, name, payload, provider: caller, tried, is_accepted, due, until };
        self.try_next(now, id, call, Problem::NoProvider, rng, out);
    }

    /// A provider says something to a call.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        provider: Peer,
        (name, id): (&Name, &str),
        answer: Answer,
        rng: &mut ChaCha8Rng,
        out: &mut Outbox,
    ) {
        let known = self.at.get(&(provider.conn, id.into())).cloned();
        let Some(call_id) = known.filter(|call_id| self.calls.get(call_id).is_some_and(|call| call.name == *name))
        else {
            let (problem, action) = (Problem::UnknownCall, answer.action());
            return out.send(provider, &Reply::Problem { problem, action, name: Some(name), id: Some(id) });
        };
        if let Answer::Accept = answer {
            return self.accept(&call_id, out);
        }
        let Some(call) = self.take(&call_id) else { return };
        match answer {
            Answer::Accept => {}
            Answer::Decline if call.is_orphan => {}
            Answer::Decline => self.try_next(now, call_id, call, Problem::NoProvider, rng, out),
            Answer::Respond(_) | Answer::Fail(_) if call.is_orphan => {}
            Answer::Respond(payload) => out.send(call.caller, &Reply::CallAnswered { name, id, payload: &payload }),
            Answer::Fail(payload) => out.send(call.caller, &Reply::CallFailed { name, id, payload: &payload }),
        }
    }

    /// A connection is gone, and provides nothing any more.
    pub(crate) fn closed(&mut self, now: Time, conn: ConnId, rng: &mut ChaCha8Rng, out: &mut Outbox) {
        let of = |(of, _): &CallId| *of == conn;
        let from: CallId = (conn, "".into());
        let made: Vec<CallId> = self.calls.range(from.clone()..).map(|(id, _)| id.clone()).take_while(of).collect();
        for id in made {
            // The provider may be at it, and its answer is no mistake of it.
            if let Some(call) = self.calls.get_mut(&id) {
                call.is_orphan = true;
            }
        }
        let given = self.at.range(from..).take_while(|(at, _)| of(at)).map(|(_, id)| id.clone());
        let given: Vec<CallId> = given.collect();
        for id in given {
            match self.take(&id) {
                Some(call) if call.is_orphan => {}
                Some(call) if call.is_accepted => {
                    fail(call.caller, &call.name, &id.1, Problem::NoProvider, out);
                }
                Some(call) => self.try_next(now, id, call, Problem::NoProvider, rng, out),
                None => {}
            }
        }
    }

    pub(crate) fn due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Ends what takes too long.
    pub(crate) fn wake(&mut self, now: Time, rng: &mut ChaCha8Rng, out: &mut Outbox) {
        while let Some((_, id)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            match self.take(&id) {
                Some(call) if call.is_orphan => {}
                Some(call) if call.is_accepted || now >= call.until => {
                    fail(call.caller, &call.name, &id.1, Problem::ResponseTimeout, out);
                }
                Some(call) => self.try_next(now, id, call, Problem::AcceptTimeout, rng, out),
                None => drop(self.due.pop_first()),
            }
        }
    }

    fn accept(&mut self, id: &CallId, out: &mut Outbox) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.is_accepted {
            return;
        }
        call.is_accepted = true;
        self.due.remove(&(call.due, id.clone()));
        call.due = call.until;
        self.due.insert((call.due, id.clone()));
        if !call.is_orphan {
            out.send(call.caller, &Reply::CallAccepted { name: &call.name, id: &id.1 });
        }
    }

    /// Gives a call to a provider that has not had it; where there is none, says what went wrong last.
    fn try_next(
        &mut self,
        now: Time,
        id: CallId,
        mut call: Call,
        problem: Problem,
        rng: &mut ChaCha8Rng,
        out: &mut Outbox,
    ) {
        // A provider tells calls apart by their ids alone, so that it cannot have two with the same.
        let is_free =
            |peer: &Peer| !call.tried.contains(&peer.conn) && !self.at.contains_key(&(peer.conn, id.1.clone()));
        let providers = self.providers.recipients(&call.name);
        out.charge(limits::NAME_WORK * providers.map_or(0, Recipients::len) as u64);
        let providers = providers.into_iter().flat_map(Recipients::peers);
        let free: Vec<Peer> = providers.filter(is_free).collect();
        let chosen = (rng.next_u64() % free.len().max(1) as u64) as usize;
        let Some(provider) = free.get(chosen).copied() else {
            return fail(call.caller, &call.name, &id.1, problem, out);
        };
        out.counters.calls += 1;
        out.send(provider, &Reply::Call { name: &call.name, id: &id.1, payload: &call.payload });
        call.tried.insert(provider.conn);
        call.provider = provider;
        call.due = (now + self.accept_timeout).min(call.until);
        self.due.insert((call.due, id.clone()));
        self.at.insert((provider.conn, id.1.clone()), id.clone());
        self.calls.insert(id, call);
    }

    fn take(&mut self, id: &CallId) -> Option<Call> {
        let call = self.calls.remove(id)?;
        self.due.remove(&(call.due, id.clone()));
        self.at.remove(&(call.provider.conn, id.1.clone()));
        Some(call)
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        self.providers.check();
        assert_eq!(self.calls.len(), self.at.len());
        assert_eq!(self.calls.len(), self.due.len());
        for (id, call) in &self.calls {
            assert_eq!(self.at.get(&(call.provider.conn, id.1.clone())), Some(id));
            assert!(self.due.contains(&(call.due, id.clone())));
        }
    }
}

fn fail(caller: Peer, name: &Name, id: &str, problem: Problem, out: &mut Outbox) {
    out.send(caller, &Reply::Problem { problem, action: Action::Call, name: Some(name), id: Some(id) });
}
