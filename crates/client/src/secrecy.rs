//! Between the application and the member machine in a secret room: what goes to the machine is sealed, what comes
//! from it is opened, and what cannot be opened never gets to the application.
//!
//! [`Secrecy`] turns inputs of the machine into inputs and events into events, so neither side knows of it. In a room
//! without a key everything passes, but what others sealed is recognised and told of.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bytes::Bytes;
use room::{
    id::{MemberId, RoomName},
    limits::{LATEST_CHANNELS, MESSAGE_MAX},
    member::{Answer, Event, Input, Joined, Lossy},
    wire::signal::Json,
};
use serde::{Deserialize, Serialize};

use crate::{
    RoomKey, Unreadable,
    limits::{DATAGRAMS_KNOWN, SENDERS_KNOWN},
    seal::{Keys, Kind, Nonce, Nonces, OVERHEAD, Place, Sealed, SenderKey, is_sealed},
};

/// Bytes that a call's number may take on the wire, before what is sealed.
const NUMBER_BYTES: usize = 8;

/// The failure of a call to a member that cannot open it, or whose answer cannot be opened.
pub(crate) const UNREADABLE: &str = "unreadable";

/// A member's secrecy, or the want of it.
pub(crate) struct Secrecy {
    keyed: Option<Keyed>,
    /// What the application was told of already.
    told: BTreeSet<(Option<MemberId>, Unreadable)>,
}

/// What the driver is to do with what the machine told.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The application hears this.
    Event(Event),
    /// It hears that somebody cannot be read; `None`: entries of the shared state.
    Unreadable(Option<MemberId>, Unreadable),
    /// The machine hears this, as it is: nothing of it is sealed.
    Input(Input),
}

/// Why a payload is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Withheld {
    Unreadable(Unreadable),
    /// It is not newer than what came before, as may be on lossy channels.
    Old,
}

impl From<Unreadable> for Withheld {
    fn from(why: Unreadable) -> Withheld {
        Withheld::Unreadable(why)
    }
}

/// In the clear `OVERHEAD` is nothing.
pub(crate) fn overhead(is_secret: bool) -> usize {
    if is_secret { OVERHEAD } else { 0 }
}

/// Bytes of the JSON that an entry of the shared state is on the wire.
pub(crate) fn entry_bytes(is_secret: bool, json: usize) -> usize {
    let sealed = || r#"{"sealed":""}"#.len() + ((json + OVERHEAD + 8) * 4).div_ceil(3);
    if is_secret { sealed() } else { json }
}

impl Secrecy {
    /// `salt` is random.
    pub(crate) fn new(this: MemberId, key: Option<&RoomKey>, room: RoomName, salt: [u8; 5]) -> Secrecy {
        let keyed = key.map(|key| {
            let keys = Keys::new(key, room);
            let own = keys.of(this);
            Keyed {
                this,
                keys,
                own,
                nonces: Nonces::new(salt),
                senders: BTreeMap::new(),
                uses: 0,
                calls: Calls::default(),
            }
        });
        Secrecy { keyed, told: BTreeSet::new() }
    }

    /// What the machine gets of what the application wants; `None` where nobody needs it any more.
    pub(crate) fn outgoing(&mut self, input: Input) -> Option<Input> {
        let Some(keyed) = &mut self.keyed else { return Some(input) };
        Some(match input {
            Input::Send { ticket, channel, to, payload } => {
                let payload = keyed.seal(Kind::Message, to, &channel, None, &payload).1;
                Input::Send { ticket, channel, to, payload }
            }
            Input::Publish { mode, channel, to, payload } => {
                let payload = keyed.seal(lossy_kind(mode), to, &channel, None, &payload).1;
                Input::Publish { mode, channel, to, payload }
            }
            Input::Call { ticket, to, method, payload, timeout } => {
                let (nonce, payload) = keyed.seal(Kind::Call, Some(to), &method, None, &payload);
                keyed.calls.made.insert(ticket, (to, nonce));
                Input::Call { ticket, to, method, payload, timeout }
            }
            Input::CancelCall { ticket } => {
                keyed.calls.made.remove(&ticket);
                Input::CancelCall { ticket }
            }
            Input::Reply { to, call, answer } => {
                let nonce = keyed.calls.asked.remove(&(to, call))?;
                Input::Reply { to, call, answer: keyed.seal_answer(to, nonce, answer) }
            }
            Input::SetState { key, value } if !value.is_null() => {
                let value = keyed.seal_entry(&key, &value);
                Input::SetState { key, value }
            }
            Input::Consumed { from, bytes, lossy } => Input::Consumed { from, bytes: bytes + OVERHEAD, lossy },
            other => other,
        })
    }

