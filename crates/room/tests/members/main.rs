//! Two or three members with a wire between them that the test holds in its hands: what the promise says, one case at
//! a time. Whole rooms with a real hub are the simulator's.

#![allow(clippy::unwrap_used)]

mod world;

use std::collections::BTreeMap;

use bytes::Bytes;
use room::{
    id::{Key, MemberId},
    limits,
    member::{Answer, Config, Event, Input, Lane, LinkState, Lossy, Member, NotSent, Output},
    time::Micros,
    wire::signal::{
        self, Attributes, ClientMessage, Gone, GoneReason, Json, LinkPlan, LinkReport, LinkTo, RefusalCode, Refused,
        Role, ServerMessage, SetAttributes, StateChange, StateEntry, Token, Update, Welcome,
    },
};

use crate::world::{World, config};

fn pair() -> (World, MemberId, MemberId) {
    let world = World::new(2);
    let (a, b) = (world.id(0), world.id(1));
    assert!(world.is_open(a, b) && world.is_open(b, a));
    (world, a, b)
}

fn texts(range: std::ops::Range<u32>) -> Vec<Bytes> {
    range.map(|n| Bytes::from(n.to_string())).collect()
}

#[test]
fn what_one_says_everybody_hears_once_and_in_order() {
    let mut world = World::new(3);
    let ids = [world.id(0), world.id(1), world.id(2)];
    for n in 0..50u32 {
        world.send(ids[n as usize % 3], None, n.to_string());
    }
    for at in ids {
        for from in ids.into_iter().filter(|from| *from != at) {
            let first = ids.iter().position(|id| *id == from).unwrap() as u32;
            let expected: Vec<_> = (first..50).step_by(3).map(|n| Bytes::from(n.to_string())).collect();
            assert_eq!(world.got(at, from), expected);
        }
        assert_eq!(world.got(at, at), Vec::<Bytes>::new());
    }
}

#[test]
fn nothing_is_wanted_of_the_edge_once_the_room_is_closed() {
    let mut world = World::new(2);
    let member = Member::new(Config { key: Some(Key([7; 32])), ..config(2) }, world.now);
    let id = member.id();
    world.members.insert(id, member);
    world.settle();
    let (now, member) = (world.now, world.members.get_mut(&id).unwrap());
    // All of it before anything is done for the first: what is said would have to be signed.
    let payload = Bytes::from_static(b"my last word");
    member.handle(now, Input::Send { ticket: 1, channel: "chat".into(), to: None, payload });
    let refused = Refused::fatal(RefusalCode::Removed, "an administrator removed this member", "");
    member.handle(now, Input::Hub(ServerMessage::Refused(refused)));
    member.handle(now, Input::Disconnected { code: None, reason: "removed".into() });
    let outputs: Vec<_> = std::iter::from_fn(|| member.poll_output()).collect();
    assert!(matches!(outputs.last(), Some(Output::Event(Event::Closed { .. }))), "{outputs:?}");
}

#[test]
fn an_addressed_message_keeps_its_place_among_those_to_all() {
    let mut world = World::new(3);
    let (a, b, c) = (world.id(0), world.id(1), world.id(2));
    world.send(a, None, "1");
    world.send(a, Some(b), "2");
    world.send(a, None, "3");
    assert_eq!(world.got(b, a), ["1", "2", "3"]);
    assert_eq!(world.got(c, a), ["1", "3"]);
}

#[test]
fn a_link_cut_in_the_middle_loses_and_doubles_nothing() {
    let (mut world, a, b) = pair();
    for text in texts(0..10) {
        world.send(a, None, text);
    }
    world.pass(Micros::from_millis(5));
    world.cut.push((a, b));
    for text in texts(10..20) {
        world.send(a, None, text);
        world.pass(Micros::from_millis(100));
    }
    world.send(a, None, vec![7; 5 << 20]);
    world.pass(Micros::from_secs(12));
    assert!(!world.is_open(a, b));
    assert_eq!(world.got(b, a), texts(0..10));
    world.cut.clear();
    world.pass(limits::CACHE_AGE + Micros::from_secs(30));
    let got = world.got(b, a);
    assert_eq!((&got[..20], got.len(), got[20].len()), (&texts(0..20)[..], 21, 5 << 20));
    assert_eq!(world.members[&a].outbox_bytes(), 0);
}

