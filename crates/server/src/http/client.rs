//! Who a request comes from: its address behind trusted proxies, and the page whose script sent it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::config::Origin;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which addresses and origins count.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) allowed_origins: Vec<Origin>,
    /// Pages of this machine may join.
    pub(crate) local_origins: bool,
    /// The server can be reached from this machine only, and lets anyone join.
    pub(crate) guard_names: bool,
}

impl Clients {
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// The client's address. `None` where only that of a proxy is known.
    pub(crate) fn address(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.ip().to_canonical();
        if !self.is_proxy(peer) {
            return Some(peer);
        }
        // Each proxy appends whom it heard from, so that what is right of the last trusted one is true; what is left
        // of it may be anything.
        let hops = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
        hops.flat_map(|value| value.rsplit(','))
            .map_while(|hop| hop.trim().parse::<IpAddr>().ok())
            .find(|address| !self.is_proxy(*address))
    }

    /// Whether a script of the page that sent this may join. What is no browser sends no origin, and may.
    pub(crate) fn may_join(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Some(origin) = origin.to_str().ok().and_then(|text| text.parse::<Origin>().ok()) else { return false };
        if self.allowed_origins.contains(&origin) || (self.local_origins && origin.is_local()) {
            return true;
        }
        // A page elsewhere can let its own name point to this machine and so be of the "same" origin. Where it is
        // only this machine that may connect, no honest page has such a name.
        if self.guard_names && !origin.is_local() && !origin.is_address() {
            return false;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| origin.is_host(host))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn clients() -> Clients {
        Clients {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
            allowed_origins: vec!["https://app.example".parse().unwrap()],
            local_origins: false,
            guard_names: false,
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn forwarded_addresses_count_from_trusted_proxies_only() {
        let address = |peer: &str, forwarded: &[(&'static str, &'static str)]| {
            clients().address(peer.parse().unwrap(), &headers(forwarded)).map(|address| address.to_string())
        };
        let name = "x-forwarded-for";
        assert_eq!(address("192.0.2.1:1", &[(name, "198.51.100.1")]).as_deref(), Some("192.0.2.1"));
        assert_eq!(address("10.0.0.1:1", &[(name, "198.51.100.1")]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address("[::ffff:10.0.0.1]:1", &[(name, "198.51.100.1")]).as_deref(), Some("198.51.100.1"));
        let spoofed = "198.51.100.66, 198.51.100.1, 10.0.0.2";
        assert_eq!(address("10.0.0.1:1", &[(name, spoofed)]).as_deref(), Some("198.51.100.1"));
        let lines = [(name, "198.51.100.66"), (name, "198.51.100.1"), (name, "2001:db8::1")];
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(clients().address("10.0.0.1:1".parse().unwrap(), &map), Some("198.51.100.1".parse().unwrap()));
        for unknown in [&[][..], &[(name, "unknown")], &[(name, "198.51.100.1, nonsense")], &[(name, "10.0.0.2")]] {
            assert_eq!(address("10.0.0.1:1", unknown), None);
        }
    }

    #[test]
    fn pages_elsewhere_may_not_join() {
        let may = |clients: &Clients, origin, host| clients.may_join(&headers(&[("origin", origin), ("host", host)]));
        let usual = clients();
        assert!(usual.may_join(&HeaderMap::new()));
        assert!(may(&usual, "https://rooms.example", "rooms.example"), "behind a proxy that ends TLS");
        assert!(may(&usual, "http://rooms.example:7800", "rooms.example:7800"));
        assert!(may(&usual, "https://app.example", "rooms.example"));
        for origin in
            ["https://evil.example", "https://rooms.example:444", "http://localhost:3000", "null", "https://a/b"]
        {
            assert!(!may(&usual, origin, "rooms.example"), "{origin}");
        }
        let dev = Clients { local_origins: true, guard_names: true, ..clients() };
        assert!(may(&dev, "http://localhost:3000", "127.0.0.1:7800"));
        assert!(may(&dev, "http://127.0.0.1:7800", "127.0.0.1:7800"));
        assert!(may(&dev, "http://192.0.2.1:7800", "192.0.2.1:7800"));
        assert!(!may(&dev, "http://rebound.example:7800", "rebound.example:7800"));
        assert!(!may(&dev, "https://evil.example", "127.0.0.1:7800"));
    }
}
