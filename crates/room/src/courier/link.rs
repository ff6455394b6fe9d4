//! One link as the courier sees it: what its other end has of each stream, and what waits to go over it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Distance, LinkUp, cost, proof::Covers, slab};
use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::Frame,
};

/// A link that carries frames.
#[derive(Debug)]
pub(super) struct Link {
    pub peer: MemberId,
    /// Whether the other end has said HELLO.
    pub open: bool,
    /// When it did.
    pub opened: Time,
    /// Whether it said that it does not know where streams begin.
    pub is_unsure: bool,
    /// Whether it has fallen silent.
    pub suspect: bool,
    /// How long a chunk takes over it; `None` where that was not measured.
    pub delay: Option<Micros>,
    /// Whether the plan has it no more.
    pub draining: bool,
    /// Whether the plan wants streams of which nothing was said to go over it.
    pub eager: bool,
    /// Whether its HELLO says where streams begin for us: the other end was in the room before this member, or is a relay.
    pub vouches: bool,
    /// Since when the other end is offered what there is; see [`LinkUp`].
    pub offer_from: Option<Time>,
    /// Whether the other end was told where streams begin, by a member that knew.
    pub vouched_for: bool,
    /// What is known of each stream's ends, by the stream's place.
    pub streams: Vec<Ends>,
    /// The other end has everything below of what these say to the room, who went.
    pub departed: BTreeMap<MemberId, u64>,
    /// Goes before anything else.
    pub control: VecDeque<Frame>,
    /// Streams with chunks to push, each once.
    pub ready: VecDeque<usize>,
    /// Streams with news to tell, each once.
    telling: Vec<usize>,
    /// Those of which nothing is told before a time.
    telling_later: Vec<(usize, Time)>,
    /// When the news is to be told.
    pub tell_at: Option<Time>,
    /// Chunks that came since the last news were told.
    pub untold: u32,
    /// What the other end has shown of the chunks of others that it brings, by stream.
    pub covers: BTreeMap<usize, Covers>,
    /// Cost of chunks that came and wait until it is known whose they are.
    pub unproved: u64,
    /// A frame that did not fit into the last packet.
    pub spilt: Option<Bytes>,
    /// Whether it stands in the list of links that may have frames to send.
    pub listed: bool,

    pub credit: u64,
    pub spent: u64,
    /// Bytes in the send buffer.
    pub buffered: usize,
    pub received: u64,
    pub granted: u64,
}

/// The two ends of a link, with regard to one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// What the other end said last: push or do not. `None`: nothing; the plan decides.
    pub wanted: Option<bool>,
    /// The other end has everything below.
    pub theirs: u64,
    /// The next chunk to push.
    pub cursor: u64,
    /// From where on it asked for the stream last, if it has not asked for the opposite since, and when.
    pub asked: Option<(u64, Time)>,
    /// How far from its origin the other end is, as it said last.
    pub far: Distance,
    /// What it was told last of how far this end is.
    pub told: Distance,
    /// Whether this side has asked not to be sent the stream.
    pub pruned: bool,
    /// Announcements, one after another, that came before the chunk itself.
    pub ahead: u8,
    /// How often it proved slower than it claims.
    pub slow: u8,
    /// Until when it is not taken as the better way.
    pub rests_until: Time,
    /// The first chunk that the other end offered in its HELLO.
    pub offered: u64,
    /// The first chunk that the other end can supply, where it said that it lacks earlier ones.
    pub floor: u64,
    /// When the other end last got on, or was first behind.
    pub moved: Time,
    /// It did not for too long: nothing is kept for it any more.
    pub passed_over: bool,
    /// Where the range begins that it was shown last whose chunks are.
    pub proved: u64,
    /// It was told where this addressed stream goes, and from where on.
    pub routed: bool,
    pub in_ready: bool,
    pub in_telling: bool,
}

impl Ends {
    /// Of a stream of which nothing was said yet.
    const UNTOLD: Ends = Ends {
        wanted: None,
        theirs: 0,
        cursor: 0,
        asked: None,
        far: Distance::UNKNOWN,
        told: Distance::UNKNOWN,
        pruned: false,
        ahead: 0,
        slow: 0,
        rests_until: Time(0),
        offered: 0,
        floor: 0,
        moved: Time(0),
        passed_over: false,
        proved: 0,
        routed: false,
        in_ready: false,
        in_telling: false,
    };

