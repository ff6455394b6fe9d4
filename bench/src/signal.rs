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
    let [mut ours, mut raw] = [Runs::default(), Runs::default()];
    for _ in 0..options.runs {
        ours.push(runtime.block_on(fan_out(options, true))?);
        raw.push(runtime.block_on(fan_out(options, false))?);
    }
    let (roomful, peer) = ("roomful serve", "raw tokio-tungstenite");
    cases.push(Case::of("fan-out", "µs of CPU a delivery", (roomful, &ours.cpu), (peer, &raw.cpu)));
    cases.push(Case::of("fan-out p50", "ms", (roomful, &ours.p50), (peer, &raw.p50)));
    cases.push(Case::of("fan-out p99", "ms", (roomful, &ours.p99), (peer, &raw.p99)));
    Ok(cases)
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
async fn fan_out(options: &Options, ours: bool) -> io::Result<[f64; 3]> {
    let server = if ours { roomful(options)? } else { Process::start::<&str>(&options.raw, &[])? };
    let mut sockets = Vec::new();
    for n in 0..options.rooms {
        let name = format!("talk-{n}");
        sockets.extend(if ours { members(&server, &name, ROOM).await? } else { connect(&server, &name, ROOM).await? });
    }
    let writers = sockets.len() as u64;
    let period = Duration::from_secs(1).mul_f64((writers * ROOM as u64) as f64 / options.deliveries as f64);
    let writes = (options.time.as_secs_f64() / period.as_secs_f64()) as u64;
    let expected = writes * writers * ROOM as u64;
    let (start, delivered) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let before = server.cpu()?;
    let mut members = JoinSet::new();
    for (n, socket) in sockets.into_iter().enumerate() {
        // Spread evenly over a period: bursts would be batched, and so look cheap.
        let first = period.mul_f64(n as f64 / writers as f64);
        members.spawn(talk(socket, start, first, period, writes, delivered.clone()));
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

/// Writes at a steady rate and reads all that comes; gives back how long each took, in ns.
async fn talk(
    mut socket: Socket,
    start: Instant,
    first: Duration,
    period: Duration,
    writes: u64,
    delivered: Arc<AtomicU64>,
) -> Vec<u64> {
    let mut ticks = interval_at((start + first).into(), period);
    let (mut op, mut heard, mut latencies) = (0, 0, Vec::new());
    while heard < writes * ROOM as u64 {
        tokio::select! {
            _ = ticks.tick(), if op < writes => {
                op += 1;
                let value = format!("{:016}{}", start.elapsed().as_nanos(), "x".repeat(VALUE - 16));
                let value = Json::from(&value).expect("a text has a JSON form");
                let set = ClientMessage::State(SetState { op, key: "cursor".to_owned(), value });
                if socket.send(Message::text(set.encode())).await.is_err() {
                    break;
                }
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { break };
                let Ok(text) = message.to_text() else { continue };
                // Whatever else it says, a state's value begins with the time.
                let Some((_, value)) = text.split_once("\"value\":\"") else { continue };
                let sent = value.get(..16).and_then(|time| time.parse::<u64>().ok());
                let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latencies.push(now.saturating_sub(sent.unwrap_or(0)));
                heard += 1;
                delivered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    latencies
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
