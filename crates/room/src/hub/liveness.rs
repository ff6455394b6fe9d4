//! Signs of life: heartbeats, doubts, and what follows from silence.

use super::{
    ConnId, Hub,
    roster::{Evidence, Session},
    session::silent,
};
use crate::{
    id::MemberId,
    limits,
    time::Time,
    wire::signal::{GoneReason, ServerMessage},
};

impl Hub {
    /// Something came from a member.
    pub(super) fn heard(&mut self, now: Time, id: MemberId) {
        if let Some(session) = self.roster.get_mut(id) {
            session.hear(now);
        }
    }

    /// A member that vouched for this one doubts it now: ask it, unless that was done a moment ago.
    pub(super) fn doubted(&mut self, id: MemberId) {
        if let Some(session) = self.roster.get_mut(id) {
            session.newly_doubted = true;
            self.recheck.insert(id);
        }
    }

    /// Where somebody's time came long ago, the hub itself has slept.
    pub(super) fn notice_sleep(&mut self, now: Time) {
        if self.wakes.first().is_some_and(|(at, _)| now.since(*at) > limits::SLEPT_AFTER) {
            self.roster.slept(now);
        }
    }

    /// Looks after everybody whose time has come.
    pub(super) fn wake(&mut self, now: Time) {
        while let Some((at, id)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, id));
            if let Some(session) = self.roster.get_mut(id) {
                session.wake = None;
            }
            self.recheck.insert(id);
        }
    }

    /// Does what a member's silence, absence or doubters call for, and sets when to look again.
    pub(super) fn examine(&mut self, now: Time, id: MemberId) {
        let evidence = self.roster.evidence(id);
        let Some(session) = self.roster.get_mut(id) else { return };
        let newly_doubted = std::mem::take(&mut session.newly_doubted);
        let next = match session.conn {
            Some(conn) => self.examine_present(now, id, conn, evidence, newly_doubted),
            None => self.examine_away(now, id, evidence),
        };
        if let Some(next) = next {
            self.wake_at(id, next);
        }
    }

    fn examine_present(
        &mut self,
        now: Time,
        id: MemberId,
        conn: ConnId,
        evidence: Evidence,
        newly_doubted: bool,
    ) -> Option<Time> {
        let session = self.roster.get_mut(id)?;
        let silence = session.silence(now);
        if silence >= limits::HUB_PING.times(3) {
            self.refuse(conn, silent(silence.as_millis()));
            self.go_away(now, id);
            if let Some(session) = self.roster.get_mut(id) {
                session.contested = true;
            }
            return None;
        }
        let end = session.heard + limits::HUB_PING.times(3);
        let alone = evidence.doubted && !evidence.held || evidence.outweighed;
        if let Some(pinged) = session.pinged {
            let answer_due = pinged + limits::PROBE_TIMEOUT;
            if now < answer_due {
                return Some(answer_due.min(end));
            }
            if alone {
                self.gone(now, id, GoneReason::Unresponsive);
                return None;
            }
            // It does not count as a witness until it is heard again.
            if !session.unanswered {
                session.unanswered = true;
                self.recheck_vouched(id);
            }
            let next = if evidence.doubted { self.question_holders(now, id) } else { end };
            return Some(next.min(end));
        }
        let rested = session.probed.is_none_or(|probed| now >= probed + limits::PROBE_TIMEOUT);
        let probe_again = session.probed.map_or(now, |probed| probed.max(session.heard) + limits::PROBE_TIMEOUT);
        let heartbeat = session.heard + limits::HUB_PING.times(2);
        let probe = (newly_doubted && rested) || (alone && now >= probe_again);
        if probe || now >= heartbeat {
            if probe {
                session.probed = Some(now);
            }
            self.ping(now, id);
            return Some((now + limits::PROBE_TIMEOUT).min(end));
        }
        Some(if alone { heartbeat.min(probe_again) } else { heartbeat })
    }

    fn examine_away(&mut self, now: Time, id: MemberId, evidence: Evidence) -> Option<Time> {
        let resume_window = self.config.resume_window;
        let nobody_present = self.roster.present() == 0;
        let session = self.roster.get_mut(id)?;
        let end = session.away_since + resume_window;
        if now >= end {
            self.gone(now, id, GoneReason::Timeout);
            return None;
        }
        let due = match evidence {
            Evidence { outweighed: true, .. } => Some(now),
            Evidence { held: true, .. } => None,
            // Everybody who had a link to it has given it up.
            Evidence { witnessed: true, vouched: false, .. } => Some(now),
            // Nobody is there who could be misled by it, or know better.
            _ if nobody_present => None,
            // Only members vouch for it that are away or silent themselves, against the word of one that is here;
            // or nobody ever could.
            Evidence { doubted: true, .. } | Evidence { witnessed: false, .. } => {
                Some(*session.failing.get_or_insert(now) + limits::UNVOUCHED_GRACE)
            }
            _ => None,
        };
        let Some(due) = due else {
            session.failing = None;
            let disputed = evidence.held && evidence.doubted;
            return Some(if disputed { self.question_holders(now, id).min(end) } else { end });
        };
        if now >= due {
            self.gone(now, id, GoneReason::Crashed);
            return None;
        }
        Some(due.min(end))
    }

    /// Some doubt a member that is away or silent, and others hold it: those may be cut off themselves, so that their
    /// last word is old. Asks them after a while, and again, unless they were heard. Gives when to look again.
    fn question_holders(&mut self, now: Time, id: MemberId) -> Time {
        let Some(session) = self.roster.get_mut(id) else { return now + limits::PROBE_TIMEOUT };
        let due = *session.questioned.get_or_insert(now) + limits::PROBE_TIMEOUT;
        if now < due {
            return due;
        }
        session.questioned = Some(now);
        for holder in self.roster.holders(id) {
            let quiet = |session: &Session| session.pinged.is_none() && session.silence(now) >= limits::PROBE_TIMEOUT;
            if self.roster.get(holder).is_some_and(quiet) {
                self.ping(now, holder);
                self.recheck.insert(holder);
            }
        }
        now + limits::PROBE_TIMEOUT
    }

    fn ping(&mut self, now: Time, id: MemberId) {
        if let Some(session) = self.roster.get_mut(id)
            && let Some(conn) = session.conn
        {
            session.pinged = Some(now);
            self.counters.pings += 1;
            self.send(vec![conn], ServerMessage::Ping {});
        }
    }

    /// Examines a member at a time, or earlier where that is planned already.
    fn wake_at(&mut self, id: MemberId, at: Time) {
        let Some(session) = self.roster.get_mut(id) else { return };
        if let Some(planned) = session.wake.replace(at) {
            self.wakes.remove(&(planned, id));
        }
        self.wakes.insert((at, id));
    }
}
