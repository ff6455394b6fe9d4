//! Sessions: entering, coming back, being away, going.

use super::{ConnId, Grant, Hub, IdentityPolicy, LinkOp, Output, state};
use crate::{
    id::MemberId,
    limits,
    plan::{Event, NoDistance, Profile, Topology},
    time::Time,
    wire::frame::NUMBER_MAX,
    wire::signal::{
        CarryEnd, Entered, GUEST, Gone, GoneReason, Join, LinkTo, Member, RefusalCode, Refused, Resume, Role,
        ServerMessage, StateChange, Traffic, VERSION, Welcome,
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
        let profile = profile(&join);
        let id = member.id;
        let wish = join.topology.as_deref().map(|word| self.wish(word)).transpose();
        let wish = wish.map_err(|refused| Refused { fatal: true, ..refused })?.flatten();
        let wish = self.standing_wish(&join).unwrap_or(wish).filter(|_| grant.admin).or(grant.topology);
        let replaced = self.same_identity(&grant)?;
        let people = self.roster.people();
        let full = if member.relay {
            self.roster.len() - people >= limits::ROOM_RELAYS
        } else {
            let replaced = replaced.iter().filter(|id| self.roster.get(**id).is_some_and(|other| !other.member.relay));
            people - replaced.count() >= self.config.members_max
        };
        if full || !self.roster.has_room_for(&member) {
            let (kind, count) = if member.relay { ("relays", self.roster.len() - people) } else { ("members", people) };
            let message = format!("the room has {count} {kind}, all that it may have");
            let hint = "wait until somebody leaves, or use another room";
            return Err(Refused::fatal(RefusalCode::RoomFull, message, hint));
        }
        for id in replaced {
            self.gone(now, id, GoneReason::Replaced);
        }
        let Resume { topology, next, up, state, .. } = join.resume.unwrap_or_default();
        let may_write = grant.publish_data;
        self.counters.joined += 1;
        let claimants = self.roster.insert(now, member.clone(), grant, conn);
        let changed = if may_write { self.state.merge(now, state) } else { Vec::new() };
        if self.pinned.is_none()
            && let Some(Ok(topology)) = topology.map(|word| word.parse())
        {
            // The first to come back after a restart says how the room was linked, so that it need not move twice.
            self.planner.begin_as(topology);
        }
        let ops = self.planner.apply(&Event::Join { id, profile, held: &up }, &NoDistance);
        for peer in up {
            if self.may_testify(id, peer) {
                self.roster.vouch(id, peer);
            }
        }
        self.welcome(id, conn, false);
        let next = (next > 1).then_some(next.min(NUMBER_MAX));
        self.tell_others(id, ServerMessage::Member(Entered { member, next }));
        for key in changed {
            if let Some(entry) = self.state.entries().get(&key) {
                let (value, version) = (entry.value.clone(), entry.version);
                self.tell_others(id, ServerMessage::State(StateChange { key, value, version, by: id, op: 0 }));
            }
        }
        self.tell_links(&ops, Some(id));
        // Whoever kept a link to it that the plan does not have would mend that for ever, and be believed to hold it.
        let kept = claimants.into_iter().filter(|claimant| !self.linked(id, *claimant));
        let unplanned: Vec<_> = kept.map(|claimant| LinkOp::Close(id, claimant)).collect();
        self.tell_changes(&unplanned, Some(id));
        if profile.relay && self.planner.is_anybody_draining() {
            self.give_way(now, &ops);
        }
        self.recheck_arrival(id);
        // Whoever may not choose is told so by the room's being as it is.
        if wish.is_some() {
            self.wish_for(now, id, wish);
        }
        Ok(())
    }

    /// How the room was to be linked before the hub restarted, by a member that was there: that counts for more than what it
    /// asked for on entering, until somebody chooses anew. `None`: it knows of nothing.
    fn standing_wish(&self, join: &Join) -> Option<Option<Topology>> {
        let resume = join.resume.as_ref().filter(|resume| resume.hub != self.config.hub_id)?;
        let pin = resume.pin.as_ref().filter(|_| !self.is_chosen);
        Some(pin.and_then(|word| self.wish(word).ok()).flatten())
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
        // What was on its way over the old connection is lost.
        self.end_carriages(id, CarryEnd::Away);
        if let Some(old) = self.roster.attach(now, id, conn) {
            let hint = "a session lives on one connection";
            self.refuse(old, Refused::fatal(RefusalCode::Replaced, "the session was taken over", hint));
        }
        let up = join.resume.map(|resume| resume.up).unwrap_or_default();
        let mut ops = self.planner.apply(&Event::Back(id), &NoDistance);
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
        let told = self.with_overlap(&ops);
        self.welcome(id, conn, true);
        self.tell_changes(&told, Some(id));
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
            if self.may_testify(id, *peer) {
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
            self.tell_others(id, ServerMessage::Member(member.into()));
        }
        Ok(())
    }

    fn welcome(&mut self, id: MemberId, conn: ConnId, resumed: bool) {
        let Some(session) = self.roster.get(id) else { return };
        let mut others: Vec<_> = self.roster.iter().filter(|other| other.member.id != id).collect();
        others.sort_by_key(|other| other.arrival);
        let links = self.planner.links_of(id).chain(self.held_by(id)).map(|(peer, offers)| {
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
            eager: self.planner.eager_of(id).collect(),
            state: self.state.entries().clone(),
            topology: self.planner.topology().to_string(),
            pin: self.pin_word(),
            epoch: self.planner.epoch(),
            resumed,
            op: session.op,
            ping_ms: limits::HUB_PING.as_millis(),
            admin: session.grant.admin,
            carry: u32::try_from(self.carried_max(id)).unwrap_or(u32::MAX),
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
        self.end_carriages(id, CarryEnd::Away);
        self.planner.apply(&Event::Away(id), &NoDistance);
        self.recheck.insert(id);
        self.recheck_vouched(id);
    }

    /// A member is given up. Where its socket stands, it is told why.
    pub(super) fn gone(&mut self, now: Time, id: MemberId, reason: GoneReason) {
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
        for peer in self.roster.carried_with(id) {
            self.drop_carriage(id, peer);
        }
        let Some(session) = self.roster.remove(id) else { return };
        if let Some(at) = session.wake {
            self.wakes.remove(&(at, id));
        }
        self.recheck.remove(&id);
        self.drop_overlap(id);
        self.traffic_changed |= session.traffic != Traffic::default();
        let counter = match reason {
            GoneReason::Crashed => &mut self.counters.crashed,
            GoneReason::Unresponsive => &mut self.counters.unresponsive,
            GoneReason::Timeout => &mut self.counters.timed_out,
            GoneReason::Replaced => &mut self.counters.replaced,
            GoneReason::Left | GoneReason::Removed => &mut self.counters.left,
        };
        *counter += 1;
        self.tell_all(ServerMessage::Gone(Gone { id, reason }));
        let ops = self.planner.apply(&Event::Leave(id), &NoDistance);
        // Whoever hears that a member is gone closes its link to it.
        let ops: Vec<LinkOp> =
            ops.into_iter().filter(|op| !matches!(op, LinkOp::Close(a, b) if *a == id || *b == id)).collect();
        self.tell_links(&ops, None);
    }

    /// Examines those whom a member vouches for: its word has lost weight.
    pub(super) fn recheck_vouched(&mut self, id: MemberId) {
        self.recheck.extend(self.roster.vouched_by(id));
    }
}

/// The member that a `join` makes, or why there can be none.
fn newcomer(join: &Join, grant: &Grant) -> Result<Member, Refused> {
    // Whoever brings no name still has to be called something.
    let names = [grant.name.as_deref(), Some(join.name.as_str())].into_iter().flatten();
    let name = names.map(str::trim).find(|name| !name.is_empty()).unwrap_or(GUEST);
    if name.chars().count() > limits::NAME_MAX || name.chars().any(char::is_control) {
        let message = format!("a name has at most {} characters, and no control characters", limits::NAME_MAX);
        return Err(Refused::fatal(RefusalCode::BadName, message, "choose another name"));
    }
    if join.relay.is_some() && !grant.relay {
        let hint = "join with a token that grants relay, or as a member";
        return Err(Refused::fatal(RefusalCode::NotAllowed, "this token does not allow to be a relay", hint));
    }
    if grant.identity.as_ref().is_some_and(|identity| identity.len() > limits::IDENTITY_MAX) {
        let message = format!("the token's identity has more than {} bytes", limits::IDENTITY_MAX);
        return Err(Refused::fatal(RefusalCode::TokenInvalid, message, "give members shorter identities"));
    }
    if !state::attributes_fit(&join.attributes) {
        return Err(Refused { fatal: true, ..bad_attributes() });
    }
    Ok(Member {
        id: join.secret.member_id(),
        name: name.to_owned(),
        identity: grant.identity.clone(),
        attributes: join.attributes.clone(),
        mute: !grant.publish_data,
        relay: join.relay.is_some(),
        key: join.key,
    })
}

/// What a newcomer can carry.
fn profile(join: &Join) -> Profile {
    let Some(offer) = join.relay else { return Profile::default() };
    let max_links = offer.max_links.unwrap_or(limits::RELAY_LINKS);
    Profile { relay: true, max_links, uplink_kbps: limits::RELAY_UPLINK_KBPS, ..Profile::default() }
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

/// A connection is given up because nothing came over it.
pub(super) fn silent(silence_ms: u64) -> Refused {
    let message = format!("nothing came from this member for {} s", silence_ms / 1_000);
    Refused::fatal(RefusalCode::Silent, message, "answer pings; check whether the network stalls")
}
