//! What members say to the whole room, over whatever links there are.
//!
//! Each origin's stream is a numbered **log**. A link on which a stream is *pushed* follows the log: chunks go over it in
//! order, each once, from where the other end says that it stands. So a chunk that comes is the next one or a duplicate,
//! however often the way changes, and whoever loses its way asks anybody for the rest of the log.
//!
//! Of each stream a member has one **parent**, the link that it comes by; it pushes the stream to whoever wants it from
//! there, and tells everybody else how far it is. The ways of a stream so form a tree, which Plumtree (Leitão, Pereira,
//! Rodrigues, SRDS 2007) calls eager push; what is told elsewhere is its lazy push, cumulative here.
//!
//! - The plan says which links are **eager**: along them goes a stream of which nothing was heard yet.
//! - GRAFT asks for a stream from a chunk on, PRUNE asks not to be sent it, HAVE says how far one is: to the parent that
//!   acknowledges, to others it announces.
//! - Where HAVE shows chunks that are missing here, one who has them is asked after a while (`ways`); where a link ends, its
//!   streams are asked of somebody else at once.
//!
//! In a full mesh (not [`Plan::relayed`]) everybody pushes its own stream on all links, and nothing is announced: the same
//! machine, in which a lost link is mended by way of a third member.
//!
//! Where members do not believe each other, what is passed on goes after its origin's signature (`trust`).
//!
//! What is said to one member only is a log too, with one follower: it goes over the link to that member, or along a route
//! of members who pass it on (`addressed`). Its origin keeps it until the addressee has it.

mod addressed;
mod distance;
mod error;
mod greeting;
mod link;
mod log;
mod own;
mod proof;
mod receive;
mod rescue;
mod send;
mod slab;
mod stream;
mod trust;
mod upkeep;
mod waiting;
mod ways;
pub(crate) mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use self::{
    distance::Distance,
    link::Link,
    slab::Slab,
    stream::{Kind, Lateness, Stream},
    trust::Signing,
    window::Lost,
};
pub use self::{error::LinkError, stream::Beginning, window::Violation};
use crate::{
    id::{Key, MemberId, Signature},
    limits,
    time::{Micros, Time},
    wire::frame::{self, Data, Frame, Head, Holding, Stream as StreamId},
};

/// Reliable delivery to the whole room, for one member.
#[derive(Debug)]
pub struct Courier {
    now: Time,
    this: MemberId,
    streams: Slab<Stream>,
    by_id: BTreeMap<StreamId, usize>,
    /// What this member says to the room.
    own: usize,
    /// Numbers all chunks of this member, whatever their stream.
    stamp: u64,
    /// Members that this one's stream is kept for also while there is no link to them; `None` while there is one.
    expected: BTreeMap<MemberId, Option<Expected>>,
    /// What the application has not consumed yet of each member's messages.
    unconsumed: BTreeMap<MemberId, Unconsumed>,
    links: Slab<Link>,
    by_peer: BTreeMap<MemberId, usize>,
    plan: Plan,
    /// Whether members are named at all.
    names_members: bool,
    /// Whether all who were in the room before have been named.
    met_all: bool,
    /// When that was.
    met_at: Option<Time>,
    /// Whether it is known where their streams begin.
    vouched: bool,
    /// Whether links are to come, so that what no neighbour has may yet be had.
    hopeful: bool,
    lateness: Lateness,
    /// Members that went, and where the streams from and to them stood; the oldest first.
    departed: VecDeque<(MemberId, Position)>,
    /// When a stream's next repair is due.
    repairs: BTreeSet<(Time, usize)>,
    /// Streams that hold back those who send them.
    laden: BTreeSet<usize>,
    sweep_at: Option<Time>,
    /// Bytes of one stream that are cached.
    share: usize,
    /// What it takes to sign and to verify; `None` where neighbours are believed.
    signing: Option<Signing>,
    /// Links that may have frames to send.
    dirty: VecDeque<usize>,
    events: VecDeque<Event>,
    counters: Counters,
}

/// What the room's plan means for a member's streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The plan's number.
    pub epoch: u64,
    /// Whether streams go from link to link. Else, in a mesh, every origin has a link to everybody.
    pub relayed: bool,
    /// The other ends of the links that streams take of which nothing was heard yet.
    pub eager: BTreeSet<MemberId>,
}

