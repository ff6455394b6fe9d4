//! A spanning tree of the small world's links, near to the one that breadth-first search would find: new messages are
//! pushed along it, so that the first of a sender does not come by every link.
//!
//! Each member has a parent and a depth, which is its parent's and one. Depths are relative: the root's is whatever it
//! was when it became the root. A subtree that loses its parent takes the shallowest neighbour that is not of itself.
//! Who is offered a shallower parent by a new link moves there; who has one otherwise is found in turn.

use std::collections::VecDeque;

use smallvec::{SmallVec, smallvec};

use super::{
    Draft, Slot,
    links::{CYCLES, Tag},
};
use crate::limits;

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Span {
    nodes: Vec<Node>,
    root: Option<Slot>,
    /// Subtrees without a way to the rest, as of members that are away and have lost all neighbours.
    loose: Vec<Slot>,
    /// Who is looked at next for a shallower place.
    cursor: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: Slot,
    depth: u32,
}

const UNKNOWN: Node = Node { parent: Slot::NONE, depth: u32::MAX };
type Neighbours = SmallVec<[(u32, Slot); limits::SMALL_WORLD_DEGREE_MAX]>;

/// So much deeper count those who drain, where there is a choice.
const LAST: u32 = u32::MAX / 2;

/// The links that the tree may use.
const USABLE: u16 = CYCLES | Tag::Held.bit();

impl Span {
    /// Takes a member in, as a subtree of its own, where it is not in yet.
    pub(super) fn enter(&mut self, slot: Slot) {
        if self.nodes.len() <= slot.index() {
            self.nodes.resize(slot.index() + 1, UNKNOWN);
        }
        if !self.knows(slot) {
            self.nodes[slot.index()] = Node { parent: Slot::NONE, depth: 0 };
        }
    }

    /// Has the places of some members at hand: see [`Draft::fetch`].
    pub(super) fn fetch(&self, slots: &[Slot]) {
        let places = slots.iter().filter_map(|slot| self.nodes.get(slot.index()));
        std::hint::black_box(places.fold(0, |all, node| all ^ node.depth));
    }

    /// Has the places of all neighbours of some members at hand.
    fn fetch_around(&self, draft: &Draft<'_>, slots: &[Slot]) {
        draft.links.fetch(slots);
        let around: SmallVec<[Slot; 64]> = slots.iter().flat_map(|slot| draft.links.among(*slot, USABLE)).collect();
        self.fetch(&around);
    }

