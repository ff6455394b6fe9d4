//! What planning costs, and how good the plans are: a room grows member by member, then as many leave and others come.

use std::{collections::BTreeSet, fs, io, time::Instant};

use room::{
    id::MemberId,
    plan::{Config, Distance, Event, LinkOp, Planner, Profile, Topology},
    time::{Micros, Time},
};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Which rooms are planned.
#[derive(Clone, Debug)]
pub struct Options {
    /// How they are linked.
    pub topology: Topology,
    /// Stripes of a tree.
    pub stripes: usize,
    /// Members.
    pub members: u64,
    /// Leaves, each followed by a join.
    pub churn: u64,
    /// Members that the hops to all others are counted from.
    pub samples: u64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How the room was linked.
    pub topology: &'static str,
    /// Stripes of a tree.
    pub stripes: usize,
    /// Members.
    pub members: u64,
    /// µs of a processor for a join while the room grew.
    pub grow_us: f64,
    /// µs of a processor for a leave or join while it did not.
    pub churn_us: f64,
    /// The slowest of these, in µs on the clock.
    pub churn_us_max: f64,
    /// Resident bytes a member, with all that the allocator keeps.
    pub bytes: f64,
    /// Links that a join opened, on average.
    pub join_opens: f64,
    /// The most that one opened.
    pub join_opens_max: usize,
    /// Links that a leave opened, on average.
    pub leave_opens: f64,
    /// The most that one opened.
    pub leave_opens_max: usize,
    /// Links that an event closed, on average, those of the leaver left out.
    pub closes: f64,
    /// Links of a member, on average.
    pub degree: f64,
    /// The most links of one.
    pub degree_max: usize,
    /// The greatest distance from the root of the eager tree.
    pub eager_depth: u32,
    /// The greatest distance from the root, for each stripe of a tree.
    pub stripe_depths: Vec<u32>,
    /// The greatest distance from any of the sampled members, over all links.
    pub hops: u32,
    /// The least that is possible with six links each.
    pub moore_bound: u32,
    /// The mean distance from the sampled members, in ms over the shortest ways.
    pub hops_mean: f64,
}

/// Members in a hundred towns on a square of 120 ms, each a few ms from its town's middle.
struct Towns;

