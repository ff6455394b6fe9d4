//! Hostile and mistaken input: a clear refusal to the sender, the others untouched.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use room::{
    limits::{HUB_PING, JOIN_TIMEOUT, SIGNAL_MAX},
    wire::signal::{ClientMessage, Join, RefusalCode, ServerMessage},
};
use server::{
    Config, Running,
    config::{Limits, Rooms},
    limits,
};
use support::{Member, SOON, dev, join, secret, start};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

/// What comes before anything joined.
#[tokio::test]
async fn wrong_first_messages_are_refused() {
    let server = dev().await;
    let hello = |change: fn(&mut Join)| {
        let mut join = join(secret(), "Eve");
        change(&mut join);
        ClientMessage::Join(join).encode()
    };
    let cases = [
        ("", RefusalCode::BadMessage),
        ("null", RefusalCode::BadMessage),
        ("{", RefusalCode::BadMessage),
        ("{\"join\":{}}", RefusalCode::BadMessage),
        ("{\"ping\":{},\"pong\":{}}", RefusalCode::BadMessage),
        ("{\"dance\":{}}", RefusalCode::UnknownMessage),
        ("{\"ping\":{}}", RefusalCode::JoinFirst),
        (&"[".repeat(SIGNAL_MAX), RefusalCode::BadMessage),
        (&" ".repeat(SIGNAL_MAX + 1), RefusalCode::TooLarge),
        (&hello(|join| join.v = 2), RefusalCode::BadVersion),
        (&hello(|join| join.name = "x".repeat(65)), RefusalCode::BadName),
        (&hello(|join| drop(join.attributes.insert("a".repeat(5_000), String::new()))), RefusalCode::BadAttributes),
        (&hello(|join| join.topology = Some("donut".to_owned())), RefusalCode::TopologyUnavailable),
    ];
    for (text, code) in cases {
        let mut eve = Member::connect(&server, "standup").await;
        eve.send_text(text).await;
        assert_eq!(eve.refused().await.code, code, "{}", &text[..text.len().min(80)]);
    }
}

/// What comes from somebody in the room. The room goes on as if nothing had happened.
#[tokio::test]
async fn wrong_messages_end_only_their_sender() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let cases = [
        (Message::text("{"), RefusalCode::BadMessage),
        (Message::text("{\"dance\":{}}"), RefusalCode::UnknownMessage),
        (Message::text(ClientMessage::Join(join(secret(), "Eve")).encode()), RefusalCode::AlreadyJoined),
        (Message::text("x".repeat(SIGNAL_MAX + 1)), RefusalCode::TooLarge),
        (Message::binary(vec![1, 2, 3]), RefusalCode::BadMessage),
        (Message::binary(Vec::new()), RefusalCode::BadMessage),
        // A text that is no UTF-8.
        (Message::Frame(Frame::message(vec![0xff], OpCode::Data(Data::Text), true)), RefusalCode::BadMessage),
        // The rest of a message that never began.
        (Message::Frame(Frame::message(vec![b'x'], OpCode::Data(Data::Continue), true)), RefusalCode::BadMessage),
        (Message::Frame(Frame::message(vec![b'x'], OpCode::Data(Data::Reserved(5)), true)), RefusalCode::BadMessage),
    ];
    for (message, code) in cases {
        let (mut eve, _) = Member::join(&server, "standup", "Eve").await;
        let id = eve.id();
        assert!(matches!(ada.next().await, ServerMessage::Member(_)));
        assert!(matches!(ada.next().await, ServerMessage::Links(_)));
        eve.socket.send(message).await.unwrap();
        assert_eq!(eve.refused().await.code, code);
        // It is away as if its socket had been cut; the hub forgets it when nobody has a link to it.
        eve = Member { secret: eve.secret, ..Member::connect(&server, "standup").await };
        assert!(eve.enter("Eve").await.resumed);
        assert!(matches!(ada.next().await, ServerMessage::Links(_)));
        eve.send(&ClientMessage::Leave {}).await;
        assert!(matches!(ada.next().await, ServerMessage::Gone(gone) if gone.id == id));
    }
    ada.quiet().await;
}

#[tokio::test]
async fn message_in_many_frames_is_bounded_too() {
    let server = dev().await;
    let (mut eve, _) = Member::join(&server, "standup", "Eve").await;
    for n in 0..=SIGNAL_MAX / 8192 {
        let opcode = if n == 0 { Data::Text } else { Data::Continue };
        eve.socket.send(Message::Frame(Frame::message(vec![b' '; 8192], OpCode::Data(opcode), false))).await.unwrap();
    }
    assert_eq!(eve.refused().await.code, RefusalCode::TooLarge);
}

