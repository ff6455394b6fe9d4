//! The scenarios of sim/scenarios at a size for every day, against what was measured before: whoever makes a figure worse
//! hears of it here. The scenarios' own bounds, the targets, hold at their own sizes.

use std::{fs, path::PathBuf};

use sim::overlay::{self, Bounds, Distances, Report, Scenario};

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
    Scenario { members, seconds, bounds, file, ..overlay }
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
        rmr: Some(0.02),
        rmr_first: Some(0.1),
        last_hop_mean: Some(9.0),
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

#[test]
fn ways_are_shorter_by_what_members_measure() {
    let p50_ms = |distances| {
        let churn = scenario("churn", 1_000, 20, Bounds::default());
        good(&Scenario { compare: false, distances, ..churn }).ours.p50_ms
    };
    let [unknown, measured, known] = [Distances::Unknown, Distances::Measured, Distances::True].map(p50_ms);
    assert!(
        measured < 0.75 * unknown && measured < 1.35 * known,
        "{measured} ms; {known} where all is known, else {unknown}"
    );
}

#[test]
fn half_of_a_room_replaced_a_minute() {
    let bounds = Bounds {
        rmr: Some(0.3),
        rmr_first: Some(0.12),
        p999_ms: Some(800.0),
        links_per_leave: Some(3.0),
        ..Bounds::default()
    };
    good(&Scenario { compare: false, ..scenario("heavy-churn", 400, 20, bounds) });
}

#[test]
fn a_third_of_a_room_that_crashes_at_once() {
    let bounds = Bounds { rmr: Some(0.4), p999_ms: Some(1_500.0), links_per_leave: Some(3.0), ..Bounds::default() };
    good(&Scenario { compare: false, ..scenario("crash", 500, 25, bounds) });
}

#[test]
fn a_minute_without_the_hub() {
    let bounds = Bounds { rmr: Some(0.4), p999_ms: Some(800.0), ..Bounds::default() };
    good(&Scenario { compare: false, ..scenario("hub-away", 400, 80, bounds) });
}

#[test]
fn a_hard_network() {
    let bounds = Bounds { rmr: Some(0.15), p999_ms: Some(800.0), ..Bounds::default() };
    good(&Scenario { compare: false, ..scenario("hard-network", 500, 20, bounds) });
}

#[test]
fn a_tree_under_churn() {
    let bounds = Bounds { rmr: Some(0.32), last_hop_mean: Some(13.0), p999_ms: Some(700.0), ..Bounds::default() };
    good(&Scenario { compare: false, ..scenario("tree", 1_000, 20, bounds) });
}

#[test]
fn a_star_of_four_relays() {
    let bounds = Bounds {
        rmr: Some(0.0),
        last_hop_mean: Some(4.0),
        p999_ms: Some(600.0),
        links_per_join: Some(1.0),
        ..Bounds::default()
    };
    good(&Scenario { compare: false, ..scenario("star", 400, 20, bounds) });
}

#[test]
fn all_twelve_switches_under_churn() {
    for seed in [1, 10] {
        let bounds = Bounds { switch_p99_ms: Some(350.0), ..Bounds::default() };
        good(&Scenario { compare: false, seed, ..scenario("switches", 60, 105, bounds) });
    }
}

#[test]
fn random_overlays_hold_the_promise() {
    let count = std::env::var("ROOMFUL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(12);
    let bad: Vec<Report> =
        (0..count).map(|seed| overlay::run(&Scenario::random(seed))).filter(|report| !report.is_good()).collect();
    let shown: String = bad.iter().take(5).map(|report| format!("{report}\n")).collect();
    assert!(bad.is_empty(), "{} of {count} seeds went wrong\n{shown}", bad.len());
}
