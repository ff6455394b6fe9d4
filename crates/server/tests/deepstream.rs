//! deepstream's clients at the server's edge: which addresses, who may, how much, and what stays. What they are
//! answered is tested with the engine, and with their own clients.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use deepstream::limits;
use futures_util::{SinkExt, StreamExt};
use room::wire::signal::RefusalCode;
use server::{
    Config, Running, Server,
    config::{Deepstream, Limits},
};
use socket2::{Domain, Socket, Type};
use support::{Member, SOON, deepstream::Client, start};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

/// The status of a refused upgrade.
async fn refused(server: &Running, path: &str, origin: Option<&str>) -> u16 {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
    }
    let stream = TcpStream::connect(server.address()).await.unwrap();
    match client_async(request, stream).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

fn configured(deepstream: Deepstream) -> Config {
    Config { deepstream, ..Config::default() }
}

#[tokio::test]
async fn both_addresses_greet_and_take_a_query() {
    let server = support::dev().await;
    let mut named = Client::connect(&server, "/deepstream-v3?apiKey=1").await;
    let mut sniffed = Client::connect(&server, "/deepstream?apiKey=1").await;
    for client in [&mut named, &mut sniffed] {
        client.log_in().await;
    }
    sniffed.say("E|S|e+").await;
    sniffed.hear("E|A|S|e+").await;
    named.say("E|EVT|e|Shello+").await;
    sniffed.hear("E|EVT|e|Shello+").await;
}

#[tokio::test]
async fn where_it_is_off_its_addresses_are_no_rooms() {
    let server = start(configured(Deepstream { enabled: Some(false), ..Deepstream::default() })).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/deepstream", server.address()), stream).await.unwrap();
    let refusal = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(refusal.to_text().unwrap().contains("\"bad_room\""), "{refusal}");
}

#[tokio::test]
async fn pages_of_other_sites_and_crowds_are_refused() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = start(Config { limits, ..Config::default() }).await;
    assert_eq!(refused(&server, "/deepstream", Some("https://elsewhere.example")).await, 403);
    let held = [Client::enter(&server).await, Client::enter(&server).await];
    assert_eq!(refused(&server, "/deepstream-v3", None).await, 503);
    drop(held);
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_slows_nobody() {
    let limits = Limits { queue_bytes: 256 * 1024, ..Limits::default() };
    let server = start(Config { limits, ..Config::default() }).await;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = TcpStream::from_std(socket.into()).unwrap();
    let mut slow = Client::over(&server, stream, "/deepstream-v3").await;
    slow.log_in().await;
    let [mut reader, mut writer] = [Client::enter(&server).await, Client::enter(&server).await];
    for client in [&mut slow, &mut reader] {
        client.say("E|S|e+").await;
        client.hear("E|A|S|e+").await;
    }
    let value = "x".repeat(16 * 1024);
    for _ in 0..1_000 {
        writer.say(&format!("E|EVT|e|S{value}+")).await;
        reader.hear(&format!("E|EVT|e|S{value}+")).await;
    }
    let code = slow.closed().await;
    assert!(code.is_none() || code == Some(RefusalCode::TooSlow.close_code()), "{code:?}");
}

