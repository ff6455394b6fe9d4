//! The links that a plan wants, and why.
//!
//! Each link is kept at both of its ends, in a vector sorted by peer, with its reasons as bits. While an event is
//! planned, reasons come and go; [`Links::settle`] then says what became of each link that was touched.

use smallvec::SmallVec;

use super::{LinkOp, Members, Slot, place::Way};
use crate::limits;

/// Why a link is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Every pair has one.
    Mesh,
    /// The ends are neighbours in a cycle of the small world.
    Cycle(usize),
    /// One end is in no cycle, since it is away and has lost its neighbours, or drains; this keeps it in the room.
    Held,
    /// One end is the other's parent in a stripe of the forest.
    Stripe(usize),
    /// One end is the other's backup parent: wanted by the end of the lower slot, or of the higher.
    Backup {
        /// Who wants it.
        lower: bool,
    },
    /// One end is the other's parent in the star.
    Star,
    /// A drained relay's, until the new one carries what this did.
    Parting,
    /// Not a reason: the link is part of the small world's spanning tree.
    Span,
}

impl Tag {
    pub(super) const fn bit(self) -> u16 {
        match self {
            Tag::Mesh => 1,
            Tag::Cycle(cycle) => 1 << (1 + cycle),
            Tag::Stripe(stripe) => 1 << (5 + stripe),
            Tag::Star => 1 << 9,
            Tag::Backup { lower: true } => 1 << 10,
            Tag::Backup { lower: false } => 1 << 11,
            Tag::Held => 1 << 12,
            Tag::Parting => 1 << 13,
            Tag::Span => 1 << 14,
        }
    }
}

/// All cycles of the small world.
pub(super) const CYCLES: u16 = 0b1111 << 1;
/// All stripes of the forest.
pub(super) const STRIPES: u16 = 0b1111 << 5;
/// Links to backup parents.
pub(super) const BACKUPS: u16 = 0b11 << 10;
/// Every reason.
pub(super) const WANTED: u16 = !(Tag::Span.bit() | BELOW);
/// At the upper end of a link of the spanning tree: the peer is below.
const BELOW: u16 = 1 << 15;

/// A link as one of its ends has it: eight bytes.
#[derive(Clone, Copy, Debug)]
struct End {
    peer: Slot,
    tags: u16,
    /// How long a message takes, as this end has measured it; [`TOUCHED`].
    way: u16,
}

/// At the end of the lower slot, beside the way: the link is among those that the event has touched.
const TOUCHED: u16 = 1 << 15;
const _: () = assert!(Way::MOST < TOUCHED);

impl End {
    fn way(&self) -> Way {
        Way(self.way & !TOUCHED)
    }
}

/// A slot's links. Those of a small world's member, and the one that it gets before it gives another up, stand where the
/// slot does, in one cache line: to wait for memory costs more than all else that is done to a link.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Ends(SmallVec<[End; limits::SMALL_WORLD_DEGREE + 1]>);

const _: () = assert!(size_of::<Ends>() == 64);

impl Ends {
    fn place(&self, peer: Slot) -> Result<usize, usize> {
        self.0.binary_search_by_key(&peer, |end| end.peer)
    }

    fn find(&self, peer: Slot) -> Option<&End> {
        self.place(peer).ok().map(|at| &self.0[at])
    }

    /// The end of a link, which begins to be one.
    fn make(&mut self, peer: Slot) -> &mut End {
        let at = self.place(peer).unwrap_or_else(|at| {
            self.0.insert(at, End { peer, tags: 0, way: Way::NONE.0 });
            at
        });
        &mut self.0[at]
    }

    fn forget(&mut self, peer: Slot) {
        if let Ok(at) = self.place(peer) {
            self.0.remove(at);
            // Back from where they stood while there were too many.
            if self.0.spilled() && self.0.len() <= limits::SMALL_WORLD_DEGREE {
                self.0.shrink_to_fit();
            }
        }
    }
}

