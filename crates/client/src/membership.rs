//! This program's membership in a room: everything but the events.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use room::{
    id::MemberId,
    limits::{ATTRIBUTES_BYTES, CHANNEL_NAME_MAX, LOSSY_MAX, MESSAGE_MAX},
    member::{Answer, Lossy},
    time::Micros,
    wire::signal::{Json, Member, RefusalCode},
};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    CallError, ChangeError, Channel, HandlerError, LeaveError, Payload, PinError, SendError, State,
    call::{Call, Request, handler},
    event::Mode,
    limits::{COMMAND_BYTES, COMMAND_COST_MIN, COMMANDS_MAX, PUBLISHES_MAX},
    secrecy::overhead,
    shared::Shared,
};

/// This program's membership in a room: sends, calls and looks, from as many tasks as wanted.
///
/// A clone costs little. [`Room`](crate::Room) has all of this, and the room's events.
#[derive(Clone)]
pub struct Membership {
    shared: Arc<Shared>,
    outgoing: Arc<Outgoing>,
}

/// Ways to the driver.
struct Outgoing {
    commands: mpsc::Sender<(Command, OwnedSemaphorePermit)>,
    /// Bounds what is in `commands` by bytes.
    room: Arc<Semaphore>,
    publishes: mpsc::Sender<Publish>,
    tickets: AtomicU64,
    /// Ends with the driver.
    driver: watch::Receiver<()>,
}

/// What the driver is asked to do, in order. It takes no more while an outbox is full.
pub(crate) enum Command {
    Send {
        ticket: u64,
        channel: String,
        to: Option<MemberId>,
        payload: Bytes,
    },
    Call {
        ticket: u64,
        to: MemberId,
        method: String,
        payload: Bytes,
        timeout: Option<Micros>,
        answer: oneshot::Sender<Answer>,
    },
    SetState {
        key: String,
        value: Json,
    },
    SetAttributes {
        set: BTreeMap<String, Option<String>>,
    },
    Pin {
        ticket: u64,
        topology: String,
        answer: oneshot::Sender<Result<(), PinError>>,
    },
}

/// A lossy message, which waits for nothing.
pub(crate) struct Publish {
    pub mode: Lossy,
    pub channel: String,
    pub to: Option<MemberId>,
    pub payload: Bytes,
}

/// The driver's ends of the ways to it.
pub(crate) struct Requests {
    pub commands: mpsc::Receiver<(Command, OwnedSemaphorePermit)>,
    pub publishes: mpsc::Receiver<Publish>,
    /// Dropped with the driver.
    pub driver: watch::Sender<()>,
}

impl Membership {
    pub(crate) fn new(shared: Arc<Shared>) -> (Membership, Requests) {
        let (commands, commands_taken) = mpsc::channel(COMMANDS_MAX);
        let (publishes, publishes_taken) = mpsc::channel(PUBLISHES_MAX);
        let (driver, ended) = watch::channel(());
        let outgoing = Outgoing {
            commands,
            room: Arc::new(Semaphore::new(COMMAND_BYTES)),
            publishes,
            tickets: AtomicU64::new(1),
            driver: ended,
        };
        let requests = Requests { commands: commands_taken, publishes: publishes_taken, driver };
        (Membership { shared, outgoing: Arc::new(outgoing) }, requests)
    }

    /// This member, as others see it.
    pub fn me(&self) -> Member {
        self.shared.view().this.clone()
    }

    /// This member's id.
    pub fn id(&self) -> MemberId {
        self.shared.view().this.id
    }

    /// Everybody else in the room now, by id.
    pub fn members(&self) -> Vec<Member> {
        self.shared.view().members.values().cloned().collect()
    }

    /// Somebody else in the room now.
    pub fn member(&self, id: MemberId) -> Option<Member> {
        self.shared.view().members.get(&id).cloned()
    }

    /// Whether the room's address has a key, so that what this member says is sealed from end to end, and nothing else
    /// than what others sealed with the same key gets here.
    pub fn is_secret(&self) -> bool {
        self.shared.is_secret
    }

    /// How the room is linked now.
    pub fn topology(&self) -> String {
        self.shared.view().topology.clone()
    }

    /// What the room is to be, which may take a moment: a topology that somebody chose; `None`: what fits.
    pub fn pinned(&self) -> Option<String> {
        self.shared.view().pin.clone()
    }

