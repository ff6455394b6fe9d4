//! A member's session with the hub: entering, coming back, and the changes that the hub has yet to confirm.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::{
        frame::NUMBER_MAX,
        signal::{
            Attributes, ClientMessage, Join, LinkReport, PinTopology, Refused, SetAttributes, SetState, StateEntry,
            VERSION, Welcome,
        },
    },
};

use super::{io::Config, resume::resume};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A socket is being opened.
    Connecting,
    /// `join` was sent.
    Joining,
    /// Welcomed.
    Joined,
    /// Waiting for the next try.
    Pause { until: Time },
    /// For good.
    Closed,
}

/// How a member sees one of its links, as it reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Up,
    Suspect,
    Down,
}

#[derive(Debug)]
pub(super) struct Session {
    pub config: Config,
    pub state: State,
    /// The hub that welcomed this member last; `None` before the first welcome.
    pub hub: Option<String>,
    pub epoch: u64,
    pub topology: String,
    /// What the room is to be; `None`: what fits.
    pub wanted: Option<String>,
    /// Whether the hub carries frames of links.
    pub carries: bool,
    pub room_state: BTreeMap<String, StateEntry>,
    /// Until when the first welcome must have come.
    pub enter_by: Time,
    /// Why the hub cut the member off, where it said so.
    pub refusal: Option<Refused>,
    /// When the hub, going down, wants the member back.
    pub retry: Option<Micros>,
    failures: u32,
    op: u64,
    pending: VecDeque<(u64, ClientMessage)>,
    /// Tickets and words of wishes how the room should be linked that the hub has yet to answer.
    pins: VecDeque<(u64, String)>,
    reports: BTreeMap<MemberId, Report>,
    /// Members that forged, of whom the hub has yet to hear.
    accused: BTreeSet<MemberId>,
    /// Members whom no neighbour brings, of whom the hub has yet to hear.
    lacked: BTreeSet<MemberId>,
    report_at: Option<Time>,
    /// The hub is to be told that this member knows where streams begin; whether it was told, since it welcomed it.
    settles: bool,
    settled: bool,
    /// When the hub is to be told how far the other ends of links are; when it was told last.
    rtts_at: Option<Time>,
    rtts_told: Option<Time>,
    heard: Time,
    welcomed: Time,
    pinged: bool,
    ping: Micros,
    jitter: u32,
}

impl Session {
    pub fn new(config: Config, now: Time) -> Session {
        let jitter = config.seed;
        Session {
            config,
            state: State::Connecting,
            hub: None,
            epoch: 0,
            topology: String::new(),
            wanted: None,
            carries: false,
            room_state: BTreeMap::new(),
            enter_by: now + limits::ENTER_TIMEOUT,
            refusal: None,
            retry: None,
            failures: 0,
            op: 0,
            pending: VecDeque::new(),
            pins: VecDeque::new(),
            reports: BTreeMap::new(),
            accused: BTreeSet::new(),
            lacked: BTreeSet::new(),
            report_at: None,
            settles: false,
            settled: false,
            rtts_at: None,
            rtts_told: None,
            heard: now,
            welcomed: now,
            pinged: false,
            ping: limits::HUB_PING,
            jitter,
        }
    }

    pub fn is_joined(&self) -> bool {
        self.state == State::Joined
    }

    /// The next jitter: mulberry32, which both languages compute alike.
    pub fn jitter(&mut self) -> u32 {
        self.jitter = self.jitter.wrapping_add(0x6d2b_79f5);
        let mut t = self.jitter;
        t = (t ^ (t >> 15)).wrapping_mul(t | 1);
        t ^= t.wrapping_add((t ^ (t >> 7)).wrapping_mul(t | 61));
        t ^ (t >> 14)
    }

    /// The first message on a new socket. `up`: whom this member has open links to; `next`: the first chunk of its stream that
    /// it has not said yet.
    pub fn join(&mut self, up: Vec<MemberId>, next: u64, now: Time) -> ClientMessage {
        self.state = State::Joining;
        self.refusal = None;
        self.retry = None;
        self.heard = now;
        self.pinged = false;
        let config = &self.config;
        let join = Join {
            v: VERSION,
            secret: config.secret,
            key: config.key,
            name: config.name.clone(),
            attributes: config.attributes.clone(),
            token: config.token.clone(),
            topology: config.topology.clone(),
            agent: config.agent.clone(),
            relay: config.relay,
            resume: None,
        };
        let Some(hub) = self.hub.clone() else { return ClientMessage::Join(join) };
        let linked = (self.topology.as_str(), self.wanted.as_deref());
        let (message, left_out) = resume(join, hub, linked, next, up, &self.room_state);
        // They are told as soon as the hub has welcomed this member.
        for peer in left_out {
            self.report(peer, Report::Up, now);
        }
        message
    }

