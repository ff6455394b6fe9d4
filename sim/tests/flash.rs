//! Many who enter in the same moment: whoever is between them and those who were there before, all of them come to know
//! where streams begin.

use sim::{Scenario, Work};

#[test]
fn a_flash_crowd_enters_a_small_world_and_a_tree() {
    for topology in ["small-world", "tree"] {
        for seed in 1..=4 {
            let topology = topology.to_owned();
            let work = Work { messages_per_s: 2.0, latest_per_s: 0.0, datagrams_per_s: 0.0, ..Work::default() };
            let scenario =
                Scenario { seed, members: 40, seconds: 15, topology, flash: true, work, ..Scenario::default() };
            let report = sim::run(&scenario);
            assert!(report.is_good() && report.gaps == 0, "{report}");
        }
    }
}
