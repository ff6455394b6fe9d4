//! Hundreds of short random runs: each seed is another size, network, workload and mixture of faults.

use std::sync::atomic::{AtomicU64, Ordering};

use sim::{Report, Scenario};

/// Seeds that found something once, how long ghosts may stand in them, in ms, and what it was. Each has a test of its own
/// at the machine that went wrong.
const FOUND: [(u64, u64, &str); 4] = [
    (124, 10_000, "a witness whose own socket was dead vouched for a crashed member until the hub's heartbeat"),
    (268, 7_000, "the word of an away witness, older than the crash, outweighed what everybody present saw"),
    (629, 2_000, "two hung members vouched for each other once the only one that doubted them had left"),
    (832, 36_000, "a room that crashed whole stood in the rosters of newcomers for a minute"),
];

/// Runs the scenarios of some seeds on all processors; the bad reports.
fn bad(seeds: std::ops::Range<u64>) -> Vec<Report> {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let run = || {
            let mut bad = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return bad;
                }
                let report = sim::run(&Scenario::random(seed));
                if !report.is_good() {
                    bad.push(report);
                }
            }
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        runs.into_iter().flat_map(|run| run.join().expect("a run does not panic")).collect()
    })
}

#[test]
fn random_scenarios_hold_the_promise() {
    let count = std::env::var("ROOMFUL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let bad = bad(0..count);
    let shown: String = bad.iter().take(5).map(|report| format!("{report}\n")).collect();
    assert!(bad.is_empty(), "{} of {count} seeds went wrong\n{shown}", bad.len());
}

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, ghost_ms, what) in FOUND {
        let report = sim::run(&Scenario::random(seed));
        assert!(report.is_good(), "{what}: {report}");
        assert!(report.ghost_ms_max <= ghost_ms, "{what}: a ghost for {} ms; {}", report.ghost_ms_max, report.rerun);
    }
}
