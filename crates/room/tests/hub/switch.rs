//! Moving a room from one topology to another, and ways through it.

use room::{
    hub::{ConnId, Grant},
    limits,
    time::Micros,
    wire::signal::{
        ClientMessage, Json, LinkReport, LinkTo, PinTopology, RefusalCode, Role, RouteTo, ServerMessage, SignalTo,
    },
};

use crate::table::{Table, id, join, resume};

const MEMBERS: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

fn pin(table: &mut Table, conn: ConnId, topology: &str) {
    table.say(conn, ClientMessage::Topology(PinTopology { pin: topology.to_owned() }));
}

/// What became of wishes: the words, and why they are not followed.
fn answers(table: &mut Table, conn: ConnId) -> Vec<(String, Option<RefusalCode>)> {
    let answer = |message| match message {
        ServerMessage::Pinned(answer) => Some((answer.pin, answer.refused.map(|refused| refused.code))),
        _ => None,
    };
    table.inbox(conn).into_iter().filter_map(answer).collect()
}

/// What was said of the plan on a connection: how many links were to open, close, become eager, and the new topology.
fn told(table: &mut Table, conn: ConnId) -> (usize, usize, usize, Option<String>) {
    let mut told = (0, 0, 0, None);
    for message in table.inbox(conn) {
        match message {
            ServerMessage::Links(plan) => {
                told.0 += plan.open.len();
                told.1 += plan.close.len();
                told.2 += plan.eager.len();
            }
            ServerMessage::Topology(change) if change.from != change.to => told.3 = Some(change.to),
            _ => {}
        }
    }
    told
}

/// Members keep talking to the hub, so that it suspects nobody, for whole seconds.
fn pass(table: &mut Table, conns: &[ConnId], seconds: u64) {
    table.pass_alive(Micros::from_secs(seconds), conns);
}

#[test]
fn a_room_moves_when_its_new_links_are_up_and_closes_the_old_ones_later() {
    let mut table = Table::new();
    let conns = table.linked(&MEMBERS);
    pin(&mut table, conns[0], "small-world");
    // All links of the small world are among those of the mesh: it takes over at once, and nothing closes yet.
    pass(&mut table, &conns, 1);
    let (open, close, eager, topology) = told(&mut table, conns[0]);
    assert_eq!((open, close, topology.as_deref()), (0, 0, Some("small-world")));
    assert!(eager > 0);
    pass(&mut table, &conns, 3);
    assert!(told(&mut table, conns[0]).1 > 0);
    assert!(table.hub.planner().links_of(id(1)).count() <= limits::SMALL_WORLD_DEGREE_MAX);

    // Back to the mesh, links have to open first.
    conns.iter().for_each(|conn| drop(table.inbox(*conn)));
    pin(&mut table, conns[0], "mesh");
    pass(&mut table, &conns, 1);
    let (open, close, _, topology) = told(&mut table, conns[0]);
    assert!(open > 0 && close == 0 && topology.is_none(), "{open} {close} {topology:?}");
    for (conn, number) in conns.iter().zip(MEMBERS) {
        let others: Vec<u8> = MEMBERS.into_iter().filter(|other| *other != number).collect();
        table.report(*conn, &others, &[], &[]);
    }
    pass(&mut table, &conns, 1);
    assert_eq!(told(&mut table, conns[0]).3.as_deref(), Some("mesh"));
}

/// A small world that is asked to be a mesh again.
fn leaving_a_small_world() -> (Table, Vec<ConnId>) {
    let mut table = Table::new();
    let conns = table.linked(&MEMBERS);
    pin(&mut table, conns[0], "small-world");
    pass(&mut table, &conns, 5);
    conns.iter().for_each(|conn| drop(table.inbox(*conn)));
    pin(&mut table, conns[0], "mesh");
    (table, conns)
}

#[test]
fn a_room_stays_as_it_is_where_most_new_links_do_not_open() {
    let (mut table, conns) = leaving_a_small_world();
    pass(&mut table, &conns, 1);
    assert!(told(&mut table, conns[0]).0 > 0);
    table.pass_alive(limits::SWITCH_TIMEOUT, &conns);
    let (_, close, _, topology) = told(&mut table, conns[0]);
    assert!(close > 0 && topology.is_none(), "{close} {topology:?}");
    assert_eq!(table.hub.planner().topology().as_str(), "small-world");
}

#[test]
fn a_room_goes_on_moving_while_its_new_links_keep_coming() {
    let (mut table, conns) = leaving_a_small_world();
    table.pass_alive(limits::SWITCH_TIMEOUT, &conns);
    // One member after another gets its links up, too slowly for all of them.
    let mut moved = None;
    for (place, number) in MEMBERS.into_iter().enumerate() {
        let others: Vec<u8> = MEMBERS.into_iter().filter(|other| *other != number).collect();
        table.report(conns[place], &others, &[], &[]);
        table.pass_alive(limits::SWITCH_LULL, &conns);
        let (_, _, _, topology) = told(&mut table, conns[0]);
        moved = moved.or(topology.map(|topology| (place, topology)));
    }
    let (place, topology) = moved.expect("it has moved");
    assert_eq!(topology, "mesh");
    assert!(place > 1, "that was soon: with member {place}");
}

