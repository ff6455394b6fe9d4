//! What the plan costs: the room's joins and leaves are played to a planner alone.

use std::time::Instant;

use room::{
    id::MemberId,
    plan::{Event, LinkOp, NoDistance, Planner, Profile},
    wire::signal::ServerMessage,
};

/// Who came and went, as the hub told it.
#[derive(Debug, Default)]
pub(crate) struct PlanLog {
    events: Vec<(MemberId, bool)>,
    /// How the room came to be linked, one after another.
    pub(crate) topologies: Vec<String>,
    /// DATA frames that reached anybody.
    pub(crate) data_frames: u64,
    /// How often anybody was told that somebody left.
    pub(crate) leaves_heard: u64,
    /// How often anybody was told that a link had failed.
    pub(crate) failures_heard: u64,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlanCost {
    pub(crate) joins: u64,
    pub(crate) leaves: u64,
    pub(crate) opened_by_joins: u64,
    pub(crate) opened_by_leaves: u64,
    pub(crate) degree_max: u64,
    pub(crate) nanos: u64,
}

impl PlanLog {
    /// The hub says something.
    pub(crate) fn watch(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) if !welcome.resumed => self.events.push((welcome.this.id, true)),
            ServerMessage::Topology(change) if change.from != change.to => self.topologies.push(change.to.clone()),
            ServerMessage::Gone(gone) => self.events.push((gone.id, false)),
            _ => {}
        }
    }

    /// Plays it all again.
    pub(crate) fn cost(&self, seed: u64) -> PlanCost {
        let mut planner = Planner::new(seed);
        let mut cost = PlanCost::default();
        let started = Instant::now();
        for (id, joins) in &self.events {
            let event = if *joins {
                Event::Join { id: *id, profile: Profile::default(), held: &[] }
            } else {
                Event::Leave(*id)
            };
            let ops = planner.apply(&event, &NoDistance);
            let opened = ops.iter().filter(|op| matches!(op, LinkOp::Open { .. })).count() as u64;
            if *joins {
                cost.joins += 1;
                cost.opened_by_joins += opened;
                cost.degree_max = cost.degree_max.max(opened);
            } else {
                cost.leaves += 1;
                cost.opened_by_leaves += opened;
            }
        }
        cost.nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        cost
    }
}
