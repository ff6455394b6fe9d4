//! The server's own relays: Rust members in this process, one in each room whose hub wants one.
//!
//! They run on a thread of their own, which is there while any of them is. A room that wants no relay any more has its
//! relay drained: nobody depends on it when it leaves. That takes a while, and does not keep the room waiting: where it wants a
//! relay again meanwhile it has another.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use room::id::RoomName;
use roomful::{Event, JoinError, Room};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    config,
    deepstream::bridge::Ground,
    http::Peer,
    inside::{Pauses, closed},
    limits,
    worker::Worker,
};

/// What relays call themselves.
const NAME: &str = "relay";

/// The rooms that want a relay. Shards say so without waiting.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// No more than there are rooms.
    rooms: Mutex<BTreeSet<RoomName>>,
    bell: Notify,
}

impl Wanted {
    /// A room wants a relay from now on, or does not.
    pub(crate) fn set(&self, room: &RoomName, wanted: bool) {
        // Nothing in here panics half-way.
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if wanted { rooms.insert(room.clone()) } else { rooms.remove(room) };
        drop(rooms);
        if changed {
            self.bell.notify_one();
        }
    }

    fn rooms(&self) -> BTreeSet<RoomName> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Relays that run, until the server closes.
#[derive(Debug)]
pub(crate) struct Running {
    ended: mpsc::Receiver<Infallible>,
}

impl Running {
    /// Waits until all have left their rooms, which they do when the server closes.
    pub(crate) async fn ended(&mut self) {
        let _ = timeout(limits::BRIDGE_LEAVE, self.ended.recv()).await;
    }
}

/// Gives rooms the relays that they want from now on; nothing at all where the server has none.
pub(crate) fn start(ground: &Arc<Ground>, settings: &config::Relay) -> Option<Running> {
    let wanted = ground.site.relays.clone()?;
    let (alive, ended) = mpsc::channel(1);
    let relays = Relays {
        wanted,
        ground: ground.clone(),
        settings: settings.clone(),
        alive,
        running: BTreeMap::new(),
        going: BTreeMap::new(),
        worker: None,
    };
    tokio::spawn(relays.run());
    Some(Running { ended })
}

struct Relays {
    wanted: Arc<Wanted>,
    ground: Arc<Ground>,
    settings: config::Relay,
    alive: mpsc::Sender<Infallible>,
    /// Those that are wanted; dropped, one drains.
    running: BTreeMap<RoomName, watch::Sender<bool>>,
    /// How many of each room's are not wanted any more, and not gone yet.
    going: BTreeMap<RoomName, usize>,
    worker: Option<Worker>,
}

impl Relays {
    async fn run(mut self) {
        let mut closing = self.ground.site.closing();
        let (over, mut ended) = mpsc::channel(limits::RELAYS);
        loop {
            self.tend(&over);
            tokio::select! {
                biased;
                () = closed(&mut closing) => return self.finish(ended).await,
                Some(room) = ended.recv() => self.gone(&room),
                () = self.wanted.bell.notified() => {}
            }
        }
    }

    /// Lets those go that are not wanted any more, and starts those that are missing.
    fn tend(&mut self, over: &mpsc::Sender<RoomName>) {
        let wanted = self.wanted.rooms();
        let unwanted: Vec<RoomName> = self.running.keys().filter(|room| !wanted.contains(*room)).cloned().collect();
        for room in unwanted {
            if let Some(is_wanted) = self.running.remove(&room) {
                is_wanted.send_replace(false);
                *self.going.entry(room).or_default() += 1;
            }
        }
        for room in wanted {
            if self.running.contains_key(&room) || self.going.get(&room) >= Some(&limits::RELAYS_GOING) {
                continue;
            }
            let rooms: BTreeSet<&RoomName> = self.running.keys().chain(self.going.keys()).collect();
            if !rooms.contains(&room) && rooms.len() >= self.settings.rooms.min(limits::RELAYS) {
                return warn!(%room, "the server has all the relays that it may have");
            }
            if let Err(error) = self.begin(room, over) {
                return warn!(%error, "no relay can be started");
            }
        }
        if self.running.is_empty() && self.going.is_empty() {
            self.worker = None;
        }
    }