#[test]
fn only_those_who_may_choose_and_only_what_can_be_had() {
    let mut table = Table::new();
    let a = table.join(1);
    let b = table.join_as(join(2), Some(Grant { admin: false, ..Grant::open() }));
    drop((table.inbox(a), table.inbox(b)));
    pin(&mut table, b, "tree");
    assert_eq!(answers(&mut table, b), [("tree".to_owned(), Some(RefusalCode::NotAllowed))]);
    for topology in ["star", "ring"] {
        pin(&mut table, a, topology);
        assert_eq!(answers(&mut table, a), [(topology.to_owned(), Some(RefusalCode::TopologyUnavailable))]);
    }
    for topology in ["tree", "tree", "auto"] {
        pin(&mut table, a, topology);
        assert_eq!(answers(&mut table, a), [(topology.to_owned(), None)]);
    }
    assert!(answers(&mut table, b).is_empty(), "answers are for who asked");
}

#[test]
fn members_know_whether_they_may_choose() {
    let mut table = Table::new();
    let a = table.join(1);
    let b = table.join_as(join(2), Some(Grant { admin: false, ..Grant::open() }));
    assert!(table.welcome(a).admin);
    assert!(!table.welcome(b).admin);
}

#[test]
fn a_way_leads_over_links_that_are_up() {
    let mut table = Table::new();
    let conns = table.linked(&MEMBERS);
    pin(&mut table, conns[0], "tree");
    pass(&mut table, &conns, 5);
    for (conn, from) in conns.iter().zip(MEMBERS) {
        for to in MEMBERS.into_iter().filter(|to| *to != from) {
            drop(table.inbox(*conn));
            table.say(*conn, ClientMessage::Route(RouteTo { to: id(to) }));
            let [ServerMessage::Route(route)] = &table.inbox(*conn)[..] else { panic!("a way is told") };
            assert_eq!(route.path.last(), Some(&id(to)));
            let ends = [id(from)].into_iter().chain(route.path.iter().copied());
            assert!(ends.zip(&route.path).all(|(a, b)| table.hub.planner().linked(a, *b)), "{from} {to}");
        }
    }
    table.say(conns[0], ClientMessage::Route(RouteTo { to: id(99) }));
    let [ServerMessage::Route(route)] = &table.inbox(conns[0])[..] else { panic!("no way is told") };
    assert!(route.path.is_empty());
}

/// A small world of four that member 5 has entered, and then so many others that all of them stand between it and the four:
/// everybody's connections, that of member 5, and the links that it was welcomed with.
fn crowded() -> (Table, Vec<ConnId>, ConnId, Vec<LinkTo>) {
    let mut table = Table::new();
    let mut conns = table.linked(&MEMBERS[..4]);
    pin(&mut table, conns[0], "small-world");
    table.pass_alive(limits::RETIRE_BY, &conns);
    let newcomer = table.join(5);
    conns.push(newcomer);
    let first = table.welcome(newcomer).links;
    (6..40).for_each(|number| conns.push(table.join(number)));
    (table, conns, newcomer, first)
}