    /// What becomes of what the machine tells: most often the event itself, opened.
    pub(crate) fn incoming(&mut self, event: Event, heard: &mut Vec<Heard>) {
        match event {
            Event::Message { from, channel, addressed, payload } => {
                let kinds = &[Kind::Message];
                let place = Expected { from, kinds, addressed: Some(addressed), name: &channel, call: None };
                match self.open(place, &payload) {
                    Ok((_, payload)) => heard.push(Heard::Event(Event::Message { from, channel, addressed, payload })),
                    Err(why) => self.withhold(from, &payload, false, why, heard),
                }
            }
            Event::Lossy { from, mode, channel, payload } => {
                let kinds = &[lossy_kind(mode)];
                let place = Expected { from, kinds, addressed: None, name: &channel, call: None };
                match self.open(place, &payload) {
                    Ok((_, payload)) => heard.push(Heard::Event(Event::Lossy { from, mode, channel, payload })),
                    Err(why) => self.withhold(from, &payload, true, why, heard),
                }
            }
            Event::Call { from, call, method, payload } => {
                let place = Expected { from, kinds: &[Kind::Call], addressed: Some(true), name: &method, call: None };
                match self.open(place, &payload) {
                    Ok((sealed, payload)) => {
                        if let (Some(keyed), Some(sealed)) = (&mut self.keyed, sealed) {
                            keyed.calls.asked.insert((from, call), sealed.nonce);
                        }
                        heard.push(Heard::Event(Event::Call { from, call, method, payload }));
                    }
                    Err(why) => {
                        heard.push(Heard::Input(Input::Reply { to: from, call, answer: unreadable() }));
                        self.withhold(from, &payload, false, why, heard);
                    }
                }
            }
            Event::Called { ticket, answer } => self.called(ticket, answer, heard),
            Event::State { key, value, by } => self.entry(key, &value, by, heard),
            Event::Joined(joined) => self.joined(joined, heard),
            other => {
                if let Event::MemberLeave { member, .. } = &other {
                    self.told.retain(|(who, _)| *who != Some(member.id));
                    if let Some(keyed) = &mut self.keyed {
                        keyed.calls.asked.retain(|(from, _), _| *from != member.id);
                    }
                }
                heard.push(Heard::Event(other));
            }
        }
    }

    fn open(&mut self, place: Expected<'_>, payload: &Bytes) -> Result<(Option<Sealed>, Bytes), Withheld> {
        match &mut self.keyed {
            Some(keyed) => keyed.open(place, payload).map(|(sealed, plain)| (Some(sealed), plain)),
            None if is_sealed(payload) => Err(Unreadable::NoKey.into()),
            None => Ok((None, payload.clone())),
        }
    }

    /// What is not delivered counts as consumed.
    fn withhold(&mut self, from: MemberId, payload: &Bytes, lossy: bool, why: Withheld, heard: &mut Vec<Heard>) {
        heard.push(Heard::Input(Input::Consumed { from, bytes: payload.len(), lossy }));
        if let Withheld::Unreadable(why) = why {
            self.tell(Some(from), why, heard);
        }
    }