    /// Takes what a welcome says of the session itself; gives the changes to send again.
    pub fn welcomed(&mut self, welcome: &Welcome, now: Time) -> Vec<ClientMessage> {
        self.state = State::Joined;
        self.welcomed = now;
        (self.settles, self.settled) = (false, false);
        self.hub = Some(welcome.hub.clone());
        self.epoch = welcome.epoch.min(NUMBER_MAX);
        self.carries = welcome.carry > 0;
        self.ping = Micros::from_millis(welcome.ping_ms.clamp(1_000, 60_000));
        self.op = self.op.max(welcome.op.min(NUMBER_MAX));
        self.attributes_are(&welcome.this.attributes);
        self.confirmed(welcome.op);
        self.pending.iter().map(|(_, message)| message.clone()).collect()
    }

    /// The socket ended: when to try again. A server that welcomes and soon closes, whatever for, is asked ever more rarely.
    pub fn lost(&mut self, now: Time) -> Time {
        if self.is_joined() && now.since(self.welcomed) >= limits::RECONNECT_MAX {
            self.failures = 0;
        }
        let pause = (limits::RECONNECT_MIN.0 << self.failures.min(16)).min(limits::RECONNECT_MAX.0);
        self.failures = self.failures.saturating_add(1);
        let base = self.retry.take().unwrap_or(Micros(pause / 2));
        let until = now + base + Micros(u64::from(self.jitter()) % pause);
        self.state = State::Pause { until };
        until
    }

    // ---- changes --------------------------------------------------------------------------------

    /// Numbers a change and keeps it until it is confirmed. `None` where too many wait.
    fn change(&mut self, message: impl FnOnce(u64) -> ClientMessage) -> Option<ClientMessage> {
        if self.pending.len() >= limits::PENDING_CHANGES {
            return None;
        }
        self.op += 1;
        let message = message(self.op);
        self.pending.push_back((self.op, message.clone()));
        Some(message)
    }

    pub fn set_state(&mut self, set: impl FnOnce(u64) -> SetState) -> Option<ClientMessage> {
        self.change(|op| ClientMessage::State(set(op)))
    }

    pub fn set_attributes(&mut self, set: BTreeMap<String, Option<String>>) -> Option<ClientMessage> {
        self.change(|op| ClientMessage::Attributes(SetAttributes { op, set }))
    }

    /// The member's attributes are these now, by the hub's word. What it has yet to confirm goes out after the next
    /// welcome again: were it in the `join`, one change that the hub cannot take would keep the member out.
    pub fn attributes_are(&mut self, attributes: &Attributes) {
        self.config.attributes.clone_from(attributes);
    }

    /// The hub has applied this member's changes up to `op`.
    pub fn confirmed(&mut self, op: u64) {
        while self.pending.front().is_some_and(|(number, _)| *number <= op) {
            self.pending.pop_front();
        }
    }

    /// Keeps a wish how the room should be linked until it is answered. `None` where too many wait.
    pub fn pin(&mut self, ticket: u64, topology: String) -> Option<ClientMessage> {
        if self.pins.len() >= limits::PINS_MAX {
            return None;
        }
        self.pins.push_back((ticket, topology.clone()));
        Some(ClientMessage::Topology(PinTopology { pin: topology }))
    }

    /// The ticket of the oldest wish for this word, which is answered.
    pub fn pinned(&mut self, word: &str) -> Option<u64> {
        let place = self.pins.iter().position(|(_, wished)| wished == word)?;
        self.pins.remove(place).map(|(ticket, _)| ticket)
    }

