//! What members say of their traffic, summed up for the planner.

use super::Hub;
use crate::{
    id::MemberId,
    limits,
    plan::{Event, NoDistance, Profile, Stats},
    wire::signal::Traffic,
};

impl Hub {
    /// A member says what its traffic is like. Whoever lies gets the room linked as it does not fit, no more: nobody is
    /// believed to say more than a link carries. By whoever is reached over TURN only, nothing is passed on.
    pub(super) fn measured(&mut self, id: MemberId, traffic: Traffic) {
        let kbps = traffic.kbps.min(limits::STATS_KBPS_MAX);
        let traffic = Traffic { kbps, turn_percent: traffic.turn_percent.min(100) };
        let Some(session) = self.roster.get_mut(id).filter(|session| !session.member.relay) else { return };
        let before = std::mem::replace(&mut session.traffic, traffic);
        self.traffic_changed |= traffic != before;
        let turn = is_turned(traffic);
        // Of one that forges the plan believes less than it says of itself.
        if turn != is_turned(before) && session.accusers() < limits::FORGED_ACCUSERS {
            self.reshape(id, Profile { turn, ..Profile::default() });
        }
    }

    /// Tells the planner what the room's traffic is like now.
    pub(super) fn sum_traffic(&mut self) {
        if !std::mem::take(&mut self.traffic_changed) {
            return;
        }
        let mut stats = Stats::default();
        let (mut people, mut turned) = (0_u32, 0_u32);
        for session in self.roster.iter().filter(|session| !session.member.relay) {
            let Traffic { kbps, turn_percent } = session.traffic;
            people += 1;
            turned += turn_percent;
            stats.publishers += u32::from(kbps > 0);
            stats.rate_kbps = stats.rate_kbps.saturating_add(kbps);
            stats.busiest_kbps = stats.busiest_kbps.max(kbps);
        }
        stats.turn_percent = turned / people.max(1);
        self.planner.apply(&Event::Stats(stats), &NoDistance);
    }
}

/// Whether all links of a member go over TURN.
fn is_turned(traffic: Traffic) -> bool {
    traffic.turn_percent >= 100
}
