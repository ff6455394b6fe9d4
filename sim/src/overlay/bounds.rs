//! What nothing beats, and what a run must keep to.

use super::{report::Report, scenario::Scenario};

/// Links within which somebody of this degree reaches everybody at best: the least h with
/// 1 + k((k−1)^h − 1)/(k−2) ≥ N (Moore).
pub(super) fn moore_hops(members: usize, degree: usize) -> u32 {
    if members <= 1 {
        return 0;
    }
    let (mut reached, mut edge, mut hops) = (1_usize, degree.max(2), 0);
    while reached < members {
        reached = reached.saturating_add(edge);
        edge = edge.saturating_mul((degree.max(2) - 1).max(1));
        hops += 1;
    }
    hops
}

/// Time in which a message reaches everybody at best where uplinks are the limit, in ms: all of them together send it to
/// everybody, its publisher once.
pub(super) fn fluid_ms(scenario: &Scenario) -> f64 {
    match scenario.network.uplink_kbps {
        0 => 0.0,
        kbps => {
            let once_ms = scenario.bytes as f64 * 8.0 / kbps as f64;
            let all_ms = once_ms * scenario.members.saturating_sub(1) as f64 / scenario.members.max(1) as f64;
            once_ms.max(all_ms)
        }
    }
}

/// Adds to a report what its scenario's bounds are broken by.
pub(super) fn check(scenario: &Scenario, report: &mut Report) {
    let (bounds, ours) = (&scenario.bounds, &report.ours);
    let of_flooding = report.flood.as_ref().map_or(0.0, |flood| ours.p50_ms / flood.p50_ms.max(0.1));
    let over_moore = ours.last_hop_mean - f64::from(report.moore_hops);
    let broken: Vec<String> = [
        ("RMR", ours.rmr, bounds.rmr),
        ("RMR of first messages", ours.rmr_first, bounds.rmr_first),
        ("hops beyond the Moore bound", over_moore, bounds.hops_over_moore),
        ("hops to the last member", ours.last_hop_mean, bounds.last_hop_mean),
        ("p50 as a multiple of flooding's", of_flooding, bounds.p50_of_flooding),
        ("p99 in ms", ours.p99_ms, bounds.p99_ms),
        ("p99.9 in ms", ours.p999_ms, bounds.p999_ms),
        ("p99 during switches in ms", report.switch_p99_ms, bounds.switch_p99_ms),
        ("new links a join", report.links_per_join, bounds.links_per_join),
        ("new links a leave", report.links_per_leave, bounds.links_per_leave),
        ("links of a member", report.degree_max as f64, bounds.degree_max.map(|most| most as f64)),
    ]
    .into_iter()
    .filter_map(|(what, is, most)| {
        most.filter(|most| is > *most).map(|most| format!("{what}: {is:.3}, more than {most}"))
    })
    .collect();
    report.violations.extend(broken);
    if ours.delivered == 0 || report.ours.sent == 0 {
        report.violations.push("nothing was delivered".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moore_bound_is_that_of_the_books() {
        for (members, hops) in [(1, 0), (7, 1), (1_000, 5), (10_000, 6), (100_000, 7), (1_000_000, 9)] {
            assert_eq!(moore_hops(members, 6), hops, "{members}");
        }
        assert_eq!((moore_hops(100, 99), moore_hops(5, 2)), (1, 2));
    }

    #[test]
    fn what_is_over_a_bound_is_said() {
        let mut scenario = Scenario::default();
        scenario.bounds.rmr = Some(0.02);
        scenario.bounds.p99_ms = Some(500.0);
        let mut report = Report::default();
        (report.ours.rmr, report.ours.sent, report.ours.delivered) = (0.03, 1, 1);
        check(&scenario, &mut report);
        assert_eq!(report.violations, ["RMR: 0.030, more than 0.02"]);
    }
}