    fn called(&mut self, ticket: u64, answer: Answer, heard: &mut Vec<Heard>) {
        let made = self.keyed.as_mut().and_then(|keyed| keyed.calls.made.remove(&ticket));
        let mut why = None;
        let answer = match (made, answer) {
            (Some((from, call)), Answer::Result(payload)) => {
                let kinds = &[Kind::Reply, Kind::Failure];
                let place = Expected { from, kinds, addressed: Some(true), name: "", call: Some(call) };
                match self.open(place, &payload) {
                    Ok((Some(Sealed { kind: Kind::Failure, .. }), plain)) => failure_of(&plain),
                    Ok((_, plain)) => Answer::Result(plain),
                    Err(withheld) => {
                        why = Some((from, withheld));
                        unreadable()
                    }
                }
            }
            // Sealed failures come as results: this is the machine's own, or of somebody who could not open the call.
            (Some(_), Answer::Failure { code, .. }) => plain_failure(code),
            (None, Answer::Result(payload)) if is_sealed(&payload) => unreadable(),
            (None, answer) => answer,
        };
        heard.push(Heard::Event(Event::Called { ticket, answer }));
        if let Some((from, Withheld::Unreadable(why))) = why {
            self.tell(Some(from), why, heard);
        }
    }

    fn joined(&mut self, mut joined: Box<Joined>, heard: &mut Vec<Heard>) {
        let mut whys = BTreeSet::new();
        joined.state.retain(|key, entry| match self.open_entry(key, &entry.value) {
            Ok((value, _)) => {
                entry.value = value;
                true
            }
            Err(why) => {
                whys.insert(why);
                false
            }
        });
        heard.push(Heard::Event(Event::Joined(joined)));
        whys.into_iter().for_each(|why| self.tell(None, why, heard));
    }

    fn entry(&mut self, key: String, value: &Json, by: Option<MemberId>, heard: &mut Vec<Heard>) {
        match self.open_entry(&key, value) {
            // Who wrote it is known better from the seal than from the server.
            Ok((value, writer)) => heard.push(Heard::Event(Event::State { key, value, by: writer.or(by) })),
            // What cannot be read is not there; what was there before is not either.
            Err(why) => {
                heard.push(Heard::Event(Event::State { key, value: Json::null(), by }));
                self.tell(None, why, heard);
            }
        }
    }

    /// The value, and who sealed it.
    fn open_entry(&self, key: &str, value: &Json) -> Result<(Json, Option<MemberId>), Unreadable> {
        if value.is_null() {
            return Ok((value.clone(), None));
        }
        let sealed = SealedEntry::read(value);
        let Some(keyed) = &self.keyed else {
            return if sealed.is_some() { Err(Unreadable::NoKey) } else { Ok((value.clone(), None)) };
        };
        let (writer, payload) = sealed.ok_or(Unreadable::NotSealed)?;
        let place = Place { kind: Kind::State, to: None, name: key, call: None };
        let sealed = Sealed::parse(&payload).filter(|sealed| sealed.kind == Kind::State && !sealed.addressed);
        let plain = sealed.and_then(|sealed| keyed.keys.of(writer).open(&place, &sealed));
        let json = plain.and_then(|plain| Json::parse(std::str::from_utf8(&plain).ok()?).ok());
        json.map(|json| (json, Some(writer))).ok_or(Unreadable::WrongKey)
    }

    fn tell(&mut self, who: Option<MemberId>, why: Unreadable, heard: &mut Vec<Heard>) {
        if self.told.insert((who, why)) {
            heard.push(Heard::Unreadable(who, why));
        }
    }
}

fn lossy_kind(mode: Lossy) -> Kind {
    match mode {
        Lossy::Latest => Kind::Latest,
        Lossy::Datagram => Kind::Datagram,
    }
}

fn unreadable() -> Answer {
    failure(UNREADABLE, "one of the two has not the room's key")
}

fn failure(code: &str, message: &str) -> Answer {
    Answer::Failure { code: code.to_owned(), message: message.to_owned() }
}

