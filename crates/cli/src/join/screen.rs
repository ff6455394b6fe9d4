//! What is shown of a room: to people, or to scripts.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
};

use roomful::{Event, GoneReason, LinkState, MemberId, Message, Mode, Payload, Room};
use serde_json::{Map, Value, json};

use super::input::Answer;

/// Where events are shown.
pub trait Screen {
    /// The room was entered.
    fn joined(&mut self, room: &Room) -> io::Result<()>;
    /// Something happened in it.
    fn event(&mut self, event: &Event) -> io::Result<()>;
    /// Something that the input asked for is done, or not.
    fn answer(&mut self, answer: &Answer) -> io::Result<()>;
}

/// One JSON object a line.
pub struct Json {}

impl Json {
    fn write(&self, event: &str, fields: Value) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("event".to_owned(), event.into());
        if let Value::Object(fields) = fields {
            // What is not known is left out.
            object.extend(
                fields
                    .into_iter()
                    .filter(|(name, value)| !value.is_null() || matches!(name.as_str(), "data" | "value" | "result")),
            );
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{}", Value::Object(object))?;
        out.flush()
    }
}

impl Screen for Json {
    fn joined(&mut self, room: &Room) -> io::Result<()> {
        let members: Vec<_> =
            room.members().iter().map(|member| json!({ "id": member.id, "name": member.name })).collect();
        let me = room.me();
        let secret = room.is_secret().then_some(true);
        let fields = json!({ "self": me.id, "name": me.name, "members": members, "topology": room.topology(), "pinned": pin_word(room.pinned().as_deref()), "secret": secret });
        self.write("joined", fields)
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Message(Message { from, channel, mode, addressed, data }) => {
                let (data, error) = match data.to_json() {
                    Ok(data) => (data, None),
                    Err(error) => (Value::Null, Some(error.to_string())),
                };
                let mode = match mode {
                    Mode::Reliable => None,
                    Mode::Latest => Some("latest"),
                    Mode::Datagram => Some("datagram"),
                };
                let addressed = addressed.then_some(true);
                self.write(
                    "message",
                    json!({ "from": from, "channel": channel, "mode": mode, "addressed": addressed, "data": data, "error": error }),
                )
            }
            Event::MemberJoin(member) => self.write(
                "memberjoin",
                json!({ "member": member.id, "name": member.name, "attributes": some(&member.attributes) }),
            ),
            Event::MemberLeave { member, reason } => self
                .write("memberleave", json!({ "member": member.id, "name": member.name, "reason": reason.as_str() })),
            Event::MemberUpdate(member) => self.write(
                "memberupdate",
                json!({ "member": member.id, "name": member.name, "attributes": member.attributes }),
            ),
            Event::Link(link) => self.write(
                "link",
                json!({
                    "member": link.member,
                    "state": link.state,
                    "path": link.path,
                    "rtt_ms": link.rtt.map(|rtt| rtt.as_micros() as f64 / 1_000.0),
                    "reason": link.reason,
                }),
            ),
            Event::Gap { member, addressed, from_seq, to_seq } => self.write(
                "gap",
                json!({ "member": member, "from_seq": from_seq, "to_seq": to_seq, "addressed": addressed.then_some(true) }),
            ),
            Event::Unreadable { member, reason } => self.write(
                "unreadable",
                json!({ "member": member, "reason": reason.as_str(), "hint": reason.hint() }),
            ),
            Event::State { key, value, by } => {
                // What others wrote is JSON by its form only: it may hold half a surrogate pair, or a number beyond all.
                let (value, error) = match value.to::<Value>() {
                    Ok(value) => (value, None),
                    Err(error) => (Value::Null, Some(error.to_string())),
                };
                self.write("state", json!({ "key": key, "value": value, "by": by, "error": error }))
            }
            Event::Topology { from, to } => self.write("topology", json!({ "from": from, "to": to })),
            Event::Pin { topology } => self.write("pin", json!({ "topology": pin_word(topology.as_deref()) })),
            Event::Refused { code, message, hint } => {
                self.write("refused", json!({ "code": code, "message": message, "hint": hint }))
            }
            Event::Reconnecting { reason } => self.write("reconnecting", json!({ "reason": reason })),
            Event::Reconnected { resumed } => self.write("reconnected", json!({ "resumed": resumed })),
            Event::Missed { events } => self.write("missed", json!({ "events": events })),
            Event::Closed(closed) => self.write(
                "close",
                json!({ "reason": closed.reason, "code": closed.code, "hint": Some(&closed.hint).filter(|hint| !hint.is_empty()) }),
            ),
            _ => Ok(()),
        }
    }

    fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        match answer {
            Answer::Called { to, method, result: Ok(result) } => {
                self.write("called", json!({ "member": to, "method": method, "result": result }))
            }
            Answer::Called { to, method, result: Err(error) } => {
                let error = json!({ "code": error.code(), "message": error.to_string() });
                self.write("called", json!({ "member": to, "method": method, "error": error }))
            }
            Answer::NotDone { code, message, hint } => {
                self.write("notsent", json!({ "code": code, "message": message, "hint": hint }))
            }
            Answer::Pinned { topology, result } => {
                let error = result.as_ref().err();
                let error = error
                    .map(|error| json!({ "code": error.code(), "message": error.to_string(), "hint": error.hint() }));
                self.write("pinned", json!({ "topology": topology, "error": error }))
            }
            Answer::Linked { topology, pinned } => {
                self.write("linked", json!({ "topology": topology, "pinned": pin_word(pinned.as_deref()) }))
            }
        }
    }
}

