//! The scenarios of sim/scenarios at a size for every day, against what was measured before: whoever makes a figure worse
//! hears of it here. The scenarios' own bounds, the targets, hold at their own sizes.

use std::{fs, path::PathBuf};

use sim::overlay::{self, Bounds, Report, Scenario};

/// A scenario of sim/scenarios for so many members and seconds.
fn scenario(name: &str, members: usize, seconds: u64, bounds: Bounds) -> Scenario {
    #[derive(serde::Deserialize)]
    struct File {
        overlay: Scenario,
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).with_extension("toml");
    let text = fs::read_to_string(&path).expect("it can be read");
    let File { overlay } = toml::from_str(&text).expect("it is a scenario");
    let file = Some(format!("sim/scenarios/{name}.toml"));
    let warm_up_s = overlay.warm_up_s.min(seconds / 2);
    Scenario { members, seconds, warm_up_s, bounds, file, ..overlay }
}

fn good(scenario: &Scenario) -> Report {
    let report = overlay::run(scenario);
    assert!(report.is_good(), "{report}");
    assert!(report.ours.delivered > 1_000 && report.ours.delivered == report.ours.deliveries_expected, "{report}");
    report
}

#[test]
fn the_same_scenario_gives_the_same_run() {
    let scenario = Scenario { members: 200, seconds: 10, churn_per_min: 1.0, compare: false, ..Scenario::default() };
    let (one, two) = (good(&scenario), good(&scenario));
    assert_eq!((&one.hash, &one.ours), (&two.hash, &two.ours));
    assert_ne!(one.hash, good(&Scenario { seed: 2, ..scenario }).hash);
}

#[test]
fn a_small_world_under_churn() {
    let bounds = Bounds {
        rmr: Some(0.08),
        rmr_first: Some(0.1),
        last_hop_mean: Some(11.0),
        p50_of_flooding: Some(1.25),
        p999_ms: Some(600.0),
        links_per_join: Some(6.0),
        links_per_leave: Some(3.0),
        degree_max: Some(10),
        ..Bounds::default()
    };
    let report = good(&scenario("churn", 1_000, 20, bounds));
    let (flood, gossipsub) = (report.flood.expect("it was compared"), report.gossipsub.expect("it was compared"));
    assert!(flood.rmr > 3.5 && gossipsub.rmr > 3.5, "the comparisons are what they were");
}
