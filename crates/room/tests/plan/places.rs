//! What comes of the ways that members measure: rooms whose planner knows nothing else of distances.

use std::collections::{BTreeMap, BTreeSet};

use room::{
    id::MemberId,
    limits,
    plan::{Config, Event, LinkOp, NoDistance, Planner, Profile, Topology},
    time::{Micros, Time},
};

use crate::graph::id;

/// Members in towns on a plane, who report what they measure as soon as they have a link.
struct Land {
    planner: Planner,
    links: BTreeMap<MemberId, BTreeSet<MemberId>>,
    /// Those who report whatever comes to their minds.
    liars: BTreeSet<MemberId>,
    seconds: u64,
    opened: usize,
}

impl Land {
    fn new(topology: Topology) -> Land {
        let planner = Planner::with(7, Config { topology, ..Config::default() });
        Land { planner, links: BTreeMap::new(), liars: BTreeSet::new(), seconds: 0, opened: 0 }
    }

    /// A small world of so many, who came one after another, two a second.
    fn of(count: u64, is_liar: impl Fn(u64) -> bool) -> Land {
        let mut land = Land::new(Topology::SmallWorld);
        for number in 0..count {
            if is_liar(number) {
                land.liars.insert(id(number));
            }
            land.join(number);
            if number % 2 == 0 {
                land.tick();
            }
        }
        land
    }

    fn join(&mut self, number: u64) {
        let event = Event::Join { id: id(number), profile: Profile::default(), held: &[] };
        let ops = self.planner.apply(&event, &NoDistance);
        self.carry_out(&ops);
        self.report(&ops);
    }

    /// A second passes; how many links were opened.
    fn tick(&mut self) -> usize {
        self.seconds += 1;
        let before = self.opened;
        let ops = self.planner.apply(&Event::Tick(Time(0) + Micros::from_secs(self.seconds)), &NoDistance);
        self.carry_out(&ops);
        self.report(&ops);
        self.opened - before
    }

    fn carry_out(&mut self, ops: &[LinkOp]) {
        for op in ops {
            match *op {
                LinkOp::Open { offerer: a, answerer: b } => {
                    self.opened += 1;
                    self.links.entry(a).or_default().insert(b);
                    self.links.entry(b).or_default().insert(a);
                }
                LinkOp::Close(a, b) => {
                    self.links.entry(a).or_default().remove(&b);
                    self.links.entry(b).or_default().remove(&a);
                }
                _ => {}
            }
        }
    }

    /// Whoever has new links reports all of its links.
    fn report(&mut self, ops: &[LinkOp]) {
        let ends = ops.iter().filter_map(|op| match *op {
            LinkOp::Open { offerer, answerer } => Some([offerer, answerer]),
            _ => None,
        });
        let ends: BTreeSet<MemberId> = ends.flatten().collect();
        for member in ends {
            self.measure(member);
        }
    }

    fn measure(&mut self, member: MemberId) {
        let said = |peer: MemberId| match self.liars.contains(&member) {
            true => Micros(mix(member.to_u64() ^ mix(peer.to_u64())) % 1_000_000),
            false => way(member, peer),
        };
        let ways: Vec<_> = self.links[&member].iter().map(|peer| (*peer, said(*peer))).collect();
        for ways in ways.chunks(limits::DISTANCES_TOLD) {
            assert_eq!(self.planner.apply(&Event::Measured { id: member, ways }, &NoDistance), []);
        }
    }

