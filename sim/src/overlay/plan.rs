//! The real planner, and what it costs.

use std::time::Instant;

use room::{
    id::MemberId,
    limits,
    plan::{Config, Distance, Event, LinkOp, NoDistance, Planner, Profile, Stats, Topology},
    time::{Micros, Time},
};

use super::{
    ids, protocol,
    scenario::{Distances, Scenario},
    space::Space,
};

/// The planner of a run.
#[derive(Debug)]
pub(super) struct Plan {
    planner: Planner,
    distances: Distances,
    pub(super) cost: Cost,
}

/// What planning cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Of a room that is large enough to tell.
    pub(super) joins: u64,
    pub(super) opened_by_joins: u64,
    pub(super) leaves: u64,
    pub(super) opened_by_leaves: u64,
    /// All joins and leaves.
    pub(super) events: u64,
    pub(super) nanos: u64,
}

/// Members of a room that is too small to tell what a join costs.
const SMALL: usize = 64;
/// What a relay sends, in kbit/s, where uplinks have no bound.
const RELAY_KBPS: u32 = 1_000_000;

impl Plan {
    pub(super) fn new(scenario: &Scenario) -> Plan {
        let topology = scenario.topology.parse().unwrap_or(Topology::SmallWorld);
        let mut planner = Planner::with(scenario.seed, Config { topology, ..Config::default() });
        let per_publisher = scenario.messages_per_s * scenario.bytes as f64 * 8.0 / 1e3;
        let stats = Stats {
            publishers: u32::try_from(scenario.publishers).unwrap_or(u32::MAX),
            rate_kbps: (per_publisher * scenario.publishers as f64).ceil() as u32,
            busiest_kbps: per_publisher.ceil() as u32,
            ..Stats::default()
        };
        planner.apply(&Event::Stats(stats), &NoDistance);
        Plan { planner, distances: scenario.distances, cost: Cost::default() }
    }

    /// What it knows beside what members report.
    fn known<'a>(&self, space: &'a Space) -> &'a dyn Distance {
        if self.distances == Distances::True { space } else { &NoDistance }
    }

    /// Whether members report what they measure.
    pub(super) fn hears_distances(&self) -> bool {
        self.distances == Distances::Measured
    }

    /// A member reports how far the other ends of these links of its are, in whole ms of a round trip.
    pub(super) fn measured(&mut self, member: u32, peers: &[u32], space: &Space) {
        let ways: Vec<(MemberId, Micros)> = peers
            .iter()
            .map(|peer| {
                let rtt_ms = (space.measured(member, *peer).0 + 500) / 1_000;
                (ids::id(*peer), Micros(rtt_ms * 500))
            })
            .collect();
        for ways in ways.chunks(limits::DISTANCES_TOLD) {
            self.planner.apply(&Event::Measured { id: ids::id(member), ways }, &NoDistance);
        }
    }

    pub(super) fn join(&mut self, member: u32, scenario: &Scenario, space: &Space) -> Vec<LinkOp> {
        let profile = profile(member, scenario, space);
        let (ops, opened) = self.timed(&Event::Join { id: ids::id(member), profile, held: &[] }, space);
        if member as usize >= SMALL.min(scenario.members / 2) {
            self.cost.joins += 1;
            self.cost.opened_by_joins += opened;
        }
        ops
    }

    pub(super) fn leave(&mut self, member: u32, space: &Space) -> Vec<LinkOp> {
        let (ops, opened) = self.timed(&Event::Leave(ids::id(member)), space);
        self.cost.leaves += 1;
        self.cost.opened_by_leaves += opened;
        ops
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Time, space: &Space) -> Vec<LinkOp> {
        self.planner.apply(&Event::Tick(now), self.known(space))
    }

    /// Whether two members are to be linked.
    pub(super) fn linked(&self, a: u32, b: u32) -> bool {
        self.planner.linked(ids::id(a), ids::id(b))
    }

    /// Whom a member is to be linked to.
    pub(super) fn links_of(&self, member: u32) -> Vec<u32> {
        self.planner.links_of(ids::id(member)).map(|(peer, _)| ids::number(peer)).collect()
    }

    /// A member's part of the plan.
    pub(super) fn of(&self, member: u32) -> protocol::Plan {
        let planner = &self.planner;
        protocol::Plan {
            epoch: planner.epoch(),
            relayed: planner.topology() != Topology::Mesh,
            eager: planner.eager_of(ids::id(member)).collect(),
        }
    }

    // ---- switching -----------------------------------------------------------------------------------------------

    pub(super) fn is_switching(&self) -> bool {
        self.planner.switching().is_some() || self.planner.retiring().is_some()
    }

    /// Plans another topology beside the present one.
    pub(super) fn begin(&mut self, to: &str, space: &Space) -> Vec<LinkOp> {
        to.parse().map_or(Vec::new(), |to| self.planner.begin(to, self.known(space)))
    }

    /// The new topology takes the old one's place.
    pub(super) fn commit(&mut self, space: &Space) -> Vec<LinkOp> {
        self.planner.commit(self.known(space))
    }

    /// The old one's links go.
    pub(super) fn retire(&mut self) -> Vec<LinkOp> {
        self.planner.retire()
    }

    fn timed(&mut self, event: &Event<'_>, space: &Space) -> (Vec<LinkOp>, u64) {
        let known = self.known(space);
        let started = Instant::now();
        let ops = self.planner.apply(event, known);
        self.cost.nanos += u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.cost.events += 1;
        let opened = ops.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count() as u64;
        (ops, opened)
    }
}

/// What a member can carry: the first ones are relays.
fn profile(member: u32, scenario: &Scenario, space: &Space) -> Profile {
    if (member as usize) < scenario.relays {
        return Profile { max_links: u16::MAX, uplink_kbps: RELAY_KBPS, relay: true, ..Profile::default() };
    }
    let plain = Profile::default();
    let uplink_kbps = match scenario.network.uplink_kbps {
        0 => plain.uplink_kbps,
        kbps => u32::try_from(kbps).unwrap_or(u32::MAX),
    };
    let max_links = u16::try_from(scenario.max_links).unwrap_or(u16::MAX);
    Profile { max_links, uplink_kbps, symmetric_nat: space.symmetric_nat(member), ..plain }
}
