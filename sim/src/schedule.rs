//! What happens in one room and when: drawn from a scenario, or written by hand.

use std::collections::BTreeSet;

use room::time::{Micros, Time};

use crate::{dice::Dice, scenario::Scenario};

/// One thing that happens, whatever the machines do. Actors are numbered in the order in which they are born; a
/// number is used once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// An actor enters the room.
    Enter(usize),
    /// It leaves, properly.
    Leave(usize),
    /// Its process ends without a word. Where it `hangs`, its socket stays as if nothing had happened.
    Crash { actor: usize, hangs: bool },
    /// Its socket is cut; either side notices after a while, or not by itself.
    Cut { actor: usize, member_notices: Option<Micros>, hub_notices: Option<Micros> },
    /// It gets no turns for a while.
    Sleep { actor: usize, length: Micros },
    /// Its application takes nothing for a while.
    Stall { actor: usize, length: Micros },
    /// The link between two actors, if there is one, loses its path.
    Rebind { a: usize, b: usize },
    /// Nothing passes between those on one side and the others, and with `hub` the hub.
    Partition { side: BTreeSet<usize>, hub: bool, length: Micros },
    /// The hub ends, with or without telling, and starts anew, empty, after a while.
    Restart { tells: bool, down: Micros },
    /// The server's relay, if there is one, ends without a word.
    CrashRelay,
    /// An application says something.
    Say { actor: usize, saying: Saying },
}

/// What an application says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Saying {
    /// A reliable message.
    Message { to: To, bytes: usize },
    /// A call, whose argument comes back turned around.
    Call { to: To, bytes: usize },
    /// A value on a `latest` channel.
    Latest { channel: u64, bytes: usize },
    /// A datagram.
    Datagram { bytes: usize },
    /// A write to the room's state; to an entry that others write too, or to the actor's own.
    State { key: u64, own: bool, remove: bool, bytes: usize },
    /// The room is to be linked so from now on.
    Pin(&'static str),
    /// A change of own attributes.
    Attribute { key: u64, remove: bool },
}

/// Whom something is said to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum To {
    /// Everybody.
    Room,
    /// One actor.
    Actor(usize),
    /// One of those whom the sender knows, by this number.
    Somebody(u64),
}

/// All that happens in a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    /// In the order of time.
    pub(crate) actions: Vec<(Time, Action)>,
    /// When the last thing happens that is nobody's own doing.
    pub(crate) end: Time,
}

impl Schedule {
    /// A schedule written by hand, in any order.
    pub(crate) fn of(mut actions: Vec<(Time, Action)>) -> Schedule {
        actions.sort_by_key(|(at, _)| *at);
        let end = actions.iter().map(|(at, action)| *at + action.length()).max().unwrap_or_default();
        Schedule { actions, end }
    }

    /// What a scenario makes of one of its rooms.
    pub(crate) fn random(scenario: &Scenario, room: usize) -> Schedule {
        Draw::new(scenario, room).draw()
    }
}

impl Action {
    /// How long it lasts.
    fn length(&self) -> Micros {
        match self {
            Action::Sleep { length, .. } | Action::Stall { length, .. } | Action::Partition { length, .. } => *length,
            Action::Restart { down, .. } => *down,
            _ => Micros(0),
        }
    }
}

/// An actor while a schedule is drawn.
struct Life {
    from: Time,
    /// When it leaves or crashes.
    to: Time,
}

struct Draw<'a> {
    scenario: &'a Scenario,
    dice: Dice,
    end: Time,
    lives: Vec<Life>,
    actions: Vec<(Time, Action)>,
}

