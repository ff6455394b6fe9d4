//! What peers say over a link, and what is said to them.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use room::{
    id::{Digest, MemberId, Signature},
    limits,
    member::Lane,
    wire::frame::{self, Ack, Data, Frame, Have, Head, Holding, Kind, PacketReader, Signed, Stream},
};

use super::{Few, id};

/// A frame from a peer, which may lie.
#[derive(Arbitrary, Debug)]
pub(super) enum Said {
    Hello { version: Few, credit: u32, holdings: Vec<(Whose, Few, Few)> },
    Data { whose: Whose, seq: Few, head: Option<(Few, Few)>, last: bool, length: u16 },
    Next { head: Option<(Few, Few)>, last: bool, length: u16, addressed: bool },
    Ack { acks: Vec<(Whose, Few)> },
    AckAll,
    Credit { total: u32 },
    Skip { whose: Whose, upto: Few },
    Signed { whose: Whose, first: Few, lengths: Vec<u16> },
    Latest { whose: Whose, seq: Few, channel: Few, length: u16, signed: bool },
    Seen { mine: bool, seq: Few, channel: Few },
    Datagram { whose: Whose, seq: Few, channel: Few, length: u16, signed: bool },
    Have { haves: Vec<(Few, Few, u8, u64)> },
    Graft { origin: Few, next: Few },
    Prune { origin: Few },
    Route { from: Few, to: Few, first: Few, path: Vec<Few> },
    Broken { whose: Whose },
    Ping { token: u32 },
    Pong { token: u32 },
}

/// The stream that a frame is about.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Whose {
    Theirs,
    TheirsToMe,
    Mine,
    MineToThem,
    Other,
}

/// Whether it holds is for the edge to say.
pub(super) const SIGNATURE: Signature = Signature([7; Signature::LENGTH]);
pub(super) fn payload(length: usize) -> Bytes {
    Bytes::from(vec![7; length])
}

pub(super) fn channel(few: Few) -> String {
    if few == 255 { "x".repeat(limits::CHANNEL_NAME_MAX) } else { format!("channel{}", few % 4) }
}

/// What two streams of each peer, of those that tell the truth, go on with.
pub(super) type Next = BTreeMap<(MemberId, bool), u64>;

