//! One peer: a `str0m::Rtc`, its lanes, and its negotiation.
//!
//! Nothing here touches a socket or a clock. After each change `str0m` is drained until it names its
//! next deadline; what comes out goes to the [`Outlet`]. An error from a method here ends the peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig as SctpChannel, ChannelId, Reliability as SctpReliability};
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, IceConnectionState, IceCreds, Input, Output, Rtc};

use crate::candidates::{self, Remote};
use crate::demux::{Datagram, Owner, Routes, StunClass, Transaction, classify};
use crate::lanes::{Full, Lanes};
use crate::limits::{
    DATAGRAMS_PER_DRAIN, HANDSHAKE_TIMEOUT, INTERRUPTION_TIMEOUT, MAX_CANDIDATE_BYTES, MAX_MESSAGE_BYTES,
    MAX_REMOTE_CANDIDATES, MAX_SDP_BYTES, SCTP_BUDGET_MAX_BYTES, SCTP_URGENT_BYTES,
};
use crate::socket::{Outbound, Received};
use crate::{
    CandidateKind, Config, DownReason, Event, Lane, Path, PeerId, Reliability, RestartError, Role, SendError, Signal,
    SignalError, Stats,
};

/// A deadline farther away than this is `str0m`'s way to say that there is none.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// Where peers put what they produce.
pub(crate) struct Outlet {
    pub(crate) outbound: Outbound,
    pub(crate) routes: Routes,
    pub(crate) events: VecDeque<Event>,
    pub(crate) stats: Stats,
}

/// What all peers of an endpoint have in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) loopback: bool,
    pub(crate) certificate: DtlsCert,
    pub(crate) crypto: Arc<CryptoProvider>,
}

/// Why a call on a peer did not do what was asked.
pub(crate) enum Failure<E> {
    /// The call is refused; the peer goes on.
    Refused(E),
    /// The peer ends.
    Down(DownReason),
}

impl<E> From<DownReason> for Failure<E> {
    fn from(reason: DownReason) -> Self {
        Failure::Down(reason)
    }
}

pub(crate) struct Peer {
    id: PeerId,
    owner: Owner,
    role: Role,
    rtc: Rtc,
    shared: Arc<Shared>,

    lanes: Lanes,
    /// Lane → `str0m`'s name for it.
    channels: Vec<ChannelId>,
    channels_open: usize,
    opened: bool,
    /// The longest message the remote takes.
    max_message: usize,

    pending: Option<(SdpPendingOffer, Instant)>,
    /// The remote's ICE user fragment, once it described itself.
    remote_ufrag: Option<String>,
    /// Candidates that came before the description.
    early: Vec<String>,
    /// Remote candidates of this ICE generation.
    remotes: Vec<(SocketAddr, CandidateKind)>,
    locals: Vec<(SocketAddr, Candidate)>,

    /// Where DTLS goes: (ours, theirs).
    route: Option<(SocketAddr, SocketAddr)>,
    path: Option<Path>,
    /// Our last STUN check and when it left.
    check: Option<(Transaction, Instant)>,

    now: Instant,
    timeout: Option<Instant>,
    /// When to give up: on opening, or on finding a path again.
    give_up: Option<Instant>,
    /// Datagrams given to `rtc` since it was last drained.
    undrained: usize,
    /// Set while draining; the peer ends when the drain is complete.
    ending: Option<DownReason>,
}

