//! The table of peers: slots, deadlines, and the wall between a peer's bugs and everyone else.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use str0m::IceCreds;

use crate::demux::{Datagram, Owner};
use crate::peer::{Failure, Outlet, Peer, Shared};
use crate::socket::Received;
use crate::timers::Timers;
use crate::{ConnectError, DownReason, Event, PeerId, Role};

pub(crate) struct Peers {
    slots: Vec<Option<Box<Peer>>>,
    free: Vec<u32>,
    serial: u64,
    timers: Timers,
    /// Peers that have something to settle, each at most once.
    touched: Vec<u32>,
    is_touched: Vec<bool>,
    pub(crate) outlet: Outlet,
}

/// Bits of a [`PeerId`] that name its slot; the others are its serial.
const SLOT_BITS: u32 = 16;
const _: () = assert!(crate::MAX_PEERS <= 1 << SLOT_BITS);

impl Peers {
    pub(crate) fn new(outlet: Outlet) -> Peers {
        Peers {
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
            timers: Timers::default(),
            touched: Vec::new(),
            is_touched: Vec::new(),
            outlet,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(
        &mut self,
        role: Role,
        shared: Arc<Shared>,
        creds: IceCreds,
        hosts: &[SocketAddr],
        now: Instant,
    ) -> Result<PeerId, ConnectError> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.is_touched.push(false);
            self.slots.len() as u32 - 1
        });
        self.serial += 1;
        let owner = Owner { slot, serial: self.serial };
        let id = PeerId(self.serial << SLOT_BITS | u64::from(slot));
        let outlet = &mut self.outlet;
        let made = catch_unwind(AssertUnwindSafe(|| {
            let mut peer = Box::new(Peer::new(id, owner, role, shared, creds, now));
            peer.begin(hosts, outlet).map(|()| peer)
        }));
        let Ok(Ok(peer)) = made else {
            self.outlet.stats.bugs += 1;
            self.outlet.routes.forget(slot);
            self.free.push(slot);
            return Err(ConnectError::Bug);
        };
        self.timers.set(slot, peer.due());
        self.slots[slot as usize] = Some(peer);
        self.outlet.stats.peers += 1;
        Ok(id)
    }

    pub(crate) fn find(&self, id: PeerId) -> Option<&Peer> {
        let slot = (id.0 & ((1 << SLOT_BITS) - 1)) as usize;
        self.slots.get(slot)?.as_deref().filter(|peer| peer.id() == id)
    }

    pub(crate) fn find_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        let slot = (id.0 & ((1 << SLOT_BITS) - 1)) as usize;
        self.slots.get_mut(slot)?.as_deref_mut().filter(|peer| peer.id() == id)
    }

    /// Calls into a peer. Its failure, or its panic, ends it and nothing else.
    pub(crate) fn call<E>(
        &mut self,
        id: PeerId,
        no_peer: E,
        work: impl FnOnce(&mut Peer, &mut Outlet) -> Result<(), Failure<E>>,
    ) -> Result<(), E> {
        let Some(slot) = self.find(id).map(|peer| peer.owner().slot) else {
            return Err(no_peer);
        };
        let mut refused = None;
        self.run(slot, |peer, outlet| match work(peer, outlet) {
            Ok(()) => Ok(()),
            Err(Failure::Down(reason)) => Err(reason),
            Err(Failure::Refused(error)) => {
                refused = Some(error);
                Ok(())
            }
        });
        self.touch(slot);
        refused.map_or(Ok(()), Err)
    }

    pub(crate) fn receive(&mut self, now: Instant, kind: Datagram<'_>, datagram: &Received<'_>) {
        let owner = self.outlet.routes.find(kind, datagram.source);
        let current = |owner: &Owner| {
            let peer = self.slots.get(owner.slot as usize).and_then(Option::as_deref);
            peer.is_some_and(|peer| peer.owner() == *owner)
        };
        let Some(owner) = owner.filter(current) else {
            self.outlet.stats.unclaimed_in += 1;
            return;
        };
        self.run(owner.slot, |peer, outlet| peer.receive(now, datagram, kind, outlet));
        self.touch(owner.slot);
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(slot) = self.timers.expired(now) {
            self.run(slot, |peer, outlet| peer.expire(now, outlet));
        }
    }

    /// When [`Peers::expire`] is wanted.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Remembers to settle this peer with the next [`Peers::settle`].
    pub(crate) fn touch(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.is_touched[slot as usize], true) {
            self.touched.push(slot);
        }
    }

    /// Settles each peer that was touched, and sends.
    pub(crate) fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            self.is_touched[slot as usize] = false;
            self.run(slot, Peer::settle);
        }
        self.touched = touched;
        self.outlet.outbound.flush(&mut self.outlet.stats);
    }

    /// Ends a peer on our own wish.
    pub(crate) fn close(&mut self, id: PeerId) {
        if let Some(slot) = self.find(id).map(|peer| peer.owner().slot) {
            self.end(slot, None);
        }
    }

    fn run(&mut self, slot: u32, work: impl FnOnce(&mut Peer, &mut Outlet) -> Result<(), DownReason>) {
        let Some(peer) = self.slots[slot as usize].as_deref_mut() else { return };
        let outlet = &mut self.outlet;
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut *peer, outlet)));
        match result.unwrap_or(Err(DownReason::Bug)) {
            Ok(()) => self.timers.set(slot, peer.due()),
            Err(reason) => self.end(slot, Some(reason)),
        }
    }

    fn end(&mut self, slot: u32, reason: Option<DownReason>) {
        let Some(mut peer) = self.slots[slot as usize].take() else { return };
        let id = peer.id();
        self.timers.set(slot, None);
        self.free.push(slot);
        self.outlet.stats.peers -= 1;
        self.outlet.stats.bugs += u64::from(reason == Some(DownReason::Bug));
        let outlet = &mut self.outlet;
        // A peer that panicked is in an unknown state: it is only dropped, and even that may panic.
        let _ = catch_unwind(AssertUnwindSafe(move || {
            if reason != Some(DownReason::Bug) {
                peer.shut_down(outlet);
            }
            drop(peer);
        }));
        self.outlet.routes.forget(slot);
        tracing::debug!(peer = %id, ?reason, "peer ended");
        if let Some(reason) = reason {
            self.outlet.events.push_back(Event::Down { peer: id, reason });
        }
    }
}