/// A failure in the clear may be anybody's words: of those that the machine itself could have said the code is kept.
fn plain_failure(code: String) -> Answer {
    match code.as_str() {
        "too_large" => failure(&code, "the argument or the method's name is too large"),
        "timeout" | "member_left" | "unknown_member" | "not_allowed" | "too_many_calls" | "closed" => {
            Answer::Failure { code, message: String::new() }
        }
        _ => unreadable(),
    }
}

#[derive(Serialize, Deserialize)]
struct Failure {
    code: String,
    message: String,
}

fn failure_of(plain: &[u8]) -> Answer {
    match serde_json::from_slice(plain) {
        Ok(Failure { code, message }) => Answer::Failure { code, message },
        Err(_) => failure("handler_failed", "the failure cannot be read"),
    }
}

/// What the server keeps of an entry of the shared state: base64url of the writer's id and the sealed JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedEntry {
    sealed: String,
}

impl SealedEntry {
    fn read(value: &Json) -> Option<(MemberId, Bytes)> {
        let mut bytes = Bytes::from(BASE64URL.decode(value.to::<SealedEntry>().ok()?.sealed).ok()?);
        if bytes.len() < 8 {
            return None;
        }
        let writer = MemberId(bytes.split_to(8)[..].try_into().ok()?);
        is_sealed(&bytes).then_some((writer, bytes))
    }
}

/// Of a payload that came, what is known without opening it.
#[derive(Clone, Copy)]
struct Expected<'a> {
    from: MemberId,
    kinds: &'a [Kind],
    /// `None` where the machine does not say: then the payload itself does, and is bound to what it says.
    addressed: Option<bool>,
    name: &'a str,
    call: Option<Nonce>,
}

/// The side of those who have the key.
struct Keyed {
    this: MemberId,
    keys: Keys,
    own: SenderKey,
    nonces: Nonces,
    /// Those of whom something could be opened.
    senders: BTreeMap<MemberId, Sender>,
    uses: u64,
    calls: Calls,
}

/// The nonces of calls, to which their answers are bound.
#[derive(Default)]
struct Calls {
    /// Of this member, by ticket: the machine bounds them.
    made: BTreeMap<u64, (MemberId, Nonce)>,
    /// Of others, until they are answered: flow control bounds them.
    asked: BTreeMap<(MemberId, u64), Nonce>,
}

impl Keyed {
    fn seal(
        &mut self,
        kind: Kind,
        to: Option<MemberId>,
        name: &str,
        call: Option<Nonce>,
        plain: &[u8],
    ) -> (Nonce, Bytes) {
        let nonce = self.nonces.next();
        (nonce, self.own.seal(nonce, &Place { kind, to, name, call }, plain))
    }

    /// Failures too are results to the machine: their words are nobody else's business.
    fn seal_answer(&mut self, to: MemberId, call: Nonce, answer: Answer) -> Answer {
        let (kind, plain) = match answer {
            Answer::Result(plain) if plain.len() <= MESSAGE_MAX - OVERHEAD - NUMBER_BYTES => (Kind::Reply, plain),
            Answer::Result(_) => {
                failure_bytes("too_large".to_owned(), "the result is too large for one message".to_owned())
            }
            Answer::Failure { code, message } => failure_bytes(code, message),
        };
        Answer::Result(self.seal(kind, Some(to), "", Some(call), &plain).1)
    }

    fn seal_entry(&mut self, key: &str, value: &Json) -> Json {
        let sealed = self.seal(Kind::State, None, key, None, value.as_str().as_bytes()).1;
        let sealed = BASE64URL.encode([&self.this.0, &sealed[..]].concat());
        Json::from(&SealedEntry { sealed }).expect("a text has a JSON form")
    }

