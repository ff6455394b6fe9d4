//! Streams without anything going wrong.

use bytes::Bytes;
use room::{
    courier::{Courier, LinkUp, Plan},
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::{self, Data, Frame, Head, Kind, Stream},
};

use crate::net::Net;

#[test]
fn a_first_message_takes_the_eager_tree_once() {
    let mut net = Net::random(1, 60, 120);
    net.say(7, "hello");
    net.run(Micros::from_secs(2));
    net.check(&[7]);
    assert_eq!(net.counters(|counters| counters.fresh), 59);
    assert!(net.counters(|counters| counters.duplicates) <= 6, "{}", net.counters(|c| c.duplicates));
}

#[test]
fn ways_get_shorter_than_the_eager_tree() {
    let mut net = Net::random(2, 100, 300);
    net.say(9, "first");
    net.run(Micros::from_secs(2));
    let mean = |net: &mut Net| {
        let hops: Vec<u8> = net.members.values_mut().flat_map(|node| std::mem::take(&mut node.hops)).collect();
        hops.iter().map(|hop| u64::from(*hop)).sum::<u64>() * 100 / hops.len() as u64
    };
    let before = mean(&mut net);
    for n in 0..40 {
        net.say(9, format!("{n}"));
        net.run(Micros::from_millis(500));
    }
    mean(&mut net);
    let (fresh, again) = (net.counters(|c| c.fresh), net.counters(|c| c.duplicates));
    for _ in 0..10 {
        net.say(9, "late");
        net.run(Micros::from_millis(500));
    }
    net.check(&[9]);
    let after = mean(&mut net);
    assert!(after < before * 3 / 4, "{before} {after}");
    let (fresh, again) = (net.counters(|c| c.fresh) - fresh, net.counters(|c| c.duplicates) - again);
    assert!(again * 100 < fresh, "{again} of {fresh}");
}

#[test]
fn a_better_way_is_taken_without_a_copy_and_a_worse_one_is_not() {
    // From 1 to 4 by 2, along the eager links, or by 3.
    for (ms, parent, grafts) in [(10, 3, 1), (100, 2, 0)] {
        let mut net = Net::new(1);
        for member in 1..=4 {
            net.add(member).met_all();
        }
        for (a, b, ms, eager) in [(1, 2, 60, true), (2, 4, 60, true), (1, 3, 60, true), (3, 4, ms, false)] {
            net.link(a, b, ms, eager);
        }
        for _ in 0..10 {
            net.say(1, "x");
            net.run(Micros::from_millis(500));
        }
        net.check(&[1]);
        let (_, hop, way) = net.members[&4].courier.standing(MemberId::from(1)).expect("known");
        assert_eq!((hop, way), (2, Some(MemberId::from(parent))));
        assert_eq!(net.counters(|c| c.grafts), grafts);
        assert_eq!(net.counters(|c| c.duplicates), 0);
    }
}

#[test]
fn links_that_become_eager_bring_nothing_twice_to_whoever_has_a_way() {
    let mut net = Net::new(2);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    net.link(1, 2, 20, true);
    net.link(2, 3, 20, true);
    net.say(1, "before");
    net.run(Micros::from_secs(1));
    // 3 hears of it from 2, and is nearer that way than over the new link.
    net.link(1, 3, 200, true);
    net.run(Micros::from_secs(1));
    for n in 0..5 {
        net.say(1, format!("after {n}"));
        net.run(Micros::from_secs(1));
    }
    net.check(&[1]);
    assert_eq!(net.counters(|c| c.duplicates), 0);
    assert_eq!(net.members[&3].courier.standing(MemberId::from(1)).map(|(_, hop, _)| hop), Some(2));
}

#[test]
fn whoever_is_fed_by_one_that_loses_its_way_turns_elsewhere_so_that_the_link_can_go() {
    // 3 has what 1 says from 2, which is the shorter way.
    let mut net = Net::new(5);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    for (a, b, ms) in [(1, 2, 5), (2, 3, 5), (1, 3, 60)] {
        net.link(a, b, ms, true);
    }
    let say = |net: &mut Net, count| {
        for _ in 0..count {
            net.say(1, "x");
            net.run(Micros::from_millis(500));
        }
    };
    let way = |net: &Net, of: &u64| net.members[of].courier.standing(MemberId::from(1)).expect("known").2;
    say(&mut net, 10);
    assert_eq!(way(&net, &3), Some(MemberId::from(2)));
    assert!(net.drain(2, 1));
    say(&mut net, 2);
    assert!(!net.drain(2, 1));
    assert_eq!((way(&net, &3), way(&net, &2)), (Some(MemberId::from(1)), Some(MemberId::from(3))));
    net.unlink(1, 2);
    say(&mut net, 4);
    net.check(&[1]);
}

#[test]
fn a_way_that_is_slower_than_it_claims_is_left_in_the_end() {
    let mut net = Net::new(3);
    for member in 1..=4 {
        net.add(member).met_all();
    }
    for (a, b, ms, eager) in [(1, 2, 10, true), (2, 4, 400, true), (1, 3, 30, true), (3, 4, 30, false)] {
        net.link(a, b, ms, eager);
    }
    // The ping found an empty link.
    for _ in 0..20 {
        net.node(4).courier.measured(MemberId::from(2), Micros::from_millis(2));
    }
    for n in 0..40 {
        net.say(1, format!("{n}"));
        net.run(Micros::from_millis(1_000));
    }
    net.check(&[1]);
    let (_, _, parent) = net.members[&4].courier.standing(MemberId::from(1)).expect("known");
    assert_eq!(parent, Some(MemberId::from(3)));
}

