//! One tree over the whole room: everybody has a parent, and as many children as it has slots for.
//!
//! Who is present and in its place stands in one ordered set, by class and depth, so that the shallowest free slot, the
//! shallowest leaf or the deepest childless member with slots is found at once. A subtree that is moved is *afloat*
//! meanwhile, and in no set; so nobody is placed under itself.
//!
//! Where no slot is free, members without slots take up to two children each ([`Class::Dull`], [`Class::Spare`]): a
//! room is never split for want of uplink. The topologies make up for that when slots are free again.

use std::collections::BTreeSet;

use super::{
    Draft, Members, Slot,
    links::{BACKUPS, Links, STRIPES, Tag, WANTED},
};
use crate::limits;

/// The tree.
#[derive(Debug)]
pub(super) struct Stripe {
    tag: Tag,
    spot: Spot,
    root: Option<Slot>,
    places: Vec<Place>,
    classes: [BTreeSet<(u32, Slot)>; 7],
    /// Slots that are free, less those that are used beyond what there is.
    pub(super) room: i64,
    /// Roots of subtrees that cannot be placed until one of them is back.
    lost: BTreeSet<Slot>,
}

/// Whose child a member becomes, among those with free slots.
pub(super) type Spot = fn(&Stripe, &mut Draft<'_>, Slot) -> Option<Slot>;

#[derive(Clone, Copy, Debug)]
struct Place {
    parent: Slot,
    depth: u32,
    children: u16,
    slots: u16,
}

const NOWHERE: Place = Place { parent: Slot::NONE, depth: u32::MAX, children: 0, slots: 0 };
/// The depth of a member that is afloat.
const AFLOAT: u32 = u32::MAX - 1;

/// What a member in its place is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Has slots, and no children.
    Able,
    /// Has children, and free slots.
    Roomy,
    /// Has children in all of its slots.
    Full,
    /// Has neither slots nor children.
    Dull,
    /// Has no slots, and one child.
    Spare,
    /// Has more children than slots, and more than one.
    Laden,
    /// Is about to leave.
    Draining,
}

/// Where free slots are.
pub(super) const FREE: [Class; 2] = [Class::Able, Class::Roomy];
/// Who has no children.
const LEAVES: [Class; 2] = [Class::Able, Class::Dull];
/// Who has, and does not leave.
const INNER: [Class; 4] = [Class::Roomy, Class::Full, Class::Spare, Class::Laden];
/// Who takes a child where no slot is free, the best first.
const LAST_RESORTS: [Class; 5] = [Class::Dull, Class::Spare, Class::Draining, Class::Full, Class::Laden];

impl Stripe {
    pub(super) fn new(tag: Tag, spot: Spot) -> Stripe {
        let (places, lost) = (Vec::new(), BTreeSet::new());
        Stripe { tag, spot, root: None, places, classes: Default::default(), room: 0, lost }
    }

    // ---- what there is ----

    /// Whether a member has entered.
    pub(super) fn knows(&self, slot: Slot) -> bool {
        self.places.get(slot.index()).is_some_and(|place| place.depth != u32::MAX)
    }

    pub(super) fn placed(&self, slot: Slot) -> bool {
        self.places.get(slot.index()).is_some_and(|place| place.depth < AFLOAT)
    }

    pub(super) fn root(&self) -> Option<Slot> {
        self.root
    }

    pub(super) fn parent(&self, slot: Slot) -> Option<Slot> {
        self.places.get(slot.index()).and_then(|place| place.parent.some())
    }

    /// How far a member in its place is from the root.
    pub(super) fn depth(&self, slot: Slot) -> u32 {
        self.places[slot.index()].depth
    }

    pub(super) fn slots(&self, slot: Slot) -> u16 {
        self.places.get(slot.index()).map_or(0, |place| place.slots)
    }

    pub(super) fn has_children(&self, slot: Slot) -> bool {
        self.places[slot.index()].children > 0
    }

    pub(super) fn load(&self, slot: Slot) -> u16 {
        self.places[slot.index()].children
    }

    pub(super) fn children(&self, links: &Links, slot: Slot) -> impl Iterator<Item = Slot> {
        links.among(slot, self.tag.bit()).filter(move |peer| self.parent(*peer) == Some(slot))
    }

