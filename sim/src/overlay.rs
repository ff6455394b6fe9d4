//! Overlay runs: rooms of up to a million members, one level above the rooms that [`crate::run`] plays whole.
//!
//! The planner and, on each member, the courier are the real ones. What is around them is made up, and cheap: members know
//! nothing of each other but their links, the hub is the planner with delays, links are ordered and reliable and at times
//! late, whoever falls silent is noticed after 1.5 s. In the same room, with the same seed, plain flooding and GossipSub's
//! rule run beside ours.
//!
//! ```
//! use sim::overlay;
//!
//! let scenario = overlay::Scenario { members: 200, seconds: 5, churn_per_min: 0.1, ..overlay::Scenario::default() };
//! let report = overlay::run(&scenario);
//! assert!(report.is_good(), "{report}");
//! ```

mod bounds;
mod curve;
mod drawing;
mod flood;
mod gossipsub;
mod hub;
mod ids;
mod lives;
mod plan;
mod protocol;
mod queue;
mod report;
mod scenario;
mod space;
mod tally;
mod uplink;
mod world;

use std::{thread, time::Instant};

pub use report::{Figures, Report};
pub use scenario::{Bounds, Distances, Flash, HubAway, Massacre, Network, Scenario, Switch};

use self::{
    curve::Curve,
    drawing::Drawing,
    flood::Flood,
    gossipsub::GossipSub,
    protocol::{Ours, Protocol},
    world::World,
};

/// Runs a scenario to its end and says what came of it.
pub fn run(scenario: &Scenario) -> Report {
    play(scenario, false).0
}

/// The same, and a drawing of it (SVG): the room at its end, and how deliveries went over time.
pub fn draw(scenario: &Scenario) -> (Report, String) {
    let (report, drawing) = play(scenario, true);
    (report, drawing.unwrap_or_default())
}

fn play(scenario: &Scenario, draws: bool) -> (Report, Option<String>) {
    let started = Instant::now();
    let mut world = World::<Ours>::new(scenario);
    world.run();
    let wall_s = started.elapsed().as_secs_f64();
    let ours = figures(&world);
    let cost = world.hub.plan.cost;
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let mut report = Report {
        about: scenario.about.clone(),
        members: scenario.members,
        topology: scenario.topology.clone(),
        seed: scenario.seed,
        seconds: scenario.seconds,
        joins: world.members.len() as u64 - scenario.members as u64,
        leaves: world.members.iter().filter(|member| member.machine.is_none()).count() as u64,
        moore_hops: bounds::moore_hops(scenario.members, world.planned_degree()),
        fluid_ms: bounds::fluid_ms(scenario),
        switch_p99_ms: ms(&world.tally.switch_curve, 0.99),
        links_per_join: ratio(cost.opened_by_joins, cost.joins),
        links_per_leave: ratio(cost.opened_by_leaves, cost.leaves),
        degree_max: world.tally.totals.degree_max as u64,
        planner_us_per_event: ratio(cost.nanos, cost.events) / 1e3,
        hash: format!("{:016x}", world.tally.hash()),
        violations: std::mem::take(&mut world.tally.violations),
        rerun: report::rerun(scenario),
        wall_s,
        ours,
        ..Report::default()
    };
    let mut drawing = draws.then(|| Drawing::new(&world));
    let curve = std::mem::take(&mut world.tally.curve);
    drop(world);
    let mut curves = vec![("ours", curve, report.ours.deliveries_expected)];
    if scenario.compare {
        let (flood, gossipsub) = thread::scope(|scope| {
            let flood = scope.spawn(|| other::<Flood>(scenario));
            let gossipsub = other::<GossipSub>(scenario);
            (flood.join().expect("a run's panic is ours"), gossipsub)
        });
        curves.push(("flooding", flood.1, flood.0.deliveries_expected));
        curves.push(("GossipSub", gossipsub.1, gossipsub.0.deliveries_expected));
        (report.flood, report.gossipsub) = (Some(flood.0), Some(gossipsub.0));
    }
    bounds::check(scenario, &mut report);
    if let Some(drawing) = &mut drawing {
        drawing.curves(&curves);
    }
    (report, drawing.map(Drawing::finish))
}

/// Another way of getting messages to everybody, in the same room.
fn other<P: Protocol>(scenario: &Scenario) -> (Figures, Curve) {
    let mut world = World::<P>::new(scenario);
    world.run();
    (figures(&world), std::mem::take(&mut world.tally.curve))
}

fn figures<P: Protocol>(world: &World<'_, P>) -> Figures {
    let (totals, curve) = (&world.tally.totals, &world.tally.curve);
    let redundancy = |place: usize| match totals.fresh[place] {
        0 => 0.0,
        fresh => totals.copies[place] as f64 / fresh as f64 - 1.0,
    };
    let (last_hop_mean, last_hop_max) = world.tally.last_hops();
    let deliveries = totals.deliveries.max(1) as f64;
    Figures {
        sent: totals.sent,
        deliveries_expected: totals.expected,
        delivered: totals.delivered,
        missed: totals.missed,
        duplicated: totals.duplicated,
        reordered: totals.reordered,
        rmr: redundancy(1),
        rmr_first: redundancy(0),
        last_hop_mean,
        last_hop_max,
        p50_ms: ms(curve, 0.5),
        p99_ms: ms(curve, 0.99),
        p999_ms: ms(curve, 0.999),
        frames_per_delivery: totals.frames as f64 / deliveries,
        bytes_per_delivery: totals.frame_bytes as f64 / deliveries,
        events: world.events,
    }
}

fn ms(curve: &Curve, part: f64) -> f64 {
    curve.percentile(part).0 as f64 / 1e3
}
