//! Lists that are written by many at once: nobody may get lost.
//!
//! [`Copy`] does with a list what the clients do (seen with both: any update is taken in, whatever its version; a write
//! has the version after the copy's), behind a network that delays as it likes but keeps the order.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::world::{BOTH, Client, World, assert_heard, name};
use crate::{
    Config, Input, Wire, json, limits,
    message::{Action, Change, Request, Topic::Record, Write},
    permission::{Permissions, Right, Rule},
    time::Micros,
    wire::client,
};

const LIST: &str = "list";

/// A client's copy of a list.
struct Copy {
    client: Client,
    version: i64,
    entries: Vec<String>,
    /// Writes on their way.
    up: VecDeque<(i64, Vec<String>)>,
    /// Messages on their way.
    down: VecDeque<String>,
    /// The version of the list that has everything it wrote, where it has not seen that yet.
    waits_for: Option<i64>,
}

struct Crowd {
    world: World,
    copies: Vec<Copy>,
    count: usize,
}

impl Crowd {
    /// Clients that have opened the list, which has some entries.
    fn new(wires: &[Wire], entries: &[String]) -> Crowd {
        Crowd::open(World::default(), wires, entries)
    }

    fn open(mut world: World, wires: &[Wire], entries: &[String]) -> Crowd {
        if !entries.is_empty() {
            let first = world.client(Wire::Text);
            let start = world.open_at(first, LIST);
            world.update(first, LIST, start + 1, &json::write(entries));
        }
        let copies = wires.iter().map(|wire| {
            let client = world.client(*wire);
            let version = world.open_at(client, LIST);
            world.heard(client);
            Copy {
                client,
                version,
                entries: entries.to_vec(),
                up: VecDeque::new(),
                down: VecDeque::new(),
                waits_for: None,
            }
        });
        Crowd { copies: copies.collect(), world, count: 0 }
    }

    fn write(&mut self, at: usize, change: impl FnOnce(&mut Vec<String>)) {
        let copy = &mut self.copies[at];
        change(&mut copy.entries);
        copy.version += 1;
        copy.waits_for = Some(i64::MAX);
        copy.up.push_back((copy.version, copy.entries.clone()));
    }

    fn add(&mut self, at: usize) -> String {
        self.count += 1;
        let entry = format!("{at}-{}", self.count);
        self.write(at, |entries| entries.push(entry.clone()));
        entry
    }

    /// A write of a client reaches the server.
    fn deliver(&mut self, at: usize) {
        let Some((version, entries)) = self.copies[at].up.pop_front() else { return };
        let client = self.copies[at].client;
        let merged = self.world.engine.counters().merged;
        self.world.update(client, LIST, version, &json::write(&entries));
        let is_merged = self.world.engine.counters().merged > merged;
        let copy = &mut self.copies[at];
        if copy.up.is_empty() {
            let written = self.world.engine.version(LIST).unwrap();
            copy.waits_for = is_merged.then_some(written as i64);
        }
        for copy in &mut self.copies {
            copy.down.extend(self.world.heard(copy.client));
        }
    }

    /// A message of the server reaches a client.
    fn receive(&mut self, at: usize) {
        let copy = &mut self.copies[at];
        let Some(line) = copy.down.pop_front() else { return };
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let ["updated", LIST, version, json] = words[..] else { panic!("{line}") };
        copy.version = version.parse().unwrap();
        copy.entries = serde_json::from_str(json).unwrap();
        copy.waits_for = copy.waits_for.filter(|version| *version > copy.version);
    }

    fn settle(&mut self) {
        for at in 0..self.copies.len() {
            while !self.copies[at].up.is_empty() {
                self.deliver(at);
            }
        }
        for at in 0..self.copies.len() {
            while !self.copies[at].down.is_empty() {
                self.receive(at);
            }
        }
    }

    /// What everybody has now. It must be the same for all, and no entry be there twice.
    fn agreed(&mut self) -> BTreeSet<String> {
        let reader = self.world.client(Wire::Text);
        self.world.open(reader, LIST);
        let record = self.world.heard(reader).pop().unwrap();
        let (version, json) = record.strip_prefix("record list ").unwrap().split_once(' ').unwrap();
        let entries: Vec<String> = serde_json::from_str(json).unwrap_or_default();
        for copy in &self.copies {
            assert_eq!((copy.version, &copy.entries), (version.parse().unwrap(), &entries));
        }
        let set: BTreeSet<String> = entries.iter().cloned().collect();
        assert_eq!(set.len(), entries.len(), "{entries:?}");
        set
    }
}

