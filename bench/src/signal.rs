//! The server's side: memory of idle members, and the processor time of a room's fan-out through the hub.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, stream};
use room::{
    id::Secret,
    wire::signal::{ClientMessage, Join, Json, SetState},
};
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{case::Case, process::Process};

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `roomful`.
    pub roomful: PathBuf,
    /// The program `roomful-bench-raw-ws`.
    pub raw: PathBuf,
    /// The folder `bench/peers/deepstream`, where deepstream's server is to be measured too.
    pub deepstream: Option<PathBuf>,
    /// Idle members, in rooms of [`ROOM`].
    pub idle: usize,
    /// Rooms of [`ROOM`] that talk.
    pub rooms: usize,
    /// Deliveries a second, of all rooms together.
    pub deliveries: u64,
    /// How long each run lasts.
    pub time: Duration,
    /// How often each is run.
    pub runs: usize,
}

/// Members of a room.
pub const ROOM: usize = 10;
/// Bytes of a value written to the room's state.
const VALUE: usize = 200;
/// Joins under way at a time.
const JOINING: usize = 64;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<TcpStream>;

/// Runs all cases.
///
/// # Errors
/// Where a server cannot be started, or does not do what it should.
pub fn run(options: &Options) -> io::Result<Vec<Case>> {
    let runtime = Runtime::new()?;
    let mut cases = vec![runtime.block_on(idle(options))?];
    let [mut ours, mut raw, mut deepstream] = [Runs::default(), Runs::default(), Runs::default()];
    for _ in 0..options.runs {
        ours.push(runtime.block_on(fan_out(options, Server::Roomful))?);
        raw.push(runtime.block_on(fan_out(options, Server::Raw))?);
        if options.deepstream.is_some() {
            deepstream.push(runtime.block_on(fan_out(options, Server::Deepstream))?);
        }
    }
    for (name, peer, theirs) in
        [("fan-out", "raw tokio-tungstenite", &raw), ("fan-out", "@deepstream/server 7.0.2", &deepstream)]
    {
        if theirs.cpu.is_empty() {
            continue;
        }
        let roomful = "roomful serve";
        cases.push(Case::of(name, "µs of CPU a delivery", (roomful, &ours.cpu), (peer, &theirs.cpu)));
        cases.push(Case::of(format!("{name} p50"), "ms", (roomful, &ours.p50), (peer, &theirs.p50)));
        cases.push(Case::of(format!("{name} p99"), "ms", (roomful, &ours.p99), (peer, &theirs.p99)));
    }
    Ok(cases)
}

/// Whose fan-out is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Writes to a room's state, which go to everybody in it.
    Roomful,
    /// Sends what it gets to everybody in the room.
    Raw,
    /// Events, by the text protocol, which go to everybody who subscribed but their sender.
    Deepstream,
}

impl Server {
    fn start(self, options: &Options) -> io::Result<Process> {
        match (self, &options.deepstream) {
            (Server::Roomful, _) => roomful(options),
            (Server::Raw, _) => Process::start::<&str>(&options.raw, &[]),
            (Server::Deepstream, Some(folder)) => {
                // It does not choose a port by itself.
                let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                Process::start("node", &[folder.join("server.js").into_os_string(), port.to_string().into()])
            }
            (Server::Deepstream, None) => Err(io::Error::other("no deepstream server was named")),
        }
    }

    async fn enter(self, server: &Process, room: &str) -> io::Result<Vec<Socket>> {
        match self {
            Server::Roomful => members(server, room, ROOM).await,
            Server::Raw => connect(server, room, ROOM).await,
            Server::Deepstream => subscribers(server, room, ROOM).await,
        }
    }

    /// To how many one write of a member goes.
    fn receivers(self) -> u64 {
        match self {
            Server::Roomful | Server::Raw => ROOM as u64,
            Server::Deepstream => ROOM as u64 - 1,
        }
    }

