//! The hub: the planner, and what lies between its words and their being carried out.

use std::collections::{BTreeMap, BTreeSet};

use room::{
    limits,
    plan::LinkOp,
    time::{Micros, Time},
};

use super::{
    ids,
    plan::Plan,
    protocol::Protocol,
    scenario::Scenario,
    world::{Event, Link, LinkEnd, World},
};

/// What the hub hears.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// Somebody enters.
    Joined(u32),
    /// Somebody left, or was found to have crashed.
    Left(u32),
    /// A link of a plan opened, or will not.
    Opened(u32),
    /// A member has measured its links.
    Measured(u32),
    /// The room is to change its topology, as this entry of the scenario says.
    Switch(usize),
    /// The new links, which this plan opens, have had their time.
    Commit(u32),
    /// The old links have had theirs.
    Retire,
    /// What was published during a switch is through.
    Switched,
    /// Another second has passed.
    Tick,
}

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) plan: Plan,
    /// While it does nothing.
    away: Option<(Time, Time)>,
    /// Plans whose links are not all open yet.
    open_plans: BTreeMap<u32, Opening>,
    plans: u32,
    /// The plan of a switch that is not committed.
    switching: Option<u32>,
}

/// A plan whose links are being opened.
#[derive(Debug)]
struct Opening {
    links: usize,
    left: usize,
    /// What is closed once they are open.
    closes: Vec<(u32, u32)>,
}

/// A room has grown, within so many seconds, to what it is at its start.
const GROWN_S: u32 = 600;
/// A switch is committed when at most one link in so many is missing, or after this time.
const MISSING: usize = 100;
const COMMIT_AFTER: Micros = Micros::from_secs(8);
/// How often the planner is told that time passes.
const TICK: Micros = Micros::from_secs(1);
/// Time over which the links of a switch are opened.
const SPREAD: Micros = Micros::from_millis(1_500);
/// Time from a switch's end in which what was published counts as published during it.
const AFTERMATH: Micros = Micros::from_secs(1);

impl Hub {
    pub(super) fn new(scenario: &Scenario) -> Hub {
        let away = scenario.hub_away.map(|away| {
            let from = (away.from_s * 1e6) as u64;
            (Time(from), Time(from + (away.seconds * 1e6) as u64))
        });
        Hub { plan: Plan::new(scenario), away, open_plans: BTreeMap::new(), plans: 1, switching: None }
    }
}