#[test]
fn silence_is_suspected_and_cleared() {
    let (mut world, a, b) = pair();
    world.pass(Micros::from_secs(5));
    let suspect = |event: &Event| matches!(event, Event::Link { state: LinkState::Suspect, .. });
    assert_eq!(world.count(a, suspect), 0);
    world.cut.push((a, b));
    world.pass(Micros::from_millis(2_100));
    assert_eq!(world.count(a, suspect), 1);
    assert_eq!(world.members[&a].link(b).unwrap().0, LinkState::Suspect);
    world.cut.clear();
    world.pass(Micros::from_millis(600));
    assert!(world.is_open(a, b));
}

#[test]
fn a_member_that_slept_suspects_nobody() {
    let (mut world, a, _) = pair();
    world.now = world.now + Micros::from_secs(60);
    world.members.get_mut(&a).unwrap().handle(world.now, Input::Timeout);
    world.settle();
    world.pass(Micros::from_millis(100));
    assert_eq!(world.count(a, |event| matches!(event, Event::Link { state: LinkState::Suspect, .. })), 0);
}

#[test]
fn an_application_that_does_not_read_fills_its_window_only_and_is_passed_over() {
    let mut world = World::new(3);
    let (a, b, c) = (world.id(0), world.id(1), world.id(2));
    world.consume = false;
    let message = Bytes::from(vec![1; 1 << 20]);
    let mut sent = 0;
    for ticket in 0..60 {
        let input = Input::Send { ticket, channel: "bulk".into(), to: None, payload: message.clone() };
        world.give(a, input);
        // c reads, b does not.
        for _ in 0..world.got(c, a).len().saturating_sub(sent) {
            world.give(c, Input::Consumed { from: a, bytes: message.len(), lossy: false });
            sent += 1;
        }
    }
    assert!(world.got(b, a).len() <= 3, "b holds {}", world.got(b, a).len());
    world.pass(limits::STALL_OPEN + Micros::from_millis(100));
    for _ in 0..100 {
        if world.got(c, a).len() > sent {
            world.give(c, Input::Consumed { from: a, bytes: message.len(), lossy: false });
            sent += 1;
        }
    }
    world.pass(Micros::from_secs(1));
    assert_eq!(world.got(c, a).len(), 60);
    assert!(world.members[&a].outbox_bytes() <= limits::OUTBOX_MAX + 2 * limits::CHUNK);

    // When b reads again it is told what it missed, and goes on.
    while world.count(b, |event| matches!(event, Event::Gap { .. })) == 0 {
        world.give(b, Input::Consumed { from: a, bytes: message.len(), lossy: false });
        world.pass(Micros::from_millis(50));
    }
    world.send(a, None, "after");
    for _ in 0..100 {
        world.give(b, Input::Consumed { from: a, bytes: message.len(), lossy: false });
        world.pass(Micros::from_millis(50));
    }
    assert!(world.got(b, a).last().is_some_and(|last| last == "after"));
    assert_eq!(world.count(c, |event| matches!(event, Event::Gap { .. })), 0);
}

#[test]
fn a_newcomer_gets_what_is_said_from_then_on() {
    let (mut world, a, _) = pair();
    world.send(a, None, "before");
    // As long as there is no link, the third brings what may have been said after the newcomer was heard of elsewhere.
    world.pass(limits::ENTRY_MARGIN + Micros::from_millis(1));
    world.cut.push((a, world.id(2)));
    let c = world.enter(2);
    world.send(a, None, "while it connects");
    world.cut.clear();
    world.pass(Micros::from_secs(12));
    world.send(a, None, "after");
    assert_eq!(world.got(c, a), ["while it connects", "after"]);
    assert_eq!(world.count(c, |event| matches!(event, Event::Gap { .. })), 0);
}

