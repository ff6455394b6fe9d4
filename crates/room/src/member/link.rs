//! One link of a member: negotiating it where the plan says so, and noticing when it falls silent.
//!
//! ```text
//!            plan: offer              transport open          HELLO
//! Idle ───────────────────▶ Connecting ───────────────▶ Greeting ───▶ Open
//!   ▲      an offer came  ▶    │                           │            │
//!   │                          ▼  timeout, failure         ▼            ▼ silent too long, broken
//!   └──────────────────────  Pause (the offerer tries again after it) ◀─┘
//! ```
//!
//! Where that takes too long the hub carries the frames meanwhile; see `carriage`. A connection whose channels open then is
//! Proving: it is Greeting, and carries, from when something was heard over it. At most one of the two is Greeting or Open.

use super::{
    LinkState,
    carriage::{self, Carriage},
};
use crate::{
    limits,
    time::{Micros, Time},
    wire::signal::{Candidate, Negotiation, Role},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Pause {
        until: Time,
    },
    Connecting {
        until: Time,
    },
    /// It is open, and the hub carries until something is heard over it; pinged at `ping`.
    Proving {
        until: Time,
        ping: Time,
    },
    Greeting {
        until: Time,
    },
    Open,
}

#[derive(Debug)]
pub(super) struct Link {
    /// What the plan says; `None` where it wants no link.
    pub role: Option<Role>,
    /// The highest attempt that either side has made.
    pub attempt: u32,
    pub state: State,
    /// Whether this side made that attempt.
    pub mine: bool,
    failures: u32,
    /// Whether the connection has the peer's description.
    described: bool,
    /// Candidates that came before it.
    early: Vec<Candidate>,
    heard: Time,
    pinged: Option<Time>,
    rtt_at: Time,
    pub rtt: Option<Micros>,
    /// The shortest round trip of late: how far the other end is, whatever was late just now.
    least: Option<Micros>,
    /// What the hub was told of that, in ms.
    told_ms: Option<u64>,
    pub suspect: bool,
    restarted: bool,
    path: Option<String>,
    pub carriage: Carriage,
    /// Whether the hub may be asked to carry.
    pub may_be_carried: bool,
    /// When it is to be asked, at the earliest.
    ask_at: Option<Time>,
    /// Whether it was the hub that carried last.
    pub was_carried: bool,
    /// Until when there is to be no link: the peer has brought what nobody said.
    rests_until: Option<Time>,
}

