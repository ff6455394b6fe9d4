//! What is said to one member only, over others.

use room::{limits, time::Micros};

use crate::net::Net;

/// All that was said is there, once and in order.
fn check(net: &Net, origin: u64, to: u64, said: &[Vec<u8>]) {
    let told = net.members[&to].told.get(&origin).map_or(0, Vec::len);
    assert_eq!(told, said.len(), "{origin} to {to}");
    assert!(net.members[&to].told[&origin].iter().zip(said).all(|(told, said)| told == said));
    assert_eq!(net.members[&to].gaps, []);
}

#[test]
fn it_goes_from_link_to_link_and_to_nobody_else() {
    let mut net = Net::random(1, 40, 40);
    let said: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n; usize::from(n) * 1_000]).collect();
    for text in &said {
        net.tell(38, 21, text.clone());
        net.run(Micros::from_millis(7));
    }
    net.run(Micros::from_secs(10));
    check(&net, 38, 21, &said);
    assert!(net.members.iter().all(|(member, node)| *member == 21 || node.told.is_empty()));
    // Nobody keeps anything of it.
    assert_eq!(net.members[&38].courier.kept(), 0);
    assert!(net.members[&38].courier.is_flushed());
}

#[test]
fn it_survives_those_who_pass_it_on() {
    for seed in 0..40 {
        let mut net = Net::random(seed, 40, 100);
        let mut said = Vec::new();
        for n in 0..100_u8 {
            said.push(vec![n; 3_000]);
            net.tell(1, 2, vec![n; 3_000]);
            net.tell(2, 1, vec![n; 3_000]);
            if n % 12 == 5 {
                let victim = 3 + net.below(38);
                if net.members.contains_key(&victim) {
                    net.crash(victim);
                }
            }
            if n % 20 == 7 && net.neighbours(1).contains(&2) {
                net.unlink(1, 2);
            }
            net.run(Micros::from_millis(29));
        }
        net.run(limits::ROUTE_PATIENCE.times(4));
        if net.is_connected() {
            check(&net, 1, 2, &said);
            check(&net, 2, 1, &said);
        }
    }
}

#[test]
fn what_one_says_to_all_and_to_one_keeps_its_order_over_their_link() {
    let mut net = Net::new(1);
    net.add(1).met_all();
    net.add(2).met_all();
    net.link(1, 2, 10, true);
    net.run(Micros::from_secs(1));
    let mut order = Vec::new();
    for n in 0..200_u8 {
        if n % 3 == 0 {
            net.tell(1, 2, vec![n]);
        } else {
            assert!(net.say(1, vec![n]));
        }
        order.push(n);
    }
    net.run(Micros::from_secs(1));
    assert_eq!(net.members[&2].all, order);
}

#[test]
fn a_full_way_holds_its_origin_back_and_loses_nothing() {
    let mut net = Net::new(1);
    for member in 1..=4 {
        net.add(member).met_all();
    }
    for (a, b) in [(1, 2), (2, 3), (3, 4)] {
        net.link(a, b, 20, true);
    }
    let said: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 100_000]).collect();
    for text in &said {
        net.tell(1, 4, text.clone());
    }
    net.run(Micros::from_secs(60));
    check(&net, 1, 4, &said);
}

#[test]
fn a_way_that_was_long_of_no_use_is_given_up_and_asked_for_again() {
    let mut net = Net::new(1);
    for member in 1..=3 {
        net.add(member).met_all();
    }
    net.link(1, 2, 10, true);
    net.link(2, 3, 10, true);
    let said = [vec![1], vec![2], vec![3]];
    net.tell(1, 3, said[0].clone());
    net.run(Micros(limits::ACTIVE_FOR.0 / 2));
    net.tell(1, 3, said[1].clone());
    net.run(Micros::from_millis(45));
    check(&net, 1, 3, &said[..2]);
    net.run(limits::ACTIVE_FOR.times(2));
    net.tell(1, 3, said[2].clone());
    net.run(Micros::from_millis(45));
    check(&net, 1, 3, &said[..2]);
    net.run(Micros::from_millis(45));
    check(&net, 1, 3, &said);
}
