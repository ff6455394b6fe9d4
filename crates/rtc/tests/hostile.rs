//! What strangers and bad remotes send: refused or dropped, others undisturbed, nothing grows.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rtc::{
    Endpoint, Event, Lane, MAX_CANDIDATE_BYTES, MAX_REMOTE_CANDIDATES, MAX_SDP_BYTES, PeerId, Role, Signal, SignalError,
};
use support::{Net, config};

fn loopback(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], endpoint.local_addr().port()))
}

fn offer_of(endpoint: &mut Endpoint) -> (PeerId, String) {
    let peer = endpoint.connect(Role::Offer).expect("peer");
    while let Some(event) = endpoint.poll_event() {
        if let Event::Signal { signal: Signal::Offer(sdp), .. } = event {
            return (peer, sdp);
        }
    }
    panic!("no offer");
}

/// A binding request (RFC 8489) with a USERNAME and no valid integrity.
fn forged_request(username: &str) -> Vec<u8> {
    let mut attributes = vec![0x00, 0x06];
    attributes.extend((username.len() as u16).to_be_bytes());
    attributes.extend(username.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    attributes.extend([0x00, 0x24, 0x00, 0x04, 0x6e, 0x7f, 0x1e, 0xff]);
    attributes.extend([0x00, 0x08, 0x00, 0x14]);
    attributes.extend([0xaa; 20]);
    let mut message = vec![0x00, 0x01];
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(0x2112_a442_u32.to_be_bytes());
    message.extend([9; 12]);
    message.extend(attributes);
    message
}

async fn still_talks(net: &mut Net, a: PeerId, b: PeerId) {
    let before = net.data(1, b).len();
    net.endpoints[0].send(a, Lane(0), "still here".into()).expect("send");
    net.until(|net| net.data(1, b).len() == before + 1).await;
}

#[tokio::test]
async fn garbage_from_strangers_is_dropped_and_counted() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("socket");
    let target = loopback(&net.endpoints[1]);
    let mut sent = 0;
    for first in 0..=255u8 {
        for length in [1usize, 2, 13, 20, 100, 1400] {
            let mut bytes = vec![first; length];
            bytes[0] = first;
            stranger.send_to(&bytes, target).expect("send");
            sent += 1;
        }
        if first % 16 == 0 {
            net.run_for(Duration::from_millis(2)).await;
        }
    }
    stranger.send_to(&[], target).expect("send");
    still_talks(&mut net, a, b).await;
    net.until(|net| net.endpoints[1].stats().unclaimed_in >= sent).await;
    assert_eq!(net.endpoints[1].stats().bugs, 0);
}

#[tokio::test]
async fn forged_stun_with_our_ufrag_moves_nothing() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    let field = |sdp: &str, name: &str| sdp.lines().find_map(|line| line.strip_prefix(name)).expect("field").to_owned();
    let ours = field(&net.descriptions[&(1, b)], "a=ice-ufrag:");
    let theirs = field(&net.descriptions[&(0, a)], "a=ice-ufrag:");
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("socket");
    stranger.set_nonblocking(true).expect("nonblocking");
    let target = loopback(&net.endpoints[1]);
    for username in [format!("{ours}:{theirs}"), ours.clone(), format!("{ours}:"), format!("{theirs}:{ours}")] {
        for _ in 0..50 {
            stranger.send_to(&forged_request(&username), target).expect("send");
        }
    }
    net.run_for(Duration::from_millis(50)).await;
    let mut reply = [0; 2000];
    // An answer to a forgery would make the stranger's address ours to trust.
    if let Ok((length, _)) = stranger.recv_from(&mut reply) {
        let class = u16::from_be_bytes([reply[0], reply[1]]);
        assert_ne!(class, 0x0101, "success for a forged request of {length} bytes");
    }
    // DTLS from there is nobody's.
    let before = net.endpoints[1].stats().unclaimed_in;
    stranger.send_to(&[23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0], target).expect("send");
    net.until(|net| net.endpoints[1].stats().unclaimed_in > before).await;
    still_talks(&mut net, a, b).await;
}

/// A UDP relay between two endpoints that can tamper with what passes.
struct Tamper {
    socket: UdpSocket,
    ends: [SocketAddr; 2],
}

impl Tamper {
    fn pass(&self, mut change: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>>) {
        let mut buffer = [0; 2000];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let to = usize::from(from == self.ends[0]);
            for datagram in change(to, &buffer[..length]) {
                self.socket.send_to(&datagram, self.ends[to]).expect("send");
            }
        }
    }
}

