//! What the README shows.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut room = roomful::join("http://127.0.0.1:7800/standup").name("bot").await?;
    room.channel("chat").send("hi").await?;
    while let Some(event) = room.next().await {
        println!("{event:?}");
    }
    Ok(())
}
