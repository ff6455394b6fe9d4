//! An engine with clients of both kinds, without a network.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Config, ConnId, Engine, Frame, Identity, Input, Output, Rejection, Ticket, Wire,
    json::path::Path,
    message::{Action, Change, Request, Topic, Write, WriteAck},
    name::Name,
    payload::Payload,
    time::{Micros, Time},
    wire::client,
};

pub(super) const BOTH: [Wire; 2] = [Wire::Text, Wire::Protobuf];
pub(super) const PAIRS: [(Wire, Wire); 4] = [
    (Wire::Text, Wire::Text),
    (Wire::Text, Wire::Protobuf),
    (Wire::Protobuf, Wire::Text),
    (Wire::Protobuf, Wire::Protobuf),
];

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub conn: ConnId,
    pub wire: Wire,
}

pub(super) struct World {
    pub engine: Engine,
    pub now: Time,
    /// Whether what is stored is said to be at once.
    pub stores: bool,
    /// Versions and values by ticket; `None` for deletions.
    pub stored: Vec<(Ticket, Option<(u64, String)>)>,
    /// Events that the server wanted to know of, and their data.
    pub emitted: Vec<(String, Option<String>)>,
    /// What each connection was billed.
    pub work: BTreeMap<ConnId, u64>,
    /// How often somebody had to let others have their turn.
    pub turns: u32,
    heard: BTreeMap<ConnId, Vec<String>>,
    closed: BTreeSet<ConnId>,
    next: u64,
    ids: u64,
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn json(text: &str) -> Payload {
    Payload::json(Some(text)).unwrap()
}

impl World {
    pub(super) fn new(config: Config) -> World {
        World {
            engine: Engine::new(config, 1, Time(0)),
            now: Time(0),
            stores: true,
            stored: Vec::new(),
            emitted: Vec::new(),
            work: BTreeMap::new(),
            turns: 0,
            heard: BTreeMap::new(),
            closed: BTreeSet::new(),
            next: 1,
            ids: 0,
        }
    }

    pub(super) fn default() -> World {
        World::new(Config::default())
    }

    /// A connection that has said nothing yet.
    pub(super) fn connect(&mut self, wire: Option<Wire>) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        self.handle(Input::Connected { conn, wire });
        conn
    }

    /// A client that has logged in, without a name.
    pub(super) fn client(&mut self, wire: Wire) -> Client {
        self.log_in(wire, "{}")
    }

    /// A client with a name, and perhaps a role.
    pub(super) fn user(&mut self, wire: Wire, user: &str) -> Client {
        self.log_in(wire, &format!("{{\"username\":\"{user}\"}}"))
    }

    pub(super) fn log_in(&mut self, wire: Wire, data: &str) -> Client {
        let client = Client { conn: self.connect(Some(wire)), wire };
        self.ask(client, &Request::Hello);
        self.ask(client, &Request::Login(data.to_owned()));
        assert!(self.heard(client).last().unwrap().starts_with("logged in"));
        client
    }

    pub(super) fn ask(&mut self, client: Client, request: &Request) {
        let frame = client::ask(client.wire, request).unwrap_or_else(|| panic!("{client:?} cannot {request:?}"));
        self.send(client.conn, frame);
    }

    pub(super) fn send(&mut self, conn: ConnId, frame: Frame) {
        self.handle(Input::Received { conn, frame });
    }

    /// Sends text, in which `|` and `+` stand for the separators.
    pub(super) fn send_text(&mut self, conn: ConnId, text: &str) {
        self.send(conn, Frame::Text(text.replace('|', "\u{1f}").replace('+', "\u{1e}").into()));
    }

    pub(super) fn close(&mut self, client: Client) {
        self.handle(Input::Closed { conn: client.conn });
        self.heard.remove(&client.conn);
    }

    /// What a client has heard since it was asked last.
    pub(super) fn heard(&mut self, client: Client) -> Vec<String> {
        self.heard.remove(&client.conn).unwrap_or_default()
    }

