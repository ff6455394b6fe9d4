//! What each topology promises, in rooms of a few hundred.

use std::collections::{BTreeMap, BTreeSet};

use room::{
    id::MemberId,
    limits,
    plan::{Config, Event, LinkOp, NoDistance, Planner, Profile, Stats, Topology},
    time::{Micros, Time},
};

use crate::graph::{Circle, Table, id};

fn usual(_: u64) -> Profile {
    Profile::default()
}

fn relay(max_links: u16) -> Profile {
    Profile { relay: true, max_links, uplink_kbps: 1_000_000, ..Profile::default() }
}

/// The greatest number of hops between any two.
fn diameter(table: &Table) -> u32 {
    let all = table.neighbours();
    all.keys().filter_map(|id| table.hops(*id, &all).into_values().max()).max().unwrap_or_default()
}

#[test]
fn a_small_world_is_few_hops_wide_with_six_links_each() {
    let table = Table::of(Topology::SmallWorld, 500, usual);
    assert!(table.neighbours().values().all(|peers| (4..=6).contains(&peers.len())));
    // Moore's bound is 5.
    assert!(diameter(&table) <= 7, "{} hops", diameter(&table));
    let depth = table.members.keys().filter_map(|id| table.planner.depth_of(*id)).max();
    assert!(depth.is_some_and(|depth| depth <= 9), "{depth:?}");
    table.check("all joined");
}

#[test]
fn whoever_may_hold_few_links_takes_part_in_few_cycles() {
    let table = Table::of(Topology::SmallWorld, 100, |number| Profile {
        max_links: if number % 2 == 0 { 4 } else { 6 },
        ..Profile::default()
    });
    let neighbours = table.neighbours();
    assert!((0..100).all(|number| neighbours[&id(number)].len() <= if number % 2 == 0 { 2 } else { 4 }));
    table.check("all joined");
}

#[test]
fn members_know_whom_to_close_ranks_with() {
    let table = Table::of(Topology::SmallWorld, 50, usual);
    for number in 0..50 {
        let rings = table.planner.rings_of(id(number));
        assert_eq!(rings.len(), 3);
        for (cycle, ring) in rings.iter().enumerate() {
            assert_eq!((ring.successors.len(), ring.predecessors.len()), (2, 2));
            let next = &table.planner.rings_of(ring.successors[0])[cycle];
            assert_eq!(next.predecessors[0], id(number));
            assert_eq!(next.successors[0], ring.successors[1]);
        }
    }
}

#[test]
fn near_members_become_neighbours() {
    let table = Table::of(Topology::SmallWorld, 300, usual);
    let mut blind = Planner::with(7, Config { topology: Topology::SmallWorld, ..Config::default() });
    for number in 0..300 {
        blind.apply(&Event::Join { id: id(number), profile: usual(number), held: &[] }, &NoDistance);
    }
    let length = |planner: &Planner| -> u64 {
        let links = (0..300).flat_map(|number| planner.links_of(id(number)).map(move |(peer, _)| (id(number), peer)));
        links.filter_map(|(a, b)| room::plan::Distance::between(&Circle, a, b)).map(|micros| micros.0).sum()
    };
    assert!(length(&table.planner) * 3 < length(&blind) * 2, "{} {}", length(&table.planner), length(&blind));
}

#[test]
fn one_member_in_ten_seconds_moves_to_a_better_place() {
    let mut table = Table::of(Topology::SmallWorld, 100, usual);
    let mut moves = 0;
    for second in 0..=60 {
        let opens = table.apply(&Event::Tick(Time(0) + Micros::from_secs(second)));
        let opens = opens.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count();
        assert!(opens <= 3 && (second % 10 == 0 || opens == 0));
        moves += usize::from(opens > 0);
    }
    assert!(moves > 0);
    table.check("a minute has passed");
}

