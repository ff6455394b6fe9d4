//! Who may join with what token.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

mod support;

use std::{path::Path, process::Command, time::Duration};

use room::wire::signal::{
    ClientMessage, Json, RefusalCode, Refused, ServerMessage, SetState, Token, TopologyChange, Welcome,
};
use serde_json::{Value, json};
use server::{Config, Running, Server, StartError, config::Rooms, token::Claims};
use support::{Member, join, start};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn server() -> Running {
    start(Config { keys: [("site".to_owned(), SECRET.to_owned().into())].into(), ..Config::default() }).await
}

fn to_join(identity: &str) -> Claims {
    Claims::to_join(&"standup".parse().unwrap(), identity, Duration::from_secs(60))
}

fn sign(claims: &Claims) -> String {
    claims.sign("site", &SECRET.to_owned().into()).unwrap()
}

async fn refusal(server: &Running, room: &str, token: &str) -> RefusalCode {
    Member::join_with(server, room, token).await.err().unwrap().code
}

#[tokio::test]
async fn members_need_a_good_token_for_the_room() {
    let server = server().await;
    let mut nobody = Member::connect(&server, "standup").await;
    nobody.send(&ClientMessage::Join(join(nobody.secret, "Eve"))).await;
    assert_eq!(nobody.refused().await.code, RefusalCode::TokenRequired);

    let good = sign(&Claims { name: Some("Ada".to_owned()), ..to_join("ada") });
    let (_ada, welcome) = Member::join_with(&server, "standup", &good).await.unwrap();
    assert_eq!((welcome.this.name.as_str(), welcome.this.identity.as_deref()), ("Ada", Some("ada")));

    assert_eq!(refusal(&server, "retro", &good).await, RefusalCode::TokenOtherRoom);
    assert_eq!(refusal(&server, "standup", &good[..good.len() - 3]).await, RefusalCode::TokenInvalid);
    assert_eq!(
        refusal(&server, "standup", &sign(&Claims { exp: 1, ..to_join("ada") })).await,
        RefusalCode::TokenExpired
    );
    let forged = to_join("ada").sign("site", &SECRET.replace('0', "f").into()).unwrap();
    assert_eq!(refusal(&server, "standup", &forged).await, RefusalCode::TokenInvalid);
}

/// The next change of how a room is linked, or of what it is to be.
async fn topology(member: &mut Member) -> TopologyChange {
    loop {
        if let ServerMessage::Topology(change) = member.next().await {
            return change;
        }
    }
}

#[tokio::test]
async fn a_room_is_linked_as_a_token_says_else_as_the_configuration_does() {
    let rooms: Rooms = toml_rooms("topology = 'small-world'\ntopologies.standup = 'auto'\ntopologies.lecture = 'mesh'");
    let keys = [("site".to_owned(), SECRET.to_owned().into())];
    let server = start(Config { keys: keys.into(), rooms, ..Config::default() }).await;
    for (room, topology, pin) in
        [("any", "small-world", Some("small-world")), ("lecture", "mesh", Some("mesh")), ("standup", "mesh", None)]
    {
        let token = sign(&Claims::to_join(&room.parse().unwrap(), "ada", Duration::from_secs(60)));
        let (_, welcome) = Member::join_with(&server, room, &token).await.unwrap();
        assert_eq!((welcome.topology.as_str(), welcome.pin.as_deref()), (topology, pin), "{room}");
    }

    let mut claims = to_join("grace");
    claims.video.topology = Some("tree".to_owned());
    let (mut grace, welcome) = Member::join_with(&server, "standup", &sign(&claims)).await.unwrap();
    assert_eq!((welcome.pin, welcome.admin), (None, false));
    assert_eq!(topology(&mut grace).await.pin.as_deref(), Some("tree"));
    assert_eq!(topology(&mut grace).await.to, "tree");

    claims.video.topology = Some("ring".to_owned());
    assert_eq!(refusal(&server, "standup", &sign(&claims)).await, RefusalCode::TokenInvalid);
}

