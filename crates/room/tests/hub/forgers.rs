//! Members of whom others say that they pass on what nobody said.

use room::{
    id::MemberId,
    limits,
    time::Micros,
    wire::signal::{ClientMessage, LinkReport, PinTopology},
};

use crate::table::{Table, id};

const MEMBERS: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// Whom the plan has a member linked to, by place.
fn linked(table: &Table, of: MemberId) -> Vec<usize> {
    let peers: Vec<_> = table.hub.planner().links_of(of).map(|(peer, _)| peer).collect();
    (0..MEMBERS.len()).filter(|place| peers.contains(&id(MEMBERS[*place]))).collect()
}

/// How many are passed on by a member what others say.
fn depend(table: &Table, on: MemberId) -> usize {
    let planner = table.hub.planner();
    let stripes = 0..limits::STRIPES_MAX;
    stripes.map(|stripe| MEMBERS.iter().filter(|of| planner.parent_of(id(**of), stripe) == Some(on)).count()).sum()
}

#[test]
fn whom_three_neighbours_have_named_passes_on_as_little_as_can_be() {
    let mut table = Table::new();
    let conns = table.linked(&MEMBERS);
    table.say(conns[0], ClientMessage::Topology(PinTopology { pin: "tree".to_owned() }));
    table.pass_alive(limits::RETIRE_BY + Micros::from_secs(5), &conns);
    let accused = MEMBERS.map(id).into_iter().max_by_key(|id| linked(&table, *id).len()).expect("somebody");
    let neighbours = linked(&table, accused);
    let depended = depend(&table, accused);
    assert!(neighbours.len() >= limits::FORGED_ACCUSERS, "{neighbours:?}");
    let accuse = |table: &mut Table, place: usize| {
        let report = LinkReport { forged: vec![accused], ..LinkReport::default() };
        table.say(conns[place], ClientMessage::Links(report));
    };

    // Who is not linked to it cannot know, and saying it again adds nothing.
    let strangers = (0..MEMBERS.len()).filter(|place| !neighbours.contains(place) && id(MEMBERS[*place]) != accused);
    strangers.for_each(|place| accuse(&mut table, place));
    assert_eq!(table.hub.counters().forgeries, 0);
    for _ in 0..3 {
        neighbours[..limits::FORGED_ACCUSERS - 1].iter().for_each(|place| accuse(&mut table, *place));
    }
    assert_eq!(table.hub.counters().forgeries, limits::FORGED_ACCUSERS as u64 - 1);
    assert_eq!(linked(&table, accused), neighbours);

    accuse(&mut table, neighbours[limits::FORGED_ACCUSERS - 1]);
    table.pass_alive(limits::RETIRE_BY + Micros::from_secs(5), &conns);
    assert_eq!(table.hub.counters().forgeries, limits::FORGED_ACCUSERS as u64);
    assert!(depend(&table, accused) == 0 && depended > 1, "it was passed on to {depended} by it");
}
