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
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use axum::http::{HeaderMap, Uri};
    use deepstream::Rejection;

    use super::{super::window::Window, *};
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
                Poll::Ready(Next::Frames { .. }) => {
                    text.extend(frames.drain(..).map(|frame| String::from_utf8(frame[2..].to_vec()).unwrap()));
                }
                Poll::Ready(Next::End(end)) => return (text, Some(end)),
                Poll::Pending => return (text, None),
            }
        }
    }

    fn say(work: &mut Work, conn: ConnId, text: &str) {
        let text = text.replace('|', "\u{1f}").replace('+', "\u{1e}");
        let passage = Window::new(Arc::new(Semaphore::new(limits::INBOX_BYTES))).try_pass(text.len()).unwrap();
        work.handle(Input::Said { conn, frame: Frame::Text(text.into()), passage });
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
        let data = Some(ConnectionData::new(None, &Uri::from_static("/deepstream"), &HeaderMap::new()));
        let is_open = Arc::new(AtomicBool::new(false));
        let place = Arc::new(addresses.admit([192, 0, 2, 1].into(), Instant::now()).unwrap());
        let wire = Some(Wire::Text);
        (Input::Enter { conn, wire, outbound: outbound.clone(), is_open, data, place }, outbound)
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
            arrears: Arrears::default(),
            logins: Arc::new(Semaphore::new(limits::LOGINS_BYTES)),
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
            work.handle(Input::Authenticated { conn: ConnId(1), result: Err(Rejection::default().into()) });
            assert_eq!(addresses.admit([192, 0, 2, 1].into(), Instant::now()).err(), denied);
        }
    }

    #[tokio::test]
    async fn logins_that_are_looked_at_are_bounded_in_bytes_and_no_fault_of_the_client() {
        let (inbox, _inputs) = mpsc::channel(8);
        let mut work = work(deepstream::Config::default(), &inbox);
        let addresses = addresses();
        let (input, outbound) = arrive_at(&addresses, ConnId(1));
        work.handle(input);
        say(&mut work, ConnId(1), "C|CHR|here+");
        drain(&outbound);
        let all = work.logins.clone().try_acquire_many_owned(limits::LOGINS_BYTES.try_into().unwrap()).unwrap();
        for _ in 0..2 {
            say(&mut work, ConnId(1), "A|REQ|{}+");
        }
        assert!(drain(&outbound).0.contains("too many clients log in"));
        assert!(addresses.admit([192, 0, 2, 1].into(), Instant::now()).is_ok());
        assert!(work.metrics.render().contains("roomful_deepstream_login_faults_total{cause=\"busy\"} 2"));
        drop(all);
        say(&mut work, ConnId(1), "A|REQ|{}+");
        assert_eq!(drain(&outbound).0, "", "it is being looked at");
    }

    /// What a patch of the record in the next tests takes, at the least.
    const PATCH: u64 = 1024 * 1024 * deepstream::limits::WRITE_PASSES;

    /// Somebody who has written a large record, and somebody who listens.
    fn greedy_and_modest(inbox: &mpsc::Sender<Input>) -> (Work, Arc<Outbound>) {
        let mut work = work(deepstream::Config::default(), inbox);
        let _greedy = enter(&mut work, ConnId(1));
        let modest = enter(&mut work, ConnId(2));
        let record = format!("R|CU|r|-1|{{\"a\":\"{}\"}}|{{}}+", "x".repeat(1024 * 1024 - 64));
        say(&mut work, ConnId(1), &record);
        (work, modest)
    }

    /// Lets time pass, and everything happen that is due in it.
    async fn pass(work: &mut Work, time: Duration) {
        let end = Instant::now() + time;
        while let Some(Time(due)) = work.arrears.due() {
            let at = work.clock.at(room::time::Time(due));
            if at > end {
                break;
            }
            tokio::time::sleep_until(at).await;
            work.wake();
        }
        tokio::time::sleep_until(end).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_more_than_its_share_waits_and_others_do_not() {
        let (inbox, _inputs) = mpsc::channel(8);
        let (mut work, modest) = greedy_and_modest(&inbox);
        let writes = |work: &Work| work.engine.version("r").unwrap();
        let most =
            |seconds: u64| (u64::from(limits::WORK.burst) + u64::from(limits::WORK.per_second) * seconds) / PATCH;
        for count in 0..200 {
            say(&mut work, ConnId(1), "R|P|r|-1|b|N1+");
            say(&mut work, ConnId(2), "U|Q|Q+");
            assert_eq!(drain(&modest).0, "U\u{1f}Q\u{1e}", "the other is answered at once");
            assert!(writes(&work) <= most(0) + 2, "{count}: {}", writes(&work));
        }
        let began = writes(&work);
        pass(&mut work, Duration::from_secs(2)).await;
        assert!(writes(&work) > began && writes(&work) <= most(2) + 2, "{} of {}", writes(&work), most(2));
        // Its end comes behind what it said.
        work.handle(Input::Closed { conn: ConnId(1) });
        assert_eq!(work.engine.connections(), 2);
        pass(&mut work, Duration::from_secs(60)).await;
        assert_eq!((writes(&work), work.engine.connections()), (201, 1));
        assert!(work.arrears.due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn others_have_their_turn_between_the_messages_of_one_frame() {
        let (inbox, _inputs) = mpsc::channel(8);
        let (mut work, modest) = greedy_and_modest(&inbox);
        say(&mut work, ConnId(1), &"R|P|r|-1|b|N1+".repeat(20));
        for _ in 0..20 {
            let before = work.engine.version("r").unwrap();
            say(&mut work, ConnId(2), "U|Q|Q+");
            assert_eq!(drain(&modest).0, "U\u{1f}Q\u{1e}");
            work.wake();
            let turn = deepstream::limits::TURN_WORK / PATCH + 1;
            assert!(work.engine.version("r").unwrap() <= before + turn);
        }
        assert_eq!(work.engine.version("r"), Some(21));
    }

    #[tokio::test]
    async fn stores_that_fail_are_counted() {
        let (inbox, _inputs) = mpsc::channel(8);
        let mut work = work(deepstream::Config::default(), &inbox);
        work.stored(EngineInput::NotStored(deepstream::Ticket(1)));
        work.stored(EngineInput::Stored(deepstream::Ticket(2)));
        assert!(work.metrics.render().contains("roomful_deepstream_store_failures_total 1"));
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
