use room::wire::signal::{Member, StateEntry};

use super::*;

const ADA: MemberId = MemberId([0xa; 8]);
const BOB: MemberId = MemberId([0xb; 8]);

fn key() -> RoomKey {
    RoomKey::random().expect("randomness")
}

fn secrecy(this: MemberId, key: Option<&RoomKey>) -> Secrecy {
    Secrecy::new(this, key, "standup".parse().expect("a room"), [1; 5])
}

/// Ada and Bob with one key.
fn pair() -> (Secrecy, Secrecy) {
    let key = key();
    (secrecy(ADA, Some(&key)), secrecy(BOB, Some(&key)))
}

fn send(text: &'static str, to: Option<MemberId>) -> Input {
    Input::Send { ticket: 1, channel: "chat".to_owned(), to, payload: Bytes::from_static(text.as_bytes()) }
}

fn publish(mode: Lossy, channel: &str, text: &str) -> Input {
    Input::Publish { mode, channel: channel.to_owned(), to: None, payload: Bytes::copy_from_slice(text.as_bytes()) }
}

/// What a message or call of Ada's is at its receivers.
fn arrival(input: Input) -> Event {
    let from = ADA;
    match input {
        Input::Send { channel, to, payload, .. } => Event::Message { from, channel, addressed: to.is_some(), payload },
        Input::Publish { mode, channel, payload, .. } => Event::Lossy { from, mode, channel, payload },
        Input::Call { ticket, method, payload, .. } => Event::Call { from, call: ticket, method, payload },
        Input::SetState { key, value } => Event::State { key, value, by: None },
        other => panic!("{other:?}"),
    }
}

fn said(secrecy: &mut Secrecy, input: Input) -> Event {
    arrival(secrecy.outgoing(input).expect("it is wanted"))
}

fn heard(secrecy: &mut Secrecy, event: Event) -> Vec<Heard> {
    let mut heard = Vec::new();
    secrecy.incoming(event, &mut heard);
    heard
}

/// The text that is delivered, and what is told instead where none is.
fn read(secrecy: &mut Secrecy, event: Event) -> Result<String, Vec<Unreadable>> {
    let mut whys = Vec::new();
    let mut consumed = 0;
    for heard in heard(secrecy, event) {
        match heard {
            Heard::Event(
                Event::Message { payload, .. } | Event::Lossy { payload, .. } | Event::Call { payload, .. },
            ) => {
                return Ok(String::from_utf8(payload.to_vec()).expect("a text"));
            }
            Heard::Unreadable(who, why) => {
                assert_eq!(who, Some(ADA));
                whys.push(why);
            }
            Heard::Input(Input::Consumed { from: ADA, bytes, .. }) => consumed += bytes,
            other => panic!("{other:?}"),
        }
    }
    assert!(consumed > 0, "what is withheld counts as consumed");
    Err(whys)
}

#[test]
fn who_has_the_key_reads_and_nobody_else() {
    let (mut ada, mut bob) = pair();
    let event = said(&mut ada, send("hi", None));
    let Event::Message { payload, .. } = &event else { panic!("{event:?}") };
    assert!(!payload.windows(2).any(|bytes| bytes == b"hi"));
    assert_eq!(read(&mut secrecy(BOB, None), event.clone()), Err(vec![Unreadable::NoKey]));
    assert_eq!(read(&mut secrecy(BOB, Some(&key())), event.clone()), Err(vec![Unreadable::WrongKey]));
    assert_eq!(read(&mut bob, event), Ok("hi".to_owned()));
    let event = said(&mut ada, send("for Bob", Some(BOB)));
    assert_eq!(read(&mut secrecy(BOB, None), event.clone()), Err(vec![Unreadable::NoKey]));
    assert_eq!(read(&mut bob, event), Ok("for Bob".to_owned()));
}

#[test]
fn without_a_key_everything_is_as_it_was() {
    let (mut ada, mut bob) = (secrecy(ADA, None), secrecy(BOB, None));
    let event = said(&mut ada, send("hi", None));
    assert!(matches!(&event, Event::Message { payload, .. } if payload == "hi"));
    assert_eq!(read(&mut bob, event), Ok("hi".to_owned()));
    assert_eq!((overhead(false), entry_bytes(false, 7)), (0, 7));
}

