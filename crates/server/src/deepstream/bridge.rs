//! Bridges between rooms and deepstream's clients: a member of each bridged room, in this process, that says who is
//! there and carries what is said both ways.
//!
//! | in the room | for deepstream's clients |
//! | --- | --- |
//! | who is there | list `roomful/<room>/members`, record `roomful/<room>/names`, users `roomful/<room>/<id>` |
//! | a message on a bridged channel | event `roomful/<room>/<channel>` |
//!
//! Nothing comes back: the member does not hear itself, and what the engine emits for it is not given to it again.
//! Messages and events that cannot cross, or find the other side's queue full, are dropped and counted.

mod roster;
mod value;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::Router;
use deepstream::{Input as EngineInput, name::Name};
use roomful::{Event, JoinError, Member, Message, Mode, Room};
use tokio::{
    io::{DuplexStream, duplex},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{desk, settings};
use crate::{
    config::{Config, Secret},
    http::{self, Peer},
    inside::{Pauses, closed},
    limits,
    metrics::{Metrics, Side},
    server::Site,
    stream::Stream,
    token::Claims,
    worker::Worker,
};
use roster::Roster;

/// What bridges call themselves in their rooms, and in their attributes for programs to know them by.
const NAME: &str = "deepstream";
/// Whom a bridge's token is for. Where identities are to be unique, no user should have this one.
const IDENTITY: &str = "roomful/deepstream";
/// What all names of bridges begin with.
const PREFIX: &str = "roomful";

/// The pattern of the names that are the bridges'.
pub(crate) const RESERVED: &str = "roomful/**";

/// The event that a channel of a room is; `None` where it has no name.
pub(super) fn event(bridge: &settings::Bridge, channel: &str) -> Option<Name> {
    Name::new(&format!("{PREFIX}/{}/{channel}", bridge.room)).ok()
}

// ---- from clients to rooms -----------------------------------------------------------------------------------------

/// The ways into rooms, by the events that go there.
pub(crate) type Taps = BTreeMap<Name, Tap>;

/// A way into a room, bounded in messages and bytes.
#[derive(Debug)]
pub(crate) struct Tap {
    channel: Arc<str>,
    way: Arc<Way>,
}

#[derive(Debug)]
struct Way {
    queue: mpsc::Sender<Spoken>,
    bytes: Arc<Semaphore>,
    /// Whether something was dropped since it was empty last.
    overflows: AtomicBool,
}

/// What a client says in a room.
#[derive(Debug)]
struct Spoken {
    channel: Arc<str>,
    json: Option<String>,
    _bytes: OwnedSemaphorePermit,
}

impl Tap {
    /// Lets a room have an event, without waiting. False where it takes no more for now.
    pub(crate) fn pass(&self, json: Option<String>) -> bool {
        let way = &self.way;
        let bytes = json.as_ref().map_or(0, String::len).max(1);
        if way.bytes.available_permits() == limits::BRIDGE_BYTES {
            way.overflows.store(false, Ordering::Relaxed);
        }
        let permit = u32::try_from(bytes).ok().and_then(|bytes| way.bytes.clone().try_acquire_many_owned(bytes).ok());
        let spoken = permit.map(|permit| Spoken { channel: self.channel.clone(), json, _bytes: permit });
        let passed = spoken.is_some_and(|spoken| way.queue.try_send(spoken).is_ok());
        if !passed && !way.overflows.swap(true, Ordering::Relaxed) {
            warn!(channel = &*self.channel, "a room is slower than deepstream's clients talk: some of it is dropped");
        }
        passed
    }
}

// ---- all bridges ---------------------------------------------------------------------------------------------------

/// The bridges of a configuration, before they run.
#[derive(Debug, Default)]
pub(crate) struct Bridges(Vec<Plan>);

#[derive(Debug)]
struct Plan {
    settings: settings::Bridge,
    queue: mpsc::Receiver<Spoken>,
}

/// What members in this process, bridges and relays, run with.
pub(crate) struct Ground {
    pub(crate) site: Arc<Site>,
    pub(crate) router: Router,
    /// A shutdown waits for what has a clone of it.
    pub(crate) alive: mpsc::Sender<Infallible>,
    /// The address of the server, which tells a member whether those on this machine are to reach it.
    pub(crate) address: String,
    /// A key to sign tokens with, where there is one.
    pub(crate) key: Option<(String, Secret)>,
}

/// Bridges that run, until the server closes or this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    ended: mpsc::Receiver<Infallible>,
    _worker: Worker,
}

