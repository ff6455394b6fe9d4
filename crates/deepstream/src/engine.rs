//! The engine: everything that deepstream's clients talk to, for both protocols alike.

mod act;
mod list;
mod listening;
mod outbox;
mod own;
mod presence;
mod records;
mod registry;
mod rpc;
mod session;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    limits,
    message::{Garbage, Problem, Reply, Request, Topic},
    name::Name,
    pattern::Pattern,
    permission::Permissions,
    time::{Micros, Time},
    wire::{self, Frame, Wire},
};
use listening::Listening;
use outbox::{Outbox, Peer};
use presence::Presence;
use records::Records;
use registry::Registry;
use rpc::Rpc;
use session::{Need, Phase, Sessions, Speaks};

/// A connection (WebSocket), numbered by the edge that owns it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// The number of something to be stored. They only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How an engine behaves. The same for its whole life.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between heartbeats. Clients expect 30 s unless they are told otherwise.
    pub heartbeat: Micros,
    /// Time between connecting and a successful login.
    pub login_timeout: Micros,
    /// Logins that may fail, a connection.
    pub login_attempts: u32,
    /// How long a client may be silent that could speak either protocol, before it is greeted as one that speaks text.
    pub sniff: Micros,
    /// How long a listener has to accept or reject a name.
    pub listen_timeout: Micros,
    /// How long a provider has to accept a call.
    pub accept_timeout: Micros,
    /// How long a provider has to answer a call.
    pub response_timeout: Micros,
    /// Lists whose entries go with the connections that added them. They are never stored.
    pub ephemeral: Vec<Pattern>,
    /// Who may do what.
    pub permissions: Permissions,
    /// The names that are the server's own: clients look at what is under them, and do nothing else with it, whatever
    /// the permissions say; no client is a user of such a name.
    pub reserved: Option<Pattern>,
    /// The events that come out as [`Output::Emitted`], too. Clients may emit them even where they are the server's own.
    pub taps: BTreeSet<Name>,
    /// Whether there is a store, so that writes are acknowledged only when they are in it.
    pub persist: bool,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Records.
    pub records_max: usize,
    /// Bytes in all records together.
    pub records_bytes_max: usize,
    /// Bytes in one record.
    pub record_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            heartbeat: limits::HEARTBEAT,
            login_timeout: limits::LOGIN_TIMEOUT,
            login_attempts: limits::LOGIN_ATTEMPTS,
            sniff: limits::SNIFF,
            listen_timeout: limits::LISTEN_TIMEOUT,
            accept_timeout: limits::ACCEPT_TIMEOUT,
            response_timeout: limits::RESPONSE_TIMEOUT,
            ephemeral: Vec::new(),
            permissions: Permissions::open(),
            reserved: None,
            taps: BTreeSet::new(),
            persist: false,
            subscriptions_max: limits::SUBSCRIPTIONS,
            records_max: limits::RECORDS,
            records_bytes_max: limits::RECORDS_BYTES,
            record_max: limits::RECORD_MAX,
        }
    }
}

/// Who a client is, as the edge has found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name, by which others see it come and go. `None`: nobody sees it.
    pub user: Option<Name>,
    /// Its role, for permissions.
    pub role: Option<String>,
    /// What it is to know about itself: JSON.
    pub client_data: Option<String>,
    /// How long it may stay. `None`: as long as it likes. Its connection is closed then; its program opens it again, and
    /// has to say anew who it is.
    pub lifetime: Option<Micros>,
}

/// Why a client may not log in, for it to read: JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection(pub Option<String>);

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// How often it was written.
    pub version: u64,
    /// An object or an array.
    pub json: Arc<str>,
}

/// A record as it comes from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: Name,
    /// How often it was written.
    pub version: u64,
    /// An object or an array.
    pub json: Arc<str>,
}

