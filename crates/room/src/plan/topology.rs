//! The topologies by name, and what each of them does with an event.

use std::{fmt, str::FromStr};

use super::{
    Config, Draft, Slot, Stats,
    forest::Forest,
    links::{BACKUPS, CYCLES, STRIPES, Tag},
    mesh,
    small_world::SmallWorld,
    star::Star,
};
use crate::time::Time;

/// A way to link a room, from the one that asks most of each member to the one that asks least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topology {
    /// A link for every pair.
    Mesh,
    /// The union of random cycles: few links each, and everybody passes on.
    SmallWorld,
    /// A tree, in which members with spare uplink pass on.
    Tree,
    /// One link each, to a relay.
    Star,
}

impl Topology {
    /// All of them.
    pub const ALL: [Topology; 4] = [Topology::Mesh, Topology::SmallWorld, Topology::Tree, Topology::Star];

    /// Its word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Topology::Mesh => "mesh",
            Topology::SmallWorld => "small-world",
            Topology::Tree => "tree",
            Topology::Star => "star",
        }
    }

    /// The links that new messages are pushed along.
    pub(super) fn eager(self) -> u16 {
        match self {
            Topology::Mesh => 0,
            Topology::SmallWorld => Tag::Span.bit(),
            Topology::Tree => Tag::Stripe(0).bit(),
            Topology::Star => Tag::Star.bit(),
        }
    }

    /// Why it wants links.
    pub(super) fn tags(self) -> u16 {
        match self {
            Topology::Mesh => Tag::Mesh.bit(),
            Topology::SmallWorld => CYCLES | Tag::Held.bit() | Tag::Span.bit(),
            Topology::Tree => STRIPES | BACKUPS,
            Topology::Star => Tag::Star.bit(),
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a topology is `mesh`, `small-world`, `tree` or `star`")]
pub struct UnknownTopology;

impl FromStr for Topology {
    type Err = UnknownTopology;

    fn from_str(word: &str) -> Result<Self, UnknownTopology> {
        Topology::ALL.into_iter().find(|topology| topology.as_str() == word).ok_or(UnknownTopology)
    }
}

/// What a topology has planned.
#[derive(Debug)]
pub(super) enum Plan {
    Mesh,
    SmallWorld(SmallWorld),
    Forest(Forest),
    Star(Star),
}

impl Plan {
    pub(super) fn new(config: &Config, topology: Topology, stats: &Stats) -> Plan {
        match topology {
            Topology::Mesh => Plan::Mesh,
            Topology::SmallWorld => Plan::SmallWorld(SmallWorld::new(config.degree)),
            Topology::Tree => Plan::Forest(Forest::new(config.stripes, stats.rate_kbps)),
            Topology::Star => Plan::Star(Star::new()),
        }
    }

    pub(super) fn topology(&self) -> Topology {
        match self {
            Plan::Mesh => Topology::Mesh,
            Plan::SmallWorld(_) => Topology::SmallWorld,
            Plan::Forest(_) => Topology::Tree,
            Plan::Star(_) => Topology::Star,
        }
    }

    /// How many members can hang on one; those who can bear most are placed first.
    pub(super) fn capacity(&self, draft: &Draft<'_>, slot: Slot) -> u16 {
        match self {
            Plan::Mesh | Plan::SmallWorld(_) => 0,
            Plan::Forest(forest) => forest.capacity(draft, slot),
            Plan::Star(_) => Star::capacity(draft.members, slot),
        }
    }

    pub(super) fn join(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            Plan::Mesh => mesh::join(draft, slot),
            Plan::SmallWorld(world) => world.join(draft, slot),
            Plan::Forest(forest) => forest.join(draft, slot),
            Plan::Star(star) => star.join(draft, slot),
        }
    }

    pub(super) fn back(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            Plan::Mesh => mesh::join(draft, slot),
            Plan::SmallWorld(world) => world.back(draft, slot),
            Plan::Forest(forest) => forest.back(draft, slot),
            Plan::Star(star) => star.back(draft, slot),
        }
    }

    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            Plan::Mesh => {}
            Plan::SmallWorld(world) => world.leave(draft, slot),
            Plan::Forest(forest) => forest.leave(draft, slot),
            Plan::Star(star) => star.leave(draft, slot),
        }
        let peers: Vec<Slot> = draft.links.of(slot).collect();
        for peer in peers {
            draft.links.clear(slot, peer, self.topology().tags() | Tag::Parting.bit());
        }
    }

    /// A member is about to be away, or to drain.
    pub(super) fn lift(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            Plan::Mesh | Plan::SmallWorld(_) => {}
            Plan::Forest(forest) => forest.lift(draft, slot),
            Plan::Star(star) => star.lift(draft, slot),
        }
    }

    pub(super) fn drain(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            Plan::Mesh => mesh::drain(draft, slot),
            Plan::SmallWorld(world) => world.drain(draft, slot),
            Plan::Forest(forest) => forest.drain(draft, slot),
            Plan::Star(star) => star.drain(draft, slot),
        }
    }

    /// What took the place of the links of those who drain has had its time.
    pub(super) fn release(&mut self, draft: &mut Draft<'_>) {
        if let Plan::SmallWorld(world) = self {
            world.release(draft);
        }
    }

    /// What a member can carry has changed.
    pub(super) fn reshape(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        match self {
            // One that was a relay has links from now on.
            Plan::Mesh if draft.members.present(slot) => mesh::join(draft, slot),
            Plan::Mesh => {}
            Plan::SmallWorld(world) => world.reshape(draft, slot),
            Plan::Forest(forest) => forest.reshape(draft, slot),
            Plan::Star(star) => star.reshape(draft, slot),
        }
    }

    /// Keeps an away member by a link that it has; whether it is kept.
    pub(super) fn adopt(&mut self, draft: &mut Draft<'_>, slot: Slot) -> bool {
        match self {
            Plan::Mesh => mesh::adopt(draft, slot),
            Plan::SmallWorld(world) => world.adopt(draft, slot),
            Plan::Forest(forest) => forest.adopt(draft, slot),
            Plan::Star(star) => star.adopt(draft, slot),
        }
    }

    /// It is known from now on where a member is.
    pub(super) fn placed(&mut self, slot: Slot) {
        if let Plan::SmallWorld(world) = self {
            world.placed(slot);
        }
    }

    pub(super) fn tick(&mut self, draft: &mut Draft<'_>, now: Time) {
        match self {
            Plan::Mesh => {}
            Plan::SmallWorld(world) => world.tick(draft, now),
            Plan::Forest(forest) => forest.tick(draft),
            Plan::Star(star) => star.tick(draft),
        }
    }

    pub(super) fn depth(&self, slot: Slot, stripe: usize) -> Option<u32> {
        match self {
            Plan::Mesh => None,
            Plan::SmallWorld(world) => world.span.knows(slot).then(|| world.span.depth(slot)),
            Plan::Forest(forest) => {
                forest.stripes().get(stripe).filter(|tree| tree.placed(slot)).map(|tree| tree.depth(slot))
            }
            Plan::Star(star) => star.tree().placed(slot).then(|| star.tree().depth(slot)),
        }
    }
}
