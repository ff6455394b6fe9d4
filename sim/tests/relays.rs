//! Relays of the server's own in rooms that are moved about: they come, and go again, and nobody loses anything by it.

use sim::{Faults, Network, Scenario};

/// A room that stays so long what it is. A relay that is let go may take longer until it is gone.
fn on_tour(seed: u64, members: usize, stay_s: u64) -> Scenario {
    let seconds = stay_s * (Scenario::TOUR.len() as u64 + 1);
    let network = Network { loss: 0.0, burst_starts: 0.0, ..Network::default() };
    Scenario { seed, members, seconds, topology: "auto".to_owned(), tour_s: stay_s, network, ..Scenario::default() }
}

#[test]
fn a_room_goes_from_each_topology_to_each_within_seconds() {
    for (seed, members, stay_s) in [(1, 5, 4), (2, 10, 4), (3, 20, 7), (4, 8, 5), (5, 12, 6), (6, 2, 4)] {
        let report = sim::run(&on_tour(seed, members, stay_s));
        assert!(report.is_good() && report.gaps == 0, "{report}");
        assert_eq!(report.topologies, Scenario::TOUR[1..], "every {stay_s} s: {report}");
    }
}

#[test]
fn a_room_that_is_moved_on_before_it_has_moved_loses_nothing() {
    for (seed, members) in [(1, 12), (2, 20), (3, 6)] {
        for stay_s in [1, 2, 3] {
            let report = sim::run(&on_tour(seed, members, stay_s));
            assert!(report.is_good() && report.gaps == 0, "every {stay_s} s: {report}");
            assert_eq!(report.topologies.last().map(String::as_str), Some("mesh"), "every {stay_s} s: {report}");
        }
    }
}

#[test]
fn a_room_on_tour_loses_nothing_while_members_and_relays_come_and_go() {
    for seed in 1..=8 {
        let base = on_tour(seed, 12, 4);
        let faults = Faults { relay_crashes_per_min: 3.0, cuts_per_min: 6.0, ..base.faults.clone() };
        let report = sim::run(&Scenario { churn_per_min: 1.0, faults, network: Network::default(), ..base });
        assert!(report.is_good() && report.gaps == 0, "{report}");
        assert!(report.topologies.iter().any(|topology| topology == "star"), "{report}");
    }
}