#[test]
fn the_strong_are_near_the_root_and_the_weak_are_leaves() {
    // One in four can carry nobody, one in four much.
    let profile =
        |number: u64| Profile { uplink_kbps: [500, 5_000, 5_000, 50_000][number as usize % 4], ..Profile::default() };
    let mut table = Table::new(7, Config { topology: Topology::Tree, ..Config::default() });
    table.apply(&Event::Stats(Stats { publishers: 1, rate_kbps: 1_000, ..Stats::default() }));
    for number in 0..400 {
        table.join(number, profile(number));
    }
    let parents: BTreeSet<MemberId> = (0..400).filter_map(|number| table.planner.parent_of(id(number), 0)).collect();
    assert!((0..400).step_by(4).all(|number| !parents.contains(&id(number))));
    let depth = |number: u64| f64::from(table.planner.depth_of(id(number)).expect("it is in its place"));
    let mean = |kind: usize| (0..400).skip(kind).step_by(4).map(depth).sum::<f64>() / 100.0;
    assert!(mean(3) + 0.5 < mean(0), "{} {}", mean(3), mean(0));
    let depth = (0..400).filter_map(|number| table.planner.depth_of(id(number))).max();
    assert!(depth <= Some(4), "{depth:?}");
}

#[test]
fn every_child_has_two_more_ways_out_of_its_subtree() {
    let table = Table::of(Topology::Tree, 200, usual);
    let mut well = 0;
    for number in 0..200 {
        let above = |of: MemberId| std::iter::successors(Some(of), |at| table.planner.parent_of(*at, 0));
        let parent = table.planner.parent_of(id(number), 0);
        let ways = table
            .planner
            .links_of(id(number))
            .filter(|(peer, _)| Some(*peer) != parent && !above(*peer).any(|at| at == id(number)));
        well += usize::from(ways.count() >= limits::BACKUP_PARENTS);
    }
    assert!(well >= 195, "{well} of 200 have two");
}

#[test]
fn a_root_that_can_carry_nobody_any_more_gives_way() {
    for (topology, stripes) in [(Topology::Tree, 1), (Topology::Tree, 4), (Topology::Star, 1)] {
        let mut table = Table::new(7, Config { topology, stripes, ..Config::default() });
        let relays = if topology == Topology::Star { 3 } else { 0 };
        for number in 0..60 {
            table.join(number, if number < relays { relay(40) } else { usual(number) });
        }
        let is_root = |table: &Table, number: u64, stripe| {
            table.planner.parent_of(id(number), stripe).is_none() && table.planner.depth_of(id(number)).is_some()
        };
        let root = (0..60).find(|number| is_root(&table, *number, 0)).expect("somebody is the root");
        let profile = Profile { turn: true, ..Profile::default() };
        table.apply(&Event::Profile { id: id(root), profile });
        for second in 0..30 {
            table.apply(&Event::Tick(Time(0) + Micros::from_secs(second)));
        }
        for stripe in 0..stripes {
            assert!(!is_root(&table, root, stripe), "{topology}, stripe {stripe}");
            let below = (0..60).filter(|number| table.planner.parent_of(id(*number), stripe) == Some(id(root))).count();
            assert_eq!(below, 0, "{topology}, stripe {stripe}");
        }
        table.check("the root has changed");
    }
}

#[test]
fn nobody_has_children_in_two_stripes() {
    let config = Config { topology: Topology::Tree, stripes: 4, ..Config::default() };
    let mut table = Table::new(7, config);
    table.apply(&Event::Stats(Stats { publishers: 1, rate_kbps: 1_000, ..Stats::default() }));
    let profile =
        |number: u64| Profile { uplink_kbps: [0, 2_000, 2_000, 4_000][number as usize % 4], ..Profile::default() };
    let mut children: BTreeMap<MemberId, BTreeSet<usize>> = BTreeMap::new();
    for number in 0..400 {
        table.join(number, profile(number));
        if number % 3 == 0 {
            table.apply(&Event::Leave(id(number / 2)));
        }
    }
    for (id, stripe) in table.members.keys().flat_map(|id| (0..4).map(move |stripe| (*id, stripe))) {
        match table.planner.parent_of(id, stripe) {
            Some(parent) => drop(children.entry(parent).or_default().insert(stripe)),
            None => assert_eq!(table.planner.stripe_depth_of(id, stripe), Some(0)),
        }
    }
    let torn: Vec<_> = children.values().filter(|stripes| stripes.len() > 1).collect();
    assert!(torn.is_empty(), "{} have children in two stripes", torn.len());
    let depth = |stripe| table.members.keys().filter_map(|id| table.planner.stripe_depth_of(*id, stripe)).max();
    assert!((0..4).all(|stripe| depth(stripe) <= Some(6)), "{:?}", (0..4).map(depth).collect::<Vec<_>>());
}

