//! The whole input of a deepstream engine: connections of both protocols come, send any bytes, and go; logins are
//! answered at once, late or never, what is to be stored is or is not, the server itself takes part, and time passes. Whatever happens, the engine
//! talks to those who are there, in their protocol, and forgets them when they are gone.
//!
//! An input is a script: a byte of settings, then steps, each a byte that says which and what that one needs.

use std::collections::BTreeMap;

use deepstream::{
    Config, ConnId, Engine, Frame, Identity, Input, Loaded, Output, Rejection, Ticket, Wire,
    name::Name,
    pattern::Pattern,
    permission::{Permissions, Right, Rule},
    time::{Micros, Time},
};

const STEPS_MAX: usize = 400;
const CONNECTIONS_MAX: usize = 8;
/// An engine that is left alone falls silent in far fewer turns.
const TURNS_MAX: usize = 10_000;
const USERS: [&str; 3] = ["ada", "bob", "cy"];
const OWN: &str = "own/1";
const LISTS: [&str; 3] = ["users", "rooms/1", "l"];

/// Lives through a script.
///
/// # Panics
/// Where the engine does what it must not.
pub fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let Some(settings) = script.byte() else { return };
    let mut world = World::new(settings);
    for _ in 0..STEPS_MAX {
        if world.step(&mut script).is_none() {
            break;
        }
    }
    while let Some((conn, _)) = world.open.pop_first() {
        world.handle(Input::Closed { conn });
    }
    world.wait(Micros::from_secs(600));
    assert_eq!(world.engine.connections(), 0);
    assert_eq!(world.engine.poll_timeout(), None, "nothing is due for those who are gone");
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    /// Bytes after their number, which takes three bytes from 255 on.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = match self.byte()? {
            255 => self.short()?.into(),
            short => usize::from(short),
        };
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

struct World {
    engine: Engine,
    now: Time,
    /// Those that are open, with the protocol that they talk, where that is known.
    open: BTreeMap<ConnId, Option<Wire>>,
    next: u64,
    /// Whether logins are answered in steps of their own.
    late: bool,
    ticket: Ticket,
}

