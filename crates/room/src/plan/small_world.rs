//! Small world: the union of random Hamilton cycles. Law & Siu, "Distributed Construction of Random Expander
//! Networks", INFOCOM 2003: an expander, whose diameter grows with the logarithm of the room, in which a join or leave
//! changes a constant number of links.
//!
//! Everybody is in the first cycle, which keeps the room connected, and in as many of the others as the links that it
//! may hold allow. A newcomer is spliced into an edge of each: of the first one drawn evenly, of the others the one
//! among some drawn that it makes the smallest detour of. A leaver's neighbours close ranks.
//!
//! An away member keeps its place while its neighbours stay. Where one of them goes, closing ranks would give the away
//! member a link that it cannot be told of, so it is passed over: it keeps its links as *held*, and is spliced in anew
//! when it is back.
//!
//! A member that drains is taken out of the cycles. Its links are held, and what is pushed goes over them as before, until those
//! that take their place have had time to open; then it is a leaf, with one link, until it leaves.

use std::collections::{BTreeMap, VecDeque};

use rand_core::RngCore;
use smallvec::SmallVec;

use super::{
    Draft, Slot,
    links::{CYCLES, Tag},
    span::Span,
};
use crate::{limits, time::Time};

/// The cycles of a room, and a spanning tree of their links.
#[derive(Debug)]
pub(super) struct SmallWorld {
    cycles: Vec<Cycle>,
    pub(super) span: Span,
    rebalanced: Option<Time>,
    /// Members of whom it was not known where they are when they were spliced in, and is now, and the cycle in which they
    /// are to find a better place next.
    placed: VecDeque<(Slot, usize)>,
    spare: Spare,
}

/// Successors and predecessors, by slot; [`Slot::NONE`] for who is not in the cycle.
#[derive(Debug)]
struct Cycle {
    tag: Tag,
    next: Vec<Slot>,
    previous: Vec<Slot>,
    /// Somebody in it.
    anchor: Slot,
}

/// Links that members have beyond those of the plan, because some of theirs have just been changed for better ones: while new
/// links open the old ones stand.
#[derive(Debug, Default)]
struct Spare {
    used: BTreeMap<Slot, usize>,
    until: VecDeque<(Time, Slot, usize)>,
    now: Time,
}

impl Spare {
    /// Time has passed.
    fn pass(&mut self, now: Time) {
        self.now = now;
        while let Some((until, slot, links)) = self.until.front().copied()
            && until <= now
        {
            self.until.pop_front();
            if let Some(used) = self.used.get_mut(&slot) {
                *used -= links;
                if *used == 0 {
                    self.used.remove(&slot);
                }
            }
        }
    }

    /// Whether a member may have so many more for a while.
    fn has(&self, slot: Slot, links: usize) -> bool {
        self.used.get(&slot).copied().unwrap_or(0) + links <= limits::SPARE_LINKS
    }

    fn take(&mut self, slot: Slot, links: usize) {
        *self.used.entry(slot).or_default() += links;
        self.until.push_back((self.now + limits::SPARE_FOR, slot, links));
    }
}

impl SmallWorld {
    /// An empty one, in which nobody has more than `degree` links.
    pub(super) fn new(degree: usize) -> SmallWorld {
        let cycles = (degree / 2).clamp(1, limits::SMALL_WORLD_DEGREE_MAX / 2);
        SmallWorld {
            cycles: (0..cycles).map(Cycle::new).collect(),
            span: Span::default(),
            rebalanced: None,
            placed: VecDeque::new(),
            spare: Spare::default(),
        }
    }

    /// It is known from now on where a member is: it may have a better place.
    pub(super) fn placed(&mut self, slot: Slot) {
        if self.placed.len() < limits::REDRAWN_WAITING {
            self.placed.push_back((slot, 1));
        }
    }

    pub(super) fn join(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.enter_cycles(draft, slot);
        self.settle(draft, slot);
    }

