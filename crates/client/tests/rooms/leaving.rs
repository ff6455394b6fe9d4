//! Leaving, and being left.

use std::time::Duration;

use roomful::{Event, GoneReason, LinkState, Room, SendError};
use tokio::time::timeout;

use crate::scene::{enter, find, linked, message, server, within};

async fn departure(room: &mut Room) -> GoneReason {
    find(room, |event| match event {
        Event::MemberLeave { reason, .. } => Some(reason),
        Event::Link(link) if link.state == LinkState::Failed => panic!("its link is said to have failed: {link:?}"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn what_was_sent_before_leaving_arrives() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let ada = rooms.remove(0);
    let chat = ada.channel("chat");
    for n in 0..300_u32 {
        chat.send(n).await.expect("an open room");
    }
    chat.send(vec![7; 3 * 1024 * 1024]).await.expect("an open room");
    within(ada.leave()).await.expect("it was in the room");
    for n in 0..300_u32 {
        assert_eq!(message(&mut rooms[0]).await.data.to(), Ok(n));
    }
    assert_eq!(message(&mut rooms[0]).await.data.bytes().map(|bytes| bytes.len()), Some(3 * 1024 * 1024));
    assert_eq!(departure(&mut rooms[0]).await, GoneReason::Left);
}

#[tokio::test]
async fn what_was_sent_before_the_link_was_open_arrives_too() {
    let server = server().await;
    let mut ada = enter(&server, "Ada").await;
    let bob = enter(&server, "Bob").await;
    bob.channel("chat").send("in and out").await.expect("an open room");
    within(bob.leave()).await.expect("it was in the room");
    assert_eq!(message(&mut ada).await.data.text(), Some("in and out"));
}

#[tokio::test]
async fn the_last_event_says_that_it_is_over() {
    let server = server().await;
    let mut room = enter(&server, "Ada").await;
    let mut chat = room.channel("chat").open();
    within(room.leave()).await.expect("it was in the room");
    let closed = find(&mut room, |event| match event {
        Event::Closed(closed) => Some(closed),
        _ => None,
    })
    .await;
    assert_eq!((closed.code, closed.reason.as_str()), (None, "left"));
    assert_eq!(within(room.next()).await, None);
    assert_eq!(within(chat.next()).await, None);
    assert_eq!(room.channel("chat").send("?").await, Err(SendError::Closed));
    assert!(room.leave().await.is_err());
}

#[tokio::test]
async fn a_room_that_is_dropped_is_left() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let membership = rooms[0].membership().clone();
    drop(rooms.remove(0));
    assert_eq!(departure(&mut rooms[0]).await, GoneReason::Left);
    // Handles that are left over say so.
    within(async { while membership.channel("chat").send("?").await.is_ok() {} }).await;
}

#[tokio::test]
async fn joining_that_is_given_up_leaves_nobody_behind() {
    let server = server().await;
    let mut room = enter(&server, "Ada").await;
    for micros in (0..20_000).step_by(1_000) {
        let joining = roomful::join(crate::scene::room_at(server.address())).name("fickle").into_future();
        let _ = timeout(Duration::from_micros(micros), joining).await;
    }
    // Whoever got in is gone again.
    within(async {
        while !room.members().is_empty() {
            room.next().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    assert_eq!(room.members(), []);
}
