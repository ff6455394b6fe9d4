//! Rooms that nobody pins: the hub finds the topology that fits, while members come, talk and go.

use sim::{Faults, Network, Report, Scenario};

fn run(scenario: &Scenario) -> Report {
    let report = sim::run(scenario);
    assert!(report.is_good(), "{report}");
    assert_eq!((report.missed, report.duplicated, report.reordered), (0, 0, 0));
    assert!(report.delivered > 1_000, "hardly anybody said anything: {report}");
    report
}

#[test]
fn a_room_grows_from_two_to_forty_six_and_back_and_finds_its_topologies_by_itself() {
    let report = run(&Scenario::growing(1));
    assert_eq!((report.topologies.join(" ").as_str(), report.gaps), ("small-world mesh", 0), "{report}");
    assert!(report.joins >= 46, "{report}");
}

#[test]
fn it_does_so_where_the_hub_restarts_and_links_break() {
    let faults = Faults { restarts_per_min: 0.5, cuts_per_min: 4.0, rebinds_per_min: 4.0, ..Faults::default() };
    let network = Network { connect_failures: 0.1, ..Network::default() };
    for seed in 3..=6 {
        let (faults, network) = (faults.clone(), network.clone());
        let report = run(&Scenario { faults, network, crowd: 18, ..Scenario::growing(seed) });
        assert!(report.topologies.iter().any(|topology| topology == "small-world"), "{report}");
        assert_eq!(report.topologies.last().map(String::as_str), Some("mesh"), "{report}");
    }
}