/// Two endpoints that only know each other through a relay of ours, which sends what `change` makes of
/// each datagram (given: to which end, what); `during_handshake`, or only once both are open. What is
/// sent reliably must arrive, and nothing may stay buffered.
async fn through_tamper(during_handshake: bool, mut change: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>>) {
    let listen = "127.0.0.1:0".parse().expect("address");
    let config = || rtc::Config { listen, ..config() };
    let (mut ada, mut bob) = (Endpoint::bind(config()).expect("bind"), Endpoint::bind(config()).expect("bind"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
    socket.set_nonblocking(true).expect("nonblocking");
    let relay = socket.local_addr().expect("address").port();
    let tamper = Tamper { socket, ends: [ada.local_addr(), bob.local_addr()] };
    let swap = |sdp: String, port: u16| sdp.replace(&format!(" 127.0.0.1 {port} "), &format!(" 127.0.0.1 {relay} "));
    let ports = [ada.local_addr().port(), bob.local_addr().port()];
    let to_bob = ada.connect(Role::Offer).expect("peer");
    let to_ada = bob.connect(Role::Answer).expect("peer");
    let work = async {
        let mut got = 0;
        let mut open = (false, false);
        let mut sent = false;
        let lanes = || (0..5).map(Lane);
        while got < 200 || lanes().any(|lane| ada.buffered(to_bob, lane) > 0) {
            while let Some(event) = ada.poll_event() {
                match event {
                    Event::Signal { signal: Signal::Offer(sdp), .. } => {
                        bob.signal(to_ada, Signal::Offer(swap(sdp, ports[0]))).expect("offer");
                    }
                    Event::Open { .. } => open.0 = true,
                    Event::Down { reason, .. } => panic!("ada: {reason}"),
                    _ => {}
                }
            }
            while let Some(event) = bob.poll_event() {
                match event {
                    Event::Signal { signal: Signal::Answer(sdp), .. } => {
                        ada.signal(to_bob, Signal::Answer(swap(sdp, ports[1]))).expect("answer");
                    }
                    Event::Open { .. } => open.1 = true,
                    Event::Data { lane: Lane(0), .. } => got += 1,
                    Event::Down { reason, .. } => panic!("bob: {reason}"),
                    _ => {}
                }
            }
            if open == (true, true) && !sent {
                sent = true;
                for number in 0..200 {
                    for lane in lanes() {
                        ada.send(to_bob, lane, format!("message {number}").repeat(10).into()).expect("send");
                    }
                }
            }
            if during_handshake || open == (true, true) {
                tamper.pass(&mut change);
            } else {
                tamper.pass(|_, datagram| vec![datagram.to_vec()]);
            }
            tokio::select! {
                () = ada.wait() => {}
                () = bob.wait() => {}
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, work).await.expect("in time");
    assert_eq!((ada.stats().bugs, bob.stats().bugs), (0, 0));
}

#[tokio::test]
async fn truncated_copies_of_every_datagram_disturb_nothing() {
    through_tamper(true, |_, datagram| {
        let cuts = [1, 5, 12, 13, 14, datagram.len() / 2, datagram.len() - 1];
        let cuts = cuts.iter().filter(|cut| **cut < datagram.len());
        cuts.map(|cut| datagram[..*cut].to_vec()).chain([datagram.to_vec()]).collect()
    })
    .await;
}

#[tokio::test]
async fn flipped_copies_of_every_datagram_disturb_nothing() {
    let mut turn = 0usize;
    // Not during the handshake: until it is complete nothing is authenticated, and whoever can get
    // ahead of a ClientHello can prevent the connection.
    through_tamper(false, move |_, datagram| {
        turn += 1;
        let places = [0, 1, 3, 11, 13, 20, datagram.len() - 1, turn * 7 % datagram.len()];
        let flip = |place: &usize| {
            let mut copy = datagram.to_vec();
            let place = *place % copy.len();
            copy[place] ^= 1 << (turn % 8);
            copy
        };
        places.iter().map(flip).chain([datagram.to_vec()]).collect()
    })
    .await;
}

#[tokio::test]
async fn replayed_datagrams_disturb_nothing() {
    let mut past: [Vec<Vec<u8>>; 2] = Default::default();
    through_tamper(true, move |to, datagram| {
        let past = &mut past[to];
        past.push(datagram.to_vec());
        past[past.len().saturating_sub(4)..].to_vec()
    })
    .await;
}

#[tokio::test]
async fn loss_delays_reliable_lanes_and_leaves_nothing_buffered_on_the_others() {
    // One in twenty, by a fixed sequence of pseudo-random numbers.
    let mut state = 1u64;
    through_tamper(true, move |_, datagram| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if (state >> 33).is_multiple_of(20) { Vec::new() } else { vec![datagram.to_vec()] }
    })
    .await;
}

#[tokio::test]
async fn hostile_descriptions_are_refused() {
    let mut net = Net::new(2);
    let (_, good) = offer_of(&mut net.endpoints[0]);
    let endpoint = &mut net.endpoints[1];
    let peer = endpoint.connect(Role::Answer).expect("peer");
    let mut refuse = |sdp: String, expected: Option<SignalError>| {
        let result = endpoint.signal(peer, Signal::Offer(sdp));
        match expected {
            Some(error) => assert_eq!(result, Err(error)),
            None => assert!(result.is_err()),
        }
    };
    refuse(String::new(), Some(SignalError::Description));
    refuse("v=0\r\n".repeat(10), Some(SignalError::Description));
    refuse("m=application \u{0}\u{ffff}".to_owned(), Some(SignalError::Description));
    refuse("x".repeat(MAX_SDP_BYTES + 1), Some(SignalError::TooLong));
    refuse(good.replace("m=application ", "m=image "), Some(SignalError::Description));
    refuse(good.replace("a=ice-ufrag:", "a=ice-nothing:"), Some(SignalError::Description));
    let candidate = "a=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n";
    refuse(format!("{good}{}", candidate.repeat(MAX_REMOTE_CANDIDATES + 1)), Some(SignalError::TooManyCandidates));
    refuse(format!("{good}a=candidate:nonsense\r\n"), Some(SignalError::Candidate));
    assert_eq!(endpoint.signal(peer, Signal::Answer(good.clone())), Err(SignalError::OutOfOrder));
    // Every prefix, and every line left out: an error or an answer, never a panic.
    for cut in 0..good.len() {
        let peer = endpoint.connect(Role::Answer).expect("peer");
        let _ = endpoint.signal(peer, Signal::Offer(good[..cut].to_owned()));
        endpoint.close(peer);
    }
    let lines: Vec<_> = good.lines().collect();
    for skip in 0..lines.len() {
        for double in [false, true] {
            let mut changed = lines.clone();
            if double {
                changed.insert(skip, lines[skip]);
            } else {
                changed.remove(skip);
            }
            let peer = endpoint.connect(Role::Answer).expect("peer");
            let _ = endpoint.signal(peer, Signal::Offer(changed.join("\r\n") + "\r\n"));
            endpoint.close(peer);
        }
    }
    while endpoint.poll_event().is_some() {}
    assert_eq!(endpoint.stats().bugs, 0);
    // After all of that the good one is still taken.
    endpoint.signal(peer, Signal::Offer(good)).expect("offer");
}

#[tokio::test]
async fn signals_out_of_order_are_refused() {
    let mut net = Net::new(2);
    let (offerer, offer) = offer_of(&mut net.endpoints[0]);
    let (_, other) = offer_of(&mut net.endpoints[1]);
    // Glare in the first negotiation: an offer to the side that makes one.
    assert_eq!(net.endpoints[0].signal(offerer, Signal::Offer(other)), Err(SignalError::OutOfOrder));
    let answerer = net.endpoints[1].connect(Role::Answer).expect("peer");
    net.endpoints[1].signal(answerer, Signal::Offer(offer)).expect("offer");
    let answer = std::iter::from_fn(|| net.endpoints[1].poll_event()).find_map(|event| match event {
        Event::Signal { peer, signal: Signal::Answer(sdp) } if peer == answerer => Some(sdp),
        _ => None,
    });
    let answer = answer.expect("answer");
    net.endpoints[0].signal(offerer, Signal::Answer(answer.clone())).expect("answer");
    assert_eq!(net.endpoints[0].signal(offerer, Signal::Answer(answer)), Err(SignalError::OutOfOrder));
}

#[tokio::test]
async fn a_wrong_certificate_is_not_talked_to() {
    let mut ada = Endpoint::bind(config()).expect("bind");
    let mut bob = Endpoint::bind(config()).expect("bind");
    let (to_bob, offer) = offer_of(&mut ada);
    let to_ada = bob.connect(Role::Answer).expect("peer");
    let at = offer.find("a=fingerprint:sha-256 ").expect("fingerprint") + "a=fingerprint:sha-256 ".len();
    let mut forged = offer.clone();
    let digit = if &offer[at..=at] == "0" { "1" } else { "0" };
    forged.replace_range(at..=at, digit);
    bob.signal(to_ada, Signal::Offer(forged)).expect("offer");
    let work = async {
        loop {
            while let Some(event) = bob.poll_event() {
                match event {
                    Event::Signal { signal, .. } => ada.signal(to_bob, signal).expect("answer"),
                    Event::Down { reason, .. } => return reason,
                    Event::Open { .. } => panic!("open to a stranger"),
                    _ => {}
                }
            }
            while ada.poll_event().is_some() {}
            tokio::select! { () = ada.wait() => {}, () = bob.wait() => {} }
        }
    };
    let reason = tokio::time::timeout(support::PATIENCE, work).await.expect("in time");
    assert_eq!(reason, rtc::DownReason::Dtls);
}

#[tokio::test]
async fn candidate_floods_are_bounded() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    let early = net.endpoints[1].connect(Role::Answer).expect("peer");
    for (at, peer) in [(0, a), (1, early)] {
        let mut refused = 0;
        for number in 0..1000u32 {
            let [_, _, x, y] = number.to_be_bytes();
            let line = format!("candidate:1 1 udp 1 127.9.{x}.{y} 5000 typ host");
            match net.endpoints[at].signal(peer, Signal::Candidate(line)) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, SignalError::TooManyCandidates);
                    refused += 1;
                }
            }
        }
        assert!(refused >= 1000 - MAX_REMOTE_CANDIDATES, "{refused}");
        let long = format!("candidate:{}", "1".repeat(MAX_CANDIDATE_BYTES));
        assert_eq!(net.endpoints[at].signal(peer, Signal::Candidate(long)), Err(SignalError::TooLong));
    }
    still_talks(&mut net, a, b).await;
}