#[test]
fn a_newcomer_keeps_a_link_to_an_elder_until_it_knows_where_streams_begin() {
    let (mut table, conns, newcomer, first) = crowded();
    let first: Vec<_> = first.iter().map(|link| link.peer).collect();
    let planned: Vec<_> = table.hub.planner().links_of(id(5)).map(|(peer, _)| peer).collect();
    assert!(first.iter().all(|peer| !planned.contains(peer)), "{first:?} {planned:?}");
    let (mut closed, mut lazy) = (Vec::new(), Vec::new());
    let listen = |table: &mut Table, closed: &mut Vec<_>, lazy: &mut Vec<_>| {
        for message in table.inbox(newcomer) {
            if let ServerMessage::Links(plan) = message {
                closed.extend(plan.close);
                lazy.extend(plan.lazy);
            }
        }
    };
    listen(&mut table, &mut closed, &mut lazy);
    // One of those who were there before it is enough.
    let held: Vec<_> = first.iter().filter(|peer| !closed.contains(peer)).copied().collect();
    assert!(held.len() == limits::ELDERS_HELD && held.iter().all(|peer| lazy.contains(peer)), "{held:?} {lazy:?}");

    // They go on negotiating.
    let data = Json::parse(r#"{"answer": ""}"#).expect("JSON");
    table.say(newcomer, ClientMessage::Signal(SignalTo { to: held[0], attempt: 1, data }));
    let elder = MEMBERS.iter().position(|number| id(*number) == held[0]).expect("an elder");
    let elder = conns[elder];
    assert!(table.inbox(elder).iter().any(|message| matches!(message, ServerMessage::Signal(_))));

    // An elder knows already, so that it is the newcomer's word which ends that.
    table.say(newcomer, ClientMessage::Links(LinkReport { settled: true, ..LinkReport::default() }));
    listen(&mut table, &mut closed, &mut lazy);
    assert!(first.iter().all(|peer| closed.contains(peer)), "{first:?} {closed:?}");
}

#[test]
fn whoever_comes_back_is_told_of_the_links_that_a_newcomer_holds_on_to() {
    let (mut table, conns, newcomer, first) = crowded();
    let closed =
        |message: ServerMessage| if let ServerMessage::Links(plan) = message { plan.close } else { Vec::new() };
    let before: Vec<_> = table.inbox(newcomer).into_iter().flat_map(closed).collect();
    let held: Vec<_> = first.into_iter().filter(|link| !before.contains(&link.peer)).collect();
    assert_eq!(held.len(), limits::ELDERS_HELD);
    let elder = MEMBERS.iter().position(|number| id(*number) == held[0].peer).expect("an elder");
    table.inbox(conns[elder]);

    // Either end, on another connection, while the old one seems to stand: the welcome comes first, and names the link.
    let again = |table: &mut Table, number: u8| {
        let conn = table.join_as(resume(number, "00000000000000aa", &[]), Some(Grant::open()));
        let heard = table.inbox(conn);
        let Some(ServerMessage::Welcome(welcome)) = heard.first() else { panic!("no welcome but {heard:?}") };
        let links = welcome.links.clone();
        assert!(heard.into_iter().flat_map(closed).next().is_none(), "there is nothing to close");
        (conn, links)
    };
    let (newcomer, links) = again(&mut table, 5);
    assert!(links.contains(&held[0]), "{links:?}");
    let (elder, links) = again(&mut table, MEMBERS[elder]);
    assert!(links.contains(&LinkTo { peer: id(5), role: Role::Offer }), "{links:?}");

    // So both know what is closed when the newcomer has learned what it had to.
    table.say(newcomer, ClientMessage::Links(LinkReport { settled: true, ..LinkReport::default() }));
    for (conn, peer) in [(newcomer, held[0].peer), (elder, id(5))] {
        assert_eq!(table.inbox(conn).into_iter().flat_map(closed).filter(|closed| *closed == peer).count(), 1);
    }
}

#[test]
fn whoever_cannot_be_had_of_neighbours_is_linked_to_for_a_while() {
    let (mut table, conns, newcomer, _) = crowded();
    pass(&mut table, &conns, 30);
    conns.iter().for_each(|conn| drop(table.inbox(*conn)));
    let strangers = |table: &Table| -> Vec<u8> {
        let linked = |number: &u8| table.hub.planner().linked(id(5), id(*number));
        (1..40).filter(|number| *number != 5 && !linked(number)).collect()
    };
    let opened = |table: &mut Table, conn: ConnId| -> Vec<LinkTo> {
        let open = |message| if let ServerMessage::Links(plan) = message { plan.open } else { Vec::new() };
        table.inbox(conn).into_iter().flat_map(open).collect()
    };
    let closed = |table: &mut Table, conn: ConnId| -> Vec<_> {
        let close = |message| if let ServerMessage::Links(plan) = message { plan.close } else { Vec::new() };
        table.inbox(conn).into_iter().flat_map(close).collect()
    };
    let lack = |table: &mut Table, numbers: &[u8]| {
        let lacks = numbers.iter().map(|number| id(*number)).collect();
        table.say(newcomer, ClientMessage::Links(LinkReport { lacks, ..LinkReport::default() }));
    };

    // The earlier of the two offers, as ever; of oneself, and of strangers to the room, there is nothing to say.
    let far = strangers(&table);
    let other = far[0];
    lack(&mut table, &[other, 5, 99]);
    let (role, opposite) = if other < 5 { (Role::Answer, Role::Offer) } else { (Role::Offer, Role::Answer) };
    assert_eq!(opened(&mut table, newcomer), [LinkTo { peer: id(other), role }]);
    let place = usize::from(other) - 1;
    assert_eq!(opened(&mut table, conns[place]), [LinkTo { peer: id(5), role: opposite }]);

    // It stays while it is asked for, and is closed after.
    for _ in 0..4 {
        pass(&mut table, &conns, limits::RESCUE_AGAIN.0 / 1_000_000);
        lack(&mut table, &[other]);
        assert!(!closed(&mut table, newcomer).contains(&id(other)));
    }
    pass(&mut table, &conns, limits::RESCUE_FOR.0 / 1_000_000 + 2);
    assert!(closed(&mut table, newcomer).contains(&id(other)));
    assert!(closed(&mut table, conns[place]).contains(&id(5)));

    // There are not too many.
    let far = strangers(&table);
    for numbers in far.chunks(limits::RESCUES_ASKED) {
        lack(&mut table, numbers);
    }
    assert_eq!(opened(&mut table, newcomer).len(), limits::RESCUE_LINKS);
}
