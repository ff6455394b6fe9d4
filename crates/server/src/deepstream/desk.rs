//! The task that all of deepstream's clients talk to. It alone touches the engine, on a thread of its own, and never
//! waits: not for a client, which is ended where it does not take what it is sent, not for a login, and not for the
//! disk.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use deepstream::{ConnId, Counters, Engine, Frame, Identity, Input as EngineInput, Loaded, Output, Wire, time::Time};
use room::wire::signal::RefusalCode;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};
use tracing::{debug, error, info};

use super::{
    arrears::{Arrears, Next, TooMuch},
    auth::{Auth, Cause, ConnectionData, Refusal},
    bridge::Taps,
    store::Store,
    window::Passage,
};
use crate::{
    address::Place,
    bucket::Bucket,
    clock::{Alarm, Clock},
    limits,
    metrics::{Metrics, Side},
    outbound::{End, Outbound},
    worker::Worker,
    ws::frame,
};

/// What connections tell the desk.
#[derive(Debug)]
pub(crate) enum Input {
    /// A client has connected; `wire` where the address says how it talks.
    Enter {
        conn: ConnId,
        wire: Option<Wire>,
        outbound: Arc<Outbound>,
        /// To be set when it is logged in.
        is_open: Arc<AtomicBool>,
        /// For a webhook, where there is one.
        data: Option<ConnectionData>,
        place: Arc<Place>,
    },
    /// It says something.
    Said { conn: ConnId, frame: Frame, passage: Passage },
    /// Its connection ended.
    Closed { conn: ConnId },
    /// It was found out who it is.
    Authenticated { conn: ConnId, result: Result<Identity, Refusal> },
    /// The server itself takes part: [`EngineInput::Emit`] and its like.
    Own(EngineInput),
    /// The server goes down; to be answered when everything is stored.
    Shutdown(oneshot::Sender<()>),
}

/// The way to the desk.
#[derive(Debug)]
pub(crate) struct Handle {
    /// What it is told.
    pub(crate) inbox: mpsc::Sender<Input>,
    /// Bytes of large frames that find a place in the inbox.
    pub(crate) bytes: Arc<Semaphore>,
    /// Whether it wants to know what is known of connections before they say anything.
    pub(crate) wants_data: bool,
    /// Where it runs, and its connections should.
    pub(crate) worker: Worker,
}

