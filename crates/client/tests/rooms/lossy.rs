//! Channels that drop what is worth nothing any more.

use std::time::Duration;

use roomful::Mode;
use tokio::time::{sleep, timeout};

use crate::scene::{enter, linked, server, within};

#[tokio::test]
async fn the_last_value_always_arrives_and_order_is_kept() {
    const VALUES: u32 = 20_000;
    let server = server().await;
    let rooms = linked(&server, 2).await;
    let mut cursor = rooms[1].channel("cursor").mode(Mode::Latest).open();
    let sending = rooms[0].channel("cursor").mode(Mode::Latest);
    tokio::spawn(async move {
        for n in 1..=VALUES {
            sending.send(n).await.expect("an open room");
        }
    });
    let mut last = 0;
    let mut heard = 0;
    while last < VALUES {
        let value = within(cursor.next()).await.expect("an open room").data.to().expect("a number");
        assert!(value > last, "{value} after {last}");
        last = value;
        heard += 1;
    }
    assert!(heard < VALUES, "nothing was superseded");
}

#[tokio::test]
async fn a_newcomer_gets_the_latest_value() {
    let server = server().await;
    let ada = enter(&server, "Ada").await;
    let cursor = ada.channel("cursor").mode(Mode::Latest);
    cursor.send("old").await.expect("an open room");
    cursor.send("new").await.expect("an open room");
    let bob = enter(&server, "Bob").await;
    let mut heard = bob.channel("cursor").mode(Mode::Latest).open();
    assert_eq!(within(heard.next()).await.expect("an open room").data.text(), Some("new"));
}

#[tokio::test]
async fn latest_never_waits_for_a_full_reliable_channel() {
    let server = server().await;
    let rooms = linked(&server, 2).await;
    // Nobody takes these: the outbox fills up, and then `send` waits.
    let bulk = rooms[0].channel("bulk");
    let filling = tokio::spawn(async move { while bulk.send(vec![0; 1024 * 1024]).await.is_ok() {} });
    let mut cursor = rooms[1].channel("cursor").mode(Mode::Latest).open();
    sleep(Duration::from_secs(1)).await;
    assert!(timeout(Duration::from_millis(100), rooms[0].channel("bulk").send("?")).await.is_err(), "it does not wait");
    let sending = rooms[0].channel("cursor").mode(Mode::Latest);
    for n in 0..100 {
        timeout(Duration::from_millis(200), sending.send(n)).await.expect("it waits").expect("an open room");
    }
    within(async { while cursor.next().await.expect("an open room").data.to() != Ok(99) {} }).await;
    filling.abort();
}

#[tokio::test]
async fn datagrams_arrive_at_most_once() {
    const DATAGRAMS: usize = 500;
    let server = server().await;
    let rooms = linked(&server, 2).await;
    let mut heard = rooms[1].channel("beat").mode(Mode::Datagram).open();
    let beat = rooms[0].channel("beat").mode(Mode::Datagram);
    for n in 0..DATAGRAMS {
        beat.send(n as u32).await.expect("an open room");
        sleep(Duration::from_micros(200)).await;
    }
    let mut seen = vec![0; DATAGRAMS];
    while let Ok(Some(message)) = timeout(Duration::from_millis(500), heard.next()).await {
        let n: usize = message.data.to().expect("a number");
        seen[n] += 1;
    }
    assert!(seen.iter().all(|times| *times <= 1));
    assert!(seen.iter().sum::<usize>() > DATAGRAMS / 2, "nearly all arrive on a quiet loopback");
}
