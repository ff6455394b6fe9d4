//! The room's state and the members' attributes.

use std::collections::BTreeMap;

use room::{
    hub::{Grant, Input},
    limits,
    wire::signal::{
        ClientMessage, Json, RefusalCode, Resume, ServerMessage, SetAttributes, SetState, StateChange, StateEntry,
        Update,
    },
};

use crate::table::{Table, id, join, resume};

const HUB: &str = "00000000000000aa";

fn json(text: &str) -> Json {
    Json::parse(text).expect("JSON")
}

fn write(op: u64, key: &str, value: &str) -> ClientMessage {
    ClientMessage::State(SetState { op, key: key.to_owned(), value: json(value) })
}

fn set(op: u64, key: &str, value: Option<&str>) -> ClientMessage {
    let set = BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]);
    ClientMessage::Attributes(SetAttributes { op, set })
}

/// The version of the only message, which is a change of state.
fn version(messages: &[ServerMessage]) -> u64 {
    match messages {
        [ServerMessage::State(change)] => change.version,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_reaches_everybody_with_a_rising_version() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    let mut last = 0;
    for op in 1..=3 {
        table.say(conns[0], write(op, "title", "\"Standup\""));
        let (mine, theirs) = (table.inbox(conns[0]), table.inbox(conns[1]));
        assert_eq!(mine, theirs);
        assert!(version(&mine) > last);
        last = version(&mine);
    }
    let c = table.join(3);
    assert_eq!(table.welcome(c).state["title"], StateEntry { value: json("\"Standup\""), version: last });
}

#[test]
fn a_change_sent_again_is_ignored() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.say(conns[0], write(2, "k", "1"));
    table.say(conns[0], set(3, "mood", Some("good")));
    table.inbox(conns[1]);
    for op in 0..=3 {
        table.say(conns[0], write(op, "k", "9"));
        table.say(conns[0], set(op, "mood", None));
    }
    assert_eq!(table.inbox(conns[1]), []);
    table.cut(conns[0]);
    let again = table.join_as(resume(1, HUB, &[2]), Some(Grant::open()));
    let welcome = table.welcome(again);
    assert_eq!((welcome.op, welcome.this.attributes["mood"].as_str()), (3, "good"));
}

#[test]
fn attributes_are_told_whole() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.say(conns[0], set(1, "mood", Some("good")));
    table.say(conns[0], set(2, "hand", Some("up")));
    table.say(conns[0], set(3, "mood", None));
    let last = table.inbox(conns[1]).pop();
    let attributes = BTreeMap::from([("hand".to_owned(), "up".to_owned())]);
    assert_eq!(last, Some(ServerMessage::Update(Update { id: id(1), attributes, op: 3 })));
}

