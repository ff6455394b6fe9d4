//! Applications: what they say, what they hear, and what they make of it.

use std::collections::{BTreeMap, VecDeque};

use room::{
    id::MemberId,
    limits,
    member::{Answer, Event, Input, LinkState, Lossy, Member, NotSent},
    time::Time,
    wire::signal::{Json, Member as MemberInfo, RefusalCode},
};

use super::{World, actor::Fate, links};
use crate::{
    payload::{self, Content},
    schedule::{Saying, To},
};

/// An application: it waits for each send before the next, and keeps what it was told.
#[derive(Debug, Default)]
pub(super) struct App {
    /// What it wants to say.
    pub(super) backlog: VecDeque<Saying>,
    /// What it does as soon as the machine has had its turn.
    pub(super) follow_ups: VecDeque<Input>,
    /// It takes nothing.
    pub(super) stalled: bool,
    /// Who is in the room, by its events.
    pub(super) roster: BTreeMap<MemberId, MemberInfo>,
    /// The room's state, by its events.
    pub(super) state: BTreeMap<String, Json>,
    /// What it wrote last to each of its own entries of the room's state, and to its attributes.
    pub(super) own_state: BTreeMap<String, Json>,
    pub(super) own_attributes: BTreeMap<String, Option<String>>,
    joined: bool,
    /// When the hub welcomed it last.
    welcomed: Time,
    tickets: u64,
    /// The send that it waits for, and where that stands in its stream.
    busy: Option<(u64, Option<usize>, u64)>,
    /// What it has not taken.
    unconsumed: Vec<(MemberId, usize, bool)>,
    /// Bytes of that, by sender, reliable and lossy.
    lying: BTreeMap<(MemberId, bool), usize>,
}

impl App {
    /// It says nothing more.
    pub(super) fn stop(&mut self) {
        self.backlog.clear();
    }

