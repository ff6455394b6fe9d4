//! The endpoint: a socket, its peers, and the loop that serves them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::IceCreds;
use tokio::time::Sleep;

use crate::candidates::Hosts;
use crate::demux::{Routes, classify};
use crate::peer::{Outlet, Shared};
use crate::peers::Peers;
use crate::socket::{self, Inbound};
use crate::{
    BindError, Config, ConnectError, Event, Lane, MAX_LANES, MAX_PEERS, PeerId, RestartError, Role, SendError, Signal,
    SignalError, Stats, dtls,
};

/// Many peers over one UDP socket. See the [crate's documentation](crate) for the loop.
///
/// Two endpoints should have at most one peer with each other: DTLS datagrams carry nothing that
/// would tell two connections between the same two sockets apart, so the newer one takes over.
pub struct Endpoint {
    shared: Arc<Shared>,
    inbound: Inbound,
    hosts: Hosts,
    peers: Peers,
    sleep: Pin<Box<Sleep>>,
}

/// How long to sleep when no peer has a deadline.
const IDLE: Duration = Duration::from_secs(3600);

impl Endpoint {
    /// Binds the socket and makes the certificate that all peers share.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, there is no tokio runtime, or the configuration has no or
    /// too many channels.
    ///
    /// # Panics
    ///
    /// In a tokio runtime without I/O or time.
    pub fn bind(config: Config) -> Result<Endpoint, BindError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BindError::NoRuntime);
        }
        if config.channels.is_empty() || config.channels.len() > MAX_LANES {
            return Err(BindError::Channels);
        }
        let crypto = dtls::provider();
        let certificate = crypto.dtls_provider.generate_certificate().ok_or(BindError::Certificate)?;
        let (inbound, outbound) = socket::bind(config.listen)?;
        let loopback = config.loopback || config.listen.ip().is_loopback();
        let outlet = Outlet { outbound, routes: Routes::default(), events: VecDeque::new(), stats: Stats::default() };
        Ok(Endpoint {
            hosts: Hosts::new(inbound.local(), loopback),
            shared: Arc::new(Shared { config, loopback, certificate, crypto }),
            inbound,
            peers: Peers::new(outlet),
            sleep: Box::pin(tokio::time::sleep(IDLE)),
        })
    }

    /// Where the socket is bound; the port is the one that peers see, the address may be
    /// unspecified.
    pub fn local_addr(&self) -> SocketAddr {
        self.inbound.local()
    }

    /// Makes a peer. As [`Role::Offer`], its offer is the next event; as [`Role::Answer`], it waits
    /// for the remote's. All our candidates are in the description: host addresses are known at
    /// once.
    ///
    /// # Errors
    ///
    /// If there are too many peers.
    pub fn connect(&mut self, role: Role) -> Result<PeerId, ConnectError> {
        if self.peers.len() >= self.shared.config.max_peers.min(MAX_PEERS) {
            return Err(ConnectError::Full);
        }
        let creds = credentials()?;
        let now = Instant::now();
        let hosts = self.hosts.addresses(now);
        self.peers.insert(role, self.shared.clone(), creds, hosts, now)
    }

    /// Takes what the remote side of this peer signalled. Candidates may come before the
    /// description.
    ///
    /// # Errors
    ///
    /// If the signal is malformed, too long, too much, or out of order; none of that harms the
    /// peer by itself.
    pub fn signal(&mut self, peer: PeerId, signal: Signal) -> Result<(), SignalError> {
        let now = Instant::now();
        let hosts = self.hosts.addresses(now);
        self.peers.call(peer, SignalError::NoPeer, |peer, outlet| peer.signal(now, signal, hosts, outlet))
    }

    /// Looks for a new path with fresh addresses and ICE credentials (RFC 8445, section 9), by an
    /// offer from this side. Either side may. Lanes stay open and keep what they hold.
    ///
    /// # Errors
    ///
    /// If a negotiation is under way.
    pub fn restart(&mut self, peer: PeerId) -> Result<(), RestartError> {
        let now = Instant::now();
        let hosts = self.hosts.addresses(now);
        self.peers.call(peer, RestartError::NoPeer, |peer, outlet| peer.restart(now, hosts, outlet))
    }

    /// Queues a message of 1 to [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES) bytes. It leaves
    /// with the next [`Endpoint::wait`] or [`Endpoint::flush`], together with what else was queued.
    ///
    /// # Errors
    ///
    /// If the peer is not open, the message empty or too long, or the lane full.
    pub fn send(&mut self, peer: PeerId, lane: Lane, bytes: Bytes) -> Result<(), SendError> {
        let found = self.peers.find_mut(peer).ok_or(SendError::NoPeer)?;
        found.send(lane, bytes)?;
        let slot = found.owner().slot;
        self.peers.touch(slot);
        Ok(())
    }

    /// Bytes sent on this lane and not yet acknowledged by the remote (or given up, where the
    /// lane's reliability allows it). 0 for a peer that is gone.
    pub fn buffered(&self, peer: PeerId, lane: Lane) -> usize {
        self.peers.find(peer).map_or(0, |peer| peer.buffered(lane))
    }

    /// Ends a peer and tells the remote, which then sees [`DownReason::Closed`](crate::DownReason).
    /// What waits is dropped. No further event but those already queued.
    pub fn close(&mut self, peer: PeerId) {
        self.peers.close(peer);
        self.peers.outlet.outbound.flush(&mut self.peers.outlet.stats);
    }

    /// The next thing that happened. Take all after each [`Endpoint::wait`] and each call that may
    /// cause some; while any are left, `wait` receives nothing.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.peers.outlet.events.pop_front()
    }

    /// Sends what is queued, as far as it may go now. [`Endpoint::wait`] begins with this.
    pub fn flush(&mut self) {
        self.peers.settle();
    }

    /// Serves the socket and the peers' timers until there is an event to take. Meant for
    /// `select!`: dropping it loses nothing.
    pub async fn wait(&mut self) {
        self.flush();
        while self.peers.outlet.events.is_empty() {
            self.arm_sleep();
            tokio::select! {
                biased;
                ready = self.inbound.readable() => {
                    // An error of the reactor itself: the runtime is shutting down.
                    if ready.is_err() {
                        return std::future::pending().await;
                    }
                    self.receive();
                }
                _ = self.peers.outlet.outbound.writable() => {
                    let outlet = &mut self.peers.outlet;
                    outlet.outbound.retry(&mut outlet.stats);
                }
                () = self.sleep.as_mut() => {}
            }
            self.peers.expire(Instant::now());
            self.peers.settle();
        }
    }

    /// Counters since [`Endpoint::bind`].
    pub fn stats(&self) -> Stats {
        self.peers.outlet.stats
    }

    fn arm_sleep(&mut self) {
        let deadline = self.peers.next_deadline().unwrap_or_else(|| Instant::now() + IDLE);
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.sleep.deadline() != deadline || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Takes one batch from the socket. Peers are drained and answered in `settle`, once each.
    fn receive(&mut self) {
        if self.inbound.receive().is_err() {
            return;
        }
        let now = Instant::now();
        for datagram in self.inbound.datagrams() {
            let stats = &mut self.peers.outlet.stats;
            stats.packets_in += 1;
            stats.bytes_in += datagram.bytes.len() as u64;
            self.peers.receive(now, classify(datagram.bytes), &datagram);
        }
    }
}

