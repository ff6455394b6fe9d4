//! The server goes and comes; what is between members goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use roomful::{Event, JoinError, LinkState, Room};
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    net::TcpStream,
    sync::Notify,
    time::sleep,
};

use crate::{
    proxy::Proxy,
    scene::{enter, find, linked, message, next, room_at, server, server_at, within},
};

/// Waits until the server is back; says whether it had kept the session.
async fn reconnected(room: &mut Room) -> bool {
    find(room, |event| match event {
        Event::Reconnected { resumed } => Some(resumed),
        Event::MemberLeave { member, reason } => panic!("{} is gone: {reason:?}", member.name),
        Event::Link(link) if link.state != LinkState::Open => panic!("{link:?}"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_server_that_restarts_is_not_noticed_by_messages() {
    let first = server().await;
    let address = first.address();
    let mut rooms = linked(&first, 3).await;
    rooms[0].state().set("title", "kept").await.expect("an open room");
    for room in &mut rooms {
        find(room, |event| matches!(event, Event::State { .. }).then_some(())).await;
    }
    within(first.shutdown()).await;
    find(&mut rooms[0], |event| matches!(event, Event::Reconnecting { .. }).then_some(())).await;
    rooms[0].channel("chat").send("the server is away").await.expect("an open room");
    assert_eq!(message(&mut rooms[1]).await.data.text(), Some("the server is away"));

    let second = server_at(address).await;
    for room in &mut rooms {
        assert!(!reconnected(room).await, "a new server knows nobody");
    }
    rooms[1].channel("chat").send("it is back").await.expect("an open room");
    for heard in [0, 2] {
        assert_eq!(message(&mut rooms[heard]).await.data.text(), Some("it is back"));
    }

    // The new server knows what the old one did.
    sleep(Duration::from_millis(200)).await;
    let late = enter(&second, "late").await;
    assert_eq!(late.members().len(), 3);
    assert_eq!(late.state().get("title").map(|title| title.as_str().to_owned()), Some("\"kept\"".to_owned()));
    late.channel("chat").send("hello").await.expect("an open room");
    assert_eq!(message(&mut rooms[0]).await.data.text(), Some("hello"));
}

#[tokio::test]
async fn a_socket_that_is_cut_is_made_again_unnoticed() {
    let server = server().await;
    let proxy = Proxy::before(server.address()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let token = move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, std::convert::Infallible>("for a server that wants none".to_owned()) }
    };
    let mut ada = enter(&server, "Ada").await;
    let mut bob = within(roomful::join(room_at(proxy.address)).name("Bob").token_from(token)).await.expect("let in");
    let id = bob.id();
    find(&mut ada, |event| matches!(event, Event::Link(link) if link.state == LinkState::Open).then_some(())).await;
    find(&mut bob, |event| matches!(event, Event::Link(link) if link.state == LinkState::Open).then_some(())).await;

    for cuts in 1..=3 {
        proxy.cut();
        assert!(reconnected(&mut bob).await, "the server kept the session");
        assert_eq!((bob.id(), asked.load(Ordering::SeqCst)), (id, 1 + cuts));
        bob.channel("chat").send("still here").await.expect("an open room");
        // Nobody noticed: nothing but link events and this comes.
        loop {
            match next(&mut ada).await {
                Event::Message(message) => break assert_eq!(message.data.text(), Some("still here")),
                Event::Link(link) => assert_eq!(link.state, LinkState::Open),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_the_programs_own_is_asked_for_each_time() {
    let server = server().await;
    let (address, asked, cut) = (server.address(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let connector = {
        let (asked, cut) = (Arc::clone(&asked), Arc::clone(&cut));
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let cut = Arc::clone(&cut);
            async move {
                let mut tcp = TcpStream::connect(address).await?;
                let (near, mut far) = duplex(1_000);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut far, &mut tcp) => {}
                        () = cut.notified() => {}
                    }
                });
                Ok(near)
            }
        }
    };
    // Nobody looks this host up.
    let join = roomful::join("https://nowhere.invalid/room").connector(connector);
    let mut room = within(join).await.expect("let in");
    let other = enter(&server, "other").await;
    find(&mut room, |event| matches!(event, Event::MemberJoin(_)).then_some(())).await;
    cut.notify_one();
    let resumed = find(&mut room, |event| match event {
        Event::Reconnected { resumed } => Some(resumed),
        _ => None,
    });
    assert!(resumed.await);
    assert_eq!((asked.load(Ordering::Relaxed), other.members().len()), (2, 1));
}

#[tokio::test]
async fn a_stream_that_there_is_none_of_is_a_server_out_of_reach() {
    let none = async || Err::<DuplexStream, _>(std::io::Error::other("the pipe is gone"));
    let refused = within(roomful::join("http://nowhere.invalid/room").connector(none)).await;
    match refused {
        Err(JoinError::Unreachable { reason, .. }) => assert!(reason.contains("the pipe is gone"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
