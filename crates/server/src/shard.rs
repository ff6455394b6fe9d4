//! Rooms, spread over threads. A shard owns its rooms: it alone touches their [`Hub`]s, so that nothing needs a lock,
//! and their connections live on its thread, so that a broadcast wakes no other. It never waits for a connection: what
//! a connection does not take in time is that connection's end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    hash::{BuildHasher, RandomState},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use room::{
    hub::{Config, ConnId, Counters, Grant, Hub, IdentityPolicy, Input as HubInput, Output},
    id::RoomName,
    plan::Topology,
    time::{Micros, Time},
    wire::signal::{ClientMessage, Closing, Join, RefusalCode, Refused, ServerMessage, Welcome},
};
use tokio::sync::mpsc;
use tracing::{Span, debug, error, info, info_span};

use crate::{
    clock::{Alarm, Clock},
    limits,
    metrics::Metrics,
    outbound::{End, Outbound},
    relay::Wanted,
    worker::Worker,
    ws::frame,
};

/// What connections tell a shard.
#[derive(Debug)]
pub(crate) enum Input {
    /// A connection joins a room.
    Enter { room: RoomName, conn: ConnId, join: Box<Join>, grant: Option<Grant>, outbound: Arc<Outbound> },
    /// A connection that joined says something.
    Said { conn: ConnId, message: ClientMessage },
    /// A connection that joined has something carried.
    Carried { conn: ConnId, message: Bytes },
    /// A connection ended; `left` where the client closed it for good.
    Closed { conn: ConnId, left: bool },
    /// The server goes down.
    Shutdown,
}

/// What all shards of a server share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) identity_policy: IdentityPolicy,
    pub(crate) members_max: usize,
    pub(crate) rooms_max: usize,
    pub(crate) resume_window: Micros,
    /// Links of a member that are carried at most.
    pub(crate) carried_links: usize,
    /// How rooms are linked while nobody asks for anything else, and those of some names.
    pub(crate) topology: Option<Topology>,
    pub(crate) topologies: BTreeMap<RoomName, Option<Topology>>,
    /// Where rooms ask for relays, if the server has any.
    pub(crate) relays: Option<Arc<Wanted>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    /// Rooms that there are.
    pub(crate) rooms: AtomicUsize,
}

/// The way to the shards.
#[derive(Debug)]
pub(crate) struct Shards {
    all: Vec<Handle>,
    /// With keys of its own, so that nobody can name many rooms for one shard.
    hasher: RandomState,
}

/// The way to one shard.
#[derive(Debug)]
pub(crate) struct Handle {
    /// What it is told.
    pub(crate) inbox: mpsc::Sender<Input>,
    /// Where it runs, and its rooms' connections should.
    pub(crate) worker: Worker,
}

impl Shards {
    /// Starts shards, which run until this is dropped.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub(crate) fn start(count: usize, settings: &Arc<Settings>) -> io::Result<Shards> {
        let all = (0..count.max(1)).map(|n| {
            let (inbox, inputs) = mpsc::channel(limits::INBOX);
            let worker = Worker::start(format!("rooms-{n}"))?;
            worker.spawn(Shard::new(settings.clone()).run(inputs));
            Ok(Handle { inbox, worker })
        });
        Ok(Shards { all: all.collect::<io::Result<_>>()?, hasher: RandomState::new() })
    }

    /// The shard of a room.
    pub(crate) fn of(&self, room: &RoomName) -> &Handle {
        let count = self.all.len() as u64;
        let place = usize::try_from(self.hasher.hash_one(room) % count).expect("less than the number of shards");
        &self.all[place]
    }

    /// Tells all members that the server goes down.
    pub(crate) async fn shut_down(&self) {
        for shard in &self.all {
            let _ = shard.inbox.send(Input::Shutdown).await;
        }
    }
}

/// What whoever comes while the server goes down is told.
pub(crate) fn shutting_down() -> Refused {
    Refused::fatal(RefusalCode::ShuttingDown, "the server is going down", "come back in a moment")
}