impl Distance for Towns {
    fn between(&self, a: MemberId, b: MemberId) -> Option<Micros> {
        let mix = |n: u64| {
            (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let place = |id: MemberId| {
            let town = mix(mix(id.to_u64()) % 100 + 1);
            let within = mix(id.to_u64());
            let part = |of: u64, shift: u32, most: u64| (((of >> shift) & 0xffff) * most) >> 16;
            let axis = |shift: u32| part(town, shift, 115_000) + part(within, shift, 5_000);
            (axis(0), axis(20))
        };
        let ((ax, ay), (bx, by)) = (place(a), place(b));
        let apart = ((ax.abs_diff(bx).pow(2) + ay.abs_diff(by).pow(2)) as f64).sqrt();
        Some(Micros(1_000 + apart as u64))
    }
}

/// Of ten members three send little, six as usual, and one a lot.
fn profile(number: u64) -> Profile {
    let uplink_kbps = [500, 500, 500, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 50_000][(number % 10) as usize];
    Profile { uplink_kbps, ..Profile::default() }
}

/// A relay for every thousand members of a star.
fn relay() -> Profile {
    Profile { relay: true, max_links: 1_500, uplink_kbps: 1_000_000, ..Profile::default() }
}

/// Plans one room.
///
/// # Errors
/// Where the system does not say how much memory is used.
pub fn run(options: &Options) -> io::Result<Figures> {
    let Options { topology, stripes, members, churn, samples } = *options;
    let before = resident()?;
    let mut planner = Planner::with(1, Config { topology, stripes, ..Config::default() });
    let mut relays: BTreeSet<u64> =
        if topology == Topology::Star { (0..members.div_ceil(1_000)).collect() } else { BTreeSet::new() };
    let mut live: Vec<u64> = Vec::new();
    let join = |planner: &mut Planner, number: u64, relays: &BTreeSet<u64>| {
        let profile = if relays.contains(&number) { relay() } else { profile(number) };
        planner.apply(&Event::Join { id: id(number), profile, held: &[] }, &Towns)
    };
    // 100 kbit/s: who sends little has few slots.
    planner.apply(&Event::Stats(room::plan::Stats { publishers: 1, rate_kbps: 100, ..Default::default() }), &Towns);
    let started = processor_us();
    for number in 0..members {
        join(&mut planner, number, &relays);
        live.push(number);
    }
    let grow_us = (processor_us() - started) / members as f64;
    let bytes = (resident()?.saturating_sub(before + live.capacity() * 8)) as f64 / members as f64;
    let (mut joins, mut leaves, mut closes) = (Vec::new(), Vec::new(), 0);
    let (mut total, mut slowest, mut next, mut drawn) = (0.0, 0.0_f64, members, 0x1234_5678_9abc_def0_u64);
    // A tenth of the room a minute.
    let second = members.div_ceil(600);
    for event in 0..churn {
        if event % second == 0 {
            planner.apply(&Event::Tick(Time(0) + Micros::from_secs(event / second)), &Towns);
        }
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let leaver = live.swap_remove((drawn >> 33) as usize % live.len());
        // A relay is followed by a relay.
        if relays.remove(&leaver) {
            relays.insert(next);
        }
        let degree = planner.links_of(id(leaver)).count();
        let pair = processor_us();
        for leaves_now in [true, false] {
            let started = Instant::now();
            let ops = if leaves_now {
                planner.apply(&Event::Leave(id(leaver)), &Towns)
            } else {
                join(&mut planner, next, &relays)
            };
            let took = started.elapsed().as_secs_f64() * 1e6;
            slowest = slowest.max(took);
            let opens = ops.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count();
            closes += ops.iter().filter(|op| matches!(op, LinkOp::Close(..))).count();
            if leaves_now {
                leaves.push(opens);
                closes -= degree;
            } else {
                joins.push(opens);
            }
        }
        total += processor_us() - pair;
        live.push(next);
        next += 1;
    }
    let degrees: Vec<usize> = live.iter().map(|number| planner.links_of(id(*number)).count()).collect();
    let depth = |stripe| live.iter().filter_map(|number| planner.stripe_depth_of(id(*number), stripe)).max();
    let (hops, hops_mean) = hops(&planner, &live, samples);
    Ok(Figures {
        topology: topology.as_str(),
        stripes,
        members,
        grow_us,
        churn_us: total / (2 * churn.max(1)) as f64,
        churn_us_max: slowest,
        bytes,
        join_opens: mean(&joins),
        join_opens_max: joins.iter().copied().max().unwrap_or_default(),
        leave_opens: mean(&leaves),
        leave_opens_max: leaves.iter().copied().max().unwrap_or_default(),
        closes: closes as f64 / (2 * churn.max(1)) as f64,
        degree: mean(&degrees),
        degree_max: degrees.iter().copied().max().unwrap_or_default(),
        eager_depth: live.iter().filter_map(|number| planner.depth_of(id(*number))).max().unwrap_or_default(),
        stripe_depths: (0..stripes).map_while(depth).collect(),
        hops,
        moore_bound: moore_bound(6, members),
        hops_mean,
    })
}

fn id(number: u64) -> MemberId {
    // As spread as hashes are.
    MemberId::from((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn mean(values: &[usize]) -> f64 {
    values.iter().sum::<usize>() as f64 / values.len().max(1) as f64
}

/// µs that this process has had of a processor: others may want it too.
fn processor_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Bytes of this process in memory.
fn resident() -> io::Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}

/// The greatest and the mean number of hops from some members to all.
fn hops(planner: &Planner, live: &[u64], samples: u64) -> (u32, f64) {
    let mut ids: Vec<MemberId> = live.iter().map(|number| id(*number)).collect();
    ids.sort_unstable();
    let place = |id: MemberId| ids.binary_search(&id).expect("links are between members");
    let links: Vec<Vec<usize>> =
        ids.iter().map(|id| planner.links_of(*id).map(|(peer, _)| place(peer)).collect()).collect();
    let (mut most, mut sum, mut count) = (0, 0_u64, 0_u64);
    for sample in 0..samples.min(ids.len() as u64) {
        let mut hops = vec![u32::MAX; ids.len()];
        let mut todo = std::collections::VecDeque::from([(sample as usize) * ids.len() / samples as usize]);
        hops[todo[0]] = 0;
        while let Some(at) = todo.pop_front() {
            (most, sum, count) = (most.max(hops[at]), sum + u64::from(hops[at]), count + 1);
            for peer in &links[at] {
                if hops[*peer] == u32::MAX {
                    hops[*peer] = hops[at] + 1;
                    todo.push_back(*peer);
                }
            }
        }
    }
    (most, sum as f64 / count.max(1) as f64)
}

/// The least number of hops in which `members` can be reached from one, with `degree` links each.
fn moore_bound(degree: u64, members: u64) -> u32 {
    let (mut reached, mut ring, mut hops) = (1, degree, 0);
    while reached < members {
        reached += ring;
        ring *= degree - 1;
        hops += 1;
    }
    hops
}