    pub(super) fn is_under(&self, slot: Slot, top: Slot) -> bool {
        let mut at = slot;
        while at != top {
            match self.parent(at) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        true
    }

    pub(super) fn class(&self, class: Class) -> impl DoubleEndedIterator<Item = Slot> {
        self.classes[class as usize].iter().map(|(_, slot)| *slot)
    }

    fn shallowest(&self, classes: &[Class]) -> Option<u32> {
        classes.iter().filter_map(|class| self.classes[*class as usize].first()).map(|(depth, _)| *depth).min()
    }

    fn deepest(&self, classes: &[Class]) -> Option<(u32, Slot)> {
        classes.iter().filter_map(|class| self.classes[*class as usize].last()).max().copied()
    }

    /// The cheapest among some of those at the least depth, starting at a drawn one.
    pub(super) fn nearest_of_shallowest(&self, draft: &mut Draft<'_>, slot: Slot, classes: &[Class]) -> Option<Slot> {
        let depth = self.shallowest(classes)?;
        let from = Slot(u32::try_from(draft.draw(self.places.len())).unwrap_or_default());
        let mut candidates: Vec<Slot> = Vec::new();
        for class in classes {
            let set = &self.classes[*class as usize];
            let after = set.range((depth, from)..(depth + 1, Slot(0)));
            let round = after.chain(set.range((depth, Slot(0))..(depth, from)));
            candidates.extend(round.take(limits::PARENT_SAMPLES).map(|(_, slot)| *slot));
        }
        candidates.into_iter().min_by_key(|candidate| (draft.cost(slot, *candidate), *candidate))
    }

    // ---- coming and going ----

    /// A member enters. Whoever has more slots than a leaf above the best free slot takes that leaf's place, and adopts
    /// it. A root without slots is adopted at once.
    pub(super) fn enter(&mut self, draft: &mut Draft<'_>, slot: Slot, slots: u16) {
        self.make_room(slot);
        self.places[slot.index()] = Place { slots, ..NOWHERE };
        let free = self.shallowest(&FREE);
        let root = self.root.filter(|root| slots > 0 && self.slots(*root) == 0);
        let leaf = self.weakest_leaf(slots).filter(|leaf| free.is_none_or(|free| self.depth(*leaf) <= free));
        let weaker = root.or(leaf).filter(|weaker| {
            draft.may_link(slot, *weaker) && self.parent(*weaker).is_none_or(|parent| draft.may_link(slot, parent))
        });
        match weaker {
            Some(weaker) => {
                let parent = self.parent(weaker);
                self.float(draft, weaker);
                match parent {
                    Some(parent) => self.land(draft, slot, parent),
                    None => self.land_as_root(draft, slot),
                }
                self.land(draft, weaker, slot);
            }
            None => self.place(draft, slot),
        }
    }

    /// Among the shallowest leaves, the one of fewest slots, where that is fewer than `slots`.
    fn weakest_leaf(&self, slots: u16) -> Option<Slot> {
        let depth = self.shallowest(&LEAVES)?;
        let some = |class: Class| self.classes[class as usize].range((depth, Slot(0))..(depth + 1, Slot(0)));
        let leaves = LEAVES.into_iter().rev().flat_map(|class| some(class).take(limits::PARENT_SAMPLES));
        let weakest = leaves.map(|(_, slot)| *slot).min_by_key(|leaf| self.slots(*leaf))?;
        (self.slots(weakest) < slots).then_some(weakest)
    }

    /// A member leaves. Its place is taken by the deepest childless member with slots, if there is one, which adopts
    /// whom it can; the other orphans are placed anew, who can carry most first.
    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        if !self.knows(slot) {
            return;
        }
        let place = self.places[slot.index()];
        let mut orphans: Vec<Slot> = self.children(draft.links, slot).collect();
        self.unindex(draft.members, slot);
        self.places[slot.index()].depth = AFLOAT;
        for orphan in &orphans {
            self.cut(draft, *orphan);
        }
        self.cut(draft, slot);
        self.places[slot.index()] = NOWHERE;
        let lost = self.lost.remove(&slot);
        if self.root == Some(slot) {
            self.root = None;
        }
        if self.tag != Tag::Star && place.depth < AFLOAT && !orphans.is_empty() {
            self.substitute(draft, place, &mut orphans);
        }
        // Before any of them lands, so that none lands on another.
        for orphan in &orphans {
            self.float(draft, *orphan);
        }
        orphans
            .sort_by_key(|orphan| (!draft.members.present(*orphan), std::cmp::Reverse(self.slots(*orphan)), *orphan));
        if self.root.is_none() && !lost && place.depth < AFLOAT && !orphans.is_empty() {
            let heir = orphans.remove(0);
            self.land_as_root(draft, heir);
        }
        for orphan in orphans {
            self.resettle(draft, orphan);
        }
        self.find_lost(draft);
    }

