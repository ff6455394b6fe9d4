//! Connections: how they talk, whether they have logged in, whether they are alive.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{ConnId, outbox::Peer};
use crate::{
    message::{Garbage, Request},
    name::Name,
    time::{Micros, Time},
    wire::Wire,
};

/// All connections.
#[derive(Debug)]
pub(crate) struct Sessions {
    heartbeat: Micros,
    login_timeout: Micros,
    sniff: Micros,
    sessions: BTreeMap<ConnId, Session>,
    /// When to look at which; each stands here once.
    wakes: BTreeSet<(Time, ConnId)>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Session {
    speech: Speech,
    pub(crate) phase: Phase,
    /// Logins that failed.
    pub(crate) attempts: u32,
    /// Messages that made no sense.
    pub(crate) strikes: u32,
    pub(crate) user: Option<Name>,
    pub(crate) role: Option<Arc<str>>,
    /// What it said that is still to be done.
    pub(crate) rest: VecDeque<Result<Request, Garbage>>,
    /// Until when it may stay.
    until: Option<Time>,
    opened: Time,
    heard: Time,
    /// When a text client is told next that the server is alive.
    ping: Time,
    wake: Time,
}

/// How a client talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// Unknown: the first frame tells, or its silence.
    Awaited,
    /// Guessed from its silence: text clients wait to be greeted.
    Guessed,
    Known(Wire),
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connected.
    Fresh,
    /// Greeted; it may log in.
    Greeted,
    /// Its login is being looked at.
    LoggingIn,
    /// Logged in.
    Open,
}

/// What a connection needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It has been silent for so long that it waits to be greeted, as text clients do.
    Greeting(Peer),
    Ping(Peer),
    /// It did not log in in time.
    TooLate(Peer),
    /// It has been silent for too long, or may not stay any longer.
    End(Peer),
}

impl Sessions {
    pub(crate) fn new(heartbeat: Micros, login_timeout: Micros, sniff: Micros) -> Sessions {
        Sessions { heartbeat, login_timeout, sniff, sessions: BTreeMap::new(), wakes: BTreeSet::new() }
    }

    /// A connection that has logged in may stay until then.
    pub(crate) fn end_at(&mut self, conn: ConnId, until: Time) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.until = Some(until);
            self.schedule(conn);
        }
    }

    /// Adds a connection. False where there is one with that id.
    pub(crate) fn open(&mut self, now: Time, conn: ConnId, wire: Option<Wire>) -> bool {
        if self.sessions.contains_key(&conn) {
            return false;
        }
        let session = Session {
            speech: wire.map_or(Speech::Awaited, Speech::Known),
            phase: Phase::Fresh,
            attempts: 0,
            strikes: 0,
            user: None,
            role: None,
            rest: VecDeque::new(),
            until: None,
            opened: now,
            heard: now,
            ping: now + self.heartbeat,
            wake: now,
        };
        self.sessions.insert(conn, session);
        self.schedule(conn);
        true
    }

    pub(crate) fn close(&mut self, conn: ConnId) -> Option<Session> {
        let session = self.sessions.remove(&conn)?;
        self.wakes.remove(&(session.wake, conn));
        Some(session)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Session> {
        self.sessions.get(&conn)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.sessions.get_mut(&conn)
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Notes that a client sent a frame of a protocol. `None` where there is no such connection, else the client and
    /// whether it may send such frames.
    pub(crate) fn heard(&mut self, now: Time, conn: ConnId, wire: Wire) -> Option<(Peer, Speaks)> {
        let session = self.sessions.get_mut(&conn)?;
        session.heard = now;
        let (known, speaks) = match session.speech {
            Speech::Known(known) if known == wire => (known, Speaks::AsKnown),
            Speech::Known(known) => (known, Speaks::Otherwise),
            Speech::Awaited => (wire, Speaks::First),
            // The greeting was for the other kind, which does not mind.
            Speech::Guessed => (wire, if wire == Wire::Text { Speaks::AsKnown } else { Speaks::First }),
        };
        session.speech = Speech::Known(known);
        Some((Peer { conn, wire: known }, speaks))
    }

    pub(crate) fn due(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// What the next connection needs whose time has come.
    pub(crate) fn wake(&mut self, now: Time) -> Option<Need> {
        while let Some((_, conn)) = self.wakes.first().filter(|(at, _)| *at <= now).copied() {
            let need = self.need(now, conn);
            self.schedule(conn);
            if need.is_some() {
                return need;
            }
        }
        None
    }

    fn need(&mut self, now: Time, conn: ConnId) -> Option<Need> {
        let (login_timeout, sniff, heartbeat) = (self.login_timeout, self.sniff, self.heartbeat);
        let session = self.sessions.get_mut(&conn)?;
        if session.speech == Speech::Awaited && now >= session.opened + sniff {
            session.speech = Speech::Guessed;
            return Some(Need::Greeting(Peer { conn, wire: Wire::Text }));
        }
        let peer = Peer { conn, wire: session.wire() };
        if session.phase != Phase::Open && now >= session.opened + login_timeout {
            return Some(Need::TooLate(peer));
        }
        let is_over = session.until.is_some_and(|until| now >= until);
        if is_over || now >= session.heard + session.patience(heartbeat) {
            return Some(Need::End(peer));
        }
        if peer.wire == Wire::Text && now >= session.ping {
            session.ping = now + heartbeat;
            return Some(Need::Ping(peer));
        }
        None
    }

    fn schedule(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let mut next = session.heard + session.patience(self.heartbeat);
        if session.speech == Speech::Awaited {
            next = next.min(session.opened + self.sniff);
        }
        if session.phase != Phase::Open {
            next = next.min(session.opened + self.login_timeout);
        }
        if session.wire() == Wire::Text {
            next = next.min(session.ping);
        }
        next = session.until.map_or(next, |until| next.min(until));
        self.wakes.remove(&(session.wake, conn));
        session.wake = next;
        self.wakes.insert((next, conn));
    }

    #[cfg(test)]
    pub(crate) fn check(&self) {
        let wakes: BTreeSet<_> = self.sessions.iter().map(|(conn, session)| (session.wake, *conn)).collect();
        assert_eq!(wakes, self.wakes);
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.sessions.iter().map(|(conn, session)| (*conn, session))
    }
}

/// Whether a client sends the frames of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    AsKnown,
    /// This frame tells which its protocol is.
    First,
    Otherwise,
}

impl Session {
    /// How it talks; as long as that is unknown, as text clients do.
    fn wire(&self) -> Wire {
        match self.speech {
            Speech::Known(wire) => wire,
            Speech::Awaited | Speech::Guessed => Wire::Text,
        }
    }

    /// How long it may be silent. Text clients answer pings at once; the others ping by themselves, and those in hidden
    /// tabs at half the pace, as browsers slow their timers down.
    fn patience(&self, heartbeat: Micros) -> Micros {
        heartbeat.times(if self.wire() == Wire::Text { 2 } else { 3 })
    }

    /// As whom to send to it: as a text client where that is not known yet.
    pub(crate) fn peer(&self, conn: ConnId) -> Peer {
        Peer { conn, wire: self.wire() }
    }
}