fn wires(count: usize) -> Vec<Wire> {
    (0..count).map(|at| BOTH[at % 2]).collect()
}

#[test]
fn thirty_two_clients_that_add_at_once_all_stay() {
    for wires in [vec![Wire::Text; 32], vec![Wire::Protobuf; 32], wires(32)] {
        for entries in [vec![], vec!["first".to_owned()]] {
            let mut crowd = Crowd::new(&wires, &entries);
            let mut expected: BTreeSet<String> = (0..32).map(|at| crowd.add(at)).collect();
            crowd.settle();
            expected.extend(entries);
            assert_eq!(crowd.agreed(), expected);
        }
    }
}

#[test]
fn of_thirty_two_that_add_and_sixteen_that_remove_exactly_the_right_remain() {
    let old: Vec<String> = (0..16).map(|at| format!("old-{at}")).collect();
    for wires in [vec![Wire::Text; 48], vec![Wire::Protobuf; 48], wires(48)] {
        let mut crowd = Crowd::new(&wires, &old);
        let expected: BTreeSet<String> = (0..32).map(|at| crowd.add(at)).collect();
        for (at, gone) in old.iter().enumerate() {
            crowd.write(32 + at, |entries| entries.retain(|entry| entry != gone));
        }
        crowd.settle();
        assert_eq!(crowd.agreed(), expected);
    }
}

#[test]
fn a_flash_crowd_loses_nobody() {
    let mut crowd = Crowd::new(&wires(300), &["first".to_owned()]);
    for at in 0..300 {
        crowd.add(at);
    }
    crowd.settle();
    assert_eq!(crowd.agreed().len(), 301);
}

#[test]
fn a_lone_writer_is_told_nothing_and_versions_go_up_by_one() {
    for wire in BOTH {
        let mut crowd = Crowd::new(&[wire], &[]);
        for _ in 0..5 {
            crowd.add(0);
            crowd.deliver(0);
            assert!(crowd.copies[0].down.is_empty());
        }
        assert_eq!(crowd.agreed().len(), 5);
        assert_eq!(crowd.copies[0].version, 5);
    }
}

#[test]
fn a_list_that_is_set_is_set() {
    for wire in BOTH {
        let mut crowd = Crowd::new(&[wire, wire], &["old".to_owned()]);
        crowd.write(0, |entries| *entries = vec!["new".to_owned(), "newer".to_owned()]);
        crowd.settle();
        crowd.write(1, |entries| *entries = vec!["newest".to_owned()]);
        crowd.settle();
        assert_eq!(crowd.agreed(), BTreeSet::from(["newest".to_owned()]));
    }
}

#[test]
fn lists_are_updated_whole_whatever_was_written() {
    let mut world = World::default();
    let (writer, reader) = (world.client(Wire::Protobuf), world.client(Wire::Text));
    world.open(reader, LIST);
    world.update(reader, LIST, 1, "[\"a\",\"b\"]");
    world.heard(reader);
    // The older client's lists throw on patches.
    world.patch(writer, LIST, 2, "[1]", Some("\"c\""));
    assert_heard!(world, reader, ["updated list 2 [\"a\",\"c\"]"]);
}

/// What may happen next to whom.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add,
    /// Remove the entry at this place of its copy.
    Remove(usize),
    Deliver,
    Receive,
    /// Let time pass.
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Add),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Remove(index.index(16))),
        3 => Just(Step::Deliver),
        6 => Just(Step::Receive),
        1 => Just(Step::Pass),
    ]
}

