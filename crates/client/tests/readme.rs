//! What README.md and the guide show in Rust compiles: it stands here too.

#![allow(
    dead_code,
    unused_mut,
    unused_variables,
    clippy::match_same_arms,
    reason = "as short as the documents want it"
)]

use std::{fs, path::Path};

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn readme() -> Outcome {
    let mut room = roomful::join("http://127.0.0.1:7800/standup").name("bot").await?;
    room.channel("chat").send("hi").await?;
    while let Some(event) = room.next().await {
        println!("{event:?}");
    }
    Ok(())
}

async fn guide(token: String, my_struct: [u8; 2], member: roomful::MemberId) -> Outcome {
    use roomful::{Event, Mode, Payload};

    let mut room = roomful::join("https://host/standup").name("bot").token(token).await?;
    let chat = room.channel("chat");
    chat.send("hi").await?; // text, bytes …
    chat.send(Payload::value(&my_struct)?).await?; // … or anything that serde can write
    chat.send_to(member, "psst").await?;

    let mut cursors = room.channel("cursor").mode(Mode::Latest).open();

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

#[test]
fn every_line_shown_in_rust_is_compiled_here() {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let compiled: Vec<String> = include_str!("readme.rs").lines().map(words).collect();
    for document in ["README.md", "docs/guide/rust.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
        let mut shown = 0;
        for block in text.split("```rust\n").skip(1) {
            for line in block.lines().take_while(|line| !line.starts_with("```")) {
                assert!(compiled.contains(&words(line)), "{document} shows what is not compiled in readme.rs: {line}");
                shown += 1;
            }
        }
        assert!(shown > 0, "{document} shows no Rust");
    }
}