    pub(super) fn back(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.enter_cycles(draft, slot);
        if self.cycles[0].contains(slot) {
            let held: Vec<Slot> = draft.links.among(slot, Tag::Held.bit()).collect();
            for peer in held {
                // The other may hang on this link alone.
                if self.cycles[0].contains(peer) {
                    draft.links.give_back(slot, peer, Tag::Held);
                }
            }
        }
        self.settle(draft, slot);
    }

    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let peers: SmallVec<[Slot; limits::SMALL_WORLD_DEGREE_MAX]> = draft.links.of(slot).collect();
        draft.fetch(&peers);
        self.span.fetch(&peers);
        let mut orphans = self.span.leave(draft, slot);
        for cycle in &mut self.cycles {
            cycle.splice_out(draft, slot);
        }
        let held: Vec<Slot> = draft.links.among(slot, Tag::Held.bit()).collect();
        for peer in held {
            draft.links.give_back(slot, peer, Tag::Held);
        }
        orphans.append(&mut self.moor(draft, slot));
        self.span.mend(draft, orphans);
    }

    /// Nobody is to depend on a member any more. What is pushed goes on as before, until [`SmallWorld::release`].
    pub(super) fn drain(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        for cycle in &mut self.cycles {
            cycle.pass_over(draft, slot);
        }
        let roots = self.moor(draft, Slot::NONE);
        if !roots.is_empty() || !self.span.is_whole() {
            self.span.mend(draft, roots);
        }
    }

    /// Has those who drain keep one link each, beside those that somebody hangs on who cannot be told of another.
    pub(super) fn release(&mut self, draft: &mut Draft<'_>) {
        let leaving: Vec<Slot> = draft.members.leaving().collect();
        for slot in leaving {
            let held: Vec<Slot> = draft.links.among(slot, Tag::Held.bit()).collect();
            let Some(kept) = held.iter().copied().find(|peer| self.cycles[0].contains(*peer)) else { continue };
            let released: Vec<Slot> =
                held.into_iter().filter(|peer| *peer != kept && !self.hangs_on(draft, *peer, slot)).collect();
            if released.is_empty() {
                continue;
            }
            let orphans = self.span.leave(draft, slot);
            for peer in released {
                draft.links.give_back(slot, peer, Tag::Held);
            }
            self.span.mend(draft, orphans);
            self.span.enter(slot);
            self.span.mend(draft, vec![slot]);
        }
    }

    /// The member may hold more links or fewer than before.
    pub(super) fn reshape(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let wanted = self.cycles_of(draft, slot);
        for cycle in &mut self.cycles[wanted..] {
            cycle.splice_out(draft, slot);
        }
        if draft.members.present(slot) {
            self.enter_cycles(draft, slot);
        }
        let roots = self.moor(draft, Slot::NONE);
        self.span.mend(draft, roots);
    }

    /// Keeps an away member that no cycle could take in by a link that it has.
    pub(super) fn adopt(&mut self, draft: &mut Draft<'_>, slot: Slot) -> bool {
        if self.cycles[0].contains(slot) || draft.links.among(slot, Tag::Held.bit()).next().is_some() {
            return true;
        }
        let peer = draft.links.of(slot).find(|peer| self.cycles[0].contains(*peer) || self.span.knows(*peer));
        if let Some(peer) = peer {
            draft.links.take(slot, peer, Tag::Held);
            self.span.enter(slot);
            self.span.mend(draft, vec![slot]);
        }
        peer.is_some()
    }

    /// Looks for better places: for some members in the spanning tree, for newcomers of whom it is known by now where they are
    /// in all cycles but the first, for some others and for the one with the longest detour among many in one of them. What is
    /// far from the best is mended first and soon; what is nearly as good as can be drawn stays.
    pub(super) fn tick(&mut self, draft: &mut Draft<'_>, now: Time) {
        let live = draft.members.live.len();
        for _ in 0..limits::SPAN_SWEPT.min(live) {
            self.span.tend(draft);
        }
        if self.cycles.len() < 2 || live < limits::REBALANCE_MEMBERS {
            return;
        }
        self.spare.pass(now);
        let share = (live / limits::REDRAWN_SHARE).min(limits::REDRAWN_MAX);
        for _ in 0..self.placed.len().min((share + 1) * (self.cycles.len() - 1)) {
            let Some((slot, number)) = self.placed.pop_front() else { break };
            let is_settled = self.cycles[number].redraw(draft, &mut self.spare, slot, limits::NEARER.0);
            let number = number + usize::from(is_settled);
            if number < self.cycles.len() {
                self.placed.push_back((slot, number));
            }
        }
        for _ in 0..share {
            let number = 1 + draft.draw(self.cycles.len() - 1);
            let Some(slot) = draft.members.draw(&mut draft.rng) else { break };
            let is_settled = self.cycles[number].redraw(draft, &mut self.spare, slot, limits::NEARER.0);
            if !is_settled && self.placed.len() < limits::REDRAWN_WAITING {
                self.placed.push_back((slot, number));
            }
        }
        if self.rebalanced.is_none_or(|at| now.since(at) >= limits::REBALANCE_EVERY) {
            self.rebalanced = Some(now);
            let cycle = 1 + draft.draw(self.cycles.len() - 1);
            let cycle = &mut self.cycles[cycle];
            let drawn: Vec<Slot> =
                (0..limits::REBALANCE_SAMPLES).filter_map(|_| draft.members.draw(&mut draft.rng)).collect();
            let movable = drawn.into_iter().filter(|slot| cycle.is_movable(draft, *slot));
            if let Some(worst) = movable.max_by_key(|slot| (cycle.detour(draft, *slot), *slot)) {
                cycle.redraw(draft, &mut self.spare, worst, 0);
            }
        }
        self.span.mend(draft, Vec::new());
    }

    /// The members before and after this one, the nearest first, for each cycle that it is in.
    pub(super) fn neighbours(&self, slot: Slot, reach: usize) -> impl Iterator<Item = (Vec<Slot>, Vec<Slot>)> {
        let walk = move |links: &[Slot]| {
            let step = |at: &Slot| links.get(at.index()).copied().and_then(Slot::some);
            std::iter::successors(step(&slot), step).take_while(|at| *at != slot).take(reach).collect()
        };
        let within = self.cycles.iter().filter(move |cycle| cycle.contains(slot));
        within.map(move |cycle| (walk(&cycle.previous), walk(&cycle.next)))
    }

    fn enter_cycles(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let wanted = self.cycles_of(draft, slot);
        for (number, cycle) in self.cycles[..wanted].iter_mut().enumerate() {
            if !cycle.contains(slot) {
                // A hub that has restarted finds members linked, randomly enough.
                cycle.enter(draft, slot, number == 0 && draft.held.is_empty());
            }
        }
    }

    /// Takes a member that has its links into the tree.
    fn settle(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.span.enter(slot);
        let mut roots = self.moor(draft, Slot::NONE);
        roots.push(slot);
        self.span.mend(draft, roots);
    }

    /// Sees to it that everybody who drains and is present has a link to somebody in the first cycle, or where nobody is there who
    /// could be told of one to another who drains; but for `gone`. Gives those who are new to the tree.
    fn moor(&mut self, draft: &mut Draft<'_>, gone: Slot) -> Vec<Slot> {
        let members = draft.members;
        let mut roots = Vec::new();
        let leaving = || members.leaving().filter(|slot| *slot != gone && members.present(*slot));
        for slot in leaving() {
            if draft.links.among(slot, Tag::Held.bit()).any(|peer| self.cycles[0].contains(peer)) {
                continue;
            }
            let (before, from) = members.live.split_at(draft.draw(members.live.len()));
            let somebody = from.iter().chain(before).copied().find(|peer| self.cycles[0].contains(*peer));
            let peer = somebody.or_else(|| leaving().next());
            if let Some(peer) = peer.filter(|peer| *peer != slot) {
                draft.links.take(slot, peer, Tag::Held);
            }
            if !self.span.knows(slot) {
                self.span.enter(slot);
                roots.push(slot);
            }
        }
        roots
    }

    /// Whether a member that cannot be told of another link has none but the one to `slot`.
    fn hangs_on(&self, draft: &Draft<'_>, member: Slot, slot: Slot) -> bool {
        let mut links = draft.links.among(member, CYCLES | Tag::Held.bit());
        !draft.members.present(member) && links.all(|peer| peer == slot)
    }

    /// How many cycles a member takes part in: two of its links stay free for moving to another topology. Who drains is in none.
    fn cycles_of(&self, draft: &Draft<'_>, slot: Slot) -> usize {
        if draft.members.draining(slot) {
            return 0;
        }
        let links = usize::from(draft.members.max_links(slot));
        (links.saturating_sub(2) / 2).clamp(1, self.cycles.len())
    }
}

