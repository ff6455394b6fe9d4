//! Who is told to link to whom, and who is heard about it.

use std::collections::BTreeSet;

use room::{
    hub::Grant,
    limits,
    wire::signal::{ClientMessage, GoneReason, Json, RefusalCode, Role, ServerMessage, SignalFrom, SignalTo},
};

use crate::table::{Table, id, resume};

const HUB: &str = "00000000000000aa";
const FORMER_HUB: &str = "00000000000000ff";

fn signal(to: u8) -> ClientMessage {
    let data = Json::parse(r#"{"candidate": {}}"#).expect("JSON");
    ClientMessage::Signal(SignalTo { to: id(to), attempt: 3, data })
}

#[test]
fn the_earlier_member_offers() {
    let mut table = Table::new();
    let a = table.join(1);
    let b = table.join(2);
    assert_eq!(table.links(a), [(id(2), true)]);
    let roles: Vec<_> = table.welcome(b).links.iter().map(|link| (link.peer, link.role)).collect();
    assert_eq!(roles, [(id(1), Role::Answer)]);
}

#[test]
fn signals_are_passed_on_as_they_are() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.say(conns[0], signal(2));
    let data = Json::parse(r#"{"candidate": {}}"#).expect("JSON");
    let expected = ServerMessage::Signal(SignalFrom { from: id(1), attempt: 3, data });
    assert_eq!(table.inbox(conns[1]), [expected]);
    assert_eq!((table.inbox(conns[0]), table.inbox(conns[2])), (vec![], vec![]));
}

#[test]
fn signals_to_nobody_are_refused_and_to_the_away_dropped() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    for nobody in [1, 9] {
        table.say(conns[0], signal(nobody));
        assert_eq!(table.refusal(conns[0]), (RefusalCode::UnknownMember, false));
    }
    table.cut(conns[1]);
    table.say(conns[0], signal(2));
    assert_eq!(table.inbox(conns[0]), []);
    assert_eq!(table.hub.counters().signals_dropped, 1);
}

#[test]
fn newcomer_does_not_wait_for_an_away_member_and_is_linked_when_it_is_back() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    let c = table.join(3);
    let welcome = table.welcome(c);
    assert_eq!(welcome.members.len(), 2);
    assert_eq!(welcome.links.iter().map(|link| link.peer).collect::<Vec<_>>(), [id(2)]);
    table.inbox(conns[1]);
    let again = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    let mut links: Vec<_> = table.welcome(again).links.iter().map(|link| (link.peer, link.role)).collect();
    links.sort();
    let mut expected = [(id(2), Role::Offer), (id(3), Role::Offer)];
    expected.sort();
    assert_eq!(links, expected);
    assert_eq!(table.links(c), [(id(1), false)]);
    assert_eq!(table.links(conns[1]), [], "that link is up");
}

#[test]
fn two_that_were_away_by_turns_are_linked() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.cut(conns[0]);
    let c = table.join(3);
    table.report(c, &[2], &[], &[]);
    table.report(conns[1], &[3], &[], &[]);
    table.cut(c);
    let a = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    assert_eq!(table.welcome(a).links.len(), 1);
    let c = table.join_as(resume(3, HUB, &[2]), Some(Grant::open()));
    assert_eq!(table.welcome(c).links.len(), 2);
    assert_eq!(table.links(a), [(id(3), true)]);
}

#[test]
fn offerers_begin_anew_with_a_member_that_is_back_where_the_link_is_not_up() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2, 3]);
    table.cut(conns[2]);
    let again = table.join_as(resume(3, HUB, &[2]), Some(Grant::open()));
    assert_eq!(table.links(conns[0]), [(id(3), true)]);
    assert_eq!(table.links(conns[1]), []);
    // The first one offers itself.
    table.inbox(again);
    table.cut(conns[0]);
    let first = table.join_as(resume(1, HUB, &[]), Some(Grant::open()));
    assert!(table.welcome(first).links.iter().all(|link| link.role == Role::Offer));
    assert_eq!((table.links(conns[1]), table.links(again)), (vec![], vec![]));
}

