//! `roomful join` as a process: what it reads, writes and exits with.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    iter,
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use server::{Config, Running, Server, config::Tls};
use tokio::runtime::Runtime;

/// How long anything may take on a busy machine before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that lets anyone in, with the runtime that it lives in.
struct House {
    running: Running,
    _runtime: Runtime,
}

impl House {
    fn open() -> House {
        House::with(None)
    }

    fn with(tls: Option<Tls>) -> House {
        let runtime = Runtime::new().expect("threads");
        let config = Config { dev: true, listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls, ..Config::default() };
        let running = runtime.block_on(Server::start(config)).expect("a free port");
        House { running, _runtime: runtime }
    }

    fn room(&self) -> String {
        format!("{}room", self.running.url())
    }

    fn join(&self, name: &str, options: &[&str]) -> Process {
        let room = self.room();
        Process::start(&[&["join", &room, "--name", name], options].concat())
    }
}

/// A process, and the lines that it wrote.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Process {
    fn start(arguments: &[&str]) -> Process {
        Process::start_with(arguments, &[])
    }

    fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomful"));
        command
            .env_remove("ROOMFUL_TOKEN")
            .env_remove("ROOMFUL_ROOM_KEY")
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it was built");
        let (output, errors) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        Process { input: child.stdin.take(), child, lines: lines(output), errors: lines(errors) }
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not at its end");
        writeln!(input, "{line}").expect("it reads");
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line in time")
    }

    /// The next JSON line of this event.
    fn event(&self, name: &str) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.line()).expect("a line of JSON");
            if event["event"] == name {
                return event;
            }
        }
    }

    /// The next message on this channel.
    fn message(&self, channel: &str) -> Value {
        iter::repeat_with(|| self.event("message")).find(|message| message["channel"] == channel).expect("one more")
    }

    /// Ends its input; gives its exit code.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().expect("it was started").code()
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[test]
fn lines_are_messages_and_messages_are_lines() {
    let house = House::open();
    let mut ada = house.join("Ada", &[]);
    assert_eq!(ada.line(), "* in the room as Ada; nobody else is here");
    let mut bob = house.join("Bob", &[]);
    assert_eq!(bob.line(), "* in the room as Bob; here: Ada");
    assert_eq!(ada.line(), "* Bob is here");
    ada.say("hello");
    assert_eq!(bob.line(), "Ada: hello");
    bob.say("bye \u{1b}[2J");
    assert_eq!(bob.end(), Some(0));
    assert_eq!(ada.line(), "Bob: bye \u{fffd}[2J");
    assert_eq!(ada.line(), "* Bob left");
    assert_eq!(ada.end(), Some(0));
}

#[test]
fn people_are_shown_what_is_meant_to_be_read() {
    let house = House::open();
    let ada = house.join("Ada", &[]);
    ada.line();
    let mut bob = house.join("Bob", &["--json", "--json-input"]);
    assert_eq!(ada.line(), "* Bob is here");
    let mut say = |channel: &str, mode: &str, data: Value| {
        bob.say(&json!({ "send": { "channel": channel, "mode": mode, "data": data } }).to_string());
    };
    say("cursor", "latest", json!([1, 2]));
    say("sound", "datagram", json!("beep"));
    say("log", "reliable", json!("built"));
    say("chat", "reliable", json!({ "text": "now this" }));
    assert_eq!(ada.line(), "[log] Bob: built");
    assert_eq!(ada.line(), "Bob: now this");
    // What is not shown has come meanwhile, and Bob's links with it.
    bob.event("link");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(bob.end(), Some(0));
    assert_eq!(ada.line(), "* Bob left");
}

#[test]
fn members_tell_whom_they_are_linked_to_while_it_changes() {
    let house = House::open();
    let ada = house.join("Ada", &["--json"]);
    let ada_id = ada.event("joined")["self"].clone();
    let bob = house.join("Bob", &["--json"]);
    let bob_id = bob.event("joined")["self"].clone();
    let cy = house.join("Cy", &["--json"]);
    let cy_id = cy.event("joined")["self"].clone();

    /// The links that somebody told of last, by state, once they are these.
    fn told(reader: &Process, from: &Value, wanted: &[&Value]) -> Value {
        let is_complete = |message: &Value| {
            let rows = message["data"]["links"].as_array().expect("a list of links");
            message["from"] == *from
                && rows.len() == wanted.len()
                && wanted.iter().all(|id| rows.iter().any(|row| row[0] == **id && row[1] == "open" && row[2] == "host"))
        };
        iter::repeat_with(|| reader.message("links")).find(is_complete).expect("one more")
    }
    assert_eq!(told(&cy, &ada_id, &[&bob_id, &cy_id])["mode"], "latest");
    told(&ada, &bob_id, &[&ada_id, &cy_id]);
    // Who enters later hears it too, though nothing has changed since.
    told(&bob, &cy_id, &[&ada_id, &bob_id]);
    assert_eq!(cy.end(), Some(0));
    told(&ada, &bob_id, &[&ada_id]);
    assert_eq!(bob.end(), Some(0));
    assert_eq!(ada.end(), Some(0));
}