/// How a new link stands to the room's history.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkUp {
    /// Whether where the other end says that streams begin is true for this member too: it was in the room before, or is a
    /// relay.
    pub vouches: bool,
    /// Since when the other end is in the room, as this member knows; it is offered what came since. `None`: all there is.
    pub offer_from: Option<Time>,
}

/// Somebody who is owed what this member says, and has no link to get it by.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// The first chunk that it may lack.
    from: u64,
    since: Time,
    /// Members pass on what others say by now: until then it is still kept for it.
    until: Option<Time>,
}

/// Cost of messages that the application has not consumed, and the link that the last of them came by.
#[derive(Clone, Copy, Debug, Default)]
struct Unconsumed {
    cost: u64,
    link: usize,
}

/// Where the streams between two members stood when one of them went.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    room: Option<u64>,
    /// From where on others have offered the one to the room since.
    offered: Option<u64>,
    received: Option<u64>,
    sent: Option<u64>,
}

/// What comes out of a courier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The other end of a link has said HELLO.
    Open {
        /// Who that is.
        peer: MemberId,
    },
    /// A message was taken into its log: the next one may follow.
    Sent {
        /// As given to [`Courier::send`].
        ticket: u64,
    },
    /// What was said to a member has no way to it: [`Courier::route`] gives one.
    Unroutable {
        /// The addressee.
        to: MemberId,
    },
    /// No neighbour can bring what a member says to the room: a link to it may.
    Unreached {
        /// Whose stream.
        origin: MemberId,
    },
    /// A message came: once, in its origin's order.
    Message {
        /// Who said it.
        origin: MemberId,
        /// Whether it was said to this member only.
        addressed: bool,
        /// The number of its last chunk.
        seq: u64,
        /// How many links it took.
        hop: u8,
        /// What it is.
        head: Head,
        /// The message.
        payload: Bytes,
    },
    /// A text is to be signed: answered by [`Courier::signed`].
    Sign {
        /// Named in the answer.
        token: u64,
        /// The text.
        text: Bytes,
    },
    /// A signature is to be verified: answered by [`Courier::verified`].
    Verify {
        /// Named in the answer.
        token: u64,
        /// Whose signature it should be.
        key: Key,
        /// What is signed.
        text: Bytes,
        /// The signature.
        signature: Signature,
    },
    /// What the other end of a link has brought turned out to break the rules: the link is of no use any more.
    Faulty {
        /// Who that is.
        peer: MemberId,
        /// What it did.
        error: LinkError,
    },
    /// Chunks of a stream will never come; both ends included.
    Gap {
        /// Whose stream.
        origin: MemberId,
        /// Whether it is the one to this member only.
        addressed: bool,
        /// The first chunk lost.
        from: u64,
        /// The last chunk lost.
        to: u64,
    },
}

/// What a courier has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Chunks that came and were new.
    pub fresh: u64,
    /// Chunks that came again.
    pub duplicates: u64,
    /// Chunks that came before an earlier one, and were of no use.
    pub early: u64,
    /// Chunks pushed.
    pub pushed: u64,
    /// GRAFTs sent.
    pub grafts: u64,
    /// PRUNEs sent.
    pub prunes: u64,
    /// Entries of HAVE sent.
    pub told: u64,
    /// Chunks that were given up.
    pub lost: u64,
}