#[tokio::test]
async fn flood_ends_its_sender_and_delays_nobody() {
    let limits = Limits { messages_burst: 200, messages_per_second: 10, ..Limits::default() };
    let server = start(Config { limits, ..Config::default() }).await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (mut eve, _) = Member::join(&server, "standup", "Eve").await;
    let (mut fay, _) = Member::join(&server, "standup", "Fay").await;
    for _ in 0..4 {
        ada.next().await;
    }
    // Of frames that only the WebSocket protocol minds, as well as of messages.
    for _ in 0..250 {
        if fay.socket.feed(Message::Ping(Default::default())).await.is_err() {
            break;
        }
    }
    fay.socket.flush().await.unwrap();
    for op in 1..=250 {
        eve.set(op, "noise", "").await;
    }
    let refused = loop {
        if let ServerMessage::Refused(refused) = eve.next().await {
            break refused;
        }
    };
    assert_eq!((refused.code, refused.code.may_return()), (RefusalCode::RateLimited, true));
    eve.closed_with(RefusalCode::RateLimited).await;
    let start = Instant::now();
    for op in 1..199 {
        assert!(matches!(ada.next().await, ServerMessage::State(change) if change.op == op), "it was within the rate");
    }
    while matches!(timeout(Duration::from_millis(50), ada.next()).await, Ok(ServerMessage::State(_))) {}
    ada.quiet().await;
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn flash_crowd_is_no_flood() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    for op in 1..=2_000 {
        ada.set(op, "busy", "x").await;
    }
    for _ in 1..=2_000 {
        assert!(matches!(ada.next().await, ServerMessage::State(_)));
    }
}

// ---- waiting for nothing --------------------------------------------------------------------------------------------

