//! What members tell of how far they are from each other reaches the plan.

use std::collections::BTreeMap;

use room::{
    hub::ConnId,
    id::MemberId,
    limits,
    time::Micros,
    wire::signal::{ClientMessage, LinkReport, PinTopology},
};

use crate::table::{Table, id};

const MEMBERS: u8 = 40;

/// Two towns, 200 ms apart there and back.
fn rtt_ms(a: u8, b: u8) -> u32 {
    if a % 2 == b % 2 { 10 } else { 200 }
}

fn room() -> (Table, Vec<ConnId>) {
    let mut table = Table::new();
    let numbers: Vec<u8> = (0..MEMBERS).collect();
    let conns = table.linked(&numbers);
    (table, conns)
}

/// What a member tells, in as many messages as that takes.
fn tell(table: &mut Table, conn: ConnId, rtts: impl Iterator<Item = (u8, u32)>) {
    let rtts: Vec<(MemberId, u32)> = rtts.map(|(peer, ms)| (id(peer), ms)).collect();
    for some in rtts.chunks(limits::DISTANCES_TOLD) {
        let rtt: BTreeMap<MemberId, u32> = some.iter().copied().collect();
        table.say(conn, ClientMessage::Links(LinkReport { rtt, ..LinkReport::default() }));
    }
}

/// The links between the towns when the room has become a small world.
fn between_towns(table: &mut Table, conns: &[ConnId]) -> usize {
    table.say(conns[0], ClientMessage::Topology(PinTopology { pin: "small-world".to_owned() }));
    table.pass_alive(limits::RETIRE_BY + Micros::from_secs(60), conns);
    let planner = table.hub.planner();
    let pairs = (0..MEMBERS).flat_map(|a| (a..MEMBERS).map(move |b| (a, b)));
    pairs.filter(|(a, b)| planner.linked(id(*a), id(*b)) && rtt_ms(*a, *b) > 100).count()
}

#[test]
fn a_small_world_has_few_links_between_towns() {
    let (mut table, conns) = room();
    let unknown = between_towns(&mut table, &conns);
    let (mut table, conns) = room();
    for (member, conn) in (0..MEMBERS).zip(&conns) {
        tell(&mut table, *conn, (0..MEMBERS).filter(|peer| *peer != member).map(|peer| (peer, rtt_ms(member, peer))));
    }
    let told = between_towns(&mut table, &conns);
    assert!(told * 3 < unknown * 2, "{told} links between the towns, {unknown} where nobody tells");
}

#[test]
fn what_is_beyond_reason_or_of_strangers_does_no_harm() {
    let (mut table, conns) = room();
    for (member, conn) in (0..MEMBERS).zip(&conns) {
        let wild = [0, 1, u32::MAX, u32::MAX / 500 + 1];
        let told = (0..2 * MEMBERS).filter(|peer| peer % 3 != member % 3);
        tell(&mut table, *conn, told.map(|peer| (peer, wild[usize::from(peer) % 4])));
        tell(&mut table, *conn, [(member, 5)].into_iter());
    }
    between_towns(&mut table, &conns);
    let planner = table.hub.planner();
    assert!((0..MEMBERS).all(|member| planner.links_of(id(member)).count() <= limits::SMALL_WORLD_DEGREE));
}
