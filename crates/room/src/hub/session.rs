//! Sessions: entering, coming back, being away, and being found dead.

use super::{
    ConnId, Grant, Hub, IdentityPolicy, LinkOp, Output,
    roster::{Evidence, Session},
    state,
};
use crate::{
    id::MemberId,
    limits,
    plan::{Event, Planner},
    time::Time,
    wire::signal::{
        Gone, GoneReason, Join, LinkTo, Member, RefusalCode, Refused, Resume, Role, ServerMessage, StateChange,
        VERSION, Welcome,
    },
};

impl Hub {
    /// A connection wants in: as a newcomer, or as a member that the hub knows.
    pub(super) fn join(&mut self, now: Time, conn: ConnId, join: Join, grant: Option<Grant>) {
        if self.roster.by_conn(conn).is_some() {
            return self.join_again(now, conn);
        }
        if let Err(refused) = self.try_join(now, conn, join, grant) {
            self.refuse(conn, refused);
        }
    }

    /// A second `join` on one connection ends it.
    pub(super) fn join_again(&mut self, now: Time, conn: ConnId) {
        let hint = "open another connection for another session";
        self.refuse(conn, Refused::fatal(RefusalCode::AlreadyJoined, "a second join on one connection", hint));
        if let Some(id) = self.roster.by_conn(conn) {
            self.go_away(now, id);
        }
    }

    fn try_join(&mut self, now: Time, conn: ConnId, join: Join, grant: Option<Grant>) -> Result<(), Refused> {
        if self.shutting_down {
            let hint = "come back in a moment";
            return Err(Refused::fatal(RefusalCode::ShuttingDown, "the server is going down", hint));
        }
        if join.v != VERSION {
            let message = format!("version {} of the protocol, and this server speaks {VERSION}", join.v);
            let hint = "update whichever side is older";
            return Err(Refused::fatal(RefusalCode::BadVersion, message, hint));
        }
        if self.roster.get(join.secret.member_id()).is_some() {
            return self.resume(now, conn, join, grant);
        }
        let Some(grant) = grant else {
            let hint = "ask the application for a new token";
            return Err(Refused::fatal(RefusalCode::TokenExpired, "the token's time is over", hint));
        };
        self.admit(now, conn, join, grant)
    }

    /// Lets a newcomer in, or a member that only another hub knew.
    fn admit(&mut self, now: Time, conn: ConnId, join: Join, grant: Grant) -> Result<(), Refused> {
        let member = newcomer(&join, &grant)?;
        let id = member.id;
        let replaced = self.same_identity(&grant)?;
        let full = self.roster.len() - replaced.len() >= self.config.members_max;
        if full || !self.roster.has_room_for(&member) {
            let message = format!("the room has {} members, all that it may have", self.roster.len());
            let hint = "wait until somebody leaves, or use another room";
            return Err(Refused::fatal(RefusalCode::RoomFull, message, hint));
        }
        for id in replaced {
            self.gone(now, id, GoneReason::Replaced);
        }
        let Resume { up, state, .. } = join.resume.unwrap_or_default();
        let may_write = grant.publish_data;
        self.counters.joined += 1;
        self.roster.insert(now, member.clone(), grant, conn);
        let changed = if may_write { self.state.merge(now, state) } else { Vec::new() };
        let ops = self.planner.apply(&Event::Join { id, held: &up });
        for peer in up.into_iter().filter(|peer| *peer != id) {
            self.roster.vouch(id, peer);
        }
        self.welcome(id, conn, false);
        self.tell_others(id, ServerMessage::Member(member));
        for key in changed {
            if let Some(entry) = self.state.entries().get(&key) {
                let (value, version) = (entry.value.clone(), entry.version);
                self.tell_others(id, ServerMessage::State(StateChange { key, value, version, by: id, op: 0 }));
            }
        }
        self.tell_links(&ops, Some(id));
        self.recheck_arrival(id);
        Ok(())
    }

    /// Who must go so that a newcomer can enter under its identity.
    fn same_identity(&self, grant: &Grant) -> Result<Vec<MemberId>, Refused> {
        let Some(identity) = &grant.identity else { return Ok(Vec::new()) };
        let same = || self.roster.iter().filter(|session| session.grant.identity.as_ref() == Some(identity));
        match self.config.identity_policy {
            IdentityPolicy::Coexist => Ok(Vec::new()),
            IdentityPolicy::Replace => Ok(same().map(|session| session.member.id).collect()),
            IdentityPolicy::Reject => {
                // One that is away may be what a crashed tab left behind: it does not keep its owner out.
                if same().any(|session| session.conn.is_some()) {
                    let hint = "leave there first, or ask for another identity";
                    let message = "somebody with this identity is in the room";
                    return Err(Refused::fatal(RefusalCode::IdentityTaken, message, hint));
                }
                Ok(same().map(|session| session.member.id).collect())
            }
        }
    }

