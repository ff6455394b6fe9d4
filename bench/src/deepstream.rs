//! What deepstream's clients get of either server, by their text protocol: events, updates of records, and what they
//! cost in memory while they are silent.

use std::{
    ffi::OsString,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{runtime::Runtime, time::sleep};

use crate::{
    case::Case,
    load::{self, Load, ROOM, Runs, Socket, Talker, connect, expect, say},
    process::Process,
};

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `roomful`.
    pub roomful: PathBuf,
    /// The folder `bench/peers/deepstream`.
    pub peer: PathBuf,
    /// The program `roomful-bench-raw-ws`: what the system alone costs for the same writes.
    pub raw: PathBuf,
    /// Idle clients.
    pub idle: usize,
    /// Clients with [`Options::subscriptions`] each.
    pub subscribers: usize,
    /// Subscriptions of each of these.
    pub subscriptions: usize,
    /// Rooms of ten that talk.
    pub rooms: usize,
    /// Deliveries a second, of all rooms together.
    pub deliveries: u64,
    /// How long each run lasts.
    pub time: Duration,
    /// How often each is run.
    pub runs: usize,
}

/// Whom it is compared with.
pub(crate) const PEER: &str = "@deepstream/server 7.0.2";
/// Between the parts of a message.
const UNIT: char = '\u{1f}';
/// After each message.
const END: char = '\u{1e}';

/// What comes before a value in an event.
const EVENT_MARK: &str = "\u{1f}S";
/// The same in a record.
const RECORD_MARK: &str = "\"value\":\"";

/// Runs all cases.
///
/// # Errors
/// Where a server cannot be started, or does not do what it should.
pub fn run(options: &Options) -> io::Result<Vec<Case>> {
    let runtime = Runtime::new()?;
    let start = |ours: bool| if ours { roomful(&options.roomful) } else { peer(&options.peer) };
    let Options { rooms, deliveries, time, .. } = *options;
    let (mut event_runs, mut update_runs, mut turn_runs) = <([Runs; 2], [Runs; 2], [Runs; 2])>::default();
    let mut raw_runs = <[Runs; 3]>::default();
    let (mut idle_runs, mut subscriber_runs) = <([Vec<f64>; 2], [Vec<f64>; 2])>::default();
    for _ in 0..options.runs {
        for (at, ours) in [true, false].into_iter().enumerate() {
            event_runs[at].push(runtime.block_on(events(&start(ours)?, rooms, deliveries, time))?);
            update_runs[at].push(runtime.block_on(updates(&start(ours)?, rooms, deliveries, time))?);
            turn_runs[at].push(runtime.block_on(turns(&start(ours)?, rooms, deliveries, time))?);
            if !ours {
                for (runs, raw) in raw_runs.iter_mut().zip(&RAW) {
                    let server = Process::start::<&str>(&options.raw, &[])?;
                    runs.push(runtime.block_on(raw.run(&server, rooms, deliveries, time))?);
                }
            }
            let idle = runtime.block_on(memory(&start(ours)?, options.idle, 0))?;
            idle_runs[at].push(idle / options.idle as f64 / 1024.0);
            let subscribed = runtime.block_on(memory(&start(ours)?, options.subscribers, options.subscriptions))?;
            subscriber_runs[at].push(subscribed / 1024.0 / 1024.0);
        }
    }
    let mut cases = Vec::new();
    let names = ["event fan-out", "record update fan-out, all write", "record update fan-out, one writes"];
    for ((name, [ours, theirs]), raw) in names.into_iter().zip([event_runs, turn_runs, update_runs]).zip(&raw_runs) {
        cases.extend(ours.cases(name, PEER, &theirs));
        cases.extend(ours.cases(name, "raw tokio-tungstenite", raw));
    }
    let us = "roomful serve";
    cases.push(Case::of("idle client", "KiB", (us, &idle_runs[0]), (PEER, &idle_runs[1])));
    let name = format!("{} clients with {} subscriptions each", options.subscribers, options.subscriptions);
    cases.push(Case::of(name, "MiB", (us, &subscriber_runs[0]), (PEER, &subscriber_runs[1])));
    Ok(cases)
}

fn roomful(program: &Path) -> io::Result<Process> {
    Process::start(program, &["serve", "--dev", "--listen", "127.0.0.1:0"])
}

/// deepstream's server.
pub(crate) fn peer(folder: &Path) -> io::Result<Process> {
    // It does not choose a port by itself.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let arguments: [OsString; 2] = [folder.join("server.js").into(), port.to_string().into()];
    Process::start("node", &arguments)
}

/// An event.
fn event(name: &str, value: &str) -> String {
    message(&["E", "EVT", name, &format!("S{value}")])
}

/// A write of a record, whatever its version.
fn turn(name: &str, value: &str) -> String {
    message(&["R", "CU", name, "-1", &format!("{{\"value\":\"{value}\"}}"), "{}"])
}

/// A write of a record, as this version.
fn update(name: &str, version: u32, value: &str) -> String {
    message(&["R", "U", name, &version.to_string(), &format!("{{\"value\":\"{value}\"}}")])
}

