//! From a request to a WebSocket (RFC 6455, section 4.2).

use std::sync::Arc;

use ::deepstream::Wire;
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
    deepstream::{auth::ConnectionData, connection as deepstream},
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
    let visit = match knock(site, peer, request) {
        Ok(visit) => visit,
        Err(response) => return *response,
    };
    tokio::spawn(run(site.clone(), upgrade, peer.clone(), visit));

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// What a WebSocket is for.
enum Visit {
    /// A room, or the reason why it may not be joined.
    Room(Result<Admitted, Refused>),
    /// What deepstream's clients talk to.
    Deepstream(deepstream::Visit),
}

/// What a client that may join is given.
struct Admitted {
    room: RoomName,
    place: Place,
    since: Instant,
    is_relay: bool,
}

/// Finds out what a WebSocket is for. deepstream's clients would not understand a refusal: they get a response that
/// says it to whoever looks.
fn knock(site: &Site, peer: &Peer, request: &Request<Incoming>) -> Result<Visit, Box<Response<Body>>> {
    let wire = match (&site.desk, request.uri().path()) {
        // Clients of the text protocol add this path too, where they were given none.
        (Some(_), "/deepstream") => None,
        (Some(_), "/deepstream-v3") => Some(Wire::Text),
        _ => return Ok(Visit::Room(admit(site, peer, request))),
    };
    let no = |status: StatusCode, refused: &Refused| {
        let mut response = Response::new(Body::from(format!("{}: {}\n", refused.message, refused.hint)));
        *response.status_mut() = status;
        Box::new(response)
    };
    if !site.clients.may_join(request.headers()) {
        return Err(no(StatusCode::FORBIDDEN, &wrong_origin()));
    }
    let place = place(site, peer, request).map_err(|refused| match refused.code {
        RefusalCode::ServerFull => no(StatusCode::SERVICE_UNAVAILABLE, &refused),
        _ => no(StatusCode::TOO_MANY_REQUESTS, &refused),
    })?;
    let address = peer.address.and_then(|address| site.clients.address(address, request.headers()));
    let wants_data = site.desk.as_ref().is_some_and(|desk| desk.wants_data);
    let data = wants_data.then(|| ConnectionData::new(address, request.uri(), request.headers()));
    Ok(Visit::Deepstream(deepstream::Visit { wire, data, place }))
}

/// Checks what can be known before the `join`.
fn admit(site: &Site, peer: &Peer, request: &Request<Incoming>) -> Result<Admitted, Refused> {
    let since = peer.asked_since();
    let name = request.uri().path().trim_start_matches('/');
    let room: RoomName = name.parse().map_err(|error: IdError| {
        Refused::fatal(RefusalCode::BadRoom, error.to_string(), "choose another name for the room")
    })?;
    if !site.clients.may_join(request.headers()) {
        return Err(wrong_origin());
    }
    let place = place(site, peer, request)?;
    Ok(Admitted { room, place, since, is_relay: peer.is_relay })
}

fn wrong_origin() -> Refused {
    Refused::fatal(
        RefusalCode::NotAllowed,
        "pages of this site may not use this server",
        "open the page at the server itself, or add the site to allowed_origins in the server's configuration",
    )
}

/// A place among the connections of the client's address.
fn place(site: &Site, peer: &Peer, request: &Request<Incoming>) -> Result<Place, Refused> {
    let now = Instant::now();
    let place = match peer.address.and_then(|address| site.clients.address(address, request.headers())) {
        Some(address) => site.members.admit(address, now),
        None => site.members.admit_any(now),
    };
    place.map_err(|denied| match denied {
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
            "too many connections, or failed joins or logins, from this address in too short a time",
            "wait a moment before coming back",
        ),
    })
}

/// A WebSocket's life: on the thread of whoever answers it.
async fn run(site: Arc<Site>, upgrade: OnUpgrade, peer: Arc<Peer>, visit: Visit) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() else { return };
    let (stream, read) = (parts.io.into_inner(), parts.read_buf);
    let (open, shared) = (site.metrics.connection(), site.clone());
    match (visit, &shared.desk) {
        (Visit::Room(Ok(Admitted { room, place, since, is_relay })), _) => {
            shared.shards.of(&room).worker.spawn(async move {
                let Ok(stream) = stream.settle() else { return };
                let socket = Socket::new(stream, &read, room::limits::CARRIED_MAX);
                drop(read);
                Connection::new(socket, site, is_relay).run(room, &place, since).await;
                drop((open, peer));
            });
        }
        (Visit::Deepstream(visit), Some(desk)) => desk.worker.spawn(async move {
            let Ok(stream) = stream.settle() else { return };
            let socket = Socket::new(stream, &read, ::deepstream::limits::FRAME_BEFORE_LOGIN);
            drop(read);
            deepstream::run(socket, site, visit).await;
            drop((open, peer));
        }),
        (Visit::Room(Err(refused)), _) => {
            let socket = Socket::new(stream, &read, room::limits::CARRIED_MAX);
            Connection::new(socket, site, false).refuse(refused).await;
        }
        (Visit::Deepstream(_), None) => {}
    }
}

/// Whether a header is a list with this word in it.
fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    let mut words = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    words.any(|found| found.trim().eq_ignore_ascii_case(word))
}
