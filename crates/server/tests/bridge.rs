//! Rooms and deepstream's clients together: who is there, and what is said, both ways.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::time::{Duration, Instant};

use roomful::{Event, GoneReason, Member, Payload, Room};
use server::{
    Config, Running,
    config::{Deepstream, IdentityPolicy, Rooms, deepstream::Bridge},
    token::Claims,
};
use support::{deepstream::Client, start};
use tokio::time::timeout;

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// How long links between members may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that bridges the channel `chat` of the room `a`.
async fn bridged(config: Config) -> Running {
    let bridge = vec![Bridge { room: "a".parse().unwrap(), channels: vec!["chat".to_owned()] }];
    start(Config { deepstream: Deepstream { bridge, ..config.deepstream }, ..config }).await
}

/// A server to which everybody comes with a token.
fn with_tokens() -> Config {
    let keys = [("site".to_owned(), KEY.to_owned().into())].into();
    let deepstream = Deepstream { tokens: true, ..Deepstream::default() };
    let rooms = Rooms { identity_policy: IdentityPolicy::Replace, ..Rooms::default() };
    Config { keys, deepstream, rooms, ..Config::default() }
}

fn token(identity: &str) -> String {
    let claims = Claims::to_join(&"a".parse().unwrap(), identity, Duration::from_secs(60));
    claims.sign("site", &KEY.to_owned().into()).unwrap()
}

async fn within<F: IntoFuture>(future: F) -> F::Output {
    timeout(PATIENCE, future.into_future()).await.expect("it takes too long")
}

/// Enters the room when the bridge is in it.
async fn enter(server: &Running, name: &str) -> Room {
    let mut room = within(roomful::join(format!("{}a", server.url())).name(name)).await.unwrap();
    await_bridge(&mut room).await;
    room
}

async fn await_bridge(room: &mut Room) -> Member {
    loop {
        if let Some(bridge) = room.members().into_iter().find(|member| member.name == "deepstream") {
            return bridge;
        }
        within(room.next()).await.unwrap();
    }
}

/// The next message among the events.
async fn message(room: &mut Room) -> roomful::Message {
    loop {
        if let Event::Message(message) = within(room.next()).await.unwrap() {
            return message;
        }
    }
}

#[tokio::test]
async fn who_is_in_a_room_is_a_list_a_record_and_users() {
    let server = bridged(Config::default()).await;
    let mut client = Client::enter(&server).await;
    client.say("U|S|S+R|CR|roomful/a/members+R|CR|roomful/a/names+").await;
    client.hear("U|A|S|S+").await;
    for (record, json) in [("members", "[]"), ("names", "{}")] {
        client.hear(&format!("R|A|S|roomful/a/{record}+")).await;
        client.hear(&format!("R|R|roomful/a/{record}|1|{json}+")).await;
    }
    let ada = enter(&server, "Ada").await;
    let (a, bridge) = (ada.id(), ada.members().remove(0));
    assert_eq!(bridge.attributes["bridge"], "deepstream");
    client.hear(&format!("U|PNJ|roomful/a/{a}+")).await;
    client.hear(&format!("R|U|roomful/a/members|2|[\"{a}\"]+")).await;
    client.hear(&format!("R|U|roomful/a/names|2|{{\"{a}\":\"Ada\"}}+")).await;
    let bob = enter(&server, "Bob").await;
    let b = bob.id();
    client.hear(&format!("U|PNJ|roomful/a/{b}+")).await;
    client.hear(&format!("R|U|roomful/a/members|3|[\"{a}\",\"{b}\"]+")).await;
    let names = if a < b {
        format!("{{\"{a}\":\"Ada\",\"{b}\":\"Bob\"}}")
    } else {
        format!("{{\"{b}\":\"Bob\",\"{a}\":\"Ada\"}}")
    };
    client.hear(&format!("R|U|roomful/a/names|3|{names}+")).await;
    within(ada.leave()).await.unwrap();
    client.hear(&format!("U|PNL|roomful/a/{a}+")).await;
    client.hear(&format!("R|U|roomful/a/members|4|[\"{b}\"]+")).await;
    client.hear(&format!("R|U|roomful/a/names|4|{{\"{b}\":\"Bob\"}}+")).await;
    // It is the server's: clients only look.
    client.say("R|U|roomful/a/members|5|[]+R|D|roomful/a/names+E|EVT|roomful/a/other|S+").await;
    client.hear("R|E|MESSAGE_DENIED|roomful/a/members|U+").await;
    client.hear("R|E|MESSAGE_DENIED|roomful/a/names|D+").await;
    client.hear("E|E|MESSAGE_DENIED|roomful/a/other|EVT+").await;
}

