//! A member behind a firewall that no UDP passes, in network namespaces: the server carries its links, and WebRTC takes over
//! when the firewall opens. Needs root; where namespaces cannot be made it says so and checks nothing.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long a link may take to be carried, or to be made directly again: attempts have pauses of up to 23 s then.
const PATIENCE: Duration = Duration::from_secs(90);
const ADDRESS: &str = "http://10.77.6.1:7800/room";

/// The namespaces of a server and two members, on one bridge.
struct Net {
    names: [String; 3],
}

impl Net {
    /// `None` where they cannot be made.
    fn open(tag: &str) -> Option<Net> {
        let id = std::process::id();
        let net = Net { names: ["s", "a", "b"].map(|place| format!("rf{tag}{place}{id}")) };
        let [server, ..] = &net.names;
        for name in &net.names {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", server, "link", "add", "bridge0", "type", "bridge"])?;
        ip(&["-n", server, "link", "set", "bridge0", "up"])?;
        ip(&["-n", server, "addr", "add", "10.77.6.1/24", "dev", "bridge0"])?;
        for (name, place) in net.names[1..].iter().zip(["a", "b"]) {
            let port = format!("port{place}");
            ip(&["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", server])?;
            let address = format!("10.77.6.{}/24", if place == "a" { 2 } else { 3 });
            ip(&["-n", name, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
            ip(&["-n", name, "route", "add", "default", "via", "10.77.6.1"])?;
            ip(&["-n", server, "link", "set", &port, "master", "bridge0", "up"])?;
        }
        Some(net)
    }

    fn start(&self, place: usize, arguments: &[&str]) -> Process {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[place], env!("CARGO_BIN_EXE_roomful")]).args(arguments);
        command.env_remove("ROOMFUL_TOKEN").env_remove("ROOMFUL_ROOM_KEY").env_remove("RUST_LOG");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`ip` is there");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Process { input: child.stdin.take().expect("a pipe"), child, lines, heard: Vec::new() }
    }

    fn join(&self, place: usize, topology: &str) -> Process {
        let name = ["", "Ada", "Bob"][place];
        self.start(place, &["join", ADDRESS, "--name", name, "--topology", topology, "--json", "--json-input"])
    }

    /// No UDP enters or leaves a namespace.
    fn block(&self, place: usize) -> Option<()> {
        let rules = ["table inet wall", "chain inet wall in { type filter hook input priority 0; }"];
        let drops = ["rule inet wall in meta l4proto udp drop", "rule inet wall out meta l4proto udp drop"];
        let out = "chain inet wall out { type filter hook output priority 0; }";
        for rule in [rules[0], rules[1], out, drops[0], drops[1]] {
            run("ip", &["netns", "exec", &self.names[place], "nft", &format!("add {rule}")])?;
        }
        Some(())
    }

    fn unblock(&self, place: usize) {
        run("ip", &["netns", "exec", &self.names[place], "nft", "flush ruleset"]).expect("as before");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Option<()> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).status();
    status.ok().filter(ExitStatus::success).map(drop)
}

struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    heard: Vec<u64>,
}

impl Process {
    fn say(&mut self, number: u64) {
        let line = json!({ "send": { "channel": "count", "data": number } });
        writeln!(self.input, "{line}").expect("it reads");
    }

    /// What comes next, if anything does soon.
    fn next(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                let event: Value = serde_json::from_str(&line).expect("a line of JSON");
                if event["event"] == "message" && event["channel"] == "count" {
                    self.heard.push(event["data"].as_u64().expect("a number"));
                }
                Some(event)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it ended"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both count aloud, until Ada's link goes this way, and a little longer.
fn count_until(path: &str, [ada, bob]: [&mut Process; 2], counts: &mut u64) {
    let (start, mut there) = (Instant::now(), None::<Instant>);
    while there.is_none_or(|since| since.elapsed() < Duration::from_secs(2)) {
        assert!(start.elapsed() < PATIENCE, "no link by way of `{path}`");
        *counts += 1;
        ada.say(*counts);
        bob.say(*counts);
        while let Some(event) = ada.next() {
            if event["event"] == "link" && event["state"] == "open" && event["path"] == path {
                there.get_or_insert_with(Instant::now);
            }
        }
        while bob.next().is_some() {}
    }
}

fn a_blocked_member_takes_part(topology: &str) {
    let tag = &topology[..1];
    let Some(net) = Net::open(tag).filter(|net| net.block(1).is_some()) else {
        return eprintln!("skipped: no network namespaces with firewalls can be made here");
    };
    let server = net.start(0, &["serve", "--dev", "--listen", "10.77.6.1:7800"]);
    thread::sleep(Duration::from_secs(1));
    let (mut ada, mut bob) = (net.join(1, topology), net.join(2, topology));
    for process in [&mut ada, &mut bob] {
        let start = Instant::now();
        while process.next().is_none_or(|event| event["event"] != "joined") {
            assert!(start.elapsed() < PATIENCE, "it is not let in");
        }
    }
    thread::sleep(Duration::from_millis(500));
    let mut counts = 0;
    count_until("socket", [&mut ada, &mut bob], &mut counts);
    net.unblock(1);
    count_until("host", [&mut ada, &mut bob], &mut counts);
    let start = Instant::now();
    while (ada.heard.len(), bob.heard.len()) != (counts as usize, counts as usize) {
        assert!(start.elapsed() < PATIENCE, "{counts} were counted; heard {:?} and {:?}", ada.heard, bob.heard);
        ada.next();
        bob.next();
    }
    let all: Vec<u64> = (1..=counts).collect();
    assert_eq!((&ada.heard, &bob.heard), (&all, &all), "each once, and in order");
    drop(server);
}

#[test]
fn a_member_without_udp_takes_part_in_a_mesh() {
    a_blocked_member_takes_part("mesh");
}

#[test]
fn a_member_without_udp_takes_part_in_a_star() {
    a_blocked_member_takes_part("star");
}
