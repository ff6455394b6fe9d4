//! Entering, and not being let in.

use std::{net::SocketAddr, time::Duration};

use roomful::{JoinError, RefusalCode};
use server::{Config, Server, config::Secret, token::Claims};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::scene::{room_at, server, within};

const SECRET: &str = "an-utterly-secret-secret-of-forty-characters";

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_once() {
    for address in ["standup", "http://127.0.0.1:1/", "http://127.0.0.1:1/metrics", "ftp://127.0.0.1/a"] {
        let error = roomful::join(address).await.expect_err("no room");
        assert_eq!(error.code(), "bad_address");
        assert!(!error.hint().is_empty());
    }
}

#[tokio::test]
async fn the_servers_refusal_is_told() {
    let server = server().await;
    let error = within(roomful::join(room_at(server.address())).name("x".repeat(65))).await.expect_err("too long");
    assert!(
        matches!(&error, JoinError::Refused { code: RefusalCode::BadName, hint, .. } if !hint.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn who_brings_no_name_is_a_guest() {
    let server = server().await;
    assert_eq!(within(roomful::join(room_at(server.address()))).await.expect("let in").me().name, "guest");
    for (name, expected) in [("", "guest"), (" \n", "guest"), (" Ada ", "Ada")] {
        assert_eq!(crate::scene::enter(&server, name).await.me().name, expected);
    }
}

#[tokio::test]
async fn what_is_no_roomful_server_is_told_at_once() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let joining = tokio::time::timeout(Duration::from_secs(5), roomful::join(room_at(address)).into_future());
    let error = joining.await.expect("it takes too long").expect_err("no server");
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("404"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_is_given_up() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let error = within(roomful::join(room_at(address))).await.expect_err("no answer");
    assert_eq!(error.code(), "unreachable");
    assert!(!error.hint().is_empty());
}

#[tokio::test]
async fn a_token_is_asked_for_and_sent() {
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        keys: [("site".to_owned(), Secret::from(SECRET.to_owned()))].into(),
        ..Config::default()
    };
    let server = Server::start(config).await.expect("a free port");
    let address = room_at(server.address());
    let refused = within(roomful::join(&address).name("Ada")).await.expect_err("no token");
    assert_eq!(refused.code(), "token_required");
    let refused = within(roomful::join(&address).name("Ada").token("nonsense")).await.expect_err("no token");
    assert_eq!(refused.code(), "token_invalid");
    let failed = within(roomful::join(&address).token_from(async || Err("the site is down"))).await.expect_err("none");
    assert_eq!(failed, JoinError::Token("the site is down".to_owned()));

    let claims = Claims::to_join(&"room".parse().expect("a room"), "ada", Duration::from_secs(60));
    let token = claims.sign("site", &Secret::from(SECRET.to_owned())).expect("a long key");
    let asked = move || {
        let token = token.clone();
        async move { Ok::<_, std::convert::Infallible>(token) }
    };
    let room = within(roomful::join(&address).name("Ada").token_from(asked)).await.expect("a good token");
    assert_eq!(room.me().identity.as_deref(), Some("ada"));
}