    /// A session goes on, on another connection.
    fn resume(&mut self, now: Time, conn: ConnId, join: Join, grant: Option<Grant>) -> Result<(), Refused> {
        let id = join.secret.member_id();
        if let Some(grant) = grant {
            self.renew(id, grant)?;
        }
        self.counters.resumed += 1;
        if let Some(old) = self.roster.attach(now, id, conn) {
            let hint = "a session lives on one connection";
            self.refuse(old, Refused::fatal(RefusalCode::Replaced, "the session was taken over", hint));
        }
        let up = join.resume.map(|resume| resume.up).unwrap_or_default();
        let mut ops = self.planner.apply(&Event::Back(id));
        self.rebuild_testimony(id, &up);
        // What was signalled to it meanwhile is lost: whoever offers to it on a link that is not up begins anew. It
        // does so itself for the links on which it offers.
        let stale = self.planner.links_of(id).filter(|(peer, offers)| !offers && !self.roster.vouches(id, *peer));
        let stale: Vec<MemberId> = stale.map(|(peer, _)| peer).collect();
        for offerer in stale {
            let op = LinkOp::Open { offerer, answerer: id };
            if !ops.contains(&op) {
                ops.push(op);
            }
        }
        self.welcome(id, conn, true);
        self.tell_links(&ops, Some(id));
        self.recheck_arrival(id);
        Ok(())
    }

    /// Examines somebody who has come; where everybody was away, everybody: now somebody is there to be misled.
    fn recheck_arrival(&mut self, id: MemberId) {
        if self.roster.present() == 1 {
            self.recheck.extend(self.roster.iter().map(|session| session.member.id));
        }
        self.recheck.insert(id);
    }

    /// What a returning member holds now replaces what it reported before.
    fn rebuild_testimony(&mut self, id: MemberId, up: &[MemberId]) {
        self.roster.drop_claims(id);
        for peer in self.roster.vouched_by(id) {
            if !up.contains(&peer) && self.roster.doubt(id, peer) {
                self.doubted(peer);
            }
        }
        for peer in up {
            if *peer != id && (self.roster.get(*peer).is_none() || self.planner.linked(id, *peer)) {
                self.roster.vouch(id, *peer);
                self.recheck.insert(*peer);
            }
        }
    }

    /// A returning member's token counts from now on, as far as it is the same person's.
    fn renew(&mut self, id: MemberId, grant: Grant) -> Result<(), Refused> {
        let Some(session) = self.roster.get_mut(id) else { return Ok(()) };
        if session.grant.identity != grant.identity {
            let hint = "join anew, with a new session secret";
            let message = "the token is another identity's than the session";
            return Err(Refused::fatal(RefusalCode::NotAllowed, message, hint));
        }
        let mute = !grant.publish_data;
        session.grant = grant;
        if session.member.mute != mute {
            let member = Member { mute, ..session.member.clone() };
            self.roster.replace_member(member.clone());
            self.tell_others(id, ServerMessage::Member(member));
        }
        Ok(())
    }

    fn welcome(&mut self, id: MemberId, conn: ConnId, resumed: bool) {
        let Some(session) = self.roster.get(id) else { return };
        let mut others: Vec<_> = self.roster.iter().filter(|other| other.member.id != id).collect();
        others.sort_by_key(|other| other.arrival);
        let links = self.planner.links_of(id).map(|(peer, offers)| {
            let role = if offers { Role::Offer } else { Role::Answer };
            LinkTo { peer, role }
        });
        let welcome = Welcome {
            v: VERSION,
            hub: self.config.hub_id.clone(),
            this: session.member.clone(),
            room: self.config.room.clone(),
            members: others.into_iter().map(|other| other.member.clone()).collect(),
            links: links.collect(),
            state: self.state.entries().clone(),
            topology: self.planner.topology().to_owned(),
            epoch: self.planner.epoch(),
            resumed,
            op: session.op,
            ping_ms: limits::HUB_PING.as_millis(),
            ice: Vec::new(),
        };
        self.send(vec![conn], ServerMessage::Welcome(Box::new(welcome)));
    }

    // ---- away, gone ----------------------------------------------------------------------------------------------

    /// A member said goodbye.
    pub(super) fn leave(&mut self, id: MemberId, conn: ConnId) {
        self.remove(id, GoneReason::Left);
        self.outputs.push_back(Output::Close { conn, code: None });
    }

    /// A member's socket ended.
    pub(super) fn closed(&mut self, now: Time, id: MemberId, left: bool) {
        if left {
            self.remove(id, GoneReason::Left);
        } else {
            self.go_away(now, id);
        }
    }