    /// Whether this member may choose how the room is linked, as its token says.
    pub fn may_pin(&self) -> bool {
        self.shared.view().admin
    }

    /// Has the room linked in this way from now on: `mesh`, `small-world`, `tree` or `star`; `auto`: as it fits. Returns when
    /// the server has taken it; [`Event::Topology`](crate::Event::Topology) tells when the room is linked so. Nothing is
    /// lost on the way.
    ///
    /// ```no_run
    /// # async fn example(room: roomful::Room) -> Result<(), roomful::PinError> {
    /// room.pin("small-world").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If this member may not choose, there is no such topology (now), or the server is out of reach.
    pub async fn pin(&self, topology: impl Into<String>) -> Result<(), PinError> {
        let topology = topology.into();
        let (sender, answer) = oneshot::channel();
        let bytes = topology.len();
        if bytes > CHANNEL_NAME_MAX {
            return Err(PinError::Refused {
                code: RefusalCode::TopologyUnavailable,
                message: format!("no topology has a name of {bytes} bytes"),
                hint: "ask for `auto`, `mesh`, `small-world` or `tree`".to_owned(),
            });
        }
        let command = Command::Pin { ticket: self.ticket(), topology, answer: sender };
        self.request(bytes, command).await.map_err(|Gone| PinError::Closed)?;
        // Where the driver ended meanwhile, the room is closed.
        answer.await.unwrap_or(Err(PinError::Closed))
    }

    /// A channel, reliable unless [`Channel::mode`] says otherwise. Channels need not be made: all members have all.
    pub fn channel(&self, name: impl Into<String>) -> Channel {
        Channel::new(self.clone(), name.into())
    }

    /// Offers a method to the other members. A later one of the same name takes its place.
    ///
    /// It runs in a task of its own for each call; a bounded number run at the same time. Any error is told to the
    /// caller as `handler_failed`, as is a panic.
    ///
    /// ```no_run
    /// # async fn example(room: roomful::Room) {
    /// room.handle("add", async |request| {
    ///     let (a, b): (i64, i64) = request.to()?;
    ///     Ok(a + b)
    /// });
    /// # }
    /// ```
    pub fn handle<F, Fut, R>(&self, method: impl Into<String>, handle: F)
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Payload>,
    {
        self.shared.set_handler(method.into(), handler(handle));
    }