#[tokio::test]
async fn floods_are_read_as_fast_as_they_may_be() {
    let limits = Limits { messages_burst: 10, messages_per_second: 1_000, ..Limits::default() };
    let server = start(Config { limits, ..Config::default() }).await;
    let [mut flood, mut other] = [Client::enter(&server).await, Client::enter(&server).await];
    let begun = std::time::Instant::now();
    for n in 0..500 {
        flood.say(&format!("E|S|e{n}+")).await;
    }
    other.say("E|S|other+").await;
    other.hear("E|A|S|other+").await;
    for n in 0..500 {
        flood.hear(&format!("E|A|S|e{n}+")).await;
    }
    assert!(begun.elapsed().as_millis() >= 480, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn neither_many_messages_in_a_frame_nor_pings_pass_for_one() {
    let limits = Limits { messages_burst: 10, messages_per_second: 1_000, ..Limits::default() };
    let server = start(Config { limits, ..Config::default() }).await;
    let mut flood = Client::enter(&server).await;
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        flood.say(&"E|EVT|a+".repeat(60 * server::limits::MESSAGES_TOGETHER)).await;
    }
    flood.say("E|S|e+").await;
    flood.hear("E|A|S|e+").await;
    assert!(begun.elapsed().as_millis() >= 280, "{:?}", begun.elapsed());
    for _ in 0..300 {
        flood.0.feed(Message::Ping(Vec::new().into())).await.unwrap();
    }
    flood.say("E|S|f+").await;
    while flood.next().await.expect("pongs, and an answer").is_pong() {}
    assert!(begun.elapsed().as_millis() >= 560, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_too_big_or_no_websocket_ends_the_connection_only() {
    let server = support::dev().await;
    let mut other = Client::enter(&server).await;
    let mut big = Client::enter(&server).await;
    let text = "x".repeat(limits::FRAME_MAX + 1);
    // Cut off while it still writes.
    let _ = big.0.send(Message::text(text)).await;
    let code = big.closed().await;
    assert!(code.is_none() || code == Some(1009), "{code:?}");
    other.say("E|S|e+").await;
    other.hear("E|A|S|e+").await;
}

#[tokio::test]
async fn shutdown_closes_them_and_keeps_what_was_acknowledged() {
    let folder = std::env::temp_dir().join(format!("roomful-deepstream-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let config = || configured(Deepstream { store: Some(folder.join("records")), ..Deepstream::default() });
    let server = start(config()).await;
    let mut client = Client::enter(&server).await;
    client.say("R|CU|r|-1|{\"a\":1}|{\"writeSuccess\":true}+").await;
    client.hear("R|WA|r|[-1]|L+").await;
    client.say("R|CU|late|-1|{\"b\":2}|{}+").await;
    client.say("R|HD|late+").await;
    client.hear("R|HD|late|1|null+").await;
    server.shutdown().await;
    assert!(client.closed().await.is_some());

    let server = start(config()).await;
    let mut client = Client::enter(&server).await;
    client.say("R|SN|r+R|SN|late+").await;
    client.hear("R|R|r|1|{\"a\":1}+").await;
    client.hear("R|R|late|1|{\"b\":2}+").await;
    server.shutdown().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_has_become_ephemeral_is_not_stored_any_more() {
    let folder = std::env::temp_dir().join(format!("roomful-ephemeral-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let config = |ephemeral: &[&str]| {
        let ephemeral = Some(ephemeral.iter().map(|pattern| (*pattern).to_owned()).collect());
        configured(Deepstream { store: Some(folder.join("records")), ephemeral, ..Deepstream::default() })
    };
    let server = start(config(&[])).await;
    let mut client = Client::enter(&server).await;
    client.say("R|CU|users|-1|[\"ghost\"]|{\"writeSuccess\":true}+").await;
    client.hear("R|WA|users|[-1]|L+").await;
    server.shutdown().await;
    start(config(&["users"])).await.shutdown().await;
    let server = start(config(&[])).await;
    let mut client = Client::enter(&server).await;
    client.say("R|H|users+").await;
    client.hear("R|H|users|F+").await;
    server.shutdown().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn frames_before_the_login_are_small_and_those_after_it_are_not() {
    let server = support::dev().await;
    let mut stranger = Client::connect(&server, "/deepstream-v3").await;
    let data = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::FRAME_BEFORE_LOGIN));
    stranger.say(&format!("A|REQ|{data}+")).await;
    assert_eq!(stranger.closed().await, Some(1009));
    let mut client = Client::enter(&server).await;
    client.say(&format!("R|CU|r|-1|{data}|{{\"writeSuccess\":true}}+")).await;
    client.hear("R|WA|r|[-1]|L+").await;
}

#[tokio::test]
async fn metrics_count_them() {
    let server = support::dev().await;
    let mut client = Client::enter(&server).await;
    client.say("R|CU|r|-1|{}|{\"writeSuccess\":true}+").await;
    client.hear("R|WA|r|[-1]|L+").await;
    let metrics = support::get(&server, "/metrics", "").await.1;
    for line in [
        "roomful_deepstream_connections 1",
        "roomful_deepstream_records 1",
        "roomful_deepstream_logins_total{result=\"ok\"} 1",
        "roomful_deepstream_writes_total 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn server_for_them_alone_needs_no_keys_and_lets_nobody_into_rooms() {
    let config: Config = "listen = '127.0.0.1:0'\n[deepstream.webhook]\nurl = 'http://127.0.0.1:9/'".parse().unwrap();
    let server = Server::start(config).await.unwrap();
    Client::connect(&server, "/deepstream-v3").await;
    let refused = Member::join_with(&server, "standup", "a.b.c").await.err().unwrap();
    assert_eq!(refused.code, RefusalCode::TokenRequired);
}
