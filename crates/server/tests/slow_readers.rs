//! Members that do not read: cut off, told why, and a burden to nobody.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use room::wire::signal::{ClientMessage, RefusalCode, ServerMessage};
use server::{Config, Running, config::Limits, limits};
use socket2::{Domain, Socket, Type};
use support::{Member, SOON, start};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;

const QUEUE: usize = 256 * 1024;

async fn server() -> Running {
    start(Config { limits: Limits { queue_bytes: QUEUE, ..Limits::default() }, ..Config::default() }).await
}

/// A member on a socket for which the system holds little, so that it is soon seen not to read.
async fn narrow(server: &Running) -> Member {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = TcpStream::from_std(socket.into()).unwrap();
    let mut member = Member::upgrade(server, stream, "standup", &[]).await;
    member.enter("Slow").await;
    member
}

/// Writes state of 16 KiB until the hub has seen the other go away, or `count` times; gives back the longest time
/// that one write took to come back.
async fn chatter(member: &mut Member, from: u64, count: u64) -> Duration {
    let value = "x".repeat(15 * 1024);
    let mut longest = Duration::ZERO;
    for op in from..from + count {
        let start = Instant::now();
        member.set(op, "long", &value).await;
        loop {
            if let ServerMessage::State(change) = member.next().await {
                assert_eq!(change.op, op);
                break;
            }
        }
        longest = longest.max(start.elapsed());
    }
    longest
}

/// What comes on a socket that was not read until now: the last refusal, and the code of the close.
async fn last_words(member: &mut Member) -> (Option<RefusalCode>, Option<u16>) {
    let (mut refused, mut code) = (None, None);
    while let Some(Ok(message)) = timeout(SOON, member.socket.next()).await.expect("an end") {
        match message {
            Message::Text(text) => {
                if let Ok(ServerMessage::Refused(why)) = ServerMessage::decode(&text) {
                    refused = Some(why.code);
                }
            }
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    (refused, code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_that_does_not_read_is_cut_off_and_others_get_everything_in_time() {
    let server = server().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (mut bob, _) = Member::join(&server, "standup", "Bob").await;
    let mut slow = narrow(&server).await;
    let reads = tokio::spawn(async move {
        let mut ops = Vec::new();
        while let Ok(Some(Ok(Message::Text(text)))) = timeout(Duration::from_millis(500), bob.socket.next()).await {
            if let Ok(ServerMessage::State(change)) = ServerMessage::decode(&text) {
                ops.push(change.op);
            }
        }
        ops
    });
    // The system takes some MiB for a socket before it takes no more.
    let longest = chatter(&mut ada, 1, 600).await;
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    assert_eq!(reads.await.unwrap(), (1..=600).collect::<Vec<u64>>(), "everything, in order");

    // It was told why, where it reads on soon enough; and its session is there to be resumed.
    let (refused, code) = last_words(&mut slow).await;
    assert!(refused.is_none_or(|code| code == RefusalCode::TooSlow));
    assert!(code.is_none_or(|code| code == RefusalCode::TooSlow.close_code()));
    let (_slow, welcome) = Member::resume(&server, "standup", slow.secret, None).await;
    assert!(welcome.resumed && welcome.state.contains_key("long"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_that_reads_in_the_end_learns_why_it_was_cut_off() {
    let server = server().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let mut slow = narrow(&server).await;
    let mut from = 1;
    // Until the hub says that it must be linked anew, or the metrics that it was refused: the latter is simpler.
    while !refusals(&server).await.contains("{code=\"too_slow\"} 1") {
        chatter(&mut ada, from, 20).await;
        from += 20;
        assert!(from < 2_000, "never too slow");
    }
    let told = last_words(&mut slow).await;
    assert_eq!(told, (Some(RefusalCode::TooSlow), Some(RefusalCode::TooSlow.close_code())));
}

async fn refusals(server: &Running) -> String {
    support::get(server, "/metrics", "").await.1
}

#[tokio::test]
async fn socket_that_takes_nothing_is_given_up_though_little_waits() {
    // Its own runtime with a clock that can be moved, so on one thread.
    let server = start(Config::default()).await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let mut slow = narrow(&server).await;
    chatter(&mut ada, 1, 500).await;
    assert!(!refusals(&server).await.contains("{code=\"too_slow\"} 1"), "7.5 MiB may wait");
    tokio::time::pause();
    tokio::time::advance(limits::WRITE_STALL + Duration::from_secs(1)).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(refusals(&server).await.contains("{code=\"too_slow\"} 1"));
    last_words(&mut slow).await;
    ada.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_that_writes_without_reading_does_not_block_itself() {
    let server = start(Config::default()).await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    // Each is answered to the writer too: more than sockets hold in both directions.
    let value = "x".repeat(15 * 1024);
    for op in 1..=700 {
        let set = ClientMessage::State(room::wire::signal::SetState {
            op,
            key: "long".to_owned(),
            value: room::wire::signal::Json::from(&value).unwrap(),
        });
        timeout(SOON, ada.socket.feed(Message::text(set.encode()))).await.expect("it is read").unwrap();
    }
    timeout(SOON, ada.socket.flush()).await.expect("it is read").unwrap();
    for op in 1..=700 {
        let ServerMessage::State(change) = ada.next().await else { panic!() };
        assert_eq!(change.op, op);
    }
}