#[test]
fn leaving_waits_for_what_was_said_and_nothing_comes_after() {
    let (mut world, a, b) = pair();
    world.give(a, Input::Send { ticket: 1, channel: "chat".into(), to: None, payload: vec![1; 3 << 20].into() });
    world.give(a, Input::Leave);
    world.pass(Micros::from_millis(100));
    assert_eq!(world.got(b, a).len(), 1);
    assert!(matches!(world.events[&b].last(), Some(Event::MemberLeave { reason: GoneReason::Left, .. })));
    assert!(matches!(world.events[&a].last(), Some(Event::Closed { code: None, .. })));
    world.send(a, None, "late");
    assert!(matches!(world.events[&a].last(), Some(Event::NotSent { why: NotSent::Closed, .. })));
}

#[test]
fn who_gives_up_on_a_silent_hub_does_not_leave() {
    let (mut world, a, _) = pair();
    world.now = world.now + limits::HUB_PING.times(3);
    let outputs = world.wants(a, Input::Timeout);
    assert!(outputs.contains(&Output::Disconnect));
    assert!(!outputs.contains(&Output::Tell(ClientMessage::Leave {})), "{outputs:?}");
}

#[test]
fn who_leaves_says_so_before_its_socket_closes_even_unanswered() {
    let farewell = [Output::Tell(ClientMessage::Leave {}), Output::Disconnect];
    let (mut world, a, b) = pair();
    assert_eq!(world.wants(a, Input::Leave)[..2], farewell);

    // On its way back, its `join` is not answered yet.
    world.rejoins(b);
    let outputs = world.wants(b, Input::Leave);
    assert_eq!(outputs[..2], farewell, "{outputs:?}");
}

#[test]
fn links_that_a_join_has_no_room_for_are_reported_next() {
    let (mut world, a, b) = pair();
    let token = Some(Token("t".repeat(limits::SIGNAL_MAX - 136)));
    world.give(b, Input::SetToken { token });
    let join = world.rejoins(b);
    assert_eq!(join.resume.as_ref().map(|resume| resume.up.len()), Some(0));
    assert!(ClientMessage::Join(join).encode().len() <= limits::SIGNAL_MAX);
    let welcome = world.welcome(b, BTreeMap::new());
    world.wants(b, Input::Hub(ServerMessage::Welcome(Box::new(welcome))));
    world.now = world.now + limits::REPORT_DELAY;
    let report = LinkReport { up: vec![a], ..LinkReport::default() };
    let outputs = world.wants(b, Input::Timeout);
    assert!(outputs.contains(&Output::Tell(ClientMessage::Links(report))), "{outputs:?}");
}

#[test]
fn the_hubs_state_stands_when_a_member_comes_back() {
    let (mut world, a, b) = pair();
    let change = |value: u32, version| {
        let value = Json::from(&value).unwrap();
        Input::Hub(ServerMessage::State(StateChange { key: "k".into(), value, version, by: a, op: 1 }))
    };
    let values = |outputs: &[Output]| -> Vec<String> {
        let state = |output: &Output| match output {
            Output::Event(Event::State { value, .. }) => Some(value.as_str().to_owned()),
            _ => None,
        };
        outputs.iter().filter_map(state).collect()
    };
    assert_eq!(values(&world.wants(b, change(1, 9))), ["1"]);
    assert_eq!(world.rejoins(b).resume.unwrap().state["k"].version, 9);
    // The new hub did not take it, or others had brought no such entry.
    world.hub = "00000000000000bb";
    let state = BTreeMap::from([("k".to_owned(), StateEntry { value: Json::from(&2).unwrap(), version: 5 })]);
    let welcome = world.welcome(b, state);
    assert_eq!(values(&world.wants(b, Input::Hub(ServerMessage::Welcome(Box::new(welcome))))), ["2"]);
    assert_eq!(values(&world.wants(b, change(3, 6))), ["3"]);
}

