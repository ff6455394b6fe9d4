//! Anything may happen at any time: what the engine holds stays consistent, and what it says is what clients know.

use std::borrow::Cow;

use proptest::prelude::*;

use super::world::{BOTH, Client, World, json, name};
use crate::{
    Config, ConnId, Frame, Input, Ticket, Wire,
    json::path::Path,
    message::{Action, Change, Request, Topic, Write, WriteAck},
    name::Name,
    payload::Payload,
    time::Micros,
    wire::{self, client},
};

fn names() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "users", "rooms/1", "rooms/2", "f", "own/1", "own/2"]).prop_map(name)
}

fn many(most: usize) -> impl Strategy<Value = Vec<Name>> {
    prop::collection::vec(names(), 1..=most)
}

fn ids() -> impl Strategy<Value = Box<str>> {
    prop::sample::select(vec!["1", "2", "x-3"]).prop_map(Into::into)
}

fn payloads() -> impl Strategy<Value = Payload> {
    prop::sample::select(vec!["1", "\"x\"", "{\"a\":1}", "null", "\"\\u001f\""]).prop_map(json)
}

fn topics() -> impl Strategy<Value = Topic> {
    prop::sample::select(vec![Topic::Event, Topic::Record, Topic::Rpc, Topic::Presence])
}

fn listened() -> impl Strategy<Value = Topic> {
    prop::sample::select(vec![Topic::Event, Topic::Record])
}

fn patterns() -> impl Strategy<Value = Name> {
    prop::sample::select(vec![".*", "^rooms/", "a|b", "("]).prop_map(name)
}

fn writes(wire: Wire) -> impl Strategy<Value = Write> {
    let whole =
        prop::sample::select(vec!["{}", "{\"a\":1}", "[]", "[\"x\"]", "[\"x\",\"y\"]", "[\"y\",\"z\",\"y\"]", "[1]"]);
    let path = prop::sample::select(vec!["a", "[0]", "b.c[1]", "x.y"]);
    (names(), -1..6_i64, whole, path, prop::option::of(payloads()), any::<[bool; 3]>(), ids()).prop_map(
        move |(name, version, whole, path, value, [is_whole, creates, with_ack], id)| {
            let value = if creates && !is_whole { value.or(Some(json("1"))) } else { value };
            let action = match (is_whole, creates, &value) {
                (true, true, _) => Action::CreateUpdate,
                (true, false, _) => Action::Update,
                (false, true, _) => Action::CreatePatch,
                (false, false, None) if wire == Wire::Protobuf => Action::Erase,
                (false, false, _) => Action::Patch,
            };
            let change =
                if is_whole { Change::Whole(whole.to_owned()) } else { Change::At(Path::new(path).unwrap(), value) };
            let ack = with_ack.then(|| WriteAck { version, id: (wire == Wire::Protobuf).then_some(id) });
            Write { action, name, version, change, ack }
        },
    )
}

