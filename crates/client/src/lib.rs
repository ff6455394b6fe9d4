//! A Roomful member in Rust: join a room, talk to everyone in it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use roomful::{Event, Mode};
//!
//! let mut room = roomful::join("http://127.0.0.1:7800/standup").name("bot").await?;
//! room.channel("chat").send("hi").await?; // waits while too much is on its way
//!
//! let mut cursors = room.channel("cursor").mode(Mode::Latest).open();
//! tokio::spawn(async move {
//!     while let Some(cursor) = cursors.next().await {
//!         println!("{} is at {:?}", cursor.from, cursor.data.to::<(f64, f64)>());
//!     }
//! });
//!
//! while let Some(event) = room.next().await {
//!     match event {
//!         Event::Message(message) if message.data.text() == Some("bye") => break,
//!         Event::Message(message) => println!("{}: {:?}", message.from, message.data),
//!         Event::MemberJoin(member) => println!("{} is here", member.name),
//!         _ => {}
//!     }
//! }
//! room.leave().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A reliable message is delivered exactly once, in its sender's order, to every member present when it was sent and
//! still present when it arrives; where a bound is exceeded the receiver is told of the [gap](Event::Gap).
//!
//! An address that ends in `#key=…` ([`RoomKey`]) makes the room secret: what members say to each other is sealed from end
//! to end, and nobody without the key, the server included, can read it or make it up.
//!
//! What it deliberately does not do: media, files, and keeping anything on disk.
//!
//! Inside: [`Room`], [`Membership`], [`Channel`] and their like are handles of the application. They reach the driver,
//! one task for each member, over bounded queues. The driver owns the member machine ([`room::member::Member`]), the
//! links ([`rtc::Endpoint`]) and the WebSocket; between it and the machine payloads are sealed and opened. What came waits
//! for the application in the inbox.

mod address;
mod call;
mod channel;
mod driver;
mod error;
mod event;
mod inbox;
mod join;
mod limits;
mod links;
mod membership;
mod payload;
mod room;
mod seal;
mod secrecy;
mod secret;
mod shared;
mod socket;
mod state;
mod value;

pub use ::room::{
    id::MemberId,
    wire::signal::{GoneReason, Json, Member, RefusalCode},
};
pub use address::AddressError;
pub use call::{Call, Request};
pub use channel::{Channel, Messages};
pub use error::{CallError, ChangeError, HandlerError, JoinError, LeaveError, PinError, SendError};
pub use event::{Closed, Event, Link, LinkState, Message, Mode, Unreadable};
pub use join::{Join, join};
pub use membership::Membership;
pub use payload::Payload;
pub use room::Room;
pub use secret::{RoomKey, RoomKeyError};
pub use state::State;
pub use value::{
    array::{ArrayKind, Number, TypedArray},
    encode::EncodeError,
    json::FromJsonError,
    reader::DecodeError,
};
