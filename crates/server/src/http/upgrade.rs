//! From a request to a WebSocket (RFC 6455, section 4.2).

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use room::{
    id::{IdError, RoomName},
    wire::signal::{RefusalCode, Refused},
};
use tokio::time::Instant;
use tungstenite::handshake::derive_accept_key;

use super::Peer;
use crate::{
    address::{Denied, Place},
    server::Site,
    stream::Stream,
    ws::{connection::Connection, socket::Socket},
};

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET
        && has_word(request.headers(), header::CONNECTION, "upgrade")
        && has_word(request.headers(), header::UPGRADE, "websocket")
}

/// Answers a request for a WebSocket. Refusals are told over the WebSocket too: scripts in browsers see nothing of the
/// response to a failed upgrade.
pub(super) fn answer(site: &Arc<Site>, peer: &Arc<Peer>, request: &mut Request<Incoming>) -> Response<Body> {
    if !has_word(request.headers(), header::SEC_WEBSOCKET_VERSION, "13") {
        let mut response = Response::new(Body::from("this server speaks version 13 of the WebSocket protocol\n"));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    // 16 bytes in base64.
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let accept = key.map(|key| derive_accept_key(key.as_bytes()));
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(accept), Some(upgrade)) = (accept, upgrade) else {
        let mut response = Response::new(Body::from("this is no WebSocket handshake, see RFC 6455\n"));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let admitted = admit(site, peer, request);
    tokio::spawn(run(site.clone(), upgrade, peer.clone(), admitted));

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// What a client that may join is given.
struct Admitted {
    room: RoomName,
    place: Place,
    since: Instant,
}

/// Checks what can be known before the `join`.
fn admit(site: &Arc<Site>, peer: &Peer, request: &Request<Incoming>) -> Result<Admitted, Refused> {
    let since = peer.asked_since();
    let name = request.uri().path().trim_start_matches('/');
    let room: RoomName = name.parse().map_err(|error: IdError| {
        Refused::fatal(RefusalCode::BadRoom, error.to_string(), "choose another name for the room")
    })?;
    if !site.clients.may_join(request.headers()) {
        return Err(Refused::fatal(
            RefusalCode::NotAllowed,
            "pages of this site may not join rooms of this server",
            "open the room at the server itself, or add the site to allowed_origins in the server's configuration",
        ));
    }
    let now = Instant::now();
    let place = match site.clients.address(peer.address, request.headers()) {
        Some(address) => site.members.admit(address, now),
        None => site.members.admit_any(now),
    };
    let place = place.map_err(|denied| match denied {
        Denied::Full => Refused::fatal(
            RefusalCode::ServerFull,
            "the server has all the connections that it may have",
            "come back later",
        ),
        Denied::TooMany => Refused::fatal(
            RefusalCode::TooManyConnections,
            "too many connections from this address",
            "close some, or ask the server's operator to raise connections_per_address",
        ),
        Denied::TooOften => Refused::fatal(
            RefusalCode::RateLimited,
            "too many connections, or failed joins, from this address in too short a time",
            "wait a moment before coming back",
        ),
    })?;
    Ok(Admitted { room, place, since })
}

/// A WebSocket's life: on the thread of its room's shard, where it may join.
async fn run(site: Arc<Site>, upgrade: OnUpgrade, peer: Arc<Peer>, admitted: Result<Admitted, Refused>) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() else { return };
    let (stream, read) = (parts.io.into_inner(), parts.read_buf);
    let open = site.metrics.connection();
    let Admitted { room, place, since } = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => return Connection::new(Socket::new(stream, &read), site).refuse(refused).await,
    };
    let shards = site.clone();
    shards.shards.of(&room).worker.spawn(async move {
        let Ok(stream) = stream.settle() else { return };
        let mut connection = Connection::new(Socket::new(stream, &read), site);
        drop(read);
        connection.run(room, &place, since).await;
        drop((open, peer));
    });
}

/// Whether a header is a list with this word in it.
fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    let mut words = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    words.any(|found| found.trim().eq_ignore_ascii_case(word))
}
