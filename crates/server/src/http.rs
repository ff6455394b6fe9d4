//! HTTP: connections, pages, files, and the upgrade of a room's address to its WebSocket.

pub(crate) mod client;
mod pages;
mod upgrade;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    pin, select,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

pub(crate) use pages::router;

use crate::{address::Place, limits, server::Site, stream::Stream};

/// A socket and what is known of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// `None` in this process.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it is one of the server's own relays, which needs no token.
    is_relay: bool,
    /// When it was accepted.
    since: Instant,
    /// Whether it has not asked for anything yet.
    fresh: AtomicBool,
    /// Its place among the sockets, where it is one.
    _place: Option<Place>,
    /// A shutdown waits for it.
    _alive: mpsc::Sender<Infallible>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, place: Place, alive: mpsc::Sender<Infallible>) -> Peer {
        Peer { address: Some(address), _place: Some(place), ..Peer::inside(alive) }
    }

    /// Somebody in this process.
    pub(crate) fn inside(alive: mpsc::Sender<Infallible>) -> Peer {
        Peer {
            address: None,
            is_relay: false,
            since: Instant::now(),
            fresh: AtomicBool::new(true),
            _place: None,
            _alive: alive,
        }
    }

    /// A relay of the server's own, in this process.
    pub(crate) fn relay(alive: mpsc::Sender<Infallible>) -> Peer {
        Peer { is_relay: true, ..Peer::inside(alive) }
    }

    /// Since when the request under way could have been made: the time that clients have counts from there, not from
    /// when they have made it.
    fn asked_since(&self) -> Instant {
        if self.fresh.swap(false, Ordering::Relaxed) { self.since } else { Instant::now() }
    }
}

/// Serves one connection until it ends, or becomes a WebSocket, which then lives in a task of its own.
pub(crate) async fn serve(stream: Stream, peer: Arc<Peer>, router: Router, site: Arc<Site>) {
    let mut closing = site.closing();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (router, site, peer) = (router.clone(), site.clone(), peer.clone());
        async move {
            let mut response = if upgrade::is_asked(&request) {
                upgrade::answer(&site, &peer, &mut request)
            } else {
                router.call(request).await?
            };
            pages::harden(&site, &mut response);
            site.metrics.http(response.status().as_u16());
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_headers(limits::HEADERS)
        .max_buf_size(limits::HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    pin!(connection);
    select! {
        // It fails where the client breaks HTTP or goes away: nobody is left to be told.
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => {}
        () = sleep(limits::HTTP_LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits::HTTP_GRACE, connection).await;
}
