//! Moving the room from one topology to another while everybody goes on talking, and finding ways through it.
//!
//! Make before break: the links of the new topology are opened beside the old ones; when (nearly) all are up, the new one
//! takes over, and new streams take its links; a while later the old links go. Whoever has no link of the new topology by
//! then keeps the others waiting, for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Hub, not_allowed};
use crate::{
    id::MemberId,
    limits,
    plan::{Event, LinkOp, NoDistance, Topology},
    time::Time,
    wire::signal::{RefusalCode, Refused, ServerMessage, TopologyChange},
};

/// How far a change of topology has got.
#[derive(Debug)]
pub(super) enum Move {
    None,
    /// Links are being opened.
    Opening {
        /// How many.
        total: usize,
        /// Those that are not up yet.
        awaited: BTreeSet<(MemberId, MemberId)>,
        /// When it goes on, or back, with what is up.
        deadline: Time,
        /// How many were not up when the deadline was set: who has moved on since gets more time.
        before: usize,
        /// Until when it may be put off.
        by: Time,
    },
    /// The new topology, or what takes a drained relay's place, has taken over; the old links go between these times.
    Committed {
        from: Time,
        by: Time,
        /// Links in place of a drained relay's that are not up yet.
        awaited: BTreeSet<(MemberId, MemberId)>,
    },
}

impl Move {
    /// Links are to be given up that these take the place of.
    pub(super) fn retiring(now: Time, ops: &[LinkOp]) -> Move {
        let awaited = ops.iter().filter_map(opened).collect();
        Move::Committed { from: now + limits::RETIRE_AFTER, by: now + limits::RETIRE_BY, awaited }
    }
}

impl Hub {
    /// A member wants the room linked in some way from now on.
    pub(super) fn pin(&mut self, now: Time, id: MemberId, word: &str) -> Result<(), Refused> {
        if !self.roster.get(id).is_some_and(|session| session.grant.admin) {
            return Err(not_allowed("choose how the room is linked"));
        }
        let topology = self.wish(word)?;
        self.wish_for(now, id, topology);
        Ok(())
    }

    /// The room is to be linked so; `None`: as it fits, or as the server has it.
    pub(super) fn wish_for(&mut self, now: Time, by: MemberId, topology: Option<Topology>) {
        self.is_chosen = true;
        match topology.or(self.config.topology) {
            Some(topology) if !self.planner.offers(topology) => self.await_star(now, by),
            topology => self.pin_to(topology),
        }
    }

    /// The room is to be linked so from now on; `None`: as it fits.
    pub(super) fn pin_to(&mut self, topology: Option<Topology>) {
        self.star = None;
        self.planner.apply(&Event::Pin(topology), &NoDistance);
        self.plan_at = Some(Time(0));
        if std::mem::replace(&mut self.pinned, topology) != topology {
            let topology = self.planner.topology();
            self.tell_topology(topology);
        }
    }

    /// What the room is to be, by the word of somebody; `None`: what fits.
    pub(super) fn pin_word(&self) -> Option<String> {
        self.pinned.map(|topology| topology.to_string())
    }

    /// Tells everybody how the room is linked now, how it was, and how it is to be.
    fn tell_topology(&mut self, from: Topology) {
        let (from, to) = (from.to_string(), self.planner.topology().to_string());
        let (epoch, pin) = (self.planner.epoch(), self.pin_word());
        self.tell_all(ServerMessage::Topology(TopologyChange { from, to, epoch, pin }));
    }

    /// The topology that a word asks for; `None`: whichever fits.
    pub(super) fn wish(&self, word: &str) -> Result<Option<Topology>, Refused> {
        let unavailable =
            |message: String, hint: &str| Err(Refused::of_message(RefusalCode::TopologyUnavailable, message, hint));
        match word.parse::<Topology>() {
            _ if word == "auto" => Ok(None),
            Ok(Topology::Star) if self.config.relay => Ok(Some(Topology::Star)),
            Ok(topology) if self.planner.offers(topology) => Ok(Some(topology)),
            Ok(topology) => {
                let message = format!("nobody is in this room whom it could be linked by as `{topology}`");
                unavailable(message, "ask for `auto`, `mesh`, `small-world` or `tree`")
            }
            Err(_) => {
                let shown: String = word.chars().filter(|c| !c.is_control()).take(limits::NAME_MAX).collect();
                let message = format!("this server cannot link a room as `{shown}`");
                unavailable(message, "ask for `auto`, `mesh`, `small-world` or `tree`")
            }
        }
    }