impl Peer {
    pub(crate) fn new(
        id: PeerId,
        owner: Owner,
        role: Role,
        shared: Arc<Shared>,
        creds: IceCreds,
        now: Instant,
    ) -> Peer {
        let rtc = Rtc::builder()
            .clear_codecs()
            .set_crypto_provider(shared.crypto.clone())
            .set_dtls_cert(shared.certificate.clone())
            .set_local_ice_credentials(creds)
            .set_sctp_max_message_size(MAX_MESSAGE_BYTES as u32)
            // `Lanes` keeps the budget; this only has to be out of its way.
            .set_sctp_max_buffered_amount(SCTP_BUDGET_MAX_BYTES + SCTP_URGENT_BYTES + MAX_MESSAGE_BYTES)
            .build(now);
        let lanes = Lanes::new(shared.config.channels.iter().map(|channel| channel.priority), now);
        Peer {
            id,
            owner,
            role,
            rtc,
            shared,
            lanes,
            channels: Vec::new(),
            channels_open: 0,
            opened: false,
            max_message: MAX_MESSAGE_BYTES,
            pending: None,
            remote_ufrag: None,
            early: Vec::new(),
            remotes: Vec::new(),
            locals: Vec::new(),
            route: None,
            path: None,
            check: None,
            now,
            timeout: None,
            give_up: Some(now + HANDSHAKE_TIMEOUT),
            undrained: 0,
            ending: None,
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.id
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// Declares the channels and, as the offerer, makes the offer.
    pub(crate) fn begin(&mut self, hosts: &[SocketAddr], out: &mut Outlet) -> Result<(), DownReason> {
        self.own_current_ufrag(out);
        self.refresh_hosts(hosts, out)?;
        // Every negotiated id exactly once, before anything can arrive on it: a second declaration
        // panics, data for an undeclared one is lost.
        let configs: Vec<_> = self.shared.config.channels.iter().enumerate().map(sctp_channel).collect();
        match self.role {
            Role::Offer => {
                let mut api = self.rtc.sdp_api();
                self.channels = configs.into_iter().map(|config| api.add_channel_with_config(config)).collect();
                let Some((offer, pending)) = api.apply() else { return Err(DownReason::Bug) };
                self.pending = Some((pending, self.now));
                self.emit(out, Signal::Offer(offer.to_sdp_string()));
            }
            Role::Answer => {
                let mut api = self.rtc.direct_api();
                self.channels = configs.into_iter().map(|config| api.create_data_channel(config)).collect();
            }
        }
        self.drain(out)
    }

    /// Takes a signal of the remote.
    pub(crate) fn signal(
        &mut self,
        now: Instant,
        signal: Signal,
        hosts: &[SocketAddr],
        out: &mut Outlet,
    ) -> Result<(), Failure<SignalError>> {
        self.now = now;
        match signal {
            Signal::Offer(sdp) => self.offer(&sdp, hosts, out),
            Signal::Answer(sdp) => self.answer(&sdp, out),
            Signal::Candidate(line) => self.candidate(&line, out),
        }
    }

    fn offer(&mut self, sdp: &str, hosts: &[SocketAddr], out: &mut Outlet) -> Result<(), Failure<SignalError>> {
        let description = Description::read(sdp, self.shared.loopback)?;
        let offer =
            SdpOffer::from_sdp_string(&description.sdp).map_err(|_| Failure::Refused(SignalError::Description))?;
        if self.role == Role::Offer && self.remote_ufrag.is_none() {
            return Err(Failure::Refused(SignalError::OutOfOrder));
        }
        // Both restart at once: the side that offered first in this peer's life insists, the other
        // one gives way (str0m drops our own pending offer by itself).
        if self.pending.is_some() && self.role == Role::Offer {
            return Err(Failure::Refused(SignalError::Glare));
        }
        self.pending = None;
        self.refresh_hosts(hosts, out)?;
        let answer = match self.rtc.sdp_api().accept_offer(offer) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(peer = %self.id, %error, "offer refused");
                self.check_alive(DownReason::Description)?;
                self.drain(out)?;
                return Err(Failure::Refused(SignalError::Description));
            }
        };
        self.own_current_ufrag(out);
        self.emit(out, Signal::Answer(answer.to_sdp_string()));
        self.drain(out)?;
        self.describe(description, out)?;
        Ok(())
    }

