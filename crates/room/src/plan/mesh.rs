//! Full mesh: a link for every pair of present members.

use rand_core::RngCore;

use super::{Draft, Slot, links::Tag};

/// Links a member that entered or came back to everybody present, and to those that it holds a link to anyway.
///
/// The round starts at a drawn place: where many come back at once, they do not all begin with the same peer.
pub(super) fn join(draft: &mut Draft<'_>, slot: Slot) {
    let members = draft.members;
    // A relay has nobody to pass anything on to here; it waits for another topology.
    let relays = |peer: Slot| members.profile(slot).relay || members.profile(peer).relay;
    let start = draft.rng.next_u32() as usize % members.live.len().max(1);
    let (before, from) = members.live.split_at(start);
    for peer in from.iter().chain(before).chain(draft.held) {
        if *peer != slot && (!relays(*peer) || draft.held.contains(peer)) {
            draft.links.take(slot, *peer, Tag::Mesh);
        }
    }
}

/// Nothing depends on a relay here. Links that it has nevertheless, as those that it held when the hub restarted, stay until
/// what goes over them has another way.
pub(super) fn drain(draft: &mut Draft<'_>, slot: Slot) {
    if !draft.members.profile(slot).relay {
        return;
    }
    let peers: Vec<Slot> = draft.links.among(slot, Tag::Mesh.bit()).collect();
    for peer in peers {
        draft.links.take(slot, peer, Tag::Parting);
        draft.links.give_back(slot, peer, Tag::Mesh);
    }
}

/// Keeps all links that an away member has.
pub(super) fn adopt(draft: &mut Draft<'_>, slot: Slot) -> bool {
    let peers: Vec<Slot> = draft.links.of(slot).collect();
    for peer in &peers {
        draft.links.take(slot, *peer, Tag::Mesh);
    }
    true
}
