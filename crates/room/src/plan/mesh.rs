//! Full mesh: a link for every pair of present members.

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::{LinkOp, Links, Members, Slot, links::Tag};

pub(super) const NAME: &str = "mesh";

/// Links a member that entered or came back to everybody present, and to those that it holds a link to anyway.
///
/// The round starts at a drawn place: where many come back at once, they do not all begin with the same peer.
pub(super) fn join(
    members: &Members,
    links: &mut Links,
    slot: Slot,
    held: &[Slot],
    rng: &mut ChaCha8Rng,
    ops: &mut Vec<LinkOp>,
) {
    let start = rng.next_u32() as usize % members.live.len().max(1);
    let (before, from) = members.live.split_at(start);
    for peer in from.iter().chain(before).chain(held) {
        if *peer != slot && links.take(slot, *peer, Tag::Mesh) {
            ops.push(members.open(slot, *peer));
        }
    }
}

/// Gives a leaver's links back.
pub(super) fn leave(members: &Members, links: &mut Links, slot: Slot, ops: &mut Vec<LinkOp>) {
    let peers: Vec<Slot> = links.of(slot).collect();
    for peer in peers {
        if links.give_back(slot, peer, Tag::Mesh) {
            ops.push(LinkOp::Close(members.id(slot), members.id(peer)));
        }
    }
}