fn nameless(id: MemberId) -> Member {
    let (name, attributes) = (String::new(), BTreeMap::new());
    Member { id, name, identity: None, attributes, mute: false, relay: false, key: None }
}

#[test]
fn what_is_in_the_clear_is_not_believed_and_told_once() {
    let mut bob = pair().1;
    let event = arrival(send("hi", None));
    assert_eq!(read(&mut bob, event.clone()), Err(vec![Unreadable::NotSealed]));
    assert_eq!(read(&mut bob, event.clone()), Err(vec![]));
    let member = nameless(ADA);
    heard(&mut bob, Event::MemberLeave { member, reason: crate::GoneReason::Left });
    assert_eq!(read(&mut bob, event), Err(vec![Unreadable::NotSealed]), "who comes back is told of again");
}

#[test]
fn what_was_said_before_is_not_believed_again() {
    let (mut ada, mut bob) = pair();
    let events = ["one", "two", "three"].map(|text| said(&mut ada, send(text, None)));
    let to_bob = said(&mut ada, send("to Bob", Some(BOB)));
    assert_eq!(read(&mut bob, to_bob.clone()), Ok("to Bob".to_owned()), "streams need not wait for each other");
    assert_eq!(read(&mut bob, events[0].clone()), Ok("one".to_owned()));
    assert_eq!(read(&mut bob, events[2].clone()), Ok("three".to_owned()), "after a gap it goes on");
    for old in [&events[0], &events[1], &events[2], &to_bob] {
        let first = matches!(old, Event::Message { payload, .. } if Some(payload) == payload_of(&events[0]));
        let told = if first { vec![Unreadable::Replayed] } else { vec![] };
        assert_eq!(read(&mut bob, old.clone()), Err(told));
    }
}

fn payload_of(event: &Event) -> Option<&Bytes> {
    match event {
        Event::Message { payload, .. } => Some(payload),
        _ => None,
    }
}

#[test]
fn a_message_is_read_only_where_it_was_said() {
    let (mut ada, mut bob) = pair();
    let Event::Message { from, channel, payload, .. } = said(&mut ada, send("hi", None)) else { panic!("a message") };
    let elsewhere = [
        Event::Message { from, channel: "other".to_owned(), addressed: false, payload: payload.clone() },
        Event::Message { from, channel: channel.clone(), addressed: true, payload: payload.clone() },
        Event::Lossy { from, mode: Lossy::Latest, channel: channel.clone(), payload: payload.clone() },
    ];
    let whys: Vec<_> = elsewhere.into_iter().map(|event| read(&mut bob, event)).collect();
    assert_eq!(whys, [Err(vec![Unreadable::WrongKey]), Err(vec![]), Err(vec![])]);
    let Event::Message { payload: to_bob, .. } = said(&mut ada, send("for Bob", Some(BOB))) else {
        panic!("a message")
    };
    let mut carol = secrecy(MemberId::from(3), None);
    carol.keyed = bob.keyed.take().map(|keyed| Keyed { this: MemberId::from(3), ..keyed });
    let event = Event::Message { from, channel, addressed: true, payload: to_bob };
    assert_eq!(read(&mut carol, event), Err(vec![Unreadable::WrongKey]));
}

#[test]
fn of_lossy_channels_old_values_and_repeated_datagrams_are_dropped_without_a_word() {
    let (mut ada, mut bob) = pair();
    let [first, second] = ["1", "2"].map(|text| said(&mut ada, publish(Lossy::Latest, "cursor", text)));
    let other = said(&mut ada, publish(Lossy::Latest, "typing", "x"));
    assert_eq!(read(&mut bob, second.clone()), Ok("2".to_owned()));
    assert_eq!(read(&mut bob, first), Err(vec![]));
    assert_eq!(read(&mut bob, second), Err(vec![]));
    assert_eq!(read(&mut bob, other), Ok("x".to_owned()));

    let count = DATAGRAMS_KNOWN + 2;
    let datagrams: Vec<_> =
        (0..count).map(|n| said(&mut ada, publish(Lossy::Datagram, "cursor", &n.to_string()))).collect();
    for at in [1, 0].into_iter().chain(2..count) {
        assert_eq!(read(&mut bob, datagrams[at].clone()), Ok(at.to_string()), "in any order");
    }
    for datagram in datagrams {
        assert_eq!(read(&mut bob, datagram), Err(vec![]), "never twice");
    }
}