    /// Calls a method of another member. Await it for the result.
    ///
    /// ```no_run
    /// # async fn example(room: roomful::Room, member: roomful::MemberId) -> Result<(), roomful::CallError> {
    /// let sum: i64 = room.call(member, "add", &[1, 2]).await?.to()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<T: Serialize + ?Sized>(&self, to: MemberId, method: impl Into<String>, argument: &T) -> Call {
        Call::new(self.clone(), to, method.into(), argument)
    }

    /// The room's shared state: small things that everybody sees, late joiners too.
    pub fn state(&self) -> State {
        State::new(self.clone())
    }

    /// Changes what this member says of itself; `None` removes. Waits while many requests wait for the driver.
    ///
    /// # Errors
    /// If they are too large together, or the room is closed.
    pub async fn set_attributes<K, V>(&self, set: impl IntoIterator<Item = (K, Option<V>)>) -> Result<(), ChangeError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let set: BTreeMap<_, _> = set.into_iter().map(|(key, value)| (key.into(), value.map(Into::into))).collect();
        let bytes = set.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len)).sum();
        if bytes > ATTRIBUTES_BYTES {
            return Err(ChangeError::TooLarge("the attributes", bytes, ATTRIBUTES_BYTES));
        }
        self.request(bytes, Command::SetAttributes { set }).await.map_err(|Gone| ChangeError::Closed)
    }

    /// Leaves, after what was sent has arrived: at most [`room::limits::LEAVE_FLUSH`]; outside of a mesh after
    /// [`room::limits::LEAVE_LINGER`] at least, so that nobody lacks what this member passed on. The room's events go on until
    /// then, and end with [`Event::Closed`](crate::Event::Closed).
    ///
    /// # Errors
    /// If this member was out of the room already, with the reason. Nothing needs to be done then.
    pub async fn leave(&self) -> Result<(), LeaveError> {
        let closed = self.shared.view().closed.clone();
        self.shared.leave();
        self.ended().await;
        closed.map_or(Ok(()), |closed| Err(LeaveError(closed)))
    }

    /// Leaves, as a relay, when nobody depends on it any more: the server has the others linked elsewhere first, which takes
    /// [`room::limits::DRAIN_TIMEOUT`] at most. A member that is no relay [leaves](Membership::leave).
    ///
    /// # Errors
    /// As those of [`Membership::leave`].
    pub async fn drain(&self) -> Result<(), LeaveError> {
        if !self.me().relay {
            return self.leave().await;
        }
        let closed = self.shared.view().closed.clone();
        self.shared.drain();
        self.ended().await;
        closed.map_or(Ok(()), |closed| Err(LeaveError(closed)))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends a message: returns when it is on its way, in order. Waits while earlier ones fill what may be on the way.
    pub(crate) async fn send(
        &self,
        mode: Mode,
        channel: &str,
        to: Option<MemberId>,
        payload: Payload,
    ) -> Result<(), SendError> {
        let payload = payload.into_cbor();
        let (bytes, channel) = (payload.len(), channel.to_owned());
        self.check(mode, &channel, to, bytes)?;
        let lossy = match mode {
            Mode::Reliable => {
                let ticket = self.ticket();
                let command = Command::Send { ticket, channel, to, payload };
                return self.request(bytes, command).await.map_err(|Gone| SendError::Closed);
            }
            Mode::Latest => Lossy::Latest,
            Mode::Datagram => Lossy::Datagram,
        };
        // Waits for the driver's next turn at most, never for the network.
        let publish = Publish { mode: lossy, channel, to, payload };
        self.outgoing.publishes.send(publish).await.map_err(|_| SendError::Closed)
    }

    fn check(&self, mode: Mode, channel: &str, to: Option<MemberId>, bytes: usize) -> Result<(), SendError> {
        let lossy = mode != Mode::Reliable;
        let bytes = bytes + overhead(self.shared.is_secret);
        if bytes > if lossy { LOSSY_MAX } else { MESSAGE_MAX } {
            return Err(SendError::too_large(bytes, lossy));
        }
        if channel.len() > CHANNEL_NAME_MAX {
            return Err(SendError::ChannelName);
        }
        let view = self.shared.view();
        if view.closed.is_some() {
            return Err(SendError::Closed);
        }
        if view.this.mute {
            return Err(SendError::NotAllowed);
        }
        // One that leaves after this is as one that leaves after the message was sent.
        if to.is_some_and(|to| !view.members.contains_key(&to)) {
            return Err(SendError::UnknownMember);
        }
        Ok(())
    }

    pub(crate) async fn call_member(
        &self,
        to: MemberId,
        method: String,
        payload: Payload,
        timeout: Option<Micros>,
        answer: oneshot::Sender<Answer>,
    ) -> Result<u64, CallError> {
        let ticket = self.ticket();
        let payload = payload.into_cbor();
        let bytes = payload.len();
        let command = Command::Call { ticket, to, method, payload, timeout, answer };
        self.request(bytes, command).await.map_err(|Gone| CallError::Closed)?;
        Ok(ticket)
    }

    pub(crate) fn give_up(&self, ticket: u64) {
        self.shared.cancel_call(ticket);
    }

    pub(crate) async fn set_state(&self, key: String, value: Json) -> Result<(), ChangeError> {
        let bytes = key.len() + value.as_str().len();
        self.request(bytes, Command::SetState { key, value }).await.map_err(|Gone| ChangeError::Closed)
    }

    /// Hands a command to the driver, when there is room for so many bytes.
    async fn request(&self, bytes: usize, command: Command) -> Result<(), Gone> {
        let cost = bytes.clamp(COMMAND_COST_MIN, COMMAND_BYTES);
        let cost = u32::try_from(cost).expect("COMMAND_BYTES is far below 2^32");
        let room = Arc::clone(&self.outgoing.room);
        let permit = room.acquire_many_owned(cost).await.map_err(|_| Gone)?;
        self.outgoing.commands.send((command, permit)).await.map_err(|_| Gone)
    }

    /// Waits until the driver has ended.
    async fn ended(&self) {
        let mut driver = self.outgoing.driver.clone();
        // It never changes.
        while driver.changed().await.is_ok() {}
    }

    fn ticket(&self) -> u64 {
        self.outgoing.tickets.fetch_add(1, Ordering::Relaxed)
    }
}

/// The driver has ended.
struct Gone;
