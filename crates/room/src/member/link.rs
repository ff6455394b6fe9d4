//! One link of a member: negotiating it where the plan says so, and noticing when it falls silent.
//!
//! ```text
//!            plan: offer              transport open          HELLO
//! Idle ───────────────────▶ Connecting ───────────────▶ Greeting ───▶ Open
//!   ▲      an offer came  ▶    │                           │            │
//!   │                          ▼  timeout, failure         ▼            ▼ silent too long, broken
//!   └──────────────────────  Pause (the offerer tries again after it) ◀─┘
//! ```

use super::LinkState;
use crate::{
    limits,
    time::{Micros, Time},
    wire::signal::{Candidate, Negotiation, Role},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Pause { until: Time },
    Connecting { until: Time },
    Greeting { until: Time },
    Open,
}

#[derive(Debug)]
pub(super) struct Link {
    /// What the plan says; `None` where it wants no link.
    pub role: Option<Role>,
    /// The highest attempt that either side has made.
    pub attempt: u32,
    pub state: State,
    /// Whether this side made the current attempt.
    mine: bool,
    failures: u32,
    /// Whether the connection has the peer's description.
    described: bool,
    /// Candidates that came before it.
    early: Vec<Candidate>,
    heard: Time,
    pinged: Option<Time>,
    rtt_at: Time,
    pub rtt: Option<Micros>,
    pub suspect: bool,
    restarted: bool,
    pub path: Option<String>,
    /// Until when there is to be no link: the peer has brought what nobody said.
    rests_until: Option<Time>,
}

/// What the member must do for a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Do {
    /// Make a connection of the current attempt.
    Open(Role),
    /// Give up the connection of this attempt.
    Close(u32),
    /// Hand this description or candidate to the connection.
    Remote(Negotiation),
    RestartIce,
    /// Send a PING with this token.
    Ping(u64),
    Suspect,
    /// The connection did not open, or fell silent for good.
    Fail(&'static str),
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
            suspect: false,
            restarted: false,
            path: None,
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
        self.state == State::Open
    }

    /// Whether a peer connection exists.
    pub fn has_connection(&self) -> bool {
        matches!(self.state, State::Connecting { .. } | State::Greeting { .. } | State::Open)
    }

    /// Whether what the edge reports of this attempt still matters.
    pub fn is_current(&self, attempt: u32) -> bool {
        self.has_connection() && self.attempt == attempt
    }

    /// Whether the edge may report this attempt as up.
    pub fn is_connecting(&self, attempt: u32) -> bool {
        matches!(self.state, State::Connecting { .. }) && self.attempt == attempt
    }

    /// Whether the connection's channels are open.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Open)
    }

    /// The state as applications see it.
    pub fn public_state(&self) -> LinkState {
        match self.state {
            State::Open if self.suspect => LinkState::Suspect,
            State::Open => LinkState::Open,
            State::Connecting { .. } | State::Greeting { .. } => LinkState::Connecting,
            State::Idle | State::Pause { .. } if self.failures > 0 => LinkState::Failed,
            State::Idle | State::Pause { .. } => LinkState::Connecting,
        }
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
            Role::Offer => self.begin(now),
            Role::Answer if changed => self.give_up(),
            Role::Answer => Vec::new(),
        }
    }

    /// Starts the next attempt as the offerer.
    pub fn begin(&mut self, now: Time) -> Vec<Do> {
        let mut todo = self.give_up();
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

    /// Ends whatever connection there is.
    pub fn give_up(&mut self) -> Vec<Do> {
        let had = self.has_connection();
        self.state = State::Idle;
        self.suspect = false;
        self.rtt = None;
        self.path = None;
        self.early.clear();
        if had { vec![Do::Close(self.attempt)] } else { Vec::new() }
    }

    /// The connection ended or did not open; the offerer tries again after a pause, which is `grace` at least.
    pub fn failed(&mut self, now: Time, jitter: u32, grace: Micros) -> Vec<Do> {
        let todo = self.give_up();
        let pause = (limits::RETRY_MIN.0 << self.failures.min(16)).min(limits::RETRY_MAX.0);
        self.failures = self.failures.saturating_add(1);
        if self.role == Some(Role::Offer) {
            let pause = Micros(pause / 2 + u64::from(jitter) % pause);
            self.state = State::Pause { until: (now + pause.max(grace)).max(self.rests(now).unwrap_or(now)) };
        }
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
                    todo = self.give_up();
                    self.start(attempt, false, now);
                    todo.push(Do::Open(Role::Answer));
                } else if !self.has_connection() {
                    // It was given up here; the offerer does not know yet, and will see it fail.
                    return todo;
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

    /// The connection's channels are open; HELLO is next.
    pub fn up(&mut self, path: String, now: Time) {
        self.state = State::Greeting { until: now + limits::CONNECT_TIMEOUT };
        self.path = Some(path);
    }

    /// HELLO came.
    pub fn greeted(&mut self, now: Time) {
        self.state = State::Open;
        self.failures = 0;
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
        self.rtt = Some(now.since(Time(token)));
        self.rtt_at = now;
        true
    }

    /// This member slept: what it did not hear meanwhile says nothing of the peer.
    pub fn slept(&mut self, now: Time) {
        if self.is_open() && !self.suspect {
            self.heard = now;
        }
    }

    /// When [`Link::tick`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Idle => None,
            State::Pause { until } | State::Connecting { until } | State::Greeting { until } => Some(until),
            State::Open => {
                let mut due = self.ping_at().min(self.heard + limits::RELINK_AFTER);
                if !self.suspect {
                    due = due.min(self.heard + limits::SUSPECT_AFTER);
                }
                if !self.restarted && self.role == Some(Role::Offer) {
                    due = due.min(self.heard + limits::RESTART_AFTER);
                }
                Some(due)
            }
        }
    }

    fn ping_at(&self) -> Time {
        let due = (self.heard + limits::PING_AFTER).min(self.rtt_at + limits::RTT_AFTER);
        self.pinged.map_or(due, |pinged| due.max(pinged + limits::PING_AFTER))
    }

    /// Does what is due. `hub`: whether the hub is in reach, without which no connection can be negotiated.
    pub fn tick(&mut self, now: Time, hub: bool) -> Vec<Do> {
        let mut todo = Vec::new();
        match self.state {
            State::Pause { until } if until <= now => {
                if hub {
                    return self.begin(now);
                }
                // The hub's welcome starts it.
                self.state = State::Idle;
            }
            State::Connecting { until } if until <= now => todo.push(Do::Fail("it did not open in time")),
            State::Greeting { until } if until <= now => todo.push(Do::Fail("the other side did not say hello")),
            State::Open => {
                let silence = now.since(self.heard);
                if silence >= limits::RELINK_AFTER {
                    return vec![Do::Fail("the other side fell silent")];
                }
                if silence >= limits::SUSPECT_AFTER && !self.suspect {
                    self.suspect = true;
                    todo.push(Do::Suspect);
                }
                if silence >= limits::RESTART_AFTER && !self.restarted && self.role == Some(Role::Offer) {
                    self.restarted = true;
                    if hub {
                        todo.push(Do::RestartIce);
                    }
                }
                if self.ping_at() <= now {
                    self.pinged = Some(now);
                    todo.push(Do::Ping(now.0));
                }
            }
            _ => {}
        }
        todo
    }
}
