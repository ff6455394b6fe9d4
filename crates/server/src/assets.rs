//! Files of the web app and the browser SDK, in the binary.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The web app, at `/`, at rooms' addresses and at `/app/…`.
#[derive(RustEmbed)]
#[folder = "../../app"]
#[include = "*.html"]
#[include = "*.js"]
#[include = "*.css"]
#[include = "*.svg"]
#[include = "*.png"]
#[include = "*.woff2"]
#[include = "*.webmanifest"]
#[exclude = "test/*"]
#[exclude = "node_modules/*"]
struct App;

/// The browser SDK, at `/sdk/…`.
#[derive(RustEmbed)]
#[folder = "../../sdk/src"]
#[include = "*.js"]
#[include = "*.d.ts"]
#[exclude = "node_modules/*"]
struct Sdk;

/// A file of the web app.
pub(crate) fn app(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    App::get(path).map(|file| respond(file, headers))
}

/// A file of the browser SDK. Pages on other sites may use it.
pub(crate) fn sdk(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let mut response = respond(Sdk::get(path)?, headers);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    Some(response)
}

fn respond(file: EmbeddedFile, asked: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let fresh = known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    });
    let mut response = if fresh {
        Response::new(Body::empty())
    } else {
        Response::new(Body::from(match file.data {
            std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
            std::borrow::Cow::Owned(data) => Bytes::from(data),
        }))
    };
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let kind = file.metadata.mimetype();
    let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    let headers = response.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).expect("MIME types and hex are header values");
    headers.insert(header::CONTENT_TYPE, value(&kind));
    headers.insert(header::ETAG, value(&tag));
    // Names stay the same from version to version: ask each time, and be told that nothing has changed.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