impl Cycle {
    fn new(number: usize) -> Cycle {
        Cycle { tag: Tag::Cycle(number), next: Vec::new(), previous: Vec::new(), anchor: Slot::NONE }
    }

    fn contains(&self, slot: Slot) -> bool {
        self.next.get(slot.index()).is_some_and(|next| *next != Slot::NONE)
    }

    fn neighbours(&self, slot: Slot) -> Option<(Slot, Slot)> {
        self.contains(slot).then(|| (self.previous[slot.index()], self.next[slot.index()]))
    }

    fn enter(&mut self, draft: &mut Draft<'_>, slot: Slot, evenly: bool) {
        let edge =
            if evenly { self.even_edge(draft, slot) } else { self.nearest_edge(draft, slot).map(|(edge, _)| edge) };
        match edge.or_else(|| self.made_edge(draft, slot)) {
            Some(edge) => self.splice_in(draft, slot, edge),
            None => {
                self.connect(slot, slot);
                self.anchor = slot;
            }
        }
    }

    /// An edge, by its first end: drawn evenly, if possible among those that give the newcomer two new neighbours. Most
    /// often the first one drawn does, so others are looked at only where it does not.
    fn even_edge(&self, draft: &mut Draft<'_>, slot: Slot) -> Option<Slot> {
        let numbers = [(); limits::EDGE_TRIES].map(|()| draft.rng.next_u32());
        let mut any = None;
        for p in numbers.into_iter().filter_map(|number| draft.members.drawn(number)) {
            let q = self.next.get(p.index()).copied().unwrap_or(Slot::NONE);
            if draft.members.present(q) && self.usable(draft, slot, p, q) {
                if fresh(draft, slot, p, q) {
                    return Some(p);
                }
                any = any.or(Some(p));
            }
        }
        any
    }