/// What a link was before the event.
#[derive(Clone, Copy, Debug)]
struct Before {
    a: Slot,
    b: Slot,
    was_open: bool,
    was_eager: bool,
}

/// The links of each slot, both ways, with their reasons.
#[derive(Debug, Default)]
pub(super) struct Links {
    of: Vec<Ends>,
    touched: Vec<Before>,
    /// The bit of the links that new messages are pushed along; 0 where there are none.
    eager: u16,
}

impl Links {
    /// Makes room for a slot.
    pub(super) fn make_room(&mut self, slot: Slot) {
        if self.of.len() <= slot.index() {
            self.of.resize_with(slot.index() + 1, Ends::default);
        }
    }

    /// Wants a link for one more reason.
    pub(super) fn take(&mut self, a: Slot, b: Slot, tag: Tag) {
        self.touch(a, b);
        for (end, peer) in [(a, b), (b, a)] {
            self.end_mut(end, peer).tags |= tag.bit();
        }
    }

    /// Makes a link part of the spanning tree, or turns it round.
    pub(super) fn hang(&mut self, child: Slot, parent: Slot) {
        self.take(child, parent, Tag::Span);
        self.end_mut(child, parent).tags &= !BELOW;
        self.end_mut(parent, child).tags |= BELOW;
    }

    /// Wants a link for one reason less.
    pub(super) fn give_back(&mut self, a: Slot, b: Slot, tag: Tag) {
        self.clear(a, b, tag.bit());
    }

    /// Wants a link for none of these reasons any more.
    pub(super) fn clear(&mut self, a: Slot, b: Slot, mask: u16) {
        if self.tags(a, b) & mask != 0 {
            self.touch(a, b);
            let mask = if mask & Tag::Span.bit() != 0 { mask | BELOW } else { mask };
            for (end, peer) in [(a, b), (b, a)] {
                self.end_mut(end, peer).tags &= !mask;
            }
        }
    }

    /// Gives all reasons among `mask` back, everywhere.
    pub(super) fn clear_all(&mut self, mask: u16) {
        for slot in (0..self.of.len()).filter_map(|slot| u32::try_from(slot).ok().map(Slot)) {
            let peers: Vec<Slot> = self.among(slot, mask).filter(|peer| *peer > slot).collect();
            for peer in peers {
                self.clear(slot, peer, mask);
            }
        }
    }

    /// The links touched since the last [`Links::settle`].
    pub(super) fn touched(&self) -> impl Iterator<Item = (Slot, Slot)> {
        self.touched.iter().map(|before| (before.a, before.b))
    }

    /// What the touched links have become: opens first and closes last, each in the order of the first touch.
    pub(super) fn settle(&mut self, members: &Members) -> Vec<LinkOp> {
        let (mut ops, mut closes) = (Vec::new(), Vec::new());
        for Before { a, b, was_open, was_eager } in std::mem::take(&mut self.touched) {
            let end = self.end_mut(a.min(b), a.max(b));
            end.way &= !TOUCHED;
            let tags = end.tags;
            let (open, eager) = (tags & WANTED != 0, tags & self.eager != 0);
            if !open {
                debug_assert_eq!(tags, 0, "only a wanted link is part of the spanning tree");
                self.forget(a, b);
                if was_open {
                    closes.push(LinkOp::Close(members.id(a), members.id(b)));
                }
                continue;
            }
            if !was_open {
                ops.push(members.open(a, b));
            }
            if eager != was_eager {
                let change = if eager { LinkOp::Eager } else { LinkOp::Lazy };
                ops.push(change(members.id(a), members.id(b)));
            }
        }
        ops.append(&mut closes);
        ops
    }

