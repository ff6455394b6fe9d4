//! Whole rooms beyond the mesh: what they promise is what a mesh does.

use sim::{Faults, Scenario};

/// A room in which, each minute, as many come and go as it has members, half of them without a word.
fn churning(topology: &str, seed: u64) -> Scenario {
    let faults = Faults { crashes: 0.5, ..Faults::default() };
    let (topology, churn_per_min) = (topology.to_owned(), 1.0);
    Scenario { seed, members: 16, seconds: 40, topology, churn_per_min, faults, ..Scenario::default() }
}

#[test]
fn a_small_world_and_a_tree_lose_nothing_while_members_come_and_go() {
    for topology in ["small-world", "tree"] {
        for seed in 1..=10 {
            let report = sim::run(&churning(topology, seed));
            assert!(report.is_good() && report.gaps == 0, "{report}");
            assert!(report.delivered > 1_000 && report.leaves > 4, "{report}");
        }
    }
}

#[test]
fn a_star_loses_nothing_while_members_come_and_go() {
    for seed in 1..=10 {
        let report = sim::run(&churning("star", seed));
        assert!(report.is_good() && report.gaps == 0, "{report}");
        assert!(report.delivered > 1_000 && report.leaves > 4, "{report}");
    }
}

#[test]
fn a_star_whose_relays_crash_loses_nothing() {
    for seed in 0..=40 {
        let base = churning("star", seed);
        let faults = Faults { relay_crashes_per_min: 4.0, ..base.faults.clone() };
        let report = sim::run(&Scenario { faults, ..base });
        assert!(report.is_good() && report.gaps == 0, "{report}");
    }
}

#[test]
fn rooms_that_are_moved_about_lose_nothing_while_members_come_and_go() {
    for seed in 1..=10 {
        let base = churning("auto", seed);
        let faults = Faults { pins_per_min: 10.0, ..base.faults.clone() };
        let report = sim::run(&Scenario { faults, ..base });
        assert!(report.is_good() && report.gaps == 0, "{report}");
    }
}