/// Some rooms.
struct Shard {
    settings: Arc<Settings>,
    rooms: BTreeMap<RoomName, Room>,
    /// In which room each connection is.
    conns: BTreeMap<ConnId, RoomName>,
    /// When to look after which room. A room's entry may be too early, when its hub has found more time since; then
    /// the hub is asked anew. It is never too late.
    timers: BinaryHeap<Reverse<(Time, RoomName)>>,
    shutting_down: bool,
}

/// A room and the connections of its members.
struct Room {
    name: RoomName,
    hub: Hub,
    conns: BTreeMap<ConnId, Arc<Outbound>>,
    /// The earliest of its entries in the timers.
    timer: Option<Time>,
    /// What the metrics know of the hub's counters and members.
    reported: (Counters, usize),
    span: Span,
    /// Counts the room.
    settings: Arc<Settings>,
}

impl Shard {
    fn new(settings: Arc<Settings>) -> Shard {
        Shard {
            settings,
            rooms: BTreeMap::new(),
            conns: BTreeMap::new(),
            timers: BinaryHeap::new(),
            shutting_down: false,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let mut turn = Vec::with_capacity(limits::SHARD_TURN);
        let mut alarm = Alarm::default();
        loop {
            self.fire();
            let next = self.timers.peek().map(|Reverse((time, _))| self.settings.clock.at(*time));
            // In random order, so that neither a flood nor a hub that is always due hides the other.
            tokio::select! {
                count = inbox.recv_many(&mut turn, limits::SHARD_TURN) => {
                    if count == 0 {
                        return;
                    }
                    for input in turn.drain(..) {
                        self.handle(input);
                    }
                }
                () = alarm.until(next) => {}
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Enter { room, conn, join, grant, outbound } => self.enter(&room, conn, join, grant, outbound),
            Input::Said { conn, message } => {
                if let Some(room) = self.conns.get(&conn).cloned() {
                    self.turn(&room, |hub, now| hub.handle(now, HubInput::Message { conn, message }));
                }
            }
            Input::Carried { conn, message } => {
                if let Some(room) = self.conns.get(&conn).cloned() {
                    self.turn(&room, |hub, now| hub.handle(now, HubInput::Carried { conn, message }));
                }
            }
            Input::Closed { conn, left } => {
                if let Some(room) = self.conns.remove(&conn) {
                    self.turn(&room, |hub, now| hub.handle(now, HubInput::Closed { conn, left }));
                }
            }
            Input::Shutdown => self.shut_down(),
        }
    }

    fn enter(&mut self, name: &RoomName, conn: ConnId, join: Box<Join>, grant: Option<Grant>, outbound: Arc<Outbound>) {
        if self.shutting_down {
            return refuse(&outbound, shutting_down());
        }
        if !self.rooms.contains_key(name) {
            match Room::open(name, &self.settings) {
                Ok(room) => drop(self.rooms.insert(name.clone(), room)),
                Err(refused) => return refuse(&outbound, refused),
            }
        }
        if let Some(room) = self.rooms.get_mut(name) {
            room.conns.insert(conn, outbound);
            self.conns.insert(conn, name.clone());
        }
        self.turn(name, |hub, now| hub.handle(now, HubInput::Join { conn, join, grant }));
    }

    /// Lets a room's hub do something and carries out what it wants done. A bug in it ends this room only.
    fn turn(&mut self, name: &RoomName, act: impl FnOnce(&mut Hub, Time)) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let span = room.span.clone();
        let _entered = span.enter();
        let now = self.settings.clock.now();
        let conns = &mut self.conns;
        let timer = catch_unwind(AssertUnwindSafe(|| {
            act(&mut room.hub, now);
            room.carry_out(now, conns);
            room.hub.poll_timeout()
        }));
        let Ok(timer) = timer else {
            error!("the room ended by a bug; its members are asked to come back");
            self.settings.metrics.panicked();
            return self.end(
                name,
                &ServerMessage::Closing(Closing {
                    reason: "the room has failed; what was said over links is not lost".to_owned(),
                    retry_ms: limits::BUG_RETRY.as_millis(),
                }),
            );
        };
        room.report();
        if room.hub.is_empty() {
            return self.close(name);
        }
        if let Some(time) = timer.filter(|time| room.timer.is_none_or(|earliest| *time < earliest)) {
            room.timer = Some(time);
            self.timers.push(Reverse((time, name.clone())));
            if self.timers.len() > 2 * self.rooms.len() + limits::STALE_TIMERS {
                let timers = self.rooms.iter().filter_map(|(name, room)| Some(Reverse((room.timer?, name.clone()))));
                self.timers = timers.collect();
            }
        }
    }

    /// Looks after the rooms whose time has come, each once.
    fn fire(&mut self) {
        let now = self.settings.clock.now();
        let mut due = Vec::new();
        while self.timers.peek().is_some_and(|Reverse((time, _))| *time <= now) {
            due.extend(self.timers.pop());
        }
        for Reverse((time, name)) in due {
            // An entry that is not the room's earliest was overtaken by another.
            let Some(room) = self.rooms.get_mut(&name).filter(|room| room.timer == Some(time)) else { continue };
            room.timer = None;
            self.turn(&name, |hub, now| {
                if hub.poll_timeout().is_some_and(|time| time <= now) {
                    hub.handle(now, HubInput::Timeout);
                }
            });
        }
    }

    fn shut_down(&mut self) {
        self.shutting_down = true;
        let names: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for name in names {
            self.turn(&name, |hub, now| {
                let reason = "the server is going down".to_owned();
                hub.handle(now, HubInput::Shutdown { reason, retry: limits::SHUTDOWN_RETRY });
            });
            self.close(&name);
        }
    }

    /// Tells everybody in a room a last word and ends it.
    fn end(&mut self, name: &RoomName, message: &ServerMessage) {
        if let Some(room) = self.rooms.get(name) {
            let frame = frame::signal(message);
            for outbound in room.conns.values() {
                outbound.push(&frame);
                outbound.end(End::Refused(RefusalCode::ShuttingDown));
            }
        }
        self.close(name);
    }

    /// Forgets a room in which nobody is any more.
    fn close(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.remove(name) else { return };
        for (conn, outbound) in &room.conns {
            self.conns.remove(conn);
            outbound.end(End::Done);
        }
    }
}

impl Room {
    fn open(name: &RoomName, settings: &Arc<Settings>) -> Result<Room, Refused> {
        let max = settings.rooms_max;
        let counted = settings
            .rooms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rooms| (rooms < max).then_some(rooms + 1));
        if counted.is_err() {
            let hint = "come back later, or use a room that exists";
            return Err(Refused::fatal(RefusalCode::ServerFull, "the server has all the rooms that it may have", hint));
        }
        settings.metrics.rooms(1);
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system gives random bytes once it is up");
        let [seed, hub_id] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&random[at..at + 8]);
            u64::from_be_bytes(number)
        });
        let config = Config {
            room: name.clone(),
            // Each time a room is opened, not each time the server starts: members that the server could not reach
            // for so long that it gave them all up still have each other, as after a restart.
            hub_id: format!("{hub_id:016x}"),
            identity_policy: settings.identity_policy,
            members_max: settings.members_max,
            resume_window: settings.resume_window,
            relay: settings.relays.is_some(),
            carried_links: settings.carried_links,
            topology: settings.topologies.get(name).copied().unwrap_or(settings.topology),
        };
        let span = info_span!(parent: None, "room", name = name.as_str());
        span.in_scope(|| debug!("opened"));
        Ok(Room {
            name: name.clone(),
            hub: Hub::new(config, seed, settings.clock.now()),
            conns: BTreeMap::new(),
            timer: None,
            reported: (Counters::default(), 0),
            span,
            settings: settings.clone(),
        })
    }

    /// Does what the hub wants done. Who is found too slow is away from then on.
    fn carry_out(&mut self, now: Time, conns: &mut BTreeMap<ConnId, RoomName>) {
        let (mut frames, mut bytes) = (0, 0);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { to, message } => {
                    self.note(&message);
                    let frame = frame::signal(&message);
                    for conn in to {
                        let Some(outbound) = self.conns.get(&conn) else { continue };
                        frames += 1;
                        bytes += frame.len();
                        if !outbound.push(&frame) {
                            self.conns.remove(&conn);
                            conns.remove(&conn);
                            self.hub.handle(now, HubInput::Closed { conn, left: false });
                        }
                    }
                }
                Output::Carry { to, from, rest } => {
                    let Some(outbound) = self.conns.get(&to) else { continue };
                    let frame = frame::carried(from, &rest);
                    frames += 1;
                    bytes += frame.len();
                    if !outbound.push_carried(frame) {
                        self.hub.handle(now, HubInput::Clogged { conn: to, from });
                    }
                }
                Output::Relay { wanted } => {
                    if let Some(relays) = &self.settings.relays {
                        relays.set(&self.name, wanted);
                    }
                }
                Output::Close { conn, code } => {
                    conns.remove(&conn);
                    if let Some(outbound) = self.conns.remove(&conn) {
                        outbound.end(code.map_or(End::Done, End::Refused));
                    }
                }
            }
        }
        self.settings.metrics.sent(frames, bytes);
    }

    /// Logs what a user would see, and counts refusals.
    fn note(&self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => {
                let Welcome { this, resumed, .. } = welcome.as_ref();
                info!(member = %this.id, resumed, "entered");
            }
            ServerMessage::Gone(gone) => info!(member = %gone.id, reason = gone.reason.as_str(), "gone"),
            ServerMessage::Refused(refused) => self.settings.metrics.refused(refused.code),
            _ => {}
        }
    }

    /// Tells the metrics what has changed.
    fn report(&mut self) {
        let now = (*self.hub.counters(), self.hub.members());
        if now != self.reported {
            self.settings.metrics.hub(&self.reported, &now);
            self.reported = now;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(relays) = &self.settings.relays {
            relays.set(&self.name, false);
        }
        self.settings.rooms.fetch_sub(1, Ordering::Relaxed);
        self.settings.metrics.rooms(-1);
        self.settings.metrics.hub(&self.reported, &(self.reported.0, 0));
        self.span.in_scope(|| debug!("closed"));
    }
}