    /// The mean length of the links of some, in ms.
    fn mean_ms(&self, whose: impl Fn(MemberId) -> bool) -> f64 {
        let lengths = self.links.iter().filter(|(member, _)| whose(**member));
        let lengths: Vec<u64> =
            lengths.flat_map(|(member, peers)| peers.iter().map(|peer| way(*member, *peer).0)).collect();
        lengths.iter().sum::<u64>() as f64 / lengths.len() as f64 / 1e3
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (n ^ n >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Twelve towns on a square of 100 ms, with members up to 5 ms around their middles.
fn way(a: MemberId, b: MemberId) -> Micros {
    let place = |id: MemberId| {
        let (town, within) = (mix(1_000 + mix(id.to_u64()) % 12), mix(id.to_u64() + 77));
        let axis = |shift: u32| ((town >> shift & 0xffff) * 100_000 + (within >> shift & 0xffff) * 10_000) >> 16;
        (axis(0), axis(32))
    };
    let ((ax, ay), (bx, by)) = (place(a), place(b));
    Micros(500 + ((ax.abs_diff(bx).pow(2) + ay.abs_diff(by).pow(2)) as f64).sqrt() as u64)
}

const ALL: fn(MemberId) -> bool = |_| true;

#[test]
fn near_members_become_neighbours_by_what_they_measure() {
    let mut blind = Land::new(Topology::SmallWorld);
    let mut knowing = Planner::with(7, Config { topology: Topology::SmallWorld, ..Config::default() });
    struct Known;
    impl room::plan::Distance for Known {
        fn between(&self, a: MemberId, b: MemberId) -> Option<Micros> {
            Some(way(a, b))
        }
    }
    for number in 0..600 {
        let event = Event::Join { id: id(number), profile: Profile::default(), held: &[] };
        let ops = blind.planner.apply(&event, &NoDistance);
        blind.carry_out(&ops);
        knowing.apply(&event, &Known);
    }
    let mut known = Land { planner: knowing, ..Land::new(Topology::SmallWorld) };
    for number in 0..600 {
        known.links.insert(id(number), known.planner.links_of(id(number)).map(|(peer, _)| peer).collect());
    }
    let measured = Land::of(600, |_| false);
    let [blind, known, measured] = [&blind, &known, &measured].map(|land| land.mean_ms(ALL));
    assert!(measured < 0.65 * blind && measured < 1.4 * known, "{measured}; {known} where all is known, else {blind}");
}

#[test]
fn a_liar_hurts_itself_only() {
    let honest = Land::of(600, |_| false);
    let land = Land::of(600, |number| number % 10 == 9);
    let is_liar = |member: MemberId| land.liars.contains(&member);
    // The links between the honest: whoever is linked to a liar has no say in that.
    let between = |land: &Land| {
        let mut among = Land { links: land.links.clone(), ..Land::new(Topology::SmallWorld) };
        among.links.retain(|member, _| !is_liar(*member));
        among.links.values_mut().for_each(|peers| peers.retain(|peer| !is_liar(*peer)));
        among.mean_ms(ALL)
    };
    let (without, with) = (between(&honest), between(&land));
    assert!(with < 1.1 * without, "{with} ms between honest members, {without} where all are");
    let (lied, told) = (land.mean_ms(is_liar), honest.mean_ms(is_liar));
    assert!(lied > 1.2 * told, "{lied} ms to liars, {told} where they told the truth");
}

#[test]
fn whoever_entered_unknown_is_moved_once_and_the_room_comes_to_rest() {
    let mut land = Land::of(600, |_| false);
    let (grown, before) = (land.opened, land.mean_ms(ALL));
    assert!(grown < 600 * 12, "{grown} links were opened by 600 who came");
    // What is far from the best is mended slowly, then hardly anything is.
    let minutes: Vec<usize> = (0..10)
        .map(|_| {
            (0..60)
                .map(|_| {
                    let opened = land.tick();
                    assert!(opened <= 45, "{opened} links within a second");
                    opened
                })
                .sum()
        })
        .collect();
    assert!(minutes[9] <= 60, "{minutes:?}");
    assert!(land.mean_ms(ALL) <= before, "{} ms, {before} before", land.mean_ms(ALL));
}

#[test]
fn a_room_that_measures_all_at_once_finds_its_places_too() {
    // As when a hub has restarted: everybody is linked, somehow, and nobody has said anything.
    let mut land = Land::new(Topology::SmallWorld);
    for number in 0..600 {
        let event = Event::Join { id: id(number), profile: Profile::default(), held: &[] };
        let ops = land.planner.apply(&event, &NoDistance);
        land.carry_out(&ops);
    }
    let blind = land.mean_ms(ALL);
    for number in 0..600 {
        land.measure(id(number));
    }
    for _ in 0..900 {
        land.tick();
    }
    let measured = land.mean_ms(ALL);
    assert!(measured < 0.65 * blind, "{measured} after a quarter of an hour, {blind} at first");
}

#[test]
fn what_a_room_has_measured_as_a_mesh_serves_its_small_world() {
    let mut land = Land::new(Topology::Mesh);
    for number in 0..40 {
        land.join(number);
    }
    for number in 0..40 {
        land.measure(id(number));
    }
    for _ in 0..20 {
        land.tick();
    }
    let ops = land.planner.begin(Topology::SmallWorld, &NoDistance);
    land.carry_out(&ops);
    land.planner.commit(&NoDistance);
    let ops = land.planner.retire();
    land.carry_out(&ops);
    let mut blind = Land::new(Topology::SmallWorld);
    for number in 0..40 {
        let event = Event::Join { id: id(number), profile: Profile::default(), held: &[] };
        let ops = blind.planner.apply(&event, &NoDistance);
        blind.carry_out(&ops);
    }
    assert!(land.mean_ms(ALL) < 0.85 * blind.mean_ms(ALL), "{} {}", land.mean_ms(ALL), blind.mean_ms(ALL));
}