/// Moves the server's clock. Its sockets do not notice.
async fn later(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

#[tokio::test]
async fn socket_that_never_joins_is_closed() {
    let server = dev().await;
    let mut eve = Member::connect(&server, "standup").await;
    later(Duration::from(JOIN_TIMEOUT) - Duration::from_secs(1)).await;
    let mut late = Member::connect(&server, "standup").await;
    later(Duration::from_secs(2)).await;
    assert_eq!(eve.refused().await.code, RefusalCode::JoinTimeout);
    late.enter("late").await;
}

#[tokio::test]
async fn half_open_socket_is_found_and_its_session_is_away() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (mut eve, _) = Member::join(&server, "standup", "Eve").await;
    ada.next().await;
    ada.next().await;
    for half_second in 1..=2 * (3 * HUB_PING.0 / 1_000_000 + 1) {
        // In steps: a hub that finds much time gone at once believes that it slept itself.
        later(Duration::from_millis(500)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        if half_second % 20 == 0 {
            ada.quiet().await;
        }
    }
    assert_eq!(eve.next().await, ServerMessage::Ping {});
    assert_eq!(eve.refused().await.code, RefusalCode::Silent);
    ada.quiet().await;
}

#[tokio::test]
async fn slow_headers_are_not_waited_for() {
    let server = dev().await;
    let mut slow = TcpStream::connect(server.address()).await.unwrap();
    slow.write_all(b"GET /standup HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut idle = TcpStream::connect(server.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    later(limits::HEAD_TIMEOUT + Duration::from_secs(1)).await;
    for socket in [&mut slow, &mut idle] {
        let mut rest = Vec::new();
        timeout(SOON, socket.read_to_end(&mut rest)).await.expect("closed").unwrap();
    }
}

#[tokio::test]
async fn client_that_does_not_read_its_page_is_not_waited_for() {
    let server = dev().await;
    let mut slow = TcpStream::connect(server.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    later(limits::HTTP_LIFETIME + limits::HTTP_GRACE + Duration::from_secs(1)).await;
    let mut rest = Vec::new();
    timeout(SOON, slow.read_to_end(&mut rest)).await.expect("closed").unwrap();
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/// Sends bytes and reads the first line of what is answered.
async fn raw(server: &Running, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    // The server may have had enough before all is sent.
    let _ = socket.write_all(bytes).await;
    let mut buffer = [0; 64];
    let count = timeout(SOON, socket.read(&mut buffer)).await.expect("answered").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..count]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn requests_are_bounded() {
    let server = dev().await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(limits::HEAD_BYTES));
    assert!(raw(&server, long.as_bytes()).await.contains("431"));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: x\r\n".repeat(limits::HEADERS));
    assert!(raw(&server, many.as_bytes()).await.contains("431"));
    assert!(raw(&server, b"\x16\x03\x01\x02\x00 TLS where HTTP is spoken\r\n\r\n").await.contains("400"));
    assert!(raw(&server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("200"), "and serves on");
}

#[tokio::test]
async fn broken_handshakes_are_refused() {
    let server = dev().await;
    let ask = |headers: &str| {
        format!("GET /standup HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{headers}\r\n")
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    assert!(raw(&server, ask(version).as_bytes()).await.contains("400"));
    assert!(raw(&server, ask(&format!("{version}Sec-WebSocket-Key: short\r\n")).as_bytes()).await.contains("400"));
    assert!(raw(&server, ask(&format!("{key}Sec-WebSocket-Version: 8\r\n")).as_bytes()).await.contains("426"));
    assert!(raw(&server, ask(&format!("{key}{version}")).as_bytes()).await.contains("101"));
}

#[tokio::test]
async fn frames_without_mask_are_refused() {
    let server = dev().await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let ask = "GET /standup HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    // The frame comes with the handshake, as no browser sends it.
    socket.write_all(&[ask.as_bytes(), &[0x81, 2, b'{', b'}']].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, socket.read_to_end(&mut answer)).await.expect("closed").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("101 Switching Protocols") && answer.contains("bad_message"), "{answer}");
}

#[tokio::test]
async fn no_room_has_a_reserved_or_odd_name() {
    let server = dev().await;
    for name in ["sdk", "api", "metrics", "-x", "a%20b", "a/b", "%ff", &"x".repeat(65)] {
        let mut eve = Member::connect(&server, name).await;
        assert_eq!(eve.refused().await.code, RefusalCode::BadRoom, "{name}");
    }
}

#[tokio::test]
async fn pages_elsewhere_may_not_join() {
    let allowed = Config { allowed_origins: vec!["https://app.example".parse().unwrap()], ..Config::default() };
    let server = start(allowed).await;
    let own = format!("http://{}", server.address());
    for origin in [own.as_str(), "https://app.example", "http://localhost:3000"] {
        let mut member = Member::connect_with(&server, "standup", &[("origin", origin)]).await;
        member.enter("Ada").await;
    }
    for origin in ["https://evil.example", "null", "nonsense"] {
        let mut eve = Member::connect_with(&server, "standup", &[("origin", origin)]).await;
        let refused = eve.refused().await;
        assert!(refused.code == RefusalCode::NotAllowed && refused.hint.contains("allowed_origins"), "{refused:?}");
    }
}

// ---- how many -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn server_room_and_rooms_have_their_size() {
    let limits = Limits { connections: 4, rooms: 2, ..Limits::default() };
    let rooms = Rooms { members: 2, ..Rooms::default() };
    let server = start(Config { limits, rooms, ..Config::default() }).await;
    let _ada = Member::join(&server, "standup", "Ada").await;
    let (bob, _) = Member::join(&server, "standup", "Bob").await;
    let refuse = async |room: &str| {
        let mut eve = Member::connect(&server, room).await;
        eve.send(&ClientMessage::Join(join(eve.secret, "Eve"))).await;
        eve.refused().await.code
    };
    assert_eq!(refuse("standup").await, RefusalCode::RoomFull);
    let _cyd = Member::join(&server, "retro", "Cyd").await;
    assert_eq!(refuse("third").await, RefusalCode::ServerFull);
    let dan = Member::connect(&server, "retro").await;
    let mut eve = Member::connect(&server, "retro").await;
    assert_eq!(eve.refused().await.code, RefusalCode::ServerFull);
    drop(dan);
    bob.close_page().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Member::join(&server, "standup", "Eve").await;
}

/// A server with members behind a proxy, whose addresses it therefore knows.
async fn behind_proxy(limits: Limits) -> Running {
    let keys = [("site".to_owned(), "0123456789abcdef0123456789abcdef".to_owned().into())].into();
    start(Config { keys, limits, trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Config::default() }).await
}

async fn from(server: &Running, address: &str) -> Member {
    Member::connect_with(server, "standup", &[("x-forwarded-for", address)]).await
}

#[tokio::test]
async fn addresses_have_their_share_of_connections() {
    let server = behind_proxy(Limits { connections_per_address: 2, ..Limits::default() }).await;
    let first = from(&server, "192.0.2.1").await;
    let _second = from(&server, "192.0.2.1").await;
    assert_eq!(from(&server, "192.0.2.1").await.refused().await.code, RefusalCode::TooManyConnections);
    let mut other = from(&server, "192.0.2.2").await;
    other.send_text("{\"ping\":{}}").await;
    assert_eq!(other.refused().await.code, RefusalCode::JoinFirst, "it may connect");
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut again = from(&server, "192.0.2.1").await;
    again.send_text("{\"ping\":{}}").await;
    assert_eq!(again.refused().await.code, RefusalCode::JoinFirst);
}

#[tokio::test]
async fn addresses_may_not_connect_all_the_time() {
    let server = behind_proxy(Limits { connects_burst: 3, connects_per_second: 1, ..Limits::default() }).await;
    for _ in 0..3 {
        drop(from(&server, "192.0.2.1").await);
    }
    assert_eq!(from(&server, "192.0.2.1").await.refused().await.code, RefusalCode::RateLimited);
    drop(from(&server, "192.0.2.2").await);
}

#[tokio::test]
async fn addresses_may_not_guess_tokens() {
    let server = behind_proxy(Limits::default()).await;
    for _ in 0..limits::FAILED_JOINS {
        let mut eve = from(&server, "192.0.2.1").await;
        eve.send_text("{\"join\":{\"v\":1,\"secret\":\"00000000000000000000000000000000\",\"name\":\"Eve\"}}").await;
        assert_eq!(eve.refused().await.code, RefusalCode::TokenRequired);
    }
    assert_eq!(from(&server, "192.0.2.1").await.refused().await.code, RefusalCode::RateLimited);
    let mut other = from(&server, "192.0.2.2").await;
    other.send_text("{}").await;
    assert_eq!(other.refused().await.code, RefusalCode::BadMessage);
}