    fn open(&mut self, expected: Expected<'_>, payload: &Bytes) -> Result<(Sealed, Bytes), Withheld> {
        if !is_sealed(payload) {
            return Err(Unreadable::NotSealed.into());
        }
        let fits = |sealed: &Sealed| {
            expected.kinds.contains(&sealed.kind) && expected.addressed.is_none_or(|it| it == sealed.addressed)
        };
        let sealed = Sealed::parse(payload).filter(fits).ok_or(Unreadable::WrongKey)?;
        let to = sealed.addressed.then_some(self.this);
        let place = Place { kind: sealed.kind, to, name: expected.name, call: expected.call };
        let opened = match self.senders.get(&expected.from) {
            Some(sender) => sender.key.open(&place, &sealed),
            None => {
                let key = self.keys.of(expected.from);
                let opened = key.open(&place, &sealed);
                // Only who has the key is remembered: the others can make nobody forgotten.
                if opened.is_some() {
                    self.remember(expected.from, key);
                }
                opened
            }
        };
        let plain = opened.ok_or(Unreadable::WrongKey)?;
        self.uses += 1;
        let sender = self.senders.get_mut(&expected.from).expect("known before, or remembered just now");
        sender.used = self.uses;
        sender.take(&sealed, expected.name)?;
        Ok((sealed, plain))
    }

    fn remember(&mut self, id: MemberId, key: SenderKey) {
        if self.senders.len() >= SENDERS_KNOWN {
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.used).map(|(id, _)| *id);
            self.senders.remove(&oldest.expect("it is full, so not empty"));
        }
        let sender =
            Sender { key, used: 0, room: 0, addressed: 0, latest: Latest::default(), datagrams: BTreeSet::new() };
        self.senders.insert(id, sender);
    }
}

fn failure_bytes(code: String, message: String) -> (Kind, Bytes) {
    let json = serde_json::to_vec(&Failure { code, message }).expect("two texts have a JSON form");
    (Kind::Failure, json.into())
}

/// Somebody who has the key, and how far they have counted: what is not newer was said before.
struct Sender {
    key: SenderKey,
    /// When it was last heard, among all.
    used: u64,
    /// Of the stream to the room, and of the one to this member: each comes in order.
    room: u64,
    addressed: u64,
    latest: Latest,
    /// The newest datagrams.
    datagrams: BTreeSet<u64>,
}

#[derive(Default)]
struct Latest {
    channels: BTreeMap<String, u64>,
    /// Of all channels that are not among them.
    floor: u64,
}

impl Sender {
    /// Takes the count of what was opened, if it is new.
    fn take(&mut self, sealed: &Sealed, name: &str) -> Result<(), Withheld> {
        let count = sealed.nonce.count();
        let last = match sealed.kind {
            Kind::Latest => return self.latest.take(name, count),
            Kind::Datagram => return self.take_datagram(count),
            _ if sealed.addressed => &mut self.addressed,
            _ => &mut self.room,
        };
        if count <= *last {
            return Err(Unreadable::Replayed.into());
        }
        *last = count;
        Ok(())
    }

    fn take_datagram(&mut self, count: u64) -> Result<(), Withheld> {
        let is_full = self.datagrams.len() >= DATAGRAMS_KNOWN;
        let is_old = is_full && self.datagrams.first().is_some_and(|first| count < *first);
        if is_old || !self.datagrams.insert(count) {
            return Err(Withheld::Old);
        }
        if is_full {
            self.datagrams.pop_first();
        }
        Ok(())
    }
}

impl Latest {
    fn take(&mut self, channel: &str, count: u64) -> Result<(), Withheld> {
        if count <= self.channels.get(channel).copied().unwrap_or(self.floor) {
            return Err(Withheld::Old);
        }
        if !self.channels.contains_key(channel) && self.channels.len() >= LATEST_CHANNELS {
            let oldest = self.channels.iter().min_by_key(|(_, count)| **count).map(|(name, _)| name.clone());
            let oldest = oldest.expect("it is full, so not empty");
            self.floor = self.floor.max(self.channels.remove(&oldest).unwrap_or_default());
        }
        self.channels.insert(channel.to_owned(), count);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
