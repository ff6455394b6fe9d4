//! What an endpoint is told once.

use std::net::{Ipv6Addr, SocketAddr};

/// How an [`Endpoint`](crate::Endpoint) is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to bind. Port 0 takes any free one; an unspecified address takes IPv4 and, where the
    /// host has it, IPv6.
    pub listen: SocketAddr,
    /// Whether to offer loopback addresses and to talk to the remote's: for members on one machine.
    /// A `listen` on a loopback address implies it.
    pub loopback: bool,
    /// How many peers there may be at once, at most [`MAX_PEERS`](crate::MAX_PEERS).
    pub max_peers: usize,
    /// The data channels that every peer has, pre-negotiated: index = SCTP stream = [`Lane`].
    /// The remote declares the same ones. One to [`MAX_LANES`](crate::MAX_LANES).
    pub channels: Vec<ChannelConfig>,
}

impl Config {
    /// Any port of every address but loopback, up to 1024 peers.
    pub fn new(channels: Vec<ChannelConfig>) -> Config {
        Config { listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), loopback: false, max_peers: 1024, channels }
    }
}

/// A data channel that both sides declare ("negotiated", RFC 8831, section 6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// For people and logs; it is not sent.
    pub label: String,
    /// Whether messages arrive in the order they were sent.
    pub ordered: bool,
    /// What happens to lost ones.
    pub reliability: Reliability,
    /// Lower numbers are sent first. Equal ones take turns, and a waiting lane is never passed over
    /// for ever.
    pub priority: u8,
}

/// What is done about a lost message (RFC 3758).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// Sent again until it arrives.
    Reliable,
    /// Sent again at most so many times.
    MaxRetransmits(u16),
    /// Sent again until so many milliseconds have passed.
    MaxLifetime(u16),
}

/// A data channel of a peer: an index into [`Config::channels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u16);
