//! What an operator can set, and the defaults.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use room::id::RoomName;
use serde::Deserialize;
use url::Url;

use crate::limits;

pub use crate::deepstream::settings::{self as deepstream, Deepstream};

/// A server's configuration: the file `roomful.toml`, with the command line's flags over it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Anyone may join, without a token. Only from the command line.
    #[serde(skip)]
    pub dev: bool,
    /// Origins of pages on other sites whose scripts may join, as `https://example.org`.
    pub allowed_origins: Vec<Origin>,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who wants `/metrics` must know this, as `Authorization: Bearer …`. Without it, anyone may see them.
    pub metrics_token: Option<Secret>,
    /// Keys that tokens may be signed with, by name: a token's `iss`.
    pub keys: BTreeMap<String, Secret>,
    /// Certificates; without them, plain HTTP.
    pub tls: Option<Tls>,
    /// What rooms are like.
    pub rooms: Rooms,
    /// The server's own relays.
    pub relay: Relay,
    /// How much of everything.
    pub limits: Limits,
    /// How deepstream's clients are served.
    pub deepstream: Deepstream,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7800)),
            dev: false,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            metrics_token: None,
            keys: BTreeMap::new(),
            tls: None,
            rooms: Rooms::default(),
            relay: Relay::default(),
            limits: Limits::default(),
            deepstream: Deepstream::default(),
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not what a configuration may be.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), source: error })?;
        text.parse()
            .map_err(|source: toml::de::Error| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }
}

impl FromStr for Config {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        toml::from_str(text)
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not there, or not allowed to be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown name, or a value that does not fit.
    #[error("the configuration {} cannot be used: {source}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}

/// What nobody should see. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a page came from, as browsers write it in `Origin`: scheme, host, and the port if it is not the scheme's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin(Url);

impl Origin {
    /// Whether this is a page on the same machine: `localhost`, or a loopback address.
    pub fn is_local(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether a `Host` header names this origin, whatever the scheme: what ends TLS may be a proxy.
    pub fn is_host(&self, host: &str) -> bool {
        format!("{}://{host}", self.0.scheme()).parse().is_ok_and(|other: Origin| other == *self)
    }

    /// Whether its host is written as an address, which no name server had a say in.
    pub fn is_address(&self) -> bool {
        matches!(self.0.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)))
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError)?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if bare { Ok(Origin(url)) } else { Err(OriginError) }
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

/// A text that is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is written as https://example.org, with a port if it has one and nothing after it")]
pub struct OriginError;

/// Where the certificates are. Read again at SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What rooms are like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// What happens when an identity enters that is in the room already.
    pub identity_policy: IdentityPolicy,
    /// Members of a room, away ones included.
    pub members: usize,
    /// How long a member whose socket ended may come back unnoticed.
    #[serde(with = "humantime_serde")]
    pub resume_window: Duration,
    /// Links of a member that the server carries at most, where no connection joins two members; 0: none.
    pub carried_links: usize,
    /// How rooms are linked while nobody asks for anything else.
    pub topology: Topology,
    /// The same for rooms of these names.
    pub topologies: BTreeMap<RoomName, Topology>,
}

impl Rooms {
    /// Whether any are to be stars.
    pub(crate) fn has_stars(&self) -> bool {
        [&self.topology].into_iter().chain(self.topologies.values()).any(|topology| *topology == Topology::Star)
    }
}

/// How a room is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// As it fits.
    #[default]
    Auto,
    /// A link for every pair.
    Mesh,
    /// A few links each, and everybody passes on.
    SmallWorld,
    /// A tree, in which members with spare uplink pass on.
    Tree,
    /// One link each, to a relay.
    Star,
}

impl Topology {
    /// What is pinned; `None`: nothing.
    pub(crate) fn pinned(self) -> Option<room::plan::Topology> {
        match self {
            Topology::Auto => None,
            Topology::Mesh => Some(room::plan::Topology::Mesh),
            Topology::SmallWorld => Some(room::plan::Topology::SmallWorld),
            Topology::Tree => Some(room::plan::Topology::Tree),
            Topology::Star => Some(room::plan::Topology::Star),
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Rooms {
            identity_policy: IdentityPolicy::Coexist,
            members: room::limits::ROOM_MEMBERS,
            resume_window: room::limits::RESUME_WINDOW.into(),
            carried_links: room::limits::CARRIED_LINKS,
            topology: Topology::Auto,
            topologies: BTreeMap::new(),
        }
    }
}

/// The server's own relays: members in its process that pass on what others say, in rooms that are stars.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Whether there are any.
    pub enabled: bool,
    /// Rooms that have one at a time, one that is going included.
    pub rooms: usize,
    /// Links that one holds.
    pub links: u16,
}