    /// A member has no socket any more. It may come back; those whom it vouches for have a witness less.
    pub(super) fn go_away(&mut self, now: Time, id: MemberId) {
        self.counters.went_away += 1;
        self.roster.detach(now, id);
        self.planner.apply(&Event::Away(id));
        self.recheck.insert(id);
        self.recheck_vouched(id);
    }

    /// A member is given up. Where its socket stands, it is told why.
    fn gone(&mut self, now: Time, id: MemberId, reason: GoneReason) {
        if let Some(conn) = self.roster.get(id).and_then(|session| session.conn) {
            let refused = match reason {
                GoneReason::Replaced => {
                    let hint = "leave there first, or ask for another identity";
                    Refused::fatal(RefusalCode::Replaced, "the same identity entered the room anew", hint)
                }
                _ => silent(now.since(self.roster.get(id).map_or(now, |session| session.heard)).as_millis()),
            };
            self.refuse(conn, refused);
        }
        self.remove(id, reason);
    }

    /// Takes a member out of the room and tells the others.
    fn remove(&mut self, id: MemberId, reason: GoneReason) {
        self.recheck_vouched(id);
        let Some(session) = self.roster.remove(id) else { return };
        if let Some(at) = session.wake {
            self.wakes.remove(&(at, id));
        }
        self.recheck.remove(&id);
        let counter = match reason {
            GoneReason::Crashed => &mut self.counters.crashed,
            GoneReason::Unresponsive => &mut self.counters.unresponsive,
            GoneReason::Timeout => &mut self.counters.timed_out,
            GoneReason::Replaced => &mut self.counters.replaced,
            GoneReason::Left | GoneReason::Removed => &mut self.counters.left,
        };
        *counter += 1;
        self.tell_all(ServerMessage::Gone(Gone { id, reason }));
        let ops = self.planner.apply(&Event::Leave(id));
        // Whoever hears that a member is gone closes its link to it.
        let ops: Vec<LinkOp> =
            ops.into_iter().filter(|op| !matches!(op, LinkOp::Close(a, b) if *a == id || *b == id)).collect();
        self.tell_links(&ops, None);
    }

    /// Examines those whom a member vouches for: its word has lost weight.
    fn recheck_vouched(&mut self, id: MemberId) {
        self.recheck.extend(self.roster.vouched_by(id));
    }

    // ---- signs of life -------------------------------------------------------------------------------------------

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

    /// Looks after everybody whose time has come. Where that was long ago, the hub itself has slept.
    pub(super) fn wake(&mut self, now: Time) {
        if self.wakes.first().is_some_and(|(at, _)| now.since(*at) > limits::SLEPT_AFTER) {
            self.roster.slept(now);
        }
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
        let alone = evidence.doubted && !evidence.held;
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

/// The member that a `join` makes, or why there can be none.
fn newcomer(join: &Join, grant: &Grant) -> Result<Member, Refused> {
    let name = grant.name.as_ref().unwrap_or(&join.name);
    if name.chars().count() > limits::NAME_MAX || name.chars().any(char::is_control) {
        let message = format!("a name has at most {} characters, and no control characters", limits::NAME_MAX);
        return Err(Refused::fatal(RefusalCode::BadName, message, "choose another name"));
    }
    if grant.identity.as_ref().is_some_and(|identity| identity.len() > limits::IDENTITY_MAX) {
        let message = format!("the token's identity has more than {} bytes", limits::IDENTITY_MAX);
        return Err(Refused::fatal(RefusalCode::TokenInvalid, message, "give members shorter identities"));
    }
    if !state::attributes_fit(&join.attributes) {
        return Err(Refused { fatal: true, ..bad_attributes() });
    }
    if let Some(topology) = join.topology.as_ref().filter(|topology| !Planner::offers(topology)) {
        let shown: String = topology.chars().filter(|c| !c.is_control()).take(limits::NAME_MAX).collect();
        let message = format!("this server cannot link a room as `{shown}`");
        let hint = "ask for `auto` or `mesh`";
        return Err(Refused::fatal(RefusalCode::TopologyUnavailable, message, hint));
    }
    Ok(Member {
        id: join.secret.member_id(),
        name: name.clone(),
        identity: grant.identity.clone(),
        attributes: join.attributes.clone(),
        mute: !grant.publish_data,
    })
}

/// Attributes are beyond their bounds.
pub(super) fn bad_attributes() -> Refused {
    let message = format!(
        "a member has at most {} attributes of {} bytes together, none without a name",
        limits::ATTRIBUTES_MAX,
        limits::ATTRIBUTES_BYTES
    );
    Refused::of_message(RefusalCode::BadAttributes, message, "send large things as messages or files")
}

fn silent(silence_ms: u64) -> Refused {
    let message = format!("nothing came from this member for {} s", silence_ms / 1_000);
    Refused::fatal(RefusalCode::Silent, message, "answer pings; check whether the network stalls")
}
