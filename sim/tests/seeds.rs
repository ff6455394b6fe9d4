//! Hundreds of short random runs: each seed is another size, network, workload and mixture of faults.

use std::sync::atomic::{AtomicU64, Ordering};

use sim::{Report, Scenario};

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