    /// Lets a member go; its children are returned as orphans for [`Span::mend`].
    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) -> Vec<Slot> {
        if !self.knows(slot) {
            return Vec::new();
        }
        let children: Vec<Slot> = draft.links.below(slot).collect();
        for child in &children {
            self.cut(draft, *child);
        }
        self.cut(draft, slot);
        self.nodes[slot.index()] = UNKNOWN;
        self.loose.retain(|root| *root != slot);
        self.root = self.root.filter(|root| *root != slot);
        children
    }

    /// Makes the tree whole again after links have come and gone. `orphans`: roots of subtrees to be joined to the rest.
    pub(super) fn mend(&mut self, draft: &mut Draft<'_>, mut orphans: Vec<Slot>) {
        let touched: SmallVec<[(Slot, Slot); 24]> = draft.links.touched().collect();
        for (a, b) in touched.iter().copied() {
            let tags = draft.links.tags(a, b);
            if tags & Tag::Span.bit() != 0 && tags & USABLE == 0 {
                let child = if self.nodes[a.index()].parent == b { a } else { b };
                self.cut(draft, child);
                orphans.push(child);
            }
        }
        orphans.append(&mut self.loose);
        if self.root.is_none() {
            // Who is present has links to somebody, or will have.
            let present = orphans.iter().find(|orphan| self.knows(**orphan) && draft.members.present(**orphan));
            self.root = present.or(orphans.first()).copied().filter(|root| self.knows(*root));
        }
        let mut movers = VecDeque::new();
        for orphan in &orphans {
            let Node { parent, depth } = self.nodes[orphan.index()];
            if !self.knows(*orphan) || parent != Slot::NONE || self.root == Some(*orphan) {
                continue;
            }
            if self.place(draft, *orphan) {
                // Those below have become deeper with it, and may know a better place.
                let deeper = self.nodes[orphan.index()].depth > depth;
                movers.extend(draft.links.below(*orphan).filter(|_| deeper));
            } else {
                // The part that counts is the one with somebody present.
                let root = self.root.filter(|root| draft.members.present(*orphan) && !draft.members.present(*root));
                self.loose.push(root.unwrap_or(*orphan));
                self.root = root.map_or(self.root, |_| Some(*orphan));
            }
        }
        movers.extend(touched.into_iter().filter_map(|(a, b)| self.may_move(draft, a, b)));
        self.improve(draft, movers);
        for _ in 0..limits::SPAN_TENDED {
            self.tend(draft);
        }
    }

    /// Looks whether the next member has a better parent by now.
    pub(super) fn tend(&mut self, draft: &mut Draft<'_>) {
        let next = Slot(self.cursor);
        self.cursor = if next.index() + 1 < self.nodes.len() { self.cursor + 1 } else { 0 };
        self.improve(draft, VecDeque::from([next]));
    }

    /// Whether no part of it is without a way to the rest.
    pub(super) fn is_whole(&self) -> bool {
        self.loose.is_empty()
    }

    pub(super) fn knows(&self, slot: Slot) -> bool {
        self.nodes.get(slot.index()).is_some_and(|node| node.depth != u32::MAX)
    }

    /// How far a member is from its root.
    pub(super) fn depth(&self, slot: Slot) -> u32 {
        let up = std::iter::successors(Some(slot), |at| self.nodes[at.index()].parent.some());
        u32::try_from(up.count() - 1).unwrap_or(u32::MAX)
    }

    /// Finds a parent for the root of a subtree: the shallowest neighbour outside, or else one of a member within,
    /// which then becomes the subtree's root. Whether there was one.
    fn place(&mut self, draft: &mut Draft<'_>, orphan: Slot) -> bool {
        if let Some(parent) = self.exit(draft, orphan, orphan) {
            self.hang(draft, orphan, parent);
            if self.nodes[orphan.index()].depth != self.nodes[parent.index()].depth + 1 {
                self.deepen(draft, orphan);
            }
            return true;
        }
        let mut within = VecDeque::from([orphan]);
        while let Some(at) = within.pop_front() {
            if let Some(parent) = self.exit(draft, at, orphan) {
                self.turn(draft, at);
                self.hang(draft, at, parent);
                self.deepen(draft, at);
                return true;
            }
            within.extend(draft.links.below(at));
        }
        false
    }

    /// The shallowest neighbour of `slot` that is not in the subtree of `top`.
    fn exit(&self, draft: &Draft<'_>, slot: Slot, top: Slot) -> Option<Slot> {
        let neighbours = draft.links.among(slot, USABLE).filter_map(|peer| {
            let depth = self.nodes.get(peer.index()).map_or(u32::MAX, |node| node.depth);
            let depth = if draft.members.draining(peer) { depth.saturating_add(LAST) } else { depth };
            (depth != u32::MAX).then_some((depth, peer))
        });
        let mut neighbours: Neighbours = neighbours.collect();
        neighbours.sort_unstable();
        // Most often the shallowest will do; whether a member is below another takes looks at further places.
        neighbours.into_iter().map(|(_, peer)| peer).find(|peer| !self.is_under(*peer, top))
    }

    /// Moves members to shallower parents, as many as an event may.
    fn improve(&mut self, draft: &mut Draft<'_>, mut movers: VecDeque<Slot>) {
        let mut looks = 0;
        let first: SmallVec<[Slot; limits::SPAN_LOOKS]> = movers.iter().take(limits::SPAN_LOOKS).copied().collect();
        self.fetch_around(draft, &first);
        while let Some(mover) = movers.pop_front() {
            looks += 1;
            if looks > limits::SPAN_LOOKS {
                break;
            }
            if !self.knows(mover) || self.nodes[mover.index()].parent == Slot::NONE {
                continue;
            }
            let depth = self.nodes[mover.index()].depth;
            let usable = draft.links.among(mover, USABLE).filter(|peer| !draft.members.draining(*peer));
            let known = usable.filter(|peer| self.knows(*peer));
            let best = known.min_by_key(|peer| (self.nodes[peer.index()].depth, *peer));
            // Who is shallower cannot be below.
            if let Some(parent) =
                best.filter(|peer| self.nodes[peer.index()].depth + 1 < depth && self.together(*peer, mover))
            {
                self.cut(draft, mover);
                self.hang(draft, mover, parent);
                self.deepen(draft, mover);
                let gained = self.nodes[mover.index()].depth;
                let deeper = |peer: &Slot| self.knows(*peer) && self.nodes[peer.index()].depth > gained + 1;
                movers.extend(draft.links.among(mover, USABLE).filter(deeper));
            }
        }
    }

    /// Which end of a link, if any, would be shallower with the other as its parent.
    fn may_move(&self, draft: &Draft<'_>, a: Slot, b: Slot) -> Option<Slot> {
        if !self.knows(a) || !self.knows(b) || draft.links.tags(a, b) & USABLE == 0 {
            return None;
        }
        let (of_a, of_b) = (self.nodes[a.index()].depth, self.nodes[b.index()].depth);
        (of_a.abs_diff(of_b) > 1).then_some(if of_a > of_b { a } else { b })
    }

    /// Whether two members are in the same tree, as they always are unless something is loose.
    fn together(&self, a: Slot, b: Slot) -> bool {
        self.loose.is_empty() || self.root(a) == self.root(b)
    }

    fn root(&self, slot: Slot) -> Slot {
        let up = std::iter::successors(Some(slot), |at| self.nodes[at.index()].parent.some());
        up.last().unwrap_or(slot)
    }

    /// Whether a member is in the subtree of `top`. Only who is deeper can be.
    fn is_under(&self, slot: Slot, top: Slot) -> bool {
        let depth = self.nodes[top.index()].depth;
        let mut at = slot;
        while self.nodes[at.index()].depth > depth {
            match self.nodes[at.index()].parent.some() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        at == top
    }

    fn cut(&mut self, draft: &mut Draft<'_>, child: Slot) {
        let parent = std::mem::replace(&mut self.nodes[child.index()].parent, Slot::NONE);
        if parent != Slot::NONE {
            draft.links.give_back(child, parent, Tag::Span);
        }
    }

    fn hang(&mut self, draft: &mut Draft<'_>, child: Slot, parent: Slot) {
        draft.links.hang(child, parent);
        self.nodes[child.index()].parent = parent;
    }

    /// Gives a subtree's members the depths that follow from its root's parent.
    fn deepen(&mut self, draft: &Draft<'_>, top: Slot) {
        let Node { parent, .. } = self.nodes[top.index()];
        // Level by level: none of those that wait for memory waits for the one before.
        let mut level: SmallVec<[Slot; 16]> = smallvec![top];
        let mut depth = self.nodes[parent.index()].depth;
        while !level.is_empty() {
            depth += 1;
            level.iter().for_each(|slot| self.nodes[slot.index()].depth = depth);
            draft.links.fetch(&level);
            level = level.iter().flat_map(|slot| draft.links.below(*slot)).collect();
        }
    }

    /// Makes a member the root of its subtree. The depths are wrong until it has a parent and [`Span::deepen`] is done.
    fn turn(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let (mut at, mut parent) = (slot, Slot::NONE);
        while at != Slot::NONE {
            if parent != Slot::NONE {
                draft.links.hang(at, parent);
            }
            let next = std::mem::replace(&mut self.nodes[at.index()].parent, parent);
            (parent, at) = (at, next);
        }
    }
}
