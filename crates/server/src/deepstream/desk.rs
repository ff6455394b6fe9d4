//! The task that all of deepstream's clients talk to. It alone touches the engine, on a thread of its own, and never
//! waits: not for a client, which is ended where it does not take what it is sent, not for a login, and not for the
//! disk.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use deepstream::{
    ConnId, Counters, Engine, Frame, Identity, Input as EngineInput, Loaded, Output, Rejection, Wire, time::Time,
};
use room::wire::signal::RefusalCode;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};
use tracing::{debug, error, info};

use super::{
    auth::{Auth, ConnectionData},
    bridge::Taps,
    store::Store,
};
use crate::{
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
    Enter { conn: ConnId, wire: Option<Wire>, outbound: Arc<Outbound>, data: ConnectionData },
    /// It says something.
    Said { conn: ConnId, frame: Frame },
    /// Its connection ended.
    Closed { conn: ConnId },
    /// It was found out who it is.
    Authenticated { conn: ConnId, result: Result<Identity, Rejection> },
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
        let work = Work {
            engine,
            auth: Arc::new(auth),
            store,
            taps,
            clock,
            metrics,
            inbox: inbox.downgrade(),
            conns: BTreeMap::new(),
            reported: Report::default(),
        };
        worker.spawn(work.run(inputs));
        Ok(Handle { inbox, worker })
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
    reported: Report,
}

/// A connection.
struct Client {
    outbound: Arc<Outbound>,
    /// Until it is logged in.
    data: Option<Arc<ConnectionData>>,
    /// The login under way.
    login: Option<AbortHandle>,
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
            let next = self.engine.poll_timeout().map(|Time(time)| self.clock.at(room::time::Time(time)));
            // In random order, so that neither a flood nor an engine that is always due hides the other.
            tokio::select! {
                count = inbox.recv_many(&mut turn, limits::SHARD_TURN) => {
                    if count == 0 {
                        break;
                    }
                    for input in turn.drain(..) {
                        if let Some(done) = self.handle(input) {
                            // What is stored is stored before anybody may think that it was.
                            if let Some(store) = self.store.take() {
                                store.close().await;
                            }
                            let _ = done.send(());
                            return;
                        }
                    }
                }
                outcome = outcome(&mut self.store) => self.turn(None, outcome),
                () = alarm.until(next) => self.turn(None, EngineInput::Timeout),
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
            Input::Enter { conn, wire, outbound, data } => {
                self.conns.insert(conn, Client { outbound, data: Some(Arc::new(data)), login: None });
                self.turn(Some(conn), EngineInput::Connected { conn, wire });
            }
            Input::Said { conn, frame } => self.turn(Some(conn), EngineInput::Received { conn, frame }),
            Input::Closed { conn } => {
                if self.conns.remove(&conn).is_some() {
                    self.turn(Some(conn), EngineInput::Closed { conn });
                }
            }
            Input::Authenticated { conn, result } => {
                if let Some(client) = self.conns.get_mut(&conn) {
                    client.login = None;
                    if result.is_ok() {
                        client.data = None;
                    }
                }
                self.turn(Some(conn), EngineInput::Authenticated { conn, result });
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
                            self.engine.handle(now, EngineInput::Closed { conn });
                        }
                    }
                }
                Output::Close { conn } => {
                    if let Some(client) = self.conns.remove(&conn) {
                        client.outbound.end(End::Done);
                    }
                }
                Output::Authenticate { conn, data } => self.authenticate(conn, data),
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

    /// Has it found out who a client is. One login of a connection is under way at a time.
    fn authenticate(&mut self, conn: ConnId, data: String) {
        let Some(client) = self.conns.get_mut(&conn) else { return };
        let (Some(known), Some(inbox)) = (client.data.clone(), self.inbox.upgrade()) else { return };
        let auth = self.auth.clone();
        let login = tokio::spawn(async move {
            let result = auth.authenticate(&data, &known).await;
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
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll, Waker},
    };

    use axum::http::{HeaderMap, Uri};

    use super::*;
    use crate::{
        config::Config,
        outbound::{Depot, Next},
    };

    /// What waits for a connection, and how it ends.
    fn drain(outbound: &Outbound) -> (String, Option<End>) {
        let (mut text, mut frames) = (String::new(), VecDeque::new());
        loop {
            match outbound.poll_take(&mut Context::from_waker(Waker::noop()), &mut frames) {
                // Short frames have heads of two bytes.
                Poll::Ready(Next::Frames) => {
                    text.extend(frames.drain(..).map(|frame| String::from_utf8(frame[2..].to_vec()).unwrap()));
                }
                Poll::Ready(Next::End(end)) => return (text, Some(end)),
                Poll::Pending => return (text, None),
            }
        }
    }

    fn say(work: &mut Work, conn: ConnId, text: &str) {
        let text = text.replace('|', "\u{1f}").replace('+', "\u{1e}");
        work.handle(Input::Said { conn, frame: Frame::Text(text.into()) });
    }

    fn enter(work: &mut Work, conn: ConnId) -> Arc<Outbound> {
        let outbound = Arc::new(Outbound::new(Arc::new(Depot::new(16, 65_536))));
        let data = ConnectionData::new(None, &Uri::from_static("/deepstream"), &HeaderMap::new());
        work.handle(Input::Enter { conn, wire: Some(Wire::Text), outbound: outbound.clone(), data });
        say(work, conn, "C|CHR|here+A|REQ|{}+");
        work.handle(Input::Authenticated { conn, result: Ok(Identity::default()) });
        drain(&outbound);
        outbound
    }

    #[tokio::test]
    async fn bug_costs_the_connections_and_no_record() {
        let clock = Clock::start();
        let (inbox, _inputs) = mpsc::channel(8);
        let mut work = Work {
            engine: Engine::new(deepstream::Config::default(), 1, now(clock)),
            auth: Arc::new(Auth::new(&Config { dev: true, ..Config::default() }).unwrap()),
            store: None,
            taps: Taps::new(),
            clock,
            metrics: Arc::new(Metrics::new()),
            inbox: inbox.downgrade(),
            conns: BTreeMap::new(),
            reported: Report::default(),
        };
        let ada = enter(&mut work, ConnId(1));
        say(&mut work, ConnId(1), "R|CU|r|-1|{\"a\":1}|{}+");
        work.guard(None, |_, _| panic!("a bug"));
        assert_eq!(drain(&ada).1, Some(End::Refused(RefusalCode::ShuttingDown)));
        assert!(work.conns.is_empty());
        // What it still says is nobody's.
        say(&mut work, ConnId(1), "R|SN|r+");
        let bob = enter(&mut work, ConnId(2));
        say(&mut work, ConnId(2), "R|SN|r+");
        assert_eq!(drain(&bob), ("R\u{1f}R\u{1f}r\u{1f}1\u{1f}{\"a\":1}\u{1e}".to_owned(), None));
        assert!(work.metrics.render().contains("roomful_deepstream_failures_total 1"));
    }
}