#[test]
fn restarted_hub_adopts_the_links_that_members_bring() {
    let mut table = Table::new();
    let a = table.join_as(resume(1, FORMER_HUB, &[2, 3]), Some(Grant::open()));
    table.inbox(a);
    table.cut(a);
    let b = table.join_as(resume(2, FORMER_HUB, &[1, 3]), Some(Grant::open()));
    let links = table.welcome(b).links;
    assert_eq!(links.iter().map(|link| link.peer).collect::<Vec<_>>(), [id(1)], "held, though 1 is away");
    assert!(table.hub.planner().linked(id(1), id(2)));
    // 2 vouches for 1 from its first moment, until it reports otherwise.
    table.pass_alive(limits::UNVOUCHED_GRACE.times(2), &[b]);
    assert_eq!(table.gone(b), []);
    table.report(b, &[], &[1], &[]);
    assert_eq!(table.gone(b), [(1, GoneReason::Crashed)]);
}

#[test]
fn restarted_hub_remembers_who_holds_links_to_those_not_back_yet() {
    let mut table = Table::new();
    let a = table.join_as(resume(1, FORMER_HUB, &[2, 3]), Some(Grant::open()));
    table.report(a, &[], &[3], &[]);
    let b = table.join_as(resume(2, FORMER_HUB, &[]), Some(Grant::open()));
    let c = table.join_as(resume(3, FORMER_HUB, &[]), Some(Grant::open()));
    table.inbox(a);
    table.cut(b);
    table.cut(c);
    table.pass_alive(limits::UNVOUCHED_GRACE, &[a]);
    assert_eq!(table.gone(a), [(3, GoneReason::Crashed)], "1 still holds its link to 2");
}

#[test]
fn restarted_hub_ends_the_links_that_its_plan_does_not_have() {
    const MEMBERS: u8 = 20;
    let mut table = Table::new();
    let back = |number: u8| {
        let others: Vec<u8> = (1..=MEMBERS).filter(|other| *other != number).collect();
        let mut join = resume(number, FORMER_HUB, &others);
        join.resume.iter_mut().for_each(|resume| resume.topology = Some("small-world".to_owned()));
        join
    };
    let conns: Vec<_> = (1..=MEMBERS).map(|number| table.join_as(back(number), Some(Grant::open()))).collect();
    for (conn, number) in conns.iter().zip(1..=MEMBERS) {
        // Of its links it keeps those that it is welcomed with, and those to whoever is not back yet.
        let mut held: BTreeSet<_> = (number + 1..=MEMBERS).map(id).collect();
        for message in table.inbox(*conn) {
            match message {
                ServerMessage::Welcome(welcome) => held.extend(welcome.links.iter().map(|link| link.peer)),
                ServerMessage::Links(plan) => {
                    held.retain(|peer| !plan.close.contains(peer));
                    held.extend(plan.open.iter().map(|link| link.peer));
                }
                _ => {}
            }
        }
        let planned: BTreeSet<_> = table.hub.planner().links_of(id(number)).map(|(peer, _)| peer).collect();
        assert_eq!(held, planned, "member {number}");
    }

    // Nobody vouches for whom it holds no link to.
    let (hung, all) = (MEMBERS - 1, 1..=MEMBERS);
    for (conn, number) in conns.iter().zip(all).filter(|(_, number)| *number != hung) {
        if table.hub.planner().linked(id(number), id(hung)) {
            table.report(*conn, &[], &[hung], &[]);
        }
    }
    table.inbox(conns[0]);
    let others: Vec<_> = conns.iter().copied().filter(|conn| *conn != conns[usize::from(hung) - 1]).collect();
    table.pass_alive(limits::PROBE_TIMEOUT, &others);
    assert_eq!(table.gone(conns[0]), [(hung, GoneReason::Unresponsive)]);
}

#[test]
fn reports_about_strangers_and_oneself_count_for_nothing() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    let many: Vec<u8> = (0..=255).collect();
    for _ in 0..10 {
        table.report(conns[0], &many, &[1], &many);
        table.report(conns[0], &[], &many, &[1, 1, 1]);
    }
    table.report(conns[0], &[2], &[], &[]);
    table.inbox(conns[0]);
    table.inbox(conns[1]);
    table.cut(conns[1]);
    table.cut(conns[0]);
    assert_eq!(table.hub.members(), 2);
}

#[test]
fn one_message_tells_all_offerers_of_a_newcomer() {
    let mut table = Table::new();
    for number in 1..=20 {
        table.join(number);
    }
    let mut sends = 0;
    table.hub.handle(
        table.now,
        room::hub::Input::Join {
            conn: room::hub::ConnId(99),
            join: Box::new(crate::table::join(99)),
            grant: Some(Grant::open()),
        },
    );
    while let Some(output) = table.hub.poll_output() {
        if let room::hub::Output::Send { to, message: ServerMessage::Links(_) } = output {
            assert_eq!(to.len(), 20);
            sends += 1;
        }
    }
    assert_eq!(sends, 1);
}