/// Everybody in a room emits an event, which goes to everybody else.
pub(crate) async fn events(server: &Process, rooms: usize, deliveries: u64, time: Duration) -> io::Result<[f64; 3]> {
    let mut talkers = Vec::new();
    for n in 0..rooms {
        let room = format!("talk-{n}");
        for mut socket in clients(server, ROOM).await? {
            ask(&mut socket, &["E", "S", &room], "E\u{1f}A\u{1f}S").await?;
            let room = room.clone();
            let write = move |value: &str| event(&room, value);
            talkers.push(Talker { socket, write: Some(Box::new(write)), hears: ROOM as u64 - 1 });
        }
    }
    Load { deliveries, time, mark: EVENT_MARK }.run(server, talkers).await
}

/// Everybody in a room writes its record, whatever its version, which goes to everybody else.
async fn turns(server: &Process, rooms: usize, deliveries: u64, time: Duration) -> io::Result<[f64; 3]> {
    let mut talkers = Vec::new();
    for n in 0..rooms {
        let name = format!("cursor-{n}");
        for mut socket in clients(server, ROOM).await? {
            ask(&mut socket, &["R", "CR", &name], "R\u{1f}R\u{1f}").await?;
            let name = name.clone();
            let write = move |value: &str| turn(&name, value);
            talkers.push(Talker { socket, write: Some(Box::new(write)), hears: ROOM as u64 - 1 });
        }
    }
    Load { deliveries, time, mark: RECORD_MARK }.run(server, talkers).await
}

/// One in each room writes a record, which goes to everybody else.
async fn updates(server: &Process, rooms: usize, deliveries: u64, time: Duration) -> io::Result<[f64; 3]> {
    let mut talkers = Vec::new();
    for n in 0..rooms {
        let name = format!("cursor-{n}");
        for (at, mut socket) in clients(server, ROOM + 1).await?.into_iter().enumerate() {
            ask(&mut socket, &["R", "CR", &name], "R\u{1f}R\u{1f}").await?;
            let (name, mut version) = (name.clone(), 0);
            let write = move |value: &str| {
                version += 1;
                update(&name, version, value)
            };
            talkers.push(match at {
                0 => Talker { socket, write: Some(Box::new(write)), hears: 0 },
                _ => Talker { socket, write: None, hears: 1 },
            });
        }
    }
    Load { deliveries, time, mark: RECORD_MARK }.run(server, talkers).await
}

/// The same with a loop that sends what it gets to everybody in the room, its writer too.
struct Raw {
    /// How many of a room write.
    writers: usize,
    /// What, as one of the clients above does.
    write: fn(&str) -> String,
    mark: &'static str,
}

/// For events, for records that all write, and for those that one writes.
const RAW: [Raw; 3] = [
    Raw { writers: ROOM, write: |value| event("talk-0", value), mark: EVENT_MARK },
    Raw { writers: ROOM, write: |value| turn("cursor-0", value), mark: RECORD_MARK },
    Raw { writers: 1, write: |value| update("cursor-0", 1_000, value), mark: RECORD_MARK },
];

impl Raw {
    async fn run(&self, server: &Process, rooms: usize, deliveries: u64, time: Duration) -> io::Result<[f64; 3]> {
        let mut talkers = Vec::new();
        for n in 0..rooms {
            for (at, socket) in connect(server, &format!("room-{n}"), ROOM).await?.into_iter().enumerate() {
                let write = (at < self.writers).then(|| -> load::Write { Box::new(self.write) });
                talkers.push(Talker { socket, write, hears: self.writers as u64 });
            }
        }
        Load { deliveries, time, mark: self.mark }.run(server, talkers).await
    }
}

/// The bytes that so many clients take, each with so many subscriptions of its own.
async fn memory(server: &Process, count: usize, subscriptions: usize) -> io::Result<f64> {
    // What the first clients bring about once is not counted.
    let warm = clients(server, ROOM).await?;
    sleep(Duration::from_millis(500)).await;
    let before = server.memory()?;
    let mut all = clients(server, count).await?;
    for (n, socket) in all.iter_mut().enumerate() {
        for name in 0..subscriptions {
            say(socket, message(&["E", "S", &format!("event/{n}/{name}")])).await?;
        }
        if let Some(last) = subscriptions.checked_sub(1) {
            expect(socket, &message(&["E", "A", "S", &format!("event/{n}/{last}")])).await?;
        }
    }
    sleep(Duration::from_secs(1)).await;
    let memory = server.memory()?.saturating_sub(before);
    drop(warm);
    Ok(memory as f64)
}

/// Clients that are logged in.
async fn clients(server: &Process, count: usize) -> io::Result<Vec<Socket>> {
    let mut sockets = connect(server, "deepstream-v3", count).await?;
    for socket in &mut sockets {
        // Their server does without the challenge.
        if expect(socket, "C\u{1f}").await?.contains("C\u{1f}CH") {
            ask(socket, &["C", "CHR", "ws://127.0.0.1/deepstream-v3"], "C\u{1f}A\u{1e}").await?;
        }
        ask(socket, &["A", "REQ", "{}"], "A\u{1f}A").await?;
    }
    Ok(sockets)
}

async fn ask(socket: &mut Socket, parts: &[&str], answer: &str) -> io::Result<String> {
    say(socket, message(parts)).await?;
    expect(socket, answer).await
}

fn message(parts: &[&str]) -> String {
    let mut text = parts.join(&UNIT.to_string());
    text.push(END);
    text
}