fn some(attributes: &BTreeMap<String, String>) -> Option<&BTreeMap<String, String>> {
    Some(attributes).filter(|attributes| !attributes.is_empty())
}

/// Lines for people: who said what, and dimmer what else happens.
pub struct Text {
    channel: String,
    coloured: bool,
    /// Names, also of those who left: what they said may be shown after that.
    names: BTreeMap<MemberId, String>,
}

/// Names remembered.
const NAMES_MAX: usize = 4_096;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";
/// Colours for names, told apart on dark and on light ground.
const COLOURS: [&str; 6] = ["\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[91m"];

impl Text {
    pub fn new(channel: &str) -> Text {
        let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Text { channel: channel.to_owned(), coloured, names: BTreeMap::new() }
    }

    fn style(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("{code}{text}{RESET}") } else { text.to_owned() }
    }

    fn remember(&mut self, id: MemberId, name: &str) {
        if self.names.len() >= NAMES_MAX {
            self.names.pop_first();
        }
        self.names.insert(id, plain(name));
    }

    fn name(&self, id: MemberId) -> String {
        let name = self.names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let colour = COLOURS[(id.to_u64() % COLOURS.len() as u64) as usize];
        if self.coloured { format!("{BOLD}{colour}{name}{RESET}") } else { name }
    }

    fn notice(&self, text: &str) -> io::Result<()> {
        self.line(&self.style(DIM, &format!("* {text}")))
    }

    fn warning(&self, text: &str) -> io::Result<()> {
        self.line(&self.style(RED, &format!("! {text}")))
    }

    fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    fn plain_name(&self, id: MemberId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

impl Screen for Text {
    fn joined(&mut self, room: &Room) -> io::Result<()> {
        let members = room.members();
        for member in &members {
            self.remember(member.id, &member.name);
        }
        let me = room.me();
        self.remember(me.id, &me.name);
        let names: Vec<_> = members.iter().map(|member| plain(&member.name)).collect();
        let others = match names.len() {
            0 => "nobody else is here".to_owned(),
            _ => format!("here: {}", names.join(", ")),
        };
        let secret = if room.is_secret() { "secret " } else { "" };
        self.notice(&format!("in the {secret}room as {}; {others}", plain(&me.name)))
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            // Positions, states and the like, for programs to read: each value is worth nothing once the next has come.
            Event::Message(message) if message.mode != Mode::Reliable => Ok(()),
            Event::Message(message) => {
                let to_me = if message.addressed { self.style(DIM, " (to you)") } else { String::new() };
                let channel = if message.channel == self.channel {
                    String::new()
                } else {
                    self.style(DIM, &format!("[{}] ", plain(&message.channel)))
                };
                self.line(&format!("{channel}{}{to_me}: {}", self.name(message.from), plain(&words(&message.data))))
            }
            Event::MemberJoin(member) => {
                self.remember(member.id, &member.name);
                self.notice(&format!("{} is here", plain(&member.name)))
            }
            Event::MemberLeave { member, reason } => {
                self.notice(&format!("{} {}", plain(&member.name), departure(*reason)))
            }
            Event::MemberUpdate(member) => {
                self.remember(member.id, &member.name);
                Ok(())
            }
            Event::Link(link) => {
                let name = self.plain_name(link.member);
                let why = link.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
                match link.state {
                    LinkState::Failed => self.notice(&format!("no link to {name} yet{why}")),
                    LinkState::Suspect => self.notice(&format!("{name} has fallen silent")),
                    _ => Ok(()),
                }
            }
            Event::Gap { member, .. } => {
                self.warning(&format!("something that {} said did not get here", self.plain_name(*member)))
            }
            Event::Unreadable { member, reason } => {
                let what = match member {
                    Some(member) => format!("what {} says is not shown", self.plain_name(*member)),
                    None => "some of the shared state is not shown".to_owned(),
                };
                self.warning(&format!("{what}: {reason} ({})", reason.hint()))
            }
            Event::State { key, value, by } => {
                let who = by.map(|by| format!(" by {}", self.plain_name(by))).unwrap_or_default();
                if value.is_null() {
                    self.notice(&format!("{} was removed{who}", plain(key)))
                } else {
                    self.notice(&format!("{} is now {}{who}", plain(key), plain(value.as_str())))
                }
            }
            Event::Topology { to, .. } => self.notice(&format!("the room is now linked as {}", plain(to))),
            Event::Refused { message, hint, .. } => self.warning(&plain(&format!("{message} ({hint})"))),
            Event::Reconnecting { reason } => {
                self.notice(&format!("the server is out of reach ({}); links go on", plain(reason)))
            }
            Event::Reconnected { .. } => self.notice("the server is back"),
            Event::Missed { events } => self.warning(&format!("{events} events were missed")),
            Event::Closed(closed) if closed.reason == "left" => self.notice("left"),
            // The command's own last words say why.
            _ => Ok(()),
        }
    }

    fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        match answer {
            Answer::Called { method, result: Ok(result), .. } => {
                self.notice(&plain(&format!("{method} gave {result}")))
            }
            Answer::Called { method, result: Err(error), .. } => {
                self.warning(&plain(&format!("{method} failed: {error}")))
            }
            Answer::NotDone { message, hint, .. } => self.warning(&format!("not sent: {message} ({hint})")),
            // The room's change is told when it happens.
            Answer::Pinned { result: Ok(()), .. } => Ok(()),
            Answer::Pinned { result: Err(error), .. } => self.warning(&plain(&format!("{error} ({})", error.hint()))),
            Answer::Linked { topology, pinned } => {
                let why = if pinned.is_some() { "somebody chose" } else { "as it fits" };
                self.notice(&format!("the room is linked as {} ({why})", plain(topology)))
            }
        }
    }
}