    /// The other end has everything below `next`. Gives whether that is news.
    pub fn has(&mut self, next: u64, now: Time) -> bool {
        let news = next > self.theirs;
        if news {
            self.theirs = next;
            self.cursor = self.cursor.max(next);
            self.moved = now;
            self.passed_over = false;
        }
        news
    }
}

impl Link {
    pub fn new(peer: MemberId, eager: bool, how: LinkUp, granted: u64, vouched_for: bool) -> Link {
        Link {
            peer,
            open: false,
            opened: Time(0),
            is_unsure: false,
            suspect: false,
            delay: None,
            draining: false,
            eager,
            vouches: how.vouches,
            offer_from: how.offer_from,
            vouched_for,
            streams: Vec::new(),
            departed: BTreeMap::new(),
            // Most links never have two frames waiting.
            control: VecDeque::with_capacity(1),
            ready: VecDeque::new(),
            telling: Vec::new(),
            telling_later: Vec::new(),
            tell_at: None,
            untold: 0,
            covers: BTreeMap::new(),
            unproved: 0,
            spilt: None,
            listed: false,
            credit: 0,
            spent: 0,
            buffered: 0,
            received: 0,
            granted,
        }
    }

    /// Whether somebody can be asked over it.
    pub fn is_sound(&self) -> bool {
        self.open && !self.suspect
    }

    pub fn ends(&mut self, stream: usize) -> &mut Ends {
        if let Some(more @ 1..) = (stream + 1).checked_sub(self.streams.len()) {
            slab::make_room(&mut self.streams, more);
            self.streams.resize(stream + 1, Ends::UNTOLD);
        }
        &mut self.streams[stream]
    }

    /// The same, where nothing was said yet.
    pub fn ends_of(&self, stream: usize) -> &Ends {
        self.streams.get(stream).unwrap_or(&Ends::UNTOLD)
    }

    /// A chunk went over it and back in so long.
    pub fn measured(&mut self, rtt: Micros) {
        let way = rtt.0 / 2;
        // A single round trip may have waited for anything.
        self.delay = Some(Micros(self.delay.map_or(way, |delay| (3 * delay.0 + way) / 4)));
    }

    /// How far from its origin a stream would be that came over this link.
    pub fn far_over(&self, stream: usize) -> Distance {
        self.ends_of(stream).far.over(self.delay.unwrap_or(limits::DELAY_UNKNOWN))
    }

    /// There are chunks to push.
    pub fn ready(&mut self, stream: usize) {
        let ends = self.ends(stream);
        if !std::mem::replace(&mut ends.in_ready, true) {
            self.ready.push_back(stream);
        }
    }

    /// There is news to tell by then.
    pub fn tell(&mut self, stream: usize, by: Time) {
        let ends = self.ends(stream);
        if !std::mem::replace(&mut ends.in_telling, true) {
            self.telling.push(stream);
        }
        self.tell_at = Some(self.tell_at.map_or(by, |at| at.min(by)));
    }

    /// There is news to tell then, and not before, even if there is other news.
    pub fn tell_later(&mut self, stream: usize, at: Time) {
        if !std::mem::replace(&mut self.ends(stream).in_telling, true) {
            self.telling_later.push((stream, at));
            self.tell_at = Some(self.tell_at.map_or(at, |due| due.min(at)));
        }
    }

    /// The streams with news, which are about to be told.
    pub fn take_telling(&mut self, now: Time) -> Vec<usize> {
        let mut telling = std::mem::take(&mut self.telling);
        telling.extend(self.telling_later.extract_if(.., |(_, at)| *at <= now).map(|(stream, _)| stream));
        self.tell_at = self.telling_later.iter().map(|(_, at)| *at).min();
        telling
    }

    /// What was shown of a stream counts no more, and what waits is let go of.
    pub fn drop_covers(&mut self, stream: usize) {
        let covers = self.covers.remove(&stream);
        let waiting = covers.iter().flat_map(|covers| &covers.queue).flat_map(|cover| &cover.waiting);
        self.unproved -= waiting.map(|(_, frame)| cost(frame.len())).sum::<u64>();
    }

    /// A stream is forgotten; its place will be another's.
    pub fn forget(&mut self, stream: usize) {
        if let Some(ends) = self.streams.get_mut(stream) {
            *ends = Ends::UNTOLD;
            self.ready.retain(|other| *other != stream);
            self.telling.retain(|other| *other != stream);
            self.telling_later.retain(|(other, _)| *other != stream);
        }
        self.drop_covers(stream);
    }
}
