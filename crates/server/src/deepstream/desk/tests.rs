//! The desk without a network: connections are what waits for them.

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
    let most = |seconds: u64| (u64::from(limits::WORK.burst) + u64::from(limits::WORK.per_second) * seconds) / PATCH;
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