impl Bridges {
    pub(crate) fn new(config: &Config) -> (Taps, Bridges) {
        let mut taps = Taps::new();
        let bridges = config.deepstream.bridge.iter().map(|settings| {
            let (sender, queue) = mpsc::channel(limits::BRIDGE_QUEUE);
            let bytes = Arc::new(Semaphore::new(limits::BRIDGE_BYTES));
            let way = Arc::new(Way { queue: sender, bytes, overflows: AtomicBool::new(false) });
            for channel in &settings.channels {
                if let Some(event) = event(settings, channel) {
                    taps.insert(event, Tap { channel: channel.as_str().into(), way: way.clone() });
                }
            }
            Plan { settings: settings.clone(), queue }
        });
        let bridges = Bridges(bridges.collect());
        (taps, bridges)
    }

    /// Starts them; nothing at all where there are none. When it returns, the records of all rooms are there.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) async fn start(self, ground: &Arc<Ground>) -> io::Result<Option<Running>> {
        let desk = ground.site.desk.as_ref().map(|desk| desk.inbox.clone());
        let (Some(desk), false) = (desk, self.0.is_empty()) else { return Ok(None) };
        // WebRTC takes its time: neither rooms nor deepstream's clients are to wait for it.
        let worker = Worker::start("bridge".to_owned())?;
        let (running, ended) = mpsc::channel(1);
        for Plan { settings, queue } in self.0 {
            let channels = settings.channels.iter().filter_map(|name| Some((name.clone(), event(&settings, name)?)));
            let there = There { channels: channels.collect(), roster: Roster::new(&settings.room), desk: desk.clone() };
            let mut bridge = Bridge { there, queue, ground: ground.clone(), settings };
            // Where that fails, there is nobody to be told.
            let _ = bridge.there.publish(Vec::new()).await;
            let running = running.clone();
            worker.spawn(async move {
                bridge.run().await;
                drop(running);
            });
        }
        Ok(Some(Running { ended, _worker: worker }))
    }
}

impl Running {
    /// Waits until all have left their rooms, which they do when the server closes.
    pub(crate) async fn ended(&mut self) {
        let _ = timeout(limits::BRIDGE_LEAVE, self.ended.recv()).await;
    }
}

// ---- one bridge ----------------------------------------------------------------------------------------------------

/// A bridge: a member that comes back whatever ends its membership.
struct Bridge {
    settings: settings::Bridge,
    ground: Arc<Ground>,
    there: There,
    queue: mpsc::Receiver<Spoken>,
}

/// The side of deepstream's clients.
struct There {
    /// Channels of the room, and the events that they are.
    channels: BTreeMap<String, Name>,
    roster: Roster,
    desk: mpsc::Sender<desk::Input>,
}

/// The desk takes nothing any more.
struct Closed;

impl Bridge {
    async fn run(mut self) {
        let mut closing = self.ground.site.closing();
        let mut pauses = Pauses::new(limits::BRIDGE_PAUSES);
        loop {
            let began = Instant::now();
            let joined = tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                joined = self.join() => joined,
            };
            match joined {
                Ok(room) => {
                    info!(room = %self.settings.room, "bridged to deepstream's clients");
                    if self.serve(room, &mut closing).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(room = %self.settings.room, %error, hint = error.hint(), "the room cannot be bridged");
                }
            }
            tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                () = sleep(pauses.after(began.elapsed())) => {}
            }
        }
    }

    async fn join(&self) -> Result<Room, JoinError> {
        let (room, ground) = (&self.settings.room, &self.ground);
        let address = format!("{}{room}", ground.address);
        let way = ground.clone();
        let join = roomful::join(address)
            .name(NAME)
            .attribute("bridge", NAME)
            .connector(move || way.connect(Peer::inside(way.alive.clone())));
        let Some((key, secret)) = ground.key.clone() else { return join.await };
        let room = room.clone();
        let token =
            move || std::future::ready(Claims::to_join(&room, IDENTITY, limits::BRIDGE_TOKEN).sign(&key, &secret));
        join.token_from(token).await
    }

    /// Carries everything both ways until the membership ends, the server closes (an error), or the desk does (too).
    async fn serve(&mut self, mut room: Room, closing: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        let (there, queue) = (&mut self.there, &mut self.queue);
        let metrics = &self.ground.site.metrics;
        let membership = room.membership().clone();
        let speak = async {
            while let Some(spoken) = queue.recv().await {
                let channel = membership.channel(&*spoken.channel);
                let is_sent = match value::payload(spoken.json.as_deref()) {
                    // It waits while the room takes no more: that is what the queue is for.
                    Some(payload) => channel.send(payload).await.map_err(|error| debug!(%error, "not sent")).is_ok(),
                    None => false,
                };
                metrics.bridged(Side::Room, is_sent);
            }
            // The desk is gone, which `hear` finds out as well.
            pending::<()>().await;
        };
        let hear = async {
            there.publish(room.members()).await?;
            while let Some(event) = room.next().await {
                there.hear(&room, event, metrics).await?;
            }
            there.publish(Vec::new()).await
        };
        let ended = tokio::select! {
            biased;
            () = closed(closing) => Err(Closed),
            ended = hear => ended,
            () = speak => Ok(()),
        };
        if ended.is_err() {
            let _ = timeout(limits::BRIDGE_LEAVE, membership.leave()).await;
        }
        ended
    }
}