/// What happens to an engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client has connected.
    Connected {
        /// The connection.
        conn: ConnId,
        /// How it talks. `None`: it will show. Clients of the protobuf protocol talk first; those of the text protocol
        /// wait, and are greeted when nothing has come for [`Config::sniff`].
        wire: Option<Wire>,
    },
    /// A WebSocket message came in.
    Received {
        /// The connection.
        conn: ConnId,
        /// The message.
        frame: Frame,
    },
    /// A connection is closed.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// The answer to [`Output::Authenticate`].
    Authenticated {
        /// The connection.
        conn: ConnId,
        /// Who it is, or why it may not be here.
        result: Result<Identity, Rejection>,
    },
    /// A record comes from the store. Where the engine has a record of that name already, that one stays.
    Loaded(Loaded),
    /// Everything up to a ticket is safely stored.
    Stored(Ticket),
    /// Nothing that was not stored before, up to a ticket, will be.
    NotStored(Ticket),
    /// The server emits an event, to everybody who is subscribed to it. It is not said to be [`Output::Emitted`].
    Emit {
        /// The event.
        name: Name,
        /// Its data: at most [`limits::FRAME_MAX`] bytes of JSON; `None` is `undefined`. Anything else is dropped, and
        /// counted as garbage.
        json: Option<String>,
    },
    /// The server writes a record of its own, one of the names in [`Config::reserved`], as a whole. It is not stored,
    /// and there is always room for it. Where it is that already, nothing happens.
    Put {
        /// The record.
        name: Name,
        /// What it is from now on: an object or an array, of at most [`limits::RECORD_MAX`] bytes. Anything else is
        /// dropped, and counted as garbage.
        json: Arc<str>,
    },
    /// Somebody who has no connection is there, or is not any more. Said again, it changes nothing.
    User {
        /// By this name.
        name: Name,
        /// Whether.
        here: bool,
    },
    /// The answer to [`Output::Unfinished`].
    Continue {
        /// The connection.
        conn: ConnId,
    },
    /// [`Engine::poll_timeout`] is due.
    Timeout,
}

/// What an engine wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message to some connections.
    Send {
        /// The connections, each once.
        to: Vec<ConnId>,
        /// The message, encoded once for all of them.
        frame: Frame,
    },
    /// Close a connection, after what was sent to it. The engine has forgotten it already.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// Find out who a client is, and answer with [`Input::Authenticated`].
    Authenticate {
        /// The connection.
        conn: ConnId,
        /// What it says about itself: a JSON object.
        data: String,
    },
    /// What a connection sent takes so much ([`limits::TURN_WORK`]) that others should have their turn. Answer with
    /// [`Input::Continue`] then, before more of it is handed in: as much as it sends meanwhile waits in the engine.
    Unfinished {
        /// The connection.
        conn: ConnId,
    },
    /// Store a record, and answer with [`Input::Stored`] when it (and everything before it) is safe.
    Store {
        /// The number to answer with.
        ticket: Ticket,
        /// The record's name.
        name: Name,
        /// The record; `None` where it is deleted.
        record: Option<StoredRecord>,
    },
    /// A client has emitted one of [`Config::taps`], and was allowed to.
    Emitted {
        /// The event.
        name: Name,
        /// Its data in JSON; `None` is `undefined`.
        json: Option<String>,
    },
}

/// Why somebody may not log in under one of the server's own names: JSON, for it to read.
const NOT_A_USER: &str = r#"{"error":"this name is the server's own"}"#;

/// What an engine has done so far, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that came in and made sense.
    pub received: u64,
    /// Messages that made none.
    pub garbage: u64,
    /// Messages sent, by connection.
    pub sent: u64,
    /// Logins.
    pub logins: u64,
    /// Logins that failed.
    pub logins_failed: u64,
    /// Events that somebody was subscribed to.
    pub emitted: u64,
    /// Writes to records.
    pub writes: u64,
    /// Writes of these that were merged with others made at the same time.
    pub merged: u64,
    /// Writes of these that were refused for others made at the same time.
    pub conflicts: u64,
    /// Calls given to providers.
    pub calls: u64,
    /// Requests that the permissions did not allow.
    pub denied: u64,
}

/// Records, events, calls and presence, and everybody who is connected to them.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    rng: ChaCha8Rng,
    out: Outbox,
    sessions: Sessions,
    events: Registry,
    event_listening: Listening,
    records: Records,
    rpc: Rpc,
    presence: Presence,
}

