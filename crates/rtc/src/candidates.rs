//! ICE candidates: ours from the interface list, the remote's from its description or trickled.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use str0m::net::Protocol;
use str0m::{Candidate, CandidateKind};

use crate::limits::{HOSTS_MAX_AGE, MAX_CANDIDATE_BYTES, MAX_HOST_CANDIDATES};

/// Addresses of this host that a peer may reach us at.
pub(crate) struct Hosts {
    /// Where the socket is bound.
    bound: SocketAddr,
    loopback: bool,
    addresses: Vec<SocketAddr>,
    gathered: Option<Instant>,
}

impl Hosts {
    pub(crate) fn new(bound: SocketAddr, loopback: bool) -> Hosts {
        Hosts { bound, loopback, addresses: Vec::new(), gathered: None }
    }

    /// The addresses as of [`HOSTS_MAX_AGE`] ago or later: interfaces come and go.
    pub(crate) fn addresses(&mut self, now: Instant) -> &[SocketAddr] {
        if self.gathered.is_none_or(|then| now.duration_since(then) > HOSTS_MAX_AGE) {
            self.gathered = Some(now);
            match self.gather() {
                Ok(addresses) => self.addresses = addresses,
                // The addresses known so far are still the best guess.
                Err(error) => tracing::debug!(%error, "cannot list network interfaces"),
            }
        }
        &self.addresses
    }

    fn gather(&self) -> std::io::Result<Vec<SocketAddr>> {
        let port = self.bound.port();
        if !self.bound.ip().is_unspecified() {
            return Ok(vec![self.bound]);
        }
        let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs()?
            .into_iter()
            .filter(if_addrs::Interface::is_oper_up)
            .map(|interface| interface.ip())
            .filter(|ip| is_usable(*ip, self.loopback) && (ip.is_ipv4() || self.bound.is_ipv6()))
            .collect();
        // Loopback last: ICE prefers what comes first among equals.
        ips.sort_by_key(|ip| (ip.is_loopback(), *ip));
        ips.dedup();
        ips.truncate(MAX_HOST_CANDIDATES);
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// Whether an address can be talked to: not unspecified, link-local (those need a zone, which
/// candidates do not carry), multicast or broadcast, and loopback only where asked for.
pub(crate) fn is_usable(ip: IpAddr, loopback: bool) -> bool {
    let special = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
    };
    !special && !ip.is_unspecified() && !ip.is_multicast() && (loopback || !ip.is_loopback())
}

/// What a remote's candidate line comes to.
#[derive(Debug)]
pub(crate) enum Remote {
    /// One that we can send to.
    Usable(Candidate),
    /// Well-formed, but not for us: TCP, an mDNS name (its owner's own checks will reach us and
    /// make it a peer-reflexive candidate), an address that leads nowhere, the end of candidates.
    Ignored,
    Malformed,
}

/// Reads a `candidate:…` line (RFC 8839, section 5.1), with or without `a=`.
pub(crate) fn parse_remote(line: &str, loopback: bool) -> Remote {
    let line = line.trim();
    let line = line.strip_prefix("a=").unwrap_or(line);
    if line.is_empty() || line == "end-of-candidates" {
        return Remote::Ignored;
    }
    if line.len() > MAX_CANDIDATE_BYTES || !line.starts_with("candidate:") {
        return Remote::Malformed;
    }
    // foundation component transport priority address port typ …
    let mut fields = line.split_ascii_whitespace();
    if fields.nth(4).is_some_and(|address| address.ends_with(".local")) {
        return Remote::Ignored;
    }
    let Ok(candidate) = Candidate::from_sdp_string(line) else {
        return Remote::Malformed;
    };
    let address = candidate.addr();
    if candidate.proto() != Protocol::Udp || address.port() == 0 || !is_usable(address.ip(), loopback) {
        return Remote::Ignored;
    }
    Remote::Usable(candidate)
}

/// A session description without its candidate lines, and those lines: they take the same path as
/// trickled ones, with the same checks.
pub(crate) fn split_description(sdp: &str) -> (String, Vec<&str>) {
    let mut rest = String::with_capacity(sdp.len());
    let mut candidates = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("a=candidate:") {
            candidates.push(line);
        } else if !line.is_empty() {
            rest.push_str(line);
            rest.push_str("\r\n");
        }
    }
    (rest, candidates)
}

/// The remote's `a=max-message-size` (RFC 8841, section 6): 64 KiB if absent, 0 for no limit.
pub(crate) fn max_message_size(sdp: &str) -> usize {
    const ABSENT: usize = 64 * 1024;
    let value = sdp.lines().find_map(|line| line.strip_prefix("a=max-message-size:"));
    match value.map(|value| value.trim().parse::<usize>()) {
        Some(Ok(0)) => usize::MAX,
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) | None => ABSENT,
    }
}

/// How a candidate reaches its owner, as [`crate::CandidateKind`] says it.
pub(crate) fn kind(candidate: &Candidate) -> crate::CandidateKind {
    match candidate.kind() {
        CandidateKind::Host => crate::CandidateKind::Host,
        CandidateKind::PeerReflexive | CandidateKind::ServerReflexive => crate::CandidateKind::Reflexive,
        CandidateKind::Relayed => crate::CandidateKind::Relayed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(line: &str) -> bool {
        matches!(parse_remote(line, true), Remote::Ignored)
    }

    #[test]
    fn browser_candidates_are_read_with_and_without_prefix() {
        let line = "candidate:1 1 udp 2113937151 192.168.1.5 50000 typ host generation 0 ufrag abcd network-cost 999";
        assert!(matches!(parse_remote(line, false), Remote::Usable(_)));
        assert!(matches!(parse_remote(&format!("a={line}\r\n"), false), Remote::Usable(_)));
    }

    #[test]
    fn names_tcp_and_dead_addresses_are_ignored() {
        assert!(ignored(""));
        assert!(ignored("candidate:1 1 udp 1 4ab3-11.local 50000 typ host"));
        assert!(ignored("candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active"));
        assert!(ignored("candidate:1 1 udp 1 0.0.0.0 5000 typ host"));
        assert!(ignored("candidate:1 1 udp 1 10.0.0.1 0 typ host"));
        assert!(ignored("candidate:1 1 udp 1 224.0.0.1 5000 typ host"));
        assert!(ignored("candidate:1 1 udp 1 fe80::1 5000 typ host"));
        let loopback = "candidate:1 1 udp 1 127.0.0.1 5000 typ host";
        assert!(matches!(parse_remote(loopback, false), Remote::Ignored));
        assert!(matches!(parse_remote(loopback, true), Remote::Usable(_)));
    }

    #[test]
    fn nonsense_is_malformed() {
        for line in ["hello", "candidate:", "candidate:1 1 udp x 10.0.0.1 5 typ host"] {
            assert!(matches!(parse_remote(line, true), Remote::Malformed), "{line}");
        }
    }

    #[test]
    fn a_description_gives_up_its_candidates() {
        let (rest, candidates) = split_description("v=0\r\na=candidate:x\r\na=b\n");
        assert_eq!(rest, "v=0\r\na=b\r\n");
        assert_eq!(candidates, ["a=candidate:x"]);
    }

    #[test]
    fn message_size_limit_is_found() {
        assert_eq!(max_message_size("v=0\r\na=max-message-size:1000\r\n"), 1000);
        assert_eq!(max_message_size("a=max-message-size:0"), usize::MAX);
        assert_eq!(max_message_size("v=0\r\n"), 65536);
    }
}
