//! Pages, files and what machines ask for.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
    response::{Html, IntoResponse},
    routing::get,
};
use room::id::RoomName;
use serde_json::json;

use crate::{assets, server::Site};

/// Everything that the server answers.
pub(crate) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(lobby))
        .route("/app/{*path}", get(app))
        .route("/sdk/{*path}", get(sdk))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(room)
        .with_state(site)
}

/// What browsers are told about every response: to run nothing but the server's own files, and to tell nobody else
/// the address, which names the room.
const SECURITY: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), display-capture=(self)"),
];

/// Adds the headers that every response has.
pub(super) fn harden(site: &Site, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in &SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if site.tls {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
}

async fn lobby(headers: HeaderMap) -> Response<Body> {
    assets::app("index.html", &headers).unwrap_or_else(|| nothing_here(&headers))
}

async fn app(Path(path): Path<String>, headers: HeaderMap) -> Response<Body> {
    assets::app(&path, &headers).unwrap_or_else(|| nothing_here(&headers))
}

async fn sdk(Path(path): Path<String>, headers: HeaderMap) -> Response<Body> {
    assets::sdk(&path, &headers).unwrap_or_else(|| nothing_here(&headers))
}

/// Whether the server takes members.
async fn health(State(site): State<Arc<Site>>) -> Response<Body> {
    if *site.closing().borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "going down\n").into_response();
    }
    ([(header::CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Body> {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if !site.may_see_metrics(given) {
        let realm = [(header::WWW_AUTHENTICATE, "Bearer realm=\"metrics\"")];
        return (StatusCode::UNAUTHORIZED, realm, "metrics need the configuration's metrics_token\n").into_response();
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], site.metrics.render()).into_response()
}

/// A room's page.
async fn room(request: Request<Body>) -> Response<Body> {
    let headers = request.headers();
    if request.uri().path()[1..].parse::<RoomName>().is_err() {
        return nothing_here(headers);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "a room is opened, or upgraded to a WebSocket, with GET\n")
            .into_response();
    }
    assets::app("room.html", headers).unwrap_or_else(|| nothing_here(headers))
}

const NOTHING_HERE: &str = "There is no room, and nothing else, at this address.";
const ROOM_NAMES: &str = "A room's name has 1 to 64 letters, digits, dots, dashes or underscores, starts with a letter \
                          or digit, and is none of the words that the server keeps for itself.";

fn nothing_here(headers: &HeaderMap) -> Response<Body> {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>Nothing here</title><h1>Nothing here</h1><p>{NOTHING_HERE}</p><p>{ROOM_NAMES}</p>\
             <p><a href=\"/\">Choose a room</a></p></html>\n"
        );
        return (StatusCode::NOT_FOUND, Html(page)).into_response();
    }
    let error = json!({"error": {"code": "not_found", "message": NOTHING_HERE, "hint": ROOM_NAMES}});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}