#[test]
fn refused_changes_are_answered_with_what_stands() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    table.say(conns[1], write(1, "k", "1"));
    let version = version(&table.inbox(conns[0]));
    let muted = Grant { publish_data: false, ..Grant::open() };
    let mute = table.join_as(join(3), Some(muted));
    assert!(table.welcome(mute).this.mute);
    let entered = |message: &ServerMessage| matches!(message, ServerMessage::Member(entered) if entered.member.mute);
    assert!(table.inbox(conns[0]).iter().any(entered));

    table.say(mute, write(1, "k", "2"));
    match &table.inbox(mute)[..] {
        [ServerMessage::Refused(refused), ServerMessage::State(now)] => {
            assert_eq!((refused.code, refused.fatal), (RefusalCode::NotAllowed, false));
            let expected = StateChange { key: "k".to_owned(), value: json("1"), version, by: id(3), op: 1 };
            assert_eq!(*now, expected);
        }
        other => panic!("{other:?}"),
    }
    table.say(mute, set(2, "mood", Some("sad")));
    match &table.inbox(mute)[..] {
        [ServerMessage::Refused(refused), ServerMessage::Update(update)] => {
            assert_eq!((refused.code, update.op), (RefusalCode::NotAllowed, 2));
            assert!(update.attributes.is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(table.inbox(conns[0]), []);
}

#[test]
fn changes_beyond_the_bounds_are_refused_and_cost_nobody_else_anything() {
    let mut table = Table::new();
    let conns = table.linked(&[1, 2]);
    let huge = "x".repeat(limits::ATTRIBUTES_BYTES);
    let mut op = 0;
    for (message, code) in [
        (set(1, "k", Some(&huge)), RefusalCode::BadAttributes),
        (set(2, "", Some("v")), RefusalCode::BadAttributes),
        (write(3, "", "1"), RefusalCode::BadState),
        (write(4, "k", &format!("\"{}\"", "x".repeat(limits::STATE_VALUE_MAX))), RefusalCode::BadState),
        (write(5, "k", &format!("{}1{}", "[".repeat(999), "]".repeat(999))), RefusalCode::BadState),
        (write(6, "k", r#"{"half":"\ud800"}"#), RefusalCode::BadState),
        (write(7, "k", "[1e999]"), RefusalCode::BadState),
    ] {
        op += 1;
        table.say(conns[0], message);
        match &table.inbox(conns[0])[..] {
            [ServerMessage::Refused(refused), ServerMessage::State(StateChange { op: done, .. })]
            | [ServerMessage::Refused(refused), ServerMessage::Update(Update { op: done, .. })] => {
                assert_eq!((refused.code, refused.fatal, *done), (code, false, op));
            }
            other => panic!("{other:?}"),
        }
    }
    table.say(conns[0], write(u64::MAX, "k", "1"));
    assert_eq!(table.refusal(conns[0]), (RefusalCode::BadMessage, false));
    table.say(conns[0], write(8, "k", r#"["\ud83d\ude00", 1.7e308, 18446744073709551616]"#));
    assert_eq!(table.inbox(conns[1]).len(), 1);
}

#[test]
fn restarted_hub_takes_over_the_newest_state() {
    let mut table = Table::new();
    let a = table.join(1);
    table.say(a, write(1, "fresh", "1"));
    let fresh = version(&table.inbox(a)[1..]);
    let mut returning = resume(2, "00000000000000ff", &[]);
    let entry = |text: &str, version| StateEntry { value: json(text), version };
    let state = BTreeMap::from([
        ("fresh".to_owned(), entry("0", fresh - 1)),
        ("title".to_owned(), entry("\"Standup\"", fresh - 2)),
        ("never".to_owned(), entry("1", u64::MAX)),
    ]);
    returning.resume = Some(Resume { hub: "00000000000000ff".to_owned(), state: state.clone(), ..Resume::default() });
    table.input(Input::Closed { conn: a, left: false });
    let a = table.join(1);
    table.inbox(a);
    let b = table.join_as(returning, Some(Grant::open()));
    let welcome = table.welcome(b);
    assert_eq!(welcome.state.keys().collect::<Vec<_>>(), ["fresh", "title"]);
    assert_eq!(welcome.state["fresh"].value, json("1"));
    let told = table.inbox(a).into_iter().find_map(|message| match message {
        ServerMessage::State(change) => Some((change.key, change.version, change.op)),
        _ => None,
    });
    assert_eq!(told, Some(("title".to_owned(), fresh - 2, 0)));
    // A mute member brings nothing.
    let mut join = resume(3, HUB, &[]);
    let state = BTreeMap::from([("mine".to_owned(), entry("1", fresh))]);
    join.resume = Some(Resume { hub: HUB.to_owned(), state, ..Resume::default() });
    let c = table.join_as(join, Some(Grant { publish_data: false, ..Grant::open() }));
    assert_eq!(table.welcome(c).state.len(), 2);
}

#[test]
fn removals_are_told_to_late_joiners() {
    let mut table = Table::new();
    let a = table.join(1);
    table.say(a, write(1, "k", "1"));
    table.say(a, write(2, "k", "null"));
    let b = table.join(2);
    assert!(table.welcome(b).state["k"].value.is_null());
}
