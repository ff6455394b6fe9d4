//! What is typed or piped in: lines of text, or JSON objects.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
    thread,
};

use room::limits::MESSAGE_MAX;
use roomful::{CallError, MemberId, Membership, Mode, Payload, PinError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// Lines read ahead.
const LINES_AHEAD: usize = 64;
/// Answers of calls that wait to be shown.
pub const ANSWERS_MAX: usize = 64;
/// Bytes in a line: a message of the greatest size, and what JSON makes of it.
const LINE_MAX: u64 = 4 * MESSAGE_MAX as u64;

/// Reads standard input and does what it says.
pub struct Input {
    pub membership: Membership,
    pub channel: String,
    pub json: bool,
    pub answers: mpsc::Sender<Answer>,
}

/// Something that was asked for, and what became of it.
pub enum Answer {
    /// A call ended.
    Called { to: MemberId, method: String, result: Result<Value, CallError> },
    /// Something was not done.
    NotDone { code: &'static str, message: String, hint: &'static str },
    /// The server's word on how the room is to be linked.
    Pinned { topology: String, result: Result<(), PinError> },
    /// How the room is linked.
    Linked { topology: String, pinned: Option<String> },
}

/// What a line of JSON asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Send(Send),
    Call(Call),
    State(State),
    Attributes(BTreeMap<String, Option<String>>),
    Topology(String),
    Leave {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    data: Value,
    channel: Option<String>,
    to: Option<MemberId>,
    #[serde(default)]
    mode: Way,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    #[default]
    Reliable,
    Latest,
    Datagram,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    to: MemberId,
    method: String,
    #[serde(default)]
    data: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    key: String,
    value: Value,
}

/// What a line of text asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// An empty line says nothing.
    Nothing,
    Words(&'a str),
    /// `/topology` alone asks, `/topology WORD` pins.
    Topology(Option<&'a str>),
}

impl Line<'_> {
    /// All that begins with a slash but `/topology` is said as it is: paths and diffs are piped in too. A second slash
    /// in front says what would be a command.
    fn of(line: &str) -> Line<'_> {
        const COMMAND: &str = "/topology";
        let words = line.trim_end();
        if line.is_empty() {
            return Line::Nothing;
        }
        if let Some(said) = line.strip_prefix('/').filter(|said| said.starts_with(COMMAND)) {
            return Line::Words(said);
        }
        match words.strip_prefix(COMMAND) {
            Some("") => Line::Topology(None),
            Some(rest) if rest.starts_with(char::is_whitespace) => Line::Topology(Some(rest.trim_start())),
            _ => Line::Words(line),
        }
    }
}

impl Input {
    /// Does what each line says; done at the end of the input, or when a line asks to leave.
    pub async fn read(self) -> Result<(), Failure> {
        let mut lines = lines();
        while let Some(line) = lines.recv().await {
            let line = line.map_err(|error| Failure::failed(format!("the input cannot be read: {error}")))?;
            if !self.json {
                match Line::of(&line) {
                    Line::Nothing => {}
                    Line::Words(words) => {
                        if !self.say(words).await {
                            break;
                        }
                    }
                    Line::Topology(None) => {
                        let (topology, pinned) = (self.membership.topology(), self.membership.pinned());
                        self.answer(Answer::Linked { topology, pinned }).await;
                    }
                    Line::Topology(Some(word)) => self.pin(word.to_owned()).await,
                }
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            let request = serde_json::from_str(&line).map_err(|error| {
                Failure::usage(format!("a line of the input asks for nothing known: {error}"))
                    .hint("see `roomful join --help` for what can be asked")
            })?;
            if let Request::Leave {} = request {
                break;
            }
            self.carry_out(request).await?;
        }
        Ok(())
    }

    /// Says whether there still is a room to say it in.
    async fn say(&self, line: &str) -> bool {
        match self.membership.channel(&self.channel).send(line).await {
            Ok(()) => true,
            Err(error) => {
                self.not_done(error.code(), error.to_string(), error.hint()).await;
                error != roomful::SendError::Closed
            }
        }
    }

    async fn carry_out(&self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Send(Send { data, channel, to, mode }) => {
                let payload = payload(&data)?;
                let mode = match mode {
                    Way::Reliable => Mode::Reliable,
                    Way::Latest => Mode::Latest,
                    Way::Datagram => Mode::Datagram,
                };
                let channel = self.membership.channel(channel.as_ref().unwrap_or(&self.channel)).mode(mode);
                let sent = match to {
                    Some(to) => channel.send_to(to, payload).await,
                    None => channel.send(payload).await,
                };
                if let Err(error) = sent {
                    self.not_done(error.code(), error.to_string(), error.hint()).await;
                }
            }
            Request::Call(Call { to, method, data }) => {
                let argument = payload(&data)?;
                let (membership, answers) = (self.membership.clone(), self.answers.clone());
                // Not awaited here: what comes next need not wait for the answer.
                tokio::spawn(async move {
                    let answer = membership.call(to, method.clone(), &argument).await;
                    let result = answer.and_then(|result| Ok(result.to_json()?));
                    // Nobody wants to know any more.
                    let _ = answers.send(Answer::Called { to, method, result }).await;
                });
            }
            Request::State(State { key, value }) => {
                if let Err(error) = self.membership.state().set(key, &value).await {
                    self.not_done(error.code(), error.to_string(), error.hint()).await;
                }
            }
            Request::Attributes(set) => {
                if let Err(error) = self.membership.set_attributes(set).await {
                    self.not_done(error.code(), error.to_string(), error.hint()).await;
                }
            }
            Request::Topology(topology) => self.pin(topology).await,
            Request::Leave {} => {}
        }
        Ok(())
    }

