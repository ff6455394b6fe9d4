//! What tests have in common: a server, members in a room, and waiting for what they hear.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use roomful::{Event, Link, LinkState, MemberId, Message, Room};
use server::{Config, Running, Server};

/// How long anything may take on a busy machine before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server that lets anyone in.
pub async fn server() -> Running {
    server_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
}

/// The same, at this address.
pub async fn server_at(listen: SocketAddr) -> Running {
    let config = Config { dev: true, listen, ..Config::default() };
    Server::start(config).await.expect("a free port, and a configuration that lets people in")
}

/// The room's address.
pub fn room_at(address: SocketAddr) -> String {
    format!("http://{address}/room")
}

pub async fn enter(server: &Running, name: &str) -> Room {
    within(roomful::join(room_at(server.address())).name(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// So many members, all linked to each other.
pub async fn linked(server: &Running, count: usize) -> Vec<Room> {
    let mut rooms = Vec::new();
    for at in 0..count {
        rooms.push(enter(server, &format!("member {at}")).await);
    }
    let ids: BTreeSet<MemberId> = rooms.iter().map(|room| room.id()).collect();
    for room in &mut rooms {
        let mut missing: BTreeSet<MemberId> = ids.iter().copied().filter(|id| *id != room.id()).collect();
        while !missing.is_empty() {
            if let Event::Link(Link { member, state: LinkState::Open, .. }) = next(room).await {
                missing.remove(&member);
            }
        }
    }
    rooms
}

/// What the future gives, if it does so in time.
pub async fn within<F: IntoFuture>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future.into_future()).await.expect("it takes too long")
}

pub async fn next(room: &mut Room) -> Event {
    within(room.next()).await.expect("the room is open")
}

/// The next event that this finds something in.
pub async fn find<T>(room: &mut Room, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(next(room).await) {
            return found;
        }
    }
}

/// The next message among the room's events.
pub async fn message(room: &mut Room) -> Message {
    find(room, |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
    .await
}

/// Bytes that are easy to make and hard to get by accident.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    let step = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..length).map(step).collect()
}