#[test]
fn numbers_beyond_reason_from_a_hub_are_cut() {
    let mut world = World::new(1);
    let a = world.id(0);
    world.rejoins(a);
    let welcome = Welcome { op: u64::MAX, epoch: u64::MAX, ping_ms: u64::MAX, ..world.welcome(a, BTreeMap::new()) };
    world.wants(a, Input::Hub(ServerMessage::Welcome(Box::new(welcome))));
    let told = world.wants(a, Input::SetState { key: "k".into(), value: Json::null() });
    assert!(matches!(told[..], [Output::Tell(ClientMessage::State(_))]), "{told:?}");
    let closing = signal::Closing { reason: "restart".into(), retry_ms: u64::MAX };
    world.wants(a, Input::Hub(ServerMessage::Closing(closing)));
    world.wants(a, Input::Disconnected { code: None, reason: "restart".into() });
    assert!(world.members[&a].poll_timeout().unwrap() <= world.now + limits::RECONNECT_MAX.times(2));
}

#[test]
fn a_member_comes_back_to_a_full_server_and_gives_up_entering_one_with_what_it_says() {
    for code in [RefusalCode::ServerFull, RefusalCode::TooManyConnections] {
        let refused = || ServerMessage::Refused(Refused::fatal(code, "no place", "come back later"));
        let turned_away = Input::Disconnected { code: Some(code), reason: code.as_str().into() };
        let mut world = World::new(1);
        let a = world.id(0);
        world.wants(a, Input::Hub(refused()));
        world.wants(a, turned_away.clone());
        for _ in 0..9 {
            world.now = world.members[&a].poll_timeout().expect("it was in the room");
            world.wants(a, Input::Timeout);
            world.wants(a, Input::Connected);
            world.wants(a, Input::Hub(refused()));
            let outputs = world.wants(a, turned_away.clone());
            assert!(!outputs.iter().any(|output| matches!(output, Output::Event(Event::Closed { .. }))), "{outputs:?}");
        }

        world.members.insert(world.id(9), Member::new(config(9), world.now));
        let (stranger, mut heard) = (world.id(9), Vec::new());
        while let Some(at) = world.members[&stranger].poll_timeout() {
            heard.extend(world.wants(stranger, Input::Connected));
            heard.extend(world.wants(stranger, Input::Hub(refused())));
            heard.extend(world.wants(stranger, turned_away.clone()));
            world.now = world.members[&stranger].poll_timeout().unwrap_or(at);
            heard.extend(world.wants(stranger, Input::Timeout));
        }
        let (reason, hint) = ("no place".to_owned(), "come back later".to_owned());
        assert!(heard.contains(&Output::Event(Event::Closed { code: Some(code), reason, hint })), "{heard:?}");
    }
}

#[test]
fn attributes_that_the_hub_has_not_confirmed_are_no_part_of_a_join() {
    let (mut world, a, b) = pair();
    let set = BTreeMap::from([("mood".to_owned(), Some("good".to_owned()))]);
    world.give(b, Input::SetAttributes { set: set.clone() });
    assert_eq!(world.rejoins(b).attributes, Attributes::new());
    let welcome = world.welcome(b, BTreeMap::new());
    let outputs = world.wants(b, Input::Hub(ServerMessage::Welcome(Box::new(welcome))));
    assert!(outputs.contains(&Output::Tell(ClientMessage::Attributes(SetAttributes { op: 1, set }))), "{outputs:?}");
    let attributes = Attributes::from([("mood".to_owned(), "good".to_owned())]);
    for (id, attributes) in [(b, attributes.clone()), (a, Attributes::new())] {
        world.wants(b, Input::Hub(ServerMessage::Update(Update { id, attributes, op: 1 })));
    }
    assert_eq!(world.rejoins(b).attributes, attributes);
}

/// The states of the link to a member that another was told of.
fn states(world: &World, at: MemberId, of: MemberId) -> Vec<LinkState> {
    let events = world.events[&at].iter();
    events
        .filter_map(|event| match event {
            Event::Link { peer, state, .. } if *peer == of => Some(*state),
            _ => None,
        })
        .collect()
}