#[tokio::test]
async fn rooms_are_no_stars_without_relays() {
    let mut config = Config { dev: true, rooms: toml_rooms("topologies.lecture = 'star'"), ..Config::default() };
    config.relay.enabled = false;
    assert!(matches!(Server::start(config).await, Err(StartError::NoRelays)));
}

fn toml_rooms(text: &str) -> Rooms {
    format!("[rooms]\n{text}").parse::<Config>().unwrap().rooms
}

#[tokio::test]
async fn who_may_not_send_data_is_told_so_and_stays() {
    let server = server().await;
    let mut claims = to_join("guest");
    claims.video.can_publish_data = Some(false);
    let (mut guest, welcome) = Member::join_with(&server, "standup", &sign(&claims)).await.unwrap();
    assert!(welcome.this.mute);
    let write = SetState { op: 1, key: "title".to_owned(), value: Json::from("mine").unwrap() };
    guest.send(&ClientMessage::State(write)).await;
    let ServerMessage::Refused(Refused { code, fatal, .. }) = guest.next().await else { panic!() };
    assert_eq!((code, fatal), (RefusalCode::NotAllowed, false));
}

#[tokio::test]
async fn dev_server_wants_no_token() {
    let server = support::dev().await;
    let mut ada = Member::connect(&server, "standup").await;
    let token = Some(Token("of another server".to_owned()));
    ada.send(&ClientMessage::Join(room::wire::signal::Join { token, ..join(ada.secret, "Ada") })).await;
    assert_eq!(ada.welcome().await.this.identity, None);
}

#[tokio::test]
async fn server_without_keys_does_not_start() {
    let error = Server::start(Config::default()).await.unwrap_err();
    assert!(matches!(error, StartError::NoKeys) && error.is_configuration() && error.hint().contains("--dev"));
    let keys = [("site".to_owned(), "short".to_owned().into())].into();
    let error = Server::start(Config { keys, ..Config::default() }).await.unwrap_err();
    assert!(matches!(error, StartError::WeakKey(_)), "{error}");
}

/// A token made by LiveKit's own SDK for Node.
fn livekit(change: &Value) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/livekit");
    if !folder.join("node_modules").exists() {
        eprintln!("skipped: LiveKit's SDK is not installed, run `cargo xtask setup`");
        return None;
    }
    let mut options = json!({
        "key": "site", "secret": SECRET, "identity": "ada", "name": "Ada", "ttl": "10m",
        "metadata": "{\"seat\":4}", "attributes": {"team": "blue"},
        "grant": {"room": "standup", "roomJoin": true, "canPublish": true},
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        options[name] = value.clone();
    }
    let minted = Command::new("node").current_dir(folder).arg("mint.js").arg(options.to_string()).output().unwrap();
    assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
    Some(String::from_utf8(minted.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn tokens_of_livekits_sdk_are_accepted() {
    let Some(token) = livekit(&json!({})) else { return };
    let server = server().await;
    let (_ada, Welcome { this, .. }) = Member::join_with(&server, "standup", &token).await.unwrap();
    assert_eq!((this.name.as_str(), this.identity.as_deref(), this.mute), ("Ada", Some("ada"), false));
    assert_eq!(refusal(&server, "retro", &token).await, RefusalCode::TokenOtherRoom);

    let mute = json!({"identity": "guest", "grant": {"room": "standup", "roomJoin": true, "canPublishData": false}});
    let (_guest, welcome) = Member::join_with(&server, "standup", &livekit(&mute).unwrap()).await.unwrap();
    assert!(welcome.this.mute);
    let no_entry = livekit(&json!({"grant": {"room": "standup", "roomList": true}})).unwrap();
    assert_eq!(refusal(&server, "standup", &no_entry).await, RefusalCode::NotAllowed);
    let other_secret = livekit(&json!({"secret": SECRET.replace('0', "f")})).unwrap();
    assert_eq!(refusal(&server, "standup", &other_secret).await, RefusalCode::TokenInvalid);
}
