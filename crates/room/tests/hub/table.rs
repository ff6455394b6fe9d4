//! A hub on a test's table, with a clock and the sockets of its members.

use std::collections::BTreeMap;

use bytes::Bytes;
use room::{
    hub::{Config, ConnId, Grant, Hub, IdentityPolicy, Input, Output},
    id::{MemberId, Secret},
    limits,
    time::{Micros, Time},
    wire::signal::{
        ClientMessage, Gone, GoneReason, Join, LinkReport, RefusalCode, Resume, Role, ServerMessage, VERSION, Welcome,
    },
};

/// A hub, its clock, and what came out of it.
pub struct Table {
    pub hub: Hub,
    pub now: Time,
    inboxes: BTreeMap<ConnId, Vec<ServerMessage>>,
    closed: BTreeMap<ConnId, Option<RefusalCode>>,
    conns: u64,
    /// What was carried, in order: to whom, from whom, and what.
    pub carried: Vec<(ConnId, MemberId, Bytes)>,
    /// Whether the hub wants a relay of the server's.
    pub wants_relay: bool,
}

pub fn config() -> Config {
    Config {
        room: "standup".parse().expect("a room's name"),
        hub_id: "00000000000000aa".to_owned(),
        identity_policy: IdentityPolicy::Coexist,
        members_max: limits::ROOM_MEMBERS,
        resume_window: limits::RESUME_WINDOW,
        relay: false,
        carried_links: limits::CARRIED_LINKS,
        topology: None,
    }
}

pub fn secret(number: u8) -> Secret {
    Secret([number; 16])
}

pub fn id(number: u8) -> MemberId {
    secret(number).member_id()
}

pub fn join(number: u8) -> Join {
    Join {
        v: VERSION,
        secret: secret(number),
        key: None,
        name: format!("member {number}"),
        attributes: BTreeMap::new(),
        token: None,
        topology: None,
        agent: None,
        relay: None,
        resume: None,
    }
}

/// A join that comes back with links to `up`, last welcomed by `hub`.
pub fn resume(number: u8, hub: &str, up: &[u8]) -> Join {
    let up = up.iter().map(|number| id(*number)).collect();
    Join { resume: Some(Resume { hub: hub.to_owned(), up, ..Resume::default() }), ..join(number) }
}

pub fn grant(identity: &str) -> Grant {
    Grant { identity: Some(identity.to_owned()), ..Grant::open() }
}

impl Table {
    pub fn new() -> Table {
        Table::with(config())
    }

    pub fn with(config: Config) -> Table {
        let now = Time(1_700_000_000_000_000);
        Table {
            hub: Hub::new(config, 1, now),
            now,
            inboxes: BTreeMap::new(),
            closed: BTreeMap::new(),
            conns: 0,
            carried: Vec::new(),
            wants_relay: false,
        }
    }

