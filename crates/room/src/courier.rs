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

mod link;
mod log;
mod receive;
mod send;
mod stream;
mod ways;
pub(crate) mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use self::{
    link::Link,
    stream::{Lateness, Stream},
    window::{Lost, Violation},
};
use crate::{
    id::MemberId,
    limits,
    time::Time,
    wire::frame::{self, Data, Frame, Head, Holding, Stream as StreamId},
};

/// Reliable delivery to the whole room, for one member.
#[derive(Debug)]
pub struct Courier {
    now: Time,
    streams: Slab<Stream>,
    by_origin: BTreeMap<MemberId, usize>,
    own: usize,
    links: Slab<Link>,
    by_peer: BTreeMap<MemberId, usize>,
    plan: Plan,
    /// Whether it is known where the streams begin of those who were in the room before.
    vouched: bool,
    lateness: Lateness,
    /// Members that went, and the first chunk of their streams that was missing here; the oldest first.
    departed: VecDeque<(MemberId, Option<u64>)>,
    /// When a stream's next repair is due.
    repairs: BTreeSet<(Time, usize)>,
    /// Streams that hold back those who send them.
    laden: BTreeSet<usize>,
    sweep_at: Option<Time>,
    /// Links that may have frames to send.
    dirty: VecDeque<usize>,
    events: VecDeque<Event>,
    counters: Counters,
}

/// What the room's plan means for a member's streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether streams go from link to link. Else, in a mesh, every origin has a link to everybody.
    pub relayed: bool,
    /// The other ends of the links that streams take of which nothing was heard yet.
    pub eager: BTreeSet<MemberId>,
}

/// How a new link stands to the room's history.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkUp {
    /// Whether the other end was in the room before this member, so that where it says that streams begin is true for this
    /// member too.
    pub vouches: bool,
    /// Since when the other end is in the room, as this member knows; it is offered what came since. `None`: all there is.
    pub offer_from: Option<Time>,
}

