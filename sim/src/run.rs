//! Runs a scenario: its rooms, which know nothing of each other, on all processors.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use room::time::Time;

use crate::{
    Report, Scenario,
    check::{Checks, delivery::percentile, plan::PlanCost},
    fingerprint::Fingerprint,
    report,
    world::World,
};

/// Runs a scenario to its end and says what came of it.
pub fn run(scenario: &Scenario) -> Report {
    let started = Instant::now();
    let rooms = scenario.rooms.max(1);
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(rooms);
    let mut outcomes: Vec<Outcome> = thread::scope(|scope| {
        let play = || {
            let mut outcomes = Vec::new();
            loop {
                let room = next.fetch_add(1, Ordering::Relaxed);
                if room >= rooms {
                    return outcomes;
                }
                outcomes.push(play(scenario, room));
            }
        };
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        players.into_iter().flat_map(|player| player.join().expect("a room's panic is the run's")).collect()
    });
    outcomes.sort_by_key(|outcome| outcome.room);
    let mut report = summary(scenario, outcomes);
    report.wall_s = started.elapsed().as_secs_f64();
    report
}

/// What one room leaves behind.
struct Outcome {
    room: usize,
    checks: Checks,
    plan: PlanCost,
    hash: u64,
    events: u64,
    settled: Time,
}

fn play(scenario: &Scenario, room: usize) -> Outcome {
    let mut world = World::new(scenario, room);
    let settled = world.run();
    let plan = world.checks.plan.cost(scenario.seed);
    Outcome { room, plan, hash: world.hash(), events: world.events, settled, checks: world.checks }
}

fn summary(scenario: &Scenario, outcomes: Vec<Outcome>) -> Report {
    let mut report = Report {
        members: scenario.members,
        rooms: scenario.rooms,
        topology: scenario.topology.clone(),
        seed: scenario.seed,
        seconds: scenario.seconds,
        rerun: report::rerun(scenario),
        ..Report::default()
    };
    let mut print = Fingerprint::default();
    let (mut latencies, mut plan) = (Vec::new(), PlanCost::default());
    let (mut chunks, mut frames) = (0, 0);
    for Outcome { room, mut checks, plan: cost, hash, events, settled } in outcomes {
        print.number(hash);
        let totals = checks.delivery.totals;
        report.sent += totals.sent;
        report.delivered += totals.delivered;
        report.missed += totals.missed;
        report.duplicated += totals.duplicated;
        report.reordered += totals.reordered;
        report.gaps += totals.gaps;
        report.lost_in_gaps += totals.lost_in_gaps;
        report.last_words_missed += totals.last_words_missed;
        report.deliveries_expected += totals.delivered + totals.missed + totals.lost_in_gaps - totals.duplicated;
        report.calls_answered += checks.calls.answered;
        report.calls_failed += checks.calls.failed;
        let (sent, arrived) = checks.lossy.datagrams();
        report.datagrams = (report.datagrams.0 + sent, report.datagrams.1 + arrived);
        report.ghost_ms_max = report.ghost_ms_max.max(checks.ghost.as_millis());
        report.events += events;
        report.carried += checks.carried;
        report.settled_s = report.settled_s.max(settled.0 as f64 / 1e6);
        chunks += totals.chunks + checks.calls.delivered();
        frames += checks.plan.data_frames;
        report.topologies.append(&mut checks.plan.topologies);
        report.leaves_heard += checks.plan.leaves_heard;
        report.forgeries_heard += checks.named.values().sum::<u64>();
        report.failures_heard += checks.plan.failures_heard;
        latencies.extend(std::mem::take(&mut checks.delivery.latencies).into_values().flatten());
        plan.joins += cost.joins;
        plan.leaves += cost.leaves;
        plan.opened_by_joins += cost.opened_by_joins;
        plan.opened_by_leaves += cost.opened_by_leaves;
        plan.degree_max = plan.degree_max.max(cost.degree_max);
        plan.nanos += cost.nanos;
        let violations = checks.violations.drain(..);
        report.violations.extend(violations.map(|what| format!("room {room}, {what}")));
    }
    latencies.sort_unstable();
    let ms = |part| percentile(&latencies, part).0 as f64 / 1e3;
    (report.p50_ms, report.p99_ms, report.p999_ms) = (ms(0.5), ms(0.99), ms(0.999));
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    report.rmr = ratio(frames, chunks) - f64::from(u8::from(chunks > 0));
    report.links_per_join = ratio(plan.opened_by_joins, plan.joins);
    report.links_per_leave = ratio(plan.opened_by_leaves, plan.leaves);
    report.degree_max = plan.degree_max;
    (report.joins, report.leaves) = (plan.joins, plan.leaves);
    report.planner_us_per_event = ratio(plan.nanos, plan.joins + plan.leaves) / 1e3;
    // In a mesh every link leads to where a message is for.
    (report.last_hop_mean, report.last_hop_max) = if report.delivered > 0 { (1.0, 1) } else { (0.0, 0) };
    report.hash = format!("{:016x}", print.value());
    report
}