/// ICE credentials of full strength (RFC 8445, section 5.3).
fn credentials() -> Result<IceCreds, ConnectError> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|_| ConnectError::Randomness)?;
    let hex = |bytes: &[u8]| -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from(HEX[usize::from(digit)])).collect()
    };
    Ok(IceCreds { ufrag: hex(&bytes[..8]), pass: hex(&bytes[8..]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelConfig, DownReason, Reliability};

    #[tokio::test]
    async fn a_panic_in_one_peer_ends_that_peer_only() {
        let lane =
            ChannelConfig { label: "only".to_owned(), ordered: true, reliability: Reliability::Reliable, priority: 0 };
        let mut endpoint = Endpoint::bind(Config::new(vec![lane])).expect("bind");
        let doomed = endpoint.connect(Role::Answer).expect("peer");
        let other = endpoint.connect(Role::Answer).expect("peer");
        let result = endpoint.peers.call(doomed, SignalError::NoPeer, |_, _| panic!("a bug"));
        assert_eq!(result, Ok(()));
        assert_eq!(endpoint.poll_event(), Some(Event::Down { peer: doomed, reason: DownReason::Bug }));
        assert_eq!(endpoint.poll_event(), None);
        assert_eq!((endpoint.stats().peers, endpoint.stats().bugs), (1, 1));
        endpoint.signal(other, Signal::Candidate(String::new())).expect("alive");
        endpoint.connect(Role::Offer).expect("the slot is free again");
    }
}