    /// Does what is due for the plan.
    pub(super) fn tend_plan(&mut self, now: Time) {
        if self.roster.len() == 0 || self.shutting_down {
            self.plan_at = None;
            return;
        }
        self.settle_star(now);
        if self.plan_at.is_none() && self.is_restless() {
            self.plan_at = Some(now + limits::PLAN_EVERY);
        }
        if self.plan_at.is_none_or(|at| at > now) {
            return;
        }
        self.tend_overlap(now);
        match std::mem::replace(&mut self.moving, Move::None) {
            Move::None => {
                self.sum_traffic();
                let ops = self.planner.apply(&Event::Tick(now), &NoDistance);
                self.tell_links(&ops, None);
                self.begin_if_due(now);
            }
            Move::Opening { total, mut awaited, deadline, before, by } => {
                awaited.retain(|(a, b)| self.planner.linked(*a, *b) && !self.is_up(*a, *b));
                let (left, is_due) = (awaited.len(), now >= deadline);
                if left * 100 > total && !is_due {
                    self.moving = Move::Opening { total, awaited, deadline, before, by };
                } else if left * 2 <= total {
                    self.commit(now);
                } else if left < before && now < by {
                    // Too few, but they keep coming: many links on slow machines. To begin again would not be faster.
                    let deadline = now + limits::SWITCH_LULL;
                    self.moving = Move::Opening { total, awaited, deadline, before: left, by };
                } else {
                    // Most of it cannot be had: the room stays as it is.
                    let ops = self.planner.abort();
                    self.tell_links(&ops, None);
                    if self.planner.is_anybody_draining() {
                        self.moving = Move::retiring(now, &[]);
                    }
                }
            }
            Move::Committed { from, by, mut awaited } => {
                awaited.retain(|(a, b)| self.planner.linked(*a, *b) && !self.is_up(*a, *b));
                if now >= by || (now >= from && awaited.is_empty() && !self.somebody_is_stranded()) {
                    let ops = self.planner.retire();
                    self.tell_links(&ops, None);
                    // Somebody may have asked for another topology meanwhile.
                    self.begin_if_due(now);
                } else {
                    self.moving = Move::Committed { from, by, awaited };
                    // A drained relay keeps nobody from moving on: its links go with those of the old topology.
                    self.begin_if_due(now);
                }
            }
        }
        let pause = if matches!(self.moving, Move::None) { limits::PLAN_EVERY } else { limits::SWITCH_LOOK };
        self.plan_at = (self.is_restless() || !matches!(self.moving, Move::None)).then_some(now + pause);
    }

    /// Whether the plan may come to want another topology, or looks after the one that it has.
    fn is_restless(&self) -> bool {
        let topology = self.planner.topology();
        topology != Topology::Mesh || self.planner.is_restless() || self.star.is_some() || self.traffic_changed
    }

    /// Whether members pass on what others say.
    pub(super) fn is_relayed(&self) -> bool {
        self.planner.topology() != Topology::Mesh
    }

    /// Moves the room to another topology where that is due, and the room is not moving.
    fn begin_if_due(&mut self, now: Time) {
        if let Some(to) = self.planner.due().filter(|to| !self.is_stopgap(now, *to)) {
            self.begin(now, to);
        }
    }

    fn begin(&mut self, now: Time, to: Topology) {
        let ops = self.planner.begin(to, &NoDistance);
        let awaited: BTreeSet<_> = ops.iter().filter_map(opened).collect();
        self.counters.switches += 1;
        self.tell_links(&ops, None);
        let total = awaited.len();
        let (deadline, by) = (now + limits::SWITCH_TIMEOUT, now + limits::SWITCH_BY);
        self.moving = Move::Opening { total, awaited, deadline, before: total, by };
    }

    fn commit(&mut self, now: Time) {
        let from = self.planner.topology();
        let ops = self.planner.commit(&NoDistance);
        self.tell_links(&ops, None);
        self.tell_topology(from);
        self.moving = Move::retiring(now, &[]);
    }

    /// Whether a link is up, by the word of either end.
    fn is_up(&self, a: MemberId, b: MemberId) -> bool {
        self.roster.vouches(a, b) || self.roster.vouches(b, a)
    }

    /// Whether somebody who is here has no link of the new topology.
    fn somebody_is_stranded(&self) -> bool {
        let mut present = self.roster.iter().filter(|session| session.conn.is_some()).map(|session| session.member.id);
        self.planner.topology() != Topology::Mesh
            && self.roster.present() > 1
            && present.any(|id| !self.planner.eager_of(id).any(|peer| self.is_up(id, peer)))
    }

    /// A shortest way from one member to another over links that are up; empty where there is none.
    pub(super) fn route(&self, from: MemberId, to: MemberId) -> Vec<MemberId> {
        let mut before = BTreeMap::from([(from, from)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front().filter(|at| *at != to) {
            for (peer, _) in self.planner.links_of(at) {
                if before.len() < limits::ROUTE_SEARCH && !before.contains_key(&peer) && self.is_up(at, peer) {
                    before.insert(peer, at);
                    next.push_back(peer);
                }
            }
        }
        let mut path = VecDeque::new();
        let mut at = to;
        while at != from && path.len() < limits::ROUTE_MAX {
            let Some(previous) = before.get(&at) else { return Vec::new() };
            path.push_front(at);
            at = *previous;
        }
        if at == from { path.into() } else { Vec::new() }
    }
}

/// The link that an operation opens.
pub(super) fn opened(op: &LinkOp) -> Option<(MemberId, MemberId)> {
    match *op {
        LinkOp::Open { offerer, answerer } => Some((offerer, answerer)),
        _ => None,
    }
}