    fn answer(&mut self, sdp: &str, out: &mut Outlet) -> Result<(), Failure<SignalError>> {
        let description = Description::read(sdp, self.shared.loopback)?;
        let answer =
            SdpAnswer::from_sdp_string(&description.sdp).map_err(|_| Failure::Refused(SignalError::Description))?;
        let Some((pending, _)) = self.pending.take() else {
            return Err(Failure::Refused(SignalError::OutOfOrder));
        };
        if let Err(error) = self.rtc.sdp_api().accept_answer(pending, answer) {
            tracing::debug!(peer = %self.id, %error, "answer refused");
            self.check_alive(DownReason::Description)?;
            if self.remote_ufrag.is_none() {
                // str0m consumed the only offer: no other answer can be taken.
                return Err(Failure::Down(DownReason::Description));
            }
            self.drain(out)?;
            return Err(Failure::Refused(SignalError::Description));
        }
        self.own_current_ufrag(out);
        self.drain(out)?;
        self.describe(description, out)?;
        Ok(())
    }

    /// What both descriptions bring besides what `str0m` reads from them.
    fn describe(&mut self, description: Description, out: &mut Outlet) -> Result<(), DownReason> {
        if self.remote_ufrag.as_deref() != Some(&description.ufrag) {
            self.remotes.clear();
            self.remote_ufrag = Some(description.ufrag);
        }
        self.max_message = description.max_message.min(MAX_MESSAGE_BYTES);
        for candidate in description.candidates {
            self.add_remote(candidate, out)?;
        }
        for line in std::mem::take(&mut self.early) {
            if let Remote::Usable(candidate) = candidates::parse_remote(&line, self.shared.loopback) {
                self.add_remote(candidate, out)?;
            }
        }
        Ok(())
    }

    fn candidate(&mut self, line: &str, out: &mut Outlet) -> Result<(), Failure<SignalError>> {
        if line.len() > MAX_CANDIDATE_BYTES {
            return Err(Failure::Refused(SignalError::TooLong));
        }
        let candidate = match candidates::parse_remote(line, self.shared.loopback) {
            Remote::Usable(candidate) => candidate,
            Remote::Ignored => return Ok(()),
            Remote::Malformed => return Err(Failure::Refused(SignalError::Candidate)),
        };
        let known = self.early.len().max(self.remotes.len());
        if known >= MAX_REMOTE_CANDIDATES {
            return Err(Failure::Refused(SignalError::TooManyCandidates));
        }
        if self.remote_ufrag.is_none() {
            self.early.push(line.to_owned());
        } else {
            self.add_remote(candidate, out)?;
        }
        Ok(())
    }

    fn add_remote(&mut self, candidate: Candidate, out: &mut Outlet) -> Result<(), DownReason> {
        let address = candidate.addr();
        let known = self.remotes.iter().any(|(known, _)| *known == address);
        if known || self.remotes.len() >= MAX_REMOTE_CANDIDATES {
            return Ok(());
        }
        self.remotes.push((address, candidates::kind(&candidate)));
        self.rtc.add_remote_candidate(candidate);
        self.drain(out)
    }

    /// New ICE credentials and fresh addresses by a new offer; lanes and what they hold stay.
    pub(crate) fn restart(
        &mut self,
        now: Instant,
        hosts: &[SocketAddr],
        out: &mut Outlet,
    ) -> Result<(), Failure<RestartError>> {
        self.now = now;
        let stale = |since: Instant| now.duration_since(since) > HANDSHAKE_TIMEOUT;
        if self.remote_ufrag.is_none() || self.pending.as_ref().is_some_and(|(_, s)| !stale(*s)) {
            return Err(Failure::Refused(RestartError::Busy));
        }
        self.refresh_hosts(hosts, out)?;
        let mut api = self.rtc.sdp_api();
        let creds = api.ice_restart(true);
        let Some((offer, pending)) = api.apply() else {
            return Err(Failure::Down(DownReason::Bug));
        };
        self.pending = Some((pending, now));
        out.routes.own_ufrag(self.owner, &creds.ufrag);
        self.emit(out, Signal::Offer(offer.to_sdp_string()));
        if let Some(give_up) = &mut self.give_up {
            *give_up = (*give_up).max(now + HANDSHAKE_TIMEOUT);
        }
        self.drain(out)?;
        Ok(())
    }

