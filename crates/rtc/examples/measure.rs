//! What this crate costs on loopback: `cargo run --release -p roomful-rtc --example measure`.
//!
//! Set-up of a mesh of 8 (28 pairs), then one pair: messages of 16 KiB and of 200 B in one
//! direction at full speed, a ping-pong, and small urgent messages while bulk flows.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::{ChannelConfig, Config, Endpoint, Event, LANE_PAUSE_BYTES, Lane, PeerId, Reliability, Role, Signal};

const URGENT: Lane = Lane(0);
const BULK: Lane = Lane(1);
const LOSSY: Lane = Lane(2);
const TIME: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    for members in [2, 8, 8, 8] {
        set_up(members).await;
    }
    for _ in 0..3 {
        flood("16 KiB reliable", BULK, 16 * 1024).await;
    }
    for _ in 0..3 {
        flood("200 B reliable", BULK, 200).await;
    }
    flood("1 KiB reliable", BULK, 1024).await;
    flood("200 B unordered, no retransmission", LOSSY, 200).await;
    ping_pong(false).await;
    ping_pong(true).await;
    for one_way_ms in [5, 25] {
        long_path(Duration::from_millis(one_way_ms)).await;
    }
}

fn config() -> Config {
    let channel = |label: &str, ordered, reliability, priority| ChannelConfig {
        label: label.to_owned(),
        ordered,
        reliability,
        priority,
    };
    Config {
        loopback: true,
        listen: "127.0.0.1:0".parse().expect("address"),
        ..Config::new(vec![
            channel("urgent", true, Reliability::Reliable, 0),
            channel("bulk", true, Reliability::Reliable, 9),
            channel("lossy", false, Reliability::MaxRetransmits(0), 5),
        ])
    }
}