/// What the member must do for a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Do {
    /// Make a connection of the current attempt.
    Open(Role),
    /// Frames have no way any more.
    Down,
    /// Frames have a new way: say HELLO.
    Greet,
    /// Give up the connection of this attempt.
    Close(u32),
    /// Tell the hub to carry, under this number, or to carry no more.
    Carry(u32),
    CarryNoMore(u32),
    /// Send a PING with this token over the connection of this attempt, which does not carry yet.
    Prove(u32, u64),
    /// Hand this description or candidate to the connection.
    Remote(Negotiation),
    /// Tell the offerer that the current attempt is over, and whether it made that itself.
    Over(bool),
    RestartIce,
    /// Send a PING with this token.
    Ping(u64),
    Suspect,
    /// The connection did not open, or fell silent for good.
    Fail(&'static str),
    /// The same of the way over the hub.
    FailCarriage(&'static str),
}

impl Link {
    pub fn new(now: Time) -> Link {
        Link {
            role: None,
            attempt: 0,
            state: State::Idle,
            mine: false,
            failures: 0,
            described: false,
            early: Vec::new(),
            heard: now,
            pinged: None,
            rtt_at: now,
            rtt: None,
            least: None,
            told_ms: None,
            suspect: false,
            restarted: false,
            path: None,
            carriage: Carriage::new(),
            may_be_carried: false,
            ask_at: None,
            was_carried: false,
            rests_until: None,
        }
    }

    /// There is to be no link for a while.
    pub fn rest(&mut self, now: Time) {
        self.rests_until = Some(now + limits::FORGED_REST);
    }

    fn rests(&self, now: Time) -> Option<Time> {
        self.rests_until.filter(|until| *until > now)
    }

    pub fn is_open(&self) -> bool {
        self.state == State::Open || self.carriage.state == carriage::State::Open
    }

    /// Whether frames go over the hub.
    pub fn is_carried(&self) -> bool {
        self.carriage.is_up()
    }

    /// How the two ends reach each other.
    pub fn path(&self) -> Option<&str> {
        if self.is_carried() { Some(CARRIED_PATH) } else { self.path.as_deref() }
    }

    /// Whether a peer connection exists.
    pub fn has_connection(&self) -> bool {
        !matches!(self.state, State::Idle | State::Pause { .. })
    }

    /// Whether what the edge reports of this attempt still matters.
    pub fn is_current(&self, attempt: u32) -> bool {
        self.has_connection() && self.attempt == attempt
    }

    /// Whether the edge may report this attempt as up.
    pub fn is_connecting(&self, attempt: u32) -> bool {
        matches!(self.state, State::Connecting { .. }) && self.attempt == attempt
    }

    /// Whether what comes over this attempt shows that it can carry.
    pub fn is_proving(&self, attempt: u32) -> bool {
        matches!(self.state, State::Proving { .. }) && self.attempt == attempt
    }

    /// Whether it is a connection that frames go over.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Open)
    }

    /// Whether frames have a way.
    pub fn is_up(&self) -> bool {
        self.is_connected() || self.is_carried()
    }

    /// The state as applications see it.
    pub fn public_state(&self) -> LinkState {
        if self.is_open() {
            return if self.suspect { LinkState::Suspect } else { LinkState::Open };
        }
        let idle = !self.is_up() && !self.has_connection();
        if idle && self.failures > 0 { LinkState::Failed } else { LinkState::Connecting }
    }

    // ---- the plan -------------------------------------------------------------------------------

    /// The plan wants this link. An offerer that has no open one starts anew: the peer may just have come back and
    /// know nothing of what was under way.
    pub fn plan(&mut self, role: Role, now: Time) -> Vec<Do> {
        let changed = self.role.replace(role) != Some(role);
        if self.is_open() {
            return Vec::new();
        }
        self.failures = 0;
        match role {
            Role::Offer => {
                let mut todo = self.give_up();
                let patience = if self.was_carried { Micros(0) } else { limits::CARRY_AFTER };
                self.ask_after(now + patience);
                todo.extend(self.begin(now));
                todo
            }
            Role::Answer if changed => {
                let mut todo = self.give_up();
                // The offerer, where it has not closed what there was, would go on with it.
                todo.extend((self.attempt > 0).then_some(Do::Over(!self.mine)));
                todo
            }
            Role::Answer => Vec::new(),
        }
    }

    /// Starts the next attempt as the offerer.
    fn begin(&mut self, now: Time) -> Vec<Do> {
        let mut todo = self.give_up_connection();
        if let Some(until) = self.rests(now) {
            self.state = State::Pause { until };
            return todo;
        }
        // An attempt number that is used up can only come from a hostile peer; it has lost its link then.
        let Some(attempt) = self.attempt.checked_add(1) else { return todo };
        self.start(attempt, true, now);
        todo.push(Do::Open(Role::Offer));
        todo
    }

    fn start(&mut self, attempt: u32, mine: bool, now: Time) {
        self.attempt = attempt;
        self.mine = mine;
        self.state = State::Connecting { until: now + limits::CONNECT_TIMEOUT };
        self.described = false;
        self.early.clear();
        self.path = None;
    }

    /// Ends whatever there is.
    pub fn give_up(&mut self) -> Vec<Do> {
        self.ask_at = None;
        let mut todo = self.give_up_carriage();
        todo.extend(self.give_up_connection());
        todo
    }

    /// Ends the connection that there is.
    fn give_up_connection(&mut self) -> Vec<Do> {
        let (carried_frames, existed) = (self.is_connected(), self.has_connection());
        self.state = State::Idle;
        self.path = None;
        self.early.clear();
        let down = carried_frames.then(|| self.down());
        down.into_iter().chain(existed.then_some(Do::Close(self.attempt))).collect()
    }

    /// Ends the way over the hub.
    fn give_up_carriage(&mut self) -> Vec<Do> {
        let down = self.is_carried().then(|| self.down());
        let asked = std::mem::replace(&mut self.carriage.state, carriage::State::Idle) != carriage::State::Idle;
        down.into_iter().chain(asked.then_some(Do::CarryNoMore(self.carriage.episode))).collect()
    }

    fn down(&mut self) -> Do {
        self.suspect = false;
        self.rtt = None;
        self.least = None;
        Do::Down
    }

    /// The connection ended or did not open; the offerer tries again after a pause, which is `grace` at least.
    pub fn failed(&mut self, now: Time, jitter: u32, grace: Micros) -> Vec<Do> {
        let since = if self.is_connected() { self.heard } else { now };
        let todo = self.give_up_connection();
        let longest = if self.is_carried() { limits::CONNECT_BESIDE } else { limits::RETRY_MAX };
        let pause = (limits::RETRY_MIN.0 << self.failures.min(16)).min(longest.0);
        self.failures = self.failures.saturating_add(1);
        if self.role == Some(Role::Offer) {
            let pause = Micros(pause / 2 + u64::from(jitter) % pause);
            self.state = State::Pause { until: (now + pause.max(grace)).max(self.rests(now).unwrap_or(now)) };
            if self.ask_at.is_none() {
                self.ask_after((since + limits::CARRY_AFTER).max(now + grace));
            }
        }
        todo
    }

    // ---- the way over the hub -------------------------------------------------------------------

    /// The hub is to be asked to carry at this time, unless a connection opens before.
    fn ask_after(&mut self, at: Time) {
        if self.may_be_carried && self.carriage.state == carriage::State::Idle {
            self.ask_at = Some(self.rests_until.map_or(at, |until| at.max(until)));
        }
    }

    fn ask(&mut self, now: Time) -> Vec<Do> {
        // As for attempts.
        let Some(episode) = self.carriage.episode.checked_add(1) else { return Vec::new() };
        self.carriage.episode = episode;
        self.carriage.state = carriage::State::Asking { until: now + limits::CONNECT_TIMEOUT };
        vec![Do::Carry(episode)]
    }

    /// The other side wants the hub to carry. Where this side has asked under the same number it is agreed; an offerer's
    /// new number begins anew, unless its connection is heard here.
    pub fn asked(&mut self, episode: u32, now: Time) -> Vec<Do> {
        match self.role {
            Some(Role::Offer) => {
                let asking = matches!(self.carriage.state, carriage::State::Asking { .. });
                if !asking || self.carriage.episode != episode {
                    return Vec::new();
                }
                self.carriage.agreed(episode, now);
                vec![Do::Greet]
            }
            Some(Role::Answer) => {
                let is_heard = self.is_connected() && !self.suspect;
                if is_heard || self.carriage.is_current(episode) || self.rests(now).is_some() {
                    return Vec::new();
                }
                let mut todo = Vec::new();
                if self.is_carried() {
                    todo.push(self.down());
                }
                if self.is_connected() {
                    todo.extend(self.give_up_connection());
                }
                self.carriage.agreed(episode, now);
                todo.extend([Do::Carry(episode), Do::Greet]);
                todo
            }
            None => Vec::new(),
        }
    }

    /// The way over the hub is no more; `tell`: the hub does not know. An offerer asks again after a pause. A connection
    /// that was open beside it takes over.
    pub fn carriage_failed(&mut self, now: Time, pause: Micros, tell: bool) -> Vec<Do> {
        let mut todo = self.give_up_carriage();
        if !tell {
            todo.retain(|step| !matches!(step, Do::CarryNoMore(_)));
        }
        if let State::Proving { .. } = self.state {
            todo.extend(self.proved(now));
        } else if self.role == Some(Role::Offer) {
            self.ask_after(now + pause);
        }
        todo
    }

    /// Something was heard over a connection beside the hub's way: it carries from now on.
    pub fn proved(&mut self, now: Time) -> Vec<Do> {
        let mut todo = self.give_up_carriage();
        self.ask_at = None;
        self.state = State::Greeting { until: now + limits::CONNECT_TIMEOUT };
        todo.push(Do::Greet);
        todo
    }

    // ---- negotiation ----------------------------------------------------------------------------

    /// The peer's part of the negotiation, in order or not.
    pub fn negotiate(&mut self, attempt: u32, data: Negotiation, now: Time) -> Vec<Do> {
        let mut todo = Vec::new();
        match data {
            Negotiation::Offer(_) => {
                if self.role != Some(Role::Answer) || attempt < self.attempt || self.rests(now).is_some() {
                    return todo;
                }
                if attempt > self.attempt || self.mine {
                    todo = self.give_up_connection();
                    self.start(attempt, false, now);
                    todo.push(Do::Open(Role::Answer));
                } else if !self.has_connection() {
                    // It was given up here, and the offerer does not know yet.
                    return vec![Do::Over(true)];
                }
                self.described = true;
                todo.push(Do::Remote(data));
            }
            Negotiation::Answer(_) => {
                if self.role != Some(Role::Offer) || !self.is_current(attempt) {
                    return todo;
                }
                self.described = true;
                todo.push(Do::Remote(data));
            }
            Negotiation::Over(mine) => return self.over(attempt, mine, now),
            Negotiation::Candidate(candidate) => {
                if !self.is_current(attempt) {
                    return todo;
                }
                if self.described {
                    todo.push(Do::Remote(Negotiation::Candidate(candidate)));
                } else if self.early.len() < limits::CANDIDATES_MAX {
                    self.early.push(candidate);
                }
                return todo;
            }
        }
        let early = self.early.drain(..).map(|candidate| Do::Remote(Negotiation::Candidate(candidate)));
        todo.extend(early);
        todo
    }

    /// The answerer has closed this attempt, and is there for the next one: the first time that need not wait.
    fn over(&mut self, attempt: u32, mine: bool, now: Time) -> Vec<Do> {
        let is_last = (attempt, mine) == (self.attempt, self.mine);
        if self.role != Some(Role::Offer) || !is_last || self.state == State::Idle {
            return Vec::new();
        }
        match (self.has_connection(), self.failures) {
            (true, 0) | (false, 1) => {
                self.failures = 1;
                self.begin(now)
            }
            (true, _) => vec![Do::Fail("the other side closed it")],
            (false, _) => Vec::new(),
        }
    }

    /// The connection's channels are open; HELLO is next, or where the hub carries something that shows that the other
    /// side can be heard.
    pub fn up(&mut self, path: String, now: Time) -> Vec<Do> {
        self.path = Some(path);
        if !self.is_carried() {
            return self.proved(now);
        }
        self.state = State::Proving { until: now + limits::CONNECT_TIMEOUT, ping: now + limits::PING_AFTER };
        vec![Do::Prove(self.attempt, now.0)]
    }

    /// HELLO came.
    pub fn greeted(&mut self, now: Time) {
        self.was_carried = self.is_carried();
        if self.was_carried {
            self.carriage.state = carriage::State::Open;
        } else {
            self.state = State::Open;
            self.failures = 0;
        }
        self.suspect = false;
        self.restarted = false;
        self.heard = now;
        self.pinged = None;
        self.rtt_at = now - limits::RTT_AFTER;
    }

    // ---- liveness -------------------------------------------------------------------------------

    /// Something came from the peer. True where it had been suspected.
    pub fn heard(&mut self, now: Time) -> bool {
        self.heard = now;
        self.restarted = false;
        std::mem::take(&mut self.suspect)
    }

    /// PONG: true where the round-trip time is news.
    pub fn ponged(&mut self, token: u64, now: Time) -> bool {
        if Time(token) > now || now.since(Time(token)) > limits::RELINK_AFTER {
            return false;
        }
        let rtt = now.since(Time(token));
        self.rtt = Some(rtt);
        self.rtt_at = now;
        self.least =
            Some(self.least.map_or(rtt, |least| rtt.min(Micros(least.0 + rtt.0.saturating_sub(least.0) / 16))));
        true
    }

    /// How far the other end is, in ms there and back, where the hub would plan otherwise than by what it was told. What goes
    /// over the hub says nothing of that.
    pub fn rtt_news(&self) -> Option<u64> {
        let ms = (self.least.filter(|_| self.is_open() && !self.is_carried())?.0 + 500) / 1_000;
        let is_news = |told: u64| ms.abs_diff(told) > limits::DISTANCE_NEWS_MS + told / 4;
        self.told_ms.is_none_or(is_news).then_some(ms)
    }

    /// The hub is told that, or, where it knows nothing, `None`.
    pub fn tell_rtt(&mut self, ms: Option<u64>) {
        self.told_ms = ms;
    }

    /// This member slept: what it did not hear meanwhile says nothing of the peer.
    pub fn slept(&mut self, now: Time) {
        if self.is_open() && !self.suspect {
            self.heard = now;
        }
    }

    /// When [`Link::tick`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        let connection = match self.state {
            State::Idle | State::Open => None,
            State::Pause { until } | State::Connecting { until } | State::Greeting { until } => Some(until),
            State::Proving { until, ping } => Some(until.min(ping)),
        };
        let carriage = match self.carriage.state {
            carriage::State::Idle | carriage::State::Open => self.ask_at,
            carriage::State::Asking { until } | carriage::State::Greeting { until } => Some(until),
        };
        let silence = self.is_open().then(|| {
            let mut due = self.ping_at().min(self.heard + limits::RELINK_AFTER);
            if !self.suspect {
                due = due.min(self.heard + limits::SUSPECT_AFTER);
            }
            if self.may_restart() {
                due = due.min(self.heard + limits::RESTART_AFTER);
            }
            due
        });
        [connection, carriage, silence].into_iter().flatten().min()
    }

    fn ping_at(&self) -> Time {
        let due = (self.heard + limits::PING_AFTER).min(self.rtt_at + limits::RTT_AFTER);
        self.pinged.map_or(due, |pinged| due.max(pinged + limits::PING_AFTER))
    }

    fn may_restart(&self) -> bool {
        !self.restarted && !self.is_carried() && self.role == Some(Role::Offer)
    }

    /// Does what is due. `hub`: whether the hub is in reach, without which no connection can be negotiated.
    pub fn tick(&mut self, now: Time, hub: bool) -> Vec<Do> {
        let mut todo = self.tick_carriage(now, hub);
        match self.state {
            State::Pause { until } if until <= now => {
                if hub {
                    todo.extend(self.begin(now));
                } else {
                    // The hub's welcome starts it.
                    self.state = State::Idle;
                }
            }
            State::Connecting { until } if until <= now => todo.push(Do::Fail("it did not open in time")),
            State::Proving { until, .. } if until <= now => todo.push(Do::Fail("nothing was heard over it")),
            State::Proving { until, ping } if ping <= now => {
                self.state = State::Proving { until, ping: now + limits::PING_AFTER };
                todo.push(Do::Prove(self.attempt, now.0));
            }
            State::Greeting { until } if until <= now => todo.push(Do::Fail("the other side did not say hello")),
            _ => {}
        }
        if self.is_open() {
            todo.extend(self.listen(now, hub));
        }
        todo
    }

    fn tick_carriage(&mut self, now: Time, hub: bool) -> Vec<Do> {
        match self.carriage.state {
            carriage::State::Idle if self.ask_at.is_some_and(|at| at <= now) => {
                self.ask_at = None;
                // As above.
                if hub && !self.is_up() { self.ask(now) } else { Vec::new() }
            }
            carriage::State::Asking { until } if until <= now => self.carriage_failed(now, Micros(0), true),
            carriage::State::Greeting { until } if until <= now => {
                vec![Do::FailCarriage("the other side did not say hello")]
            }
            _ => Vec::new(),
        }
    }

    /// What the other side's silence calls for.
    fn listen(&mut self, now: Time, hub: bool) -> Vec<Do> {
        let silence = now.since(self.heard);
        if silence >= limits::RELINK_AFTER {
            let reason = "the other side fell silent";
            return vec![if self.is_carried() { Do::FailCarriage(reason) } else { Do::Fail(reason) }];
        }
        let mut todo = Vec::new();
        if silence >= limits::SUSPECT_AFTER && !self.suspect {
            self.suspect = true;
            todo.push(Do::Suspect);
        }
        if silence >= limits::RESTART_AFTER && self.may_restart() {
            self.restarted = true;
            if hub {
                todo.push(Do::RestartIce);
            }
        }
        if self.ping_at() <= now {
            self.pinged = Some(now);
            todo.push(Do::Ping(now.0));
        }
        todo
    }
}