    /// Puts a childless member with slots where another was, and the orphans that it can adopt under it; the others
    /// stay in `orphans`.
    fn substitute(&mut self, draft: &mut Draft<'_>, place: Place, orphans: &mut Vec<Slot>) {
        let parent = place.parent.some();
        let wanted = u16::try_from(orphans.len()).unwrap_or(u16::MAX);
        let able = self.class(Class::Able).rev().take(limits::PARENT_SAMPLES);
        let able = able.filter(|able| parent.is_none_or(|parent| *able != parent && draft.may_link(*able, parent)));
        let cost = |able: Slot| parent.map_or(0, |parent| draft.cost(able, parent));
        let Some(heir) = able.max_by_key(|able| {
            let carries = self.slots(*able).min(wanted);
            (carries, std::cmp::Reverse(cost(*able)), *able)
        }) else {
            return;
        };
        orphans.retain(|orphan| *orphan != heir);
        self.float(draft, heir);
        match parent {
            Some(parent) => self.land(draft, heir, parent),
            None => self.land_as_root(draft, heir),
        }
        orphans.sort_by_key(|orphan| (draft.members.present(*orphan), std::cmp::Reverse(self.slots(*orphan)), *orphan));
        self.unindex(draft.members, heir);
        let slots = self.slots(heir);
        orphans.retain(|orphan| {
            let adopted = self.places[heir.index()].children < slots && draft.may_link(heir, *orphan);
            if adopted {
                // Its depth is what it was.
                draft.links.take(*orphan, heir, self.tag);
                self.places[orphan.index()].parent = heir;
                self.places[heir.index()].children += 1;
            }
            !adopted
        });
        self.index(draft.members, heir);
        self.within_bounds(draft, heir);
    }

    /// A member is about to be away or to drain. [`Stripe::back`] and [`Stripe::drain`] go on from here.
    pub(super) fn lift(&mut self, members: &Members, slot: Slot) {
        if self.placed(slot) {
            self.unindex(members, slot);
        }
    }

    /// A member is back.
    pub(super) fn back(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        if self.placed(slot) {
            self.index(draft.members, slot);
            return;
        }
        let mut top = slot;
        while let Some(parent) = self.parent(top) {
            top = parent;
        }
        self.lost.remove(&top);
        self.turn(slot);
        self.place(draft, slot);
        self.find_lost(draft);
    }

    /// Finds a place for a subtree that is afloat, whose root need not be present: by the first of its members that is
    /// present, or has a link to somebody in a place. Else it is lost for now.
    fn resettle(&mut self, draft: &mut Draft<'_>, top: Slot) {
        let mut within = vec![top];
        while let Some(at) = within.pop() {
            let kept = draft.links.of(at).find(|peer| self.placed(*peer));
            let present = draft.members.present(at);
            if present || kept.is_some() {
                self.lost.remove(&top);
                self.turn(at);
                match kept.filter(|_| !present) {
                    Some(parent) => self.land(draft, at, parent),
                    None => self.place(draft, at),
                }
                return;
            }
            within.extend(self.children(draft.links, at));
        }
        self.lost.insert(top);
    }

    /// Looks whether what was lost has a link by now to what was placed after it.
    fn find_lost(&mut self, draft: &mut Draft<'_>) {
        for top in self.lost.clone() {
            self.resettle(draft, top);
        }
    }

    /// Finds a place for a subtree that is afloat and whose root is present: in a free slot, or where there is none under
    /// whoever can bear it best.
    fn place(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let free = (self.spot)(self, draft, slot);
        let last_resort = || LAST_RESORTS.iter().find_map(|class| self.nearest_of_shallowest(draft, slot, &[*class]));
        let parent = free.or_else(last_resort);
        match parent.or_else(|| draft.held.iter().copied().find(|held| self.placed(*held))) {
            Some(parent) => self.land(draft, slot, parent),
            None => {
                // Everybody in a place is away: they come back one by one.
                if let Some(root) = self.root {
                    self.float(draft, root);
                    self.lost.insert(root);
                }
                self.land_as_root(draft, slot);
            }
        }
    }

    /// Keeps an away member that has no place by a link that it has.
    pub(super) fn adopt(&mut self, draft: &mut Draft<'_>, slot: Slot) -> bool {
        self.make_room(slot);
        if !self.placed(slot) {
            let Some(parent) = draft.links.of(slot).find(|peer| self.placed(*peer)) else { return false };
            if self.places[slot.index()].depth == AFLOAT {
                return true;
            }
            self.places[slot.index()].depth = AFLOAT;
            self.land(draft, slot, parent);
        }
        true
    }

