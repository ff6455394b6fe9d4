use super::world::{BOTH, Client, World, name};
use crate::{
    Config, Frame, Input, Output, Wire, limits,
    message::{Action, Change, Request, Topic::Event, Write},
};

const RECORD: usize = 1024 * 1024;

/// What a client was billed for doing something.
fn billed(world: &mut World, client: Client, act: impl FnOnce(&mut World)) -> u64 {
    world.work.clear();
    act(world);
    world.heard(client);
    world.work.get(&client.conn).copied().unwrap_or(0)
}

fn at_least(work: u64, least: usize, what: &str) {
    assert!(work >= least as u64, "{what}: {work} of {least}");
}

#[test]
fn clients_are_billed_for_what_is_done_for_them_and_not_for_what_they_say() {
    for wire in BOTH {
        let mut world = World::default();
        let (client, other) = (world.client(wire), world.client(wire));
        let list: Vec<String> = (0..RECORD / 16).map(|at| format!("entry-{at:06}")).collect();
        let json = crate::json::write(&list);
        let whole = Change::Whole(json.clone());
        world.write(other, Action::CreateUpdate, "list", Write::NEXT, whole, false);

        let little = billed(&mut world, client, |world| world.emit(client, "e", "1"));
        assert!(little < 8 * limits::MESSAGE_WORK, "{little}");
        let work = billed(&mut world, client, |world| world.patch(client, "list", -1, "[1]", Some("\"x\"")));
        at_least(work, list.len() * limits::ENTRY_WORK as usize, "a patch of a large list");
        let work = billed(&mut world, client, |world| world.ask(client, &Request::Read(name("list"))));
        at_least(work, json.len(), "reading it");
        assert!(!world.work.contains_key(&other.conn), "others are not");

        let users = 500;
        for user in 0..users {
            world.user(wire, &format!("user-{user}"));
        }
        let work = billed(&mut world, client, |world| world.ask(client, &Request::QueryAll));
        at_least(work, users * limits::NAME_WORK as usize, "asking for all users");
    }
}

#[test]
fn listeners_are_billed_for_all_names_that_are_looked_at_for_them() {
    let count = 3 * limits::SCAN;
    let mut world = World::default();
    let (client, other) = (world.client(Wire::Text), world.client(Wire::Protobuf));
    let names = (0..count).map(|at| name(&format!("name/{at}"))).collect();
    world.ask(other, &Request::Subscribe { topic: Event, names, ack: Some("1".into()) });
    let work = billed(&mut world, client, |world| {
        for at in 0..4 {
            world.listen(client, Event, &format!("none-{at}"));
        }
        world.pass(limits::LISTEN_TIMEOUT);
    });
    at_least(work, 4 * count * limits::NAME_WORK as usize, "names that its patterns do not match");
    assert!(!world.work.contains_key(&other.conn));

    // However many listen, no turn looks at more than so many.
    for at in 0..4 {
        let frame = crate::wire::client::ask(
            client.wire,
            &Request::Unlisten { topic: Event, pattern: name(&format!("none-{at}")) },
        );
        world.send(client.conn, frame.unwrap());
    }
    for at in 0..4 {
        world.listen(client, Event, &format!("none-{at}"));
    }
    let most = limits::SCAN as u64 * (limits::NAME_WORK + limits::PATTERN_PASSES * 16);
    let mut turns = 0;
    while world.engine.poll_timeout().is_some_and(|at| at <= world.now) {
        let work = billed(&mut world, client, |world| world.handle(Input::Timeout));
        assert!(work <= most, "{work} of {most}");
        turns += 1;
    }
    assert!(turns > 4, "{turns}");
}

#[test]
fn what_takes_long_lets_others_have_their_turn_and_is_done_to_the_end_in_order() {
    let mut world = World::default();
    let (client, other) = (world.client(Wire::Text), world.client(Wire::Text));
    let json = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD / 2));
    world.write(client, Action::CreateUpdate, "r", Write::NEXT, Change::Whole(json), false);
    world.subscribe(other, Event, "end");
    world.heard(other);
    let writes: String = (0..64).map(|at| format!("R\u{1f}P\u{1f}r\u{1f}-1\u{1f}b\u{1f}N{at}\u{1e}")).collect();
    let frame = Frame::Text(format!("{writes}E\u{1f}EVT\u{1f}end\u{1f}N1\u{1e}").into());
    let (conn, mut turns) = (client.conn, 0);
    let mut input = Some(Input::Received { conn, frame });
    while let Some(next) = input.take() {
        world.engine.handle(world.now, next);
        world.engine.check();
        let (billed_to, work) = world.engine.poll_bill().unwrap();
        let one_write = (RECORD as u64 + 1_024) * limits::WRITE_PASSES;
        assert!(billed_to == conn && work <= limits::TURN_WORK + one_write, "{work}");
        turns += 1;
        while let Some(output) = world.engine.poll_output() {
            match output {
                Output::Unfinished { conn } => {
                    // What it says meanwhile comes behind.
                    if turns == 1 {
                        let frame = Frame::Text("R\u{1f}P\u{1f}r\u{1f}-1\u{1f}b\u{1f}Slast\u{1e}".into());
                        world.engine.handle(world.now, Input::Received { conn, frame });
                        world.engine.poll_bill();
                    }
                    input = Some(Input::Continue { conn });
                }
                Output::Send { to, .. } => assert!(to != [other.conn] || input.is_none() && turns > 10, "{turns}"),
                _ => {}
            }
        }
    }
    assert!(turns > 10, "{turns}");
    assert_eq!(world.engine.version("r"), Some(66));
    world.ask(other, &Request::Read(name("r")));
    assert!(world.heard(other)[0].ends_with("\"b\":\"last\"}"));
}

#[test]
fn who_goes_in_the_middle_of_what_it_said_leaves_nothing_behind() {
    let mut world = World::new(Config { ephemeral: vec!["users".into()], ..Config::default() });
    let client = world.client(Wire::Text);
    let json = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD / 2));
    world.write(client, Action::CreateUpdate, "r", Write::NEXT, Change::Whole(json), false);
    let frame = Frame::Text("R\u{1f}SN\u{1f}r\u{1e}".repeat(64).into());
    world.engine.handle(world.now, Input::Received { conn: client.conn, frame });
    world.engine.handle(world.now, Input::Closed { conn: client.conn });
    world.engine.handle(world.now, Input::Continue { conn: client.conn });
    while world.engine.poll_output().is_some() {}
    world.engine.check();
    assert_eq!(world.engine.connections(), 0);
}
