use super::world::{BOTH, Client, PAIRS, World, assert_heard, json, name};
use crate::{
    Config, Wire,
    message::{Request, Topic::Rpc},
    payload::Payload,
    time::Micros,
};

fn call(world: &mut World, client: Client, id: &str, data: &str) {
    world.ask(client, &Request::Call { name: name("f"), id: id.into(), payload: json(data) });
}

fn accept(world: &mut World, client: Client, id: &str) {
    world.ask(client, &Request::CallAccept { name: name("f"), id: id.into() });
}

fn respond(world: &mut World, client: Client, id: &str, data: &str) {
    world.ask(client, &Request::CallRespond { name: name("f"), id: id.into(), payload: json(data) });
}

fn decline(world: &mut World, client: Client, id: &str) {
    world.ask(client, &Request::CallDecline { name: name("f"), id: id.into() });
}

fn providers(world: &mut World, wire: Wire, count: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..count).map(|_| world.client(wire)).collect();
    for client in &clients {
        world.subscribe(*client, Rpc, "f");
        assert_heard!(world, *client, ["ack rpc S"]);
    }
    clients
}

/// Which provider has been given a call.
fn called(world: &mut World, providers: &[Client]) -> Option<Client> {
    let mut called = providers.iter().copied().filter(|client| !world.heard(*client).is_empty());
    let first = called.next();
    assert_eq!(called.next(), None, "one at a time");
    first
}

#[test]
fn a_call_is_answered() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let provider = providers(&mut world, one, 1)[0];
        let caller = world.client(other);
        call(&mut world, caller, "1", "{\"a\":1}");
        assert_heard!(world, provider, ["call f 1 {\"a\":1}"]);
        accept(&mut world, provider, "1");
        accept(&mut world, provider, "1");
        respond(&mut world, provider, "1", "[2]");
        assert_heard!(world, caller, ["accepted f 1", "answered f 1 [2]"]);
        call(&mut world, caller, "2", "null");
        let payload = Payload::Typed("Swrong".into());
        world.ask(provider, &Request::CallFail { name: name("f"), id: "2".into(), payload });
        assert_heard!(world, caller, ["problem rpc wrong f 2"]);
        assert_heard!(world, provider, ["call f 2 null"]);
    }
}

#[test]
fn who_declines_is_followed_by_another() {
    for wire in BOTH {
        let mut world = World::default();
        let providers = providers(&mut world, wire, 3);
        let caller = world.client(wire);
        call(&mut world, caller, "1", "1");
        for _ in 0..3 {
            let provider = called(&mut world, &providers).unwrap();
            assert_heard!(world, caller, []);
            decline(&mut world, provider, "1");
        }
        assert_eq!(called(&mut world, &providers), None);
        assert_heard!(world, caller, ["problem rpc NO_RPC_PROVIDER f 1"]);
        call(&mut world, caller, "1", "1");
        assert!(called(&mut world, &providers).is_some(), "the id is free again");
    }
}

#[test]
fn providers_are_chosen_by_chance() {
    let mut world = World::default();
    let providers = providers(&mut world, Wire::Text, 4);
    let caller = world.client(Wire::Text);
    let mut counts = [0; 4];
    for id in 0..100 {
        call(&mut world, caller, &id.to_string(), "1");
        let provider = called(&mut world, &providers).unwrap();
        counts[providers.iter().position(|client| *client == provider).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
}

#[test]
fn who_does_not_accept_in_time_is_followed_by_another() {
    for wire in BOTH {
        let mut world = World::default();
        let providers = providers(&mut world, wire, 2);
        let caller = world.client(wire);
        call(&mut world, caller, "1", "1");
        let first = called(&mut world, &providers).unwrap();
        world.pass(Config::default().accept_timeout);
        let second = called(&mut world, &providers).unwrap();
        assert_ne!(first, second);
        // Too late: it is the other's.
        accept(&mut world, first, "1");
        respond(&mut world, first, "1", "1");
        let problem = "problem rpc INVALID_RPC_CORRELATION_ID f 1";
        assert_heard!(world, first, [problem, problem]);
        world.pass(Config::default().accept_timeout);
        assert_heard!(world, caller, ["problem rpc ACK_TIMEOUT f 1"]);
    }
}

#[test]
fn what_was_accepted_is_waited_for_but_given_to_nobody_else() {
    for wire in BOTH {
        let mut world = World::default();
        let providers = providers(&mut world, wire, 2);
        let caller = world.client(wire);
        call(&mut world, caller, "1", "1");
        let first = called(&mut world, &providers).unwrap();
        accept(&mut world, first, "1");
        world.pass(Micros::from_secs(9));
        assert_heard!(world, caller, ["accepted f 1"]);
        world.pass(Micros::from_secs(1));
        assert_heard!(world, caller, ["problem rpc RESPONSE_TIMEOUT f 1"]);
        assert_eq!(called(&mut world, &providers), None);

        call(&mut world, caller, "2", "1");
        let first = called(&mut world, &providers).unwrap();
        accept(&mut world, first, "2");
        world.close(first);
        assert_heard!(world, caller, ["accepted f 2", "problem rpc NO_RPC_PROVIDER f 2"]);
    }
}

#[test]
fn who_goes_before_accepting_is_followed_by_another() {
    for wire in BOTH {
        let mut world = World::default();
        let providers = providers(&mut world, wire, 2);
        let caller = world.client(wire);
        call(&mut world, caller, "1", "1");
        let first = called(&mut world, &providers).unwrap();
        world.close(first);
        let second = called(&mut world, &providers).unwrap();
        assert_ne!(first, second);
        world.unsubscribe(second, Rpc, "f");
        world.heard(second);
        respond(&mut world, second, "1", "3");
        assert_heard!(world, caller, ["answered f 1 3"]);
        call(&mut world, caller, "2", "1");
        assert_heard!(world, caller, ["problem rpc NO_RPC_PROVIDER f 2"]);
    }
}

#[test]
fn an_answer_to_nobody_is_no_mistake() {
    for wire in BOTH {
        let mut world = World::default();
        let provider = providers(&mut world, wire, 1)[0];
        let caller = world.client(wire);
        call(&mut world, caller, "1", "1");
        world.close(caller);
        world.heard(provider);
        accept(&mut world, provider, "1");
        respond(&mut world, provider, "1", "1");
        assert_heard!(world, provider, []);
    }
}

#[test]
fn ids_are_the_callers_own() {
    for wire in BOTH {
        let mut world = World::default();
        let provider = providers(&mut world, wire, 1)[0];
        let (ada, eve) = (world.client(wire), world.client(wire));
        call(&mut world, ada, "1", "\"ada\"");
        call(&mut world, ada, "1", "\"twice\"");
        assert_heard!(world, ada, ["problem rpc INVALID_MESSAGE_DATA f 1"]);
        // A provider could not tell these two apart.
        call(&mut world, eve, "1", "\"eve\"");
        assert_heard!(world, eve, ["problem rpc NO_RPC_PROVIDER f 1"]);
        respond(&mut world, eve, "1", "\"stolen\"");
        assert_heard!(world, eve, ["problem rpc INVALID_RPC_CORRELATION_ID f 1"]);
        respond(&mut world, provider, "1", "\"right\"");
        assert_heard!(world, ada, ["answered f 1 \"right\""]);
    }
}