#[test]
fn who_leaves_is_not_seen_to_fail_first() {
    let (mut world, a, b) = pair();
    let attempt = world.transports[&(a, b)];
    world.cut.push((a, b));
    world.events.clear();
    world.give(a, Input::LinkDown { peer: b, attempt, reason: "closed".into(), closed: true });
    world.pass(Micros(limits::PARTING_GRACE.0 - 1));
    world.go(b, GoneReason::Left);
    world.settle();
    world.pass(limits::PARTING_GRACE);
    assert!(
        matches!(world.events[&a][..], [Event::MemberLeave { reason: GoneReason::Left, .. }]),
        "{:?}",
        world.events[&a]
    );
}

#[test]
fn who_closes_a_link_and_stays_is_seen_to_fail_after_a_while() {
    use LinkState::{Connecting, Failed, Open};
    let (mut world, a, b) = pair();
    let attempt = world.transports[&(a, b)];
    // One end closes for a reason of its own, and the other hears it in good order.
    let closed = |peer| Input::LinkDown { peer, attempt, reason: "closed".into(), closed: true };
    world.events.clear();
    world.give(a, closed(b));
    world.pass(Micros(limits::PARTING_GRACE.0 - 1));
    assert_eq!(world.count(a, |_| true) + world.count(b, |_| true), 0);
    world.pass(Micros::from_millis(100));
    assert_eq!(states(&world, a, b)[..3], [Failed, Connecting, Open]);
    // The answerer hears of the new attempt before its own grace is over, or after it.
    assert!(matches!(states(&world, b, a)[..], [Connecting, Open, ..] | [Failed, Connecting, Open, ..]));
    // A new attempt that comes meanwhile is the news.
    world.events.clear();
    let attempt = world.transports[&(a, b)];
    world.give(b, Input::LinkDown { peer: a, attempt, reason: "closed".into(), closed: true });
    let plan = LinkPlan { open: vec![LinkTo { peer: b, role: Role::Offer }], ..LinkPlan::default() };
    world.give(a, Input::Hub(ServerMessage::Links(plan)));
    world.pass(limits::PARTING_GRACE.times(2));
    assert_eq!(states(&world, b, a)[..2], [Connecting, Open]);
}

#[test]
fn a_member_wrongly_given_up_comes_back_without_doubles() {
    let (mut world, a, b) = pair();
    world.send(a, None, "one");
    // Its acknowledgement is still on the way when b is told that a is gone.
    world.go(a, GoneReason::Crashed);
    world.settle();
    world.give(a, Input::Disconnected { code: None, reason: "cut".into() });
    world.send(a, None, "two");
    world.pass(Micros::from_secs(20));
    assert!(world.is_open(a, b));
    world.send(a, None, "three");
    assert_eq!(world.got(b, a), ["one", "two", "three"]);
}

#[test]
fn a_member_wrongly_given_up_is_told_what_it_missed_and_hears_what_comes_after() {
    let (mut world, a, b) = pair();
    world.send(b, Some(a), "one");
    world.cut.push((a, b));
    world.send(b, Some(a), "lost");
    world.go(a, GoneReason::Crashed);
    world.settle();
    world.cut.clear();
    world.give(a, Input::Disconnected { code: None, reason: "cut".into() });
    world.pass(Micros::from_secs(20));
    assert!(world.is_open(a, b) && world.is_open(b, a));
    world.send(b, Some(a), "three");
    assert_eq!(world.got(a, b), ["one", "three"]);
    assert_eq!(world.count(a, |event| matches!(event, Event::Gap { addressed: true, from_seq: 2, to_seq: 2, .. })), 1);
}

