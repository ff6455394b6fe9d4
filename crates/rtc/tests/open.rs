//! Connections open, quickly, in every number.

mod support;

use std::time::{Duration, Instant};

use rtc::{CandidateKind, Config, Endpoint, Event, Lane, Role, Signal};
use support::{Net, config};

#[tokio::test]
async fn two_endpoints_open_and_talk_both_ways() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    net.endpoints[0].send(a, Lane(0), "ping".into()).expect("send");
    net.endpoints[1].send(b, Lane(1), "pong".into()).expect("send");
    net.until(|net| !net.data(0, a).is_empty() && !net.data(1, b).is_empty()).await;
    assert_eq!(net.data(1, b), [(0, "ping".into())]);
    assert_eq!(net.data(0, a), [(1, "pong".into())]);
    net.until(|net| net.endpoints[0].buffered(a, Lane(0)) == 0).await;
}

#[tokio::test]
async fn opening_takes_far_less_than_a_retransmission() {
    let mut net = Net::new(2);
    let start = Instant::now();
    net.open(0, 1).await;
    // The first STUN retransmission is at 250 ms, DTLS's at 150 ms: nothing may wait for one.
    assert!(start.elapsed() < Duration::from_millis(120), "{:?}", start.elapsed());
}

#[tokio::test]
async fn sixteen_peers_share_one_socket() {
    let mut net = Net::new(17);
    let links: Vec<_> = (1..17).map(|other| (other, net.connect(0, other))).collect();
    net.until(|net| links.iter().all(|(other, (a, b))| net.is_open(0, *a) && net.is_open(*other, *b))).await;
    for (other, (a, _)) in &links {
        net.endpoints[0].send(*a, Lane(2), format!("you are {other}").into()).expect("send");
    }
    net.until(|net| links.iter().all(|(other, (_, b))| !net.data(*other, *b).is_empty())).await;
    for (other, (_, b)) in &links {
        assert_eq!(net.data(*other, *b), [(2, format!("you are {other}").into())]);
    }
    assert_eq!(net.endpoints[0].stats().peers, 16);
}

#[tokio::test]
async fn eight_members_mesh() {
    let mut net = Net::new(8);
    let mut links = Vec::new();
    for a in 0..8 {
        for b in a + 1..8 {
            links.push((a, b, net.connect(a, b)));
        }
    }
    net.until(|net| links.iter().all(|(a, b, (at_a, at_b))| net.is_open(*a, *at_a) && net.is_open(*b, *at_b))).await;
}

#[tokio::test]
async fn a_host_path_is_called_one() {
    let mut net = Net::new(2);
    let (a, _) = net.open(0, 1).await;
    let path = net.seen.iter().find_map(|(index, event)| match event {
        Event::Open { peer, path } if *index == 0 && *peer == a => Some(*path),
        _ => None,
    });
    assert_eq!(path.map(|path| path.local), Some(CandidateKind::Host));
    assert_eq!(path.map(|path| path.remote), Some(CandidateKind::Host));
}

#[tokio::test]
async fn ipv4_only_and_dual_stack_meet() {
    let v4 = Config { listen: "127.0.0.1:0".parse().expect("address"), ..config() };
    let mut net = Net::with([v4, config()].into_iter());
    net.open(0, 1).await;
}

#[tokio::test]
async fn ipv6_loopback_works() {
    let v6 = || Config { listen: "[::1]:0".parse().expect("address"), ..config() };
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this host has no IPv6");
        return;
    }
    let mut net = Net::with([v6(), v6()].into_iter());
    net.open(0, 1).await;
}

#[tokio::test]
async fn candidates_may_come_before_the_offer_and_without_any_in_it() {
    let mut ada = Endpoint::bind(config()).expect("bind");
    let mut bob = Endpoint::bind(config()).expect("bind");
    let to_bob = ada.connect(Role::Offer).expect("peer");
    let to_ada = bob.connect(Role::Answer).expect("peer");
    let Some(Event::Signal { signal: Signal::Offer(offer), .. }) = ada.poll_event() else {
        panic!("no offer");
    };
    let (candidates, rest): (Vec<_>, Vec<_>) = offer.lines().partition(|line| line.starts_with("a=candidate:"));
    assert!(!candidates.is_empty());
    for line in candidates {
        bob.signal(to_ada, Signal::Candidate(line.to_owned())).expect("candidate");
    }
    bob.signal(to_ada, Signal::Candidate(String::new())).expect("end of candidates");
    bob.signal(to_ada, Signal::Offer(rest.join("\r\n") + "\r\n")).expect("offer");
    let open = async {
        loop {
            while let Some(event) = bob.poll_event() {
                match event {
                    // Without candidates: ada finds bob by his checks, as a peer-reflexive one.
                    Event::Signal { signal: Signal::Answer(sdp), .. } => {
                        let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate:"));
                        let bare: String = lines.map(|line| format!("{line}\r\n")).collect();
                        ada.signal(to_bob, Signal::Answer(bare)).expect("answer");
                    }
                    Event::Open { .. } => return,
                    _ => {}
                }
            }
            while ada.poll_event().is_some() {}
            tokio::select! { () = ada.wait() => {}, () = bob.wait() => {} }
        }
    };
    tokio::time::timeout(support::PATIENCE, open).await.expect("open");
}