/// Every pair of so many endpoints, from nothing to open on both sides.
async fn set_up(members: usize) {
    let mut endpoints: Vec<_> = (0..members).map(|_| Endpoint::bind(config()).expect("bind")).collect();
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut links = Vec::new();
    for a in 0..members {
        for b in a + 1..members {
            let at_b = endpoints[b].connect(Role::Answer).expect("peer");
            let at_a = endpoints[a].connect(Role::Offer).expect("peer");
            links.push(((a, at_a), (b, at_b)));
        }
    }
    let mut open = 0;
    loop {
        for index in 0..members {
            while let Some(event) = endpoints[index].poll_event() {
                match event {
                    Event::Open { .. } => open += 1,
                    Event::Signal { peer, signal } => {
                        let here = (index, peer);
                        let (to, peer) = links
                            .iter()
                            .find_map(|(a, b)| match here {
                                _ if *a == here => Some(*b),
                                _ if *b == here => Some(*a),
                                _ => None,
                            })
                            .expect("link");
                        endpoints[to].signal(peer, signal).expect("signal");
                    }
                    Event::Down { reason, .. } => panic!("down: {reason}"),
                    _ => {}
                }
            }
        }
        if open == 2 * links.len() {
            break;
        }
        let mut waits: Vec<_> = endpoints.iter_mut().map(|e| Box::pin(e.wait())).collect();
        poll_fn(|context| {
            let ready = waits.iter_mut().map(|w| w.as_mut().poll(context)).filter(Poll::is_ready).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    println!(
        "set-up, {members} members, {} pairs: {:.1} ms, {:.2} ms CPU a pair",
        links.len(),
        start.elapsed().as_secs_f64() * 1e3,
        (cpu_time() - cpu).as_secs_f64() * 1e3 / links.len() as f64
    );
}

async fn pair() -> (Endpoint, PeerId, Endpoint, PeerId) {
    let (a, b) = (Endpoint::bind(config()).expect("bind"), Endpoint::bind(config()).expect("bind"));
    open_pair(a, b, |signal| signal).await
}

async fn open_pair(
    mut a: Endpoint,
    mut b: Endpoint,
    through: impl Fn(Signal) -> Signal,
) -> (Endpoint, PeerId, Endpoint, PeerId) {
    let (to_b, to_a) = (a.connect(Role::Offer).expect("peer"), b.connect(Role::Answer).expect("peer"));
    let mut open = 0;
    while open < 2 {
        while let Some(event) = a.poll_event() {
            match event {
                Event::Signal { signal, .. } => b.signal(to_a, through(signal)).expect("signal"),
                Event::Open { .. } => open += 1,
                _ => {}
            }
        }
        while let Some(event) = b.poll_event() {
            match event {
                Event::Signal { signal, .. } => a.signal(to_b, through(signal)).expect("signal"),
                Event::Open { .. } => open += 1,
                _ => {}
            }
        }
        if open < 2 {
            tokio::select! { () = a.wait() => {}, () = b.wait() => {} }
        }
    }
    (a, to_b, b, to_a)
}

/// Sends until the lane wants a pause.
fn fill(endpoint: &mut Endpoint, peer: PeerId, lane: Lane, message: &Bytes) {
    while endpoint.buffered(peer, lane) < LANE_PAUSE_BYTES {
        if endpoint.send(peer, lane, message.clone()).is_err() {
            break;
        }
    }
}

/// One direction at full speed, each side on its own thread.
async fn flood(what: &str, lane: Lane, size: usize) {
    flood_over(what, lane, size, pair().await, TIME).await;
}

async fn flood_over(
    what: &str,
    lane: Lane,
    size: usize,
    (mut a, to_b, mut b, _): (Endpoint, PeerId, Endpoint, PeerId),
    time: Duration,
) {
    let message = Bytes::from(vec![7; size]);
    let cpu = cpu_time();
    let receiver = tokio::spawn(async move {
        let (mut count, start) = (0u64, Instant::now());
        while start.elapsed() < time {
            let _ = tokio::time::timeout(Duration::from_millis(50), b.wait()).await;
            while let Some(event) = b.poll_event() {
                count += u64::from(matches!(event, Event::Data { .. }));
            }
        }
        (count, start.elapsed(), b.stats())
    });
    let sender = tokio::spawn(async move {
        let start = Instant::now();
        while start.elapsed() < time {
            fill(&mut a, to_b, lane, &message);
            let _ = tokio::time::timeout(Duration::from_millis(50), a.wait()).await;
            while a.poll_event().is_some() {}
        }
        a.stats()
    });
    let (count, took, received) = receiver.await.expect("receiver");
    let sent = sender.await.expect("sender");
    let cpu = (cpu_time() - cpu).as_secs_f64();
    println!(
        "{what}: {:.0} messages/s, {:.1} MB/s; {:.0} messages, {:.1} MB a CPU-second; \
         {} datagrams out, {} back, {} dropped",
        count as f64 / took.as_secs_f64(),
        (count * size as u64) as f64 / took.as_secs_f64() / 1e6,
        count as f64 / cpu,
        (count * size as u64) as f64 / cpu / 1e6,
        sent.packets_out,
        received.packets_out,
        sent.dropped_out,
    );
}

/// Round trips of 64 bytes, alone or beside a flood of bulk.
async fn ping_pong(beside_bulk: bool) {
    let (mut a, to_b, mut b, to_a) = pair().await;
    let bulk = Bytes::from(vec![7; 16 * 1024]);
    let echo = tokio::spawn(async move {
        let start = Instant::now();
        while start.elapsed() < TIME {
            let _ = tokio::time::timeout(Duration::from_millis(50), b.wait()).await;
            while let Some(event) = b.poll_event() {
                if let Event::Data { lane: URGENT, bytes, .. } = event {
                    b.send(to_a, URGENT, bytes).expect("send");
                }
            }
        }
    });
    let mut times = Vec::new();
    let start = Instant::now();
    let mut sent = Instant::now();
    a.send(to_b, URGENT, Bytes::from_static(&[1; 64])).expect("send");
    while start.elapsed() < TIME - Duration::from_millis(200) {
        if beside_bulk {
            fill(&mut a, to_b, BULK, &bulk);
        }
        let _ = tokio::time::timeout(Duration::from_millis(50), a.wait()).await;
        while let Some(event) = a.poll_event() {
            if let Event::Data { lane: URGENT, bytes, .. } = event {
                times.push(sent.elapsed());
                sent = Instant::now();
                a.send(to_b, URGENT, bytes).expect("send");
            }
        }
    }
    echo.await.expect("echo");
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let beside = if beside_bulk { " beside bulk" } else { "" };
    println!("64 B round trip{beside}: p50 {:?}, p99 {:?}, {} of them", at(0.5), at(0.99), times.len());
}

/// A flood through a relay that holds every datagram back, as a long path does.
async fn long_path(one_way: Duration) {
    let (a, b) = (Endpoint::bind(config()).expect("bind"), Endpoint::bind(config()).expect("bind"));
    let relay = UdpSocket::bind("127.0.0.1:0").expect("socket");
    let _ = socket2::SockRef::from(&relay).set_recv_buffer_size(4 * 1024 * 1024);
    relay.set_read_timeout(Some(Duration::from_micros(200))).expect("timeout");
    let port = relay.local_addr().expect("address").port();
    let ends = [a.local_addr(), b.local_addr()];
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut held = VecDeque::new();
        let mut buffer = [0; 2000];
        while !stopped.load(Ordering::Relaxed) {
            if let Ok((length, from)) = relay.recv_from(&mut buffer) {
                let to = ends[usize::from(from == ends[0])];
                held.push_back((Instant::now() + one_way, to, buffer[..length].to_vec()));
            }
            while held.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
                if let Some((_, to, datagram)) = held.pop_front() {
                    let _ = relay.send_to(&datagram, to);
                }
            }
        }
    });
    let through = |signal| {
        let swap = |sdp: String| {
            ends.iter().fold(sdp, |sdp, end| {
                sdp.replace(&format!(" 127.0.0.1 {} ", end.port()), &format!(" 127.0.0.1 {port} "))
            })
        };
        match signal {
            Signal::Offer(sdp) => Signal::Offer(swap(sdp)),
            Signal::Answer(sdp) => Signal::Answer(swap(sdp)),
            other => other,
        }
    };
    let pair = open_pair(a, b, through).await;
    let what = format!("16 KiB reliable, {} ms round trip", 2 * one_way.as_millis());
    flood_over(&what, BULK, 16 * 1024, pair, 3 * TIME).await;
    stop.store(true, Ordering::Relaxed);
    thread.join().expect("relay");
}

/// User and system time of this process, in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