/// Plays steps, in which clients change the list while they wait for what they have written: never, only by adding, or
/// as they like.
fn play(steps: &[(usize, Step)], clients: usize, adds_on: bool, removes_on: bool) -> (Crowd, BTreeSet<String>) {
    let mut crowd = Crowd::new(&wires(clients), &[]);
    let mut expected = BTreeSet::new();
    for (at, step) in steps {
        let copy = &crowd.copies[*at];
        let is_waiting = copy.waits_for.is_some();
        match step {
            Step::Add if adds_on || !is_waiting => drop(expected.insert(crowd.add(*at))),
            Step::Remove(place) if (removes_on || !is_waiting) && !copy.entries.is_empty() => {
                let gone = copy.entries[place % copy.entries.len()].clone();
                crowd.write(*at, |entries| entries.retain(|entry| *entry != gone));
                expected.remove(&gone);
            }
            Step::Add | Step::Remove(_) => {}
            Step::Deliver => crowd.deliver(*at),
            Step::Receive => crowd.receive(*at),
            Step::Pass => crowd.world.now = crowd.world.now + Micros::from_millis(20),
        }
    }
    crowd.settle();
    (crowd, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_lost_and_nobody_returns(steps in prop::collection::vec((0..5_usize, step()), 1..150)) {
        let (mut crowd, expected) = play(&steps, 5, false, false);
        prop_assert_eq!(crowd.agreed(), expected);
    }

    #[test]
    fn nobody_is_lost_who_adds_many_at_once(steps in prop::collection::vec((0..4_usize, step()), 1..150)) {
        let (mut crowd, expected) = play(&steps, 4, true, false);
        prop_assert_eq!(crowd.agreed(), expected);
    }

    #[test]
    fn all_agree_whatever_they_do(steps in prop::collection::vec((0..4_usize, step()), 1..150)) {
        // Where a client adds and removes before it has heard of either, the server may have to guess.
        let (mut crowd, _) = play(&steps, 4, true, true);
        crowd.agreed();
    }
}

// ---- ephemeral lists -----------------------------------------------------------------------------------------------

fn ephemeral() -> World {
    World::new(Config { ephemeral: vec![LIST.into(), "rooms/*".into()], ..Config::default() })
}

#[test]
fn entries_of_ephemeral_lists_go_with_those_who_added_them() {
    let mut crowd = Crowd::open(ephemeral(), &wires(8), &[]);
    let entries: Vec<String> = (0..8).map(|at| crowd.add(at)).collect();
    crowd.settle();
    assert_eq!(crowd.agreed().len(), 8);
    for at in [0, 1, 5] {
        let client = crowd.copies[at].client;
        crowd.world.close(client);
    }
    crowd.copies =
        crowd.copies.into_iter().enumerate().filter(|(at, _)| ![0, 1, 5].contains(at)).map(|(_, c)| c).collect();
    for copy in &mut crowd.copies {
        copy.down.extend(crowd.world.heard(copy.client));
        assert!(!copy.down.is_empty(), "told at once");
    }
    crowd.settle();
    let left: BTreeSet<String> = [2, 3, 4, 6, 7].map(|at| entries[at].clone()).into();
    assert_eq!(crowd.agreed(), left);
}

/// A page adds its own name; again whenever an update took it away, which was sent before its write came in.
fn take_part(crowd: &mut Crowd, at: usize) {
    let name = format!("page-{at}");
    if !crowd.copies[at].entries.contains(&name) {
        crowd.write(at, |entries| entries.push(name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_page_that_adds_itself_again_owns_itself_and_nobody_else(
        steps in prop::collection::vec((0..5_usize, step()), 1..100),
        gone in 0..5_usize,
    ) {
        let mut crowd = Crowd::open(ephemeral(), &wires(5), &[]);
        for (at, step) in steps {
            match step {
                Step::Add | Step::Remove(_) => take_part(&mut crowd, at),
                Step::Deliver => crowd.deliver(at),
                Step::Receive if crowd.copies[at].down.is_empty() => {}
                Step::Receive => {
                    crowd.receive(at);
                    take_part(&mut crowd, at);
                }
                Step::Pass => crowd.world.now = crowd.world.now + Micros::from_millis(20),
            }
        }
        while (0..5).any(|at| !crowd.copies[at].up.is_empty() || !crowd.copies[at].down.is_empty()) {
            crowd.settle();
            (0..5).for_each(|at| take_part(&mut crowd, at));
        }
        (0..5).for_each(|at| take_part(&mut crowd, at));
        crowd.settle();
        let client = crowd.copies[gone].client;
        crowd.world.close(client);
        crowd.copies.remove(gone);
        for copy in &mut crowd.copies {
            copy.down.extend(crowd.world.heard(copy.client));
        }
        crowd.settle();
        let left = (0..5).filter(|at| *at != gone).map(|at| format!("page-{at}")).collect();
        prop_assert_eq!(crowd.agreed(), left);
    }
}

#[test]
fn a_page_that_joins_while_another_crashes_sees_no_ghost() {
    let mut crowd = Crowd::open(ephemeral(), &wires(3), &[]);
    for at in 0..3 {
        crowd.add(at);
    }
    crowd.settle();
    // It adds itself to a copy that still has the one that is gone.
    let entry = crowd.add(2);
    let gone = crowd.copies[0].client;
    crowd.world.close(gone);
    crowd.copies.remove(0);
    for copy in &mut crowd.copies {
        copy.down.extend(crowd.world.heard(copy.client));
    }
    crowd.settle();
    let left = crowd.agreed();
    assert_eq!(left.len(), 3);
    assert!(left.contains(&entry) && !left.iter().any(|entry| entry.starts_with("0-")));
}

#[test]
fn a_list_that_is_changed_before_it_is_loaded_keeps_the_others() {
    // The newer client's list, where nobody waited until it was ready, writes itself alone.
    let mut world = ephemeral();
    let clients: Vec<Client> = (0..4).map(|_| world.client(Wire::Protobuf)).collect();
    let mut version = 0;
    for (at, client) in clients.iter().enumerate() {
        version = world.open_at(*client, LIST) + 1;
        world.update(*client, LIST, version, &format!("[\"{at}\"]"));
    }
    let updated = |version: i64, json: &str| format!("updated list {version} {json}");
    assert_eq!(*world.heard(clients[0]).last().unwrap(), updated(version, "[\"0\",\"1\",\"2\",\"3\"]"));
    // Who has an entry, and knows the others, may remove them all.
    world.update(clients[3], LIST, version + 1, "[]");
    assert_eq!(*world.heard(clients[0]).last().unwrap(), updated(version + 1, "[]"));
    world.close(clients[3]);
    assert_heard!(world, clients[0], []);
}

#[test]
fn an_entry_that_two_added_stays_with_the_second() {
    for wire in BOTH {
        let mut world = ephemeral();
        let clients: Vec<Client> = (0..3).map(|_| world.client(wire)).collect();
        let mut start = 0;
        for client in &clients {
            start = world.open_at(*client, LIST);
            world.heard(*client);
        }
        // Two tabs of one user, in the same moment.
        world.update(clients[0], LIST, start + 1, "[\"u\"]");
        world.update(clients[1], LIST, start + 1, "[\"u\"]");
        assert_eq!(*world.heard(clients[2]).last().unwrap(), format!("updated list {} [\"u\"]", start + 2));
        world.close(clients[0]);
        assert_heard!(world, clients[2], []);
        world.close(clients[1]);
        assert_heard!(world, clients[2], [format!("updated list {} []", start + 3)]);
    }
}

#[test]
fn an_ephemeral_list_that_everybody_left_is_forgotten() {
    let mut world = ephemeral();
    let client = world.client(Wire::Text);
    let start = world.open_at(client, "rooms/a");
    world.update(client, "rooms/a", start + 1, "[\"x\"]");
    assert_eq!(world.engine.records(), 1);
    world.close(client);
    assert_eq!(world.engine.records(), 0);
    // As is one that was removed from before its last reader left.
    let (reader, writer) = (world.client(Wire::Text), world.client(Wire::Text));
    world.open(reader, "rooms/a");
    let start = world.open_at(writer, "rooms/a");
    world.update(writer, "rooms/a", start + 1, "[\"x\"]");
    world.close(writer);
    assert_eq!(world.engine.records(), 1);
    world.ask(reader, &Request::Unsubscribe { topic: Record, names: vec![name("rooms/a")], ack: None });
    assert_eq!(world.engine.records(), 0);
}

#[test]
fn who_takes_its_entries_back_leaves_nothing() {
    for wire in BOTH {
        let mut world = ephemeral();
        let (client, other) = (world.client(wire), world.client(wire));
        // With and without being subscribed; what nothing is left of is checked after each step.
        for room in ["rooms/a", "rooms/b"] {
            let start = world.open_at(client, room);
            world.update(client, room, start + 1, "[\"x\"]");
            world.update(client, room, start + 2, "[]");
            world.unsubscribe(client, Record, room);
            assert_eq!(world.engine.records(), 0);
            let whole = |json: &str| Change::Whole(json.to_owned());
            world.write(client, Action::CreateUpdate, room, Write::NEXT, whole("[\"x\"]"), false);
            world.write(other, Action::Update, room, Write::NEXT, whole("[]"), false);
            assert_eq!(world.engine.records(), 0);
        }
    }
}

/// When the newer client comes back it asks for versions. What is not there it takes for deleted; where its copy is one
/// version ahead it writes that, with everybody who was in it; anything else it reads.
#[test]
fn who_returns_to_a_forgotten_ephemeral_list_finds_it_empty() {
    let mut world = ephemeral();
    let mut returns = || {
        let client = world.client(Wire::Protobuf);
        let names = vec![name("rooms/a"), name("other")];
        world.ask(client, &Request::Open { how: Action::OpenHead, names, ack: Some("1".into()) });
        let heard = world.heard(client);
        let version =
            heard[1].strip_prefix("version other -1, version rooms/a ").unwrap_or_else(|| panic!("{heard:?}"));
        let start: i64 = version.parse().unwrap();
        world.ask(client, &Request::Read(name("rooms/a")));
        assert_heard!(world, client, [format!("record rooms/a {start} {{}}")]);
        for write in 1..=20 {
            world.update(client, "rooms/a", start + write, &format!("[\"{write}\"]"));
        }
        assert_eq!(world.engine.records(), 1);
        world.close(client);
        assert_eq!(world.engine.records(), 0);
        start
    };
    let starts: BTreeSet<i64> = (0..100).map(|_| returns()).collect();
    assert_eq!(starts.len(), 100);
    // The newer client's versions have 31 bits.
    let last = *starts.last().unwrap();
    assert!(last > 1 << 29 && last < 1 << 30, "{last}");
    let apart = starts.iter().zip(starts.iter().skip(1)).map(|(one, next)| next - one).min().unwrap();
    assert!(apart > 100, "copies of one are not ahead of another: {apart}");
}

#[test]
fn who_may_not_create_a_list_revives_none() {
    let (rights, roles) = ([Right::RecordRead].into(), BTreeSet::new());
    let rule = Rule { names: "**".into(), rights, roles, allow: true };
    let permissions = Permissions { rules: vec![rule], otherwise: false };
    let mut world = World::new(Config { ephemeral: vec!["rooms/*".into()], permissions, ..Config::default() });
    let client = world.client(Wire::Protobuf);
    world.ask(client, &Request::Open { how: Action::OpenHead, names: vec![name("rooms/a")], ack: Some("1".into()) });
    assert_heard!(world, client, ["ack record S", "version rooms/a -1"]);
    assert_eq!(world.engine.records(), 0);
}

#[test]
fn nothing_is_remembered_of_who_is_gone() {
    for wire in BOTH {
        let mut world = World::default();
        let (reader, writer) = (world.client(wire), world.client(wire));
        world.open(reader, LIST);
        world.update(reader, LIST, 1, "[\"a\"]");
        // Late, and by somebody who has not even opened the list.
        world.update(writer, LIST, 1, "[\"b\"]");
        assert_eq!(world.heard(reader).last().unwrap(), "updated list 2 [\"a\",\"b\"]");
        world.close(writer);
    }
}

#[test]
fn lists_that_have_not_changed_for_long_forget_for_the_others() {
    const LISTS: usize = 2 * limits::HISTORIES_BYTES / limits::HISTORY_BYTES;
    let mut world = World::default();
    let client = world.client(Wire::Protobuf);
    let list = |at: usize| format!("list-{at}");
    // Each list remembers nearly as much as one may.
    let entry = "x".repeat(limits::HISTORY_BYTES - 1_024);
    for at in 0..LISTS {
        world.now = world.now + Micros(1);
        for (version, entries) in [(1, vec![entry.as_str()]), (2, vec![&entry, "another"])] {
            let (name, change) = (name(&list(at)), Change::Whole(json::write(&entries)));
            let write = Write { action: Action::CreateUpdate, name, version, change, ack: None };
            let frame = client::ask(Wire::Protobuf, &Request::Write(Box::new(write))).unwrap();
            // What is left is checked once, at the end: it is much.
            world.engine.handle(world.now, Input::Received { conn: client.conn, frame });
            while world.engine.poll_output().is_some() {}
        }
    }
    for (at, answer) in [(0, "conflict"), (LISTS - 1, "")] {
        world.update(client, &list(at), 2, "[\"late\"]");
        let heard = world.heard(client).join("");
        assert!(heard.starts_with(answer) && heard.is_empty() == answer.is_empty(), "{at}: {heard:.60}");
    }
}

#[test]
fn long_lists_are_merged_in_reasonable_time() {
    const MANY: usize = 20_000;
    let old: Vec<String> = (0..MANY).map(|at| format!("entry-{at:06}")).collect();
    let mut crowd = Crowd::new(&wires(4), &old);
    for at in 0..4 {
        crowd.write(at, |entries| {
            entries.retain(|entry| entry.len() % 2 == 0);
            entries.truncate(MANY - at * 10);
            entries.splice(0..0, (0..100).map(|new| format!("new-{at}-{new}")));
        });
    }
    crowd.settle();
    let agreed = crowd.agreed();
    assert_eq!(agreed.len(), MANY + 400 - 30);
    assert!(json::write(&agreed).len() < limits::RECORD_MAX);
}