impl<'a> Draw<'a> {
    fn new(scenario: &'a Scenario, room: usize) -> Draw<'a> {
        let dice = Dice::new(scenario.seed, room, 1);
        let end = Time(scenario.seconds * 1_000_000);
        Draw { scenario, dice, end, lives: Vec::new(), actions: Vec::new() }
    }

    fn draw(mut self) -> Schedule {
        let scenario = self.scenario;
        let share = scenario.members / scenario.rooms.max(1);
        for _ in 0..share {
            let at = if scenario.flash { Time(0) } else { Time(self.dice.below(1_000_000)) };
            self.enter(at);
        }
        self.crowd();
        self.churn(share + scenario.crowd);
        if scenario.faults.massacre {
            self.massacre();
        }
        self.exodus();
        self.faults();
        for actor in 0..self.lives.len() {
            self.work(actor);
        }
        self.tour();
        Schedule::of(self.actions)
    }

    fn enter(&mut self, at: Time) {
        self.actions.push((at, Action::Enter(self.lives.len())));
        self.lives.push(Life { from: at, to: self.end });
    }

    /// Many come, and go again.
    fn crowd(&mut self) {
        let percent = self.end.0 / 100;
        for actor in self.lives.len()..self.lives.len() + self.scenario.crowd {
            let comes = Time(self.dice.between(3 * percent, 8 * percent));
            let goes = Time(self.dice.between(50 * percent, 53 * percent));
            self.enter(comes);
            self.lives[actor].to = goes;
            self.actions.push((goes, Action::Leave(actor)));
        }
    }

    /// Times at which something happens that happens so often a minute.
    fn times(&mut self, per_min: f64) -> Vec<Time> {
        let mut times = Vec::new();
        if per_min > 0.0 {
            let mean = Micros((60_000_000.0 / per_min) as u64);
            let mut at = Time(1_000_000) + self.dice.around(mean);
            while at < self.end {
                times.push(at);
                at = at + self.dice.around(mean);
            }
        }
        times
    }

    /// Somebody who has been in for a second.
    fn somebody(&mut self, at: Time) -> Option<usize> {
        let settled = |life: &Life| life.from + Micros::from_secs(1) <= at && at < life.to;
        let living: Vec<usize> = (0..self.lives.len()).filter(|actor| settled(&self.lives[*actor])).collect();
        self.dice.pick(&living).copied()
    }

    fn churn(&mut self, share: usize) {
        let faults = &self.scenario.faults;
        for at in self.times(self.scenario.churn_per_min * share as f64) {
            let Some(actor) = self.somebody(at) else { continue };
            let crashes = self.dice.chance(faults.crashes);
            let hangs = self.dice.chance(faults.hangs);
            let action = if crashes { Action::Crash { actor, hangs } } else { Action::Leave(actor) };
            self.actions.push((at, action));
            self.lives[actor].to = at;
            let pause = Micros(self.dice.below(2_000_000));
            self.enter(at + pause);
        }
    }

    fn massacre(&mut self) {
        let at = Time(self.end.0 / 10 * 6);
        let victims = self.lives.len() / 3;
        for _ in 0..victims {
            let Some(actor) = self.somebody(at) else { return };
            let hangs = self.dice.chance(self.scenario.faults.hangs);
            self.actions.push((at, Action::Crash { actor, hangs }));
            self.lives[actor].to = at;
        }
    }

    fn exodus(&mut self) {
        let at = Time(self.end.0 / 10 * 6);
        let leaving = (self.lives.len() as f64 * self.scenario.faults.exodus) as usize;
        for _ in 0..leaving {
            let Some(actor) = self.somebody(at) else { return };
            let at = at + Micros(self.dice.below(1_000_000));
            self.actions.push((at, Action::Leave(actor)));
            self.lives[actor].to = at;
        }
    }

    fn faults(&mut self) {
        let faults = &self.scenario.faults;
        for at in self.times(faults.cuts_per_min) {
            if let Some(actor) = self.somebody(at) {
                let member_notices = self.notices();
                let hub_notices = self.notices();
                self.actions.push((at, Action::Cut { actor, member_notices, hub_notices }));
            }
        }
        for at in self.times(faults.sleeps_per_min) {
            if let Some(actor) = self.somebody(at) {
                let length = self.seconds(6);
                self.actions.push((at, Action::Sleep { actor, length }));
            }
        }
        for at in self.times(faults.stalls_per_min) {
            if let Some(actor) = self.somebody(at) {
                let length = self.seconds(10);
                self.actions.push((at, Action::Stall { actor, length }));
            }
        }
        for at in self.times(faults.rebinds_per_min) {
            if let (Some(a), Some(b)) = (self.somebody(at), self.somebody(at))
                && a != b
            {
                self.actions.push((at, Action::Rebind { a, b }));
            }
        }
        for at in self.times(faults.pins_per_min) {
            if let Some(actor) = self.somebody(at)
                && let Some(topology) = self.dice.pick(&["mesh", "small-world", "tree", "auto"]).copied()
            {
                self.actions.push((at, Action::Say { actor, saying: Saying::Pin(topology) }));
            }
        }
        for at in self.times(faults.relay_crashes_per_min) {
            self.actions.push((at, Action::CrashRelay));
        }
        for at in self.times(faults.partitions_per_min) {
            let side = (0..self.lives.len()).filter(|_| self.dice.chance(0.4)).collect();
            let hub = self.dice.chance(0.4);
            let length = self.seconds(faults.partition_s);
            self.actions.push((at, Action::Partition { side, hub, length }));
        }
        for at in self.times(faults.blocks_per_min) {
            if let Some(actor) = self.somebody(at) {
                let length = self.seconds(faults.block_s);
                self.actions.push((at, Action::Partition { side: BTreeSet::from([actor]), hub: false, length }));
            }
        }
        for at in self.times(faults.restarts_per_min) {
            let tells = self.dice.chance(0.5);
            let down = self.seconds(faults.restart_s);
            self.actions.push((at, Action::Restart { tells, down }));
        }
    }

    /// The room is moved by whoever is there, which is a mesh at first.
    fn tour(&mut self) {
        let pause = Micros::from_secs(self.scenario.tour_s);
        if pause == Micros(0) {
            return;
        }
        let mut at = Time(0);
        for topology in Scenario::TOUR {
            at = at + pause;
            if let Some(actor) = self.somebody(at) {
                self.actions.push((at, Action::Say { actor, saying: Saying::Pin(topology) }));
            }
        }
    }

    /// When one side of a cut socket notices: mostly soon, sometimes late, sometimes never.
    fn notices(&mut self) -> Option<Micros> {
        match self.dice.below(10) {
            0..6 => Some(Micros(self.dice.below(20_000))),
            6..9 => Some(Micros(self.dice.below(8_000_000))),
            _ => None,
        }
    }

    fn seconds(&mut self, most: u64) -> Micros {
        Micros(self.dice.between(200_000, most.max(1) * 1_000_000))
    }

    fn work(&mut self, actor: usize) {
        let work = &self.scenario.work;
        let (from, to) = (self.lives[actor].from, self.lives[actor].to);
        for (kind, per_s) in [
            work.messages_per_s,
            work.addressed_per_s,
            work.calls_per_s,
            work.latest_per_s,
            work.datagrams_per_s,
            work.state_per_s,
            work.attributes_per_s,
        ]
        .into_iter()
        .enumerate()
        {
            if per_s <= 0.0 {
                continue;
            }
            let mean = Micros((1_000_000.0 / per_s) as u64);
            let mut at = from + self.dice.around(mean);
            while at < to {
                let saying = self.saying(kind);
                self.actions.push((at, Action::Say { actor, saying }));
                at = at + self.dice.around(mean);
            }
        }
    }

    fn saying(&mut self, kind: usize) -> Saying {
        let somebody = To::Somebody(self.dice.number());
        let small = usize::try_from(self.dice.between(0, 300)).unwrap_or(0);
        match kind {
            0 => Saying::Message { to: To::Room, bytes: self.size() },
            1 => Saying::Message { to: somebody, bytes: self.size() },
            2 => Saying::Call { to: somebody, bytes: small },
            3 => Saying::Latest { channel: self.dice.below(3), bytes: small },
            4 => Saying::Datagram { bytes: small },
            5 => Saying::State {
                key: self.dice.below(4),
                own: self.dice.chance(0.5),
                remove: self.dice.chance(0.2),
                bytes: small,
            },
            _ => Saying::Attribute { key: self.dice.below(4), remove: self.dice.chance(0.2) },
        }
    }

    /// Mostly a line of text, sometimes several chunks, at times more than 1 MiB.
    fn size(&mut self) -> usize {
        let work = &self.scenario.work;
        let bytes = if self.dice.chance(work.huge) {
            self.dice.between(1 << 20, 3 << 20)
        } else if self.dice.chance(work.long) {
            self.dice.between(10_000, 80_000)
        } else {
            self.dice.between(0, 300)
        };
        usize::try_from(bytes).unwrap_or(0)
    }
}
