//! What each lane promises, priorities, and backpressure.

mod support;

use std::time::Duration;

use bytes::Bytes;
use rtc::{Event, LANE_PAUSE_BYTES, LANE_QUEUE_BYTES, LANE_RESUME_BYTES, Lane, MAX_MESSAGE_BYTES, PeerId, SendError};
use support::Net;

const URGENT: Lane = Lane(0);
const BULK: Lane = Lane(1);
const UNORDERED: Lane = Lane(2);

fn numbered(number: u32, length: usize) -> Bytes {
    let mut bytes = vec![0; length.max(4)];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn numbers(net: &Net, at: usize, peer: PeerId, lane: Lane) -> Vec<u32> {
    let on_lane = net.data(at, peer).into_iter().filter(|(on, _)| *on == lane.0);
    on_lane.map(|(_, bytes)| u32::from_be_bytes(bytes[..4].try_into().expect("number"))).collect()
}

#[tokio::test]
async fn every_lane_delivers_on_a_path_without_loss() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    for lane in 0..5 {
        for number in 0..50 {
            net.endpoints[0].send(a, Lane(lane), numbered(number, 300)).expect("send");
        }
    }
    net.until(|net| net.data(1, b).len() == 5 * 50).await;
    for lane in 0..5 {
        let mut got = numbers(&net, 1, b, Lane(lane));
        if lane == UNORDERED.0 || lane == 3 {
            got.sort_unstable();
        }
        assert_eq!(got, (0..50).collect::<Vec<_>>(), "lane {lane}");
    }
    // What gives up on lost messages must not keep counting them as buffered.
    net.until(|net| (0..5).all(|lane| net.endpoints[0].buffered(a, Lane(lane)) == 0)).await;
}