#[tokio::test]
async fn what_is_said_crosses_once_and_in_order() {
    let server = bridged(Config::default()).await;
    let [mut one, mut other] = [Client::enter(&server).await, Client::enter(&server).await];
    for client in [&mut one, &mut other] {
        client.say("E|S|roomful/a/chat+").await;
        client.hear("E|A|S|roomful/a/chat+").await;
    }
    let (mut ada, mut bob) = (enter(&server, "Ada").await, enter(&server, "Bob").await);
    let bridge = await_bridge(&mut ada).await.id;
    let chat = ada.channel("chat");
    for count in 0..100 {
        within(chat.send(count)).await.unwrap();
    }
    within(ada.channel("elsewhere").send("not bridged")).await.unwrap();
    within(chat.send("hi")).await.unwrap();
    within(chat.send(b"hi")).await.unwrap();
    within(chat.send(Payload::value(&[Some(1.5), None]).unwrap())).await.unwrap();
    for client in [&mut one, &mut other] {
        for count in 0..100 {
            client.hear(&format!("E|EVT|roomful/a/chat|N{count}+")).await;
        }
        for data in ["Shi", "O{\"$bytes\":\"aGk=\"}", "O[1.5,null]"] {
            client.hear(&format!("E|EVT|roomful/a/chat|{data}+")).await;
        }
    }
    let said: String = (0..100).map(|count| format!("E|EVT|roomful/a/chat|N{count}+")).collect();
    one.say(&said).await;
    one.say("E|EVT|roomful/a/chat|Shello+E|EVT|roomful/a/chat|O{\"a\":[true]}+E|EVT|roomful/a/chat|U+").await;
    // Bob has heard Ada, too; what one sender says is in order.
    let mut heard = [Vec::new(), Vec::new()];
    for (room, heard) in [&mut ada, &mut bob].into_iter().zip(&mut heard) {
        while heard.len() < 103 {
            let message = message(room).await;
            if message.from == bridge {
                assert_eq!(message.channel, "chat");
                heard.push(message.data.to_json().unwrap().to_string());
            }
        }
    }
    let mut expected: Vec<String> = (0..100).map(|count| count.to_string()).collect();
    expected.extend(["\"hello\"", "{\"a\":[true]}", "{\"$undefined\":true}"].map(str::to_owned));
    assert_eq!(heard, [expected.clone(), expected]);
    // Nobody hears itself: the next that each client hears is what the other said, and then Ada.
    within(chat.send("last")).await.unwrap();
    for count in 0..100 {
        other.hear(&format!("E|EVT|roomful/a/chat|N{count}+")).await;
    }
    for data in ["Shello", "O{\"a\":[true]}", "U"] {
        other.hear(&format!("E|EVT|roomful/a/chat|{data}+")).await;
    }
    for client in [&mut one, &mut other] {
        client.hear("E|EVT|roomful/a/chat|Slast+").await;
    }
}

#[tokio::test]
async fn where_tokens_are_wanted_the_bridge_has_one() {
    let server = bridged(with_tokens()).await;
    let token = token("ada");
    let mut client = Client::connect(&server, "/deepstream-v3").await;
    client.say(&format!("C|CHR|ws://here+A|REQ|{{\"token\":\"{token}\"}}+")).await;
    client.hear("C|A+").await;
    client.hear("A|A+").await;
    let mut ada = within(roomful::join(format!("{}a", server.url())).token(token)).await.unwrap();
    assert_eq!(await_bridge(&mut ada).await.identity.as_deref(), Some("roomful/deepstream"));
    client.say("E|EVT|roomful/a/chat|Shello+").await;
    assert_eq!(message(&mut ada).await.data.text(), Some("hello"));
}

#[tokio::test]
async fn bridge_that_was_put_out_comes_back() {
    let server = bridged(with_tokens()).await;
    let mut ada = within(roomful::join(format!("{}a", server.url())).token(token("ada"))).await.unwrap();
    let before = await_bridge(&mut ada).await.id;
    let mut client = Client::connect(&server, "/deepstream-v3").await;
    client.say(&format!("C|CHR|ws://here+A|REQ|{{\"token\":\"{}\"}}+", token("ada"))).await;
    client.hear("C|A+").await;
    client.hear("A|A+").await;
    let same = roomful::join(format!("{}a", server.url())).token(token("roomful/deepstream"));
    let same = within(same).await.unwrap();
    while ada.member(before).is_some() {
        within(ada.next()).await.unwrap();
    }
    within(same.leave()).await.unwrap();
    client.say("E|EVT|roomful/a/chat|Sare you there?+").await;
    let answer = message(&mut ada).await;
    assert_eq!(answer.data.text(), Some("are you there?"));
    assert_ne!(answer.from, before);
    client.say("R|SN|roomful/a/members+").await;
    let members = client.next().await.unwrap().to_text().unwrap().to_owned();
    assert!(members.contains(&format!("[\"{}\"]", ada.id())), "{members}");
}

#[tokio::test]
async fn nobody_is_a_user_of_the_bridges_names() {
    let server = bridged(Config::default()).await;
    let mut forger = Client::connect(&server, "/deepstream-v3").await;
    forger.say("C|CHR|ws://here+A|REQ|{\"username\":\"roomful/a/0000000000000000\"}+").await;
    forger.hear("C|A+").await;
    forger.hear("A|E|INVALID_AUTH_DATA|O{\"error\":\"this name is the server's own\"}+").await;
}

#[tokio::test]
async fn shutdown_takes_the_bridge_along() {
    let server = bridged(Config::default()).await;
    let mut ada = enter(&server, "Ada").await;
    let began = Instant::now();
    within(server.shutdown()).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    loop {
        if let Event::MemberLeave { member, reason } = within(ada.next()).await.unwrap() {
            assert_eq!((member.name.as_str(), reason), ("deepstream", GoneReason::Left));
            break;
        }
    }
}

#[tokio::test]
async fn rooms_that_are_not_bridged_have_no_bridge() {
    let server = bridged(Config::default()).await;
    let room = within(roomful::join(format!("{}b", server.url()))).await.unwrap();
    assert!(room.members().is_empty());
    let mut client = Client::enter(&server).await;
    client.say("R|CR|roomful/b/members+").await;
    client.hear("R|E|MESSAGE_DENIED|roomful/b/members|CR+").await;
}