#[test]
fn a_newcomer_hears_all_from_one_that_believed_it_to_be_gone() {
    let mut world = World { topology: "small-world", ..World::new(0) };
    let (origin, between) = (world.enter(0), world.enter(1));
    // It reaches nobody before it is given up.
    let newcomer = world.id(2);
    world.cut = vec![(newcomer, origin), (newcomer, between)];
    world.enter(2);
    world.send(origin, None, "one");
    world.pass(limits::ENTRY_MARGIN.times(3));
    world.send(origin, None, "two");
    let hear = |world: &mut World, message| world.give(between, Input::Hub(message));
    hear(&mut world, ServerMessage::Gone(Gone { id: newcomer, reason: GoneReason::Crashed }));
    world.cut.pop();
    let (info, open) = (world.info(newcomer), vec![LinkTo { peer: newcomer, role: Role::Offer }]);
    hear(&mut world, ServerMessage::Member(info.into()));
    hear(&mut world, ServerMessage::Links(LinkPlan { open, ..LinkPlan::default() }));
    world.pass(Micros::from_secs(5));
    assert!(world.is_open(newcomer, between) && !world.is_open(newcomer, origin));
    world.send(origin, None, "three");
    world.pass(Micros::from_secs(5));
    assert_eq!(world.got(newcomer, origin), ["one", "two", "three"]);
}

#[test]
fn a_restarted_hub_costs_nobody_anything() {
    let mut world = World::new(3);
    let (a, b, c) = (world.id(0), world.id(1), world.id(2));
    world.hub = "00000000000000bb";
    world.present.clear();
    for id in [a, b, c] {
        world.give(id, Input::Disconnected { code: None, reason: "restart".into() });
    }
    world.send(a, None, "without a hub");
    assert_eq!(world.got(c, a), ["without a hub"]);
    world.pass(Micros::from_secs(10));
    for id in [a, b, c] {
        assert_eq!(world.count(id, |event| matches!(event, Event::MemberLeave { .. } | Event::Gap { .. })), 0);
        assert_eq!(world.count(id, |event| matches!(event, Event::Reconnected { .. })), 1);
        assert_eq!(world.count(id, |event| matches!(event, Event::Link { state: LinkState::Failed, .. })), 0);
    }
}

#[test]
fn a_member_that_does_not_return_to_a_restarted_hub_is_gone_with_its_link() {
    let mut world = World::new(3);
    let (a, b, c) = (world.id(0), world.id(1), world.id(2));
    world.hub = "00000000000000bb";
    world.present.clear();
    world.members.remove(&c);
    world.cut.extend([(a, c), (b, c)]);
    for id in [a, b] {
        world.give(id, Input::Disconnected { code: None, reason: "restart".into() });
    }
    world.pass(Micros::from_secs(4));
    for id in [a, b] {
        assert_eq!(world.count(id, |event| matches!(event, Event::MemberLeave { member, .. } if member.id == c)), 1);
    }
}

#[test]
fn calls_are_answered_once_or_fail_with_a_reason() {
    let (mut world, a, b) = pair();
    let call = |ticket, to| Input::Call { ticket, to, method: "add".into(), payload: "12".into(), timeout: None };
    world.give(a, call(1, b));
    let Some(Event::Call { from, call: number, .. }) = world.events[&b].last().cloned() else { panic!("no call") };
    let answer = Answer::Result("3".into());
    for _ in 0..2 {
        world.give(b, Input::Reply { to: from, call: number, answer: answer.clone() });
    }
    assert_eq!(world.count(a, |event| *event == Event::Called { ticket: 1, answer: answer.clone() }), 1);

    world.give(a, call(2, b));
    world.pass(limits::CALL_TIMEOUT);
    world.give(a, call(3, b));
    world.go(b, GoneReason::Crashed);
    world.settle();
    world.give(a, call(4, b));
    for (wanted, expected) in [(2, "timeout"), (3, "member_left"), (4, "unknown_member")] {
        let failed = |event: &Event| match event {
            Event::Called { ticket, answer: Answer::Failure { code, .. } } => *ticket == wanted && code == expected,
            _ => false,
        };
        assert_eq!(world.count(a, failed), 1, "{expected}");
    }
}

