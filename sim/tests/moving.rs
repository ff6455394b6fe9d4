//! Rooms that are moved from one topology to another under every kind of fault at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use sim::{Report, Scenario};

/// Seeds that found something once, and what it was.
const FOUND: [(u64, &str); 13] = [
    (9, "what came of somebody who had just left was given up although a slow neighbour was about to bring it"),
    (15, "a pair of a mesh that never connected got nothing of each other"),
    (20, "a member that the hub had lost for a moment began anew where others knew how far it was"),
    (26, "what neighbours told of a member while it was believed to be gone was not asked for when it came back"),
    (27, "after a restart of the hub, newcomers took those who came back for newcomers"),
    (46, "who had newcomers for neighbours was told of a gap, although the origin had everything"),
    (51, "nobody vouched for where streams begin once a mesh had become a small world"),
    (69, "a newcomer that began later than was thought did not wait for what it was owed from there on"),
    (150, "what only those had who crashed together is a gap, also before the hub knows that they did"),
    (159, "who came back to a mesh and never had a link to an origin did not hear it once the room had moved"),
    (259, "who had slept reported a link as up that the plan had closed, and so held somebody who had crashed"),
    (314, "who was given up just after a newcomer had heard its name was taken for a newcomer when it came back"),
    (345, "links that a restarted hub had no plan for were mended for ever, and counted as word of somebody who hung"),
];

/// Runs the scenarios of some seeds on all processors.
fn run(seeds: &[u64]) -> Vec<(u64, Report)> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let run = || {
            let mut reports = Vec::new();
            while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                reports.push((*seed, sim::run(&Scenario::moving(*seed))));
            }
            reports
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        runs.into_iter().flat_map(|run| run.join().expect("a run does not panic")).collect()
    })
}

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, report) in run(&FOUND.map(|(seed, _)| seed)) {
        let what = FOUND.iter().find(|(found, _)| *found == seed).map(|(_, what)| what);
        assert!(report.is_good(), "{what:?}, with the moving seed {seed}: {report}");
    }
}

#[test]
fn rooms_that_move_under_every_fault_hold_the_promise() {
    let count = std::env::var("ROOMFUL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(7);
    let seeds: Vec<u64> = (0..count).collect();
    let mut delivered = 0;
    for (seed, report) in run(&seeds) {
        assert!(report.is_good(), "moving seed {seed}: {report}");
        delivered += report.delivered;
    }
    assert!(delivered > 0, "nobody said anything");
}