impl Default for Relay {
    fn default() -> Self {
        Relay { enabled: true, rooms: limits::RELAYS, links: room::limits::RELAY_LINKS }
    }
}

/// What happens when an identity enters that is in the room already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityPolicy {
    /// The newcomer stays, the other goes.
    Replace,
    /// The newcomer is refused.
    Reject,
    /// Both stay.
    Coexist,
}

impl From<IdentityPolicy> for room::hub::IdentityPolicy {
    fn from(policy: IdentityPolicy) -> Self {
        match policy {
            IdentityPolicy::Replace => room::hub::IdentityPolicy::Replace,
            IdentityPolicy::Reject => room::hub::IdentityPolicy::Reject,
            IdentityPolicy::Coexist => room::hub::IdentityPolicy::Coexist,
        }
    }
}

/// How much of everything. Addresses are IPv4 addresses and IPv6 networks of 64 bits; loopback addresses have only
/// the server's own limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rooms of the server.
    pub rooms: usize,
    /// Connections of members.
    pub connections: usize,
    /// Connections of members from one address.
    pub connections_per_address: u32,
    /// New connections from one address a second, in the long run.
    pub connects_per_second: u32,
    /// New connections from one address at once.
    pub connects_burst: u32,
    /// Messages from one member a second, in the long run.
    pub messages_per_second: u32,
    /// Messages from one member at once.
    pub messages_burst: u32,
    /// Bytes that wait to be sent to one member, before it is cut off as too slow.
    pub queue_bytes: usize,
    /// Messages that wait to be sent to one member, before it is cut off as too slow.
    pub queue_messages: usize,
    /// Threads that rooms are spread over; 0 takes one for every two processors.
    pub shards: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rooms: 10_000,
            connections: 20_000,
            connections_per_address: 512,
            connects_per_second: 32,
            connects_burst: 512,
            messages_per_second: limits::MESSAGES_PER_SECOND,
            messages_burst: limits::MESSAGES_BURST,
            queue_bytes: limits::QUEUE_BYTES,
            queue_messages: limits::QUEUE_MESSAGES,
            shards: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_file_shows_every_default() {
        let example: Config = include_str!("../../../roomful.example.toml").parse().unwrap();
        // What has no default but to be left out.
        let deepstream = Deepstream {
            enabled: None,
            store: None,
            ephemeral: None,
            otherwise: None,
            users: BTreeMap::new(),
            webhook: None,
            permission: Vec::new(),
            bridge: Vec::new(),
            ..example.deepstream.clone()
        };
        let rooms = Rooms { topologies: BTreeMap::new(), ..example.rooms.clone() };
        let shown =
            Config { keys: BTreeMap::new(), tls: None, metrics_token: None, rooms, deepstream, ..example.clone() };
        assert_eq!(shown, Config::default());
        let lecture = example.rooms.topologies.iter().map(|(room, topology)| (room.as_str(), *topology));
        assert_eq!(lecture.collect::<Vec<_>>(), [("lecture", Topology::Tree)]);
        assert!(!example.keys.is_empty() && example.tls.is_some() && example.metrics_token.is_some());
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = "listne = '127.0.0.1:1'".parse::<Config>().unwrap_err().to_string();
        assert!(error.contains("listne") && error.contains("listen"), "{error}");
        assert!("dev = true".parse::<Config>().is_err());
        assert!("[limits]\nroom = 1".parse::<Config>().is_err());
    }

    #[test]
    fn rooms_are_linked_as_fits_or_as_the_file_says() {
        let rooms = |text: &str| text.parse::<Config>().map(|config| config.rooms);
        assert_eq!(rooms("").unwrap().topology.pinned(), None);
        let some = rooms("[rooms]\ntopology = 'small-world'\n[rooms.topologies]\nstandup = 'auto'").unwrap();
        assert_eq!(some.topology.pinned(), Some(room::plan::Topology::SmallWorld));
        assert_eq!(some.topologies.values().map(|topology| topology.pinned()).collect::<Vec<_>>(), [None]);
        assert!(!some.has_stars());
        assert!(rooms("rooms.topologies.lecture = 'star'").unwrap().has_stars());
        assert!(rooms("rooms.topology = 'ring'").is_err() && rooms("rooms.topologies.'a b' = 'mesh'").is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let config: Config = "[keys]\nsite = 'in-nobodys-log'".parse().unwrap();
        assert!(!format!("{config:?}").contains("nobody"));
    }

    #[test]
    fn origins_are_bare() {
        for text in ["https://example.org", "http://localhost:7800", "https://[::1]:1"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in ["example.org", "https://example.org/a", "ftp://example.org", "https://a@example.org", "null", "*"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        assert_eq!("https://example.org".parse::<Origin>(), "https://EXAMPLE.org:443/".parse());
    }
}