impl World {
    fn new(settings: u8) -> World {
        let mut config =
            Config { ephemeral: LISTS.map(Pattern::new).into(), persist: settings & 1 != 0, ..Config::default() };
        if settings & 2 != 0 {
            let read_only = Rule {
                names: Pattern::new("r*"),
                rights: [Right::RecordWrite, Right::RecordDelete, Right::EventPublish, Right::RpcProvide].into(),
                roles: ["guest".to_owned()].into(),
                allow: false,
            };
            config.permissions = Permissions { rules: vec![read_only], otherwise: settings & 4 == 0 };
        }
        if settings & 32 != 0 {
            config.reserved = Some(Pattern::new("own/*"));
            config.taps = [OWN, "e"].map(|tap| Name::new(tap).expect("a name")).into();
        }
        if settings & 8 != 0 {
            config.subscriptions_max = 12;
            config.records_max = 5;
            config.record_max = 60;
            config.records_bytes_max = 200;
        }
        World {
            engine: Engine::new(config, u64::from(settings), Time(0)),
            now: Time(0),
            open: BTreeMap::new(),
            next: 1,
            late: settings & 16 != 0,
            ticket: Ticket(0),
        }
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        // Whoever is gone may still be billed.
        while let Some((conn, _)) = self.engine.poll_bill() {
            assert!(conn.0 < self.next, "{conn:?} never was");
        }
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { to, frame } => {
                    assert!(!to.is_empty() && to.is_sorted_by(|a, b| a < b), "each once: {to:?}");
                    for conn in to {
                        let wire = self.open.get(&conn).unwrap_or_else(|| panic!("{conn:?} is not open"));
                        match &frame {
                            // Who has not shown yet is greeted in text.
                            Frame::Text(text) => {
                                assert_ne!(*wire, Some(Wire::Protobuf), "{conn:?} talks protobuf");
                                assert_eq!(text.last(), Some(&0x1e));
                                str::from_utf8(text).expect("text is UTF-8");
                            }
                            Frame::Binary(_) => assert_eq!(*wire, Some(Wire::Protobuf), "{conn:?} talks text"),
                        }
                    }
                }
                Output::Close { conn } => assert!(self.open.remove(&conn).is_some(), "{conn:?} is not open"),
                Output::Authenticate { conn, data } => {
                    assert!(self.open.contains_key(&conn), "{conn:?} is not open");
                    if !self.late {
                        self.authenticated(conn, data.bytes().fold(0, u8::wrapping_add));
                    }
                }
                Output::Unfinished { conn } => {
                    assert!(self.open.contains_key(&conn), "{conn:?} is not open");
                    self.handle(Input::Continue { conn });
                }
                Output::Emitted { name, .. } => assert!([OWN, "e"].contains(&name.as_str()), "{name} is no tap"),
                Output::Store { ticket, record, .. } => {
                    assert!(ticket > self.ticket, "tickets grow");
                    self.ticket = ticket;
                    if let Some(record) = record {
                        assert!(record.version > 0);
                        assert!(record.json.starts_with(['{', '[']), "{}", record.json);
                    }
                }
            }
        }
        assert_eq!(self.engine.connections(), self.open.len());
    }

    fn connect(&mut self, wire: Option<Wire>) -> Option<ConnId> {
        if self.open.len() == CONNECTIONS_MAX {
            return None;
        }
        let conn = ConnId(self.next);
        self.next += 1;
        self.open.insert(conn, wire);
        self.handle(Input::Connected { conn, wire });
        Some(conn)
    }

    fn send(&mut self, conn: ConnId, frame: Frame) {
        let Some(wire) = self.open.get_mut(&conn) else { return };
        let said = if matches!(frame, Frame::Text(_)) { Wire::Text } else { Wire::Protobuf };
        wire.get_or_insert(said);
        self.handle(Input::Received { conn, frame });
    }

    /// Connects and logs in, as the clients of a protocol do.
    fn enter(&mut self, wire: Wire) {
        let Some(conn) = self.connect(Some(wire)) else { return };
        match wire {
            Wire::Text => {
                self.send(conn, Frame::Text("C\u{1f}CHR\u{1f}ws://127.0.0.1/deepstream\u{1e}".into()));
                self.send(conn, Frame::Text(format!("A\u{1f}REQ\u{1f}{{\"n\":{}}}\u{1e}", conn.0).into()));
            }
            Wire::Protobuf => {
                // A challenge (5) with an address, and a request (2) to log in.
                self.send(conn, wrapped(2, b"\x08\x05\x2a\x04ws:/"));
                self.send(
                    conn,
                    wrapped(3, &[b"\x08\x02\x12\x09{\"n\":".as_slice(), &[b'0' + conn.0 as u8 % 10], b"  }"].concat()),
                );
            }
        }
    }

    fn authenticated(&mut self, conn: ConnId, choice: u8) {
        let result = if choice % 8 == 7 {
            Err(Rejection((choice & 8 != 0).then(|| "\"no\"".to_owned())))
        } else {
            let user = USERS.get(usize::from(choice % 4)).map(|user| Name::new(user).expect("a name"));
            let role = (choice & 16 != 0).then(|| "guest".to_owned());
            Ok(Identity {
                user,
                role,
                client_data: (choice & 32 != 0).then(|| "{\"id\":7}".to_owned()),
                lifetime: (choice & 64 != 0).then(|| Micros::from_secs(choice.into())),
            })
        };
        self.handle(Input::Authenticated { conn, result });
    }

    /// Lets time pass, with everything that is due in it.
    fn wait(&mut self, duration: Micros) {
        let end = self.now + duration;
        for _ in 0..TURNS_MAX {
            let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.handle(Input::Timeout);
        }
        panic!("no end of timeouts until {end:?}");
    }

    /// One of those that were there lately, open or not.
    fn conn(&self, script: &mut Script<'_>) -> Option<ConnId> {
        let few = u64::from(script.byte()?) % (CONNECTIONS_MAX as u64 + 1);
        Some(ConnId(self.next.saturating_sub(1 + few)))
    }

    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.byte()? % 16 {
            0 => {
                let wires = [None, Some(Wire::Text), Some(Wire::Protobuf)];
                self.connect(wires[usize::from(script.byte()? % 3)]);
            }
            1 => self.enter(if script.byte()? % 2 == 0 { Wire::Text } else { Wire::Protobuf }),
            2 => {
                let conn = self.conn(script)?;
                self.open.remove(&conn);
                self.handle(Input::Closed { conn });
            }
            3 => {
                let wait = u64::from(script.short()?) * 10;
                self.wait(Micros::from_millis(wait));
            }
            4 => {
                let ticket = Ticket(script.byte()?.into());
                self.handle(Input::Stored(ticket));
            }
            5 => {
                let ticket = Ticket(script.byte()?.into());
                self.handle(Input::NotStored(ticket));
            }
            6 => {
                let name = Name::new(["r", "s", LISTS[0]][usize::from(script.byte()? % 3)]).expect("a name");
                let version = script.byte()?.into();
                let json = if script.byte()? % 2 == 0 { "{\"a\":[1,{\"b\":null}]}" } else { "[\"x\",\"y\"]" };
                self.handle(Input::Loaded(Loaded { name, version, json: json.into() }));
            }
            7 => {
                let conn = self.conn(script)?;
                let choice = script.byte()?;
                self.authenticated(conn, choice);
            }
            8..=11 => {
                let conn = self.conn(script)?;
                let text = script.bytes()?;
                self.send(conn, Frame::Text(text.into()));
            }
            12 => {
                let name = Name::new([OWN, "own/2", "e", LISTS[0]][usize::from(script.byte()? % 4)]).expect("a name");
                let choice = script.byte()?;
                let json = ["{}", "[\"x\"]", "[", "1"][usize::from(choice / 4 % 4)];
                self.handle(match choice % 4 {
                    0 => Input::Emit { name, json: (choice & 16 != 0).then(|| json.to_owned()) },
                    1 => Input::Put { name, json: json.into() },
                    _ => Input::User { name, here: choice & 16 != 0 },
                });
            }
            13 => {
                let conn = self.conn(script)?;
                let bytes = script.bytes()?;
                self.send(conn, Frame::Binary(bytes.into()));
            }
            _ => {
                let conn = self.conn(script)?;
                let topic = script.byte()?;
                let message = script.bytes()?;
                self.send(conn, wrapped(topic, &message));
            }
        }
        Some(())
    }
}

/// A frame of the protobuf protocol: its length, the topic, and a message of that topic.
fn wrapped(topic: u8, message: &[u8]) -> Frame {
    let mut inner = vec![0x10, topic & 0x7f, 0x1a];
    push_length(&mut inner, message.len());
    inner.extend_from_slice(message);
    let mut frame = Vec::new();
    push_length(&mut frame, inner.len());
    frame.extend_from_slice(&inner);
    Frame::Binary(frame.into())
}

fn push_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}