/// What the room is to be, in one word.
fn pin_word(pinned: Option<&str>) -> &str {
    pinned.unwrap_or("auto")
}

/// A message in words: a text itself, `{text: …}` as some applications send it, else JSON.
fn words(data: &Payload) -> String {
    if let Some(text) = data.text() {
        return text.to_owned();
    }
    match data.to_json() {
        Ok(Value::Object(object)) if object.len() == 1 && object.get("text").is_some_and(Value::is_string) => {
            object.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Ok(json) => json.to_string(),
        Err(error) => format!("({error})"),
    }
}

fn departure(reason: GoneReason) -> &'static str {
    match reason {
        GoneReason::Left => "left",
        GoneReason::Crashed => "dropped out",
        GoneReason::Unresponsive => "stopped responding",
        GoneReason::Timeout => "lost the connection",
        GoneReason::Replaced => "came in from elsewhere",
        GoneReason::Removed => "was removed",
        _ => "is gone",
    }
}

/// Text that others chose, without what would steer the terminal. Lines after the first are set in.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\n    "),
            '\t' => shown.push('\t'),
            // Also those that turn the direction of what is around them.
            c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => {
                shown.push('\u{fffd}');
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_does_not_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\u{202e}c\nd"), "a\u{fffd}[2Jb\u{fffd}c\n    d");
    }

    #[test]
    fn state_that_cannot_be_read_is_shown_as_such() {
        for text in [r#""\ud800""#, "1e999", "[[1]]", "null"] {
            let value = roomful::Json::parse(text).expect("JSON by its form");
            let event = Event::State { key: "k".to_owned(), value, by: None };
            Json {}.event(&event).expect("standard output takes it");
            Text::new("chat").event(&event).expect("standard output takes it");
        }
    }

    #[test]
    fn messages_are_shown_in_words() {
        let shown = |json| words(&Payload::from_json(&json).expect("a value"));
        assert_eq!(shown(json!("hi")), "hi");
        assert_eq!(shown(json!({ "text": "hi" })), "hi");
        assert_eq!(shown(json!([1, { "a": null }])), r#"[1,{"a":null}]"#);
    }
}
