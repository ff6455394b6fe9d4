//! Choosing how the room is linked.

use roomful::{Event, PinError, Room};

use crate::scene::{enter, find, linked, message, server, within};

async fn change(room: &mut Room) -> (String, String) {
    find(room, |event| match event {
        Event::Topology { from, to } => Some((from, to)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn the_room_is_linked_as_somebody_asks() {
    let server = server().await;
    let mut rooms = linked(&server, 3).await;
    assert!(rooms[0].may_pin());
    for (from, to) in [("mesh", "tree"), ("tree", "small-world"), ("small-world", "mesh")] {
        within(rooms[1].pin(to)).await.expect("anybody may, without tokens");
        for room in &mut rooms {
            assert_eq!(change(room).await, (from.to_owned(), to.to_owned()));
            assert_eq!(room.topology(), to);
        }
        rooms[2].channel("chat").send(to).await.expect("an open room");
        for room in &mut rooms[..2] {
            assert_eq!(message(room).await.data.text(), Some(to));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_hint() {
    let server = server().await;
    let room = enter(&server, "Ada").await;
    for word in ["ring".to_owned(), "x".repeat(1_000)] {
        let error = within(room.pin(word)).await.expect_err("there is no such topology");
        assert_eq!(error.code(), "topology_unavailable");
        assert!(error.hint().contains("small-world"), "{error}: {}", error.hint());
    }
    within(room.pin("auto")).await.expect("the room stays as it is");

    let membership = room.membership().clone();
    within(room.leave()).await.expect("an open room");
    assert_eq!(membership.pin("tree").await, Err(PinError::Closed));
}

#[tokio::test]
async fn a_server_out_of_reach_pins_nothing() {
    let server = server().await;
    let mut room = enter(&server, "Ada").await;
    within(server.shutdown()).await;
    find(&mut room, |event| matches!(event, Event::Reconnecting { .. }).then_some(())).await;
    assert_eq!(within(room.pin("tree")).await, Err(PinError::Unreachable));
}
