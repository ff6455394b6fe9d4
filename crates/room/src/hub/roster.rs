//! Who is in the room, and who vouches for whom.
//!
//! A member's **witnesses** are those who reported a link to it as up. A witness vouches for the member until it
//! reports the link suspect or down: then it doubts it. A witness's word **counts** while its socket stands and it does
//! not leave the hub's ping unanswered. The word of one that is away is old: it does no more than give a member time
//! against the doubts of others, so that ghosts do not keep each other in the room, and nobody goes because those who
//! could vouch for it happen to be away for a moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{ConnId, Grant};
use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::signal::{Member, Traffic},
};

/// A member, from its first join until it is gone.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) member: Member,
    pub(super) grant: Grant,
    /// The socket; `None` while away.
    pub(super) conn: Option<ConnId>,
    /// The order of arrival.
    pub(super) arrival: u64,
    /// When the socket ended, while away.
    pub(super) away_since: Time,
    /// When anything was last heard on the socket.
    pub(super) heard: Time,
    /// When the hub's ping was sent that is not answered yet.
    pub(super) pinged: Option<Time>,
    /// Whether that ping has waited for its answer too long.
    pub(super) unanswered: bool,
    /// When it was last pinged because of a doubt.
    pub(super) probed: Option<Time>,
    /// When those who hold it against the word of others were last asked whether they are there.
    pub(super) questioned: Option<Time>,
    /// Whether a witness has come to doubt it since it was last examined.
    pub(super) newly_doubted: bool,
    /// Whether a witness, or the hub itself, has come to doubt it since it was last heard: that stands even when the
    /// witness leaves.
    pub(super) contested: bool,
    /// Since when it has been away with nobody's word for it against others' doubts, or with no witness at all.
    pub(super) failing: Option<Time>,
    /// Until when it may hold on to its first links, while it does not know where others' streams begin.
    pub(super) settling: Option<Time>,
    /// Links that it wants carried, by the other end, and under which number.
    pub(super) carries: BTreeMap<MemberId, u32>,
    /// What it said last of its traffic.
    pub(super) traffic: Traffic,
    /// The last of its own changes that was dealt with.
    pub(super) op: u64,
    /// Bytes of JSON that it takes in a welcome.
    pub(super) json_bytes: usize,
    /// When it is to be examined next.
    pub(super) wake: Option<Time>,
    witnesses: BTreeMap<MemberId, Testimony>,
    /// Members that say of it that it forged; as many as count.
    accusers: BTreeSet<MemberId>,
    /// Whom it holds links to that this hub does not know (yet).
    claims: BTreeSet<MemberId>,
}

/// What a witness says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Testimony {
    Vouches,
    Doubts,
}

/// How the evidence for a member's being alive stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// A witness whose word counts vouches for it.
    pub(super) held: bool,
    /// Some witness vouches for it, though its word may not count.
    pub(super) vouched: bool,
    /// A witness whose socket stands doubts it, or one did, or the hub, after it was last heard.
    pub(super) doubted: bool,
    /// It has, or had, links to members that are still here.
    pub(super) witnessed: bool,
    /// It is a relay, and no fewer witnesses whose word counts doubt it than vouch for it. Whoever goes by mistake loses what
    /// others owe to it; a relay has nothing to lose, and those who hang on it wait.
    pub(super) outweighed: bool,
}

/// All members of a room.
#[derive(Debug, Default)]
pub(super) struct Roster {
    sessions: BTreeMap<MemberId, Session>,
    conns: BTreeMap<ConnId, MemberId>,
    arrivals: u64,
    /// Those that are no relays.
    people: usize,
    json_bytes: usize,
}

impl Session {
    /// How many say of it that it forged.
    pub(super) fn accusers(&self) -> usize {
        self.accusers.len()
    }

    /// Whether its word counts.
    fn counts(&self) -> bool {
        self.conn.is_some() && !self.unanswered
    }

    /// Something came from it.
    pub(super) fn hear(&mut self, now: Time) {
        self.heard = now;
        self.pinged = None;
        self.unanswered = false;
        self.questioned = None;
        self.contested = false;
    }

    /// How long it has been silent.
    pub(super) fn silence(&self, now: Time) -> Micros {
        now.since(self.heard)
    }
}

