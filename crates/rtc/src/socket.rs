//! One UDP socket: coalesced receive, segmented send, local addresses on both.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Instant;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::Stats;
use crate::limits::{
    BACKLOG_BYTES, RECEIVE_BATCH, RECEIVE_BUFFER_BYTES, RUN_BYTES, RUN_SEGMENTS, SEGMENTATION_RENEWAL,
    SOCKET_BUFFER_BYTES,
};

/// Binds `listen`; an unspecified address of either family means both families where the host has
/// IPv6.
///
/// # Panics
///
/// Outside a tokio runtime with I/O enabled.
pub(crate) fn bind(listen: SocketAddr) -> io::Result<(Inbound, Outbound)> {
    let socket = if listen.ip().is_unspecified() {
        let port = listen.port();
        open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            .or_else(|_| open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))?
    } else {
        open(listen)?
    };
    let state = UdpSocketState::new((&socket).into())?;
    let sending = UdpSocketState::new((&socket).into())?;
    let io = UdpSocket::from_std(socket.into())?;
    let local = io.local_addr()?;
    let shared = Arc::new(Shared { io, state, local });
    let inbound = Inbound {
        shared: shared.clone(),
        buffers: vec![0; RECEIVE_BATCH * RECEIVE_BUFFER_BYTES],
        metas: [RecvMeta::default(); RECEIVE_BATCH],
        received: 0,
    };
    let outbound = Outbound {
        shared,
        segmentation: sending.max_gso_segments(),
        state: sending,
        renewed: Instant::now(),
        run: Run::default(),
        backlog: VecDeque::new(),
        waiting: 0,
    };
    Ok((inbound, outbound))
}

