//! Starting, accepting, and going down.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use ::deepstream::Loaded;
use axum::Router;
use room::hub::ConnId;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    address::{Addresses, Allowance, Denied, Place},
    bucket::Rate,
    clock::Clock,
    config::{self, Config, Secret},
    deepstream::{
        auth::Auth,
        bridge::{self, Bridges, Ground, Taps},
        desk::{self, Desk},
        settings::SettingsError,
        store::{Store, StoreError},
    },
    http::{self, Peer, client::Clients},
    limits,
    metrics::Metrics,
    outbound::Depot,
    relay::{self, Wanted},
    shard::{Settings, Shards},
    stream::Stream,
    tls::{Certificates, TlsError},
    token::{Gate, WeakKey},
};

/// The server.
#[derive(Debug)]
pub struct Server {}

/// A server at work. Dropped, it takes nobody in any more, and tells nobody: [`Running::shutdown`] is kinder.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    site: Arc<Site>,
    certificates: Option<Arc<Certificates>>,
    closing: watch::Sender<bool>,
    bridges: Option<bridge::Running>,
    relays: Option<relay::Running>,
    /// Ends when no socket is left.
    alive: mpsc::Receiver<Infallible>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Nobody could join: there are no keys, and anyone may not.
    #[error("there are no keys, so nobody could join")]
    NoKeys,
    /// A key could be guessed.
    #[error(transparent)]
    WeakKey(#[from] WeakKey),
    /// The certificates cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Rooms that are to be stars have nobody in their middle.
    #[error("rooms are to be linked as a star, and this server has no relays")]
    NoRelays,
    /// The system gives no threads.
    #[error("no threads can be started: {0}")]
    Threads(io::Error),
    /// What is configured for deepstream's clients cannot be carried out.
    #[error(transparent)]
    Deepstream(#[from] SettingsError),
    /// The file of deepstream's records cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StartError::NoKeys => {
                "put a key into the configuration (see roomful.example.toml), or pass --dev to let anyone join"
            }
            StartError::NoRelays => "set [relay] enabled, or another topology in [rooms] and [rooms.topologies]",
            StartError::WeakKey(_) => "make a longer one, for instance with `openssl rand -hex 32`",
            StartError::Tls(_) => "both files must be PEM, the server's own certificate first, and belong together",
            StartError::Deepstream(error) => error.hint(),
            StartError::Store(error) => error.hint(),
            StartError::Threads(_) => "let the server have more processes and open files (ulimit -u, ulimit -n)",
            StartError::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => "another program has this port: stop it, or choose another with --listen",
                io::ErrorKind::PermissionDenied => "ports below 1024 need permission: choose another with --listen",
                io::ErrorKind::AddrNotAvailable => "this machine has no such address: choose another with --listen",
                _ => "choose another address with --listen",
            },
        }
    }

    /// Whether the configuration is at fault, not the system.
    pub fn is_configuration(&self) -> bool {
        match self {
            StartError::Listen { .. } | StartError::Threads(_) => false,
            StartError::Store(error) => error.is_configuration(),
            _ => true,
        }
    }
}

impl Server {
    /// Starts a server in the current tokio runtime.
    ///
    /// # Errors
    /// Where the configuration lets nobody in, or cannot be carried out.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let is_for_deepstream = !config.deepstream.users.is_empty() || config.deepstream.webhook.is_some();
        if config.keys.is_empty() && !config.dev && !is_for_deepstream {
            return Err(StartError::NoKeys);
        }
        if !config.relay.enabled && config.rooms.has_stars() {
            return Err(StartError::NoRelays);
        }
        let gate = Gate::new(&config.keys, config.dev)?;
        let certificates = config.tls.clone().map(Certificates::load).transpose()?.map(Arc::new);
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = bind(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;

        let (closing, _) = watch::channel(false);
        let (taps, bridges) = Bridges::new(&config);
        let desk = open_desk(&config, taps).await?;
        let site = Site::new(&config, gate, desk, closing.subscribe()).map_err(StartError::Threads)?;
        let site = Arc::new(site);
        let (alive_sender, alive) = mpsc::channel(1);
        let router = http::router(site.clone());
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let ground = Ground {
            site: site.clone(),
            router: router.clone(),
            alive: alive_sender.clone(),
            address: url(scheme, address, config.dev),
            key: config.keys.first_key_value().map(|(name, secret)| (name.clone(), secret.clone())),
        };
        // Before anybody connects, so that nobody finds a bridged room's records missing.
        let ground = Arc::new(ground);
        let bridges = bridges.start(&ground).await.map_err(StartError::Threads)?;
        let relays = relay::start(&ground, &config.relay);
        let accept =
            Accept { listener, router, site: site.clone(), certificates: certificates.clone(), alive: alive_sender };
        tokio::spawn(accept.run());
        info!(%address, tls = certificates.is_some(), dev = config.dev, "listening");
        Ok(Running { address, site, certificates, closing, bridges, relays, alive })
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the lobby, to be opened on this machine. A room's is this and its name.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        url(scheme, self.address, true)
    }

