//! Entering, leaving, going away and coming back.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use room::{
    id::Secret,
    wire::signal::{
        ClientMessage, Entered, GoneReason, Join, Json, Member as Listed, Negotiation, RefusalCode, Resume, Role,
        ServerMessage, SetAttributes, SignalTo, StateEntry, Token,
    },
};
use server::{
    Config,
    config::{self, IdentityPolicy, Rooms},
    token::Claims,
};
use support::{Member, dev, join, secret, start};
use tokio::{task::JoinSet, time::timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn newcomer_gets_the_roster_and_the_others_hear_of_it() {
    let server = dev().await;
    let (mut ada, welcome) = Member::join(&server, "standup", "Ada").await;
    assert_eq!((welcome.v, welcome.this.id, welcome.resumed), (1, ada.id(), false));
    assert_eq!((welcome.room.as_str(), welcome.members.len()), ("standup", 0));

    let (bob, welcome) = Member::join(&server, "standup", "Bob").await;
    let names: Vec<_> = welcome.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["Ada"]);
    assert_eq!((welcome.links[0].peer, welcome.links[0].role), (ada.id(), Role::Answer));
    let ServerMessage::Member(Entered { member: Listed { id, name, .. }, .. }) = ada.next().await else { panic!() };
    assert_eq!((id, name.as_str()), (bob.id(), "Bob"));
    assert!(matches!(ada.next().await, ServerMessage::Links(plan) if plan.open[0].role == Role::Offer));

    let (mut other, welcome) = Member::join(&server, "retro", "Cyd").await;
    assert!(welcome.members.is_empty(), "rooms are apart");
    other.quiet().await;
    ada.quiet().await;
}

#[tokio::test]
async fn who_leaves_is_gone_at_once() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    for way in ["leave", "leave and close", "page"] {
        let (mut bob, _) = Member::join(&server, "standup", "Bob").await;
        let id = bob.id();
        ada.next().await;
        ada.next().await;
        if way == "leave" {
            bob.send(&ClientMessage::Leave {}).await;
            bob.closed(1000, "").await;
        } else if way == "leave and close" {
            bob.send(&ClientMessage::Leave {}).await;
            bob.close(CloseCode::Normal).await;
        } else {
            bob.close_page().await;
        }
        assert!(
            matches!(ada.next().await, ServerMessage::Gone(gone) if gone.id == id && gone.reason == GoneReason::Left)
        );
    }
}

#[tokio::test]
async fn members_signal_and_share_state_and_attributes() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (mut bob, _) = Member::join(&server, "standup", "Bob").await;
    ada.next().await;
    ada.next().await;

    let data = Json::from(&Negotiation::Offer("v=0".to_owned())).unwrap();
    ada.send(&ClientMessage::Signal(SignalTo { to: bob.id(), attempt: 1, data: data.clone() })).await;
    let ServerMessage::Signal(signal) = bob.next().await else { panic!() };
    assert_eq!((signal.from, signal.attempt, signal.data), (ada.id(), 1, data.clone()));

    let nobody = secret().member_id();
    ada.send(&ClientMessage::Signal(SignalTo { to: nobody, attempt: 1, data })).await;
    let ServerMessage::Refused(refused) = ada.next().await else { panic!() };
    assert_eq!((refused.code, refused.fatal), (RefusalCode::UnknownMember, false));

    bob.set(1, "title", "Standup").await;
    for member in [&mut ada, &mut bob] {
        let ServerMessage::State(change) = member.next().await else { panic!() };
        assert_eq!((change.key.as_str(), change.value.as_str()), ("title", "\"Standup\""));
    }
    let set = [("mood".to_owned(), Some("good".to_owned()))].into();
    ada.send(&ClientMessage::Attributes(SetAttributes { op: 1, set })).await;
    let ServerMessage::Update(update) = bob.next().await else { panic!() };
    assert_eq!((update.id, update.attributes["mood"].as_str()), (ada.id(), "good"));
}

#[tokio::test]
async fn cut_socket_resumes_and_nobody_notices() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (bob, _) = Member::join(&server, "standup", "Bob").await;
    ada.next().await;
    ada.next().await;
    let secret = bob.secret;
    drop(bob);
    tokio::time::sleep(Duration::from_millis(50)).await;
    ada.quiet().await;
    let (_bob, welcome) = Member::resume(&server, "standup", secret, None).await;
    assert!(welcome.resumed);
    // It cannot know whether what it signalled was lost, and begins anew; the roster is as it was.
    assert!(matches!(ada.next().await, ServerMessage::Links(_)));
    ada.quiet().await;
}

#[tokio::test]
async fn who_closes_without_leaving_may_come_back() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    for code in [CloseCode::Normal, CloseCode::Library(4999)] {
        let (bob, _) = Member::join(&server, "standup", "Bob").await;
        ada.next().await;
        ada.next().await;
        let secret = bob.secret;
        bob.close(code).await;
        ada.quiet().await;
        let (mut bob, welcome) = Member::resume(&server, "standup", secret, None).await;
        assert!(welcome.resumed, "{code}");
        assert!(matches!(ada.next().await, ServerMessage::Links(_)));
        bob.send(&ClientMessage::Leave {}).await;
        assert!(matches!(ada.next().await, ServerMessage::Gone(gone) if gone.reason == GoneReason::Left));
    }
}

#[tokio::test]
async fn second_connection_takes_the_session_over() {
    let server = dev().await;
    let (mut ada, _) = Member::join(&server, "standup", "Ada").await;
    let (mut bob, _) = Member::join(&server, "standup", "Bob").await;
    ada.next().await;
    ada.next().await;
    let (mut again, welcome) = Member::resume(&server, "standup", bob.secret, None).await;
    assert!(welcome.resumed);
    assert_eq!(bob.refused().await.code, RefusalCode::Replaced);
    assert!(matches!(ada.next().await, ServerMessage::Links(_)));
    ada.quiet().await;
    again.quiet().await;
}

