//! Links that end, members that crash, plans that change.

use bytes::Bytes;
use room::{
    courier::{Beginning, Courier, LinkUp, Plan},
    id::MemberId,
    limits,
    time::{Micros, Time},
};

use crate::net::Net;

#[test]
fn a_lost_way_is_mended_from_a_neighbour() {
    for seed in 0..40 {
        let mut net = Net::random(seed, 40, 100);
        for n in 0..60 {
            net.say(1, format!("{n}"));
            net.say(2, vec![n; 20_000]);
            if n % 5 == 0 {
                let a = 1 + net.below(40);
                let neighbours = net.neighbours(a);
                let b = neighbours[net.below(neighbours.len() as u64) as usize];
                // It comes back a moment later, as another connection.
                net.unlink(a, b);
                net.run(Micros::from_millis(300));
                let ms = 5 + net.below(60);
                let eager = net.node(a).eager.contains(&b);
                net.link(a, b, ms, eager);
            }
            let pause = net.below(100);
            net.run(Micros::from_millis(pause));
        }
        net.run(Micros::from_secs(10));
        net.check(&[1, 2]);
    }
}

#[test]
fn survivors_lose_nothing_that_a_survivor_had() {
    for seed in 0..40 {
        let mut net = Net::random(seed, 60, 200);
        for n in 0..80_u64 {
            net.say(1, format!("{n}"));
            net.say(2, format!("{n}"));
            if n % 10 == 9 {
                let victim = 3 + net.below(58);
                if net.members.contains_key(&victim) {
                    net.crash(victim);
                }
            }
            net.run(Micros::from_millis(37));
        }
        net.run(Micros::from_secs(10));
        if net.is_connected() {
            net.check(&[1, 2]);
        }
    }
}

#[test]
fn what_one_survivor_has_of_a_dead_origin_all_get() {
    for seed in 0..20 {
        let mut net = Net::random(seed, 30, 90);
        for n in 0..10 {
            net.say(5, format!("{n}"));
            net.run(Micros::from_millis(20));
        }
        net.crash(5);
        let now = net.now;
        for member in net.members.keys().copied().collect::<Vec<_>>() {
            net.node(member).courier.gone(now, MemberId::from(5));
            net.pump(member);
        }
        net.run(Micros(limits::FIN_GRACE.0 - 100_000));
        if !net.is_connected() {
            continue;
        }
        let most = net.members.values().map(|node| node.heard.get(&5).map_or(0, Vec::len)).max();
        for (member, node) in &net.members {
            assert_eq!(Some(node.heard.get(&5).map_or(0, Vec::len)), most, "seed {seed}, member {member}");
        }
        net.run(Micros::from_secs(10));
        assert!(net.members.values().all(|node| node.courier.standing(MemberId::from(5)).is_none()));
    }
}

#[test]
fn a_change_of_plan_loses_nothing() {
    for seed in 0..30 {
        let mut net = Net::random(seed, 30, 0);
        for n in 0..100_u64 {
            net.say(1, format!("{n}"));
            net.say(2, vec![n as u8; 3_000]);
            net.run(Micros::from_millis(23));
            if n == 40 {
                // A star around 3 takes over from the tree: its links open, it becomes the plan, the old links go.
                for member in (1..=30).filter(|member| *member != 3) {
                    if !net.neighbours(3).contains(&member) {
                        let ms = 5 + net.below(60);
                        net.link(3, member, ms, false);
                    }
                }
            }
            if n == 55 {
                let now = net.now;
                for member in 1..=30 {
                    let eager = (1..=30).filter(|peer| (member == 3) != (*peer == 3)).map(MemberId::from).collect();
                    net.node(member).courier.plan(now, Plan { relayed: true, eager, ..Plan::default() });
                    net.pump(member);
                }
            }
            if n == 75 {
                for a in 1..=30 {
                    for b in net.neighbours(a) {
                        if a != 3 && b != 3 && a < b {
                            net.unlink(a, b);
                        }
                    }
                }
            }
        }
        net.run(Micros::from_secs(5));
        net.check(&[1, 2]);
        assert!(net.members.values().all(|node| node.hops.last().is_none_or(|hop| *hop <= 2)), "seed {seed}");
    }
}

