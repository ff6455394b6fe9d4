//! Entering a room.

use std::{
    fmt,
    future::{Future, IntoFuture},
    io,
    pin::Pin,
    sync::Arc,
};

use room::{
    id::Secret,
    member::Config,
    wire::signal::{Attributes, GUEST, Member, RelayOffer, Token},
};
use signer::Signer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

use crate::{
    JoinError, Membership, Room,
    address::Address,
    driver::{Driver, Session},
    links::Links,
    secrecy::Secrecy,
    shared::Shared,
    socket::{Io, Socket},
};

/// Enters the room at an address: `https://host/standup`, as in a browser. With a `#key=…` at its end the room is secret:
/// see [`RoomKey`](crate::RoomKey).
///
/// ```no_run
/// # async fn example() -> Result<(), roomful::JoinError> {
/// let room = roomful::join("http://127.0.0.1:7800/standup").name("bot").await?;
/// # Ok(())
/// # }
/// ```
pub fn join(address: impl Into<String>) -> Join {
    Join {
        address: address.into(),
        name: GUEST.to_owned(),
        attributes: Attributes::new(),
        token: None,
        topology: None,
        relay: None,
        connector: None,
    }
}

/// A room to be entered; await it.
///
/// It must be awaited in a tokio runtime with I/O and time, in which the member then lives, in one task.
#[derive(Clone)]
#[must_use = "a room is entered when this is awaited"]
pub struct Join {
    address: String,
    name: String,
    attributes: Attributes,
    token: Option<TokenSource>,
    topology: Option<String>,
    relay: Option<RelayOffer>,
    connector: Option<Connector>,
}

impl Join {
    /// What others call this member, at most [`room::limits::NAME_MAX`] characters without the white space at its ends.
    /// `guest` unless told, or where nothing is left; a token may say otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Join {
        self.name = name.into();
        self
    }

    /// A signed token, where the server wants one.
    pub fn token(mut self, token: impl Into<String>) -> Join {
        self.token = Some(TokenSource::Fixed(Token(token.into())));
        self
    }

    /// Asks for a token each time that the server is to let this member in, also when it comes back: tokens expire.
    pub fn token_from<F, Fut, E>(mut self, provider: F) -> Join
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.token = Some(TokenSource::Asked(Arc::new(move || {
            let token = provider();
            Box::pin(async move { token.await.map(Token).map_err(|error| error.to_string()) })
        })));
        self
    }

    /// Says something of this member, for all to see: at most [`room::limits::ATTRIBUTES_MAX`] attributes and
    /// [`room::limits::ATTRIBUTES_BYTES`] bytes.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Join {
        self.attributes.insert(key.into(), value.into());
        self
    }

    /// Says several things of this member.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Join {
        self.attributes.extend(attributes.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The topology to ask the room for: `auto`, `mesh`, `small-world`, `tree` or `star`.
    pub fn topology(mut self, topology: impl Into<String>) -> Join {
        self.topology = Some(topology.into());
        self
    }

    /// Enters as a relay, which holds so many links at most: it passes on what others say where the room's topology lets it,
    /// and is nobody to them. It hears of members and links, not of messages, and should say nothing itself. With tokens it
    /// needs one that grants it. [`Membership::drain`] lets it go without anybody's waiting for what it was passing on.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), roomful::JoinError> {
    /// let relay = roomful::join("https://example.org/standup").name("relay").relay(500).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn relay(mut self, max_links: u16) -> Join {
        self.relay = Some(RelayOffer { max_links: Some(max_links) });
        self
    }

    /// Reaches the server over byte streams of the program's own instead of over TCP: through a proxy, a Unix socket, or
    /// memory, where the server is in the same process. It is asked for one each time that the member connects, also
    /// when it comes back; one that fails is as a server that is out of reach.
    ///
    /// The address still says which room it is, and which host the server hears. The stream is used as it is: where it
    /// must be encrypted, it is already, whatever the address's scheme. Links to other members do not go over it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), roomful::JoinError> {
    /// # #[cfg(unix)] {
    /// let join = roomful::join("http://localhost/standup").name("bot");
    /// let room = join.connector(|| tokio::net::UnixStream::connect("/run/roomful")).await?;
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn connector<F, Fut, S>(mut self, connect: F) -> Join
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.connector = Some(Connector(Arc::new(move || {
            let connecting = connect();
            Box::pin(async move { connecting.await.map(|stream| Box::new(stream) as Box<dyn Io>) })
        })));
        self
    }

    async fn enter(self) -> Result<Room, JoinError> {
        let address = Address::parse(&self.address)?;
        let (mut secret, mut seed, mut salt, mut pair) = ([0; 16], [0; 4], [0; 5], [0; 32]);
        for random in [&mut secret[..], &mut seed, &mut salt, &mut pair] {
            getrandom::fill(random).map_err(|error| JoinError::Endpoint(error.to_string()))?;
        }
        let signer = Signer::new(&pair);
        let config = Config {
            secret: Secret(secret),
            key: Some(signer.key()),
            name: self.name,
            attributes: self.attributes,
            token: None,
            topology: self.topology,
            relay: self.relay,
            agent: Some(concat!("roomful-rust/", env!("CARGO_PKG_VERSION")).to_owned()),
            seed: u32::from_le_bytes(seed),
        };
        let this = Member {
            id: config.secret.member_id(),
            name: config.name.clone(),
            identity: None,
            attributes: config.attributes.clone(),
            mute: false,
            relay: config.relay.is_some(),
            key: config.key,
        };
        // By the id that this member gave itself: a server that could choose it could have a key used twice.
        let secrecy = Secrecy::new(this.id, address.key.as_ref(), address.room.clone(), salt);
        let is_secret = address.key.is_some();
        let links = Links::bind(address.loopback).map_err(|error| JoinError::Endpoint(error.to_string()))?;
        let socket = Socket::new(address, self.token, self.connector);
        let shared = Shared::new(this, is_secret);
        let (membership, requests) = Membership::new(Arc::clone(&shared));
        let (entered, entering) = oneshot::channel();
        // Made first: should this future be dropped while it waits, so is the room, and the driver leaves.
        let room = Room::new(membership);
        let session = Session { config, secrecy, signer };
        tokio::spawn(Driver::new(session, links, socket, shared, requests, entered).run());
        match entering.await {
            Ok(Ok(())) => Ok(room),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(JoinError::Endpoint("the member's task ended".to_owned())),
        }
    }
}

impl IntoFuture for Join {
    type Output = Result<Room, JoinError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.enter())
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<Token, String>> + Send>>;

/// Where tokens come from.
#[derive(Clone)]
pub(crate) enum TokenSource {
    Fixed(Token),
    Asked(Arc<dyn Fn() -> Asked + Send + Sync>),
}

impl TokenSource {
    pub(crate) async fn token(&self) -> Result<Token, String> {
        match self {
            TokenSource::Fixed(token) => Ok(token.clone()),
            TokenSource::Asked(ask) => ask().await,
        }
    }
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Where byte streams to the server come from.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Fn() -> Connecting + Send + Sync>);

impl Connector {
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Io>> {
        (self.0)().await
    }
}