    /// The edge that is lengthened least among some drawn, and by how much. Those with ends that `slot` is linked to
    /// anyway come first, those whose ends are its neighbours already come last.
    fn nearest_edge(&self, draft: &mut Draft<'_>, slot: Slot) -> Option<(Slot, u64)> {
        let draws = if draft.members.live.len() <= limits::EDGES_COMPARED_UPTO { limits::EDGE_DRAWS } else { 1 };
        let drawn = (0..draws).flat_map(|_| self.drawn_edges::<{ limits::EDGE_SAMPLES }>(draft));
        let drawn: SmallVec<[(Slot, Slot); limits::EDGE_SAMPLES * limits::EDGE_DRAWS]> = drawn.collect();
        let around = |held: &Slot| self.neighbours(*held).map(|(p, q)| [(p, *held), (*held, q)]).into_iter().flatten();
        let held = draft.held.iter().take(limits::EDGE_SAMPLES).flat_map(around);
        let usable = held.chain(drawn).filter(|(p, q)| self.usable(draft, slot, *p, *q));
        let rated = usable.map(|(p, q)| {
            let new_links = [p, q].into_iter().filter(|end| !draft.held.contains(end)).count();
            (!fresh(draft, slot, p, q), new_links, self.detour_at(draft, slot, p, q), p)
        });
        rated.min().map(|(_, _, detour, p)| (p, detour))
    }

    /// Edges drawn evenly, as far as both ends are present; [`Slot::NONE`] for the others. Each look is at another end of
    /// memory, so all that are alike are had at once: none waits for the one before.
    fn drawn_edges<const COUNT: usize>(&self, draft: &mut Draft<'_>) -> [(Slot, Slot); COUNT] {
        let drawn = [(); COUNT].map(|()| draft.members.draw(&mut draft.rng).unwrap_or(Slot::NONE));
        let edges = drawn.map(|p| (p, self.next.get(p.index()).copied().unwrap_or(Slot::NONE)));
        let mut present = edges.map(|(p, q)| draft.members.present(p) & draft.members.present(q)).into_iter();
        edges.map(|edge| if present.next() == Some(true) { edge } else { (Slot::NONE, Slot::NONE) })
    }

    /// Whether `slot` may be spliced into an edge.
    fn usable(&self, draft: &Draft<'_>, slot: Slot, p: Slot, q: Slot) -> bool {
        p != slot && q != slot && q != Slot::NONE && draft.may_link(slot, p) && draft.may_link(slot, q)
    }

    /// An edge for a newcomer where drawing found none, as where nearly everybody is away: a present member, with those
    /// who are away after it passed over.
    fn made_edge(&mut self, draft: &mut Draft<'_>, slot: Slot) -> Option<Slot> {
        let mut p = self.anchor.some()?;
        while !draft.may_link(slot, p) {
            let next = self.next[p.index()];
            if next == self.anchor {
                while let Some(away) = self.anchor.some() {
                    self.pass_over(draft, away);
                }
                return None;
            }
            p = next;
        }
        while !draft.may_link(slot, self.next[p.index()]) {
            self.pass_over(draft, self.next[p.index()]);
        }
        Some(p)
    }

    /// Puts `slot` between `p` and the one after it.
    fn splice_in(&mut self, draft: &mut Draft<'_>, slot: Slot, p: Slot) {
        let q = self.next[p.index()];
        draft.fetch(&[p, q]);
        self.connect(p, slot);
        self.connect(slot, q);
        draft.links.take(slot, p, self.tag);
        draft.links.take(slot, q, self.tag);
        self.part(draft, p, q);
    }

    /// Takes a member out, and has its neighbours close ranks.
    fn splice_out(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let Some((mut p, mut q)) = self.remove(draft, slot) else { return };
        while p != q && !draft.may_link(p, q) {
            let away = if draft.members.present(q) { p } else { q };
            self.hold(draft, away);
            let (before, after) = (self.previous[away.index()], self.next[away.index()]);
            self.remove(draft, away);
            (p, q) = if away == q { (p, after) } else { (before, q) };
        }
        if p != q {
            draft.links.take(p, q, self.tag);
        }
    }

