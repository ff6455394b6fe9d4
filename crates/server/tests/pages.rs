//! Pages, files, metrics, TLS.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::{fs, path::PathBuf, process, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use room::wire::signal::ClientMessage;
use server::{Config, Server, StartError, config};
use support::{Member, SOON, ask, dev, get, start};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{client_async, tungstenite::Message};

#[tokio::test]
async fn room_and_lobby_have_their_pages() {
    let server = dev().await;
    for (path, what) in [("/", "lobby"), ("/standup", "room")] {
        let (head, body) = get(&server, path, "").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/html; charset=utf-8"), "{head}");
        assert!(body.contains(&format!("/app/{what}.js")), "{what}");
    }
    let (head, body) = ask(&server, "HEAD /standup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty());
    let (head, _) = ask(&server, "POST /standup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("allow: GET, HEAD"), "{head}");
}

#[tokio::test]
async fn files_have_their_kind_and_are_asked_for_again_cheaply() {
    let server = dev().await;
    for (path, kind) in [
        ("/sdk/roomful.js", "text/javascript; charset=utf-8"),
        ("/app/room.js", "text/javascript; charset=utf-8"),
        ("/app/style/base.css", "text/css; charset=utf-8"),
        ("/app/icon.svg", "image/svg+xml"),
    ] {
        let (head, body) = get(&server, path, "").await;
        assert!(head.starts_with("HTTP/1.1 200") && !body.is_empty(), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}\r\n")), "{path}: {head}");
        assert!(head.contains("cache-control: no-cache"), "{path}: {head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let (head, body) = get(&server, path, &format!("If-None-Match: {known}\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{known}: {head}");
        }
        let (head, _) = get(&server, path, "If-None-Match: \"other\"\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let (head, _) = get(&server, "/sdk/roomful.js", "").await;
    assert!(head.contains("access-control-allow-origin: *"), "pages elsewhere may use the SDK");
    assert!(head.contains("cross-origin-resource-policy: cross-origin"), "{head}");
}

#[tokio::test]
async fn nothing_else_is_served() {
    let server = dev().await;
    for path in [
        "/api/rooms",
        "/sdk",
        "/sdk/",
        "/app/",
        "/app/package.json",
        "/app/../Cargo.toml",
        "/app/%2e%2e/Cargo.toml",
        "/sdk/..%2f..%2fCargo.toml",
        "/sdk//etc/passwd",
        "/sdk/nothing.js",
        "/-x",
        "/a%20b",
        "/a/b",
        "/whip",
    ] {
        let (head, body) = get(&server, path, "Accept: application/json\r\n").await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("\"hint\""), "{path}: {head}");
        let (head, body) = get(&server, path, "Accept: text/html,*/*;q=0.8\r\n").await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("href=\"/\""), "{path}: {head}");
    }
}

#[tokio::test]
async fn every_response_tells_the_browser_to_be_careful() {
    let server = dev().await;
    for path in ["/", "/standup", "/app/room.js", "/healthz", "/metrics", "/a/b"] {
        let (head, _) = get(&server, path, "").await;
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "cross-origin-opener-policy"]
        {
            assert!(head.contains(header), "{path}: {header}");
        }
        assert!(!head.contains("strict-transport-security"), "not over plain HTTP");
    }
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    ada.set(1, "title", "Standup").await;
    ada.next().await;
    let mut eve = Member::connect(&server, "standup").await;
    eve.send(&ClientMessage::Ping {}).await;
    eve.refused().await;
    let (head, body) = get(&server, "/metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "roomful_joins_total{kind=\"new\"} 1",
        "roomful_rooms 1",
        "roomful_members 1",
        "roomful_state_writes_total 1",
        "roomful_messages_received_total 3",
        "roomful_messages_sent_total 2",
        "roomful_refused_total{code=\"join_first\"} 1",
        "# TYPE roomful_joins_total counter",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} is not in:\n{body}");
    }
    ada.close_page().await;
    let (_, body) = get(&server, "/metrics", "").await;
    assert!(body.contains("roomful_rooms 0\n") && body.contains("roomful_gone_total{reason=\"left\"} 1\n"), "{body}");
}

#[tokio::test]
async fn metrics_may_have_a_token() {
    let metrics_token = Some("a word".to_owned().into());
    let server = start(Config { metrics_token, ..Config::default() }).await;
    for wrong in
        ["", "Authorization: Bearer a wor\r\n", "Authorization: Bearer a wors\r\n", "Authorization: a word\r\n"]
    {
        assert!(get(&server, "/metrics", wrong).await.0.starts_with("HTTP/1.1 401"), "{wrong}");
    }
    assert!(get(&server, "/metrics", "Authorization: Bearer a word\r\n").await.0.starts_with("HTTP/1.1 200"));
}

// ---- TLS ------------------------------------------------------------------------------------------------------------

/// A certificate for localhost and its key in files, and the certificate itself.
fn certificate(name: &str) -> (config::Tls, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = |kind: &str| folder.join(format!("{name}-{}-{kind}.pem", process::id()));
    let tls = config::Tls { certificate: file("certificate"), key: file("key") };
    fs::write(&tls.certificate, made.cert.pem()).unwrap();
    fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

async fn connect(
    server: &server::Running,
    trusted: rustls::pki_types::CertificateDer<'static>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address()).await.unwrap();
    connector.connect("localhost".try_into().unwrap(), stream).await
}

#[tokio::test]
async fn rooms_over_tls() {
    let (tls, trusted) = certificate("rooms");
    let server = start(Config { tls: Some(tls.clone()), ..Config::default() }).await;
    assert!(server.url().starts_with("https://"));
    let stream = connect(&server, trusted.clone()).await.unwrap();
    let (mut socket, _) = client_async(support::request(&server, "standup", &[]), stream).await.unwrap();
    let join = ClientMessage::Join(support::join(support::secret(), "Ada")).encode();
    socket.send(Message::text(join)).await.unwrap();
    let answer = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("\"welcome\""));

    // Certificates are read again; where they cannot be, the ones from before stay.
    let (new, new_trusted) = certificate("renewed");
    fs::copy(&new.certificate, &tls.certificate).unwrap();
    assert!(server.reload_certificates().is_err(), "the key is still the old one");
    connect(&server, trusted.clone()).await.unwrap();
    fs::copy(&new.key, &tls.key).unwrap();
    server.reload_certificates().unwrap();
    connect(&server, new_trusted).await.unwrap();
    assert!(connect(&server, trusted).await.is_err());
    for file in [tls.certificate, tls.key, new.certificate, new.key] {
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn handshake_that_never_ends_is_not_waited_for() {
    let (tls, _) = certificate("handshake");
    let server = start(Config { tls: Some(tls), ..Config::default() }).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    tokio::time::pause();
    tokio::time::advance(server::limits::TLS_TIMEOUT).await;
    tokio::time::resume();
    let mut rest = Vec::new();
    timeout(SOON, silent.read_to_end(&mut rest)).await.expect("closed").unwrap();
}

#[tokio::test]
async fn wrong_certificates_are_told() {
    let missing = config::Tls { certificate: "nowhere.pem".into(), key: "nowhere.pem".into() };
    let config = Config { dev: true, listen: "127.0.0.1:0".parse().unwrap(), tls: Some(missing), ..Config::default() };
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Tls(_)) && error.to_string().contains("nowhere.pem"), "{error}");
}
