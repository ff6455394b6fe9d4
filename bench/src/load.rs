//! Clients that talk through a server at a steady rate, and note how long each delivery took.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, stream};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{case::Case, process::Process};

/// Bytes of a value that is written.
pub(crate) const VALUE: usize = 200;
/// Clients of a room.
pub(crate) const ROOM: usize = 10;
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Connections made at a time.
const CONNECTING: usize = 64;
/// Digits of the time that a value begins with.
const TIME: usize = 16;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a client sends to write a value.
pub(crate) type Write = Box<dyn FnMut(&str) -> String + Send>;

/// A client that is ready to talk.
pub(crate) struct Talker {
    pub(crate) socket: Socket,
    /// `None`: it only listens.
    pub(crate) write: Option<Write>,
    /// How many clients' values come to it.
    pub(crate) hears: u64,
}

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Deliveries a second, to all clients together.
    pub(crate) deliveries: u64,
    /// For how long.
    pub(crate) time: Duration,
    /// What comes before each value in what the server sends.
    pub(crate) mark: &'static str,
}

/// What several runs found.
#[derive(Default)]
pub(crate) struct Runs {
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Runs {
    pub(crate) fn push(&mut self, [cpu, p50, p99]: [f64; 3]) {
        self.cpu.push(cpu);
        self.p50.push(p50);
        self.p99.push(p99);
    }

    /// Ours beside a peer's.
    pub(crate) fn cases(&self, name: &str, peer: &'static str, theirs: &Runs) -> Vec<Case> {
        let us = "roomful serve";
        vec![
            Case::of(name, "µs of CPU a delivery", (us, &self.cpu), (peer, &theirs.cpu)),
            Case::of(format!("{name} p50"), "ms", (us, &self.p50), (peer, &theirs.p50)),
            Case::of(format!("{name} p99"), "ms", (us, &self.p99), (peer, &theirs.p99)),
        ]
    }
}

impl Load {
    /// Lets clients talk: gives the server's processor time a delivery in µs, and the median and the 99th percentile of
    /// the time a delivery took, in ms.
    pub(crate) async fn run(self, server: &Process, talkers: Vec<Talker>) -> io::Result<[f64; 3]> {
        let hears: u64 = talkers.iter().map(|talker| talker.hears).sum();
        let period = Duration::from_secs(1).mul_f64(hears as f64 / self.deliveries as f64);
        let writes = (self.time.as_secs_f64() / period.as_secs_f64()) as u64;
        let expected = writes * hears;
        let (start, delivered) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let before = server.cpu()?;
        let (count, mut talking) = (talkers.len(), JoinSet::new());
        for (n, talker) in talkers.into_iter().enumerate() {
            // Spread evenly over a period: bursts would be batched, and so look cheap.
            let first = period.mul_f64(n as f64 / count as f64);
            let talk = Talk { mark: self.mark, start, first, period, writes, delivered: delivered.clone() };
            talking.spawn(talk.run(talker));
        }
        while delivered.load(Ordering::Relaxed) < expected {
            sleep(Duration::from_millis(5)).await;
            if start.elapsed() > self.time + PATIENCE {
                let delivered = delivered.load(Ordering::Relaxed);
                return Err(io::Error::other(format!("{delivered} of {expected} delivered")));
            }
        }
        let cpu = server.cpu()?.saturating_sub(before);
        let mut latencies: Vec<u64> = talking.join_all().await.into_iter().flatten().collect();
        latencies.sort_unstable();
        let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or(0) as f64 / 1e6;
        Ok([cpu.as_secs_f64() * 1e6 / expected as f64, at(50), at(99)])
    }
}

/// A client's part.
struct Talk {
    mark: &'static str,
    start: Instant,
    first: Duration,
    period: Duration,
    writes: u64,
    delivered: Arc<AtomicU64>,
}

impl Talk {
    /// Gives back how long each delivery took, in ns.
    async fn run(self, talker: Talker) -> Vec<u64> {
        let Talker { mut socket, mut write, hears } = talker;
        let mut ticks = interval_at((self.start + self.first).into(), self.period);
        let mut latencies = Vec::new();
        let mut left = if write.is_some() { self.writes } else { 0 };
        // Who has heard everything may still have something to say.
        while left > 0 || (latencies.len() as u64) < self.writes * hears {
            tokio::select! {
                _ = ticks.tick(), if left > 0 => {
                    left -= 1;
                    let time = self.start.elapsed().as_nanos();
                    let value = format!("{time:0TIME$}{}", "x".repeat(VALUE - TIME));
                    let Some(text) = write.as_mut().map(|write| write(&value)) else { continue };
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                message = socket.next() => {
                    let Some(Ok(message)) = message else { break };
                    let Ok(text) = message.to_text() else { continue };
                    let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    // Whatever else is said, a value begins with the time. One frame may hold several.
                    for value in text.split(self.mark).skip(1) {
                        let sent = value.get(..TIME).and_then(|time| time.parse::<u64>().ok());
                        let Some(sent) = sent else { continue };
                        latencies.push(now.saturating_sub(sent));
                        self.delivered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        latencies
    }
}

/// Connects to a path of a server, so many times.
pub(crate) async fn connect(server: &Process, path: &str, count: usize) -> io::Result<Vec<Socket>> {
    let connects = (0..count).map(|_| async {
        let stream = TcpStream::connect(&server.address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let url = format!("ws://{}/{path}", server.address);
        let (socket, _) = client_async_with_config(url, stream, Some(config)).await.map_err(io::Error::other)?;
        Ok(socket)
    });
    stream::iter(connects).buffer_unordered(CONNECTING).collect::<Vec<_>>().await.into_iter().collect()
}

/// Says something.
pub(crate) async fn say(socket: &mut Socket, text: String) -> io::Result<()> {
    socket.send(Message::text(text)).await.map_err(io::Error::other)
}

/// Reads until something comes that contains a text, and gives that back.
pub(crate) async fn expect(socket: &mut Socket, wanted: &str) -> io::Result<String> {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.map_err(io::Error::other)?;
        let Some(Ok(message)) = message else {
            return Err(io::Error::other(format!("the server closed the connection before it said {wanted:?}")));
        };
        if let Some(text) = message.to_text().ok().filter(|text| text.contains(wanted)) {
            return Ok(text.to_owned());
        }
    }
}
