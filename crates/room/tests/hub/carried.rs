//! What the hub carries between members whom no connection joins.

use bytes::Bytes;
use room::{
    hub::{ConnId, Input},
    id::MemberId,
    wire::{
        carried::{Carried, Freight},
        signal::{CarryEnd, CarryFrom, CarryTo, ClientMessage, RefusalCode, ServerMessage},
    },
};

use crate::table::{Table, config, id};

fn wish(table: &mut Table, conn: ConnId, to: u8, episode: u32) {
    table.say(conn, ClientMessage::Carry(CarryTo { to: id(to), episode, over: false }));
}

/// A packet for a member, as its sender has it carried.
fn packet(to: u8, episode: u32) -> Bytes {
    let freight = Freight::Reliable(Bytes::from_static(b"a packet"));
    Carried { peer: id(to), episode, freight }.encode()
}

fn carry(table: &mut Table, conn: ConnId, message: Bytes) {
    table.input(Input::Carried { conn, message });
}

/// What a member heard of carrying: of whom, under which number, and how it ended.
fn heard(table: &mut Table, conn: ConnId) -> Vec<(MemberId, u32, Option<CarryEnd>)> {
    let carry = |message| match message {
        ServerMessage::Carry(CarryFrom { from, episode, over }) => Some((from, episode, over)),
        _ => None,
    };
    table.inbox(conn).into_iter().filter_map(carry).collect()
}

#[test]
fn what_both_ends_wish_is_carried_until_one_has_enough() {
    let mut table = Table::new();
    let [a, b] = table.linked(&[1, 2])[..] else { panic!() };
    wish(&mut table, a, 2, 1);
    assert_eq!(heard(&mut table, b), [(id(1), 1, None)]);
    carry(&mut table, a, packet(2, 1));
    assert_eq!(table.carried, [], "the other end has not agreed");
    wish(&mut table, b, 1, 1);
    assert_eq!(heard(&mut table, a), [(id(2), 1, None)]);
    carry(&mut table, a, packet(2, 1));
    carry(&mut table, a, packet(2, 2));
    let [(to, from, rest)] = &table.carried[..] else { panic!("{:?}", table.carried) };
    assert_eq!((*to, *from), (b, id(1)));
    let message = Bytes::from([&from.0[..], rest].concat());
    let freight = Freight::Reliable(Bytes::from_static(b"a packet"));
    assert_eq!(Carried::decode(message), Ok(Carried { peer: id(1), episode: 1, freight }));

    table.say(b, ClientMessage::Carry(CarryTo { to: id(1), episode: 1, over: true }));
    assert_eq!(heard(&mut table, a), [(id(2), 1, Some(CarryEnd::Closed))]);
    table.carried.clear();
    carry(&mut table, a, packet(2, 1));
    assert_eq!(table.carried, []);
    let counters = table.hub.counters();
    assert_eq!((counters.carriages, counters.carried, counters.carried_dropped), (1, 1, 3));
}

#[test]
fn a_member_whose_socket_ends_is_not_doubted_for_what_was_carried() {
    let mut table = Table::new();
    let [a, b, _] = table.linked(&[1, 2, 3])[..] else { panic!() };
    wish(&mut table, a, 2, 1);
    wish(&mut table, b, 1, 1);
    heard(&mut table, b);
    table.cut(a);
    assert_eq!(heard(&mut table, b), [(id(1), 1, Some(CarryEnd::Away))]);
    table.report(b, &[], &[], &[1]);
    assert_eq!(table.gone(b), [], "its link ended with its socket, and says nothing of it");
}

#[test]
fn nothing_is_carried_beyond_the_plan_and_the_bound() {
    let mut table = Table::with(room::hub::Config { carried_links: 1, ..config() });
    let [a, b, c] = table.linked(&[1, 2, 3])[..] else { panic!() };
    assert_eq!(table.hub.counters().carriages, 0);
    wish(&mut table, a, 9, 1);
    assert_eq!(heard(&mut table, a), [(id(9), 1, Some(CarryEnd::NotLinked))]);
    wish(&mut table, a, 2, 1);
    wish(&mut table, b, 1, 1);
    heard(&mut table, a);
    wish(&mut table, a, 3, 1);
    assert_eq!(heard(&mut table, a), [(id(3), 1, Some(CarryEnd::TooMany))]);
    // The other end may be the one that has enough.
    wish(&mut table, c, 1, 1);
    assert_eq!(heard(&mut table, a), [(id(3), 1, None)]);
    wish(&mut table, a, 3, 1);
    assert_eq!(heard(&mut table, c), [(id(1), 1, Some(CarryEnd::TooMany))]);

    let none = Table::with(room::hub::Config { carried_links: 0, ..config() });
    let mut none = none;
    let [a, _] = [none.join(1), none.join(2)];
    assert_eq!(none.welcome(a).carry, 0);
    wish(&mut none, a, 2, 1);
    assert_eq!(heard(&mut none, a), [(id(2), 1, Some(CarryEnd::TooMany))]);
}

#[test]
fn who_does_not_read_loses_the_link_and_both_ends_are_told() {
    let mut table = Table::new();
    let [a, b] = table.linked(&[1, 2])[..] else { panic!() };
    wish(&mut table, a, 2, 7);
    wish(&mut table, b, 1, 7);
    heard(&mut table, a);
    heard(&mut table, b);
    table.input(Input::Clogged { conn: b, from: id(1) });
    assert_eq!(heard(&mut table, a), [(id(2), 7, Some(CarryEnd::TooSlow))]);
    assert_eq!(heard(&mut table, b), [(id(1), 7, Some(CarryEnd::TooSlow))]);
    table.input(Input::Clogged { conn: b, from: id(1) });
    assert_eq!(heard(&mut table, a), [], "it is over");
}

#[test]
fn what_cannot_be_carried_is_refused_and_ends_nothing() {
    let mut table = Table::new();
    let [a, _] = table.linked(&[1, 2])[..] else { panic!() };
    carry(&mut table, a, Bytes::from_static(b"short"));
    assert_eq!(table.refusal(a), (RefusalCode::BadMessage, false));
    assert_eq!(table.closed(a), None);
}