    fn write(self, op: u64, value: &str, room: &str) -> String {
        match self {
            Server::Roomful | Server::Raw => {
                let value = Json::from(value).expect("a text has a JSON form");
                ClientMessage::State(SetState { op, key: "cursor".to_owned(), value }).encode()
            }
            Server::Deepstream => format!("E\u{1f}EVT\u{1f}{room}\u{1f}S{value}\u{1e}"),
        }
    }

    /// What comes before each value in what the server sends.
    fn mark(self) -> &'static str {
        match self {
            Server::Roomful | Server::Raw => "\"value\":\"",
            Server::Deepstream => "\u{1f}S",
        }
    }
}

fn roomful(options: &Options) -> io::Result<Process> {
    Process::start(&options.roomful, &["serve", "--dev", "--listen", "127.0.0.1:0"])
}

/// Memory of members that have joined and are silent.
async fn idle(options: &Options) -> io::Result<Case> {
    let server = roomful(options)?;
    // What the first members bring about once is not counted.
    let warm = members(&server, "warm", ROOM).await?;
    sleep(Duration::from_millis(500)).await;
    let before = server.memory()?;
    let mut all = Vec::with_capacity(options.idle);
    for n in 0..options.idle / ROOM {
        all.extend(members(&server, &format!("idle-{n}"), ROOM).await?);
    }
    sleep(Duration::from_secs(1)).await;
    let memory = (server.memory()?.saturating_sub(before)) as f64 / all.len() as f64 / 1024.0;
    drop(warm);
    Ok(Case::of("idle member", "KiB", ("roomful serve", &[memory]), ("", &[])))
}