fn open(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // The kernel may give less; that is a matter of throughput only.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

struct Shared {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// The receiving half.
pub(crate) struct Inbound {
    shared: Arc<Shared>,
    buffers: Vec<u8>,
    metas: [RecvMeta; RECEIVE_BATCH],
    received: usize,
}

/// A datagram as it came.
pub(crate) struct Received<'a> {
    pub(crate) source: SocketAddr,
    /// Which of our addresses it was sent to, with our port.
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: &'a [u8],
}

impl Inbound {
    pub(crate) fn local(&self) -> SocketAddr {
        self.shared.local
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.shared.io.readable().await
    }

    /// Receives what is there, one system call's worth. `WouldBlock` if nothing is.
    pub(crate) fn receive(&mut self) -> io::Result<()> {
        let Inbound { shared, buffers, metas, received } = self;
        *received = 0;
        let mut chunks = buffers.chunks_exact_mut(RECEIVE_BUFFER_BYTES);
        let mut slices: [IoSliceMut<'_>; RECEIVE_BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        *received =
            shared.io.try_io(Interest::READABLE, || shared.state.recv((&shared.io).into(), &mut slices, metas))?;
        Ok(())
    }

    /// The datagrams of the last [`Inbound::receive`].
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let local = self.shared.local;
        let buffers = self.buffers.chunks_exact(RECEIVE_BUFFER_BYTES);
        let runs = self.metas[..self.received].iter().zip(buffers);
        runs.flat_map(move |(meta, buffer)| {
            let source = canonical(meta.addr);
            let destination = match meta.dst_ip {
                Some(ip) => SocketAddr::new(ip.to_canonical(), local.port()),
                None => local,
            };
            let run = &buffer[..meta.len.min(buffer.len())];
            run.chunks(meta.stride.max(1)).map(move |bytes| Received { source, destination, bytes })
        })
    }
}

/// IPv4 as IPv4, without a zone.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The sending half: gathers equal-sized datagrams to one destination into one system call.
pub(crate) struct Outbound {
    shared: Arc<Shared>,
    state: UdpSocketState,
    /// Segments that one call may send, before any error.
    segmentation: usize,
    /// When `state` was last made anew.
    renewed: Instant,
    run: Run,
    backlog: VecDeque<Run>,
    waiting: usize,
}

#[derive(Default)]
struct Run {
    route: Option<(IpAddr, SocketAddr)>,
    bytes: Vec<u8>,
    segment: usize,
    segments: usize,
    /// The last segment is shorter: nothing may follow it.
    ended: bool,
}

impl Run {
    fn takes(&self, route: (IpAddr, SocketAddr), length: usize, max_segments: usize) -> bool {
        self.route == Some(route)
            && !self.ended
            && length <= self.segment
            && self.segments < max_segments
            && self.bytes.len() + length <= RUN_BYTES
    }

    fn push(&mut self, route: (IpAddr, SocketAddr), datagram: &[u8]) {
        if self.segments == 0 {
            self.route = Some(route);
            self.segment = datagram.len();
        }
        self.ended = datagram.len() < self.segment;
        self.segments += 1;
        self.bytes.extend_from_slice(datagram);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.segments = 0;
        self.route = None;
        self.ended = false;
    }
}

impl Outbound {
    /// Sends now or with the datagrams that follow, at the latest on [`Outbound::flush`].
    pub(crate) fn send(&mut self, stats: &mut Stats, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) {
        if datagram.is_empty() || !is_sendable(source.ip(), destination) {
            stats.dropped_out += 1;
            return;
        }
        let route = (source.ip(), destination);
        let max_segments = self.state.max_gso_segments().min(RUN_SEGMENTS);
        if !self.run.takes(route, datagram.len(), max_segments) {
            self.flush(stats);
        }
        self.run.push(route, datagram);
    }

    pub(crate) fn flush(&mut self, stats: &mut Stats) {
        if self.run.segments == 0 {
            return;
        }
        if self.backlog.is_empty() {
            match self.shared.transmit(&self.state, &self.run) {
                Ok(()) => {
                    stats.packets_out += self.run.segments as u64;
                    stats.bytes_out += self.run.bytes.len() as u64;
                    return self.run.clear();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Unreachable network, firewall, datagram too long: as if lost on the way.
                Err(_) => {
                    stats.dropped_out += self.run.segments as u64;
                    self.renew_segmentation();
                    return self.run.clear();
                }
            }
        }
        let run = std::mem::take(&mut self.run);
        if self.waiting + run.bytes.len() > BACKLOG_BYTES {
            stats.dropped_out += run.segments as u64;
        } else {
            self.waiting += run.bytes.len();
            self.backlog.push_back(run);
        }
    }

    /// Waits until the kernel takes datagrams again; for ever if none wait.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        if self.backlog.is_empty() {
            return std::future::pending().await;
        }
        self.shared.io.writable().await
    }

    /// Sends what waited for room in the kernel.
    pub(crate) fn retry(&mut self, stats: &mut Stats) {
        while let Some(run) = self.backlog.front() {
            let Outbound { shared, state, .. } = &*self;
            match shared.io.try_io(Interest::WRITABLE, || shared.transmit(state, run)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) => {
                    stats.packets_out += run.segments as u64;
                    stats.bytes_out += run.bytes.len() as u64;
                }
                Err(_) => stats.dropped_out += run.segments as u64,
            }
            self.waiting -= run.bytes.len();
            self.backlog.pop_front();
        }
    }

    /// Sending from an address that the host has lost fails just like a network card without
    /// segmentation, and `quinn-udp` then does without for good. Look again from time to time.
    fn renew_segmentation(&mut self) {
        let lost = self.state.max_gso_segments() < self.segmentation;
        if lost && self.renewed.elapsed() > SEGMENTATION_RENEWAL {
            self.renewed = Instant::now();
            if let Ok(state) = UdpSocketState::new((&self.shared.io).into()) {
                self.state = state;
            }
        }
    }
}

impl Shared {
    fn transmit(&self, state: &UdpSocketState, run: &Run) -> io::Result<()> {
        let Some((source, destination)) = run.route else { return Ok(()) };
        let transmit = Transmit {
            destination: if self.local.is_ipv6() { mapped(destination) } else { destination },
            ecn: None,
            contents: &run.bytes,
            segment_size: (run.segments > 1).then_some(run.segment),
            src_ip: Some(source),
        };
        state.try_send((&self.io).into(), &transmit)
    }
}

/// Refuses what the kernel would answer with EINVAL: `quinn-udp` takes that for a network card
/// without segmentation and turns it off for good.
fn is_sendable(source: IpAddr, destination: SocketAddr) -> bool {
    destination.port() != 0
        && !destination.ip().is_unspecified()
        && source.is_loopback() == destination.ip().is_loopback()
        && source.is_ipv4() == destination.is_ipv4()
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        v6 => v6,
    }
}