/// What a way over the hub is called among the paths of links.
const CARRIED_PATH: &str = "socket";

#[cfg(test)]
mod tests {
    use super::*;

    /// An open link on which answers take so long, one after another.
    fn measured(rtts_ms: &[u64]) -> Link {
        let mut link = Link::new(Time(0));
        link.state = State::Open;
        for (number, rtt_ms) in (1..).zip(rtts_ms) {
            let now = Time(0) + Micros::from_secs(10 * number);
            assert!(link.ponged((now - Micros::from_millis(*rtt_ms)).0, now));
        }
        link
    }

    #[test]
    fn an_offerer_hears_that_what_it_holds_is_over() {
        let now = Time(0);
        let (mut offerer, mut answerer) = (Link::new(now), Link::new(now));
        offerer.plan(Role::Offer, now);
        assert_eq!(answerer.plan(Role::Answer, now), [], "nothing can be over");
        let offer = Negotiation::Offer("sdp".to_owned());
        answerer.negotiate(1, offer.clone(), now);
        (offerer.state, answerer.state) = (State::Open, State::Open);
        answerer.role = None;
        answerer.give_up();
        assert_eq!(answerer.plan(Role::Answer, now), [Do::Over(true)]);
        assert_eq!(answerer.plan(Role::Answer, now), [], "said once");
        assert_eq!(answerer.negotiate(1, offer, now), [Do::Over(true)]);
        assert_eq!(answerer.negotiate(1, Negotiation::Over(true), now), [], "the offerer has no say in that");
        assert_eq!(offerer.negotiate(0, Negotiation::Over(true), now), [], "an earlier one");
        let again = [Do::Down, Do::Close(1), Do::Open(Role::Offer)];
        assert_eq!(offerer.negotiate(1, Negotiation::Over(true), now), again);
        assert_eq!(offerer.negotiate(1, Negotiation::Over(true), now), [], "said once more of what is closed");
        assert_eq!(offerer.negotiate(2, Negotiation::Over(true), now), [Do::Fail("the other side closed it")]);
        offerer.failed(now, 0, Micros(0));
        assert_eq!(offerer.negotiate(2, Negotiation::Over(true), now), [], "from the second time on it waits");
    }