#[derive(Default)]
struct Runs {
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Runs {
    fn push(&mut self, [cpu, p50, p99]: [f64; 3]) {
        self.cpu.push(cpu);
        self.p50.push(p50);
        self.p99.push(p99);
    }
}

/// Members of many rooms write state; every write goes to everybody in the room, the writer too. The raw server sends
/// what it gets.
async fn fan_out(options: &Options, which: Server) -> io::Result<[f64; 3]> {
    let server = which.start(options)?;
    let mut sockets = Vec::new();
    for n in 0..options.rooms {
        let name = format!("talk-{n}");
        let entered = which.enter(&server, &name).await?;
        sockets.extend(entered.into_iter().map(|socket| (socket, name.clone())));
    }
    let writers = sockets.len() as u64;
    let period = Duration::from_secs(1).mul_f64((writers * which.receivers()) as f64 / options.deliveries as f64);
    let writes = (options.time.as_secs_f64() / period.as_secs_f64()) as u64;
    let expected = writes * writers * which.receivers();
    let (start, delivered) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let before = server.cpu()?;
    let mut members = JoinSet::new();
    for (n, (socket, room)) in sockets.into_iter().enumerate() {
        // Spread evenly over a period: bursts would be batched, and so look cheap.
        let first = period.mul_f64(n as f64 / writers as f64);
        let talker = Talker { which, room, start, first, period, writes, delivered: delivered.clone() };
        members.spawn(talker.talk(socket));
    }
    while delivered.load(Ordering::Relaxed) < expected {
        sleep(Duration::from_millis(5)).await;
        if start.elapsed() > options.time + PATIENCE {
            return Err(io::Error::other(format!("{} of {expected} delivered", delivered.load(Ordering::Relaxed))));
        }
    }
    let cpu = server.cpu()?.saturating_sub(before);
    let mut latencies: Vec<u64> = members.join_all().await.into_iter().flatten().collect();
    latencies.sort_unstable();
    let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or(0) as f64 / 1e6;
    Ok([cpu.as_secs_f64() * 1e6 / expected as f64, at(50), at(99)])
}

/// A member that writes at a steady rate and reads all that comes.
struct Talker {
    which: Server,
    room: String,
    start: Instant,
    first: Duration,
    period: Duration,
    writes: u64,
    delivered: Arc<AtomicU64>,
}

impl Talker {
    /// Gives back how long each delivery took, in ns.
    async fn talk(self, mut socket: Socket) -> Vec<u64> {
        let mut ticks = interval_at((self.start + self.first).into(), self.period);
        let (mut op, mut latencies) = (0, Vec::new());
        // Who has heard everything may still have something to say.
        while op < self.writes || (latencies.len() as u64) < self.writes * self.which.receivers() {
            tokio::select! {
                _ = ticks.tick(), if op < self.writes => {
                    op += 1;
                    let value = format!("{:016}{}", self.start.elapsed().as_nanos(), "x".repeat(VALUE - 16));
                    if socket.send(Message::text(self.which.write(op, &value, &self.room))).await.is_err() {
                        break;
                    }
                }
                message = socket.next() => {
                    let Some(Ok(message)) = message else { break };
                    let Ok(text) = message.to_text() else { continue };
                    let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    // Whatever else is said, a value begins with the time. One frame may hold several.
                    for value in text.split(self.which.mark()).skip(1) {
                        let Some(sent) = value.get(..16).and_then(|time| time.parse::<u64>().ok()) else { continue };
                        latencies.push(now.saturating_sub(sent));
                        self.delivered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        latencies
    }
}

/// deepstream clients, logged in and subscribed to the event of the room's name.
async fn subscribers(server: &Process, room: &str, count: usize) -> io::Result<Vec<Socket>> {
    let mut sockets = connect(server, "deepstream-v3", count).await?;
    for socket in &mut sockets {
        expect(socket, "C\u{1f}A\u{1e}").await?;
        socket.send(Message::text("A\u{1f}REQ\u{1f}{}\u{1e}")).await.map_err(io::Error::other)?;
        expect(socket, "A\u{1f}A").await?;
        socket.send(Message::text(format!("E\u{1f}S\u{1f}{room}\u{1e}"))).await.map_err(io::Error::other)?;
        expect(socket, "E\u{1f}A\u{1f}S").await?;
    }
    Ok(sockets)
}

/// Reads until something comes that contains a text.
async fn expect(socket: &mut Socket, wanted: &str) -> io::Result<()> {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.map_err(io::Error::other)?;
        let Some(Ok(message)) = message else { return Err(io::Error::other("the server closed the connection")) };
        if message.to_text().is_ok_and(|text| text.contains(wanted)) {
            return Ok(());
        }
    }
}

/// Members of one room, all welcomed.
async fn members(server: &Process, room: &str, count: usize) -> io::Result<Vec<Socket>> {
    static SECRETS: AtomicU64 = AtomicU64::new(1);
    let mut sockets = connect(server, room, count).await?;
    for socket in &mut sockets {
        let mut secret = [0; 16];
        secret[8..].copy_from_slice(&SECRETS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let join = ClientMessage::Join(Join {
            v: 1,
            secret: Secret(secret),
            name: "member".to_owned(),
            attributes: Default::default(),
            token: None,
            topology: None,
            agent: None,
            resume: None,
        });
        socket.send(Message::text(join.encode())).await.map_err(io::Error::other)?;
        let welcome = timeout(PATIENCE, socket.next()).await.map_err(io::Error::other)?;
        if !welcome.is_some_and(|message| message.is_ok_and(|message| message.to_text().is_ok_and(is_welcome))) {
            return Err(io::Error::other("no welcome"));
        }
    }
    Ok(sockets)
}

fn is_welcome(text: &str) -> bool {
    text.starts_with("{\"welcome\"")
}

async fn connect(server: &Process, room: &str, count: usize) -> io::Result<Vec<Socket>> {
    let connects = (0..count).map(|_| async {
        let stream = TcpStream::connect(&server.address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let url = format!("ws://{}/{room}", server.address);
        let (socket, _) = client_async_with_config(url, stream, Some(config)).await.map_err(io::Error::other)?;
        Ok(socket)
    });
    stream::iter(connects).buffer_unordered(JOINING).collect::<Vec<_>>().await.into_iter().collect()
}