    /// A relay that was not wanted any more has left.
    fn gone(&mut self, room: &RoomName) {
        if let Some(going) = self.going.get_mut(room) {
            *going -= 1;
            if *going == 0 {
                self.going.remove(room);
            }
        }
    }

    fn begin(&mut self, room: RoomName, over: &mpsc::Sender<RoomName>) -> std::io::Result<()> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start("relay".to_owned())?,
        };
        let (is_wanted, wanted) = watch::channel(true);
        let relay = Relay { room: room.clone(), ground: self.ground.clone(), links: self.settings.links, wanted };
        let (over, alive) = (over.clone(), self.alive.clone());
        self.running.insert(room.clone(), is_wanted);
        worker.spawn(async move {
            let counted = relay.ground.site.metrics.relay();
            relay.run().await;
            drop((counted, alive));
            // Where nobody listens, the server is closing.
            let _ = over.send(room).await;
        });
        self.worker = Some(worker);
        Ok(())
    }

    /// The relays leave by themselves; the thread stays until they have.
    async fn finish(self, mut ended: mpsc::Receiver<RoomName>) {
        let Relays { alive, running, going, worker, .. } = self;
        drop(alive);
        for _ in 0..running.len() + going.values().sum::<usize>() {
            if ended.recv().await.is_none() {
                break;
            }
        }
        drop(worker);
    }
}

/// A relay in a room: a member that comes back whatever ends its membership, as long as it is wanted.
struct Relay {
    room: RoomName,
    ground: Arc<Ground>,
    links: u16,
    wanted: watch::Receiver<bool>,
}

impl Relay {
    async fn run(mut self) {
        let mut closing = self.ground.site.closing();
        let mut pauses = Pauses::new(limits::RELAY_PAUSES);
        while *self.wanted.borrow_and_update() {
            let began = Instant::now();
            let joined = tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                joined = self.join() => joined,
            };
            match joined {
                Ok(room) => {
                    info!(room = %self.room, member = %room.id(), "a relay of the server's own is in the room");
                    if self.serve(room, &mut closing).await.is_break() {
                        return;
                    }
                }
                Err(error) => warn!(room = %self.room, %error, hint = error.hint(), "no relay can join the room"),
            }
            tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                // Looked at in any case.
                _ = self.wanted.changed() => {}
                () = sleep(pauses.after(began.elapsed())) => {}
            }
        }
    }

    async fn join(&self) -> Result<Room, JoinError> {
        let address = format!("{}{}", self.ground.address, self.room);
        let way = self.ground.clone();
        let join = roomful::join(address).name(NAME).relay(self.links);
        join.connector(move || way.connect(Peer::relay(way.alive.clone()))).await
    }

    /// Is there until the membership ends; breaks where the server closes.
    async fn serve(&mut self, mut room: Room, closing: &mut watch::Receiver<bool>) -> std::ops::ControlFlow<()> {
        let membership = room.membership().clone();
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                () = closed(closing) => {
                    let _ = timeout(limits::BRIDGE_LEAVE, membership.leave()).await;
                    return std::ops::ControlFlow::Break(());
                }
                event = room.next() => match event {
                    None => return std::ops::ControlFlow::Continue(()),
                    Some(Event::Closed(closed)) => {
                        debug!(room = %self.room, code = ?closed.code, reason = closed.reason, "a relay is out of its room");
                    }
                    Some(_) => {}
                },
                () = unwanted(&mut self.wanted), if !draining => {
                    draining = true;
                    let membership = membership.clone();
                    // What comes of it is told by the room's last event.
                    tokio::spawn(async move { drop(membership.drain().await) });
                }
            }
        }
    }
}

/// Waits until the room wants no relay any more.
async fn unwanted(wanted: &mut watch::Receiver<bool>) {
    // An error is that there is nobody any more who could want one.
    let _ = wanted.wait_for(|wanted| !wanted).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_rooms_want_is_told_once() {
        let wanted = Wanted::default();
        let [a, b]: [RoomName; 2] = ["a", "b"].map(|room| room.parse().unwrap());
        wanted.set(&a, true);
        wanted.set(&b, true);
        wanted.set(&a, false);
        wanted.bell.notified().await;
        assert_eq!(wanted.rooms(), BTreeSet::from([b.clone()]));
        wanted.set(&b, true);
        assert!(timeout(std::time::Duration::from_millis(20), wanted.bell.notified()).await.is_err(), "no news");
    }
}
