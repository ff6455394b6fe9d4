//! One promise at a time, each under the fault that puts it to the test, with bounds as tight as PROTOCOL.md gives.

use sim::{Faults, Network, Report, Scenario, Work};

/// Runs a scenario with some seeds; each run must be good and keep its promise.
fn each(scenario: &Scenario, promise: impl Fn(&Report)) {
    for seed in 1..=5 {
        let report = sim::run(&Scenario { seed, ..scenario.clone() });
        assert!(report.is_good(), "{report}");
        promise(&report);
    }
}

fn calm() -> Scenario {
    Scenario { members: 8, seconds: 40, ..Scenario::default() }
}

fn with(faults: Faults) -> Scenario {
    Scenario { faults, ..calm() }
}

#[test]
fn the_same_scenario_gives_the_same_run() {
    let scenario = Scenario { members: 30, rooms: 5, ..Scenario::random(42) };
    let (one, two) = (sim::run(&scenario), sim::run(&scenario));
    assert_eq!((&one.hash, one.events, one.p999_ms), (&two.hash, two.events, two.p999_ms));
    let other = sim::run(&Scenario { seed: 43, ..scenario });
    assert_ne!(one.hash, other.hash);
}

#[test]
fn a_calm_room_delivers_everything_and_parts_nobody() {
    each(&calm(), |report| {
        assert_eq!((report.delivered, report.gaps, report.leaves_heard), (report.deliveries_expected, 0, 0));
        assert!(report.delivered > 1_000 && report.calls_answered > 10 && report.calls_failed == 0);
        assert!(report.rmr < 0.01, "{}", report.rmr);
        assert!(report.settled_s < 43.0, "{}", report.settled_s);
    });
}

#[test]
fn who_leaves_is_said_to_have_left_and_nothing_else() {
    // The end of a link is noticed long before the hub's word comes, where the two are neighbours and the hub is far.
    let network = Network { clusters: 1, span_ms: 400, close_notices: 1.0, ..Network::default() };
    let faults = Faults { crashes: 0.0, ..Faults::default() };
    each(&Scenario { churn_per_min: 2.0, network, ..with(faults) }, |report| {
        assert!(report.leaves > 3 && report.leaves_heard > 20, "{report:?}");
        assert_eq!(report.failures_heard, 0);
    });
}

#[test]
fn a_crashed_member_is_gone_soon_after_its_links_fall_silent() {
    // Suspicion comes after 1.5 s, its report after 50 ms.
    let faults = Faults { crashes: 1.0, hangs: 0.0, ..Faults::default() };
    each(&Scenario { churn_per_min: 0.4, ..with(faults) }, |report| {
        assert!(report.leaves > 0 && report.ghost_ms_max <= 2_000, "{} ms", report.ghost_ms_max);
    });
}

#[test]
fn a_hung_member_is_gone_once_it_leaves_the_hubs_ping_unanswered() {
    // Two seconds more.
    let faults = Faults { crashes: 1.0, hangs: 1.0, ..Faults::default() };
    each(&Scenario { churn_per_min: 0.4, ..with(faults) }, |report| {
        assert!(report.leaves > 0 && report.ghost_ms_max <= 4_000, "{} ms", report.ghost_ms_max);
    });
}

#[test]
fn a_third_of_the_room_that_crashes_at_once_is_gone_within_seconds() {
    // The hung ones vouch for the others until they are found out, then the grace begins.
    let scenario = Scenario { members: 12, ..with(Faults { massacre: true, ..Faults::default() }) };
    each(&scenario, |report| {
        assert!(report.leaves == 4 && report.ghost_ms_max <= 10_000, "{} ms", report.ghost_ms_max);
    });
}

#[test]
fn a_cut_socket_is_noticed_by_nobody_else() {
    each(&with(Faults { cuts_per_min: 30.0, ..Faults::default() }), |report| {
        assert_eq!((report.leaves_heard, report.gaps, report.missed), (0, 0, 0));
    });
}

#[test]
fn a_restarted_hub_loses_nobody_and_nothing() {
    let faults = Faults { restarts_per_min: 4.0, ..Faults::default() };
    let work = Work { state_per_s: 0.5, attributes_per_s: 0.2, ..Work::default() };
    each(&Scenario { work, ..with(faults) }, |report| {
        assert!(report.joins > 8, "no restart befell anybody");
        assert_eq!((report.leaves_heard, report.gaps, report.missed), (0, 0, 0));
    });
}

#[test]
fn a_short_partition_of_the_links_parts_nobody() {
    let faults = Faults { partitions_per_min: 6.0, partition_s: 4, ..Faults::default() };
    each(&with(faults), |report| assert_eq!(report.missed, 0));
}

#[test]
fn a_member_that_sleeps_loses_nothing() {
    each(&with(Faults { sleeps_per_min: 10.0, ..Faults::default() }), |report| assert_eq!(report.missed, 0));
}

#[test]
fn links_that_lose_their_path_are_mended() {
    each(&with(Faults { rebinds_per_min: 20.0, ..Faults::default() }), |report| {
        assert_eq!((report.leaves_heard, report.gaps), (0, 0));
    });
}

#[test]
fn everybody_who_enters_in_one_instant_is_linked_to_everybody() {
    let work = Work { messages_per_s: 0.2, latest_per_s: 0.0, datagrams_per_s: 0.0, ..Work::default() };
    let scenario = Scenario { members: 64, seconds: 3, flash: true, work, ..Scenario::default() };
    let report = sim::run(&scenario);
    assert!(report.is_good(), "{report}");
    assert!(report.settled_s <= 5.0 && report.degree_max == 63, "{report:?}");
}

#[test]
fn links_that_often_fail_to_open_open_at_last() {
    // At last: an attempt that fails takes 10 s, the pause after it 22.5 s at most, and the next one opens.
    let network = Network { connect_failures: 0.5, ..Network::default() };
    each(&Scenario { network, ..calm() }, |report| {
        assert_eq!((report.gaps, report.missed), (0, 0));
        assert!(report.settled_s <= 40.0 + 35.0, "{}", report.settled_s);
    });
}

#[test]
fn full_outboxes_lose_nothing_without_a_word() {
    // Some 16 MiB/s through outboxes of 32 MiB, to readers that stop for up to ten seconds.
    let work = Work { messages_per_s: 4.0, huge: 1.0, ..Work::default() };
    let faults = Faults { stalls_per_min: 10.0, sleeps_per_min: 4.0, ..Faults::default() };
    let scenario = Scenario { members: 3, seconds: 30, work, faults, ..Scenario::default() };
    let report = sim::run(&scenario);
    assert!(report.is_good(), "{report}");
    assert!(report.gaps > 0 && report.lost_in_gaps > 0, "the outboxes were never full: {report}");
}

#[test]
fn narrow_uplinks_carry_everything_in_the_end() {
    let network = Network { uplink_kbps: 2_000, ..Network::default() };
    let work = Work { long: 0.2, ..Work::default() };
    each(&Scenario { network, work, ..calm() }, |report| {
        assert_eq!((report.leaves_heard, report.gaps, report.missed), (0, 0, 0));
    });
}

#[test]
fn minutes_without_hub_or_links_heal() {
    let faults = Faults {
        partitions_per_min: 1.5,
        partition_s: 60,
        restarts_per_min: 0.5,
        restart_s: 50,
        sleeps_per_min: 1.0,
        ..Faults::default()
    };
    let scenario = Scenario { members: 6, seconds: 100, churn_per_min: 0.3, ..with(faults) };
    each(&scenario, |report| assert_eq!((report.missed, report.duplicated, report.reordered), (0, 0, 0)));
}
