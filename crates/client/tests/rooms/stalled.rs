//! An application that does not take its messages holds up nobody but itself.

use std::time::{Duration, Instant};

use roomful::{Event, LinkState};
use tokio::time::sleep;

use crate::scene::{linked, message, next, server, within};

/// Much more than the outbox and the receive windows hold.
const MESSAGES: usize = 120;
const MESSAGE_BYTES: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn others_get_everything_and_the_stalled_one_is_told_of_its_gap() {
    let server = server().await;
    let mut rooms = linked(&server, 3).await;
    let mut stalled = rooms.pop().expect("three were linked");
    let mut listening = rooms.pop().expect("three were linked");
    let sender = rooms.pop().expect("three were linked");

    let before = resident_bytes();
    let hearing = tokio::spawn(async move {
        for n in 0..MESSAGES {
            let heard = message(&mut listening).await;
            assert_eq!(heard.data.bytes().map(|bytes| (bytes.len(), bytes[0])), Some((MESSAGE_BYTES, n as u8)));
        }
        listening
    });
    let started = Instant::now();
    for n in 0..MESSAGES {
        let mut bytes = vec![0; MESSAGE_BYTES];
        bytes[0] = n as u8;
        within(sender.channel("bulk").send(bytes)).await.expect("an open room");
    }
    let listening = within(hearing).await.expect("it does not panic");
    let took = started.elapsed();
    // Not much longer than the patience with one that does not get on.
    assert!(took < Duration::from_secs(20), "{took:?}");
    // The outbox of the sender, what is under way, and what the stalled one holds: not all that was sent.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MESSAGES * MESSAGE_BYTES, "{} MiB", grown / 1024 / 1024);

    // Its own links never fell silent: its pings and acknowledgements went on without the application.
    let (mut messages, mut gaps, mut fell_silent) = (0, 0, 0);
    within(async {
        while gaps == 0 {
            match next(&mut stalled).await {
                Event::Message(heard) => {
                    assert_eq!(heard.data.bytes().map(|bytes| bytes.len()), Some(MESSAGE_BYTES));
                    messages += 1;
                }
                Event::Gap { member, from_seq, to_seq, .. } => {
                    assert_eq!(member, sender.id());
                    assert!(from_seq <= to_seq);
                    gaps += 1;
                }
                Event::Link(link) if matches!(link.state, LinkState::Suspect | LinkState::Failed) => fell_silent += 1,
                _ => {}
            }
        }
    })
    .await;
    assert!(messages > 0 && messages < MESSAGES);
    assert_eq!(fell_silent, 0);
    // After that it takes part again.
    sender.channel("bulk").send("are you back?").await.expect("an open room");
    while message(&mut stalled).await.data.text() != Some("are you back?") {}
    drop(listening);
}

#[tokio::test]
async fn a_slow_reader_gets_everything_at_its_own_pace() {
    const SLOW_MESSAGES: u32 = 24;
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let mut reader = rooms.pop().expect("two were linked");
    let bulk = rooms[0].channel("bulk");
    let sending = tokio::spawn(async move {
        for n in 0..SLOW_MESSAGES {
            let mut bytes = vec![0; MESSAGE_BYTES];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            bulk.send(bytes).await.expect("an open room");
        }
    });
    for n in 0..SLOW_MESSAGES {
        let bytes = message(&mut reader).await.data.bytes().expect("bytes");
        assert_eq!(bytes[..4], n.to_be_bytes());
        sleep(Duration::from_millis(30)).await;
    }
    within(sending).await.expect("it does not panic");
}

/// What this process has in memory now.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}