impl Roster {
    /// Takes a newcomer in, on a connection. Gives those who said that they hold a link to it before the hub knew it: they are
    /// its witnesses now.
    pub(super) fn insert(&mut self, now: Time, member: Member, grant: Grant, conn: ConnId) -> Vec<MemberId> {
        self.arrivals += 1;
        let id = member.id;
        let json_bytes = json_bytes(&member);
        self.json_bytes += json_bytes;
        self.people += usize::from(!member.relay);
        let session = Session {
            member,
            grant,
            conn: Some(conn),
            arrival: self.arrivals,
            away_since: now,
            heard: now,
            pinged: None,
            unanswered: false,
            probed: None,
            questioned: None,
            newly_doubted: false,
            contested: false,
            failing: None,
            settling: Some(now + limits::SETTLE_BY),
            carries: BTreeMap::new(),
            traffic: Traffic::default(),
            op: 0,
            json_bytes,
            wake: None,
            witnesses: BTreeMap::new(),
            accusers: BTreeSet::new(),
            claims: BTreeSet::new(),
        };
        self.sessions.insert(id, session);
        self.conns.insert(conn, id);
        let claimants: Vec<MemberId> = self
            .sessions
            .values_mut()
            .filter_map(|other| other.claims.remove(&id).then_some(other.member.id))
            .collect();
        for claimant in &claimants {
            self.testify(*claimant, id, Testimony::Vouches);
        }
        claimants
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, id: MemberId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        if let Some(conn) = session.conn {
            self.conns.remove(&conn);
        }
        self.json_bytes -= session.json_bytes;
        self.people -= usize::from(!session.member.relay);
        for other in self.sessions.values_mut() {
            other.witnesses.remove(&id);
        }
        Some(session)
    }

    /// Gives a member's session to another connection; the one that had it before is returned.
    pub(super) fn attach(&mut self, now: Time, id: MemberId, conn: ConnId) -> Option<ConnId> {
        let session = self.sessions.get_mut(&id)?;
        session.hear(now);
        session.probed = None;
        session.failing = None;
        let old = session.conn.replace(conn);
        self.conns.insert(conn, id);
        if let Some(old) = old {
            self.conns.remove(&old);
        }
        old
    }