#[test]
fn long_messages_and_many_senders() {
    let mut net = Net::random(3, 30, 60);
    for round in 0..20 {
        for origin in 1..=30 {
            net.say(origin, vec![round; 1 + usize::from(round) * 5_000]);
        }
        net.run(Micros::from_millis(100));
    }
    net.run(Micros::from_secs(20));
    net.check(&(1..=30).collect::<Vec<_>>());
}

#[test]
fn a_newcomer_hears_what_is_said_from_then_on() {
    let mut net = Net::random(4, 20, 40);
    net.say(3, "before");
    net.run(Micros::from_secs(1));
    net.add(21);
    net.link(21, 5, 20, true);
    net.link(21, 6, 30, false);
    net.run(Micros::from_millis(200));
    net.say(3, "after");
    net.say(21, "mine");
    net.run(Micros::from_secs(1));
    assert_eq!(net.members[&21].heard[&3], ["after"]);
    assert!(net.members.iter().all(|(member, node)| *member == 21 || node.heard[&21] == ["mine"]));
    assert_eq!(net.members[&21].gaps, []);
}

#[test]
fn in_a_mesh_everybody_pushes_its_own_and_tells_nobody_else() {
    let mut net = Net::new(5);
    let members: Vec<u64> = (1..=6).collect();
    for member in &members {
        net.add(*member).met_all();
    }
    for a in &members {
        for b in members.iter().filter(|b| *b > a) {
            net.link(*a, *b, 10, false);
        }
    }
    for member in &members {
        let now = net.now;
        net.node(*member).courier.plan(now, Plan::default());
    }
    for _ in 0..10 {
        for member in &members {
            net.say(*member, "x");
        }
        net.run(Micros::from_millis(30));
    }
    net.run(Micros::from_secs(1));
    net.check(&members);
    assert_eq!(net.counters(|c| c.fresh), 6 * 5 * 10);
    assert_eq!(net.counters(|c| c.duplicates + c.prunes + c.grafts), 0);

    // A link ends: the rest of what was said comes by way of others.
    net.unlink(1, 2);
    net.say(1, "still");
    net.say(2, "there");
    net.run(Micros::from_secs(1));
    net.check(&members);
    let (_, hop, parent) = net.members[&1].courier.standing(MemberId::from(2)).expect("known");
    assert_eq!(hop, 2);
    assert_ne!(parent, Some(MemberId::from(2)));
}

#[test]
fn who_had_said_nothing_before_the_room_became_a_mesh_is_heard_from_its_first_word_on() {
    let mut net = Net::new(6);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        net.link(a, b, 10, false);
    }
    net.run(Micros::from_secs(1));
    for member in 1..=3 {
        let now = net.now;
        net.node(member).courier.plan(now, Plan::default());
    }
    net.say(1, "first");
    net.say(1, "second");
    net.run(Micros::from_secs(1));
    net.check(&[1]);
}

#[test]
fn whoever_does_not_consume_holds_its_origin_back_and_nobody_else() {
    let mut net = Net::new(6);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    net.link(1, 2, 10, true);
    net.link(2, 3, 10, true);
    net.node(3).consumes = false;
    let mut said = 0;
    while net.say(1, vec![0; 16_000]) && said < 10_000 {
        said += 1;
        net.run(Micros::from_millis(1));
    }
    // What waits stands in the logs of 1 and 2, and in the window of 3.
    let held = said * 16_064;
    assert!(held > limits::OUTBOX_MAX && held < limits::OUTBOX_MAX + 3 * limits::CACHE_BYTES, "{held}");
    // 3 is passed over in the end, and 2 gets the rest.
    net.run(limits::STALL_OPEN.times(3));
    assert!(net.say(1, "again"));
    net.run(Micros::from_secs(5));

    assert_eq!(net.members[&2].heard[&1].len(), said + 1);
    assert!(net.members[&3].heard[&1].len() < said);
}

#[test]
fn a_greeting_that_has_no_place_for_all_streams_names_those_between_the_two() {
    let (now, from, to) = (Time(0), MemberId::from(2), MemberId::from(3));
    let mut courier = Courier::new(MemberId::from(1), now);
    courier.met_all();
    courier.plan(now, Plan { epoch: 1, relayed: true, ..Plan::default() });
    courier.link_up(now, from, LinkUp::default());
    let hello = Frame::Hello { version: frame::VERSION, epoch: 1, credit: 0, holdings: Vec::new() };
    courier.frame(now, from, hello.encode()).expect("a greeting");
    for n in 0..limits::HOLDINGS_MAX as u64 + 100 {
        let stream = Stream::room(MemberId::from(100 + n));
        let head = Some(Head { kind: Kind::Message, channel: "c".to_owned() });
        let data = Data { stream, seq: 1, head, last: true, payload: Bytes::from_static(b"x") };
        courier.frame(now, from, data.encode()).expect("a chunk");
    }
    courier.send(now, Some(to), None, Head { kind: Kind::Message, channel: "c".to_owned() }, Bytes::from_static(b"x"));
    courier.link_up(now, to, LinkUp::default());
    let hello = courier.next_frame(now, to).and_then(|bytes| Frame::decode(bytes).ok());
    let Some(Frame::Hello { epoch, holdings, .. }) = hello else { panic!("{hello:?}") };
    assert_eq!((epoch, holdings.len()), (0, limits::HOLDINGS_MAX));
    assert!(holdings.iter().any(|holding| holding.stream.to == Some(to)));
}