    /// Has the room linked in another way.
    async fn pin(&self, topology: String) {
        let result = self.membership.pin(topology.as_str()).await;
        self.answer(Answer::Pinned { topology, result }).await;
    }

    async fn answer(&self, answer: Answer) {
        // Nobody wants to know any more.
        let _ = self.answers.send(answer).await;
    }

    async fn not_done(&self, code: &'static str, message: String, hint: &'static str) {
        self.answer(Answer::NotDone { code, message, hint }).await;
    }
}

fn payload(data: &Value) -> Result<Payload, Failure> {
    Payload::from_json(data).map_err(Failure::usage)
}

/// The lines of standard input, read in a thread of its own: a terminal cannot be asked to stop being read.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let line = read_line(&mut input);
            let last = !matches!(line, Ok(Some(_)));
            let Some(line) = line.transpose() else { return };
            if sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    lines
}

/// The next line, without its end. What is not UTF-8 is replaced.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.take(LINE_MAX).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.len() as u64 == LINE_MAX && !bytes.ends_with(b"\n") {
        return Err(io::Error::other(format!("a line of more than {LINE_MAX} bytes")));
    }
    while bytes.ends_with(b"\n") || bytes.ends_with(b"\r") {
        bytes.pop();
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_the_input() {
        let mut input = io::Cursor::new(b"one\r\n\ntwo \xff".to_vec());
        let mut next = || read_line(&mut input).expect("a readable line");
        assert_eq!(next().as_deref(), Some("one"));
        assert_eq!(next().as_deref(), Some(""));
        assert_eq!(next().as_deref(), Some("two \u{fffd}"));
        assert_eq!(next(), None);
    }

    #[test]
    fn lines_are_said_unless_they_name_a_topology() {
        for said in ["hi", "/garden", "/topologytree", "topology tree", "/Topology tree", " /topology", "//", "// x"] {
            assert_eq!(Line::of(said), Line::Words(said));
        }
        assert_eq!(Line::of(""), Line::Nothing);
        assert_eq!(Line::of("/topology"), Line::Topology(None));
        assert_eq!(Line::of("/topology \t"), Line::Topology(None));
        assert_eq!(Line::of("/topology  small-world "), Line::Topology(Some("small-world")));
        assert_eq!(Line::of("//topology tree"), Line::Words("/topology tree"));
    }

    #[test]
    fn requests_are_read_strictly() {
        let request = r#"{"send":{"channel":"cursor","mode":"latest","data":[1,2],"to":"374708fff7719dd5"}}"#;
        assert!(matches!(serde_json::from_str(request), Ok(Request::Send(Send { mode: Way::Latest, .. }))));
        assert!(matches!(serde_json::from_str(r#"{"leave":{}}"#), Ok(Request::Leave {})));
        assert!(
            matches!(serde_json::from_str(r#"{"topology":"tree"}"#), Ok(Request::Topology(word)) if word == "tree")
        );
        for wrong in ["hello", "{}", r#"{"send":{}}"#, r#"{"send":{"data":1,"chanel":"x"}}"#, r#"{"sing":{}}"#] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }
}