    /// Reads the certificates again.
    ///
    /// # Errors
    /// Where they cannot be used: then those from before stay.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload())
    }

    /// Accepts nobody any more, tells all members, and waits until all sockets are closed, for
    /// [`limits::DRAIN`] at most.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        if let Some(bridges) = &mut self.bridges {
            bridges.ended().await;
        }
        if let Some(relays) = &mut self.relays {
            relays.ended().await;
        }
        self.site.shards.shut_down().await;
        if let Some(desk) = &self.site.desk {
            desk.shut_down().await;
        }
        if timeout(limits::DRAIN, self.alive.recv()).await.is_err() {
            warn!("some sockets did not close in time");
        }
        info!("stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) clients: Clients,
    pub(crate) gate: Gate,
    pub(crate) shards: Shards,
    /// Where rooms ask for relays.
    pub(crate) relays: Option<Arc<Wanted>>,
    /// Where deepstream's clients are served.
    pub(crate) desk: Option<desk::Handle>,
    pub(crate) depot: Arc<Depot>,
    /// Members' connections by address.
    pub(crate) members: Arc<Addresses>,
    /// How many messages one member may send.
    pub(crate) messages: Rate,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tls: bool,
    /// Sockets by address.
    sockets: Arc<Addresses>,
    metrics_token: Option<Secret>,
    closing: watch::Receiver<bool>,
    conns: AtomicU64,
}

impl Site {
    fn new(config: &Config, gate: Gate, desk: Option<OpenDesk>, closing: watch::Receiver<bool>) -> io::Result<Site> {
        let config::Limits { connections, messages_per_second, messages_burst, shards, .. } = config.limits;
        let (members, sockets) = allowances(config);
        let (clock, metrics) = (Clock::start(), Arc::new(Metrics::new()));
        let desk = desk
            .map(|OpenDesk { config, auth, store, taps }| {
                Desk { config, auth, store, taps, clock, metrics: metrics.clone() }.start()
            })
            .transpose()?;
        let settings = Arc::new(Settings {
            identity_policy: config.rooms.identity_policy.into(),
            members_max: config.rooms.members.min(room::limits::ROOM_MEMBERS),
            rooms_max: config.limits.rooms.min(connections),
            resume_window: config.rooms.resume_window.into(),
            carried_links: config.rooms.carried_links,
            topology: config.rooms.topology.pinned(),
            topologies: config.rooms.topologies.iter().map(|(name, how)| (name.clone(), how.pinned())).collect(),
            relays: config.relay.enabled.then(Arc::default),
            clock,
            metrics: metrics.clone(),
            rooms: AtomicUsize::new(0),
        });
        let relays = settings.relays.clone();
        let shards = if shards == 0 { usual_shards() } else { shards };
        Ok(Site {
            clients: Clients {
                trusted_proxies: config.trusted_proxies.clone(),
                allowed_origins: config.allowed_origins.clone(),
                local_origins: config.dev,
                guard_names: config.dev && config.listen.ip().is_loopback(),
            },
            gate,
            shards: Shards::start(shards, &settings)?,
            relays,
            desk,
            depot: Arc::new(Depot::new(config.limits.queue_messages, config.limits.queue_bytes)),
            members: Arc::new(Addresses::new(members)),
            messages: Rate { burst: messages_burst, per_second: messages_per_second },
            metrics,
            tls: config.tls.is_some(),
            sockets: Arc::new(Addresses::new(sockets)),
            metrics_token: config.metrics_token.clone(),
            closing,
            conns: AtomicU64::new(0),
        })
    }

    /// Becomes true when the server goes down.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }

    /// A number for a connection that no other has had.
    pub(crate) fn next_conn(&self) -> ConnId {
        ConnId(self.conns.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether an `Authorization` header is what the metrics want.
    pub(crate) fn may_see_metrics(&self, given: Option<&[u8]>) -> bool {
        let Some(token) = &self.metrics_token else { return true };
        let token = token.reveal().as_bytes();
        let Some(given) = given.and_then(|given| given.strip_prefix(b"Bearer ")) else { return false };
        // In constant time, so that nobody finds the token byte by byte.
        given.len() == token.len() && given.iter().zip(token).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }

    fn place(self: &Arc<Self>, address: IpAddr) -> Result<Place, Denied> {
        let now = Instant::now();
        if self.clients.is_proxy(address) { self.sockets.admit_any(now) } else { self.sockets.admit(address, now) }
    }
}

/// What deepstream's clients are served with, before anything runs.
struct OpenDesk {
    config: ::deepstream::Config,
    auth: Auth,
    store: Option<(Store, Vec<Loaded>)>,
    taps: Taps,
}

async fn open_desk(config: &Config, taps: Taps) -> Result<Option<OpenDesk>, StartError> {
    let settings = &config.deepstream;
    let Some(engine) = settings.engine(config.dev, !config.keys.is_empty())? else { return Ok(None) };
    let auth = Auth::new(config)?;
    let store = match &settings.store {
        Some(path) => Some(Store::open(path.clone()).await?),
        None => None,
    };
    Ok(Some(OpenDesk { config: engine, auth, store, taps }))
}

/// One for every two processors: a thread that is awake anyway takes what comes meanwhile for little, and the others have
/// HTTP, TLS and everything else that is not a room's to do.
fn usual_shards() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

/// What one address, and all together, may have: of members' connections, and of sockets, of which there may be a few
/// more, so that whoever may not join is told so.
fn allowances(config: &Config) -> (Allowance, Allowance) {
    let config::Limits { connections, connections_per_address, connects_per_second, connects_burst, .. } =
        config.limits;
    let failures = Rate { burst: limits::FAILED_JOINS, per_second: limits::FAILED_JOINS_PER_SECOND };
    let unlimited = Rate { burst: u32::MAX, per_second: u32::MAX };
    if config.dev {
        let members = Allowance { total: connections, each: u32::MAX, connects: unlimited, failures: unlimited };
        return (members, Allowance { total: connections.saturating_add(limits::SPARE_SOCKETS), ..members });
    }
    let times = |rate: u32| rate.saturating_mul(limits::SOCKETS_PER_CONNECT);
    let members = Allowance {
        total: connections,
        each: connections_per_address,
        connects: Rate { burst: connects_burst, per_second: connects_per_second },
        failures,
    };
    let sockets = Allowance {
        total: connections.saturating_add(limits::SPARE_SOCKETS),
        each: connections_per_address.saturating_add(limits::SPARE_SOCKETS_PER_ADDRESS),
        connects: Rate { burst: times(connects_burst), per_second: times(connects_per_second) },
        failures,
    };
    (members, sockets)
}

/// The address of the lobby. Where all addresses are listened at it is this machine's, if `is_here`, and else nobody's.
fn url(scheme: &str, address: SocketAddr, is_here: bool) -> String {
    if is_here && address.ip().is_unspecified() {
        return format!("{scheme}://localhost:{}/", address.port());
    }
    format!("{scheme}://{address}/")
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that was restarted must not wait for its old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::BACKLOG)
}

/// Takes connections in until the server goes down.
struct Accept {
    listener: TcpListener,
    site: Arc<Site>,
    router: Router,
    certificates: Option<Arc<Certificates>>,
    alive: mpsc::Sender<Infallible>,
}

impl Accept {
    async fn run(self) {
        let mut closing = self.site.closing();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, address)) => self.take(socket, address),
                Err(error) => {
                    // A connection that ended before it was accepted is nothing; too many open files will pass.
                    warn!(%error, "a connection could not be accepted");
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, socket: TcpStream, address: SocketAddr) {
        let place = match self.site.place(address.ip()) {
            Ok(place) => place,
            Err(denied) => {
                debug!(%address, ?denied, "connection denied");
                if self.certificates.is_none() {
                    deny(&socket, denied);
                }
                return;
            }
        };
        // What is written is written in one piece already.
        let _ = socket.set_nodelay(true);
        let peer = Arc::new(Peer::new(address, place, self.alive.clone()));
        let (router, site) = (self.router.clone(), self.site.clone());
        match &self.certificates {
            None => drop(tokio::spawn(http::serve(Stream::Plain(socket), peer, router, site))),
            Some(certificates) => {
                let handshake = certificates.acceptor().accept(socket);
                tokio::spawn(async move {
                    match timeout(limits::TLS_TIMEOUT, handshake).await {
                        Ok(Ok(stream)) => http::serve(Stream::Tls(Box::new(stream)), peer, router, site).await,
                        _ => site.metrics.tls_failed(),
                    }
                });
            }
        }
    }
}

/// Says no in as few bytes as HTTP allows. It need not arrive.
fn deny(socket: &TcpStream, denied: Denied) {
    let response: &[u8] = match denied {
        Denied::Full => {
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
        Denied::TooMany | Denied::TooOften => {
            b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
    };
    let _ = socket.try_write(response);
}
