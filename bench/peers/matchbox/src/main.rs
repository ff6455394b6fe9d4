//! matchbox_socket doing what `roomful bench mesh` does: `roomful-bench-matchbox MEMBERS SIZE MESSAGES RATE`.
//!
//! The workload and what is printed are those of `bench/src/mesh.rs`. Its queues have no bound, and what floods them does
//! not all arrive, so senders look at what was received, which costs them nothing in one process, and stay at most a
//! window ahead: `WINDOW` bytes for each link (an environment variable; 65536).

use std::{
    collections::BTreeSet,
    env,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use matchbox_signaling::SignalingServer;
use matchbox_socket::{Packet, PeerId, PeerState, RtcIceServerConfig, WebRtcSocket};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{interval_at, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy)]
struct Workload {
    members: usize,
    size: usize,
    messages: usize,
    rate: usize,
}

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [members, size, messages, rate] = numbers[..] else { panic!("give four numbers: MEMBERS SIZE MESSAGES RATE") };
    timeout(PATIENCE, meet(Workload { members, size, messages, rate })).await.expect("it takes too long");
}

async fn meet(workload: Workload) {
    let mut server = SignalingServer::full_mesh_builder((Ipv4Addr::LOCALHOST, 0)).build();
    let address = server.bind().expect("a free port");
    tokio::spawn(server.serve());
    let room = format!("ws://{address}/bench");

    let started = Instant::now();
    let mut entering = JoinSet::new();
    for _ in 0..workload.members {
        entering.spawn(linked(room.clone(), workload.members - 1));
    }
    let sockets = entering.join_all().await;
    let open_ms = started.elapsed().as_secs_f64() * 1e3;

    let ready = Arc::new(Barrier::new(workload.members));
    let received = Arc::new((0..workload.members).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let (cpu, started) = (cpu_seconds(), Instant::now());
    let mut talking = JoinSet::new();
    for (at, (socket, others)) in sockets.into_iter().enumerate() {
        talking.spawn(talk(at, socket, others, workload, Arc::clone(&ready), Arc::clone(&received)));
    }
    let heard = talking.join_all().await;
    let (cpu_s, wall_s) = (cpu_seconds() - cpu, started.elapsed().as_secs_f64());
    let delivered: usize = heard.iter().map(|(_, heard)| heard).sum();
    let expected = workload.members * (workload.members - 1) * workload.messages;
    println!(
        "{{\"open_ms\":{open_ms},\"expected\":{expected},\"delivered\":{delivered},\"cpu_s\":{cpu_s},\"wall_s\":{wall_s}}}"
    );
    std::process::exit(0);
}

/// A socket that is connected to so many others, and those.
async fn linked(room: String, others: usize) -> (WebRtcSocket, BTreeSet<PeerId>) {
    // No STUN: everybody is on this machine.
    let nowhere = RtcIceServerConfig { urls: Vec::new(), username: None, credential: None };
    let (mut socket, driver) = WebRtcSocket::builder(room).ice_server(nowhere).add_reliable_channel().build();
    tokio::spawn(driver);
    let mut peers = BTreeSet::new();
    while peers.len() < others {
        match socket.next().await {
            Some((peer, PeerState::Connected)) => drop(peers.insert(peer)),
            Some((peer, PeerState::Disconnected)) => drop(peers.remove(&peer)),
            None => panic!("the socket was closed"),
        }
    }
    (socket, peers)
}

/// `received`: of each sender's messages, how many arrived in all.
async fn talk(
    at: usize,
    mut socket: WebRtcSocket,
    others: BTreeSet<PeerId>,
    workload: Workload,
    ready: Arc<Barrier>,
    received: Arc<Vec<AtomicUsize>>,
) -> (WebRtcSocket, usize) {
    let (sender, mut messages) = socket.take_channel(0).expect("one was added").split();
    ready.wait().await;
    let counted = Arc::clone(&received);
    let sending = tokio::spawn(async move {
        let mut bytes = vec![7; workload.size];
        bytes[0] = at as u8;
        let window = env::var("WINDOW").ok().and_then(|text| text.parse().ok()).unwrap_or(32_768);
        let ahead = (window / workload.size).max(1);
        let mut pace = (workload.rate > 0).then(|| {
            let period = Duration::from_secs(1) / workload.rate as u32;
            interval_at(tokio::time::Instant::now() + period.mul_f64(at as f64 / workload.members as f64), period)
        });
        for n in 0..workload.messages {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            while n - counted[at].load(Ordering::Relaxed) / others.len() >= ahead {
                sleep(Duration::from_micros(200)).await;
            }
            let message = Packet::from(bytes.clone());
            for peer in &others {
                sender.unbounded_send((*peer, message.clone())).expect("an open socket");
            }
        }
        sender
    });
    let expected = (workload.members - 1) * workload.messages;
    let mut heard = 0;
    while heard < expected {
        // What is not there by then is lost.
        match timeout(Duration::from_secs(5), messages.next()).await {
            Ok(Some((_, message))) if message.len() == workload.size => {
                received[usize::from(message[0])].fetch_add(1, Ordering::Relaxed);
                heard += 1;
            }
            _ => break,
        }
    }
    let _ = sending.await;
    (socket, heard)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