#[tokio::test]
async fn restarted_server_takes_members_and_their_state_back() {
    let server = dev().await;
    let (ada, first) = Member::join(&server, "standup", "Ada").await;
    let secret = ada.secret;
    server.shutdown().await;

    let server = dev().await;
    let entry = StateEntry { value: Json::from("Standup").unwrap(), version: 7 };
    let state = [("title".to_owned(), entry)].into();
    let resume = Some(Resume { hub: first.hub.clone(), state, ..Resume::default() });
    let (_ada, welcome) = Member::resume(&server, "standup", secret, resume).await;
    assert_ne!(welcome.hub, first.hub);
    assert_eq!((welcome.this.id, welcome.resumed), (first.this.id, false));
    assert_eq!(welcome.state["title"].value.as_str(), "\"Standup\"");
}

#[tokio::test]
async fn room_opened_anew_has_another_hub() {
    let server = dev().await;
    let (ada, first) = Member::join(&server, "standup", "Ada").await;
    ada.close_page().await;
    let (_bob, second) = Member::join(&server, "standup", "Bob").await;
    assert_ne!(first.hub, second.hub);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flash_crowd_gets_all_its_signals() {
    const CROWD: usize = 64;
    /// An offer or answer and the candidates after it.
    const SIGNALS: u32 = 8;
    let rooms = Rooms { topology: config::Topology::Mesh, ..Rooms::default() };
    let server = Arc::new(start(Config { dev: true, rooms, ..Config::default() }).await);
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let server = server.clone();
        crowd.spawn(async move {
            let (mut member, welcome) = Member::join(&server, "standup", &format!("member {n}")).await;
            let mut linked: Vec<_> = welcome.links.iter().map(|link| link.peer).collect();
            let (mut told, mut heard) = (0, BTreeMap::new());
            while told < CROWD - 1 || heard.values().filter(|count| **count == SIGNALS).count() < CROWD - 1 {
                while let Some(to) = linked.pop() {
                    for attempt in 0..SIGNALS {
                        let data = Json::from(&Negotiation::Offer("x".repeat(700))).unwrap();
                        member.send(&ClientMessage::Signal(SignalTo { to, attempt, data })).await;
                    }
                    told += 1;
                }
                match member.next().await {
                    ServerMessage::Links(plan) => linked.extend(plan.open.iter().map(|link| link.peer)),
                    ServerMessage::Signal(signal) => {
                        let count = heard.entry(signal.from).or_insert(0);
                        assert_eq!(signal.attempt, *count, "in order");
                        *count += 1;
                    }
                    ServerMessage::Member(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            member
        });
    }
    let members = timeout(Duration::from_secs(20), crowd.join_all()).await.expect("all have heard all");
    assert_eq!(members.len(), CROWD);
}

// ---- identities -------------------------------------------------------------------------------------------------

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with_keys(identity_policy: IdentityPolicy) -> Config {
    let keys = [("site".to_owned(), config::Secret::from(SECRET.to_owned()))].into();
    Config { keys, rooms: Rooms { identity_policy, ..Rooms::default() }, ..Config::default() }
}

fn token(identity: &str) -> String {
    let claims = Claims::to_join(&"standup".parse().unwrap(), identity, Duration::from_secs(60));
    claims.sign("site", &SECRET.to_owned().into()).unwrap()
}

#[tokio::test]
async fn same_identity_coexists() {
    let server = start(with_keys(IdentityPolicy::Coexist)).await;
    let (mut first, welcome) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    assert_eq!(welcome.this.identity.as_deref(), Some("ada"));
    let (_second, welcome) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    assert_eq!(welcome.members.len(), 1);
    first.next().await;
    first.next().await;
    first.quiet().await;
}

#[tokio::test]
async fn same_identity_replaces() {
    let server = start(with_keys(IdentityPolicy::Replace)).await;
    let (mut first, _) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    let (_second, welcome) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    assert!(welcome.members.is_empty());
    assert_eq!(first.refused().await.code, RefusalCode::Replaced);
}

#[tokio::test]
async fn same_identity_is_rejected() {
    let server = start(with_keys(IdentityPolicy::Reject)).await;
    let (mut first, _) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    let refused = Member::join_with(&server, "standup", &token("ada")).await.err().unwrap();
    assert_eq!(refused.code, RefusalCode::IdentityTaken);
    assert!(Member::join_with(&server, "standup", &token("bob")).await.is_ok());
    first.next().await;
}

#[tokio::test]
async fn expired_token_resumes_but_does_not_enter() {
    let server = start(with_keys(IdentityPolicy::Coexist)).await;
    let (ada, _) = Member::join_with(&server, "standup", &token("ada")).await.unwrap();
    let secret = ada.secret;
    drop(ada);
    let expired = Claims { exp: 1, ..Claims::to_join(&"standup".parse().unwrap(), "ada", Duration::ZERO) };
    let expired = expired.sign("site", &SECRET.to_owned().into()).unwrap();
    let come = async |secret: Secret| {
        let mut member = Member::connect(&server, "standup").await;
        let token = Some(Token(expired.clone()));
        member.send(&ClientMessage::Join(Join { token, ..join(secret, "Ada") })).await;
        member
    };
    assert!(come(secret).await.welcome().await.resumed);
    assert_eq!(come(support::secret()).await.refused().await.code, RefusalCode::TokenExpired);
}