    pub(super) fn set_slots(&mut self, members: &Members, slot: Slot, slots: u16) {
        if self.places.get(slot.index()).is_some_and(|place| place.slots != slots) {
            self.unindex(members, slot);
            self.places[slot.index()].slots = slots;
            self.index(members, slot);
        }
    }

    /// A member is about to leave, and draining: whoever hangs on it is moved, where slots are free elsewhere. The old
    /// links are kept as [`Tag::Parting`].
    pub(super) fn drain(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        if !self.placed(slot) {
            return;
        }
        self.places[slot.index()].slots = 0;
        self.index(draft.members, slot);
        if self.root == Some(slot) && !self.abdicate(draft) {
            return;
        }
        let children: Vec<Slot> =
            self.children(draft.links, slot).filter(|child| draft.members.present(*child)).collect();
        for child in children {
            self.rehome(draft, child, true);
        }
    }

    /// A root without slots, which need not be present, changes places with its child that can carry most, so that whoever
    /// hangs on it can be moved elsewhere; whether there was one. No link changes.
    pub(super) fn abdicate(&mut self, draft: &mut Draft<'_>) -> bool {
        let Some(root) = self.root.filter(|root| self.slots(*root) == 0) else { return false };
        let present = self.children(draft.links, root).filter(|child| draft.members.present(*child));
        let able = present.filter(|child| self.slots(*child) > 0);
        let Some(heir) = able.max_by_key(|child| (self.slots(*child), *child)) else { return false };
        self.float(draft, root);
        self.turn(heir);
        self.land_as_root(draft, heir);
        true
    }

    /// Moves a present member and all below it to the free slot that it would be given now, if any; whether it did.
    /// `parting`: the old link is kept for now.
    pub(super) fn rehome(&mut self, draft: &mut Draft<'_>, slot: Slot, parting: bool) -> bool {
        let Some(old) = self.parent(slot) else { return false };
        self.float(draft, slot);
        match (self.spot)(self, draft, slot) {
            Some(parent) if parent != old => {
                self.land(draft, slot, parent);
                if parting {
                    draft.links.take(slot, old, Tag::Parting);
                }
                true
            }
            _ => {
                self.land(draft, slot, old);
                false
            }
        }
    }

    // ---- getting better ----

    /// A child of somebody who has more than it has slots for.
    pub(super) fn burden(&self, draft: &Draft<'_>) -> Option<Slot> {
        let bearers =
            [Class::Laden, Class::Spare].into_iter().flat_map(|class| self.class(class).take(limits::PARENT_SAMPLES));
        let mut children = bearers.flat_map(|bearer| self.children(draft.links, bearer));
        children.find(|child| draft.members.present(*child))
    }

    /// Makes one move that takes members nearer to a better root: one with slots in place of one without, else a child to a
    /// free slot from one who has too many, else the deepest leaf to a free slot, else the deepest member with children to
    /// the place of a shallower leaf.
    pub(super) fn improve(&mut self, draft: &mut Draft<'_>) {
        if self.abdicate(draft) {
            return;
        }
        let free = self.shallowest(&FREE);
        if free.is_some()
            && let Some(child) = self.burden(draft)
        {
            self.rehome(draft, child, false);
            return;
        }
        if let (Some(free), Some((depth, leaf))) = (free, self.deepest(&LEAVES))
            && free + 1 < depth
        {
            self.rehome(draft, leaf, false);
            return;
        }
        if let (Some((depth, inner)), Some(leaf)) = (self.deepest(&INNER), self.shallowest(&LEAVES))
            && leaf < depth
        {
            let weakest = self.weakest_leaf(self.slots(inner));
            if let Some(leaf) = weakest {
                self.swap(draft, inner, leaf);
            }
        }
    }

    /// Exchanges the places of a member with children, who keeps them, and a leaf that is not below it.
    fn swap(&mut self, draft: &mut Draft<'_>, inner: Slot, leaf: Slot) {
        let (Some(low), high) = (self.parent(inner), self.parent(leaf)) else { return };
        if !draft.may_link(leaf, low) || high.is_some_and(|high| !draft.may_link(inner, high)) || low == leaf {
            return;
        }
        self.float(draft, inner);
        self.float(draft, leaf);
        match high {
            Some(high) => self.land(draft, inner, high),
            None => self.land_as_root(draft, inner),
        }
        self.land(draft, leaf, low);
    }

    // ---- the tree itself ----