    /// Takes a member that is away, or drains, out, and keeps its links.
    fn pass_over(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.hold(draft, slot);
        self.splice_out(draft, slot);
    }

    fn hold(&self, draft: &mut Draft<'_>, slot: Slot) {
        let neighbours: Vec<Slot> = draft.links.among(slot, self.tag.bit()).collect();
        for peer in neighbours {
            draft.links.take(slot, peer, Tag::Held);
        }
    }

    /// Takes a member out and puts its neighbours, which are returned, next to each other, without a link. `None` where
    /// it was the only one, or not in.
    fn remove(&mut self, draft: &mut Draft<'_>, slot: Slot) -> Option<(Slot, Slot)> {
        let (p, q) = self.neighbours(slot)?;
        self.next[slot.index()] = Slot::NONE;
        self.previous[slot.index()] = Slot::NONE;
        if p == slot {
            self.anchor = Slot::NONE;
            return None;
        }
        if self.anchor == slot {
            self.anchor = q;
        }
        self.connect(p, q);
        draft.links.give_back(slot, p, self.tag);
        draft.links.give_back(slot, q, self.tag);
        Some((p, q))
    }

    /// Gives the link of two that were neighbours back, unless they still are.
    fn part(&self, draft: &mut Draft<'_>, a: Slot, b: Slot) {
        if a != b && self.next[a.index()] != b && self.next[b.index()] != a {
            draft.links.give_back(a, b, self.tag);
        }
    }

    fn connect(&mut self, a: Slot, b: Slot) {
        let room = a.index().max(b.index()) + 1;
        if self.next.len() < room {
            self.next.resize(room, Slot::NONE);
            self.previous.resize(room, Slot::NONE);
        }
        self.next[a.index()] = b;
        self.previous[b.index()] = a;
    }

    /// Whether a member can be moved within the cycle.
    fn is_movable(&self, draft: &Draft<'_>, slot: Slot) -> bool {
        let neighbours = self.neighbours(slot);
        neighbours.is_some_and(|(p, q)| p != q && [slot, p, q].iter().all(|slot| draft.members.present(*slot)))
    }

    /// Splices a member anew where the cycle gets shorter by that, and by more than `gain`, in µs. False where somebody has no
    /// link to spare for it just now.
    fn redraw(&mut self, draft: &mut Draft<'_>, spare: &mut Spare, slot: Slot, gain: u64) -> bool {
        let Some((p, q)) = self.neighbours(slot).filter(|_| self.is_movable(draft, slot)) else { return true };
        let before = self.detour(draft, slot);
        if before <= gain {
            return true;
        }
        if !spare.has(slot, MOVED) || !spare.has(p, RELINKED) || !spare.has(q, RELINKED) {
            return false;
        }
        self.splice_out(draft, slot);
        let better = self.nearest_edge(draft, slot).filter(|(_, detour)| detour.saturating_add(gain) < before);
        let edge = better.map(|(r, _)| (r, self.next[r.index()]));
        let may_move = edge.is_none_or(|(r, s)| spare.has(r, RELINKED) && spare.has(s, RELINKED));
        match edge.filter(|_| may_move) {
            Some((r, s)) => {
                self.splice_in(draft, slot, r);
                spare.take(slot, MOVED);
                [p, q, r, s].into_iter().for_each(|slot| spare.take(slot, RELINKED));
            }
            None => self.splice_in(draft, slot, p),
        }
        may_move
    }

    /// How much longer the cycle is for a member of it.
    fn detour(&self, draft: &Draft<'_>, slot: Slot) -> u64 {
        self.neighbours(slot).map_or(0, |(p, q)| self.detour_at(draft, slot, p, q))
    }

    fn detour_at(&self, draft: &Draft<'_>, slot: Slot, p: Slot, q: Slot) -> u64 {
        let through = draft.cost(p, slot).saturating_add(draft.cost(slot, q));
        if p == q { through } else { through.saturating_sub(draft.cost(p, q)) }
    }
}

/// Links that a member has in excess while it moves within a cycle, and each of those whom it moves away from or to.
const MOVED: usize = 2;
const RELINKED: usize = 1;

/// Whether both ends of an edge would be new neighbours.
fn fresh(draft: &Draft<'_>, slot: Slot, p: Slot, q: Slot) -> bool {
    draft.links.tags(slot, p) & CYCLES == 0 && draft.links.tags(slot, q) & CYCLES == 0
}