    pub(super) fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.contains(&conn)
    }

    /// Lets time pass, with everything that is due in it.
    pub(super) fn pass(&mut self, duration: Micros) {
        let end = self.now + duration;
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.handle(Input::Timeout);
        }
        self.now = end;
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.engine.check();
        while let Some((conn, work)) = self.engine.poll_bill() {
            *self.work.entry(conn).or_default() += work;
        }
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { to, frame } => {
                    assert!(to.windows(2).all(|pair| pair[0] < pair[1]), "each once");
                    for conn in to {
                        assert!(!self.closed.contains(&conn), "{conn:?} is closed");
                        self.heard.entry(conn).or_default().extend(client::hear(&frame));
                    }
                }
                Output::Close { conn } => assert!(self.closed.insert(conn)),
                Output::Authenticate { conn, data } => {
                    let result = authenticate(&data);
                    self.handle(Input::Authenticated { conn, result });
                }
                Output::Unfinished { conn } => {
                    self.turns += 1;
                    self.handle(Input::Continue { conn });
                }
                Output::Emitted { name, json } => self.emitted.push((name.to_string(), json)),
                Output::Store { ticket, record, .. } => {
                    let record = record.map(|record| (record.version, record.json.to_string()));
                    self.stored.push((ticket, record));
                    if self.stores {
                        self.handle(Input::Stored(ticket));
                    }
                }
            }
        }
    }

    // ---- what clients do -------------------------------------------------------------------------------------------

    fn id(&mut self) -> Box<str> {
        self.ids += 1;
        self.ids.to_string().into()
    }

    fn ack(&mut self, client: Client, topic: Topic) -> Option<Box<str>> {
        (client.wire == Wire::Protobuf || topic == Topic::Presence).then(|| self.id())
    }

    pub(super) fn subscribe(&mut self, client: Client, topic: Topic, to: &str) {
        let ack = self.ack(client, topic);
        self.ask(client, &Request::Subscribe { topic, names: vec![name(to)], ack });
    }

    pub(super) fn unsubscribe(&mut self, client: Client, topic: Topic, from: &str) {
        let ack = self.ack(client, topic);
        self.ask(client, &Request::Unsubscribe { topic, names: vec![name(from)], ack });
    }

    pub(super) fn open(&mut self, client: Client, record: &str) {
        let ack = self.ack(client, Topic::Record);
        self.ask(client, &Request::Open { how: Action::Open, names: vec![name(record)], ack });
    }

    /// Opens a record, and gives its version back.
    pub(super) fn open_at(&mut self, client: Client, record: &str) -> i64 {
        self.open(client, record);
        self.engine.version(record).map_or(-1, u64::cast_signed)
    }

    pub(super) fn emit(&mut self, client: Client, event: &str, data: &str) {
        self.ask(client, &Request::Emit { name: name(event), payload: json(data) });
    }

    pub(super) fn listen(&mut self, client: Client, topic: Topic, pattern: &str) {
        self.ask(client, &Request::Listen { topic, pattern: name(pattern) });
    }

    pub(super) fn answer(&mut self, client: Client, topic: Topic, pattern: &str, to: &str, accept: bool) {
        self.ask(client, &Request::Answer { topic, pattern: name(pattern), name: name(to), accept });
    }

    pub(super) fn update(&mut self, client: Client, record: &str, version: i64, json: &str) {
        self.write(client, Action::Update, record, version, Change::Whole(json.to_owned()), false);
    }

    /// Changes what is at a path; `None` removes it.
    pub(super) fn patch(&mut self, client: Client, record: &str, version: i64, path: &str, value: Option<&str>) {
        let is_erase = value.is_none() && client.wire == Wire::Protobuf;
        let action = if is_erase { Action::Erase } else { Action::Patch };
        let change = Change::At(Path::new(path).unwrap(), value.map(json));
        self.write(client, action, record, version, change, false);
    }

    pub(super) fn write(
        &mut self,
        client: Client,
        action: Action,
        record: &str,
        version: i64,
        change: Change,
        with_ack: bool,
    ) {
        let id = (client.wire == Wire::Protobuf).then(|| self.id());
        let ack = with_ack.then_some(WriteAck { version, id });
        self.ask(client, &Request::Write(Box::new(Write { action, name: name(record), version, change, ack })));
    }
}

/// Whoever says so is anybody; a password that is wrong is said to be.
fn authenticate(data: &str) -> Result<Identity, Rejection> {
    let data: BTreeMap<String, String> = serde_json::from_str(data).unwrap_or_default();
    if data.get("password").is_some_and(|password| password == "wrong") {
        return Err(Rejection(Some("\"wrong password\"".to_owned())));
    }
    Ok(Identity {
        user: data.get("username").map(|user| name(user)),
        role: data.get("role").cloned(),
        lifetime: data.get("seconds").map(|seconds| Micros::from_secs(seconds.parse().unwrap())),
        client_data: data.get("data").map(|data| format!("{{\"data\":\"{data}\"}}")),
    })
}

/// Asserts what a client has heard.
macro_rules! assert_heard {
    ($world:expr, $client:expr, [$($line:expr),* $(,)?]) => {{
        let expected: Vec<String> = vec![$($line.to_string()),*];
        assert_eq!($world.heard($client), expected, "{:?}", $client.wire);
    }};
}
pub(super) use assert_heard;