#[test]
fn members_of_a_star_have_one_link_each() {
    let mut table = Table::of(Topology::Star, 100, |number| if number == 40 { relay(200) } else { usual(number) });
    for second in 0..20 {
        table.apply(&Event::Tick(Time(0) + Micros::from_secs(second)));
    }
    let neighbours = table.neighbours();
    assert_eq!(neighbours[&id(40)].len(), 99);
    assert!(neighbours.iter().all(|(member, peers)| *member == id(40) || peers == &[id(40)]));
    table.check("all hang on the relay");
}

#[test]
fn members_of_several_relays_hang_on_the_nearest_with_room() {
    let profile = |number: u64| if number < 4 { relay(60) } else { usual(number) };
    let table = Table::of(Topology::Star, 150, profile);
    let apart = |a, b| room::plan::Distance::between(&Circle, a, b);
    let mut nearest = 0;
    for number in 4..150 {
        let relay = table.planner.parent_of(id(number), 0).expect("it is in its place");
        assert!(relay < id(4));
        nearest += usize::from((0..4).all(|other| apart(id(number), relay) <= apart(id(number), id(other))));
    }
    assert!(nearest > 90, "{nearest} of 146 hang on the nearest");
    assert!((0..4).all(|number| table.neighbours()[&id(number)].len() <= 60));
}

#[test]
fn whoever_hangs_on_a_draining_relay_is_linked_to_another_first() {
    let mut table = Table::of(Topology::Star, 50, |number| if number < 2 { relay(200) } else { usual(number) });
    for drained in [0, 1] {
        let ops = table.apply(&Event::Drain(id(drained)));
        assert!(!ops.iter().any(|op| matches!(op, LinkOp::Close(..))));
        table.check("draining");
        if drained == 0 {
            assert!((2..50).all(|number| table.planner.parent_of(id(number), 0) == Some(id(1))));
            table.retire();
            assert!(table.neighbours()[&id(0)].len() <= 1);
            assert!(table.planner.offers(Topology::Star));
        }
        table.check("retired");
    }
    // There is nowhere left to go: they stay until they are moved to a tree.
    assert!((2..50).all(|number| table.planner.parent_of(id(number), 0) == Some(id(1))));
    assert!(!table.planner.offers(Topology::Star));
    assert_eq!(table.planner.due(), Some(Topology::Tree));
    table.begin(Topology::Tree);
    table.commit();
    table.retire();
    table.check("a tree");
}

