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
    time::Instant,
};
use tracing::{debug, error, info};

use super::{
    auth::{Auth, ConnectionData},
    bridge::Taps,
    store::Store,
};
use crate::{
    address::Place,
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
    Enter { conn: ConnId, wire: Option<Wire>, outbound: Arc<Outbound>, data: ConnectionData, place: Arc<Place> },
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
            let next = self.engine.poll_timeout().map(|Time(time)| self.clock.at(room::time::Time(time)));
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
            Input::Enter { conn, wire, outbound, data, place } => {
                self.conns.insert(conn, Client { outbound, data: Some(Arc::new(data)), login: None, place });
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
                    if result.is_err() {
                        client.place.failed(Instant::now());
                    }
                }
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
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll, Waker},
    };

    use axum::http::{HeaderMap, Uri};

    use super::*;
    use crate::{
        address::{Addresses, Allowance, Denied},
        bucket::Rate,
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

    /// Somebody connects, as what is returned says, and waits for what comes.
    fn arrive(conn: ConnId) -> (Input, Arc<Outbound>) {
        arrive_at(&addresses(), conn)
    }

    fn addresses() -> Arc<Addresses> {
        let (connects, failures) = (Rate { burst: 9, per_second: 1 }, Rate { burst: 2, per_second: 1 });
        Arc::new(Addresses::new(Allowance { total: 9, each: 9, connects, failures }))
    }

    fn arrive_at(addresses: &Arc<Addresses>, conn: ConnId) -> (Input, Arc<Outbound>) {
        let outbound = Arc::new(Outbound::new(Arc::new(Depot::new(16, 65_536))));
        let data = ConnectionData::new(None, &Uri::from_static("/deepstream"), &HeaderMap::new());
        let place = Arc::new(addresses.admit([192, 0, 2, 1].into(), Instant::now()).unwrap());
        (Input::Enter { conn, wire: Some(Wire::Text), outbound: outbound.clone(), data, place }, outbound)
    }

    fn enter(work: &mut Work, conn: ConnId) -> Arc<Outbound> {
        let (input, outbound) = arrive(conn);
        work.handle(input);
        say(work, conn, "C|CHR|here+A|REQ|{}+");
        work.handle(Input::Authenticated { conn, result: Ok(Identity::default()) });
        drain(&outbound);
        outbound
    }

    fn work(config: deepstream::Config, inbox: &mpsc::Sender<Input>) -> Work {
        let clock = Clock::start();
        Work {
            engine: Engine::new(config, 1, now(clock)),
            auth: Arc::new(Auth::new(&Config { dev: true, ..Config::default() }).unwrap()),
            store: None,
            taps: Taps::new(),
            clock,
            metrics: Arc::new(Metrics::new()),
            inbox: inbox.downgrade(),
            conns: BTreeMap::new(),
            reported: Report::default(),
        }
    }

    #[tokio::test]
    async fn who_logs_in_as_the_server_may_try_again() {
        let (inbox, mut inputs) = mpsc::channel(8);
        let config = deepstream::Config { reserved: Some("roomful/**".into()), ..deepstream::Config::default() };
        let mut work = work(config, &inbox);
        let (input, outbound) = arrive(ConnId(1));
        work.handle(input);
        say(&mut work, ConnId(1), "C|CHR|here+");
        for (user, answer) in [("roomful/a/1", "A\u{1f}E"), ("ada", "A\u{1f}A")] {
            drain(&outbound);
            say(&mut work, ConnId(1), &format!("A|REQ|{{\"username\":\"{user}\"}}+"));
            let authenticated = tokio::time::timeout(limits::LOGIN_TURN, inputs.recv()).await;
            work.handle(authenticated.expect("somebody finds out who it is").unwrap());
            let (text, _) = drain(&outbound);
            assert!(text.starts_with(answer), "{user}: {text}");
        }
        assert!(work.conns[&ConnId(1)].data.is_none(), "nobody asks for it any more");
    }

    #[tokio::test]
    async fn logins_that_fail_count_against_the_address() {
        let (inbox, _inputs) = mpsc::channel(8);
        let mut work = work(deepstream::Config::default(), &inbox);
        let addresses = addresses();
        let (input, _outbound) = arrive_at(&addresses, ConnId(1));
        work.handle(input);
        say(&mut work, ConnId(1), "C|CHR|here+");
        for denied in [None, Some(Denied::TooOften)] {
            say(&mut work, ConnId(1), "A|REQ|{}+");
            work.handle(Input::Authenticated { conn: ConnId(1), result: Err(Rejection::default()) });
            assert_eq!(addresses.admit([192, 0, 2, 1].into(), Instant::now()).err(), denied);
        }
    }

    #[tokio::test]
    async fn who_comes_behind_a_shutdown_is_told() {
        let (inbox, inputs) = mpsc::channel(8);
        let work = work(deepstream::Config::default(), &inbox);
        let (before, early) = arrive(ConnId(1));
        let (behind, late) = arrive(ConnId(2));
        let (done, ended) = oneshot::channel();
        for input in [before, Input::Shutdown(done), behind] {
            inbox.try_send(input).unwrap();
        }
        work.run(inputs).await;
        ended.await.unwrap();
        for outbound in [early, late] {
            assert_eq!(drain(&outbound).1, Some(End::Refused(RefusalCode::ShuttingDown)));
        }
    }

    #[tokio::test]
    async fn bug_costs_the_connections_and_no_record() {
        let (inbox, _inputs) = mpsc::channel(8);
        let mut work = work(deepstream::Config::default(), &inbox);
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
