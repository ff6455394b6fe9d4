//! What the guide shows of Rust.

use roomful::{Event, Mode, Payload};
use serde::Serialize;

#[derive(Serialize)]
struct Greeting {
    text: &'static str,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = std::env::var("ROOMFUL_TOKEN")?;
    let my_struct = Greeting { text: "hi" };

    let mut room = roomful::join("https://host/standup").name("bot").token(token).await?;
    let member = room.members().first().ok_or("nobody is here")?.id;

    let chat = room.channel("chat");
    chat.send("hi").await?; // text, bytes …
    chat.send(Payload::value(&my_struct)?).await?; // … or anything that serde can write
    chat.send_to(member, "psst").await?;

    let mut cursors = room.channel("cursor").mode(Mode::Latest).open();
    tokio::spawn(async move { while cursors.next().await.is_some() {} });

    while let Some(event) = room.next().await {
        match event {
            Event::Message(message) => println!("{}: {:?}", message.from, message.data.text()),
            Event::MemberJoin(member) => println!("{} is here", member.name),
            Event::MemberLeave { .. } | Event::Gap { .. } => {}
            _ => {}
        }
    }
    room.leave().await?;
    Ok(())
}