    /// Takes a subtree out of its place, and out of the sets.
    fn float(&mut self, draft: &mut Draft<'_>, top: Slot) {
        if self.root == Some(top) {
            self.root = None;
        }
        let mut todo = vec![top];
        while let Some(slot) = todo.pop() {
            self.unindex(draft.members, slot);
            self.places[slot.index()].depth = AFLOAT;
            if self.has_children(slot) {
                todo.extend(self.children(draft.links, slot));
            }
        }
        self.cut(draft, top);
    }

    /// Puts a subtree that is afloat under a parent.
    fn land(&mut self, draft: &mut Draft<'_>, top: Slot, parent: Slot) {
        self.unindex(draft.members, parent);
        self.places[parent.index()].children += 1;
        self.index(draft.members, parent);
        self.places[top.index()].parent = parent;
        draft.links.take(top, parent, self.tag);
        self.sink(draft, top, self.depth(parent) + 1);
        self.within_bounds(draft, top);
        self.within_bounds(draft, parent);
    }

    pub(super) fn land_as_root(&mut self, draft: &mut Draft<'_>, top: Slot) {
        self.root = Some(top);
        self.sink(draft, top, 0);
    }

    /// Gives a subtree its depths, and puts it into the sets.
    fn sink(&mut self, draft: &mut Draft<'_>, top: Slot, depth: u32) {
        let mut todo = vec![(top, depth)];
        while let Some((slot, depth)) = todo.pop() {
            self.places[slot.index()].depth = depth;
            self.index(draft.members, slot);
            if self.has_children(slot) {
                todo.extend(self.children(draft.links, slot).map(|child| (child, depth + 1)));
            }
        }
    }

    /// Backup links give way to those of the tree.
    fn within_bounds(&self, draft: &mut Draft<'_>, slot: Slot) {
        let bound = usize::from(draft.members.profile(slot).max_links);
        while self.tag != Tag::Star && draft.links.among(slot, STRIPES | BACKUPS).count() > bound {
            let only_backup = |peer: &Slot| draft.links.tags(slot, *peer) & WANTED & !BACKUPS == 0;
            let backup = draft.links.among(slot, BACKUPS).find(only_backup);
            let Some(peer) = backup else { return };
            draft.links.clear(slot, peer, BACKUPS);
        }
    }

    fn cut(&mut self, draft: &mut Draft<'_>, child: Slot) {
        let parent = std::mem::replace(&mut self.places[child.index()].parent, Slot::NONE);
        if parent != Slot::NONE {
            draft.links.give_back(child, parent, self.tag);
            self.unindex(draft.members, parent);
            self.places[parent.index()].children -= 1;
            self.index(draft.members, parent);
        }
    }

    /// Makes a member the root of the subtree that it is afloat in.
    fn turn(&mut self, slot: Slot) {
        let (mut at, mut parent) = (slot, Slot::NONE);
        while at != Slot::NONE {
            let next = std::mem::replace(&mut self.places[at.index()].parent, parent);
            if next != Slot::NONE {
                self.places[at.index()].children += 1;
                self.places[next.index()].children -= 1;
            }
            (parent, at) = (at, next);
        }
    }

    fn make_room(&mut self, slot: Slot) {
        if self.places.len() <= slot.index() {
            self.places.resize(slot.index() + 1, NOWHERE);
        }
    }

    fn class_of(&self, members: &Members, slot: Slot) -> Option<Class> {
        let Place { depth, children, slots, .. } = self.places[slot.index()];
        if depth >= AFLOAT || !members.present(slot) {
            return None;
        }
        Some(match (children, slots) {
            _ if members.draining(slot) => Class::Draining,
            (0, 0) => Class::Dull,
            (0, _) => Class::Able,
            (1, 0) => Class::Spare,
            _ if children < slots => Class::Roomy,
            _ if children == slots => Class::Full,
            _ => Class::Laden,
        })
    }

    fn index(&mut self, members: &Members, slot: Slot) {
        if let Some(class) = self.class_of(members, slot) {
            let Place { depth, children, slots, .. } = self.places[slot.index()];
            self.classes[class as usize].insert((depth, slot));
            self.room += i64::from(slots) - i64::from(children);
        }
    }

    fn unindex(&mut self, members: &Members, slot: Slot) {
        if let Some(class) = self.class_of(members, slot) {
            let Place { depth, children, slots, .. } = self.places[slot.index()];
            self.classes[class as usize].remove(&(depth, slot));
            self.room -= i64::from(slots) - i64::from(children);
        }
    }
}
