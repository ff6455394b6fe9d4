//! A room's address: `https://host/standup`, in a browser and here.

use room::id::{IdError, RoomName};
use url::{Host, Url};

use crate::{RoomKey, RoomKeyError};

/// Where a room is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// What the socket is opened with: `ws:` or `wss:`, without the fragment, which no server may see.
    pub socket: Url,
    /// The room's name.
    pub room: RoomName,
    /// What the room's members share and no server sees, where the address has it.
    pub key: Option<RoomKey>,
    /// Whether the server is on this machine.
    pub loopback: bool,
}

/// Text that is no room's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL.
    #[error("\"{0}\" is not an address: {1}")]
    Url(String, url::ParseError),
    /// Not one of the four schemes that lead to rooms.
    #[error("an address begins with https, http, wss or ws, not with \"{0}\"")]
    Scheme(String),
    /// The path is not one room's name.
    #[error("\"{0}\" is not a room: {1}")]
    Room(String, IdError),
    /// What follows `#` was meant to be the room's key and is not.
    #[error("the room's key is not whole: {0}")]
    Key(#[from] RoomKeyError),
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            AddressError::Key(_) => "copy the whole address again, up to its end; it ends in #key= and the key",
            _ => "a room's address is like https://example.org/standup: a server, and one name",
        }
    }
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, AddressError> {
        let url = Url::parse(text.trim()).map_err(|error| AddressError::Url(shown(text), error))?;
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let room = path.parse::<RoomName>().map_err(|error| AddressError::Room(path.to_owned(), error))?;
        let key = RoomKey::of_fragment(url.fragment().unwrap_or_default())?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let mut socket = url;
        socket.set_fragment(None);
        // An address with a host can do without a user, and these four schemes may all be changed into each other.
        let changed = socket.set_username("").and(socket.set_password(None)).and(socket.set_scheme(scheme));
        debug_assert!(changed.is_ok());
        Ok(Address { socket, room, key, loopback })
    }

    /// Host and port, to connect to.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = match self.socket.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => String::new(),
        };
        (host, self.socket.port_or_known_default().unwrap_or_default())
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.socket.scheme() == "wss"
    }
}

/// Without what follows `#`: that is a secret, which errors and logs must not show.
fn shown(text: &str) -> String {
    text.split('#').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_address_is_the_sockets_without_its_secret() {
        let key = RoomKey::random().expect("randomness");
        let address = Address::parse(&format!(" https://example.org/standup#{} ", key.fragment())).expect("an address");
        assert_eq!(address.socket.as_str(), "wss://example.org/standup");
        assert_eq!((address.room.as_str(), &address.key), ("standup", &Some(key)));
        assert_eq!(address.host_and_port(), ("example.org".to_owned(), 443));
        assert!(address.is_secure() && !address.loopback);
        let address = Address::parse("http://ada:s3cret@example.org/standup").expect("an address");
        assert_eq!((address.socket.as_str(), &address.key), ("ws://example.org/standup", &None));
        let address = Address::parse("http://[::1]:7800/a").expect("an address");
        assert_eq!(address.socket.as_str(), "ws://[::1]:7800/a");
        assert_eq!(address.host_and_port(), ("::1".to_owned(), 7800));
        assert!(!address.is_secure() && address.loopback);
        assert!(Address::parse("ws://localhost/a").is_ok_and(|address| address.loopback));
    }

    #[test]
    fn what_is_no_room_is_told_without_its_secret() {
        for text in
            ["standup", "ftp://example.org/a", "https://example.org/", "https://example.org/a/b", "http://x/sdk"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        for text in
            ["//nowhere#key=s3cret", "http://x/a#key=s3cret", "http://x/a#KEY=s3cret", "http://x/sdk#key=s3cret"]
        {
            let error = Address::parse(text).expect_err("no room, or no key");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