/// The packet that a peer says to `this` member, as far as it is not too large.
pub(super) fn packet(this: MemberId, peer: MemberId, next: &mut Next, frames: Vec<Said>) -> Bytes {
    let stream = |whose| match whose {
        Whose::Theirs => Stream::room(peer),
        Whose::TheirsToMe => Stream::addressed(peer, this),
        Whose::Mine => Stream::room(this),
        Whose::MineToThem => Stream::addressed(this, peer),
        Whose::Other => Stream::room(id(0)),
    };
    let head_of = |(kind, name): (Few, Few)| {
        let kind = [Kind::Message, Kind::Call, Kind::Reply, Kind::Failure][usize::from(kind % 4)];
        Head { kind, channel: channel(name) }
    };
    let lossy_payload = |length: u16| payload(usize::from(length).min(limits::LOSSY_MAX));
    let chunk = |length: u16| payload(usize::from(length).min(limits::CHUNK));
    let mut packet = BytesMut::new();
    for said in frames {
        let frame = match said {
            Said::Hello { version, credit, holdings } => Frame::Hello {
                version: if version == 255 { 2 } else { frame::VERSION },
                epoch: 0,
                credit: credit.into(),
                holdings: holdings
                    .into_iter()
                    .map(|(whose, first, next)| Holding {
                        stream: stream(whose),
                        first: first.into(),
                        next: next.into(),
                    })
                    .collect(),
            },
            Said::Data { whose, seq, head, last, length } => Frame::Data(Data {
                stream: stream(whose),
                seq: seq.into(),
                head: head.map(head_of),
                last,
                payload: chunk(length),
            }),
            Said::Next { head, last, length, addressed } => {
                let next = next.entry((peer, addressed)).or_insert(1);
                let seq = *next;
                *next += 1;
                let stream = if addressed { Stream::addressed(peer, this) } else { Stream::room(peer) };
                Frame::Data(Data { stream, seq, head: head.map(head_of), last, payload: chunk(length) })
            }
            Said::Ack { acks } => Frame::Ack(
                acks.into_iter().map(|(whose, next)| Ack { stream: stream(whose), next: next.into() }).collect(),
            ),
            Said::AckAll => Frame::Ack(vec![Ack { stream: Stream::room(this), next: 1 }]),
            Said::Credit { total } => Frame::Credit { total: total.into() },
            Said::Skip { whose, upto } => Frame::Skip { stream: stream(whose), upto: upto.into() },
            // Of chunks that are a message each, as `Next` says them without a head.
            Said::Signed { whose, first, lengths } => {
                let (stream, first) = (stream(whose), u64::from(first) + 1);
                let lengths = lengths.into_iter().chain([0]).take(limits::SIGNED_CHUNKS);
                let frame = |(seq, length)| Data { stream, seq, head: None, last: true, payload: chunk(length) };
                let digests = (first..).zip(lengths).map(|said| Digest::of(&frame(said).encode())).collect();
                Frame::Signed(Signed { stream, first, digests, signature: SIGNATURE })
            }
            Said::Latest { whose, seq, channel: name, length, signed } => Frame::Latest {
                stream: stream(whose),
                seq: seq.into(),
                channel: channel(name),
                payload: lossy_payload(length),
                signature: (signed && stream(whose).to.is_none()).then_some(SIGNATURE),
            },
            Said::Seen { mine, seq, channel: name } => {
                Frame::Seen { origin: if mine { this } else { peer }, seq: seq.into(), channel: channel(name) }
            }
            Said::Datagram { whose, seq, channel: name, length, signed } => Frame::Datagram {
                stream: stream(whose),
                seq: seq.into(),
                channel: channel(name),
                payload: lossy_payload(length),
                signature: (signed && stream(whose).to.is_none()).then_some(SIGNATURE),
            },
            Said::Have { haves } => Frame::Have(
                haves
                    .into_iter()
                    .map(|(who, next, hop, delay)| Have {
                        origin: id(who),
                        next: next.into(),
                        hop,
                        delay_ms: delay % frame::NUMBER_MAX,
                    })
                    .collect(),
            ),
            Said::Graft { origin, next } => Frame::Graft { origin: id(origin), next: next.into() },
            Said::Prune { origin } => Frame::Prune { origin: id(origin) },
            Said::Route { from, to, first, path } => Frame::Route {
                stream: Stream::addressed(id(from), if to == 255 { this } else { id(to) }),
                first: first.into(),
                path: path.into_iter().take(limits::ROUTE_MAX).map(id).collect(),
            },
            Said::Broken { whose } => Frame::Broken { stream: stream(whose) },
            Said::Ping { token } => Frame::Ping { token: token.into() },
            Said::Pong { token } => Frame::Pong { token: token.into() },
        };
        let bytes = frame.encode();
        if packet.len() + bytes.len() + 4 > limits::PACKET_MAX {
            break;
        }
        frame::push_frame(&mut packet, &bytes);
    }
    packet.freeze()
}

/// What a peer allowed to be sent over a way to it, and what was.
#[derive(Default)]
pub(super) struct Book {
    credit: u64,
    spent: u64,
}

impl Book {
    /// The peer says this on the reliable lane.
    pub(super) fn allowed(&mut self, packet: &Bytes) {
        for (frame, _) in PacketReader::new(packet.clone()).into_iter().flatten().flatten() {
            if let Frame::Hello { credit: total, .. } | Frame::Credit { total } = frame {
                self.credit = self.credit.max(total);
            }
        }
    }

    /// The member sends this to a peer.
    pub(super) fn sent(&mut self, peer: MemberId, lane: Lane, bytes: Bytes) {
        for frame in PacketReader::new(bytes).expect("packets are of a size that is taken") {
            let (frame, length) = frame.expect("what is sent can be read");
            match (lane, frame) {
                (Lane::Reliable, Frame::Data(Data { stream, .. }) | Frame::Signed(Signed { stream, .. })) => {
                    assert_ne!(stream.origin, peer, "nobody is told what it has said itself");
                    self.spent += length as u64 + limits::FRAME_COST;
                    assert!(self.spent <= self.credit, "no more than was allowed");
                }
                (
                    Lane::Reliable,
                    Frame::Hello { .. }
                    | Frame::Ack(_)
                    | Frame::Credit { .. }
                    | Frame::Skip { .. }
                    | Frame::Have(_)
                    | Frame::Graft { .. }
                    | Frame::Prune { .. }
                    | Frame::Route { .. }
                    | Frame::Broken { .. },
                )
                | (
                    Lane::Lossy,
                    Frame::Latest { .. }
                    | Frame::Seen { .. }
                    | Frame::Datagram { .. }
                    | Frame::Ping { .. }
                    | Frame::Pong { .. },
                ) => {}
                (lane, frame) => panic!("{frame:?} on {lane:?}"),
            }
        }
    }
}
