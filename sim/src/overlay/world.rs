//! A room of very many members: who is there, what is under way, and the loop that plays it.

use std::hint::black_box;

use bytes::Bytes;
use room::{
    courier::LinkUp,
    limits,
    time::{Micros, Time},
};

use super::{
    hub::{Hub, News},
    ids,
    lives::Lives,
    protocol::{Arrival, Plan, Protocol},
    queue::Queue,
    scenario::Scenario,
    space::{Space, Weather},
    tally::{State, Tally},
    uplink::Uplink,
};
use crate::dice::Dice;

/// What happens.
#[derive(Debug)]
pub(super) enum Event<F> {
    /// Something arrives at an end of a link.
    Frame { link: u32, end: u8, frame: F },
    /// A member has something to do.
    Tick(u32),
    /// Somebody enters.
    Enter,
    /// A member goes.
    Depart(u32),
    /// A member publishes.
    Publish(u32),
    /// A link opens, if all is still as it was.
    Up(u32),
    /// An end of a link has heard nothing for too long.
    Suspect { link: u32, end: u8 },
    /// An end of a link closes: because the plan says so, or for good reason.
    Close { link: u32, end: u8, planned: bool },
    /// A member hears its part of the plan.
    Plan { member: u32, plan: Box<Plan> },
    /// Everybody hears that a member is gone.
    Gone(u32),
    /// The hub hears something.
    Hub(News),
    /// Many crash.
    Massacre,
}

/// A room.
pub(super) struct World<'a, P: Protocol> {
    pub(super) scenario: &'a Scenario,
    pub(super) now: Time,
    /// When work and misfortunes end.
    pub(super) end: Time,
    pub(super) queue: Queue<Event<P::Frame>>,
    pub(super) space: Space,
    pub(super) hub: Hub,
    pub(super) members: Vec<Member<P>>,
    pub(super) links: Vec<Link>,
    pub(super) tally: Tally,
    pub(super) events: u64,
    lives: Lives,
    /// Those who are there, in no order.
    living: Vec<u32>,
    /// How late messages are.
    weather: Dice,
    /// Who publishes next, who is a victim.
    roles: Dice,
    payload: Bytes,
}

pub(super) struct Member<P> {
    /// What runs on it; `None` once it went.
    pub(super) machine: Option<P>,
    /// Its links by the number of the other end, in the order of those.
    pub(super) links: Vec<(u32, u32)>,
    /// When it entered.
    pub(super) entered: Time,
    /// When it reports next how far others are, or did last.
    pub(super) reports_at: Option<Time>,
    /// When and how it went.
    pub(super) gone: Option<(Time, State)>,
    uplink: Uplink,
    /// When it is woken next.
    tick_at: Time,
    /// Its place among the living.
    place: u32,
    publishes: bool,
}

/// A link between two members.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) members: [u32; 2],
    pub(super) way: Micros,
    pub(super) ends: [LinkEnd; 2],
    /// The plan that it is part of.
    pub(super) plan: u32,
}

/// An end of a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkEnd {
    pub(super) up: bool,
    /// When the last of what was sent from here arrives at the other end.
    pub(super) last: Time,
    /// Until when it may stay, where it is to go.
    draining: Option<Time>,
    weather: Weather,
}

/// From a suspicion to its report.
const REPORT: Micros = limits::REPORT_DELAY;