impl Handle {
    /// Ends all connections, and waits until all is stored.
    pub(crate) async fn shut_down(&self) {
        let (done, ended) = oneshot::channel();
        if self.inbox.send(Input::Shutdown(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// What a desk works with.
pub(crate) struct Desk {
    pub(crate) config: deepstream::Config,
    pub(crate) auth: Auth,
    /// Where records are kept, and what was in there.
    pub(crate) store: Option<(Store, Vec<Loaded>)>,
    /// Where events go that are messages in a room, too.
    pub(crate) taps: Taps,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

impl Desk {
    /// Starts the task, which runs until the way to it is dropped.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn start(self) -> io::Result<Handle> {
        let Desk { config, auth, store, taps, clock, metrics } = self;
        let (inbox, inputs) = mpsc::channel(limits::INBOX);
        let worker = Worker::start("deepstream".to_owned())?;
        let mut engine = Engine::new(config, seed(), now(clock));
        let (store, records) = store.map_or((None, Vec::new()), |(store, records)| (Some(store), records));
        for record in records {
            engine.handle(now(clock), EngineInput::Loaded(record));
        }
        let wants_data = auth.wants_data();
        let mut work = Work {
            engine,
            auth: Arc::new(auth),
            store,
            taps,
            clock,
            metrics,
            inbox: inbox.downgrade(),
            conns: BTreeMap::new(),
            arrears: Arrears::default(),
            logins: Arc::new(Semaphore::new(limits::LOGINS_BYTES)),
            reported: Report::default(),
        };
        // What is not to be kept any more goes from the store.
        work.carry_out(now(clock));
        worker.spawn(work.run(inputs));
        Ok(Handle { inbox, bytes: Arc::new(Semaphore::new(limits::INBOX_BYTES)), wants_data, worker })
    }
}

/// The engine and everything that it has an effect on.
struct Work {
    engine: Engine,
    auth: Arc<Auth>,
    store: Option<Store>,
    taps: Taps,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// For logins, which come back by it.
    inbox: mpsc::WeakSender<Input>,
    conns: BTreeMap<ConnId, Client>,
    arrears: Arrears,
    /// Bytes of logins that may be looked at.
    logins: Arc<Semaphore>,
    reported: Report,
}

/// A connection.
struct Client {
    outbound: Arc<Outbound>,
    is_open: Arc<AtomicBool>,
    /// Until it is logged in.
    data: Option<Arc<ConnectionData>>,
    /// What it may still take of the desk's time.
    work: Bucket,
    /// The login under way.
    login: Option<AbortHandle>,
    /// Whose address answers for logins that fail.
    place: Arc<Place>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(login) = &self.login {
            login.abort();
        }
    }
}

/// What the metrics know of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) counters: Counters,
    pub(crate) connections: usize,
    pub(crate) records: usize,
}

impl Work {
    async fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let mut turn = Vec::with_capacity(limits::SHARD_TURN);
        let mut alarm = Alarm::default();
        loop {
            let next = [self.engine.poll_timeout(), self.arrears.due()].into_iter().flatten().min();
            let next = next.map(|Time(time)| self.clock.at(room::time::Time(time)));
            // In random order, so that neither a flood nor an engine that is always due hides the other.
            tokio::select! {
                count = inbox.recv_many(&mut turn, limits::SHARD_TURN) => {
                    if count == 0 {
                        break;
                    }
                    let mut inputs = turn.drain(..);
                    while let Some(input) = inputs.next() {
                        if let Some(done) = self.handle(input) {
                            inputs.for_each(turn_away);
                            inbox.close();
                            while let Ok(input) = inbox.try_recv() {
                                turn_away(input);
                            }
                            // What is stored is stored before anybody may think that it was.
                            if let Some(store) = self.store.take() {
                                store.close().await;
                            }
                            let _ = done.send(());
                            return;
                        }
                    }
                }
                outcome = outcome(&mut self.store) => self.stored(outcome),
                () = alarm.until(next) => self.wake(),
            }
            self.report();
        }
        if let Some(store) = self.store.take() {
            store.close().await;
        }
    }

    /// Gives back whom to tell where that was the end.
    fn handle(&mut self, input: Input) -> Option<oneshot::Sender<()>> {
        match input {
            Input::Enter { conn, wire, outbound, is_open, data, place } => {
                let work = Bucket::new(limits::WORK, Instant::now());
                let data = data.map(Arc::new);
                self.conns.insert(conn, Client { outbound, is_open, data, work, login: None, place });
                self.turn(Some(conn), EngineInput::Connected { conn, wire });
            }
            Input::Said { conn, frame, passage } => self.said(conn, frame, passage),
            Input::Closed { conn } => {
                if !self.arrears.close(conn) {
                    self.closed(conn);
                }
            }
            Input::Authenticated { conn, result } => {
                if let Some(client) = self.conns.get_mut(&conn) {
                    client.login = None;
                    match &result {
                        // Before it is told, so that it may say more as soon as it is.
                        Ok(_) => client.is_open.store(true, Ordering::Relaxed),
                        Err(Refusal { cause: Cause::Client, .. }) => client.place.failed(Instant::now()),
                        Err(Refusal { cause, .. }) => self.metrics.login_faulty(*cause),
                    }
                }
                let result = result.map_err(|refusal| refusal.rejection);
                self.turn(Some(conn), EngineInput::Authenticated { conn, result });
                // The engine has the last word: it may know better than to let somebody in under one of its own names.
                if let Some(client) = self.conns.get_mut(&conn).filter(|_| self.engine.is_open(conn)) {
                    client.data = None;
                }
            }
            Input::Own(input) => self.turn(None, input),
            Input::Shutdown(done) => {
                for client in std::mem::take(&mut self.conns).into_values() {
                    client.outbound.end(End::Refused(RefusalCode::ShuttingDown));
                }
                return Some(done);
            }
        }
        None
    }

    /// Has the engine do what a client says, or, where that one has taken too much time, has that wait.
    fn said(&mut self, conn: ConnId, frame: Frame, mut passage: Passage) {
        passage.arrive();
        match self.arrears.put(conn, frame, passage) {
            Ok(Some(frame)) => self.turn(Some(conn), EngineInput::Received { conn, frame }),
            Ok(None) => {}
            Err(TooMuch) => {
                if let Some(client) = self.conns.get(&conn) {
                    client.outbound.end(End::Refused(RefusalCode::RateLimited));
                }
                self.arrears.forget(conn);
                self.closed(conn);
            }
        }
    }

    fn closed(&mut self, conn: ConnId) {
        if self.conns.remove(&conn).is_some() {
            self.turn(Some(conn), EngineInput::Closed { conn });
        }
    }

    /// Something is due.
    fn wake(&mut self) {
        if let Some((conn, next)) = self.arrears.next(now(self.clock)) {
            match next {
                Next::Continue => self.turn(Some(conn), EngineInput::Continue { conn }),
                Next::Said(frame) => self.turn(Some(conn), EngineInput::Received { conn, frame }),
                Next::Closed => self.closed(conn),
            }
        }
        self.turn(None, EngineInput::Timeout);
    }

    /// The store has said something.
    fn stored(&mut self, outcome: EngineInput) {
        if matches!(outcome, EngineInput::NotStored(_)) {
            self.metrics.store_failed();
        }
        self.turn(None, outcome);
    }

    fn turn(&mut self, from: Option<ConnId>, input: EngineInput) {
        self.guard(from, |engine, now| engine.handle(now, input));
    }

    /// Lets the engine do something and carries out what it wants done. A bug in it costs the connections, which
    /// clients open again, and no record.
    fn guard(&mut self, from: Option<ConnId>, act: impl FnOnce(&mut Engine, Time)) {
        let now = now(self.clock);
        let done = catch_unwind(AssertUnwindSafe(|| {
            act(&mut self.engine, now);
            self.carry_out(now);
            self.collect(now);
        }));
        if done.is_err() {
            error!(conn = from.map(|conn| conn.0), "the engine failed by a bug; clients are asked to come back");
            self.metrics.deepstream_failed();
            self.start_again(now);
        }
    }

    fn carry_out(&mut self, now: Time) {
        let (mut frames, mut bytes) = (0, 0);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { to, frame } => {
                    let frame = framed(&frame);
                    for conn in to {
                        let Some(client) = self.conns.get(&conn) else { continue };
                        frames += 1;
                        bytes += frame.len();
                        if !client.outbound.push(&frame) {
                            self.conns.remove(&conn);
                            self.arrears.forget(conn);
                            self.engine.handle(now, EngineInput::Closed { conn });
                        }
                    }
                }
                Output::Close { conn } => {
                    self.arrears.forget(conn);
                    if let Some(client) = self.conns.remove(&conn) {
                        client.outbound.end(End::Done);
                    }
                }
                Output::Unfinished { conn } => self.arrears.is_unfinished(conn, now),
                Output::Authenticate { conn, data } => self.authenticate(now, conn, data),
                Output::Emitted { name, json } => {
                    if self.taps.get(&name).is_some_and(|tap| !tap.pass(json)) {
                        self.metrics.bridged(Side::Room, false);
                    }
                }
                Output::Store { ticket, name, record } => {
                    if let Some(store) = &self.store {
                        store.put(ticket, name, record);
                    }
                }
            }
        }
        self.metrics.sent(frames, bytes);
    }

    /// Charges clients for what was done for them. Who has taken too much has to wait.
    fn collect(&mut self, now: Time) {
        while let Some((conn, work)) = self.engine.poll_bill() {
            let Some(client) = self.conns.get_mut(&conn) else { continue };
            let work = usize::try_from(work).unwrap_or(usize::MAX);
            let wait = client.work.charge(limits::WORK, work, Instant::now());
            if !wait.is_zero() {
                self.arrears.hold(conn, now + wait.into());
            }
        }
    }

    /// Has it found out who a client is. One login of a connection is under way at a time.
    fn authenticate(&mut self, now: Time, conn: ConnId, data: String) {
        let Some(client) = self.conns.get_mut(&conn) else { return };
        let Some(inbox) = self.inbox.upgrade() else { return };
        let (auth, known, turns) = (self.auth.clone(), client.data.clone(), client.place.password_turns());
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.logins.clone().try_acquire_many_owned(bytes) else {
            let Refusal { rejection, cause } = Refusal::busy();
            self.metrics.login_faulty(cause);
            return self.engine.handle(now, EngineInput::Authenticated { conn, result: Err(rejection) });
        };
        let login = tokio::spawn(async move {
            let result = auth.authenticate(&data, known.as_deref(), turns).await;
            drop(room);
            match &result {
                Ok(_) => debug!(conn = conn.0, "logged in"),
                Err(_) => info!(conn = conn.0, "a login failed"),
            }
            let _ = inbox.send(Input::Authenticated { conn, result }).await;
        });
        client.login = Some(login.abort_handle());
    }

    fn start_again(&mut self, now: Time) {
        for client in std::mem::take(&mut self.conns).into_values() {
            client.outbound.end(End::Refused(RefusalCode::ShuttingDown));
        }
        self.arrears = Arrears::default();
        let empty = Engine::new(deepstream::Config::default(), 0, now);
        let mut failed = std::mem::replace(&mut self.engine, empty);
        // Of what it wanted done only what is to be stored still matters.
        while let Some(output) = failed.poll_output() {
            if let (Output::Store { ticket, name, record }, Some(store)) = (output, &self.store) {
                store.put(ticket, name, record);
            }
        }
        self.engine = failed.again(seed(), now);
    }

    /// Tells the metrics what has changed.
    fn report(&mut self) {
        let now = Report {
            counters: *self.engine.counters(),
            connections: self.engine.connections(),
            records: self.engine.records(),
        };
        if now != self.reported {
            self.metrics.deepstream(&self.reported, &now);
            self.reported = now;
        }
    }
}

/// Tells whoever comes too late that the server goes down.
fn turn_away(input: Input) {
    if let Input::Enter { outbound, .. } = input {
        outbound.end(End::Refused(RefusalCode::ShuttingDown));
    }
}

/// What the store says; nothing where there is none.
async fn outcome(store: &mut Option<Store>) -> EngineInput {
    match store {
        Some(store) => store.outcome().await,
        None => std::future::pending().await,
    }
}

fn framed(frame: &Frame) -> Bytes {
    match frame {
        Frame::Text(text) => frame::text(text),
        Frame::Binary(bytes) => frame::binary(bytes),
    }
}

fn now(clock: Clock) -> Time {
    Time(clock.now().0)
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the system gives random bytes once it is up");
    u64::from_le_bytes(seed)
}

#[cfg(test)]
mod tests;