/// A mesh of five in which 1 has said something, and 5 has lost its link to it while it heard nothing of the others either.
fn bereft() -> Net {
    let mut net = Net::new(1);
    for member in 1..=5 {
        net.add(member).met_all();
    }
    for (a, b) in (1..=5).flat_map(|b| (1..b).map(move |a| (a, b))) {
        net.link(a, b, 10, false);
    }
    plan_all(&mut net, false);
    net.say(1, "a");
    net.run(Micros::from_secs(1));
    let now = net.now;
    for peer in 2..=4 {
        net.node(5).courier.suspect(now, MemberId::from(peer), true);
    }
    net.unlink(1, 5);
    net.say(1, "b");
    net.run(Micros::from_secs(1));
    net
}

fn plan_all(net: &mut Net, relayed: bool) {
    let now = net.now;
    for member in net.members.keys().copied().collect::<Vec<_>>() {
        net.node(member).courier.plan(now, Plan { relayed, ..Plan::default() });
        net.pump(member);
    }
}

#[test]
fn in_a_mesh_whoever_is_heard_again_is_asked_for_what_nobody_could_be_asked_for() {
    let mut net = bereft();
    let now = net.now;
    net.node(5).courier.suspect(now, MemberId::from(3), false);
    net.pump(5);
    net.run(Micros::from_secs(1));
    net.say(1, "c");
    net.run(Micros::from_secs(1));
    net.check(&[1]);
}

#[test]
fn time_in_which_nobody_told_what_they_have_does_not_count() {
    let mut net = bereft();
    net.add(6).met_all();
    net.link(1, 6, 10, false);
    net.link(5, 6, 10, false);
    plan_all(&mut net, false);
    net.say(1, "c");
    net.run(Micros::from_secs(1));
    // Of all only the newcomer, who lacks the beginning, can be asked.
    let now = net.now;
    net.node(5).courier.detour(now, MemberId::from(1));
    net.pump(5);
    net.run(limits::GAP_PATIENCE_MAX + Micros::from_secs(5));
    // It is near, and the others are far away.
    for peer in 2..=4 {
        net.unlink(peer, 5);
        net.link(peer, 5, 200, false);
    }
    plan_all(&mut net, true);
    net.say(1, "d");
    net.run(Micros::from_secs(5));
    let texts: Vec<_> = net.members[&5].heard[&1].iter().map(|text| text[..].to_vec()).collect();
    assert_eq!((texts.len(), &net.members[&5].gaps[..]), (4, &[][..]));
}

/// Members of a chain know each other, and the last has lost its link: 1 has said more since than 2 keeps.
fn beyond_caches(members: u64) -> Net {
    let mut net = Net::new(1);
    for member in 1..=members {
        let now = net.now;
        let courier = net.add(member);
        courier.met_all();
        let others = (1..=members).filter(|other| *other != member);
        others.for_each(|other| courier.entered(now, MemberId::from(other), Beginning::At(1)));
    }
    (1..members).for_each(|member| net.link(member, member + 1, 10, true));
    net.say(1, "a");
    net.run(Micros::from_secs(1));
    net.unlink(2, 3);
    for _ in 0..400 {
        net.say(1, vec![0; 16_000]);
        net.run(Micros::from_millis(5));
    }
    net
}

/// 3 has 2 for its only neighbour, asks for a link to 1, and has all of it after.
fn check_rescue(net: &mut Net) {
    net.run(Micros::from_secs(4));
    assert_eq!((&net.members[&3].unreached[..], &net.members[&2].unreached[..]), (&[1][..], &[][..]));
    net.link_since(1, 3, 10, false, Time(0));
    net.run(Micros::from_secs(1));
    net.unlink(1, 3);
    net.say(1, "b");
    net.run(limits::RESCUE_AGAIN.times(2));
    net.check(&[1]);
    assert_eq!(net.members[&3].unreached.len(), 1);
}

#[test]
fn what_no_neighbour_has_any_more_is_had_over_a_link_to_its_origin() {
    let mut net = beyond_caches(3);
    net.link(2, 3, 10, true);
    check_rescue(&mut net);
}

#[test]
fn a_newcomer_learns_where_a_stream_begins_of_which_neighbours_keep_less() {
    let mut net = beyond_caches(2);
    // It heard of the stream by nobody but those who were here before it.
    let now = net.now;
    let courier = net.add(3);
    courier.entered(now, MemberId::from(1), Beginning::Before);
    courier.entered(now, MemberId::from(2), Beginning::Before);
    courier.met_all();
    net.link_since(2, 3, 10, true, Time(0));
    check_rescue(&mut net);
}