impl Engine {
    /// An engine without records, and nobody connected. `seed`, which should be another one each time,
    /// decides which provider gets which call, and at which versions ephemeral lists begin.
    pub fn new(config: Config, seed: u64, _now: Time) -> Engine {
        Engine {
            rng: ChaCha8Rng::seed_from_u64(seed),
            out: Outbox::default(),
            sessions: Sessions::new(config.heartbeat, config.login_timeout, config.sniff),
            events: Registry::default(),
            event_listening: Listening::new(Topic::Event, config.listen_timeout, config.permissions.clone()),
            records: Records::new(&config, seed),
            rpc: Rpc::new(config.accept_timeout, config.response_timeout),
            presence: Presence::default(),
            config,
        }
    }

    /// An engine that goes on where this one ended by a bug: without connections, and so without ephemeral lists, but
    /// with its records, those who are there without a connection, and with new numbers for what is to be stored.
    pub fn again(mut self, seed: u64, now: Time) -> Engine {
        let mut engine = Engine::new(self.config.clone(), seed, now);
        engine.records.store.go_on_from(&self.records.store);
        engine.out.counters = self.out.counters;
        for record in self.records.take() {
            engine.records.keep(record);
        }
        engine.presence.go_on_from(&self.presence);
        engine
    }

    /// Takes an input in. Drain [`Engine::poll_output`] and [`Engine::poll_bill`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.out.begin_turn();
        match input {
            Input::Connected { conn, wire } => {
                if self.sessions.open(now, conn, wire) && wire == Some(Wire::Text) {
                    self.out.send(Peer { conn, wire: Wire::Text }, &Reply::Challenge);
                }
            }
            Input::Received { conn, frame } => self.received(now, conn, &frame),
            Input::Closed { conn } => self.closed(now, conn),
            Input::Continue { conn } => self.go_on(now, conn),
            Input::Authenticated { conn, result } => self.authenticated(now, conn, result),
            Input::Loaded(loaded) => self.records.load(loaded, &mut self.out),
            Input::Stored(ticket) => self.records.store.done(ticket, None, &mut self.out),
            Input::NotStored(ticket) => {
                self.records.store.done(ticket, Some(Problem::StoreFailed), &mut self.out);
            }
            Input::Emit { name, json } => self.emit_own(&name, json.as_deref()),
            Input::Put { name, json } => self.put_own(&name, json),
            Input::User { name, here } => self.user_own(&name, here),
            Input::Timeout => self.wake(now),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// What was done for a connection since this was asked last, counted as [`limits::TURN_WORK`] is: for whoever wants
    /// all to have their share.
    pub fn poll_bill(&mut self) -> Option<(ConnId, u64)> {
        self.out.pop_bill()
    }

    /// When to call [`Engine::handle`] with [`Input::Timeout`], if nothing else happens before. It may have passed.
    pub fn poll_timeout(&self) -> Option<Time> {
        let due = [self.sessions.due(), self.event_listening.due(), self.records.listening.due(), self.rpc.due()];
        due.into_iter().flatten().min()
    }

    /// How many connections there are, logged in or not.
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a connection is there and has logged in.
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.sessions.get(conn).is_some_and(|session| session.phase == Phase::Open)
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// The version of a record, if there is one.
    pub fn version(&self, name: &str) -> Option<u64> {
        self.records.version(name)
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.out.counters
    }

    // ---- messages --------------------------------------------------------------------------------------------------

    fn received(&mut self, now: Time, conn: ConnId, frame: &Frame) {
        let Some((peer, speaks)) = self.sessions.heard(now, conn, frame.wire()) else { return };
        let most = if self.is_open(conn) { limits::FRAME_MAX } else { limits::FRAME_BEFORE_LOGIN };
        if speaks == Speaks::Otherwise || frame.bytes().len() > most {
            self.out.counters.garbage += 1;
            self.out.send(peer, &Reply::Unreadable);
            return self.close(now, peer);
        }
        if speaks == Speaks::First {
            self.out.send(peer, &Reply::Challenge);
        }
        self.out.charge(frame.bytes().len() as u64);
        let messages = VecDeque::from(wire::decode(frame));
        let waits = self.sessions.get_mut(conn).filter(|session| !session.rest.is_empty());
        match waits {
            Some(session) => session.rest.extend(messages),
            None => self.carry_out(now, peer, messages),
        }
        self.out.end_turn(conn);
    }

    /// Does more of what a client has said.
    fn go_on(&mut self, now: Time, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let (peer, messages) = (session.peer(conn), std::mem::take(&mut session.rest));
        self.carry_out(now, peer, messages);
        self.out.end_turn(conn);
    }

    /// Does what a client says, as far as its turn goes.
    fn carry_out(&mut self, now: Time, peer: Peer, mut messages: VecDeque<Result<Request, Garbage>>) {
        while let Some(message) = messages.pop_front() {
            self.out.charge(limits::MESSAGE_WORK);
            match message {
                Ok(request) => {
                    self.out.counters.received += 1;
                    self.request(now, peer, request);
                }
                Err(garbage) => {
                    self.out.counters.garbage += 1;
                    self.garbage(now, peer, &garbage);
                }
            }
            // A few bytes can ask for a large record, and a message can ask for very many.
            if self.out.is_full() {
                return self.close(now, peer);
            }
            let Some(session) = self.sessions.get_mut(peer.conn) else { return };
            if self.out.is_turn_over() && !messages.is_empty() {
                session.rest = messages;
                return self.out.push(Output::Unfinished { conn: peer.conn });
            }
        }
    }

    fn request(&mut self, now: Time, peer: Peer, request: Request) {
        let Some(session) = self.sessions.get_mut(peer.conn) else { return };
        match (session.phase, request) {
            (_, Request::Ping) => self.out.send(peer, &Reply::Pong),
            (_, Request::Pong) => {}
            (_, Request::Leave) => self.close(now, peer),
            (Phase::Fresh, Request::Hello) => {
                session.phase = Phase::Greeted;
                self.out.send(peer, &Reply::Welcome);
            }
            (Phase::Greeted, Request::Login(data)) => {
                session.phase = Phase::LoggingIn;
                self.out.push(Output::Authenticate { conn: peer.conn, data });
            }
            (Phase::Open, Request::Hello | Request::Login(_)) => {
                self.out.send(peer, &Reply::OutOfPlace);
                self.strike(now, peer);
            }
            (Phase::Open, request) => self.act(now, peer, request),
            (Phase::Fresh, _) => {
                self.out.send(peer, &Reply::OutOfPlace);
                self.close(now, peer);
            }
            (Phase::Greeted | Phase::LoggingIn, _) => {
                self.out.send(peer, &Reply::LoginFirst);
                match peer.wire {
                    Wire::Text => self.close(now, peer),
                    // This client sends what it listens to as soon as it is connected, and once more when logged in.
                    Wire::Protobuf => self.strike(now, peer),
                }
            }
        }
    }

    fn garbage(&mut self, now: Time, peer: Peer, garbage: &Garbage) {
        let is_open = self.is_open(peer.conn);
        match garbage {
            Garbage::Unreadable => self.out.send(peer, &Reply::Unreadable),
            Garbage::Unknown { topic, action } => {
                self.out.send(peer, &Reply::Unknown { topic: *topic, action: *action });
            }
            Garbage::Invalid { action, name, id } if is_open => {
                self.problem(peer, Problem::InvalidData, *action, name.as_ref(), id.as_deref());
            }
            Garbage::Invalid { .. } | Garbage::InvalidLogin => self.out.send(peer, &Reply::LoginFirst),
        }
        // Where one protobuf message is unreadable, what sends it is no client of this protocol.
        if !is_open || (peer.wire == Wire::Protobuf && *garbage == Garbage::Unreadable) {
            self.close(now, peer);
        } else {
            self.strike(now, peer);
        }
    }

    /// Counts a message that made no sense. After too many of them the connection is closed.
    fn strike(&mut self, now: Time, peer: Peer) {
        let Some(session) = self.sessions.get_mut(peer.conn) else { return };
        session.strikes += 1;
        if session.strikes >= limits::STRIKES {
            self.close(now, peer);
        }
    }

    // ---- connections -----------------------------------------------------------------------------------------------

    fn authenticated(&mut self, now: Time, conn: ConnId, result: Result<Identity, Rejection>) {
        let attempts = self.config.login_attempts;
        let is_own = |identity: &Identity| identity.user.as_deref().is_some_and(|user| self.is_own(user));
        let result = match result {
            Ok(identity) if is_own(&identity) => Err(Rejection(Some(NOT_A_USER.to_owned()))),
            result => result,
        };
        let Some(session) = self.sessions.get_mut(conn).filter(|session| session.phase == Phase::LoggingIn) else {
            return;
        };
        let peer = session.peer(conn);
        match result {
            Ok(Identity { user, role, client_data, lifetime }) => {
                session.phase = Phase::Open;
                session.user.clone_from(&user);
                session.role = role.map(Into::into);
                self.out.counters.logins += 1;
                self.out.send(peer, &Reply::LoggedIn(client_data.as_deref()));
                if let Some(user) = user {
                    self.presence.joined(&user, &mut self.out);
                }
                if let Some(lifetime) = lifetime {
                    self.sessions.end_at(conn, now + lifetime);
                }
            }
            Err(Rejection(reason)) => {
                session.phase = Phase::Greeted;
                session.attempts += 1;
                let is_last = session.attempts >= attempts;
                self.out.counters.logins_failed += 1;
                // The older client takes either for the answer to its login, the newer one only the first.
                if !is_last || peer.wire == Wire::Protobuf {
                    self.out.send(peer, &Reply::LoginFailed(reason.as_deref()));
                }
                if is_last {
                    self.out.send(peer, &Reply::TooManyLogins(reason.as_deref()));
                    self.forget(peer);
                }
            }
        }
    }

    /// Ends a connection that is not logged in.
    fn forget(&mut self, peer: Peer) {
        self.sessions.close(peer.conn);
        self.out.push(Output::Close { conn: peer.conn });
    }

    fn close(&mut self, now: Time, peer: Peer) {
        self.closed(now, peer.conn);
        self.out.push(Output::Close { conn: peer.conn });
    }

    fn closed(&mut self, now: Time, conn: ConnId) {
        let Some(session) = self.sessions.close(conn) else { return };
        if session.phase != Phase::Open {
            return;
        }
        let peer = session.peer(conn);
        let left = self.event_listening.leave(conn);
        for name in self.events.names_of(conn) {
            if self.events.remove(peer, &name) == Some(true) {
                self.event_listening.unwanted(&name, &mut self.out);
            }
        }
        self.event_listening.pass_on_all(now, left, &self.events, &mut self.out);
        self.records.closed(now, peer, &mut self.out);
        for name in self.rpc.providers.names_of(conn) {
            self.rpc.providers.remove(peer, &name);
        }
        self.rpc.closed(now, conn, &mut self.rng, &mut self.out);
        self.presence.closed(peer, session.user.as_ref(), &mut self.out);
    }

    // ---- time ------------------------------------------------------------------------------------------------------

    fn wake(&mut self, now: Time) {
        while let Some(need) = self.sessions.wake(now) {
            match need {
                Need::Greeting(peer) => self.out.send(peer, &Reply::Challenge),
                Need::Ping(peer) => self.out.send(peer, &Reply::Ping),
                Need::TooLate(peer) => {
                    self.out.send(peer, &Reply::LoginTimeout);
                    self.close(now, peer);
                }
                Need::End(peer) => self.close(now, peer),
            }
        }
        self.wake_listening(now);
        self.rpc.wake(now, &mut self.rng, &mut self.out);
    }

    fn wake_listening(&mut self, now: Time) {
        self.event_listening.wake(now, &self.events, &mut self.out);
        self.records.listening.wake(now, &self.records.registry, &mut self.out);
    }

    /// Checks that everything that is held agrees with everything else.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        self.sessions.check();
        self.events.check();
        self.event_listening.check(&self.events);
        self.records.check();
        self.rpc.check();
        let mut users = std::collections::BTreeMap::new();
        for (conn, session) in self.sessions.iter() {
            if let Some(user) = &session.user {
                *users.entry(user.clone()).or_default() += 1;
            }
            assert!(session.phase == Phase::Open || self.records.owns_nothing(conn));
        }
        self.presence.check(&users);
    }

    /// Whether nobody has left anything behind but records.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let registries = [&self.events, &self.records.registry, &self.rpc.providers, &self.presence.watching];
        registries.iter().all(|registry| registry.names_after(None).next().is_none())
            && self.presence.watchers.is_empty()
            && self.poll_timeout().is_none()
    }
}
