//! Messages reach everybody, once and in order.

use std::collections::BTreeMap;

use roomful::{Event, MemberId, Mode, Payload, SendError};

use crate::scene::{enter, find, linked, message, pattern, server, within};

#[tokio::test]
async fn two_members_exchange_messages() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let (ada, bob) = (rooms.remove(0), &mut rooms[0]);

    ada.channel("chat").send("hi").await.expect("an open room");
    let heard = message(bob).await;
    assert_eq!((heard.from, heard.channel.as_str(), heard.mode), (ada.id(), "chat", Mode::Reliable));
    assert_eq!((heard.data.text(), heard.addressed), (Some("hi"), false));
    assert_eq!(bob.member(ada.id()).map(|member| member.name), Some("member 0".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_members_hear_everything_once_and_in_order() {
    const MESSAGES: u32 = 200;
    let server = server().await;
    let rooms = linked(&server, 8).await;
    let mut tasks = tokio::task::JoinSet::new();
    for mut room in rooms {
        tasks.spawn(async move {
            let membership = room.membership().clone();
            let sending = tokio::spawn(async move {
                let chat = membership.channel("chat");
                for n in 0..MESSAGES {
                    chat.send(n).await.expect("an open room");
                }
            });
            let mut heard: BTreeMap<MemberId, Vec<u32>> = BTreeMap::new();
            while heard.values().map(Vec::len).sum::<usize>() < 7 * MESSAGES as usize {
                let message = message(&mut room).await;
                heard.entry(message.from).or_default().push(message.data.to().expect("a number"));
            }
            sending.await.expect("it does not panic");
            assert_eq!(heard.len(), 7);
            assert!(heard.values().all(|numbers| numbers.iter().copied().eq(0..MESSAGES)));
            // Until everybody is done, nobody leaves.
            room
        });
    }
    let rooms = within(tasks.join_all()).await;
    assert_eq!(rooms.len(), 8);
}

#[tokio::test]
async fn a_message_of_five_mebibytes_arrives_whole() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let bytes = pattern(5 * 1024 * 1024);
    rooms[0].channel("files").send(bytes.clone()).await.expect("an open room");
    rooms[0].channel("files").send("after it").await.expect("an open room");
    let heard = message(&mut rooms[1]).await;
    assert!(heard.data.bytes().is_some_and(|heard| heard == bytes));
    assert_eq!(message(&mut rooms[1]).await.data.text(), Some("after it"));
}

#[tokio::test]
async fn an_addressed_message_reaches_its_addressee_only() {
    let server = server().await;
    let mut rooms = linked(&server, 3).await;
    let chat = rooms[0].channel("chat");
    chat.send_to(rooms[1].id(), "for you").await.expect("an open room");
    chat.send("for all").await.expect("an open room");
    let first = message(&mut rooms[1]).await;
    assert_eq!((first.data.text(), first.addressed), (Some("for you"), true));
    assert_eq!(message(&mut rooms[1]).await.data.text(), Some("for all"));
    assert_eq!(message(&mut rooms[2]).await.data.text(), Some("for all"));
    let nobody = chat.send_to(MemberId::from(7), "?").await;
    assert_eq!(nobody, Err(SendError::UnknownMember));
}

#[tokio::test]
async fn a_newcomer_learns_who_is_there_and_hears_what_is_said_from_then_on() {
    let server = server().await;
    let mut ada = enter(&server, "Ada").await;
    ada.channel("chat").send("nobody hears this").await.expect("an open room");
    let mut bob = within(roomful::join(crate::scene::room_at(server.address())).name("Bob").attribute("role", "bot"))
        .await
        .expect("anyone may enter");
    assert_eq!(bob.members(), [ada.me()]);
    let joined = find(&mut ada, |event| match event {
        Event::MemberJoin(member) => Some(member),
        _ => None,
    })
    .await;
    assert_eq!(joined, bob.me());
    assert_eq!(joined.attributes.get("role").map(String::as_str), Some("bot"));
    // Said before the link is open: it waits for that.
    ada.channel("chat").send("welcome").await.expect("an open room");
    assert_eq!(message(&mut bob).await.data.text(), Some("welcome"));
}

#[tokio::test]
async fn a_channel_that_is_open_gets_its_messages() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let mut chat = rooms[1].channel("chat").open();
    for text in ["one", "two"] {
        rooms[0].channel("chat").send(text).await.expect("an open room");
    }
    rooms[0].channel("other").send("three").await.expect("an open room");
    assert_eq!(within(chat.next()).await.expect("an open room").data.text(), Some("one"));
    assert_eq!(within(chat.next()).await.expect("an open room").data.text(), Some("two"));
    assert_eq!(message(&mut rooms[1]).await.channel, "other");
    drop(chat);
    rooms[0].channel("chat").send("four").await.expect("an open room");
    assert_eq!(message(&mut rooms[1]).await.data.text(), Some("four"));
}

#[tokio::test]
async fn what_is_too_large_is_refused_at_once() {
    let server = server().await;
    let ada = enter(&server, "Ada").await;
    let large = Payload::from(vec![0; room::limits::MESSAGE_MAX]);
    assert!(matches!(ada.channel("chat").send(large).await, Err(SendError::TooLarge(..))));
    let lossy = ada.channel("cursor").mode(Mode::Latest).send(vec![0; room::limits::LOSSY_MAX]).await;
    assert!(matches!(lossy, Err(SendError::TooLarge(..))));
    assert_eq!(ada.channel("c".repeat(65)).send("?").await, Err(SendError::ChannelName));
}

#[tokio::test]
async fn attributes_reach_everybody() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let id = rooms[0].id();
    rooms[0].set_attributes([("mood", Some("good")), ("none", None)]).await.expect("an open room");
    for room in &mut rooms {
        let mood = find(room, |event| match event {
            Event::MemberUpdate(member) if member.id == id => member.attributes.get("mood").cloned(),
            _ => None,
        })
        .await;
        assert_eq!(mood, "good");
    }
    assert_eq!(rooms[0].me().attributes.len(), 1);
}