impl<'a, P: Protocol> World<'a, P> {
    /// The room at the start: everybody linked, nobody has said anything.
    pub(super) fn new(scenario: &'a Scenario) -> World<'a, P> {
        let space = Space::new(&scenario.network, scenario.seed);
        let hub = Hub::new(scenario);
        let mut world = World {
            scenario,
            now: Time(0),
            end: Time(scenario.seconds * 1_000_000),
            queue: Queue::new(),
            space,
            hub,
            members: Vec::new(),
            links: Vec::new(),
            tally: Tally::new(P::ORDERED, scenario.figures_from()),
            events: 0,
            lives: Lives::new(scenario),
            living: Vec::new(),
            weather: Dice::new(scenario.seed, 0, 10),
            roles: Dice::new(scenario.seed, 0, 11),
            payload: crate::payload::make(scenario.seed, scenario.bytes),
        };
        for _ in 0..scenario.members {
            let member = world.born(true);
            if member >= scenario.relays as u32 {
                let stay = world.lives.resident(member);
                world.will_depart(member, stay);
            }
        }
        world.link_residents();
        world.plan_misfortunes();
        let pause = world.pause();
        for _ in 0..scenario.publishers {
            let start = Time(1_000_000) + Micros(world.roles.below(pause.0));
            if let Some(member) = world.somebody_new() {
                world.queue.push(start, Event::Publish(member));
            }
        }
        world
    }

    /// Plays it to its end.
    pub(super) fn run(&mut self) {
        let settled = self.end + Micros::from_secs(self.scenario.settle_s);
        while let Some((at, event)) = self.next(settled) {
            self.now = at;
            self.events += 1;
            self.handle(event);
        }
        self.now = settled;
        self.check_links();
        let state = |member: u32| self.members[member as usize].gone.map_or(State::There, |(_, state)| state);
        self.tally.finish(settled, state);
    }

    /// What happens next. Members lie all over memory: those who are about to have something to do are looked at together,
    /// so that what is waited for is on its way at the same time.
    fn next(&mut self, end: Time) -> Option<(Time, Event<P::Frame>)> {
        let World { queue, members, links, .. } = self;
        queue.pop(end, |buckets| {
            for (_, event) in buckets.iter().flatten() {
                let member = match event {
                    Event::Frame { link, end, .. } => links[*link as usize].members[usize::from(*end)],
                    Event::Tick(member) => *member,
                    _ => continue,
                };
                black_box(members[member as usize].machine.as_ref().map(Protocol::poll_timeout));
            }
        })
    }

    fn handle(&mut self, event: Event<P::Frame>) {
        match event {
            Event::Frame { link, end, frame } => self.arrive(link, end, frame),
            Event::Tick(member) => self.tick(member),
            Event::Enter => self.enter(),
            Event::Depart(member) => self.depart(member),
            Event::Publish(member) => self.publish(member),
            Event::Up(link) => self.up(link),
            Event::Suspect { link, end } => self.suspect(link, end),
            Event::Close { link, end, planned } => self.close(link, end, planned),
            Event::Plan { member, plan } => self.with(member, |machine, now| machine.plan(now, &plan)),
            Event::Gone(origin) => {
                for at in 0..self.living.len() {
                    self.with(self.living[at], |machine, now| machine.gone(now, ids::id(origin)));
                }
            }
            Event::Hub(news) => self.hub_hears(news),
            Event::Massacre => self.massacre(),
        }
    }

    // ---- coming and going ----------------------------------------------------------------------------------------

    fn born(&mut self, resident: bool) -> u32 {
        let number = self.members.len() as u32;
        self.space.settle(number);
        let is_relay = (number as usize) < self.scenario.relays;
        let uplink = Uplink::new(if is_relay { 0 } else { self.scenario.network.uplink_kbps });
        self.members.push(Member {
            machine: Some(P::new(ids::id(number), self.now, resident)),
            links: Vec::new(),
            entered: self.now,
            reports_at: None,
            gone: None,
            uplink,
            tick_at: Time(u64::MAX),
            place: self.living.len() as u32,
            publishes: false,
        });
        self.living.push(number);
        self.tally.enter(is_relay);
        number
    }

    fn enter(&mut self) {
        let member = self.born(false);
        let stay = self.lives.newcomer(member);
        self.will_depart(member, stay);
        self.tell_hub(member, News::Joined(member));
        self.turn(member);
    }

    /// Plans the end of a member, where it is within the run.
    fn will_depart(&mut self, member: u32, stay: Option<Micros>) {
        if let Some(at) = stay.map(|stay| self.now + stay).filter(|at| *at < self.end) {
            self.queue.push(at, Event::Depart(member));
        }
    }

    /// A member goes, in whichever way it is its lot, and somebody else comes for it.
    fn depart(&mut self, member: u32) {
        if self.members[member as usize].gone.is_some() {
            return;
        }
        let crashes = self.lives.crashes(member);
        if crashes {
            self.crash(member);
        } else {
            self.leave(member);
        }
        let pause = Micros(self.roles.below(2_000_000));
        self.queue.push(self.now + pause, Event::Enter);
    }

    /// It says that it leaves when what it sent has arrived.
    fn leave(&mut self, member: u32) {
        let mut flushed = self.now;
        for (_, link) in self.remove(member, State::Left) {
            let Some(end) = self.end_of(link, member) else { continue };
            let Link { ends, way, .. } = &mut self.links[link as usize];
            ends[end].up = false;
            flushed = flushed.max(ends[end].last);
            let heard = ends[end].last.max(self.now + *way);
            self.queue.push(heard, Event::Close { link, end: 1 - end as u8, planned: false });
        }
        self.queue.push(flushed + self.space.hub_way(member), Event::Hub(News::Left(member)));
    }

    fn crash(&mut self, member: u32) {
        // Whoever hears nothing for too long tells the hub; of a member without links the hub finds out by itself.
        let mut reported = self.now + limits::UNVOUCHED_GRACE;
        for (_, link) in self.remove(member, State::Crashed) {
            let Some(end) = self.end_of(link, member) else { continue };
            let Link { ends, way, .. } = &mut self.links[link as usize];
            ends[end].up = false;
            let silent = self.now + *way;
            let (link, end) = (link, 1 - end as u8);
            self.queue.push(silent + limits::SUSPECT_AFTER, Event::Suspect { link, end });
            self.queue.push(silent + limits::RELINK_AFTER, Event::Close { link, end, planned: false });
            reported = reported.min(silent + limits::SUSPECT_AFTER + REPORT);
        }
        let way = self.space.hub_way(member);
        self.queue.push(reported + way, Event::Hub(News::Left(member)));
    }

    /// Takes a member out; gives the links that it had.
    fn remove(&mut self, member: u32, state: State) -> Vec<(u32, u32)> {
        let gone = &mut self.members[member as usize];
        gone.machine = None;
        gone.gone = Some((self.now, state));
        let place = gone.place as usize;
        let links = std::mem::take(&mut gone.links);
        let publishes = gone.publishes;
        self.living.swap_remove(place);
        if let Some(moved) = self.living.get(place) {
            self.members[*moved as usize].place = place as u32;
        }
        if publishes && let Some(heir) = self.somebody_new() {
            let pause = Micros(self.roles.below(self.pause().0));
            self.queue.push(self.now + pause, Event::Publish(heir));
        }
        links
    }

    fn plan_misfortunes(&mut self) {
        let at = |s: f64| Time((s * 1e6) as u64);
        if let Some(flash) = self.scenario.flash {
            for _ in 0..flash.members {
                let moment = at(flash.at_s) + Micros(self.roles.below(1_000_000));
                self.queue.push(moment, Event::Enter);
            }
        }
        if let Some(massacre) = self.scenario.massacre {
            self.queue.push(at(massacre.at_s), Event::Massacre);
        }
        for (number, switch) in self.scenario.switches.iter().enumerate() {
            self.queue.push(at(switch.at_s), Event::Hub(News::Switch(number)));
        }
    }

    fn massacre(&mut self) {
        let part = self.scenario.massacre.map_or(0.0, |massacre| massacre.part);
        let relays = self.scenario.relays as u32;
        let candidates: Vec<u32> = self.living.iter().copied().filter(|member| *member >= relays).collect();
        let victims: Vec<u32> = candidates.into_iter().filter(|_| self.roles.chance(part)).collect();
        for victim in victims {
            self.crash(victim);
        }
    }

    /// Something that a member tells the hub, or that the hub finds out about it.
    pub(super) fn tell_hub(&mut self, member: u32, news: News) {
        let way = self.space.hub_way(member);
        self.queue.push(self.now + way, Event::Hub(news));
    }

    // ---- work ----------------------------------------------------------------------------------------------------

    /// The time between two messages of a publisher.
    fn pause(&self) -> Micros {
        Micros((1e6 / self.scenario.messages_per_s.max(1e-3)) as u64)
    }

    /// Somebody with a link who does not publish yet.
    fn somebody_new(&mut self) -> Option<u32> {
        let relays = self.scenario.relays as u32;
        for _ in 0..100 {
            let member = *self.roles.pick(&self.living)?;
            let candidate = &mut self.members[member as usize];
            if member >= relays && !candidate.publishes && !candidate.links.is_empty() {
                candidate.publishes = true;
                return Some(member);
            }
        }
        None
    }

    fn publish(&mut self, member: u32) {
        let (now, end) = (self.now, self.end);
        let Some(machine) = self.members[member as usize].machine.as_mut().filter(|_| now < end) else { return };
        if machine.publish(now, &self.payload) {
            self.tally.published(member, now);
        }
        self.turn(member);
        let next = now + self.pause();
        self.queue.push(next, Event::Publish(member));
    }

    // ---- links ---------------------------------------------------------------------------------------------------

    /// Which end of a link a member is.
    pub(super) fn end_of(&self, link: u32, member: u32) -> Option<usize> {
        self.links[link as usize].members.iter().position(|end| *end == member)
    }

    /// The open link between two members, as the first sees it.
    pub(super) fn link_between(&self, a: u32, b: u32) -> Option<u32> {
        let links = &self.members[a as usize].links;
        links.binary_search_by_key(&b, |(peer, _)| *peer).ok().map(|at| links[at].1)
    }

    /// Both ends have the link from now on.
    pub(super) fn connect(&mut self, link: u32) {
        let [a, b] = self.links[link as usize].members;
        for (end, (this, peer)) in [(a, b), (b, a)].into_iter().enumerate() {
            if let Some(old) = self.link_between(this, peer) {
                // What is left of an earlier link, half closed.
                let end = self.end_of(old, this).map_or(0, |end| end as u8);
                self.close(old, end, false);
            }
            let peer_entered = self.members[peer as usize].entered;
            let member = &mut self.members[this as usize];
            let Some(machine) = &mut member.machine else { continue };
            let vouches = (peer_entered, peer) < (member.entered, this);
            let how = LinkUp { vouches, offer_from: (!vouches).then_some(peer_entered) };
            machine.link_up(self.now, ids::id(peer), how, self.links[link as usize].way);
            let place = member.links.partition_point(|(other, _)| *other < peer);
            member.links.insert(place, (peer, link));
            self.links[link as usize].ends[end].up = true;
            self.tally.linked(this, self.now, self.members[this as usize].links.len());
        }
        self.turn(a);
        self.turn(b);
        if self.now > Time(0) {
            self.will_measure(a);
            self.will_measure(b);
        }
    }

    fn suspect(&mut self, link: u32, end: u8) {
        let Link { members, ends, .. } = &self.links[link as usize];
        if ends[usize::from(end)].up {
            let peer = ids::id(members[usize::from(1 - end)]);
            self.with(members[usize::from(end)], |machine, now| machine.suspect(now, peer));
        }
    }

    fn close(&mut self, link: u32, end: u8, planned: bool) {
        let end = usize::from(end);
        let Link { members, ends, .. } = &self.links[link as usize];
        let (this, peer) = (members[end], members[1 - end]);
        if !ends[end].up {
            return;
        }
        if planned && self.hub.plan.linked(this, peer) {
            if self.links[link as usize].ends[end].draining.take().is_some() {
                self.with(this, |machine, _| machine.drain_no_more(ids::id(peer)));
            }
            return;
        }
        if planned && self.drains(link, end) {
            let look = self.now + limits::DRAIN_LOOK;
            return self.queue.push(look, Event::Close { link, end: end as u8, planned });
        }
        let Link { ends, way, .. } = &mut self.links[link as usize];
        ends[end].up = false;
        let other_hears = ends[1 - end].up.then(|| ends[end].last.max(self.now + *way));
        let links = &mut self.members[this as usize].links;
        links.retain(|(_, held)| *held != link);
        // Of those who never published only their neighbours know anything that is to be forgotten.
        let forget = self.members[peer as usize].gone.is_some() && !self.tally.has_published(peer);
        self.with(this, |machine, now| {
            machine.link_down(now, ids::id(peer));
            if forget {
                machine.gone(now, ids::id(peer));
            }
        });
        match other_hears {
            Some(at) => self.queue.push(at, Event::Close { link, end: 1 - end as u8, planned: false }),
            None => self.relink(this, peer),
        }
    }

    /// Whether a link that is to go is of use still.
    fn drains(&mut self, link: u32, end: usize) -> bool {
        let Link { members, ends, .. } = &mut self.links[link as usize];
        let (this, peer) = (members[end], ids::id(members[1 - end]));
        let until = *ends[end].draining.get_or_insert(self.now + limits::DRAIN_MAX);
        let mut is_used = false;
        self.with(this, |machine, now| is_used = now < until && machine.drain(now, peer));
        is_used
    }

    /// Something arrives.
    fn arrive(&mut self, link: u32, end: u8, frame: P::Frame) {
        let Link { members, ends, way, .. } = &self.links[link as usize];
        let (end, way) = (usize::from(end), *way);
        let (this, from) = (members[end], members[1 - end]);
        // What was to be sent again when its sender crashed is lost.
        let is_lost = |(at, state): (Time, State)| state == State::Crashed && self.now > at + way;
        if !ends[end].up || !ends[1 - end].up && self.members[from as usize].gone.is_some_and(is_lost) {
            return;
        }
        let message = P::message(&frame);
        self.tally.frame(P::size(&frame), message.map(|(origin, seq)| (ids::number(origin), seq)));
        let Some(machine) = &mut self.members[this as usize].machine else { return };
        if let Err(what) = machine.frame(self.now, ids::id(from), frame) {
            self.tally.violation(self.now, format_args!("{this} finds what {from} says wrong: {what}"));
        }
        self.turn(this);
    }

    // ---- turns ---------------------------------------------------------------------------------------------------

    fn tick(&mut self, member: u32) {
        let woken = &mut self.members[member as usize];
        // A later tick was planned before an earlier one: that one did its work.
        if woken.tick_at != self.now {
            return;
        }
        woken.tick_at = Time(u64::MAX);
        if let Some(machine) = &mut woken.machine {
            if machine.poll_timeout().is_some_and(|due| due <= self.now) {
                machine.tick(self.now);
            }
            self.turn(member);
        }
    }

    /// Something happens to a member that is there.
    fn with(&mut self, member: u32, act: impl FnOnce(&mut P, Time)) {
        if let Some(machine) = &mut self.members[member as usize].machine {
            act(machine, self.now);
            self.turn(member);
        }
    }

    /// Takes from a member what it has for its application and for its links, and asks when it is to be woken.
    pub(super) fn turn(&mut self, number: u32) {
        let now = self.now;
        let member = &mut self.members[number as usize];
        let Some(machine) = &mut member.machine else { return };
        let mut blocked;
        loop {
            while let Some(arrival) = machine.next_arrival(now) {
                match arrival {
                    Arrival::Message { origin, seq, hop } => {
                        self.tally.delivered(number, ids::number(origin), seq, hop, now);
                    }
                    Arrival::Gap { origin, from, to } => self.tally.gap(number, ids::number(origin), from, to, now),
                }
            }
            blocked = member.uplink.full_until(now);
            if blocked.is_some() {
                break;
            }
            let Some((peer, frame)) = machine.next_frame(now) else { break };
            let peer = ids::number(peer);
            let Ok(at) = member.links.binary_search_by_key(&peer, |(other, _)| *other) else { continue };
            let id = member.links[at].1;
            let link = &mut self.links[id as usize];
            let end = usize::from(link.members[1] == number);
            let departs = member.uplink.send(now, P::size(&frame));
            let sender = &mut link.ends[end];
            let late = sender.weather.late(&self.scenario.network, &mut self.weather);
            sender.last = sender.last.max(departs + link.way + late);
            self.queue.push(sender.last, Event::Frame { link: id, end: 1 - end as u8, frame });
        }
        let due = blocked.or_else(|| machine.poll_timeout()).map(|due| due.max(now + Micros(1)));
        if let Some(due) = due
            && due < member.tick_at
        {
            member.tick_at = due;
            self.queue.push(member.tick_at, Event::Tick(number));
        }
    }
}
