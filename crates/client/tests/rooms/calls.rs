//! Methods that one member offers and others call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use roomful::{CallError, HandlerError, MemberId, Payload};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::scene::{linked, server, within};

#[tokio::test]
async fn a_call_gives_the_handlers_result() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Point {
        x: f64,
        y: f64,
    }
    let server = server().await;
    let rooms = linked(&server, 2).await;
    let (ada, bob) = (&rooms[0], &rooms[1]);
    bob.handle("add", async |request| {
        let (a, b): (i64, i64) = request.to()?;
        Ok(a + b)
    });
    bob.handle("mirror", async |request| {
        let point: Point = request.to()?;
        Ok(Payload::value(&Point { x: -point.x, ..point })?)
    });
    let from = ada.id();
    bob.handle("who", move |request| async move { Ok(request.from == from) });

    let sum = within(ada.call(bob.id(), "add", &[1, 2])).await.expect("a handler");
    assert_eq!(sum.to(), Ok(3));
    let mirrored = within(ada.call(bob.id(), "mirror", &Point { x: 2.0, y: 0.5 })).await.expect("a handler");
    assert_eq!(mirrored.to(), Ok(Point { x: -2.0, y: 0.5 }));
    assert_eq!(within(ada.call(bob.id(), "who", &())).await.expect("a handler").to(), Ok(true));
}

#[tokio::test]
async fn a_call_that_fails_says_why() {
    let server = server().await;
    let rooms = linked(&server, 2).await;
    let (ada, bob) = (&rooms[0], &rooms[1]);
    bob.handle("fail", async |_| Err::<(), _>(HandlerError::new("not today")));
    bob.handle("panic", async |_| if true { panic!("a bug") } else { Ok(()) });
    bob.handle("add", async |request| {
        let (a, b): (i64, i64) = request.to()?;
        Ok(a + b)
    });
    bob.handle("never", async |_| std::future::pending::<Result<(), HandlerError>>().await);

    let call = |method: &str| within(ada.call(bob.id(), method, "argument").timeout(Duration::from_millis(300)));
    assert!(matches!(call("nothing").await, Err(CallError::NoHandler(_))));
    assert_eq!(call("fail").await, Err(CallError::HandlerFailed("not today".to_owned())));
    assert_eq!(call("panic").await, Err(CallError::HandlerFailed("it panicked".to_owned())));
    assert!(matches!(call("add").await, Err(CallError::HandlerFailed(reason)) if reason.contains("shape")));
    assert_eq!(call("never").await, Err(CallError::Timeout));
    let nobody = within(ada.call(MemberId::from(7), "add", &[1, 2])).await;
    assert_eq!(nobody, Err(CallError::UnknownMember));
    assert!(matches!(within(ada.call(bob.id(), "m".repeat(65), &())).await, Err(CallError::TooLarge(_))));
}

#[tokio::test]
async fn a_call_ends_when_its_member_leaves() {
    let server = server().await;
    let mut rooms = linked(&server, 2).await;
    let (bob, ada) = (rooms.remove(1), &rooms[0]);
    bob.handle("never", async |_| std::future::pending::<Result<(), HandlerError>>().await);
    let call = ada.call(bob.id(), "never", &());
    let (answer, left) = within(async {
        tokio::join!(call.into_future(), async {
            sleep(Duration::from_millis(50)).await;
            bob.leave().await
        })
    })
    .await;
    assert_eq!((answer, left), (Err(CallError::MemberLeft), Ok(())));
}

#[tokio::test]
async fn calls_beyond_what_handlers_may_do_at_once_wait() {
    const CALLS: usize = 200;
    let server = server().await;
    let rooms = linked(&server, 2).await;
    let (ada, bob) = (&rooms[0], &rooms[1]);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let handled = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&gate));
    bob.handle("wait", move |request| {
        let (running, most, gate) = handled.clone();
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            gate.acquire().await?.forget();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(request.data)
        }
    });
    let mut calls = JoinSet::new();
    for n in 0..CALLS {
        let (membership, to) = (ada.membership().clone(), bob.id());
        calls.spawn(async move { (n, membership.call(to, "wait", &n).await) });
    }
    within(async {
        while running.load(Ordering::SeqCst) < 64 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    gate.add_permits(CALLS);
    for (n, answer) in within(calls.join_all()).await {
        assert_eq!(answer.expect("a handler").to(), Ok(n));
    }
    assert_eq!(most.load(Ordering::SeqCst), 64);
}

#[tokio::test]
async fn a_large_argument_and_a_large_result_arrive() {
    let server = server().await;
    let rooms = linked(&server, 2).await;
    rooms[1].handle("echo", async |request| Ok(request.data));
    let argument = Payload::from(crate::scene::pattern(1024 * 1024));
    let result = within(rooms[0].call(rooms[1].id(), "echo", &argument)).await;
    assert_eq!(result, Ok(argument));
}