    pub(super) fn has_joined(&self) -> bool {
        self.joined
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

impl World {
    /// Says what an application has to say, as far as it need not wait, and lets the machine have its turns.
    pub(super) fn speak(&mut self, actor: usize) {
        if self.actors[actor].asleep {
            return;
        }
        self.say(actor);
        while let Some(next) = self.actors[actor].app.follow_ups.pop_front() {
            self.turn(actor, next);
        }
    }

    fn say(&mut self, actor: usize) {
        while self.actors[actor].app.joined
            && self.actors[actor].app.busy.is_none()
            && let Some(saying) = self.actors[actor].app.backlog.pop_front()
        {
            if let Some(input) = self.input_of(actor, &saying) {
                self.actors[actor].app.follow_ups.push_back(input);
            }
        }
    }

    fn input_of(&mut self, actor: usize, saying: &Saying) -> Option<Input> {
        match *saying {
            Saying::Message { to, bytes } => {
                let to = self.target(actor, to)?;
                let mut owed = match to {
                    Some(to) => vec![to],
                    None => self.known(actor),
                };
                // Who makes mischief is cut off by those who notice, and is promised nothing.
                owed.retain(|to| !self.is_adversary(*to) && !self.is_adversary(actor));
                let number = self.checks.delivery.sent(actor, to, owed, self.now, bytes);
                let payload = payload::make(number, bytes);
                let id = to.map(|to| self.actors[to].id);
                let app = &mut self.actors[actor].app;
                let ticket = app.ticket();
                app.busy = Some((ticket, to, number));
                Some(Input::Send { ticket, channel: "chat".to_owned(), to: id, payload })
            }
            Saying::Call { to, bytes } => {
                let to = self.target(actor, to)??;
                let ticket = self.actors[actor].app.ticket();
                let payload = payload::make(ticket, bytes);
                self.checks.calls.begun(actor, ticket, payload.clone());
                let to = self.actors[to].id;
                Some(Input::Call { ticket, to, method: "turn".to_owned(), payload, timeout: None })
            }
            Saying::Latest { channel, bytes } => {
                let channel = format!("latest-{channel}");
                let number = self.checks.lossy.published(actor, &channel);
                let payload = payload::make(number, bytes);
                Some(Input::Publish { mode: Lossy::Latest, channel, to: None, payload })
            }
            Saying::Datagram { bytes } => {
                let payload = payload::make(self.checks.lossy.sent(actor), bytes);
                Some(Input::Publish { mode: Lossy::Datagram, channel: "dust".to_owned(), to: None, payload })
            }
            Saying::State { key, own, remove, bytes } => {
                let value = if remove { Json::null() } else { Json::from(&"x".repeat(bytes)).ok()? };
                let key = if own { format!("{actor}-{key}") } else { format!("key-{key}") };
                if own {
                    self.actors[actor].app.own_state.insert(key.clone(), value.clone());
                }
                Some(Input::SetState { key, value })
            }
            Saying::Pin(topology) => {
                let ticket = self.actors[actor].app.ticket();
                Some(Input::Pin { ticket, topology: topology.to_owned() })
            }
            Saying::Attribute { key, remove } => {
                let (key, value) = (format!("key-{key}"), (!remove).then(|| format!("at {}", self.now)));
                self.actors[actor].app.own_attributes.insert(key.clone(), value.clone());
                Some(Input::SetAttributes { set: BTreeMap::from([(key, value)]) })
            }
        }
    }

    /// Whom something is for: `Some(None)` is everybody, `None` nobody who can be named.
    fn target(&mut self, actor: usize, to: To) -> Option<Option<usize>> {
        match to {
            To::Room => Some(None),
            To::Actor(other) => (other < self.actors.len()).then_some(Some(other)),
            To::Somebody(number) => {
                let known = self.known(actor);
                let place = number.checked_rem(known.len() as u64)?;
                Some(Some(*known.get(usize::try_from(place).ok()?)?))
            }
        }
    }

    /// Whom a member's machine lists.
    pub(super) fn known(&self, actor: usize) -> Vec<usize> {
        let machine = self.actors[actor].machine.iter();
        machine.flat_map(Member::members).map(|info| self.numbers[&info.id]).collect()
    }

    /// An application hears something.
    pub(super) fn hear(&mut self, actor: usize, event: Event) {
        match event {
            Event::Joined(joined) => {
                let app = &mut self.actors[actor].app;
                app.joined = true;
                app.welcomed = self.now;
                app.roster = joined.members.into_iter().map(|info| (info.id, info)).collect();
                let state = joined.state.into_iter().filter(|(_, entry)| !entry.value.is_null());
                app.state = state.map(|(key, entry)| (key, entry.value)).collect();
                self.say(actor);
            }
            Event::MemberJoin(info) => {
                let id = info.id;
                if self.actors[actor].app.roster.insert(id, info).is_some() {
                    self.odd(actor, &format!("hears of {id} entering twice"));
                }
            }
            Event::MemberLeave { member, .. } => {
                if self.actors[actor].app.roster.remove(&member.id).is_none() {
                    self.odd(actor, &format!("hears of {} leaving, who was not there", member.id));
                }
                self.checks.plan.leaves_heard += 1;
                let other = self.numbers[&member.id];
                self.checks.delivery.parted(actor, other, self.now);
                let welcomed = self.actors[actor].app.welcomed;
                self.checks.dropped(other, welcomed, self.now);
            }
            Event::MemberUpdate(info) if info.id != self.actors[actor].id => {
                self.actors[actor].app.roster.insert(info.id, info);
            }
            Event::Link { peer, state, reason, .. } => {
                if !self.actors[actor].app.roster.contains_key(&peer) && !self.actors[self.numbers[&peer]].is_relay() {
                    self.odd(actor, &format!("hears of a link to {peer}, who is not there"));
                }
                // A link to somebody who leaves before it opens does fail.
                let failed = state == LinkState::Failed && reason.as_deref() != Some(links::NO_WAY);
                self.checks.plan.failures_heard += u64::from(failed);
                if reason.is_some_and(|reason| reason.starts_with("forged")) {
                    self.forgery_heard(actor, peer);
                }
            }
            Event::Message { from, addressed, payload, .. } => {
                let sender = self.sender(actor, from);
                match payload::read(&payload) {
                    Content::Whole(number) => {
                        self.checks.delivery.delivered(actor, sender, addressed, number, self.now);
                    }
                    Content::Torn => self.odd(actor, &format!("gets a torn message from {sender}")),
                }
                self.take(actor, from, payload.len(), false);
            }
            Event::Lossy { from, mode, channel, payload } => {
                let sender = self.sender(actor, from);
                match (payload::read(&payload), mode) {
                    (Content::Torn, _) => self.odd(actor, &format!("gets a torn value from {sender}")),
                    (Content::Whole(number), Lossy::Latest) => {
                        let odd = self.checks.lossy.seen(actor, sender, &channel, number);
                        odd.into_iter().for_each(|odd| self.odd(actor, &odd));
                    }
                    (Content::Whole(number), Lossy::Datagram) => {
                        let odd = self.checks.lossy.received(actor, sender, number);
                        odd.into_iter().for_each(|odd| self.odd(actor, &odd));
                    }
                }
                self.take(actor, from, payload.len(), true);
            }
            Event::Call { from, call, payload, .. } => {
                let caller = self.sender(actor, from);
                if !self.checks.calls.executed(actor, caller, call) {
                    self.odd(actor, &format!("is asked twice for call {call} of {caller}"));
                }
                self.take(actor, from, payload.len(), false);
                let answer = Answer::Result(payload::turned(&payload));
                self.actors[actor].app.follow_ups.push_back(Input::Reply { to: from, call, answer });
            }
            Event::Called { ticket, answer } => {
                let odd = self.checks.calls.answered(actor, ticket, &answer);
                odd.into_iter().for_each(|odd| self.odd(actor, &odd));
            }
            Event::Sent { ticket } => self.sent(actor, ticket, true),
            Event::NotSent { ticket, why } => {
                if why == NotSent::TooLarge || why == NotSent::NotAllowed {
                    self.odd(actor, &format!("may not send: {why}"));
                }
                self.sent(actor, ticket, false);
            }
            Event::Gap { member, addressed, to_seq, .. } => {
                let sender = self.numbers[&member];
                if self.is_adversary(actor) || self.is_adversary(sender) {
                    return;
                }
                self.checks.delivery.gap(actor, sender, addressed, to_seq, self.now);
            }
            Event::State { key, value, .. } => {
                let state = &mut self.actors[actor].app.state;
                if value.is_null() {
                    state.remove(&key);
                } else {
                    state.insert(key, value);
                }
            }
            // Else somebody left while a signal was on its way to them.
            Event::Refused { code, message, .. } if code != RefusalCode::UnknownMember => {
                self.odd(actor, &format!("is refused something: {message}"));
            }
            Event::Closed { reason, .. } => {
                let app = &self.actors[actor].app;
                let fate = if self.actors[actor].fate == Fate::Leaving { Fate::Left } else { Fate::Closed };
                if fate == Fate::Closed && app.joined {
                    self.odd(actor, &format!("is shut out: {reason}"));
                }
                self.actors[actor].fate = fate;
                self.checks.calls.caller_left(actor);
            }
            Event::Reconnected { .. } => self.actors[actor].app.welcomed = self.now,
            _ => {}
        }
    }

    /// Who sent what came; nothing comes from those who are not there.
    fn sender(&mut self, actor: usize, from: MemberId) -> usize {
        if !self.actors[actor].app.roster.contains_key(&from) {
            self.odd(actor, &format!("hears from {from}, who is not there"));
        }
        self.numbers[&from]
    }

    fn sent(&mut self, actor: usize, ticket: u64, taken: bool) {
        let app = &mut self.actors[actor].app;
        if let Some((_, to, number)) = app.busy.take_if(|(busy, ..)| *busy == ticket) {
            if !taken {
                self.checks.delivery.refused(actor, to, number);
            }
            self.say(actor);
        } else {
            self.odd(actor, &format!("hears of ticket {ticket}, which is not open"));
        }
    }

    // ---- taking --------------------------------------------------------------------------------------------------

    fn take(&mut self, actor: usize, from: MemberId, bytes: usize, lossy: bool) {
        let app = &mut self.actors[actor].app;
        if !app.stalled {
            app.follow_ups.push_back(Input::Consumed { from, bytes, lossy });
            return;
        }
        app.unconsumed.push((from, bytes, lossy));
        let lying = app.lying.entry((from, lossy)).or_default();
        *lying += bytes;
        let bound = if lossy {
            limits::LOSSY_HELD as usize + limits::LOSSY_MAX
        } else {
            limits::RECEIVE_WINDOW as usize + limits::MESSAGE_MAX
        };
        if *lying > bound {
            let lying = *lying;
            self.odd(actor, &format!("is given {lying} B that it does not take"));
        }
    }

    /// A stalled application takes what it left lying.
    pub(super) fn consume(&mut self, actor: usize) {
        let app = &mut self.actors[actor].app;
        app.stalled = false;
        app.lying.clear();
        for (from, bytes, lossy) in std::mem::take(&mut app.unconsumed) {
            app.follow_ups.push_back(Input::Consumed { from, bytes, lossy });
        }
        self.speak(actor);
    }

    fn odd(&mut self, actor: usize, what: &str) {
        self.checks.violation(self.now, format!("{actor} {what}"));
    }
}
