//! Rooms in which one of those who pass on what others say does something else. The simulator's checkers see to it that
//! nothing is delivered that was not said, twice, or in another order, that everybody else gets everything, and that nobody
//! else is named.

use sim::{Faults, Mischief, Report, Scenario, Work};

/// A calm room of 16 with one adversary, with some seeds.
fn each(topology: &str, mischief: Mischief, check: impl Fn(&Report)) {
    for seed in 1..=3 {
        let faults = Faults { mischief: Some(mischief), ..Faults::default() };
        let work = Work { messages_per_s: 2.0, calls_per_s: 0.0, latest_per_s: 1.0, ..Work::default() };
        let topology = topology.to_owned();
        let scenario = Scenario { seed, members: 16, seconds: 30, topology, faults, work, ..Scenario::default() };
        let report = sim::run(&scenario);
        assert!(report.is_good(), "{mischief:?} in a {topology}: {report}", topology = scenario.topology);
        assert!(report.delivered > 5_000 && report.gaps == 0, "{mischief:?}: {report}");
        check(&report);
    }
}

#[test]
fn who_alters_what_others_say_is_named_and_the_room_heals() {
    for topology in ["small-world", "tree"] {
        each(topology, Mischief::Alter, |report| assert!(report.forgeries_heard > 0, "{report}"));
    }
}

#[test]
fn who_invents_what_others_say_is_named_and_the_room_heals() {
    for topology in ["small-world", "tree"] {
        each(topology, Mischief::Invent, |report| assert!(report.forgeries_heard > 0, "{report}"));
    }
}

#[test]
fn who_makes_up_speakers_is_not_believed() {
    for topology in ["small-world", "tree"] {
        each(topology, Mischief::Impersonate, |_| {});
    }
}

#[test]
fn who_drops_what_others_say_is_gone_round() {
    for topology in ["small-world", "tree"] {
        each(topology, Mischief::Drop, |report| assert_eq!(report.forgeries_heard, 0, "{report}"));
    }
}

#[test]
fn what_is_said_again_or_turned_round_is_put_right() {
    for topology in ["small-world", "tree"] {
        each(topology, Mischief::Replay, |_| {});
        each(topology, Mischief::Reorder, |_| {});
    }
}
