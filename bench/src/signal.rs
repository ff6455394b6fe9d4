//! The server's side: memory of idle members, and the processor time of a room's fan-out through the hub.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use room::{
    id::Secret,
    wire::signal::{ClientMessage, Join, Json, SetState},
};
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    case::Case,
    deepstream,
    load::{self, Load, ROOM, Runs, Socket, Talker},
    process::Process,
};

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `roomful`.
    pub roomful: PathBuf,
    /// The program `roomful-bench-raw-ws`.
    pub raw: PathBuf,
    /// The folder `bench/peers/deepstream`, where deepstream's server is to be measured too.
    pub deepstream: Option<PathBuf>,
    /// Idle members, in rooms of ten.
    pub idle: usize,
    /// Rooms of ten that talk.
    pub rooms: usize,
    /// Deliveries a second, of all rooms together.
    pub deliveries: u64,
    /// How long each run lasts.
    pub time: Duration,
    /// How often each is run.
    pub runs: usize,
}

/// Runs all cases.
///
/// # Errors
/// Where a server cannot be started, or does not do what it should.
pub fn run(options: &Options) -> io::Result<Vec<Case>> {
    let runtime = Runtime::new()?;
    let mut cases = vec![runtime.block_on(idle(options))?];
    let [mut ours, mut raw, mut deepstream] = [Runs::default(), Runs::default(), Runs::default()];
    for _ in 0..options.runs {
        ours.push(runtime.block_on(members_talk(options, &roomful(options)?))?);
        raw.push(runtime.block_on(raw_clients_talk(options, &Process::start::<&str>(&options.raw, &[])?))?);
        if let Some(folder) = &options.deepstream {
            let peer = deepstream::peer(folder)?;
            let events = deepstream::events(&peer, options.rooms, options.deliveries, options.time);
            deepstream.push(runtime.block_on(events)?);
        }
    }
    cases.extend(ours.cases("fan-out", "raw tokio-tungstenite", &raw));
    if options.deepstream.is_some() {
        cases.extend(ours.cases("fan-out", deepstream::PEER, &deepstream));
    }
    Ok(cases)
}

fn roomful(options: &Options) -> io::Result<Process> {
    Process::start(&options.roomful, &["serve", "--dev", "--listen", "127.0.0.1:0"])
}

/// Memory of members that have joined and are silent.
async fn idle(options: &Options) -> io::Result<Case> {
    let server = roomful(options)?;
    // What the first members bring about once is not counted.
    let warm = members(&server, "warm").await?;
    sleep(Duration::from_millis(500)).await;
    let before = server.memory()?;
    let mut all = Vec::with_capacity(options.idle);
    for n in 0..options.idle / ROOM {
        all.extend(members(&server, &format!("idle-{n}")).await?);
    }
    sleep(Duration::from_secs(1)).await;
    let memory = (server.memory()?.saturating_sub(before)) as f64 / all.len() as f64 / 1024.0;
    drop(warm);
    Ok(Case::of("idle member", "KiB", ("roomful serve", &[memory]), ("", &[])))
}

/// Members of many rooms write state; every write goes to everybody in the room, the writer too.
async fn members_talk(options: &Options, server: &Process) -> io::Result<[f64; 3]> {
    let mut talkers = Vec::new();
    for n in 0..options.rooms {
        talkers.extend(members(server, &format!("talk-{n}")).await?.into_iter().map(writer));
    }
    load(options).run(server, talkers).await
}

/// The same with a loop that sends what it gets to everybody in the room.
async fn raw_clients_talk(options: &Options, server: &Process) -> io::Result<[f64; 3]> {
    let mut talkers = Vec::new();
    for n in 0..options.rooms {
        talkers.extend(load::connect(server, &format!("talk-{n}"), ROOM).await?.into_iter().map(writer));
    }
    load(options).run(server, talkers).await
}

fn load(options: &Options) -> Load {
    Load { deliveries: options.deliveries, time: options.time, mark: "\"value\":\"" }
}

fn writer(socket: Socket) -> Talker {
    let mut op = 0;
    let write = move |value: &str| {
        op += 1;
        let value = Json::from(value).expect("a text has a JSON form");
        ClientMessage::State(SetState { op, key: "cursor".to_owned(), value }).encode()
    };
    Talker { socket, write: Some(Box::new(write)), hears: ROOM as u64 }
}

/// Members of one room, all welcomed.
async fn members(server: &Process, room: &str) -> io::Result<Vec<Socket>> {
    static SECRETS: AtomicU64 = AtomicU64::new(1);
    let mut sockets = load::connect(server, room, ROOM).await?;
    for socket in &mut sockets {
        let mut secret = [0; 16];
        secret[8..].copy_from_slice(&SECRETS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let join = ClientMessage::Join(Join {
            v: 1,
            secret: Secret(secret),
            key: None,
            name: "member".to_owned(),
            attributes: Default::default(),
            token: None,
            topology: Some("mesh".to_owned()),
            agent: None,
            relay: None,
            resume: None,
        });
        load::say(socket, join.encode()).await?;
        load::expect(socket, "{\"welcome\"").await?;
    }
    Ok(sockets)
}
