//! Members whom no connection joins to anybody, for good or for a while: the hub carries what they say and hear, and their
//! rooms promise what all do.

use std::cell::Cell;

use sim::{Faults, Network, Report, Scenario, Work};

fn each(scenario: &Scenario, promise: impl Fn(&Report)) {
    for seed in 1..=6 {
        let report = sim::run(&Scenario { seed, ..scenario.clone() });
        assert!(report.is_good(), "{report}");
        assert_eq!((report.missed, report.duplicated, report.reordered), (0, 0, 0), "{report}");
        promise(&report);
    }
}

fn room(topology: &str, barred: f64, faults: Faults) -> Scenario {
    let network = Network { barred, ..Network::default() };
    Scenario { members: 10, seconds: 40, topology: topology.to_owned(), network, faults, ..Scenario::default() }
}

#[test]
fn rooms_in_which_some_are_reached_over_the_hub_only_deliver_everything() {
    for topology in ["mesh", "small-world", "tree", "star"] {
        each(&room(topology, 0.3, Faults::default()), |report| {
            assert_eq!((report.delivered, report.gaps), (report.deliveries_expected, 0), "{report}");
            assert!(report.carried > 100 && report.leaves_heard == 0, "{report}");
        });
    }
}

#[test]
fn a_room_in_which_nobody_reaches_anybody_takes_place_at_the_hub() {
    each(&Scenario { members: 6, ..room("mesh", 1.0, Faults::default()) }, |report| {
        assert_eq!((report.delivered, report.gaps), (report.deliveries_expected, 0), "{report}");
    });
}

#[test]
fn members_that_come_and_go_lose_nothing_though_the_hub_carries() {
    for topology in ["mesh", "small-world", "tree", "star"] {
        let faults = Faults { crashes: 0.5, ..Faults::default() };
        each(&Scenario { churn_per_min: 1.0, ..room(topology, 0.3, faults) }, |report| {
            assert!(report.gaps == 0 && report.leaves > 2, "{report}");
        });
    }
}

#[test]
fn who_is_blocked_for_a_while_is_carried_and_then_linked_again() {
    // That nothing is carried in the end is a condition of the room's being settled.
    for topology in ["mesh", "small-world", "tree", "star"] {
        let faults = Faults { blocks_per_min: 6.0, block_s: 30, ..Faults::default() };
        let carried = Cell::new(0);
        each(&room(topology, 0.0, faults), |report| {
            assert_eq!(report.leaves_heard, 0, "{report}");
            carried.set(carried.get() + report.carried);
        });
        assert!(carried.get() > 1_000, "{topology}: {}", carried.get());
    }
}

#[test]
fn the_hub_may_restart_and_sockets_be_cut_while_it_carries() {
    let faults = Faults { restarts_per_min: 3.0, restart_s: 3, cuts_per_min: 10.0, ..Faults::default() };
    for topology in ["mesh", "tree"] {
        each(&room(topology, 0.3, faults.clone()), |report| assert!(report.carried > 100, "{report}"));
    }
}

#[test]
fn large_messages_and_readers_that_stop_are_held_back_over_the_hub_too() {
    let work = Work { messages_per_s: 0.5, huge: 0.5, ..Work::default() };
    let faults = Faults { stalls_per_min: 10.0, sleeps_per_min: 4.0, ..Faults::default() };
    each(&Scenario { members: 4, seconds: 30, work, ..room("mesh", 0.5, faults) }, |report| {
        assert!(report.carried > 1_000, "{report}");
    });
}
