//! Rooms that are moved from one topology to another under every kind of fault at once.

use sim::{Report, Scenario};

/// Seeds that found something once, and what it was.
const FOUND: [(u64, &str); 5] = [
    (9, "what came of somebody who had just left was given up although a slow neighbour was about to bring it"),
    (15, "a pair of a mesh that never connected got nothing of each other"),
    (20, "a member that the hub had lost for a moment began anew where others knew how far it was"),
    (27, "after a restart of the hub, newcomers took those who came back for newcomers"),
    (51, "nobody vouched for where streams begin once a mesh had become a small world"),
];

fn good(seed: u64) -> Report {
    let report = sim::run(&Scenario::moving(seed));
    assert!(report.is_good(), "moving seed {seed}: {report}");
    report
}

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, what) in FOUND {
        let report = sim::run(&Scenario::moving(seed));
        assert!(report.is_good(), "{what}, with the moving seed {seed}: {report}");
    }
}

#[test]
fn rooms_that_move_under_every_fault_hold_the_promise() {
    let count = std::env::var("ROOMFUL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(3);
    let delivered: u64 = (0..count).map(|seed| good(seed).delivered).sum();
    assert!(delivered > 0, "nobody said anything");
}
