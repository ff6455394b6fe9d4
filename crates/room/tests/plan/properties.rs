//! Whatever happens to a room, in whatever order: everybody stays linked, within bounds, and the operations add up to
//! the plan.

use proptest::prelude::*;
use room::{
    limits,
    plan::{Config, Event, LinkOp, NoDistance, Profile, Stats, Topology},
    time::{Micros, Time},
};

use crate::graph::{Table, id};

/// Members that take part.
const PEOPLE: u64 = 40;

#[derive(Clone, Debug)]
enum Step {
    Join(u64, Profile, Vec<u64>),
    Leave(u64),
    Away(u64),
    Back(u64),
    Profile(u64, Profile),
    Drain(u64),
    Rate(u32),
    Measured(u64, Vec<(u64, u64)>),
    Tick(u64),
    Begin(Topology),
    Commit,
    Retire,
    Abort,
}

fn profile() -> impl Strategy<Value = Profile> {
    let uplink = prop_oneof![Just(0_u32), 100..20_000_u32, Just(u32::MAX)];
    (prop_oneof![0..12_u16, Just(16), Just(40)], uplink, 0..8_u8, 0..8_u8).prop_map(
        |(max_links, uplink_kbps, kind, nat)| Profile {
            max_links,
            uplink_kbps,
            relay: kind == 0,
            symmetric_nat: nat < 2,
            turn: nat == 2,
        },
    )
}

fn topology() -> impl Strategy<Value = Topology> {
    prop::sample::select(&Topology::ALL[..])
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..PEOPLE;
    let way = prop_oneof![4 => 0..200_000_u64, 1 => any::<u64>()];
    prop_oneof![
        10 => (who(), profile(), prop::collection::vec(who(), 0..4)).prop_map(|(who, profile, held)| Step::Join(who, profile, held)),
        6 => who().prop_map(Step::Leave),
        3 => who().prop_map(Step::Away),
        4 => who().prop_map(Step::Back),
        1 => (who(), profile()).prop_map(|(who, profile)| Step::Profile(who, profile)),
        1 => who().prop_map(Step::Drain),
        1 => (0..50_000_u32).prop_map(Step::Rate),
        4 => (who(), prop::collection::vec((who(), way), 0..20)).prop_map(|(who, ways)| Step::Measured(who, ways)),
        1 => (0..20_u64).prop_map(Step::Tick),
        1 => topology().prop_map(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::Retire),
        1 => Just(Step::Abort),
    ]
}

/// Plays steps, checks after each, and returns all operations.
fn play(seed: u64, config: &Config, steps: &[Step]) -> Vec<LinkOp> {
    let mut table = Table::new(seed, config.clone());
    if seed.is_multiple_of(2) {
        table.known = &NoDistance;
    }
    let mut now = Time(0);
    for step in steps {
        match step {
            Step::Join(who, profile, held) => {
                // Only a newcomer holds links that the plan does not know.
                let held: Vec<_> = held.iter().map(|held| id(*held)).filter(|held| table.present(*held)).collect();
                table.apply(&Event::Join { id: id(*who), profile: *profile, held: &held });
            }
            Step::Measured(who, ways) => {
                let ways: Vec<_> = ways.iter().map(|(peer, way)| (id(*peer), Micros(*way))).collect();
                let ops = table.apply(&Event::Measured { id: id(*who), ways: &ways });
                assert_eq!(ops, [], "what is measured changes the plan when time passes");
            }
            Step::Leave(who) => drop(table.apply(&Event::Leave(id(*who)))),
            Step::Away(who) => assert_eq!(table.apply(&Event::Away(id(*who))), [], "nothing to be told to who is away"),
            Step::Back(who) => drop(table.apply(&Event::Back(id(*who)))),
            Step::Profile(who, profile) => drop(table.apply(&Event::Profile { id: id(*who), profile: *profile })),
            Step::Drain(who) => {
                let eager = table.eager.clone();
                let held: Vec<_> = table.planner.links_of(id(*who)).collect();
                for op in table.apply(&Event::Drain(id(*who))) {
                    let LinkOp::Close(a, b) = op else { continue };
                    assert!(!eager.contains(&(a.min(b), a.max(b))), "closed before its successor is up: {op:?}");
                }
                let lost = held.iter().find(|(peer, _)| !table.planner.linked(id(*who), *peer));
                assert_eq!(lost, None, "a link of who drains was closed before its successor is up");
            }
            Step::Rate(rate_kbps) => {
                let stats =
                    Stats { publishers: 1, rate_kbps: *rate_kbps, busiest_kbps: *rate_kbps, ..Stats::default() };
                table.apply(&Event::Stats(stats));
            }
            Step::Tick(seconds) => {
                now = now + Micros::from_secs(*seconds);
                table.apply(&Event::Tick(now));
            }
            Step::Begin(to) => table.begin(*to),
            Step::Commit => table.commit(),
            Step::Retire => table.retire(),
            Step::Abort => table.abort(),
        }
        table.check(&format!("{step:?}"));
    }
    table.log
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_room_stays_whole_whatever_happens(
        seed: u64, topology in topology(), stripes in prop::sample::select(vec![1_usize, 4]), steps in prop::collection::vec(step(), 1..200)
    ) {
        let config = Config { topology, stripes, ..Config::default() };
        let first = play(seed, &config, &steps);
        prop_assert_eq!(first, play(seed, &config, &steps));
    }

    #[test]
    fn members_that_stay_reachable_keep_within_their_bounds(
        seed: u64, topology in prop::sample::select(vec![Topology::SmallWorld, Topology::Tree]), steps in prop::collection::vec(step(), 1..200)
    ) {
        let mut table = Table::new(seed, Config { topology, ..Config::default() });
        for step in steps {
            match step {
                Step::Join(who, profile, _) => {
                    let new = !table.members.contains_key(&id(who));
                    let ops = table.join(who, profile);
                    let opens = ops.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count();
                    if topology == Topology::SmallWorld {
                        assert!(opens <= limits::SMALL_WORLD_DEGREE && (new || opens == 0), "{opens} opened by a join");
                    }
                }
                Step::Leave(who) => {
                    let ops = table.apply(&Event::Leave(id(who)));
                    let opens = ops.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count();
                    if topology == Topology::SmallWorld {
                        assert!(opens <= limits::SMALL_WORLD_DEGREE / 2, "{opens} opened by a leave");
                    }
                }
                _ => continue,
            }
            for (id, peers) in table.neighbours() {
                let bound = table.members[&id].0.max_links.max(limits::MEMBER_LINKS_MIN);
                assert!(peers.len() <= usize::from(bound), "{id} has {} links of {bound}", peers.len());
            }
        }
    }
}
