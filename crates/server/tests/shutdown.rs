//! Going down.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::time::Duration;

use room::wire::signal::{ClientMessage, RefusalCode, ServerMessage};
use server::{Config, Server, StartError};
use support::{Member, SOON, dev, get, join};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};

#[tokio::test]
async fn members_are_told_and_sockets_closed() {
    let server = dev().await;
    let address = server.address();
    let mut members = Vec::new();
    for n in 0..20 {
        members.push(Member::join(&server, &format!("room-{}", n % 3), "Ada").await.0);
    }
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut unjoined = Member::connect(&server, "standup").await;
    let start = Instant::now();
    let down = tokio::spawn(server.shutdown());
    for member in &mut members {
        let closing = loop {
            if let ServerMessage::Closing(closing) = member.next().await {
                break closing;
            }
        };
        assert!(closing.retry_ms > 0 && !closing.reason.is_empty());
        member.closed_with(RefusalCode::ShuttingDown).await;
    }
    assert_eq!(unjoined.refused().await.code, RefusalCode::ShuttingDown);
    let mut rest = Vec::new();
    timeout(SOON, idle.read_to_end(&mut rest)).await.expect("closed").unwrap();
    timeout(SOON, down).await.expect("all sockets are closed").unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn member_that_does_not_answer_is_not_waited_for_long() {
    let server = dev().await;
    let (_deaf, _) = Member::join(&server, "standup", "Deaf").await;
    let start = Instant::now();
    timeout(SOON, server.shutdown()).await.expect("it ends");
    assert!(start.elapsed() < server::limits::DRAIN);
}

#[tokio::test]
async fn port_is_free_again_at_once_and_taken_ports_are_told() {
    let server = dev().await;
    let config = Config { dev: true, listen: server.address(), ..Config::default() };
    let error = Server::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }) && error.hint().contains("--listen"), "{error}");
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let down = tokio::spawn(server.shutdown());
    ada.next().await;
    ada.closed_with(RefusalCode::ShuttingDown).await;
    down.await.unwrap();
    let server = Server::start(config).await.unwrap();
    let mut again = Member::connect(&server, "standup").await;
    again.send(&ClientMessage::Join(join(ada.secret, "Ada"))).await;
    assert_eq!(again.welcome().await.this.id, ada.id());
    assert!(get(&server, "/healthz", "").await.1.contains("ok"));
}