#[tokio::test]
async fn long_and_short_messages_keep_their_bounds_and_order() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    let lengths = [4, MAX_MESSAGE_BYTES, 5, 17 * 1024, 1200, MAX_MESSAGE_BYTES, 4];
    for (number, length) in lengths.into_iter().enumerate() {
        net.endpoints[0].send(a, BULK, numbered(number as u32, length)).expect("send");
    }
    net.until(|net| net.data(1, b).len() == lengths.len()).await;
    let got: Vec<_> = net.data(1, b).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(got, lengths);
    assert_eq!(numbers(&net, 1, b, BULK), (0..lengths.len() as u32).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_that_cannot_be_sent_are_refused_at_once() {
    let mut net = Net::new(2);
    let (a, b) = net.connect(0, 1);
    let hello = || Bytes::from_static(b"hello");
    assert_eq!(net.endpoints[0].send(a, URGENT, hello()), Err(SendError::NotOpen));
    net.until(|net| net.is_open(0, a) && net.is_open(1, b)).await;
    assert_eq!(net.endpoints[0].send(a, Lane(5), hello()), Err(SendError::NoLane));
    assert_eq!(net.endpoints[0].send(a, URGENT, Bytes::new()), Err(SendError::Empty));
    let long = Bytes::from(vec![0; MAX_MESSAGE_BYTES + 1]);
    let refused = SendError::TooLong { max: MAX_MESSAGE_BYTES };
    assert_eq!(net.endpoints[0].send(a, URGENT, long), Err(refused));
}

#[tokio::test]
async fn urgent_messages_overtake_a_flood() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    for number in 0..60 {
        net.endpoints[0].send(a, BULK, numbered(number, 16 * 1024)).expect("send");
    }
    // Let the flood fill what SCTP may hold, then come late.
    net.until(|net| !net.data(1, b).is_empty()).await;
    let before = net.data(1, b).len();
    net.endpoints[0].send(a, URGENT, Bytes::from_static(b"now!")).expect("send");
    net.until(|net| net.data(1, b).len() == 61).await;
    let order: Vec<_> = net.data(1, b).iter().map(|(lane, _)| *lane).collect();
    let place = order.iter().position(|lane| *lane == URGENT.0).expect("urgent");
    // Only what SCTP and the wire already held may arrive first: the budget is four of these.
    assert!(place <= before + 10, "{before} had arrived, then at {place} of {}", order.len());
    assert_eq!(numbers(&net, 1, b, BULK), (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_flood_of_urgent_messages_lets_bulk_through() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    net.endpoints[0].send(a, BULK, numbered(0, 1000)).expect("send");
    for number in 0..60 {
        net.endpoints[0].send(a, URGENT, numbered(number, 16 * 1024)).expect("send");
    }
    net.until(|net| net.data(1, b).len() == 61).await;
    let place = net.data(1, b).iter().position(|(lane, _)| *lane == BULK.0).expect("bulk");
    assert!(place < 40, "bulk came at {place}");
}

#[tokio::test]
async fn a_remote_that_stops_reading_costs_a_bounded_queue() {
    let mut net = Net::new(2);
    let (a, _) = net.open(0, 1).await;
    net.frozen[1] = true;
    let message = Bytes::from(vec![1; 16 * 1024]);
    let mut refused = None;
    for _ in 0..50 {
        while refused.is_none() {
            refused = net.endpoints[0].send(a, BULK, message.clone()).err();
        }
        assert_eq!(refused.take(), Some(SendError::Full));
        net.run_for(Duration::from_millis(5)).await;
    }
    let buffered = net.endpoints[0].buffered(a, BULK);
    assert!(buffered > LANE_PAUSE_BYTES && buffered <= LANE_QUEUE_BYTES + 256 * 1024, "{buffered}");
    // Other lanes are not in the way of each other.
    net.endpoints[0].send(a, URGENT, message.clone()).expect("another lane");
}

#[tokio::test]
async fn a_paused_writer_is_told_when_to_go_on() {
    let mut net = Net::new(2);
    let (a, b) = net.open(0, 1).await;
    let (mut sent, total) = (0, 300);
    let mut told = 0;
    while sent < total {
        while sent < total && net.endpoints[0].buffered(a, BULK) < LANE_PAUSE_BYTES {
            net.endpoints[0].send(a, BULK, numbered(sent, 16 * 1024)).expect("room");
            sent += 1;
        }
        if sent < total {
            // Only the event wakes this writer: without it the test would not end.
            let resumes = |net: &Net| {
                net.seen.iter().filter(|(at, event)| *at == 0 && matches!(event, Event::Buffered { .. })).count()
            };
            net.until(|net| resumes(net) > told).await;
            told = resumes(&net);
        }
    }
    net.until(|net| net.data(1, b).len() == total as usize).await;
    assert_eq!(numbers(&net, 1, b, BULK), (0..total).collect::<Vec<_>>());
    assert!(told > 0);
    let in_queue = net.seen.iter().filter_map(|(_, event)| match event {
        Event::Buffered { bytes, .. } => Some(*bytes),
        _ => None,
    });
    assert!(in_queue.max().is_some_and(|bytes| bytes < LANE_PAUSE_BYTES), "{LANE_RESUME_BYTES}");
}

#[tokio::test]
async fn one_slow_peer_does_not_slow_another() {
    let mut net = Net::new(3);
    let (slow, _) = net.open(0, 1).await;
    let (quick, at_quick) = net.open(0, 2).await;
    net.frozen[1] = true;
    while net.endpoints[0].send(slow, BULK, Bytes::from(vec![1; 16 * 1024])).is_ok() {}
    for number in 0..200 {
        while net.endpoints[0].buffered(quick, BULK) > LANE_PAUSE_BYTES {
            net.run_for(Duration::from_millis(1)).await;
        }
        net.endpoints[0].send(quick, BULK, numbered(number, 16 * 1024)).expect("send");
    }
    net.until(|net| net.data(2, at_quick).len() == 200).await;
}
