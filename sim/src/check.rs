//! What must hold, whatever happens: one checker a promise. They watch from outside, and know nothing of how the
//! machines work.

pub(crate) mod calls;
pub(crate) mod delivery;
pub(crate) mod lossy;
pub(crate) mod plan;

use std::collections::BTreeMap;

use room::{
    limits,
    time::{Micros, Time},
};

use crate::scenario::Scenario;

/// Violations that are kept; one is enough to fail.
const VIOLATIONS_KEPT: usize = 20;

/// All checkers of a room.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) delivery: delivery::Delivery,
    pub(crate) calls: calls::Calls,
    pub(crate) lossy: lossy::LossyCheck,
    pub(crate) plan: plan::PlanLog,
    /// How often an application heard that somebody brought what nobody had said, by who that was.
    pub(crate) named: BTreeMap<usize, u64>,
    /// Messages that the hub carried from member to member.
    pub(crate) carried: u64,
    /// When whom a crash befell.
    crashed: BTreeMap<usize, Time>,
    /// The longest that a crashed member stood in the roster of anybody whom the hub reached.
    pub(crate) ghost: Micros,
    ghost_max: Micros,
    pub(crate) violations: Vec<String>,
}

impl Checks {
    pub(crate) fn new(scenario: &Scenario) -> Checks {
        Checks {
            delivery: delivery::Delivery::default(),
            calls: calls::Calls::default(),
            lossy: lossy::LossyCheck::default(),
            plan: plan::PlanLog::default(),
            named: BTreeMap::new(),
            carried: 0,
            crashed: BTreeMap::new(),
            ghost: Micros(0),
            ghost_max: ghost_max(scenario),
            violations: Vec::new(),
        }
    }

    /// Something that must not be.
    pub(crate) fn violation(&mut self, now: Time, what: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(format!("at {now} s: {}", what.into()));
        }
    }

    /// A member's process ended without a word.
    pub(crate) fn crashed(&mut self, actor: usize, now: Time) {
        self.crashed.insert(actor, now);
        self.delivery.crashed(actor);
        self.calls.caller_left(actor);
    }

    /// Somebody, whom the hub welcomed (again) at `welcomed`, was told that a member is gone.
    pub(crate) fn dropped(&mut self, who: usize, welcomed: Time, now: Time) {
        if let Some(at) = self.crashed.get(&who) {
            let stood = now.since(welcomed.max(*at));
            self.ghost = self.ghost.max(stood);
            if stood > self.ghost_max {
                self.violation(now, format!("{who} was a ghost for {} ms", stood.as_millis()));
            }
        }
    }

    /// The room has had all its time; `standing` says who is still in it, `left` who left properly.
    pub(crate) fn finish(&mut self, now: Time, standing: &[bool], left: &[bool]) {
        self.delivery.finish(standing, left);
        for what in self.delivery.take_violations().into_iter().chain(self.calls.finish(standing)) {
            self.violation(now, what);
        }
    }
}

/// How long a crashed member may stand in rosters: heartbeats find it where nobody is left who had a link to it, then
/// comes the grace. While nothing passes to the hub, it can find nobody.
fn ghost_max(scenario: &Scenario) -> Micros {
    let found = limits::HUB_PING.times(3).0 + limits::UNVOUCHED_GRACE.0 + Micros::from_secs(3).0;
    let faults = &scenario.faults;
    let deaf = if faults.partitions_per_min > 0.0 { Micros::from_secs(faults.partition_s).0 } else { 0 };
    Micros(found + deaf)
}