/// Anything that a client of a protocol can ask for.
fn requests(wire: Wire) -> impl Strategy<Value = Request> {
    let is_text = wire == Wire::Text;
    let most = if is_text { 1 } else { 3 };
    // Text clients have ids only for users; the others have them always.
    let with_ack = move |topic: Topic, id: Box<str>| (!is_text || topic == Topic::Presence).then_some(id);
    let can = move |topic: &Topic| !is_text || *topic != Topic::Record;
    let opening = if is_text { vec![Action::Open] } else { vec![Action::Open, Action::OpenRead, Action::OpenHead] };
    let bulk = move |(topic, names, id, is_more): (Topic, Vec<Name>, Box<str>, bool)| {
        let ack = with_ack(topic, id);
        if is_more { Request::Subscribe { topic, names, ack } } else { Request::Unsubscribe { topic, names, ack } }
    };
    prop_oneof![
        8 => (topics().prop_filter("in text records are opened", can), many(most), ids(), any::<bool>()).prop_map(bulk),
        8 => (prop::sample::select(opening), many(most), ids())
            .prop_map(move |(how, names, id)| Request::Open { how, names, ack: (!is_text).then_some(id) }),
        2 => (many(most), ids()).prop_map(move |(names, id)| {
            Request::Unsubscribe { topic: Topic::Record, names, ack: (!is_text).then_some(id) }
        }),
        12 => writes(wire).prop_map(|write| Request::Write(Box::new(write))),
        4 => (names(), payloads()).prop_map(|(name, payload)| Request::Emit { name, payload }),
        4 => (listened(), patterns()).prop_map(|(topic, pattern)| Request::Listen { topic, pattern }),
        2 => (listened(), patterns()).prop_map(|(topic, pattern)| Request::Unlisten { topic, pattern }),
        6 => (listened(), patterns(), names(), any::<bool>())
            .prop_map(|(topic, pattern, name, accept)| Request::Answer { topic, pattern, name, accept }),
        2 => names().prop_map(Request::Delete),
        2 => prop_oneof![names().prop_map(Request::Read), names().prop_map(Request::Head)],
        6 => (names(), ids(), payloads()).prop_map(|(name, id, payload)| Request::Call { name, id, payload }),
        4 => (names(), ids()).prop_map(|(name, id)| Request::CallAccept { name, id }),
        4 => (names(), ids(), payloads()).prop_map(|(name, id, payload)| Request::CallRespond { name, id, payload }),
        1 => (names(), ids()).prop_map(|(name, id)| {
            Request::CallFail { name, id, payload: Payload::Typed("Sno".into()) }
        }),
        2 => (names(), ids()).prop_map(|(name, id)| Request::CallDecline { name, id }),
        1 => (many(3), ids()).prop_map(|(names, id)| Request::Query { names, id }),
        1 => prop::sample::select(vec![
            Request::QueryAll, Request::SubscribeAll, Request::UnsubscribeAll, Request::Ping, Request::Pong,
            Request::Hello,
        ]),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Enter(usize),
    /// A connection that does not log in.
    Idle(Option<usize>),
    Leave(usize),
    Ask(usize, Box<(Request, Request)>),
    Pass(u64),
    Stored(u64, bool),
    Own(Input),
}

/// What the server itself may do.
fn own() -> impl Strategy<Value = Input> {
    let json = prop::sample::select(vec!["1", "{}", "[]", "[\"x\"]", "{\"a\":\"x\"}", "["]);
    prop_oneof![
        (names(), prop::option::of(json.clone()))
            .prop_map(|(name, json)| Input::Emit { name, json: json.map(str::to_owned) }),
        (names(), json).prop_map(|(name, json)| Input::Put { name, json: json.into() }),
        (prop::sample::select(vec!["ada", "own/1"]), any::<bool>())
            .prop_map(|(user, here)| Input::User { name: name(user), here }),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let request = (requests(Wire::Text), requests(Wire::Protobuf)).prop_map(Box::new);
    prop_oneof![
        3 => (0..2_usize).prop_map(Event::Enter),
        1 => prop::option::of(0..2_usize).prop_map(Event::Idle),
        2 => (0..8_usize).prop_map(Event::Leave),
        40 => (0..8_usize, request).prop_map(|(at, request)| Event::Ask(at, request)),
        4 => (0..20_000_u64).prop_map(Event::Pass),
        2 => (0..40_u64, any::<bool>()).prop_map(|(ticket, is_good)| Event::Stored(ticket, is_good)),
        4 => own().prop_map(Event::Own),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_engine_is_consistent(events in prop::collection::vec(events(), 1..200)) {
        let config = Config {
            ephemeral: vec!["users".into(), "rooms/*".into(), "own/2".into()],
            reserved: Some("own/*".into()),
            taps: [name("own/1"), name("a")].into(),
            persist: true,
            subscriptions_max: 12,
            records_max: 5,
            record_max: 60,
            records_bytes_max: 200,
            ..Config::default()
        };
        let mut world = World::new(config);
        world.stores = false;
        let mut clients: Vec<Client> = Vec::new();
        for event in events {
            match event {
                Event::Enter(at) => clients.push(world.user(BOTH[at], if at == 0 { "ada" } else { "bob" })),
                Event::Idle(at) => drop(world.connect(at.map(|at| BOTH[at]))),
                Event::Leave(at) if at < clients.len() => world.close(clients.remove(at)),
                Event::Ask(at, both) => {
                    let Some(client) = clients.get(at).copied() else { continue };
                    let request = if client.wire == Wire::Text { both.0 } else { both.1 };
                    world.ask(client, &request);
                }
                Event::Pass(ms) => world.pass(Micros::from_millis(ms)),
                Event::Stored(ticket, true) => world.handle(Input::Stored(Ticket(ticket))),
                Event::Stored(ticket, false) => world.handle(Input::NotStored(Ticket(ticket))),
                Event::Own(input) => world.handle(input),
                Event::Leave(_) => {}
            }
            clients.retain(|client| !world.is_closed(client.conn));
        }
        for client in clients {
            world.close(client);
        }
        world.pass(Micros::from_secs(600));
        prop_assert_eq!(world.engine.connections(), 0);
        prop_assert!(world.engine.is_idle(), "nothing is left of those who are gone");
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(requests in prop::collection::vec((0..4_usize, requests(Wire::Text)), 1..60)) {
        let run = || {
            let mut world = World::default();
            let clients: Vec<Client> = (0..4).map(|_| world.client(Wire::Text)).collect();
            for (at, request) in &requests {
                if !world.is_closed(clients[*at].conn) {
                    world.ask(clients[*at], request);
                }
            }
            clients.iter().map(|client| world.heard(*client)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn what_a_client_says_is_what_is_understood(text in requests(Wire::Text), protobuf in requests(Wire::Protobuf)) {
        for (wire, request) in [(Wire::Text, text), (Wire::Protobuf, protobuf)] {
            let frame = client::ask(wire, &request).unwrap();
            let understood = wire::decode(&frame);
            prop_assert_eq!(understood.len(), 1);
            let understood = understood.into_iter().next().unwrap().unwrap();
            prop_assert_eq!(plain(understood), plain(request));
        }
    }

    #[test]
    fn anything_may_come_before_a_login(frames in prop::collection::vec((any::<bool>(), requests(Wire::Text)), 0..8)) {
        let mut world = World::default();
        let conn = world.connect(None);
        for (is_text, request) in frames {
            let wire = if is_text { Wire::Text } else { Wire::Protobuf };
            let frame = client::ask(wire, &request).unwrap_or(Frame::Binary(vec![0].into()));
            if !world.is_closed(conn) {
                world.send(conn, frame);
            }
        }
        world.handle(Input::Closed { conn });
        world.handle(Input::Closed { conn: ConnId(77) });
        prop_assert_eq!(world.engine.connections(), 0);
    }
}

/// A request in which values do not remember how they were written.
fn plain(request: Request) -> String {
    let mut request = request;
    let same = |payload: &mut Payload| *payload = Payload::Json(payload.to_json().map(Cow::into_owned));
    match &mut request {
        Request::Emit { payload, .. }
        | Request::Call { payload, .. }
        | Request::CallRespond { payload, .. }
        | Request::CallFail { payload, .. } => same(payload),
        Request::Write(write) => {
            if let Change::At(_, Some(payload)) = &mut write.change {
                same(payload);
            }
        }
        _ => {}
    }
    format!("{request:?}")
}