    pub fn input(&mut self, input: Input) {
        self.hub.handle(self.now, input);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Carry { to, from, rest } => {
                    assert!(!self.closed.contains_key(&to), "something is carried to a closed connection");
                    self.carried.push((to, from, rest));
                }
                Output::Relay { wanted } => self.wants_relay = wanted,
                Output::Send { to, message } => {
                    for conn in to {
                        assert!(!self.closed.contains_key(&conn), "{message:?} to a closed connection");
                        self.inboxes.entry(conn).or_default().push(message.clone());
                    }
                }
                Output::Close { conn, code } => {
                    assert_eq!(self.closed.insert(conn, code), None, "closed twice");
                }
            }
        }
    }

    pub fn join_as(&mut self, join: Join, grant: Option<Grant>) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.input(Input::Join { conn, join: Box::new(join), grant });
        conn
    }

    pub fn join(&mut self, number: u8) -> ConnId {
        self.join_as(join(number), Some(Grant::open()))
    }

    /// Several members, all linked to each other and settled, with nothing in their inboxes.
    pub fn linked(&mut self, numbers: &[u8]) -> Vec<ConnId> {
        let conns: Vec<ConnId> = numbers.iter().map(|number| self.join(*number)).collect();
        for (conn, number) in conns.iter().zip(numbers) {
            let others: Vec<u8> = numbers.iter().copied().filter(|other| other != number).collect();
            self.report(*conn, &others, &[], &[]);
            self.say(*conn, ClientMessage::Links(LinkReport { settled: true, ..LinkReport::default() }));
        }
        self.inboxes.clear();
        conns
    }

    pub fn say(&mut self, conn: ConnId, message: ClientMessage) {
        self.input(Input::Message { conn, message });
    }

    pub fn report(&mut self, conn: ConnId, up: &[u8], suspect: &[u8], down: &[u8]) {
        let ids = |numbers: &[u8]| numbers.iter().map(|number| id(*number)).collect();
        let (up, suspect, down) = (ids(up), ids(suspect), ids(down));
        let report = LinkReport { up, suspect, down, ..LinkReport::default() };
        self.say(conn, ClientMessage::Links(report));
    }

    pub fn cut(&mut self, conn: ConnId) {
        self.input(Input::Closed { conn, left: false });
    }

    /// Lets time go by, with every timeout on its way.
    pub fn pass(&mut self, duration: Micros) {
        let end = self.now + duration;
        while let Some(at) = self.hub.poll_timeout().filter(|at| *at <= end) {
            assert!(at > self.now || self.now == end, "a timeout that does not progress");
            self.now = self.now.max(at);
            self.input(Input::Timeout);
            assert!(self.hub.poll_timeout().is_none_or(|next| next > at), "a timeout that does not progress");
        }
        self.now = end;
    }

    /// Lets time go by while some connections keep talking.
    pub fn pass_alive(&mut self, duration: Micros, conns: &[ConnId]) {
        for _ in 0..duration.0 / Micros::from_millis(500).0 {
            self.pass(Micros::from_millis(500));
            for conn in conns {
                self.say(*conn, ClientMessage::Pong {});
            }
        }
    }

    /// What came on a connection since it was last asked for.
    pub fn inbox(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        self.inboxes.remove(&conn).unwrap_or_default()
    }

    /// The welcome on a connection.
    pub fn welcome(&mut self, conn: ConnId) -> Welcome {
        match self.inbox(conn).into_iter().next() {
            Some(ServerMessage::Welcome(welcome)) => *welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// The only message on a connection, which is a refusal.
    pub fn refusal(&mut self, conn: ConnId) -> (RefusalCode, bool) {
        match &self.inbox(conn)[..] {
            [ServerMessage::Refused(refused)] => {
                assert!(!refused.message.is_empty() && !refused.hint.is_empty());
                (refused.code, refused.fatal)
            }
            other => panic!("no refusal but {other:?}"),
        }
    }

    /// Who was said to be gone on a connection, by number.
    pub fn gone(&mut self, conn: ConnId) -> Vec<(u8, GoneReason)> {
        let gone = |message| match message {
            ServerMessage::Gone(Gone { id: gone, reason }) => {
                (0..=255).find(|number| id(*number) == gone).map(|number| (number, reason))
            }
            _ => None,
        };
        let mut gone: Vec<_> = self.inbox(conn).into_iter().filter_map(gone).collect();
        gone.sort_by_key(|(number, _)| *number);
        gone
    }

    /// What was said about links on a connection, as (peer, offers).
    pub fn links(&mut self, conn: ConnId) -> Vec<(MemberId, bool)> {
        let links = |message| match message {
            ServerMessage::Links(plan) => plan.open,
            _ => Vec::new(),
        };
        self.inbox(conn).into_iter().flat_map(links).map(|link| (link.peer, link.role == Role::Offer)).collect()
    }

    /// With which code the hub closed a connection.
    pub fn closed(&self, conn: ConnId) -> Option<Option<RefusalCode>> {
        self.closed.get(&conn).copied()
    }
}
