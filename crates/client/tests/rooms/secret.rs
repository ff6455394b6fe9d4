//! Secret rooms: who has the key reads, nobody else does, and nobody takes anybody else for one of them.

use std::collections::BTreeSet;

use roomful::{CallError, Event, Link, LinkState, MemberId, Message, Mode, Room, RoomKey, SendError, Unreadable};
use server::Running;

use crate::scene::{enter, find, message, next, pattern, room_at, server, within};

async fn enter_with(server: &Running, name: &str, key: &RoomKey) -> Room {
    let address = format!("{}#{}", room_at(server.address()), key.fragment());
    within(roomful::join(address).name(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Waits until all have links to each other.
async fn all_linked(rooms: &mut [Room]) {
    let ids: BTreeSet<MemberId> = rooms.iter().map(|room| room.id()).collect();
    for room in rooms {
        let mut missing: BTreeSet<MemberId> = ids.iter().copied().filter(|id| *id != room.id()).collect();
        while !missing.is_empty() {
            if let Event::Link(Link { member, state: LinkState::Open, .. }) = next(room).await {
                missing.remove(&member);
            }
        }
    }
}

/// Two members with one key, and two others: without a key, and with another.
async fn scene(server: &Running) -> Vec<Room> {
    let key = RoomKey::random().expect("randomness");
    let other = RoomKey::random().expect("randomness");
    let mut rooms = vec![
        enter_with(server, "Ada", &key).await,
        enter_with(server, "Bob", &key).await,
        enter(server, "Eve").await,
        enter_with(server, "Mallory", &other).await,
    ];
    all_linked(&mut rooms).await;
    rooms
}

/// All that comes up to a message on channel "end" of this member.
async fn up_to_the_end(room: &mut Room, of: MemberId) -> (Vec<Message>, Vec<(Option<MemberId>, Unreadable)>) {
    let (mut messages, mut unreadable) = (Vec::new(), Vec::new());
    loop {
        match next(room).await {
            Event::Message(message) if message.channel == "end" && message.from == of => return (messages, unreadable),
            Event::Message(message) => messages.push(message),
            Event::Unreadable { member, reason } => unreadable.push((member, reason)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_with_the_key_hear_each_other_and_the_others_are_told_that_they_do_not() {
    let server = server().await;
    let mut rooms = scene(&server).await;
    let ids: Vec<_> = rooms.iter().map(|room| room.id()).collect();
    let [ada, bob, eve, mallory] = ids[..] else { panic!("four") };
    assert_eq!(rooms.iter().map(|room| room.is_secret()).collect::<Vec<_>>(), [true, true, false, true]);

    for room in &rooms {
        let chat = room.channel("chat");
        chat.send("to all").await.expect("an open room");
        chat.send("again").await.expect("an open room");
        for id in ids.iter().filter(|id| **id != room.id()) {
            chat.send_to(*id, "to you").await.expect("a member");
        }
        room.channel("end").send(()).await.expect("an open room");
    }
    // Those of another key are told of, once; what they say is not delivered. An end that cannot be read ends nothing.
    let (heard, unreadable) = up_to_the_end(&mut rooms[0], bob).await;
    let heard: Vec<_> = heard.iter().map(|message| (message.from, message.data.text(), message.addressed)).collect();
    assert_eq!(heard, [(bob, Some("to all"), false), (bob, Some("again"), false), (bob, Some("to you"), true)]);
    let mut told: BTreeSet<_> = unreadable.into_iter().collect();
    while told.len() < 2 {
        told.insert(unreadable_next(&mut rooms[0]).await);
    }
    let expected = [(Some(eve), Unreadable::NotSealed), (Some(mallory), Unreadable::WrongKey)];
    assert_eq!(told, BTreeSet::from(expected));

    let mut told = BTreeSet::new();
    for _ in 0..3 {
        told.insert(unreadable_next(&mut rooms[2]).await);
    }
    assert_eq!(told, BTreeSet::from([ada, bob, mallory].map(|id| (Some(id), Unreadable::NoKey))));

    // Nothing of all that stays in anybody's way: what was withheld counts as consumed.
    for _ in 0..64 {
        rooms[0].channel("large").send(pattern(256 * 1024)).await.expect("an open room");
    }
    for _ in 0..64 {
        let large = find(&mut rooms[1], |event| match event {
            Event::Message(message) if message.channel == "large" => Some(message.data.bytes()),
            Event::Gap { .. } => panic!("a gap"),
            _ => None,
        });
        assert!(large.await.is_some_and(|bytes| bytes == pattern(256 * 1024)));
    }
}

async fn unreadable_next(room: &mut Room) -> (Option<MemberId>, Unreadable) {
    find(room, |event| match event {
        Event::Unreadable { member, reason } => Some((member, reason)),
        Event::Message(message) if message.channel != "chat" && message.channel != "end" => panic!("{message:?}"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn lossy_channels_are_sealed_too_for_those_who_enter_later_as_well() {
    let server = server().await;
    let key = RoomKey::random().expect("randomness");
    let mut rooms = vec![enter_with(&server, "Ada", &key).await, enter_with(&server, "Bob", &key).await];
    all_linked(&mut rooms).await;
    let cursor = rooms[0].channel("cursor").mode(Mode::Latest);
    for n in 0..100 {
        cursor.send(n).await.expect("an open room");
    }
    let late = enter_with(&server, "late", &key).await;
    let eve = enter(&server, "Eve").await;
    let id = rooms[0].id();
    for mut room in [rooms.remove(1), late] {
        let last = find(&mut room, |event| match event {
            Event::Message(message) if message.mode == Mode::Latest => {
                message.data.to().ok().filter(|n: &u32| *n == 99)
            }
            _ => None,
        });
        assert_eq!(last.await, 99);
        rooms.push(room);
    }
    let mut eve = eve;
    assert_eq!(unreadable_next(&mut eve).await, (Some(id), Unreadable::NoKey));
    // Datagrams may be lost.
    let sparks = rooms[0].channel("sparks").mode(Mode::Datagram);
    let spark = loop {
        sparks.send(vec![7; room::limits::LOSSY_MAX - 64]).await.expect("an open room");
        let heard = tokio::time::timeout(std::time::Duration::from_millis(200), message(&mut rooms[1])).await;
        if let Some(spark) = heard.ok().filter(|message| message.mode == Mode::Datagram) {
            break spark;
        }
    };
    assert_eq!(spark.data.bytes().map(|bytes| bytes.len()), Some(room::limits::LOSSY_MAX - 64));
    let large = sparks.send(vec![7; room::limits::LOSSY_MAX - 16]).await;
    assert!(matches!(large, Err(SendError::TooLarge(..))), "what sealing adds counts");
}

#[tokio::test]
async fn calls_are_answered_among_those_who_have_the_key() {
    let server = server().await;
    let rooms = scene(&server).await;
    let [ada, bob, eve, mallory] = &rooms[..] else { panic!("four") };
    for room in &rooms {
        room.handle("add", async |request| {
            let (a, b): (i64, i64) = request.to()?;
            Ok(a + b)
        });
    }
    let sum = within(ada.call(bob.id(), "add", &[1, 2])).await.expect("a handler");
    assert_eq!(sum.to(), Ok(3));
    let missing = within(ada.call(bob.id(), "subtract", &[1, 2])).await;
    assert!(matches!(&missing, Err(CallError::NoHandler(message)) if message.contains("subtract")), "{missing:?}");
    for (caller, called) in [(ada, eve), (ada, mallory), (eve, ada), (mallory, ada)] {
        let failed = within(caller.call(called.id(), "add", &[1, 2])).await;
        assert!(matches!(failed, Err(CallError::Unreadable(_))), "{failed:?}");
    }
}

#[tokio::test]
async fn entries_of_the_state_are_read_with_the_key_only() {
    let server = server().await;
    let mut rooms = scene(&server).await;
    rooms[2].state().set("clear", &1).await.expect("an open room");
    let clear = find(&mut rooms[0], |event| match event {
        Event::Unreadable { member: None, reason } => Some(reason),
        _ => None,
    });
    assert_eq!(clear.await, Unreadable::NotSealed);
    rooms[0].state().set("title", "Standup").await.expect("an open room");
    let (value, by) = find(&mut rooms[1], |event| match event {
        Event::State { key, value, by } if key == "title" => Some((value, by)),
        _ => None,
    })
    .await;
    assert_eq!((value.as_str(), by), (r#""Standup""#, Some(rooms[0].id())));
    let hidden = find(&mut rooms[2], |event| match event {
        Event::Unreadable { member: None, reason } => Some(reason),
        _ => None,
    });
    assert_eq!(hidden.await, Unreadable::NoKey);
    assert_eq!(rooms[2].state().get("title"), None);
    assert_eq!(rooms[2].state().get("clear").map(|json| json.as_str().to_owned()), Some("1".to_owned()));
    assert_eq!(rooms[1].state().entries().into_keys().collect::<Vec<_>>(), ["title"]);

    let late = enter(&server, "late").await;
    assert_eq!(late.state().entries().into_keys().collect::<Vec<_>>(), ["clear"]);
}

#[tokio::test]
async fn a_key_that_is_not_whole_keeps_out() {
    let server = server().await;
    let error = roomful::join(format!("{}#key=abc", room_at(server.address()))).await.expect_err("no key");
    assert_eq!(error.code(), "bad_key");
    assert!(!error.to_string().contains("abc"));
}