    #[test]
    fn an_offerer_that_waits_whether_who_closed_the_link_leaves_need_not_where_that_wants_it_again() {
        let now = Time(0);
        let mut offerer = Link::new(now);
        offerer.plan(Role::Offer, now);
        offerer.state = State::Open;
        offerer.failed(now, 0, limits::PARTING_GRACE);
        assert_eq!(offerer.negotiate(1, Negotiation::Over(true), now), [Do::Open(Role::Offer)]);
    }

    #[test]
    fn an_attempt_of_the_same_number_that_the_other_side_made_is_another() {
        let now = Time(0);
        let (mut one, mut other) = (Link::new(now), Link::new(now));
        // The hub restarts before the other side hears of this, and plans the link the other way round.
        one.plan(Role::Offer, now);
        other.plan(Role::Offer, now);
        assert_eq!(one.plan(Role::Answer, now), [Do::Close(1), Do::Over(false)]);
        assert_eq!(other.negotiate(1, Negotiation::Over(false), now), [], "its own goes on");
        let offer = Negotiation::Offer("sdp".to_owned());
        assert_eq!(one.negotiate(1, offer.clone(), now), [Do::Open(Role::Answer), Do::Remote(offer.clone())]);
        // Where it has heard of it, it holds what is over.
        let mut other = Link::new(now);
        other.plan(Role::Answer, now);
        other.negotiate(1, offer, now);
        other.state = State::Open;
        other.plan(Role::Offer, now);
        let again = [Do::Down, Do::Close(1), Do::Open(Role::Offer)];
        assert_eq!(other.negotiate(1, Negotiation::Over(false), now), again);
    }