fn refuse(outbound: &Outbound, refused: Refused) {
    let code = refused.code;
    outbound.push(&frame::signal(&ServerMessage::Refused(refused)));
    outbound.end(End::Refused(code));
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use room::id::Secret;

    use super::*;
    use crate::outbound::{Depot, Next};

    fn shard(rooms_max: usize) -> Shard {
        Shard::new(Arc::new(Settings {
            identity_policy: IdentityPolicy::Coexist,
            members_max: 10,
            rooms_max,
            resume_window: room::limits::RESUME_WINDOW,
            carried_links: room::limits::CARRIED_LINKS,
            topology: None,
            topologies: BTreeMap::new(),
            relays: None,
            clock: Clock::start(),
            metrics: Arc::new(Metrics::new()),
            rooms: AtomicUsize::new(0),
        }))
    }

    /// Lets a member in, with the session secret that its connection's number gives.
    fn enter(shard: &mut Shard, room: &str, conn: u8) -> Arc<Outbound> {
        let outbound = Arc::new(Outbound::new(Arc::new(Depot::new(16, 65_536))));
        let join = format!(r#"{{"v":1,"secret":"{conn:032x}","name":"Ada"}}"#);
        shard.handle(Input::Enter {
            room: room.parse().unwrap(),
            conn: ConnId(conn.into()),
            join: Box::new(serde_json::from_str(&join).unwrap()),
            grant: Some(Grant::open()),
            outbound: outbound.clone(),
        });
        outbound
    }

    /// What waits for a connection, and how it ends.
    fn drain(outbound: &Outbound) -> (Vec<ServerMessage>, Option<End>) {
        let (mut messages, mut frames) = (Vec::new(), VecDeque::new());
        loop {
            match outbound.poll_take(&mut Context::from_waker(Waker::noop()), &mut frames) {
                Poll::Ready(Next::Frames { .. }) => {
                    messages.extend(frames.drain(..).map(|frame| {
                        let json = frame.iter().position(|byte| *byte == b'{').unwrap();
                        ServerMessage::decode(std::str::from_utf8(&frame[json..]).unwrap()).unwrap()
                    }));
                }
                Poll::Ready(Next::End(end)) => return (messages, Some(end)),
                Poll::Pending => return (messages, None),
            }
        }
    }

    #[tokio::test]
    async fn bug_in_a_room_ends_that_room_only() {
        let mut shard = shard(10);
        let [ada, bob] = [1, 2].map(|conn| enter(&mut shard, "standup", conn));
        let cyd = enter(&mut shard, "retro", 3);
        let before = drain(&ada).0;
        drain(&cyd);

        shard.turn(&"standup".parse().unwrap(), |_, _| panic!("a bug"));
        for outbound in [&ada, &bob] {
            let (messages, end) = drain(outbound);
            assert!(matches!(messages.last(), Some(ServerMessage::Closing(_))));
            assert_eq!(end, Some(End::Refused(RefusalCode::ShuttingDown)));
        }
        assert_eq!(drain(&cyd), (vec![], None));
        assert_eq!((shard.rooms.len(), shard.conns.len(), shard.settings.rooms.load(Ordering::Relaxed)), (1, 1, 1));
        shard.handle(Input::Closed { conn: ConnId(1), left: false });

        // Its members come back to what they take for a restarted server.
        let (messages, end) = drain(&enter(&mut shard, "standup", 1));
        let [ServerMessage::Welcome(before), ..] = before.as_slice() else { panic!() };
        let [ServerMessage::Welcome(again)] = messages.as_slice() else { panic!() };
        assert_eq!((&again.this, again.this.id), (&before.this, Secret(1u128.to_be_bytes()).member_id()));
        assert_ne!(again.hub, before.hub);
        assert_eq!(end, None);
    }

    #[tokio::test]
    async fn rooms_are_counted_and_forgotten() {
        let mut shard = shard(1);
        let ada = enter(&mut shard, "standup", 1);
        let (messages, end) = drain(&enter(&mut shard, "retro", 2));
        assert!(matches!(&messages[..], [ServerMessage::Refused(refused)] if refused.code == RefusalCode::ServerFull));
        assert_eq!(end, Some(End::Refused(RefusalCode::ServerFull)));
        shard.handle(Input::Said { conn: ConnId(1), message: ClientMessage::Leave {} });
        assert_eq!(drain(&ada).1, Some(End::Done));
        assert!(shard.rooms.is_empty() && shard.conns.is_empty());
        assert_eq!(drain(&enter(&mut shard, "retro", 3)).1, None);
    }

    /// Lets time pass as it does: a hub that finds much of it gone at once believes that it slept itself.
    async fn pass(shard: &mut Shard, seconds: u32) {
        for _ in 0..2 * seconds {
            tokio::time::advance(Duration::from_millis(500)).await;
            shard.fire();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rooms_are_looked_after_when_their_time_comes() {
        let mut shard = shard(10);
        let ada = enter(&mut shard, "standup", 1);
        drain(&ada);
        for _ in 0..50 {
            shard.handle(Input::Said { conn: ConnId(1), message: ClientMessage::Ping {} });
            tokio::time::advance(Duration::from_secs(1)).await;
            shard.fire();
            assert_eq!(drain(&ada), (vec![ServerMessage::Pong {}], None));
        }
        assert!(shard.timers.len() <= 2);

        let bob = enter(&mut shard, "standup", 2);
        drain(&bob);
        pass(&mut shard, 31).await;
        let (messages, end) = drain(&bob);
        assert!(matches!(&messages[..], [.., ServerMessage::Refused(_)]), "{messages:?}");
        assert_eq!(end, Some(End::Refused(RefusalCode::Silent)));
        pass(&mut shard, 31).await;
        assert!(shard.rooms.is_empty() && shard.conns.is_empty() && shard.timers.is_empty(), "nobody came back");
    }

    #[tokio::test]
    async fn who_is_too_slow_is_away_and_others_are_not_told() {
        let mut shard = shard(10);
        let [ada, bob] = [1, 2].map(|conn| enter(&mut shard, "standup", conn));
        drain(&bob);
        for op in 1..=20 {
            let set = format!(r#"{{"state":{{"op":{op},"key":"k","value":{op}}}}}"#);
            shard.handle(Input::Said { conn: ConnId(2), message: ClientMessage::decode(&set).unwrap() });
            assert_eq!(drain(&bob).0.len(), 1);
        }
        assert_eq!(drain(&ada), (vec![], Some(End::TooSlow)));
        let room = &shard.rooms[&"standup".parse().unwrap()];
        assert_eq!((room.hub.members(), room.hub.away(), room.conns.len()), (2, 1, 1));
    }
}