impl Courier {
    /// A member's courier, with no links yet.
    pub fn new(this: MemberId, now: Time) -> Courier {
        let id = StreamId::room(this);
        let mut streams = Slab::default();
        let own = streams.insert(Stream::new(id, Kind::Own, now));
        Courier {
            now,
            this,
            streams,
            by_id: BTreeMap::from([(id, own)]),
            own,
            stamp: 0,
            expected: BTreeMap::new(),
            unconsumed: BTreeMap::new(),
            links: Slab::default(),
            by_peer: BTreeMap::new(),
            plan: Plan::default(),
            names_members: false,
            met_all: false,
            met_at: None,
            vouched: false,
            hopeful: false,
            lateness: Lateness::new(),
            departed: VecDeque::new(),
            repairs: BTreeSet::new(),
            laden: BTreeSet::new(),
            sweep_at: None,
            share: limits::CACHE_BYTES,
            signing: None,
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    // ---- the room -------------------------------------------------------------------------------

    /// All who were in the room before this member have been named by [`Courier::entered`]: any other stream begins with its
    /// first chunk.
    pub fn met_all(&mut self) {
        self.met_all = true;
        self.met_at = Some(self.now);
        self.settle_beginnings();
    }

    /// The plan changed. Streams keep the ways that they have; new ones take the links that are eager now.
    pub fn plan(&mut self, now: Time, plan: Plan) {
        self.now = now;
        let mut newly_eager = Vec::new();
        for at in self.links.places() {
            let link = &mut self.links[at];
            let eager = plan.eager.contains(&link.peer);
            let (was_eager, was_relayed) = (std::mem::replace(&mut link.eager, eager), self.plan.relayed);
            let of_room = |stream: &Stream| matches!(stream.kind, Kind::Own | Kind::Room);
            for (s, stream) in self.streams.iter().filter(|(_, stream)| of_room(stream)) {
                let pushed = default_push(was_relayed, was_eager, stream);
                let pushes = default_push(plan.relayed, eager, stream);
                let ends = link.ends(s);
                if ends.wanted.is_some() {
                    continue;
                }
                // Whoever has a stream from here goes on getting it, until it says that it has it from elsewhere.
                if pushed && !pushes && stream.is_active(now) && stream.parent != Some(at) {
                    ends.wanted = Some(true);
                } else if pushes && ends.cursor < stream.next() {
                    link.ready(s);
                } else if !pushes && plan.relayed && ends.theirs < stream.next() {
                    link.tell(s, now + limits::ANNOUNCE_DELAY);
                }
            }
            if plan.relayed && eager && !(was_relayed && was_eager) {
                newly_eager.push(at);
            }
            self.list(at);
        }
        let was_relayed = std::mem::replace(&mut self.plan, plan).relayed;
        newly_eager.into_iter().for_each(|at| self.decline(at));
        self.unseal(self.own);
        if was_relayed && !self.plan.relayed {
            self.take_from_origins();
        } else if !was_relayed && self.plan.relayed {
            self.learn_beginnings();
            self.hope_anew();
        }
    }

    /// The room is a mesh from now on: every stream is asked of its origin, where there is a link to it.
    fn take_from_origins(&mut self) {
        for s in self.streams.places() {
            let stream = &self.streams[s];
            let origin = self.by_peer.get(&stream.id.origin).copied().filter(|at| self.links[*at].is_sound());
            if let Some(at) = origin.filter(|at| stream.kind == Kind::Room && stream.parent != Some(*at)) {
                self.graft(at, s);
            }
        }
    }

    /// A member is in the room, or there again after it was believed to be gone. `beginning`: where its stream begins, unless
    /// that is known from before.
    pub fn entered(&mut self, now: Time, id: MemberId, beginning: Beginning) {
        self.now = now;
        self.names_members = true;
        if let Some(s) = self.by_id.get(&StreamId::room(id)) {
            self.streams[*s].forget_at = None;
        }
        let departed = self.departed.iter().position(|(departed, _)| *departed == id);
        let position = departed.and_then(|at| self.departed.remove(at)).map(|(_, position)| position);
        let is_unmet = position.is_some_and(|position| position.room.or(position.offered).is_none());
        // Links may have stayed when it was believed to be gone: what was said meanwhile is owed, whatever the hub says.
        let Position { room, offered, received, sent } = position.unwrap_or_default();
        let streams = [
            (StreamId::room(id), Kind::Room, room.or(offered)),
            (StreamId::addressed(id, self.this), Kind::Received, received),
            (StreamId::addressed(self.this, id), Kind::Sent, sent),
        ];
        for (stream, kind, next) in streams {
            if let Some(next) = next
                && let Some(s) = self.stream(stream, kind)
            {
                self.streams[s].resume(next);
            }
        }
        if let Some(s) = self.stream(StreamId::room(id), Kind::Room) {
            let stream = &mut self.streams[s];
            stream.is_named = true;
            stream.beginning = beginning;
            // It may have known this member all the time, whatever the hub takes it for.
            if is_unmet && let Beginning::At(next) = beginning {
                stream.reappear(next);
            }
            // Others may have told of it before the hub did.
            let is_open = !stream.has_begun() || (stream.is_untouched && beginning != Beginning::Before);
            if beginning != Beginning::Before && self.plan.relayed && is_open {
                stream.begin();
                self.repaired(s);
            }
            self.ask_for_departed(s);
        }
    }

    /// Others have told of the stream of a member that had gone: what they have of it is wanted now.
    fn ask_for_departed(&mut self, s: usize) {
        let origin = self.streams[s].id.origin;
        for at in self.links.places() {
            let Some(theirs) = self.links[at].departed.remove(&origin) else { continue };
            self.links[at].ends(s).has(theirs, self.now);
            if self.streams[s].has_begun() && theirs > self.streams[s].next() {
                self.want(at, s, theirs);
            }
        }
    }

    /// The other end of a link has everything below `next` of the stream of a member that went, and offers it from `first` on.
    fn told_of_departed(&mut self, at: usize, origin: MemberId, first: Option<u64>, next: u64) {
        let position = self.departed.iter_mut().find(|(departed, _)| *departed == origin);
        if let Some((_, position)) = position {
            position.offered = position.offered.into_iter().chain(first).min();
            let theirs = self.links[at].departed.entry(origin).or_default();
            *theirs = next.max(*theirs);
        }
    }

    // ---- links ----------------------------------------------------------------------------------

    /// A link can carry frames. HELLO is the first.
    pub fn link_up(&mut self, now: Time, peer: MemberId, how: LinkUp) {
        self.link_down(now, peer);
        let held = self.unconsumed.get(&peer).map_or(0, |unconsumed| unconsumed.cost);
        let granted = limits::RECEIVE_WINDOW.saturating_sub(held);
        let link = Link::new(peer, self.plan.eager.contains(&peer), how, granted, self.vouched);
        let at = self.links.insert(link);
        self.by_peer.insert(peer, at);
        // What counts against this link's first credit opens this one when it is consumed, whatever link it came by.
        if let Some(unconsumed) = self.unconsumed.get_mut(&peer) {
            let old = std::mem::replace(&mut unconsumed.link, at);
            self.grant(old);
        }
        let hello = self.greeting(at);
        self.links[at].control.push_back(hello);
        if let Some(s) = self.by_id.get(&StreamId::addressed(self.this, peer)) {
            // Of what begins later HELLO does not tell, also where it is said again.
            self.links[at].ends(*s).routed = true;
        }
        self.list(at);
    }

    /// Whether links are to come that are not open yet.
    pub fn hope(&mut self, hopeful: bool) {
        self.hopeful = hopeful;
    }

    /// A link is no more.
    pub fn link_down(&mut self, now: Time, peer: MemberId) {
        self.now = now;
        let Some(at) = self.by_peer.remove(&peer) else { return };
        let own = *self.links[at].ends_of(self.own);
        let was_open = self.links.remove(at).is_some_and(|link| link.open);
        // Where what came right behind HELLO was wrong, the link never opened.
        self.events.retain(|event| !matches!(event, Event::Open { peer: opened } if *opened == peer));
        if was_open && let Some(expected) = self.expected.get_mut(&peer) {
            *expected = Some(Expected { from: own.theirs, since: now, until: None });
        }
        for (_, stream) in self.streams.iter_mut() {
            if let Some(repair) = &mut stream.repair {
                repair.asked.retain(|asked| *asked != at);
            }
        }
        self.forget_covers(at);
        self.lose_routes(at);
        self.bereave(at);
        for s in self.streams.places() {
            if self.streams[s].repair.is_some() {
                self.settle_gap(s);
            }
            self.trim(s);
        }
        self.fill_own();
    }

    /// A link has fallen silent, or was heard again.
    pub fn suspect(&mut self, now: Time, peer: MemberId, suspect: bool) {
        self.now = now;
        let Some(&at) = self.by_peer.get(&peer) else { return };
        if std::mem::replace(&mut self.links[at].suspect, suspect) == suspect {
            return;
        }
        if suspect {
            self.bereave(at);
            self.fill_own();
        } else {
            self.ask_for_orphans(at);
        }
    }

    /// A round trip over a link takes so long.
    pub fn measured(&mut self, peer: MemberId, rtt: Micros) {
        if let Some(&at) = self.by_peer.get(&peer) {
            self.links[at].measured(rtt);
        }
    }

    /// The send buffer of a link's reliable lane holds so many bytes.
    pub fn buffered(&mut self, peer: MemberId, bytes: usize) {
        if let Some(&at) = self.by_peer.get(&peer) {
            self.links[at].buffered = bytes;
            self.list(at);
        }
    }

    // ---- outputs --------------------------------------------------------------------------------

    /// What came.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Somebody whom [`Courier::next_frame`] may have something for.
    pub fn poll_dirty(&mut self) -> Option<MemberId> {
        while let Some(at) = self.dirty.pop_front() {
            if let Some(link) = self.links.get_mut(at)
                && std::mem::take(&mut link.listed)
            {
                return Some(link.peer);
            }
        }
        None
    }

    /// When [`Courier::tick`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        let links = self.links.iter().filter(|(_, link)| link.open).filter_map(|(_, link)| link.tell_at);
        let repair = self.repairs.first().map(|(due, _)| *due);
        links.chain(repair).chain(self.sweep_at).chain(self.seal_at()).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Time) {
        self.now = now;
        for at in self.links.places() {
            if self.links[at].tell_at.is_some_and(|due| due <= now) {
                self.list(at);
            }
        }
        while let Some((due, s)) = self.repairs.first().copied().filter(|(due, _)| *due <= now) {
            self.repairs.remove(&(due, s));
            self.repair_due(s);
        }
        if self.sweep_at.is_some_and(|due| due <= now) {
            self.sweep();
        }
    }

    /// The first chunk of its stream to the room that this member has not said yet.
    pub fn next(&self) -> u64 {
        self.streams[self.own].next()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Of what an origin says to the room: the first chunk that is missing here, how many links it takes, and whom it comes from.
    pub fn standing(&self, origin: MemberId) -> Option<(u64, u8, Option<MemberId>)> {
        let stream = &self.streams[*self.by_id.get(&StreamId::room(origin))?];
        let parent = stream.parent.map(|at| self.links[at].peer);
        Some((stream.next(), stream.far.hop, parent))
    }

    /// Whether an origin's stream goes, or would go, from here to a member.
    pub fn carries(&self, origin: MemberId, peer: MemberId) -> bool {
        let Some(&at) = self.by_peer.get(&peer) else { return false };
        match self.by_id.get(&StreamId::room(origin)) {
            Some(&s) => self.pushes(at, s),
            None => self.plan.relayed && self.links[at].eager,
        }
    }

    // ---- within ---------------------------------------------------------------------------------

    fn list(&mut self, at: usize) {
        if !std::mem::replace(&mut self.links[at].listed, true) {
            self.dirty.push_back(at);
        }
    }

    fn sweep_by(&mut self, due: Time) {
        self.sweep_at = Some(self.sweep_at.map_or(due, |at| at.min(due)));
    }

    /// The place of a stream; made where it is new and there is room. `None` beyond that, and for members that went.
    fn stream(&mut self, id: StreamId, kind: Kind) -> Option<usize> {
        if let Some(s) = self.by_id.get(&id) {
            return Some(*s);
        }
        if self.by_id.len() >= limits::STREAMS_MAX || self.has_departed(id.origin) {
            return None;
        }
        let mut stream = Stream::new(id, kind, self.now);
        if kind == Kind::Room && self.knows_beginnings() {
            // Whoever vouched did not know of it: it has only begun, or the hub will tell. In a mesh its origin says where.
            stream.beginning = Beginning::Anywhere;
            stream.begin();
        }
        let s = self.streams.insert(stream);
        self.by_id.insert(id, s);
        Some(s)
    }

    /// Whether a stream that nobody has told of has yet to begin.
    fn knows_beginnings(&self) -> bool {
        self.vouched && self.plan.relayed
    }

    /// Whether a stream of which somebody has nothing has yet to begin.
    fn is_to_begin(&self, id: &StreamId, kind: Kind) -> bool {
        let is_new = !self.by_id.contains_key(id) && !self.has_departed(id.origin);
        is_new && (kind == Kind::Sent || kind == Kind::Room && self.knows_beginnings())
    }

    fn has_departed(&self, id: MemberId) -> bool {
        self.departed.iter().any(|(departed, _)| *departed == id)
    }

    /// Whether the other end of a link is to be sent a stream.
    fn pushes(&self, at: usize, s: usize) -> bool {
        let (link, stream) = (&self.links[at], &self.streams[s]);
        let wanted = || link.ends_of(s).wanted.unwrap_or(default_push(self.plan.relayed, link.eager, stream));
        link.open
            && match stream.kind {
                Kind::Own => wanted(),
                // Its origin has it.
                Kind::Room => link.peer != stream.id.origin && wanted(),
                Kind::Sent | Kind::Passing => stream.toward == Some(at),
                Kind::Received => false,
            }
    }
}

/// What a DATA frame counts for, in credit and in what is kept.
fn cost(frame: usize) -> u64 {
    frame as u64 + limits::FRAME_COST
}

/// Whether a stream goes over a link whose other end has said nothing of it.
fn default_push(relayed: bool, eager: bool, stream: &Stream) -> bool {
    if relayed { eager } else { stream.kind == Kind::Own }
}