    #[test]
    fn how_far_the_other_end_is_is_told_once_and_when_it_has_changed_by_a_quarter() {
        let mut link = measured(&[40]);
        assert_eq!(link.rtt_news(), Some(40));
        link.tell_rtt(Some(40));
        assert_eq!(link.rtt_news(), None);
        for (told, news) in [(24, None), (60, None), (23, Some(40)), (67, Some(40))] {
            link.tell_rtt(Some(told));
            assert_eq!(link.rtt_news(), news, "told {told} ms");
        }
        link.tell_rtt(None);
        assert_eq!(link.rtt_news(), Some(40), "a hub that knows nothing");
    }

    #[test]
    fn what_is_late_for_a_moment_is_no_farther_and_what_stays_late_is() {
        assert_eq!(measured(&[40, 40, 200]).rtt_news(), Some(50));
        assert_eq!(measured(&[40, 200, 40]).rtt_news(), Some(40));
        assert_eq!(measured(&[[40; 1].as_slice(), [200; 100].as_slice()].concat()).rtt_news(), Some(200));
    }

    #[test]
    fn a_carried_link_and_one_that_is_down_say_nothing() {
        let mut link = measured(&[40]);
        link.carriage.state = carriage::State::Open;
        assert_eq!(link.rtt_news(), None);
        link.carriage.state = carriage::State::Idle;
        link.give_up();
        link.state = State::Open;
        assert_eq!(link.rtt_news(), None, "a new connection begins anew");
    }
}
