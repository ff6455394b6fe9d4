//! What a member would never say, or not just then.

use ::room::{
    id::MemberId,
    wire::frame::{Ack, Data, Frame, Have, Head, Holding, Kind, NUMBER_MAX, Stream, VERSION, push_frame},
};
use bytes::{Bytes, BytesMut};

use crate::dice::Dice;

/// A packet of frames that mean something, or nearly.
pub(super) fn packet(dice: &mut Dice, ids: &[MemberId]) -> Bytes {
    let mut packet = BytesMut::new();
    for _ in 0..dice.between(1, 3) {
        push_frame(&mut packet, &frame(dice, ids).encode());
    }
    if dice.chance(0.1) {
        let at = dice.below(packet.len() as u64) as usize;
        packet[at] ^= 1 << dice.below(8);
    }
    packet.freeze()
}

fn frame(dice: &mut Dice, ids: &[MemberId]) -> Frame {
    match dice.below(12) {
        0 => {
            let holdings = (0..dice.below(4)).map(|_| {
                let (first, stream) = (number(dice), stream(dice, ids));
                Holding { stream, first, next: (first + dice.below(5)).min(NUMBER_MAX) }
            });
            Frame::Hello { version: VERSION, epoch: 1, credit: 0, holdings: holdings.collect() }
        }
        1..=3 => {
            let stream = stream(dice, ids);
            let head = dice.chance(0.6).then(|| Head { kind: Kind::Message, channel: "chat".to_owned() });
            Frame::Data(Data {
                stream,
                seq: number(dice),
                head,
                last: dice.chance(0.8),
                payload: Bytes::from_static(b"?"),
            })
        }
        4 => Frame::Ack(vec![Ack { stream: stream(dice, ids), next: number(dice) }]),
        5 => Frame::Skip { stream: stream(dice, ids), upto: number(dice) },
        6 => Frame::Have(vec![Have {
            origin: id(dice, ids),
            next: number(dice),
            hop: dice.below(256) as u8,
            delay_ms: number(dice),
        }]),
        7 => Frame::Graft { origin: id(dice, ids), next: number(dice) },
        8 => Frame::Prune { origin: id(dice, ids) },
        9 | 10 => {
            let path = (0..dice.below(4)).map(|_| id(dice, ids)).collect();
            Frame::Route { stream: stream(dice, ids), first: number(dice), path }
        }
        _ => Frame::Broken { stream: stream(dice, ids) },
    }
}

fn id(dice: &mut Dice, ids: &[MemberId]) -> MemberId {
    dice.pick(ids).copied().filter(|_| dice.chance(0.9)).unwrap_or(MemberId([7; 8]))
}

fn stream(dice: &mut Dice, ids: &[MemberId]) -> Stream {
    Stream { origin: id(dice, ids), to: dice.chance(0.4).then(|| id(dice, ids)) }
}

fn number(dice: &mut Dice) -> u64 {
    if dice.chance(0.05) { NUMBER_MAX - dice.below(6) } else { dice.below(60) }
}