#[test]
fn a_newcomer_that_began_where_a_neighbour_can_begin_has_given_up_nothing() {
    let mut net = beyond_caches(2);
    // Two newcomers, one after another. The first offers what was said since it came.
    let enter = |net: &mut Net, newcomer: u64, others: &[u64]| {
        let now = net.now;
        let courier = net.add(newcomer);
        others.iter().for_each(|other| courier.entered(now, MemberId::from(*other), Beginning::Before));
        courier.met_all();
    };
    enter(&mut net, 3, &[1, 2]);
    net.link(2, 3, 10, true);
    net.say(1, "a");
    net.run(Micros::from_secs(1));
    enter(&mut net, 4, &[1, 2, 3]);
    net.link_since(2, 4, 10, true, Time(0));
    net.run(Micros::from_millis(100));
    net.link(3, 4, 100, false);
    // Before it is asked it has let go of that.
    for _ in 0..300 {
        net.say(1, vec![0; 16_000]);
        net.run(Micros(500));
    }
    let next = |net: &Net| net.members[&4].courier.standing(MemberId::from(1)).map_or(0, |(next, ..)| next);
    while next(&net) <= 1 {
        net.run(Micros::from_millis(1));
    }
    // Who could bring the rest is gone before it does, and the hub is out of reach for a while.
    let first = next(&net);
    net.unlink(2, 4);
    net.run(limits::RESCUE_AFTER + limits::RESCUE_PATIENCE.times(2));
    assert_eq!((next(&net), net.members[&4].gaps.len()), (first, 0));
    net.link_since(1, 4, 10, false, Time(0));
    net.run(Micros::from_secs(5));
    let first = usize::try_from(first).expect("a place") - 1;
    assert_eq!((&net.members[&4].heard[&1][..], &net.members[&4].gaps[..]), (&net.said[&1][first..], &[][..]));
}

#[test]
fn who_came_back_begins_where_it_said_so_to_whoever_had_heard_nothing_of_it_yet() {
    let mut net = Net::new(1);
    net.add(1).met_all();
    net.add(2).met_all();
    net.say(1, "before 3 came");
    net.run(Micros::from_secs(1));
    // It hears of 1, and then that it is gone, before anybody can tell of the stream.
    let since = net.now;
    let courier = net.add(3);
    courier.entered(since, MemberId::from(1), Beginning::Before);
    courier.met_all();
    courier.forget(since, MemberId::from(1));
    net.link(2, 3, 10, true);
    net.run(Micros::from_secs(1));
    // It was not, and 3 is among those for whom it says this.
    net.say(1, "a");
    net.say(1, "b");
    let (now, next) = (net.now, net.members[&1].courier.next());
    net.node(3).courier.entered(now, MemberId::from(1), Beginning::At(next));
    net.link_since(1, 3, 10, true, since);
    net.say(1, "c");
    net.run(Micros::from_secs(1));
    assert_eq!(
        (&net.members[&3].heard[&1][..], &net.members[&3].gaps[..]),
        (&["a", "b", "c"].map(Bytes::from)[..], &[][..])
    );
}

#[test]
fn what_is_in_no_cache_any_more_is_a_gap() {
    let mut net = Net::new(1);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    net.link(1, 2, 10, true);
    net.link(2, 3, 10, true);
    net.say(1, "a");
    net.run(Micros::from_secs(1));
    net.unlink(2, 3);
    for _ in 0..400 {
        net.say(1, vec![0; 16_000]);
        net.run(Micros::from_millis(5));
    }
    net.run(Micros::from_secs(1));
    net.link(2, 3, 10, true);
    net.run(limits::GAP_PATIENCE.times(2));
    net.say(1, "b");
    net.run(Micros::from_secs(5));
    let node = &net.members[&3];
    assert_eq!(node.gaps.len(), 1);
    let (origin, from, to) = node.gaps[0];
    assert_eq!((origin, from), (1, 2));
    assert_eq!(node.heard[&1].len() as u64 + to + 1 - from, 402);
    assert_eq!(node.heard[&1].last().map(|text| &text[..]), Some(&b"b"[..]));
}

#[test]
fn a_link_that_fails_with_its_first_packet_never_opened() {
    let (now, [a, b]) = (Time(1_000_000), [1_u64, 2].map(MemberId::from));
    let (mut here, mut there) = (Courier::new(a, now), Courier::new(b, now));
    here.link_up(now, b, LinkUp { vouches: false, offer_from: None });
    there.link_up(now, a, LinkUp { vouches: false, offer_from: None });
    let hello = there.next_frame(now, a).expect("HELLO is the first");
    here.frame(now, b, hello.clone()).expect("it is in order");
    assert!(here.frame(now, b, hello).is_err(), "HELLO is said once");
    here.link_down(now, b);
    assert!(here.poll_event().is_none(), "nobody is told that it opened");
}