#[test]
fn of_a_forgotten_channel_no_old_value_is_believed() {
    let (mut ada, mut bob) = pair();
    let first = said(&mut ada, publish(Lossy::Latest, "first", "1"));
    assert_eq!(read(&mut bob, first.clone()), Ok("1".to_owned()));
    for n in 0..LATEST_CHANNELS {
        let event = said(&mut ada, publish(Lossy::Latest, &n.to_string(), "x"));
        assert_eq!(read(&mut bob, event), Ok("x".to_owned()));
    }
    assert_eq!(read(&mut bob, first), Err(vec![]));
    let again = said(&mut ada, publish(Lossy::Latest, "first", "2"));
    assert_eq!(read(&mut bob, again), Ok("2".to_owned()));
}

fn call(ticket: u64) -> Input {
    let payload = Bytes::from_static(b"argument");
    Input::Call { ticket, to: BOB, method: "add".to_owned(), payload, timeout: None }
}

fn reply(call: u64, answer: Answer) -> Input {
    Input::Reply { to: ADA, call, answer }
}

/// What the caller hears of the answer that a machine was given.
fn answered(caller: &mut Secrecy, ticket: u64, reply: Option<Input>) -> Answer {
    let Some(Input::Reply { answer, .. }) = reply else { panic!("no reply") };
    match heard(caller, Event::Called { ticket, answer }).swap_remove(0) {
        Heard::Event(Event::Called { ticket: of, answer }) if of == ticket => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_and_how_they_end_are_sealed_and_bound_to_each_other() {
    let (mut ada, mut bob) = pair();
    for ticket in 1..=4 {
        let event = said(&mut ada, call(ticket));
        assert_eq!(read(&mut bob, event), Ok("argument".to_owned()));
    }
    let result = Answer::Result(Bytes::from_static(b"3"));
    let sealed = bob.outgoing(reply(1, result.clone()));
    assert!(matches!(&sealed, Some(Input::Reply { answer: Answer::Result(payload), .. }) if is_sealed(payload)));
    assert_eq!(answered(&mut ada, 1, sealed.clone()), result);
    assert!(bob.outgoing(reply(1, result.clone())).is_none(), "a call is answered once");

    let no = failure("no_handler", "nobody answers");
    let sealed = bob.outgoing(reply(2, no.clone()));
    assert!(matches!(&sealed, Some(Input::Reply { answer: Answer::Result(payload), .. }) if is_sealed(payload)));
    assert_eq!(answered(&mut ada, 2, sealed), no);

    // The answer to another call.
    let third = bob.outgoing(reply(3, result));
    assert_eq!(answered(&mut ada, 4, third), unreadable());

    let large = bob.outgoing(reply(4, Answer::Result(vec![0; MESSAGE_MAX - OVERHEAD].into())));
    let Some(Input::Reply { answer: Answer::Result(payload), .. }) = large else { panic!("a sealed failure") };
    assert!(payload.len() < 200);
}

#[test]
fn a_call_that_cannot_be_opened_is_answered_and_forged_answers_are_not_believed() {
    let (mut ada, mut bob) = pair();
    let event = said(&mut ada, call(1));
    let refusals: Vec<_> = heard(&mut secrecy(BOB, None), event)
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Input(Input::Reply { to: ADA, call: 1, answer }) => Some(answer),
            _ => None,
        })
        .collect();
    assert_eq!(refusals, [unreadable()]);
    assert_eq!(answered(&mut ada, 1, Some(reply(1, unreadable()))), unreadable());

    for (ticket, forged) in [(2, failure("handler_failed", "forged")), (3, Answer::Result(Bytes::from_static(b"4")))] {
        said(&mut ada, call(ticket));
        assert_eq!(answered(&mut ada, ticket, Some(reply(1, forged))), unreadable());
    }
    said(&mut ada, call(4));
    let Answer::Failure { code, message } = answered(&mut ada, 4, Some(reply(1, failure("timeout", "forged")))) else {
        panic!("a failure");
    };
    assert_eq!((code.as_str(), message.as_str()), ("timeout", ""), "the machine's own codes stand, without words");

    // Who is called in the clear by somebody without the key does not act on it.
    let answers = heard(&mut bob, arrival(call(5)));
    assert!(matches!(&answers[0], Heard::Input(Input::Reply { answer, .. }) if *answer == unreadable()));
}