    /// From now on the links with this bit are those that new messages are pushed along. Only while nothing is touched.
    pub(super) fn set_eager(&mut self, bit: u16, members: &Members) -> Vec<LinkOp> {
        debug_assert!(self.touched.is_empty());
        let old = std::mem::replace(&mut self.eager, bit);
        let (mut eager, mut lazy) = (Vec::new(), Vec::new());
        for (slot, ends) in
            self.of.iter().enumerate().filter_map(|(slot, ends)| Some((u32::try_from(slot).ok()?, ends)))
        {
            for End { peer, tags, .. } in ends.0.iter().filter(|end| end.peer > Slot(slot)) {
                match (tags & old != 0, tags & bit != 0) {
                    (false, true) => eager.push(LinkOp::Eager(members.id(Slot(slot)), members.id(*peer))),
                    (true, false) => lazy.push(LinkOp::Lazy(members.id(Slot(slot)), members.id(*peer))),
                    _ => {}
                }
            }
        }
        eager.append(&mut lazy);
        eager
    }

    pub(super) fn linked(&self, a: Slot, b: Slot) -> bool {
        self.tags(a, b) & WANTED != 0
    }

    /// Why two members are linked.
    pub(super) fn tags(&self, a: Slot, b: Slot) -> u16 {
        self.of[a.index()].find(b).map_or(0, |end| end.tags)
    }

    /// What a slot's member has measured of one of its links. Nothing where it has none.
    pub(super) fn measured(&mut self, slot: Slot, peer: Slot, way: Way) {
        let ends = &mut self.of[slot.index()];
        if let Ok(at) = ends.place(peer) {
            let end = &mut ends.0[at];
            end.way = way.0 | end.way & TOUCHED;
        }
    }

    /// The other ends of the links that a slot's member has measured, and what it and they have.
    pub(super) fn ways(&self, slot: Slot) -> impl Iterator<Item = (Slot, Way, Way)> {
        let measured = self.of[slot.index()].0.iter().filter(|end| end.way() != Way::NONE);
        measured.map(move |end| (end.peer, end.way(), self.way(end.peer, slot)))
    }

    /// The other ends of a slot's links that have measured them.
    pub(super) fn measured_by(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let peers = self.of[slot.index()].0.iter().map(|end| end.peer);
        peers.filter(move |peer| self.way(*peer, slot) != Way::NONE)
    }

    fn way(&self, slot: Slot, peer: Slot) -> Way {
        self.of[slot.index()].find(peer).map_or(Way::NONE, End::way)
    }

    /// Has the links of some slots at hand: see [`Draft`](super::Draft::fetch).
    pub(super) fn fetch(&self, slots: &[Slot]) {
        let known = slots.iter().filter_map(|slot| self.of.get(slot.index()));
        std::hint::black_box(known.fold(0, |all, ends| all ^ ends.0.len()));
    }

    /// The other ends of a slot's links.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.among(slot, WANTED)
    }

    /// The other ends of a slot's links that are wanted for one of these reasons.
    pub(super) fn among(&self, slot: Slot, mask: u16) -> impl Iterator<Item = Slot> {
        self.of[slot.index()].0.iter().filter(move |end| end.tags & mask != 0).map(|end| end.peer)
    }

    /// Who is below a slot in the spanning tree.
    pub(super) fn below(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.among(slot, BELOW)
    }

    /// The other ends of the links that new messages are pushed along.
    pub(super) fn eager(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.among(slot, self.eager)
    }

    fn touch(&mut self, a: Slot, b: Slot) {
        let eager = self.eager;
        let end = self.end_mut(a.min(b), a.max(b));
        if end.way & TOUCHED == 0 {
            end.way |= TOUCHED;
            let (was_open, was_eager) = (end.tags & WANTED != 0, end.tags & eager != 0);
            self.end_mut(a.max(b), a.min(b));
            self.touched.push(Before { a, b, was_open, was_eager });
        }
    }

    fn end_mut(&mut self, slot: Slot, peer: Slot) -> &mut End {
        self.of[slot.index()].make(peer)
    }

    fn forget(&mut self, a: Slot, b: Slot) {
        self.of[a.index()].forget(b);
        self.of[b.index()].forget(a);
    }
}