    /// Takes a member's connection from it: it is away now.
    pub(super) fn detach(&mut self, now: Time, id: MemberId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.away_since = now;
            session.pinged = None;
            session.unanswered = false;
            if let Some(conn) = session.conn.take() {
                self.conns.remove(&conn);
            }
        }
    }

    /// Puts another record in a member's place.
    pub(super) fn replace_member(&mut self, member: Member) {
        if let Some(session) = self.sessions.get_mut(&member.id) {
            self.json_bytes -= session.json_bytes;
            session.json_bytes = json_bytes(&member);
            session.member = member;
            self.json_bytes += session.json_bytes;
        }
    }

    /// Whether a welcome still carries everybody once `member` is in the place of its former self, if it has one.
    pub(super) fn has_room_for(&self, member: &Member) -> bool {
        let former = self.sessions.get(&member.id).map_or(0, |session| session.json_bytes);
        self.json_bytes - former + json_bytes(member) <= limits::ROSTER_BYTES
    }

    pub(super) fn get(&self, id: MemberId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// The hub got no turn for a while: what was not heard meanwhile says nothing of anybody.
    pub(super) fn slept(&mut self, now: Time) {
        for session in self.sessions.values_mut() {
            match session.conn {
                Some(_) => session.hear(now),
                None => session.away_since = now,
            }
            session.failing = None;
        }
    }

    /// Whose connection this is.
    pub(super) fn by_conn(&self, conn: ConnId) -> Option<MemberId> {
        self.conns.get(&conn).copied()
    }

    /// Everybody, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// How many, the away ones included.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many are no relays, the away ones included.
    pub(super) fn people(&self) -> usize {
        self.people
    }

    /// How many are not away.
    pub(super) fn present(&self) -> usize {
        self.conns.len()
    }

    /// A member reports a link as up. Gives whether that is news.
    pub(super) fn vouch(&mut self, witness: MemberId, about: MemberId) -> bool {
        self.testify(witness, about, Testimony::Vouches)
    }

    /// A member reports a link as suspect or down. Gives whether that is news: doubts about links that never were up
    /// say nothing.
    pub(super) fn doubt(&mut self, witness: MemberId, about: MemberId) -> bool {
        self.testify(witness, about, Testimony::Doubts)
    }

    fn testify(&mut self, witness: MemberId, about: MemberId, testimony: Testimony) -> bool {
        if let Some(session) = self.sessions.get_mut(&about) {
            let former = session.witnesses.get(&witness).copied();
            let news = former != Some(testimony) && (former.is_some() || testimony == Testimony::Vouches);
            if news {
                session.witnesses.insert(witness, testimony);
                session.contested |= testimony == Testimony::Doubts;
            }
            return news;
        }
        if let Some(session) = self.sessions.get_mut(&witness) {
            match testimony {
                Testimony::Doubts => {
                    session.claims.remove(&about);
                }
                Testimony::Vouches if session.claims.len() < limits::CLAIMS_MAX => {
                    session.claims.insert(about);
                }
                Testimony::Vouches => {}
            }
        }
        false
    }

    /// A member says that another brought what nobody had said. Gives whether that is news.
    pub(super) fn accuse(&mut self, witness: MemberId, about: MemberId) -> bool {
        let accused = self.sessions.get_mut(&about).filter(|session| session.accusers() < limits::FORGED_ACCUSERS);
        accused.is_some_and(|session| session.accusers.insert(witness))
    }

    /// The plan has no link between two members any more: what they said of each other says nothing now.
    pub(super) fn retract(&mut self, a: MemberId, b: MemberId) {
        for (witness, about) in [(a, b), (b, a)] {
            if let Some(session) = self.sessions.get_mut(&about) {
                session.witnesses.remove(&witness);
            }
        }
    }

    /// Whom something is to be carried to or from, besides a member: one of the two wants it.
    pub(super) fn carried_with(&self, id: MemberId) -> Vec<MemberId> {
        let own = self.get(id);
        let wish = |session: &&Session| {
            let other = session.member.id;
            session.carries.contains_key(&id) || own.is_some_and(|own| own.carries.contains_key(&other))
        };
        self.iter().filter(wish).map(|session| session.member.id).collect()
    }

    /// Ends the time to settle of those for whom it is over.
    pub(super) fn end_settling(&mut self, now: Time) {
        for session in self.sessions.values_mut() {
            session.settling = session.settling.filter(|until| now < *until);
        }
    }

    /// Whom a member vouches for.
    pub(super) fn vouched_by(&self, witness: MemberId) -> Vec<MemberId> {
        let vouches = |session: &&Session| session.witnesses.get(&witness) == Some(&Testimony::Vouches);
        self.sessions.values().filter(vouches).map(|session| session.member.id).collect()
    }

    /// Whether `witness` vouches for `about`.
    pub(super) fn vouches(&self, witness: MemberId, about: MemberId) -> bool {
        self.get(about).is_some_and(|session| session.witnesses.get(&witness) == Some(&Testimony::Vouches))
    }

    /// Forgets what a member said of those that the hub does not know.
    pub(super) fn drop_claims(&mut self, id: MemberId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.claims.clear();
        }
    }

    /// Weighs what the witnesses of a member say.
    pub(super) fn evidence(&self, id: MemberId) -> Evidence {
        let mut evidence = Evidence::default();
        let Some(session) = self.get(id) else { return evidence };
        evidence.doubted = session.contested;
        let (mut doubters, mut holders) = (0_usize, 0_usize);
        for (witness, testimony) in &session.witnesses {
            let Some(witness) = self.get(*witness) else { continue };
            evidence.witnessed = true;
            match testimony {
                Testimony::Doubts => {
                    evidence.doubted |= witness.conn.is_some();
                    doubters += usize::from(witness.counts());
                }
                Testimony::Vouches => {
                    evidence.vouched = true;
                    evidence.held |= witness.counts();
                    holders += usize::from(witness.counts());
                }
            }
            if evidence.held && evidence.doubted && !session.member.relay {
                break;
            }
        }
        evidence.outweighed = session.member.relay && doubters > 0 && doubters >= holders;
        evidence
    }

    /// Those who vouch for a member and are not away.
    pub(super) fn holders(&self, id: MemberId) -> Vec<MemberId> {
        let witnesses = self.get(id).into_iter().flat_map(|session| &session.witnesses);
        let vouchers = witnesses.filter(|(_, testimony)| **testimony == Testimony::Vouches);
        let present = |id: &MemberId| self.get(*id).is_some_and(|session| session.conn.is_some());
        vouchers.map(|(id, _)| *id).filter(present).collect()
    }
}

/// Bytes that a member takes in a welcome.
fn json_bytes(member: &Member) -> usize {
    serde_json::to_string(member).expect("a member has string keys only").len() + 1
}
