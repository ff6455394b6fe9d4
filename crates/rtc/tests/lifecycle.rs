//! Restarts, closes, and ids that outlive their peers.

mod support;

use std::time::Duration;

use bytes::Bytes;
use rtc::{Config, ConnectError, DownReason, Event, Lane, RestartError, Role, SendError, Signal, SignalError};
use support::{Net, config};

#[tokio::test]
async fn a_restart_by_either_side_keeps_the_lanes() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    for (round, (at, peer)) in [(0, a), (1, b), (0, a)].into_iter().enumerate() {
        let before = net.descriptions[&(at, peer)].clone();
        net.endpoints[at].restart(peer).expect("restart");
        assert_eq!(net.endpoints[at].restart(peer), Err(RestartError::Busy));
        let (text_a, text_b) = (format!("a{round}"), format!("b{round}"));
        net.endpoints[0].send(a, Lane(0), text_a.clone().into()).expect("send");
        net.endpoints[1].send(b, Lane(0), text_b.clone().into()).expect("send");
        net.until(|net| {
            net.data(1, b).iter().any(|(_, bytes)| *bytes == text_a)
                && net.data(0, a).iter().any(|(_, bytes)| *bytes == text_b)
        })
        .await;
        net.run_for(Duration::from_millis(100)).await;
        let after = net.descriptions[&(at, peer)].clone();
        let ufrag = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-ufrag")).map(str::to_owned);
        assert_ne!(ufrag(&before), ufrag(&after));
    }
    assert_eq!(net.refused, []);
    assert_eq!((net.down(0, a), net.down(1, b)), (None, None));
    assert_eq!(net.data(0, a).len() + net.data(1, b).len(), 6);
}

#[tokio::test]
async fn restarts_from_both_sides_at_once_settle() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    net.endpoints[0].restart(a).expect("restart");
    net.endpoints[1].restart(b).expect("restart");
    net.run_for(Duration::from_millis(200)).await;
    // The first offerer insists, the other side gave way and answered.
    assert_eq!(net.refused, [SignalError::Glare]);
    net.endpoints[0].send(a, Lane(0), "still".into()).expect("send");
    net.until(|net| net.data(1, b).len() == 1).await;
    net.endpoints[1].restart(b).expect("free to restart again");
    net.run_for(Duration::from_millis(200)).await;
    net.endpoints[1].send(b, Lane(0), "here".into()).expect("send");
    net.until(|net| net.data(0, a).len() == 1).await;
}

#[tokio::test]
async fn a_restart_during_a_flood_loses_nothing() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    for _ in 0..50 {
        net.endpoints[0].send(a, Lane(1), Bytes::from(vec![1; 16 * 1024])).expect("send");
    }
    net.until(|net| net.data(1, b).len() > 5).await;
    net.endpoints[1].restart(b).expect("restart");
    net.until(|net| net.data(1, b).len() == 50).await;
}

#[tokio::test]
async fn the_remote_sees_a_close_at_once() {
    for closer in [0, 1] {
        let mut net = Net::new(2);
        let peers: [_; 2] = net.open(0, 1).await.into();
        let other = 1 - closer;
        net.endpoints[closer].close(peers[closer]);
        let start = std::time::Instant::now();
        net.until(|net| net.down(other, peers[other]).is_some()).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(net.down(other, peers[other]), Some(DownReason::Closed));
        assert_eq!(net.down(closer, peers[closer]), None);
        assert_eq!((net.endpoints[0].stats().peers, net.endpoints[1].stats().peers), (0, 0));
    }
}

#[tokio::test]
async fn one_close_leaves_the_other_peers_alone() {
    let mut net = Net::new(3);
    let (one, _) = net.open(0, 1).await;
    let (two, at_two) = net.open(0, 2).await;
    net.endpoints[0].close(one);
    net.endpoints[0].send(two, Lane(0), "hi".into()).expect("send");
    net.until(|net| net.data(2, at_two).len() == 1).await;
}

#[tokio::test]
async fn a_pair_may_connect_again_after_a_close() {
    let mut net = Net::new(2);
    for round in 0..5 {
        let (a, b) = net.open(0, 1).await;
        net.endpoints[0].send(a, Lane(0), format!("{round}").into()).expect("send");
        net.until(|net| net.data(1, b).len() == 1).await;
        net.endpoints[round % 2].close([a, b][round % 2]);
        if round % 3 == 0 {
            net.until(|net| net.endpoints.iter().all(|endpoint| endpoint.stats().peers == 0)).await;
        }
    }
}

#[tokio::test]
async fn a_new_connection_of_a_pair_takes_over_from_an_abandoned_one() {
    let mut net = Net::new(2);
    net.open(0, 1).await;
    // Neither side closed the first one: as when both have lost touch and signal anew.
    let (a, b) = net.open(0, 1).await;
    net.run_for(Duration::from_millis(300)).await;
    net.endpoints[0].send(a, Lane(0), "new".into()).expect("send");
    net.endpoints[1].send(b, Lane(0), "new".into()).expect("send");
    net.until(|net| net.data(1, b).len() == 1 && net.data(0, a).len() == 1).await;
}

#[tokio::test]
async fn stale_ids_are_harmless() {
    let mut net = Net::new(2);
    let (old, _) = net.open(0, 1).await;
    net.endpoints[0].close(old);
    let new = net.endpoints[0].connect(Role::Answer).expect("peer");
    assert_ne!(old, new);
    let endpoint = &mut net.endpoints[0];
    assert_eq!(endpoint.send(old, Lane(0), "x".into()), Err(SendError::NoPeer));
    assert_eq!(endpoint.buffered(old, Lane(0)), 0);
    assert_eq!(endpoint.restart(old), Err(RestartError::NoPeer));
    assert_eq!(endpoint.signal(old, Signal::Candidate(String::new())), Err(SignalError::NoPeer));
    endpoint.close(old);
    assert_eq!(endpoint.stats().peers, 1);
}

#[tokio::test]
async fn the_number_of_peers_is_bounded() {
    let mut net = Net::with([Config { max_peers: 3, ..config() }].into_iter());
    let endpoint = &mut net.endpoints[0];
    let first = endpoint.connect(Role::Answer).expect("peer");
    endpoint.connect(Role::Answer).expect("peer");
    endpoint.connect(Role::Offer).expect("peer");
    assert_eq!(endpoint.connect(Role::Offer), Err(ConnectError::Full));
    endpoint.close(first);
    endpoint.connect(Role::Offer).expect("room again");
}

#[tokio::test]
async fn an_offer_that_nobody_answers_ends_in_time() {
    let mut net = Net::new(1);
    let start = std::time::Instant::now();
    let peer = net.endpoints[0].connect(Role::Offer).expect("peer");
    net.until(|net| net.down(0, peer).is_some()).await;
    assert_eq!(net.down(0, peer), Some(DownReason::HandshakeTimeout));
    assert!(start.elapsed() >= rtc::HANDSHAKE_TIMEOUT);
}

#[tokio::test]
async fn dropping_a_wait_loses_nothing() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    for number in 0..200 {
        net.endpoints[0].send(a, Lane(0), format!("{number}").into()).expect("send");
        for endpoint in &mut net.endpoints {
            // Polled once or a few times, then dropped.
            let _ = tokio::time::timeout(Duration::from_micros(50), endpoint.wait()).await;
        }
    }
    net.until(|net| net.data(1, b).len() == 200).await;
    let order: Vec<_> = net.data(1, b).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(order, (0..200).map(|number| format!("{number}")).collect::<Vec<_>>());
    assert!(!net.seen.iter().any(|(_, event)| matches!(event, Event::Down { .. })));
}