impl<P: Protocol> World<'_, P> {
    /// Plans the room at its start and carries that out at once.
    pub(super) fn link_residents(&mut self) {
        let members = self.members.len() as u32;
        for member in 0..members {
            let ops = self.hub.plan.join(member, self.scenario, &self.space);
            self.measure_opened(&ops);
            let a_second = members.div_ceil(GROWN_S);
            if member % a_second == 0 {
                let ops = self.hub.plan.tick(Time(0) + TICK.times(u64::from(member / a_second)), &self.space);
                self.measure_opened(&ops);
            }
        }
        self.queue.push(self.now + TICK, Event::Hub(News::Tick));
        for member in 0..members {
            let plan = self.hub.plan.of(member);
            if let Some(machine) = &mut self.members[member as usize].machine {
                machine.plan(self.now, &plan);
            }
        }
        for member in 0..members {
            for peer in self.hub.plan.links_of(member) {
                if member < peer {
                    let link = self.add_link(member, peer, 0);
                    self.connect(link);
                }
            }
        }
    }

    /// Most links that the plan gives to a member.
    pub(super) fn planned_degree(&self) -> usize {
        let degrees = (0..self.members.len() as u32).map(|member| self.hub.plan.links_of(member).len());
        degrees.max().unwrap_or(0)
    }

    /// Once all is settled, members have the links of the plan, and these reach everybody, but relays in a mesh.
    pub(super) fn check_links(&mut self) {
        let living: Vec<u32> =
            (0..self.members.len() as u32).filter(|member| self.members[*member as usize].machine.is_some()).collect();
        let mut reached = BTreeSet::new();
        let mut edge: Vec<u32> = living.iter().copied().find(|member| !self.is_idle(*member)).into_iter().collect();
        while let Some(member) = edge.pop() {
            if reached.insert(member) {
                edge.extend(self.members[member as usize].links.iter().map(|(peer, _)| *peer));
            }
        }
        for member in living {
            let has: BTreeSet<u32> = self.members[member as usize].links.iter().map(|(peer, _)| *peer).collect();
            let planned: BTreeSet<u32> = self.hub.plan.links_of(member).into_iter().collect();
            if has != planned {
                self.tally.violation(self.now, format_args!("{member} has links to {has:?}, its plan {planned:?}"));
            }
            if !reached.contains(&member) && !self.is_idle(member) {
                self.tally.violation(self.now, format_args!("no way leads to {member}"));
            }
        }
    }

    /// A relay to whom the plan gives nothing to do.
    fn is_idle(&self, member: u32) -> bool {
        (member as usize) < self.scenario.relays && self.hub.plan.links_of(member).is_empty()
    }

    pub(super) fn hub_hears(&mut self, news: News) {
        if let Some((from, to)) = self.hub.away
            && (from..to).contains(&self.now)
        {
            return self.queue.push(to, Event::Hub(news));
        }
        match news {
            News::Joined(member) => {
                self.members[member as usize].entered = self.now;
                let ops = self.hub.plan.join(member, self.scenario, &self.space);
                self.tell_plan(member);
                self.carry_out(&ops, Micros(0));
            }
            News::Left(member) => {
                let ops = self.hub.plan.leave(member, &self.space);
                self.carry_out(&ops, Micros(0));
                if self.tally.has_published(member) {
                    self.queue
                        .push(self.now + Micros::from_millis(self.scenario.network.hub_way_ms), Event::Gone(member));
                }
            }
            News::Opened(plan) => self.opened(plan),
            News::Measured(member) => self.measured(member),
            News::Switch(number) => self.switch(number),
            News::Commit(plan) => {
                if self.hub.switching == Some(plan) {
                    self.commit();
                }
            }
            News::Retire => {
                let ops = self.hub.plan.retire();
                self.carry_out(&ops, Micros(0));
                self.queue.push(self.now + AFTERMATH, Event::Hub(News::Switched));
            }
            News::Switched => self.tally.switch_ends(self.now),
            News::Tick => {
                let ops = self.hub.plan.tick(self.now + TICK.times(u64::from(GROWN_S)), &self.space);
                self.carry_out(&ops, Micros(0));
                if self.now < self.end {
                    self.queue.push(self.now + TICK, Event::Hub(News::Tick));
                }
            }
        }
    }

    // ---- distances -----------------------------------------------------------------------------------------------

    /// The ends of these links have measured them.
    fn measure_opened(&mut self, ops: &[LinkOp]) {
        if !self.hub.plan.hears_distances() {
            return;
        }
        let mut opened: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for op in ops {
            if let LinkOp::Open { offerer, answerer } = *op {
                let (a, b) = (ids::number(offerer), ids::number(answerer));
                opened.entry(a).or_default().push(b);
                opened.entry(b).or_default().push(a);
            }
        }
        for (member, peers) in opened {
            self.hub.plan.measured(member, &peers, &self.space);
        }
    }

    /// A member that has a new link will report how far its other end is.
    pub(super) fn will_measure(&mut self, member: u32) {
        let this = &mut self.members[member as usize];
        if self.hub.plan.hears_distances() && this.reports_at.is_none_or(|at| at <= self.now) {
            let soon = self.now + limits::DISTANCES_AFTER;
            let at = this.reports_at.map_or(soon, |told| soon.max(told + limits::DISTANCES_EVERY));
            this.reports_at = Some(at);
            self.queue.push(at + self.space.hub_way(member), Event::Hub(News::Measured(member)));
        }
    }

    fn measured(&mut self, member: u32) {
        let links = &self.members[member as usize].links;
        let peers: Vec<u32> = links.iter().map(|(peer, _)| *peer).collect();
        self.hub.plan.measured(member, &peers, &self.space);
    }

    // ---- switching -----------------------------------------------------------------------------------------------

    fn switch(&mut self, number: usize) {
        let Some(switch) = self.scenario.switches.get(number) else { return };
        if self.hub.plan.is_switching() {
            // One at a time.
            return self.queue.push(self.now + Micros::from_secs(1), Event::Hub(News::Switch(number)));
        }
        self.tally.switch_begins(self.now);
        let ops = self.hub.plan.begin(&switch.to, &self.space);
        let plan = self.hub.plans;
        self.hub.switching = Some(plan);
        self.queue.push(self.now + COMMIT_AFTER, Event::Hub(News::Commit(plan)));
        self.carry_out(&ops, SPREAD);
    }

    fn commit(&mut self) {
        self.hub.switching = None;
        let ops = self.hub.plan.commit(&self.space);
        self.carry_out(&ops, Micros(0));
        // Whether streams are relayed may be new to everybody.
        for member in 0..self.members.len() as u32 {
            if self.members[member as usize].machine.is_some() {
                self.tell_plan(member);
            }
        }
        self.queue.push(self.now + limits::RETIRE_AFTER, Event::Hub(News::Retire));
    }

    // ---- carrying out --------------------------------------------------------------------------------------------

    /// Has the ends of links do what the plan says. What is to be closed waits until what is to be opened is open; links are
    /// opened over a time.
    fn carry_out(&mut self, ops: &[LinkOp], spread: Micros) {
        let plan = self.hub.plans;
        self.hub.plans += 1;
        let (mut links, mut closes, mut replanned) = (0, Vec::new(), BTreeSet::new());
        for op in ops {
            match *op {
                LinkOp::Open { offerer, answerer } => {
                    links += usize::from(self.open(ids::number(offerer), ids::number(answerer), plan, spread));
                }
                LinkOp::Close(a, b) => closes.push((ids::number(a), ids::number(b))),
                LinkOp::Eager(a, b) | LinkOp::Lazy(a, b) => replanned.extend([ids::number(a), ids::number(b)]),
            }
        }
        for member in replanned {
            self.tell_plan(member);
        }
        if links > 0 {
            self.hub.open_plans.insert(plan, Opening { links, left: links, closes });
        } else {
            self.close_all(closes);
            self.is_ready(plan, 0, 0);
        }
    }

    /// Tells a member which of its links are tree links.
    fn tell_plan(&mut self, member: u32) {
        let plan = Box::new(self.hub.plan.of(member));
        let heard = self.now + self.space.hub_way(member);
        self.queue.push(heard, Event::Plan { member, plan });
    }

    /// Has two members open a link, where they have none and are there as far as is known; whether it is under way.
    fn open(&mut self, a: u32, b: u32, plan: u32, spread: Micros) -> bool {
        if self.link_between(a, b).is_some() {
            return false;
        }
        let link = self.add_link(a, b, plan);
        let told = self.space.hub_way(a).max(self.space.hub_way(b));
        let begins = self.now + Micros(self.space.draw(a, b) % (spread.0 + 1));
        self.queue.push(begins + told + self.space.set_up(a, b), Event::Up(link));
        true
    }

    pub(super) fn add_link(&mut self, a: u32, b: u32, plan: u32) -> u32 {
        let link = self.links.len() as u32;
        let way = self.space.way(a, b);
        self.links.push(Link { members: [a, b], way, ends: [LinkEnd::default(); 2], plan });
        link
    }

    /// The time has come for a link to open.
    pub(super) fn up(&mut self, link: u32) {
        let Link { members: [a, b], plan, .. } = self.links[link as usize];
        let are_there = [a, b].iter().all(|member| self.members[*member as usize].machine.is_some());
        let has_one = self.link_between(a, b).is_some() && self.link_between(b, a).is_some();
        if are_there && !has_one && self.hub.plan.linked(a, b) {
            self.connect(link);
        }
        self.tell_hub(a, News::Opened(plan));
    }

    /// A link ended at both ends: it is opened anew where the plan wants it after all.
    pub(super) fn relink(&mut self, a: u32, b: u32) {
        let are_there = [a, b].iter().all(|member| self.members[*member as usize].machine.is_some());
        if are_there && self.hub.plan.linked(a, b) {
            let plan = self.hub.plans;
            self.hub.plans += 1;
            self.open(a, b, plan, Micros(0));
        }
    }

    fn opened(&mut self, plan: u32) {
        let Some(opening) = self.hub.open_plans.get_mut(&plan) else { return };
        opening.left -= 1;
        let (links, left) = (opening.links, opening.left);
        if left == 0
            && let Some(opening) = self.hub.open_plans.remove(&plan)
        {
            self.close_all(opening.closes);
        }
        self.is_ready(plan, links, left);
    }

    /// Commits a switch whose links are open.
    fn is_ready(&mut self, plan: u32, links: usize, left: usize) {
        if self.hub.switching == Some(plan) && left * MISSING <= links {
            self.commit();
        }
    }

    fn close_all(&mut self, closes: Vec<(u32, u32)>) {
        for (a, b) in closes {
            let planned = [a, b].iter().all(|member| self.members[*member as usize].machine.is_some());
            for (this, peer) in [(a, b), (b, a)] {
                let Some(link) = self.link_between(this, peer) else { continue };
                let Some(end) = self.end_of(link, this) else { continue };
                let heard = self.now + self.space.hub_way(this);
                self.queue.push(heard, Event::Close { link, end: end as u8, planned });
            }
        }
    }
}