impl There {
    async fn hear(&mut self, room: &Room, event: Event, metrics: &Metrics) -> Result<(), Closed> {
        let inputs = match event {
            Event::Message(message) => return self.message(message, metrics).await,
            Event::MemberJoin(member) => self.roster.enter(member),
            Event::MemberUpdate(member) if member.id != room.id() => self.roster.enter(member),
            Event::MemberLeave { member, .. } => self.roster.leave(member.id),
            Event::Unreadable { member: Some(member), reason } => {
                info!(%member, %reason, "a bridge has no room's key: nothing of what this member says crosses");
                return Ok(());
            }
            Event::Missed { .. } => self.roster.replace(room.members()),
            Event::Closed(closed) => {
                warn!(code = ?closed.code, reason = closed.reason, "a bridge is out of its room, and comes back");
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.tell(inputs).await
    }

    async fn message(&self, message: Message, metrics: &Metrics) -> Result<(), Closed> {
        let Some(name) = self.channels.get(&message.channel).filter(|_| message.mode == Mode::Reliable) else {
            return Ok(());
        };
        let json = value::json(&message.data);
        metrics.bridged(Side::Clients, json.is_some());
        let Some(json) = json else {
            debug!(from = %message.from, "a message cannot cross to deepstream's clients");
            return Ok(());
        };
        self.tell([EngineInput::Emit { name: name.clone(), json }]).await
    }

    /// Says who is in the room.
    async fn publish(&mut self, members: Vec<Member>) -> Result<(), Closed> {
        let inputs = self.roster.replace(members);
        self.tell(inputs).await
    }

    async fn tell(&self, inputs: impl IntoIterator<Item = EngineInput>) -> Result<(), Closed> {
        for input in inputs {
            self.desk.send(desk::Input::Own(input)).await.map_err(|_| Closed)?;
        }
        Ok(())
    }
}

impl Ground {
    /// A connection to this server that stays in its memory.
    pub(crate) fn connect(
        self: &Arc<Self>,
        peer: Peer,
    ) -> impl Future<Output = io::Result<DuplexStream>> + Send + use<> {
        let ground = self.clone();
        async move {
            let (near, far) = duplex(limits::BRIDGE_PIPE);
            tokio::spawn(http::serve(Stream::Inside(far), Arc::new(peer), ground.router.clone(), ground.site.clone()));
            Ok(near)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_room_does_not_take_is_dropped() {
        let settings = settings::Bridge { room: "a".parse().unwrap(), channels: vec!["chat".into(), "draw".into()] };
        let mut config = Config::default();
        config.deepstream.bridge.push(settings);
        let (taps, Bridges(mut plans)) = Bridges::new(&config);
        let [chat, draw] = ["chat", "draw"].map(|channel| &taps[format!("roomful/a/{channel}").as_str()]);
        for count in 0..limits::BRIDGE_QUEUE {
            assert!(chat.pass(Some(count.to_string())));
        }
        assert!(!draw.pass(None), "the channels of a room share its queue");
        let queue = &mut plans[0].queue;
        for count in 0..limits::BRIDGE_QUEUE {
            let spoken = queue.recv().await.unwrap();
            assert_eq!((&*spoken.channel, spoken.json), ("chat", Some(count.to_string())));
        }
        let half = "x".repeat(limits::BRIDGE_BYTES / 2 + 1);
        assert!(draw.pass(Some(half.clone())) && !chat.pass(Some(half.clone())), "more bytes than may wait");
        assert_eq!(&*queue.recv().await.unwrap().channel, "draw");
        assert!(chat.pass(Some(half)));
    }
}