    /// Queues a message; [`Peer::settle`] sends it.
    pub(crate) fn send(&mut self, lane: Lane, message: Bytes) -> Result<(), SendError> {
        if usize::from(lane.0) >= self.lanes.len() {
            return Err(SendError::NoLane);
        }
        if !self.opened {
            return Err(SendError::NotOpen);
        }
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if message.len() > self.max_message {
            return Err(SendError::TooLong { max: self.max_message });
        }
        self.lanes.push(usize::from(lane.0), message).map_err(|Full| SendError::Full)
    }

    pub(crate) fn buffered(&self, lane: Lane) -> usize {
        self.lanes.buffered(usize::from(lane.0))
    }

    /// Takes a datagram. Encrypted records are only taken in, up to a number; [`Peer::settle`] must
    /// follow: one acknowledgement then answers the whole batch.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        datagram: &Received<'_>,
        kind: Datagram<'_>,
        out: &mut Outlet,
    ) -> Result<(), DownReason> {
        const APPLICATION_DATA: u8 = 23;
        self.now = now;
        if let Datagram::Stun(stun) = kind
            && stun.class == StunClass::Success
            && let Some((transaction, sent)) = self.check
            && transaction == stun.transaction
        {
            self.check = None;
            self.lanes.budget.measured(now.duration_since(sent));
        }
        let Received { source, destination, bytes } = *datagram;
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else {
            out.stats.malformed_in += 1;
            return Ok(());
        };
        // An error here is this datagram's: anyone can send a broken one in the peer's name. What
        // really ends DTLS comes out of the drain.
        if self.rtc.handle_input(Input::Receive(now, receive)).is_err() {
            out.stats.malformed_in += 1;
        }
        self.undrained += 1;
        let record = Datagram::Dtls { record: APPLICATION_DATA };
        if self.opened && kind == record && self.undrained < DATAGRAMS_PER_DRAIN {
            return Ok(());
        }
        self.drain(out)
    }

    /// The end of a batch: drains, then writes what SCTP has room for.
    pub(crate) fn settle(&mut self, out: &mut Outlet) -> Result<(), DownReason> {
        if self.undrained > 0 {
            self.drain(out)?;
        }
        if self.pump(out)? {
            self.drain(out)?;
        }
        Ok(())
    }

    /// A deadline has passed.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Outlet) -> Result<(), DownReason> {
        self.now = now;
        if self.give_up.is_some_and(|give_up| give_up <= now) {
            return Err(if self.opened { DownReason::PathLost } else { DownReason::HandshakeTimeout });
        }
        self.rtc.handle_input(Input::Timeout(now)).map_err(|error| self.failed(&error))?;
        self.drain(out)?;
        self.settle(out)
    }

    /// When [`Peer::expire`] is wanted.
    pub(crate) fn due(&self) -> Option<Instant> {
        match (self.timeout, self.give_up) {
            (Some(timeout), Some(give_up)) => Some(timeout.min(give_up)),
            (timeout, give_up) => timeout.or(give_up),
        }
    }

    /// Tells the remote that this is the end (SCTP shutdown, DTLS close_notify). Nothing else works
    /// afterwards.
    pub(crate) fn shut_down(&mut self, out: &mut Outlet) {
        if self.rtc.is_alive() && self.rtc.close().is_ok() {
            self.ending = Some(DownReason::Closed);
            let _ = self.drain(out);
        }
    }

    /// Writes to SCTP what the lanes choose. Returns whether a drain is due.
    fn pump(&mut self, out: &mut Outlet) -> Result<bool, DownReason> {
        let mut changed = false;
        for lane in 0..self.lanes.len() {
            if self.lanes.in_sctp(lane) == 0 {
                continue;
            }
            let Some(mut channel) = self.rtc.channel(self.channels[lane]) else { continue };
            changed = true;
            if let Some(bytes) = self.lanes.set_in_sctp(lane, channel.buffered_amount()) {
                let lane = Lane(lane as u16);
                out.events.push_back(Event::Buffered { peer: self.id, lane, bytes });
            }
        }
        self.lanes.budget.adapt(self.now);
        while let Some((lane, message)) = self.lanes.next() {
            let Some(mut channel) = self.rtc.channel(self.channels[lane]) else { break };
            match channel.write(true, message) {
                Ok(true) => self.lanes.written(lane),
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(peer = %self.id, %error, "cannot write");
                    return Err(DownReason::Sctp);
                }
            }
            changed = true;
        }
        Ok(changed)
    }

    /// Empties `str0m` until it names its next deadline.
    fn drain(&mut self, out: &mut Outlet) -> Result<(), DownReason> {
        self.undrained = 0;
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    let soon = at.saturating_duration_since(self.now) < NEVER;
                    self.timeout = soon.then_some(at);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    self.learn(transmit.source, transmit.destination, &transmit.contents, out);
                    out.outbound.send(&mut out.stats, transmit.source, transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.event(event, out),
                Err(error) => return Err(self.failed(&error)),
            }
        }
        match self.ending {
            Some(reason) => Err(reason),
            None if !self.rtc.is_alive() => Err(DownReason::Dtls),
            None => Ok(()),
        }
    }

    /// What outgoing datagrams tell about the remote's addresses.
    fn learn(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8], out: &mut Outlet) {
        match classify(datagram) {
            Datagram::Stun(stun) if stun.class == StunClass::Request => {
                out.routes.own_check(self.owner, stun.transaction);
                self.check = Some((stun.transaction, self.now));
            }
            // Only a request with our password gets a success response.
            Datagram::Stun(stun) if stun.class == StunClass::Success => {
                out.routes.own_address(self.owner, to);
            }
            Datagram::Dtls { .. } | Datagram::Rtp if self.route != Some((from, to)) => {
                if self.route.replace((from, to)).is_some() {
                    self.lanes.budget.path_changed();
                }
                out.routes.own_address(self.owner, to);
                if self.opened {
                    self.announce_path(out);
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, event: str0m::Event, out: &mut Outlet) {
        match event {
            str0m::Event::IceConnectionStateChange(state) => self.ice_state(state, out),
            str0m::Event::ChannelOpen(..) => {
                self.channels_open += 1;
                if self.channels_open == self.channels.len() {
                    self.open(out);
                }
            }
            str0m::Event::ChannelData(data) => {
                let Some(lane) = self.channels.iter().position(|id| *id == data.id) else { return };
                if !data.data.is_empty() {
                    // One channel may deliver before the next one is reported open.
                    self.open(out);
                    let (lane, bytes) = (Lane(lane as u16), Bytes::from(data.data));
                    out.events.push_back(Event::Data { peer: self.id, lane, bytes });
                }
            }
            // A link with a lane missing is of no use to anyone.
            str0m::Event::ChannelClose(id) if self.channels.contains(&id) => {
                self.ending.get_or_insert(DownReason::Closed);
            }
            str0m::Event::Closed => {
                self.ending.get_or_insert(DownReason::Closed);
            }
            _ => {}
        }
    }

    fn ice_state(&mut self, state: IceConnectionState, out: &mut Outlet) {
        match state {
            IceConnectionState::Disconnected if self.opened && self.give_up.is_none() => {
                self.give_up = Some(self.now + INTERRUPTION_TIMEOUT);
                out.events.push_back(Event::Interrupted { peer: self.id });
            }
            IceConnectionState::Connected | IceConnectionState::Completed if self.opened => {
                self.give_up = None;
            }
            _ => {}
        }
    }

    fn open(&mut self, out: &mut Outlet) {
        if self.opened {
            return;
        }
        self.opened = true;
        self.give_up = None;
        let path = self.current_path();
        self.path = Some(path);
        out.events.push_back(Event::Open { peer: self.id, path });
    }

    fn announce_path(&mut self, out: &mut Outlet) {
        let path = self.current_path();
        if self.path != Some(path) {
            self.path = Some(path);
            out.events.push_back(Event::Path { peer: self.id, path });
        }
    }

    fn current_path(&self) -> Path {
        let remote = self
            .route
            .and_then(|(_, to)| self.remotes.iter().find(|(address, _)| *address == to).map(|(_, kind)| *kind));
        // We send from our own interfaces only. A remote address that was not announced was
        // discovered by checks: peer-reflexive.
        Path { local: CandidateKind::Host, remote: remote.unwrap_or(CandidateKind::Reflexive) }
    }

    /// Offers addresses that came up, takes back those that went.
    fn refresh_hosts(&mut self, hosts: &[SocketAddr], out: &mut Outlet) -> Result<(), DownReason> {
        let (kept, gone) =
            std::mem::take(&mut self.locals).into_iter().partition(|(address, _)| hosts.contains(address));
        self.locals = kept;
        let gone: Vec<(SocketAddr, Candidate)> = gone;
        for (_, candidate) in gone {
            self.rtc.direct_api().invalidate_candidate(&candidate);
            self.drain(out)?;
        }
        for address in hosts {
            if self.locals.iter().any(|(known, _)| known == address) {
                continue;
            }
            let Ok(candidate) = Candidate::host(*address, "udp") else { continue };
            let added = self.rtc.add_local_candidate(candidate).cloned();
            self.locals.extend(added.map(|candidate| (*address, candidate)));
            self.drain(out)?;
        }
        Ok(())
    }

    fn own_current_ufrag(&mut self, out: &mut Outlet) {
        let creds = self.rtc.direct_api().local_ice_credentials();
        out.routes.own_ufrag(self.owner, &creds.ufrag);
    }

    fn emit(&self, out: &mut Outlet, signal: Signal) {
        out.events.push_back(Event::Signal { peer: self.id, signal });
    }

    fn check_alive(&self, reason: DownReason) -> Result<(), DownReason> {
        if self.rtc.is_alive() { Ok(()) } else { Err(reason) }
    }

    fn failed(&self, error: &str0m::RtcError) -> DownReason {
        tracing::debug!(peer = %self.id, %error, "peer failed");
        match error {
            str0m::RtcError::Sctp(_) => DownReason::Sctp,
            _ => DownReason::Dtls,
        }
    }
}

/// A session description as far as we read it ourselves.
struct Description {
    /// Without candidates.
    sdp: String,
    candidates: Vec<Candidate>,
    ufrag: String,
    max_message: usize,
}

impl Description {
    fn read(sdp: &str, loopback: bool) -> Result<Description, Failure<SignalError>> {
        let refused = |error| Err(Failure::Refused(error));
        if sdp.len() > MAX_SDP_BYTES {
            return refused(SignalError::TooLong);
        }
        if !sdp.lines().any(|line| line.starts_with("m=application ")) {
            return refused(SignalError::Description);
        }
        let Some(ufrag) = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")) else {
            return refused(SignalError::Description);
        };
        let (rest, lines) = candidates::split_description(sdp);
        if lines.len() > MAX_REMOTE_CANDIDATES {
            return refused(SignalError::TooManyCandidates);
        }
        let mut usable = Vec::new();
        for line in lines {
            match candidates::parse_remote(line, loopback) {
                Remote::Usable(candidate) => usable.push(candidate),
                Remote::Ignored => {}
                Remote::Malformed => return refused(SignalError::Candidate),
            }
        }
        Ok(Description {
            ufrag: ufrag.trim().to_owned(),
            max_message: candidates::max_message_size(sdp),
            sdp: rest,
            candidates: usable,
        })
    }
}

fn sctp_channel((lane, channel): (usize, &crate::ChannelConfig)) -> SctpChannel {
    SctpChannel {
        label: channel.label.clone(),
        ordered: channel.ordered,
        reliability: match channel.reliability {
            Reliability::Reliable => SctpReliability::Reliable,
            Reliability::MaxRetransmits(retransmits) => SctpReliability::MaxRetransmits { retransmits },
            Reliability::MaxLifetime(lifetime) => SctpReliability::MaxPacketLifetime { lifetime },
        },
        negotiated: Some(lane as u16),
        protocol: String::new(),
    }
}