#[test]
fn the_latest_value_arrives_however_many_are_lost() {
    let (mut world, a, b) = pair();
    let publish = |n: u32| Input::Publish {
        mode: Lossy::Latest,
        channel: "cursor".into(),
        to: None,
        payload: n.to_string().into(),
    };
    world.give(a, publish(0));
    world.cut.push((a, b));
    for n in 1..10 {
        world.give(a, publish(n));
    }
    world.cut.clear();
    world.pass(Micros::from_millis(300));
    let c = world.enter(2);
    world.pass(Micros::from_millis(300));
    let values = |at| -> Vec<Bytes> {
        let events = world.events[&at].iter();
        events
            .filter_map(|event| match event {
                Event::Lossy { payload, .. } => Some(payload.clone()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(values(b), ["0", "9"]);
    assert_eq!(values(c), ["9"]);
}

#[test]
fn latest_values_arrive_on_any_number_of_channels_one_after_another() {
    let (mut world, a, b) = pair();
    for n in 0..3 * limits::LATEST_CHANNELS {
        let (channel, payload) = (format!("cursor-{n}"), Bytes::from_static(b"1"));
        world.give(a, Input::Publish { mode: Lossy::Latest, channel, to: None, payload });
    }
    world.pass(Micros::from_secs(2));
    assert_eq!(world.count(b, |event| matches!(event, Event::Lossy { .. })), 3 * limits::LATEST_CHANNELS);
}

#[test]
fn packets_that_break_the_protocol_end_the_link_and_nothing_else() {
    let hostile: [&[u8]; 6] = [
        b"\x05",                                     // cut off
        b"\x01\xff",                                 // unknown type
        b"\x02\x0a\x07",                             // PONG on the reliable lane
        b"\x0c\x02\x06AAAAAAAA\x01\x00",             // too short for its head
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", // an endless number
        b"\x05\x01\x01\x00\x00\x00",                 // a second HELLO
    ];
    for packet in hostile {
        let mut world = World::new(3);
        let (a, b, c) = (world.id(0), world.id(1), world.id(2));
        let (attempt, bytes) = (world.transports[&(a, b)], Bytes::from_static(packet));
        world.give(a, Input::Packet { peer: b, attempt, lane: Lane::Reliable, bytes });
        let failed = |event: &Event| matches!(event, Event::Link { state: LinkState::Failed, .. });
        assert_eq!(world.count(a, failed), 1, "{packet:02x?}");
        assert!(world.is_open(a, c));
        world.pass(Micros::from_secs(2));
        assert!(world.is_open(a, b), "{packet:02x?}");
        world.send(b, None, "still here");
        assert_eq!(world.got(a, b), ["still here"]);
    }
}

#[test]
fn what_is_said_of_strangers_changes_nothing() {
    let harmless: [&[u8]; 6] = [
        b"\x0c\x03\x01\x00AAAAAAAA\x01",        // acknowledges a stranger's stream
        b"\x10\x02\x06AAAAAAAA\x01\x00\x01xhi", // a stranger's message
        b"\x0b\x05\x00AAAAAAAA\x09",            // skips a stranger's stream
        b"\x0d\x10\x01AAAAAAAA\x05\x01\x00",    // has a stranger's stream
        b"\x0a\x11AAAAAAAA\x05",                // wants a stranger's stream
        b"\x09\x12AAAAAAAA",                    // wants no more of it
    ];
    for packet in harmless {
        let (mut world, a, b) = pair();
        let (attempt, bytes) = (world.transports[&(a, b)], Bytes::from_static(packet));
        world.give(a, Input::Packet { peer: b, attempt, lane: Lane::Reliable, bytes });
        world.pass(Micros::from_secs(2));
        let failed = |event: &Event| matches!(event, Event::Link { state: LinkState::Failed, .. });
        assert!(world.is_open(a, b) && world.count(a, failed) == 0, "{packet:02x?}");
        assert_eq!(world.count(a, |event| matches!(event, Event::Message { .. } | Event::Gap { .. })), 0);
    }
}