    /// The tickets of the wishes that will not be answered any more.
    pub fn unpinned(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.pins).into_iter().map(|(ticket, _)| ticket).collect()
    }

    // ---- reports --------------------------------------------------------------------------------

    pub fn report(&mut self, peer: MemberId, report: Report, now: Time) {
        self.reports.insert(peer, report);
        self.report_at.get_or_insert(now + limits::REPORT_DELAY);
    }

    /// The plan had no link to a member any more, and the hub has forgotten what was said of the one that there was.
    pub fn retract(&mut self, peer: MemberId) {
        self.reports.remove(&peer);
    }

    /// This member knows where the others' streams begin: the hub is told, once.
    pub fn settle(&mut self, now: Time) {
        if !std::mem::replace(&mut self.settled, true) {
            self.settles = true;
            self.report_at.get_or_insert(now + limits::REPORT_DELAY);
        }
    }

    /// There is something to tell of how far the other ends of links are.
    pub fn measured(&mut self, now: Time) {
        let soon = now + limits::DISTANCES_AFTER;
        self.rtts_at.get_or_insert(self.rtts_told.map_or(soon, |told| soon.max(told + limits::DISTANCES_EVERY)));
    }

    /// Whether it is to be told now.
    pub fn tells_rtts(&mut self, now: Time) -> bool {
        let due = self.is_joined() && self.rtts_at.is_some_and(|at| at <= now);
        if due {
            (self.rtts_at, self.rtts_told) = (None, Some(now));
        }
        due
    }

    /// A hub has welcomed this member that may know nothing of it.
    pub fn forget_told_rtts(&mut self) {
        (self.rtts_at, self.rtts_told) = (None, None);
    }

    /// A member has brought what nobody said.
    pub fn accuse(&mut self, peer: MemberId, now: Time) {
        self.accused.insert(peer);
        self.report_at.get_or_insert(now + limits::REPORT_DELAY);
    }

    /// No neighbour can bring what a member says.
    pub fn lack(&mut self, origin: MemberId, now: Time) {
        if self.is_joined() && self.lacked.len() < limits::RESCUES_ASKED {
            self.lacked.insert(origin);
            self.report_at.get_or_insert(now + limits::REPORT_DELAY);
        }
    }

    /// Nothing more is to be said of a member that went.
    pub fn forget(&mut self, peer: MemberId) {
        self.reports.remove(&peer);
        self.accused.remove(&peer);
        self.lacked.remove(&peer);
    }

    /// What is due to the hub: a report, a ping. `Err` where the hub has been silent for too long.
    pub fn tick(&mut self, now: Time) -> Result<Vec<ClientMessage>, &'static str> {
        let mut told = Vec::new();
        if !matches!(self.state, State::Joining | State::Joined) {
            return Ok(told);
        }
        let silence = now.since(self.heard);
        if silence >= self.ping.times(3) {
            return Err("the server has been silent for too long");
        }
        if self.is_joined() {
            if silence >= self.ping && !self.pinged {
                self.pinged = true;
                told.push(ClientMessage::Ping {});
            }
            if self.report_at.is_some_and(|due| due <= now) {
                self.report_at = None;
                let settled = std::mem::take(&mut self.settles);
                let forged = std::mem::take(&mut self.accused).into_iter().collect();
                let lacks = std::mem::take(&mut self.lacked).into_iter().collect();
                let mut report = LinkReport { settled, forged, lacks, ..LinkReport::default() };
                for (peer, seen) in std::mem::take(&mut self.reports) {
                    match seen {
                        Report::Up => report.up.push(peer),
                        Report::Suspect => report.suspect.push(peer),
                        Report::Down => report.down.push(peer),
                    }
                }
                if report != LinkReport::default() {
                    told.push(ClientMessage::Links(report));
                }
            }
        }
        Ok(told)
    }

    /// The hub said something.
    pub fn heard(&mut self, now: Time) {
        self.heard = now;
        self.pinged = false;
    }

    /// When [`Session::tick`], or a next try, is due.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Closed => None,
            State::Pause { until } => Some(until),
            State::Connecting if self.hub.is_none() => Some(self.enter_by),
            State::Connecting => None,
            State::Joining => {
                let silent = self.heard + self.ping.times(3);
                Some(if self.hub.is_none() { silent.min(self.enter_by) } else { silent })
            }
            State::Joined => {
                let ping = if self.pinged { self.ping.times(3) } else { self.ping };
                let due = self.heard + ping;
                [self.report_at, self.rtts_at].into_iter().flatten().chain([due]).min()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Secret;

    fn config() -> Config {
        Config {
            secret: Secret([1; 16]),
            key: None,
            name: String::new(),
            attributes: Attributes::new(),
            token: None,
            topology: None,
            agent: None,
            relay: None,
            seed: 1,
        }
    }

    #[test]
    fn a_server_that_welcomes_and_closes_is_asked_ever_more_rarely() {
        let mut now = Time(0);
        let mut session = Session::new(config(), now);
        let mut pause_after = |stay: Micros| {
            (session.state, session.welcomed) = (State::Joined, now);
            now = now + stay;
            let pause = session.lost(now).since(now);
            now = now + pause;
            pause
        };
        let pauses: Vec<Micros> = (0..9).map(|_| pause_after(Micros::from_secs(1))).collect();
        assert!(pauses[0] < limits::RECONNECT_MIN.times(2), "{pauses:?}");
        assert!(pauses[8] >= Micros(limits::RECONNECT_MAX.0 / 2), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause < limits::RECONNECT_MAX.times(2)), "{pauses:?}");
        // It was in the room for long enough.
        let pause = pause_after(limits::RECONNECT_MAX);
        assert!(pause < limits::RECONNECT_MIN.times(2), "{pause:?}");
    }

    #[test]
    fn distances_are_told_soon_and_then_seldom() {
        let at = |ms: u64| Time(0) + Micros::from_millis(ms);
        let mut session = Session::new(config(), at(0));
        session.state = State::Joined;
        assert!(!session.tells_rtts(at(60_000)), "there is nothing to tell");
        session.measured(at(60_000));
        session.measured(at(61_000));
        assert!(!session.tells_rtts(at(61_999)));
        assert!(session.tells_rtts(at(62_000)) && !session.tells_rtts(at(62_000)));
        session.measured(at(63_000));
        assert!(!session.tells_rtts(at(71_999)) && session.tells_rtts(at(72_000)));
        session.measured(at(73_000));
        session.forget_told_rtts();
        session.measured(at(73_000));
        assert!(session.tells_rtts(at(75_000)), "another hub is told soon");
    }
}