/// What comes out of a courier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message came: once, in its origin's order.
    Message {
        /// Who said it.
        origin: MemberId,
        /// The number of its last chunk.
        seq: u64,
        /// How many links it took.
        hop: u8,
        /// What it is.
        head: Head,
        /// The message.
        payload: Bytes,
    },
    /// Chunks of a stream will never come; both ends included.
    Gap {
        /// Whose stream.
        origin: MemberId,
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

/// How the other end of a link broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Not a frame.
    #[error("bad_frame: {0}")]
    Frame(#[from] frame::FrameError),
    /// A frame that does not belong on a link's reliable lane, or not yet.
    #[error("bad_frame: a frame before HELLO, or a second HELLO")]
    Hello,
    /// A version that this member does not speak.
    #[error("bad_frame: version {0}")]
    Version(u64),
    /// It passed on what breaks the rules of messages.
    #[error("bad_frame: a message that breaks the rules")]
    Message,
    /// It claims to have what was never sent.
    #[error("bad_frame: an acknowledgement of what was never sent")]
    Acknowledged,
    /// More than the credit allows.
    #[error("over_credit")]
    OverCredit,
}

impl From<Violation> for LinkError {
    fn from(_: Violation) -> LinkError {
        LinkError::Message
    }
}

impl Courier {
    /// A member's courier, with no links yet.
    pub fn new(this: MemberId, now: Time) -> Courier {
        let mut streams = Slab::default();
        let own = streams.insert(Stream { hop: 0, ..Stream::new(this, now) });
        Courier {
            now,
            streams,
            by_origin: BTreeMap::from([(this, own)]),
            own,
            links: Slab::default(),
            by_peer: BTreeMap::new(),
            plan: Plan::default(),
            vouched: false,
            lateness: Lateness::new(),
            departed: VecDeque::new(),
            repairs: BTreeSet::new(),
            laden: BTreeSet::new(),
            sweep_at: None,
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    // ---- the room -------------------------------------------------------------------------------

    /// This member entered an empty room: all streams begin with their first chunk.
    pub fn first_in_room(&mut self) {
        self.vouched = true;
    }

    /// The plan changed. Streams keep the ways that they have; new ones take the links that are eager now.
    pub fn plan(&mut self, now: Time, plan: Plan) {
        self.now = now;
        for at in self.links.places() {
            let link = &mut self.links[at];
            let eager = plan.eager.contains(&link.peer);
            let (was_eager, was_relayed) = (std::mem::replace(&mut link.eager, eager), self.plan.relayed);
            for (s, stream) in self.streams.iter() {
                let pushed = default_push(was_relayed, was_eager, stream);
                let pushes = default_push(plan.relayed, eager, stream);
                let ends = link.ends(s);
                if ends.wanted.is_some() {
                    continue;
                }
                // Whoever has a stream from here goes on getting it, until it says that it has it from elsewhere.
                if pushed && !pushes && stream.is_active(now) {
                    ends.wanted = Some(true);
                } else if pushes && ends.cursor < stream.next() {
                    link.ready(s);
                } else if !pushes && plan.relayed && ends.theirs < stream.next() {
                    link.tell(s, now + limits::ANNOUNCE_DELAY);
                }
            }
            self.list(at);
        }
        self.plan = plan;
    }

    /// A member is gone: what a survivor has of its stream the others get, and then it is forgotten.
    pub fn gone(&mut self, now: Time, origin: MemberId) {
        self.now = now;
        let Some(s) = self.stream_of(origin).filter(|s| *s != self.own) else { return };
        self.streams[s].forget_at = Some(now + limits::FIN_GRACE);
        for at in self.links.places() {
            let link = &mut self.links[at];
            if link.peer != origin && link.open {
                link.tell(s, now);
                self.list(at);
            }
        }
        self.sweep_by(now + limits::FIN_GRACE);
    }

    /// A member that was believed to be gone is there: its stream goes on where it stood.
    pub fn returned(&mut self, now: Time, origin: MemberId) {
        self.now = now;
        if let Some(&s) = self.by_origin.get(&origin) {
            self.streams[s].forget_at = None;
        } else if let Some(at) = self.departed.iter().position(|(id, _)| *id == origin)
            && let Some((_, Some(next))) = self.departed.remove(at)
            && let Some(s) = self.stream_of(origin)
        {
            self.streams[s].resume(next);
        }
    }

    // ---- links ----------------------------------------------------------------------------------

    /// A link can carry frames. HELLO is the first.
    pub fn link_up(&mut self, now: Time, peer: MemberId, how: LinkUp) {
        self.link_down(now, peer);
        let granted = limits::RECEIVE_WINDOW;
        let mut link = Link::new(peer, self.plan.eager.contains(&peer), how.vouches, granted);
        let mut holdings = Vec::new();
        for (s, stream) in self.streams.iter().filter(|(_, stream)| stream.has_begun()) {
            let log = &stream.log;
            let first = how.offer_from.map_or(log.first(), |since| log.first_since(since));
            link.ends(s).cursor = first;
            holdings.push(Holding { stream: StreamId::room(stream.origin), first, next: log.next() });
        }
        link.control.push_back(Frame::Hello { version: frame::VERSION, epoch: 0, credit: granted, holdings });
        let at = self.links.insert(link);
        self.by_peer.insert(peer, at);
        self.list(at);
    }

    /// A link is no more.
    pub fn link_down(&mut self, now: Time, peer: MemberId) {
        self.now = now;
        let Some(at) = self.by_peer.remove(&peer) else { return };
        self.links.remove(at);
        for (_, stream) in self.streams.iter_mut() {
            if let Some(repair) = &mut stream.repair {
                repair.asked.retain(|asked| *asked != at);
            }
        }
        self.bereave(at);
        self.settle_gaps();
        for s in self.streams.places() {
            self.trim(s);
        }
    }

    /// A link has fallen silent, or was heard again.
    pub fn suspect(&mut self, now: Time, peer: MemberId, suspect: bool) {
        self.now = now;
        let Some(&at) = self.by_peer.get(&peer) else { return };
        if std::mem::replace(&mut self.links[at].suspect, suspect) != suspect && suspect {
            self.bereave(at);
        }
    }

    /// The send buffer of a link's reliable lane holds so many bytes.
    pub fn buffered(&mut self, peer: MemberId, bytes: usize) {
        if let Some(&at) = self.by_peer.get(&peer) {
            self.links[at].buffered = bytes;
            self.list(at);
        }
    }

    // ---- the application ------------------------------------------------------------------------

    /// Says something to the room: cuts it into chunks and gives the number of the last; `None` where the log is full.
    pub fn publish(&mut self, now: Time, head: &Head, mut payload: Bytes) -> Option<u64> {
        self.now = now;
        let own = self.own;
        if self.streams[own].log.bytes() >= limits::OUTBOX_MAX {
            self.trim(own);
        }
        if self.streams[own].log.bytes() >= limits::OUTBOX_MAX {
            return None;
        }
        let mut head = Some(head.clone());
        loop {
            let stream = &mut self.streams[own];
            let piece = payload.split_to(payload.len().min(limits::CHUNK));
            let (seq, last) = (stream.log.next(), payload.is_empty());
            let data = Data { stream: StreamId::room(stream.origin), seq, head: head.take(), last, payload: piece };
            stream.log.push(data.encode(), now);
            stream.fresh_at = now;
            self.spread(own, None);
            if last {
                self.sweep_by(now + limits::SWEEP_EVERY);
                return Some(seq);
            }
        }
    }

    /// The application took a message with a payload of `bytes`.
    pub fn consumed(&mut self, now: Time, origin: MemberId, bytes: usize) {
        self.now = now;
        let Some(&s) = self.by_origin.get(&origin) else { return };
        let stream = &mut self.streams[s];
        stream.held = stream.held.saturating_sub(crate::member::cost(bytes));
        if let Some(parent) = stream.parent {
            self.weigh(s);
            self.grant(parent);
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
        links.chain(repair).chain(self.sweep_at).min()
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

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Of an origin's stream: the first chunk that is missing here, how many links it takes, and whom it comes from.
    pub fn stream(&self, origin: MemberId) -> Option<(u64, u8, Option<MemberId>)> {
        let stream = &self.streams[*self.by_origin.get(&origin)?];
        let parent = stream.parent.map(|at| self.links[at].peer);
        Some((stream.next(), stream.hop, parent))
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

    /// The place of an origin's stream; made where it is new and there is room. `None` beyond that.
    fn stream_of(&mut self, origin: MemberId) -> Option<usize> {
        if let Some(s) = self.by_origin.get(&origin) {
            return Some(*s);
        }
        if self.by_origin.len() >= limits::STREAMS_MAX || self.departed.iter().any(|(id, _)| *id == origin) {
            return None;
        }
        let mut stream = Stream::new(origin, self.now);
        if self.vouched {
            // Whoever vouched did not know of it: it has only begun.
            stream.start(1);
        }
        let s = self.streams.insert(stream);
        self.by_origin.insert(origin, s);
        Some(s)
    }

    /// Whether the other end of a link is to be sent a stream.
    fn pushes(&self, at: usize, s: usize) -> bool {
        let link = &self.links[at];
        let by_plan = || default_push(self.plan.relayed, link.eager, &self.streams[s]);
        link.open && link.ends_of(s).wanted.unwrap_or_else(by_plan)
    }

    /// Looks after caches, laggards and streams of those who went.
    fn sweep(&mut self) {
        self.sweep_at = None;
        for s in self.streams.places() {
            let stream = &self.streams[s];
            if stream.forget_at.is_some_and(|due| due <= self.now) {
                self.forget(s);
                continue;
            }
            self.pass_over_laggards(s);
            self.trim(s);
        }
        if self.streams.iter().any(|(_, stream)| !stream.log.is_empty() || stream.forget_at.is_some()) {
            self.sweep_by(self.now + limits::SWEEP_EVERY);
        }
    }

    fn forget(&mut self, s: usize) {
        let Some(stream) = self.streams.remove(s) else { return };
        self.by_origin.remove(&stream.origin);
        if self.departed.len() >= limits::DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((stream.origin, stream.window.next()));
        self.laden.remove(&s);
        if let Some(repair) = stream.repair {
            self.repairs.remove(&(repair.due, s));
        }
        for (_, link) in self.links.iter_mut() {
            link.forget(s);
        }
    }

    /// Lets go of what everybody has whom it is pushed to, as far as it is too old or too much.
    fn trim(&mut self, s: usize) {
        let followers = self.links.iter().filter(|(at, _)| self.pushes(*at, s)).map(|(_, link)| link.ends_of(s));
        let floor = followers.filter(|ends| !ends.passed_over).map(|ends| ends.theirs).min().unwrap_or(u64::MAX);
        let now = self.now;
        self.streams[s].log.trim(floor, now);
        self.weigh(s);
    }

    /// Whoever has not got on for too long holds a stream back no longer.
    fn pass_over_laggards(&mut self, s: usize) {
        if self.streams[s].log.overhang() == 0 {
            return;
        }
        let first = self.streams[s].log.first();
        for at in self.links.places() {
            let ends = self.links[at].ends_of(s);
            let stalled = ends.theirs <= first && self.now.since(ends.moved) >= limits::STALL_OPEN;
            if stalled && self.pushes(at, s) {
                self.links[at].ends(s).passed_over = true;
            }
        }
    }

    /// Notes whether a stream holds back whoever sends it, and lets that one know.
    fn weigh(&mut self, s: usize) {
        let stream = &self.streams[s];
        let heavy = !stream.is_own() && (stream.held > 0 || stream.log.overhang() > 0);
        let changed = if heavy { self.laden.insert(s) } else { self.laden.remove(&s) };
        if changed && let Some(parent) = self.streams[s].parent {
            self.grant(parent);
        }
    }
}

/// Whether a stream goes over a link whose other end has said nothing of it.
fn default_push(relayed: bool, eager: bool, stream: &Stream) -> bool {
    if relayed { eager } else { stream.is_own() }
}

/// Things in numbered places.
#[derive(Debug)]
struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    fn insert(&mut self, thing: T) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(thing);
        place
    }

    fn remove(&mut self, place: usize) -> Option<T> {
        let thing = self.places.get_mut(place)?.take();
        if thing.is_some() {
            self.free.push(place);
        }
        thing
    }

    fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.as_ref()
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(place, thing)| Some((place, thing.as_ref()?)))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(place, thing)| Some((place, thing.as_mut()?)))
    }

    /// The places that are taken now.
    fn places(&self) -> impl Iterator<Item = usize> + use<T> {
        let taken: Vec<usize> = self.iter().map(|(place, _)| place).collect();
        taken.into_iter()
    }
}

impl<T> std::ops::Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        self.places[place].as_ref().expect("a place is used only while it is taken")
    }
}

impl<T> std::ops::IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.places[place].as_mut().expect("a place is used only while it is taken")
    }
}
