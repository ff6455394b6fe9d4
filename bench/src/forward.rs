//! What it costs a member to pass on what another says: the courier alone, without signing, links or system calls.

use bytes::Bytes;
use room::{
    courier::{Courier, Event, LinkError, LinkUp, Plan},
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::{self, Data, Frame, Have, Head, Kind, NUMBER_MAX, Stream},
};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// How much is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Links that it is passed on over.
    pub links: u64,
    /// Bytes in a message, in one chunk.
    pub bytes: usize,
    /// Messages.
    pub messages: u64,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Links that it was passed on over.
    pub links: u64,
    /// Bytes in a message.
    pub bytes: usize,
    /// Frames that left, in packets.
    pub frames: u64,
    /// Frames for each second of a processor.
    pub frames_per_s: f64,
    /// Nanoseconds of a processor for each message that came, all that follows from it included.
    pub ns_per_message: f64,
}

/// Chunks between two acknowledgements of a follower.
const ACKNOWLEDGED_EVERY: u64 = 16;

/// Passes messages on: from one link to all others, in the packets that a driver would send.
///
/// # Errors
/// Where the courier finds fault with its neighbours.
pub fn run(options: &Options) -> Result<Figures, LinkError> {
    let Options { links, bytes, messages } = *options;
    let (source, followers) = (MemberId::from(1), (2..2 + links).map(MemberId::from));
    let followers: Vec<MemberId> = followers.collect();
    let mut now = Time(1_000_000);
    let mut courier = Courier::new(MemberId::from(u64::MAX), now);
    courier.met_all();
    let all = || followers.iter().copied().chain([source]);
    courier.plan(now, Plan { epoch: 1, relayed: true, eager: all().collect() });
    for peer in all() {
        courier.link_up(now, peer, LinkUp::default());
        let hello = Frame::Hello { version: frame::VERSION, epoch: 1, credit: NUMBER_MAX, holdings: Vec::new() };
        courier.frame(now, peer, hello.encode())?;
        courier.measured(peer, Micros::from_millis(20));
    }
    let chunks: Vec<Bytes> = (1..=messages).map(|seq| chunk(source, seq, bytes)).collect();
    let started = processor_ns();
    for (seq, bytes) in (1..).zip(chunks) {
        now = now + Micros(10);
        courier.frame(now, source, bytes)?;
        while let Some(event) = courier.poll_event() {
            if let Event::Message { origin, payload, .. } = event {
                courier.consumed(now, origin, payload.len());
            }
        }
        if seq % ACKNOWLEDGED_EVERY == 0 {
            let have = Frame::Have(vec![Have { origin: source, next: seq, hop: 2, delay_ms: 20 }]).encode();
            for peer in &followers {
                courier.frame(now, *peer, have.clone())?;
            }
        }
        if courier.poll_timeout().is_some_and(|due| due <= now) {
            courier.tick(now);
        }
        while let Some(peer) = courier.poll_dirty() {
            let mut sent = false;
            while courier.next_packet(now, peer).is_some() {
                sent = true;
            }
            // It is listed again, and has nothing then.
            if sent {
                courier.buffered(peer, 0);
            }
        }
    }
    let ns = processor_ns() - started;
    let frames = courier.counters().pushed;
    Ok(Figures { links, bytes, frames, frames_per_s: frames as f64 / ns * 1e9, ns_per_message: ns / messages as f64 })
}

fn chunk(origin: MemberId, seq: u64, bytes: usize) -> Bytes {
    let head = Some(Head { kind: Kind::Message, channel: "chat".to_owned() });
    let payload = Bytes::from(vec![7; bytes.min(limits::CHUNK)]);
    Data { stream: Stream::room(origin), seq, head, last: true, payload }.encode()
}

/// ns that this process has had of a processor: others may want it too.
pub(crate) fn processor_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