#[test]
fn scripts_read_json() {
    let house = House::open();
    let ada = house.join("Ada", &["--json", "--topology", "mesh"]);
    let joined = ada.event("joined");
    assert_eq!(joined["members"], json!([]));
    assert_eq!((&joined["name"], &joined["topology"]), (&json!("Ada"), &json!("mesh")));

    let mut bob = house.join("Bob", &["--json", "--attribute", "role=bot"]);
    let there = bob.event("joined");
    assert_eq!(there["members"], json!([{ "id": joined["self"], "name": "Ada" }]));
    let entered = ada.event("memberjoin");
    assert_eq!((&entered["member"], &entered["name"]), (&there["self"], &json!("Bob")));
    assert_eq!(entered["attributes"], json!({ "role": "bot" }));
    loop {
        let link = ada.event("link");
        assert_eq!(link["member"], there["self"]);
        if link["state"] == "open" {
            assert_eq!(link["path"], "host");
            break;
        }
    }
    bob.say("hello");
    let message = ada.message("chat");
    assert_eq!(message, json!({ "event": "message", "from": there["self"], "channel": "chat", "data": "hello" }));
    assert_eq!(bob.end(), Some(0));
    let left = ada.event("memberleave");
    assert_eq!((&left["name"], &left["reason"]), (&json!("Bob"), &json!("left")));
    ada.signal("-TERM");
    assert_eq!(ada.event("close")["reason"], "left");
    assert_eq!(ada.end(), Some(0));
}