#[test]
fn a_relay_that_drains_keeps_its_links_until_others_take_their_place_and_then_one() {
    for topology in [Topology::SmallWorld, Topology::Tree, Topology::Star] {
        let mut table = Table::of(topology, 50, |number| if number < 2 { relay(200) } else { usual(number) });
        let (before, eager) = (table.neighbours(), table.eager.clone());
        let ops = table.apply(&Event::Drain(id(0)));
        assert!(!ops.iter().any(|op| matches!(op, LinkOp::Close(..))), "{topology}: {ops:?}");
        assert!(ops.iter().any(|op| matches!(op, LinkOp::Open { .. })), "{topology}: nothing takes its place");
        assert_eq!(table.neighbours()[&id(0)], before[&id(0)], "{topology}");
        table.check("draining");
        if topology == Topology::SmallWorld {
            assert_eq!(table.eager, eager, "what is pushed goes on as before");
            assert_eq!(table.planner.rings_of(id(0)), []);
        }
        assert_eq!(table.apply(&Event::Drain(id(0))), []);
        table.retire();
        table.check("retired");
        let links = |table: &Table| table.neighbours()[&id(0)].len();
        assert_eq!(links(&table), 1, "{topology}");

        for number in 50..70 {
            table.join(number, usual(number));
            table.apply(&Event::Leave(id(number - 40)));
            table.apply(&Event::Tick(Time(number * 1_000_000)));
            table.check("others come and go");
            assert_eq!(links(&table), 1, "{topology}: nobody new hangs on it");
        }
        for to in [Topology::SmallWorld, Topology::Tree, Topology::Mesh, Topology::SmallWorld] {
            table.begin(to);
            table.commit();
            table.retire();
            table.check("moved");
            assert_eq!(links(&table), usize::from(to != Topology::Mesh), "{topology} to {to}");
        }
    }
}

#[test]
fn a_small_world_of_relays_that_drain_has_room_for_newcomers() {
    let mut table = Table::of(Topology::SmallWorld, 4, |_| relay(50));
    for number in 0..4 {
        table.apply(&Event::Drain(id(number)));
        table.check("draining");
    }
    table.retire();
    table.check("all drain");
    for number in 4..12 {
        table.join(number, usual(number));
        table.check("a newcomer");
    }
    table.retire();
    table.check("retired");
    for number in 0..4 {
        assert_eq!(table.neighbours()[&id(number)].len(), 1);
    }
    for number in 0..4 {
        table.apply(&Event::Leave(id(number)));
        table.check("gone");
    }
}

#[test]
fn a_room_moves_between_all_topologies_while_members_come_and_go() {
    let profile = |number: u64| if number.is_multiple_of(20) { relay(100) } else { usual(number) };
    for from in Topology::ALL {
        for to in Topology::ALL.into_iter().filter(|to| *to != from) {
            let mut table = Table::of(from, 60, profile);
            let epoch = table.planner.epoch();
            let mut next = 60;
            let mut churn = |table: &mut Table| {
                for _ in 0..5 {
                    table.join(next, profile(next));
                    table.apply(&Event::Leave(id(next - 50)));
                    table.check("members come and go");
                    next += 1;
                }
            };
            table.begin(to);
            assert_eq!((table.planner.switching(), table.planner.epoch()), (Some(to), epoch + 1));
            table.check("begun");
            churn(&mut table);
            table.abort();
            assert_eq!((table.planner.switching(), table.planner.topology()), (None, from));
            table.check("given up");
            table.begin(to);
            churn(&mut table);
            let before = table.log.len();
            table.commit();
            assert!(!table.log[before..].iter().any(|op| matches!(op, LinkOp::Open { .. } | LinkOp::Close(..))));
            assert_eq!((table.planner.topology(), table.planner.retiring()), (to, Some(from)));
            table.check("committed");
            churn(&mut table);
            let before = table.log.len();
            table.retire();
            assert!(table.log[before..].iter().all(|op| matches!(op, LinkOp::Close(..))));
            assert_eq!(table.planner.retiring(), None);
            table.check("retired");
            churn(&mut table);
        }
    }
}

#[test]
fn a_hub_that_restarts_keeps_many_links_where_they_were() {
    let before = Table::of(Topology::SmallWorld, 60, usual);
    let mut after = Table::new(8, Config { topology: Topology::SmallWorld, ..Config::default() });
    for number in 0..60 {
        let held: Vec<MemberId> = before.planner.links_of(id(number)).map(|(peer, _)| peer).collect();
        after.apply(&Event::Join { id: id(number), profile: usual(number), held: &held });
    }
    let kept = after.links.intersection(&before.links).count();
    assert!(kept * 3 > before.links.len(), "{kept} of {} links kept", before.links.len());
}
