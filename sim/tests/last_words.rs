//! Many who leave at about the same time, and who said something just before: whoever stays gets it, though those who passed
//! it on leave, too.

use sim::{Faults, Scenario, Work};

#[test]
fn what_those_who_leave_together_said_last_reaches_those_who_stay() {
    // In the first two, members that did not wait for those to whom they pass things on left with words that nobody else had.
    for (topology, seed) in [("small-world", 10), ("tree", 38), ("small-world", 1), ("tree", 2), ("mesh", 3)] {
        let topology = topology.to_owned();
        let (addressed_per_s, calls_per_s, latest_per_s, datagrams_per_s) = (0.0, 0.0, 0.0, 0.0);
        let work = Work {
            messages_per_s: 4.0,
            addressed_per_s,
            calls_per_s,
            latest_per_s,
            datagrams_per_s,
            ..Work::default()
        };
        let faults = Faults { exodus: 0.85, ..Faults::default() };
        let scenario = Scenario { seed, members: 30, seconds: 8, topology, work, faults, ..Scenario::default() };
        let report = sim::run(&scenario);
        assert!(report.is_good() && report.gaps == 0 && report.last_words_missed == 0, "{report}");
    }
}