fn entry(key: &str, value: &str) -> Input {
    Input::SetState { key: key.to_owned(), value: Json::parse(value).expect("JSON") }
}

/// The value that is heard, who wrote it, and what is told beside.
fn entry_read(secrecy: &mut Secrecy, event: Event) -> (String, Option<MemberId>, Vec<Unreadable>) {
    let mut heard = heard(secrecy, event).into_iter();
    let Some(Heard::Event(Event::State { value, by, .. })) = heard.next() else { panic!("no entry") };
    let whys = heard.map(|heard| match heard {
        Heard::Unreadable(None, why) => why,
        other => panic!("{other:?}"),
    });
    (value.as_str().to_owned(), by, whys.collect())
}

#[test]
fn entries_of_the_shared_state_are_sealed_under_their_keys() {
    let (mut ada, mut bob) = pair();
    let event = said(&mut ada, entry("title", r#"{"text":"Standup"}"#));
    let Event::State { value, .. } = &event else { panic!("{event:?}") };
    assert!(!value.as_str().contains("Standup"));
    assert_eq!(value.as_str().len(), entry_bytes(true, r#"{"text":"Standup"}"#.len()));
    assert_eq!(entry_read(&mut bob, event.clone()), (r#"{"text":"Standup"}"#.to_owned(), Some(ADA), vec![]));

    let none = || "null".to_owned();
    assert_eq!(entry_read(&mut secrecy(BOB, None), event.clone()), (none(), None, vec![Unreadable::NoKey]));
    let mut stranger = secrecy(BOB, Some(&key()));
    assert_eq!(entry_read(&mut stranger, event.clone()), (none(), None, vec![Unreadable::WrongKey]));
    let Event::State { value, .. } = event else { panic!("an entry") };
    let moved = Event::State { key: "agenda".to_owned(), value: value.clone(), by: Some(ADA) };
    assert_eq!(entry_read(&mut bob, moved), (none(), Some(ADA), vec![Unreadable::WrongKey]));
    let clear = arrival(entry("title", "1"));
    assert_eq!(entry_read(&mut bob, clear), (none(), None, vec![Unreadable::NotSealed]));
    let removed = said(&mut ada, entry("title", "null"));
    assert_eq!(entry_read(&mut bob, removed), (none(), None, vec![]));

    let version = 1;
    let states = [("title", value), ("clear", Json::parse("1").expect("JSON"))];
    let state = states.map(|(key, value)| (key.to_owned(), StateEntry { value, version })).into_iter().collect();
    let this = nameless(BOB);
    let joined = Joined { this, members: vec![], topology: "mesh".to_owned(), pin: None, state, admin: false };
    let heard = heard(&mut secrecy(BOB, None), Event::Joined(Box::new(joined)));
    let Heard::Event(Event::Joined(joined)) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(joined.state.keys().collect::<Vec<_>>(), ["clear"]);
    assert!(matches!(heard[1..], [Heard::Unreadable(None, Unreadable::NoKey)]));
}

#[test]
fn what_nobody_with_the_key_said_makes_nobody_forgotten() {
    let (mut ada, mut bob) = pair();
    let first = said(&mut ada, send("hi", None));
    assert_eq!(read(&mut bob, first.clone()), Ok("hi".to_owned()));
    for n in 0..SENDERS_KNOWN as u64 + 10 {
        let Event::Message { channel, payload, .. } = first.clone() else { panic!("a message") };
        heard(&mut bob, Event::Message { from: MemberId::from(n), channel, addressed: false, payload });
    }
    assert_eq!(bob.keyed.as_ref().map(|keyed| keyed.senders.len()), Some(1));
    assert_eq!(read(&mut bob, first), Err(vec![Unreadable::Replayed]));
}

#[test]
fn what_was_consumed_counts_as_it_was_on_the_wire() {
    let consumed = |secrecy: &mut Secrecy| match secrecy.outgoing(Input::Consumed { from: BOB, bytes: 2, lossy: false })
    {
        Some(Input::Consumed { bytes, .. }) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!((consumed(&mut pair().0), consumed(&mut secrecy(ADA, None))), (2 + OVERHEAD, 2));
}