#[test]
fn scripts_write_json() {
    let house = House::open();
    let ada = house.join("Ada", &["--json"]);
    let to = ada.event("joined")["self"].clone();
    let mut bob = house.join("Bob", &["--json", "--json-input"]);
    let from = bob.event("joined")["self"].clone();
    ada.event("memberjoin");

    let typed = json!({ "$float32": [0.5, 1] });
    bob.say(&json!({ "send": { "channel": "points", "data": { "at": typed }, "to": to } }).to_string());
    let message = ada.message("points");
    assert_eq!(message["data"], json!({ "at": typed }));
    assert_eq!((&message["from"], &message["addressed"]), (&from, &json!(true)));

    bob.say(&json!({ "send": { "channel": "cursor", "mode": "latest", "data": [1, 2] } }).to_string());
    assert_eq!(ada.message("cursor")["mode"], "latest");
    bob.say(&json!({ "state": { "key": "title", "value": { "a": 1 } } }).to_string());
    assert_eq!(ada.event("state"), json!({ "event": "state", "key": "title", "value": { "a": 1 }, "by": from }));
    bob.say(&json!({ "attributes": { "mood": "good" } }).to_string());
    assert_eq!(ada.event("memberupdate")["attributes"], json!({ "mood": "good" }));
    bob.say(&json!({ "call": { "to": to, "method": "add", "data": [1, 2] } }).to_string());
    assert_eq!(bob.event("called")["error"]["code"], "no_handler");
    bob.say(&json!({ "send": { "data": 1, "to": "0000000000000000" } }).to_string());
    assert_eq!(bob.event("notsent")["code"], "unknown_member");
    bob.say(r#"{"leave":{}}"#);
    assert_eq!(bob.event("close")["reason"], "left");
    assert_eq!(bob.child.wait().expect("it was started").code(), Some(0));
}

#[test]
fn in_a_secret_room_only_those_with_the_key_hear_each_other() {
    let house = House::open();
    let made = Process::start(&["key", &house.room()]);
    let address = made.line();
    let (plain, key) = address.split_once("#key=").expect("an address with a key");
    assert_eq!((plain, key.len()), (house.room().as_str(), 43));
    let again = Process::start(&["key", &address]);
    assert!(again.errors.recv_timeout(PATIENCE).is_ok_and(|error| !error.contains(key)));
    assert_eq!((made.end(), again.end()), (Some(0), Some(2)));

    let mut ada = Process::start(&["join", &address, "--name", "Ada"]);
    assert_eq!(ada.line(), "* in the secret room as Ada; nobody else is here");
    let variables = [("ROOMFUL_ROOM_KEY", key)];
    let bot = Process::start_with(&["join", plain, "--name", "bot", "--json"], &variables);
    assert_eq!(bot.event("joined")["secret"], json!(true));
    assert_eq!(ada.line(), "* bot is here");
    ada.say("hello");
    assert_eq!(bot.message("chat")["data"], "hello");

    let mut eve = house.join("Eve", &["--json"]);
    let joined = eve.event("joined");
    assert_eq!(joined.get("secret"), None);
    let hidden = eve.event("unreadable");
    assert_eq!(hidden["reason"], "no_key");
    eve.say("let me in");
    assert_eq!(
        bot.event("unreadable"),
        json!({
            "event": "unreadable",
            "member": joined["self"],
            "reason": "not_sealed",
            "hint": "give them the whole address of the room, which ends in #key=…",
        })
    );
    assert_eq!(ada.line(), "* Eve is here");
    assert!(ada.line().starts_with("! what Eve says is not shown: it is not secret"));

    let cut = Process::start(&["join", &address[..address.len() - 1], "--name", "Cut"]);
    let error = cut.errors.recv_timeout(PATIENCE).expect("an error");
    assert!(error.starts_with("error: the room's key is not whole") && !error.contains(&key[..9]), "{error}");
    assert_eq!(cut.end(), Some(2));
    for process in [ada, bot, eve] {
        assert_eq!(process.end(), Some(0));
    }
}

#[test]
fn a_line_has_the_room_linked_in_another_way() {
    let house = House::open();
    let mut ada = house.join("Ada", &[]);
    assert_eq!(ada.line(), "* in the room as Ada; nobody else is here");
    let mut bot = house.join("bot", &["--json", "--json-input"]);
    bot.event("joined");
    assert_eq!(ada.line(), "* bot is here");

    ada.say("/topology");
    assert_eq!(ada.line(), "* the room is linked as mesh (as it fits)");
    ada.say("/topology tree");
    assert_eq!(ada.line(), "* the room is now linked as tree");
    let change = bot.event("topology");
    assert_eq!((&change["from"], &change["to"]), (&json!("mesh"), &json!("tree")));
    ada.say("/topology ring");
    assert!(ada.line().starts_with("! this server cannot link a room as `ring` (ask for "));
    // What only looks like it is said.
    ada.say("//topology mesh");
    assert_eq!(bot.message("chat")["data"], "/topology mesh");

    bot.say(r#"{"topology":"ring"}"#);
    assert_eq!(bot.event("pinned")["error"]["code"], "topology_unavailable");
    bot.say(r#"{"topology":"mesh"}"#);
    let pinned = bot.event("pinned");
    assert_eq!((&pinned["topology"], pinned.get("error")), (&json!("mesh"), None));
    assert_eq!(ada.line(), "* the room is now linked as mesh");
    assert_eq!((ada.end(), bot.end()), (Some(0), Some(0)));
}

#[test]
fn input_that_asks_for_nothing_known_is_told() {
    let house = House::open();
    let mut ada = house.join("Ada", &["--json-input"]);
    ada.say("hello");
    let first = ada.errors.recv_timeout(PATIENCE).expect("an error");
    assert!(first.starts_with("error: a line of the input asks for nothing known"), "{first}");
    assert_eq!(ada.end(), Some(2));
}

#[test]
fn it_lingers_after_its_input() {
    let house = House::open();
    let ada = house.join("Ada", &["--json"]);
    ada.event("joined");
    let mut bob = house.join("Bob", &["--json", "--linger", "30"]);
    bob.event("joined");
    bob.say("hi");
    drop(bob.input.take());
    assert_eq!(ada.message("chat")["data"], "hi");
    assert!(bob.child.try_wait().is_ok_and(|ended| ended.is_none()));
    bob.signal("-INT");
    assert_eq!(bob.event("close")["reason"], "left");
    assert_eq!(bob.end(), Some(0));
    assert_eq!(ada.event("memberleave")["reason"], "left");
}

#[test]
fn who_cannot_join_is_told_why() {
    let house = House::open();
    let named = house.join(&"x".repeat(65), &[]);
    let (error, hint) = (named.errors.recv_timeout(PATIENCE), named.errors.recv_timeout(PATIENCE));
    assert!(error.is_ok_and(|error| error.starts_with("error: could not join: the server refused")));
    assert!(hint.is_ok_and(|hint| hint.starts_with("hint: ")));
    assert_eq!(named.end(), Some(1));
    let nowhere = Process::start(&["join", "standup"]);
    assert_eq!(nowhere.end(), Some(2));
    let word = Process::start(&["join", "http://127.0.0.1:1/standup", "--topology", "ring"]);
    assert_eq!(word.end(), Some(2));
}

#[test]
fn an_encrypted_room_is_entered_where_its_certificate_is_trusted() {
    let folder = std::env::temp_dir().join(format!("roomful-join-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for certificates");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = Tls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    fs::write(&tls.certificate, made.cert.pem()).expect("a file");
    fs::write(&tls.key, made.signing_key.serialize_pem()).expect("a file");
    let house = House::with(Some(tls.clone()));
    let room = format!("https://localhost:{}/room", house.running.address().port());

    let trusted = tls.certificate.display().to_string();
    let ada = Process::start_with(&["join", &room, "--json"], &[("SSL_CERT_FILE", &trusted)]);
    ada.event("joined");
    assert_eq!(ada.end(), Some(0));
    let doubtful = Process::start(&["join", &room, "--json"]);
    assert_eq!(doubtful.end(), Some(1));
    fs::remove_dir_all(&folder).expect("it was made");
}
