//! `roomful serve` for deepstream's clients: passwords, and records that survive what happens to servers.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tungstenite::{Message, WebSocket};

/// A folder of a test's own, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("roomful-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    /// A configuration in it, whose records are in it, too.
    fn config(&self, text: &str) -> PathBuf {
        let path = self.0.join("roomful.toml");
        let store = self.0.join("records");
        fs::write(&path, format!("[keys]\nsite = '{}'\n[deepstream]\nstore = {store:?}\n{text}", "k".repeat(32)))
            .unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is killed when the test is over, however it ends.
struct Serving {
    process: Child,
    address: String,
}

impl Serving {
    fn start(config: &Path, more: &[&str]) -> Serving {
        let mut process = Command::new(env!("CARGO_BIN_EXE_roomful"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .args(more)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address to open");
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Serving { process, address }
    }

    /// SIGKILL: nothing in that process runs any more.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM, and waits until it has done what it does then.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client of the text protocol. Messages are written with `|` and `+` for its separators.
struct Client {
    socket: WebSocket<TcpStream>,
    heard: VecDeque<String>,
}

impl Client {
    fn connect(server: &Serving, login: &str) -> Client {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let url = format!("ws://{}/deepstream-v3", server.address);
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut client = Client { socket, heard: VecDeque::new() };
        client.hear("C|CH");
        client.say("C|CHR|ws://localhost/deepstream-v3+");
        client.hear("C|A");
        client.say(&format!("A|REQ|{login}+"));
        client
    }

    fn say(&mut self, messages: &str) {
        self.socket.send(Message::text(messages.replace('|', "\u{1f}").replace('+', "\u{1e}"))).unwrap();
    }

    /// The next message but heartbeats. `None` where the connection is at its end.
    fn next(&mut self) -> Option<String> {
        loop {
            match self.heard.pop_front() {
                Some(message) if message == "C|PI" => {}
                Some(message) => return Some(message),
                None => {
                    let Message::Text(text) = self.socket.read().ok()? else { continue };
                    let messages = text.split_terminator('\u{1e}').map(|message| message.replace('\u{1f}', "|"));
                    self.heard.extend(messages);
                }
            }
        }
    }

    fn hear(&mut self, expected: &str) {
        assert_eq!(self.next().as_deref(), Some(expected));
    }

    /// The version of a record; `None` where there is none.
    fn version(&mut self, name: &str) -> Option<u64> {
        self.say(&format!("R|SN|{name}+"));
        let answer = self.next().unwrap();
        let parts: Vec<_> = answer.split('|').collect();
        match parts[..] {
            ["R", "R", of, version, json] if of == name => {
                assert_eq!(json, format!(r#"{{"n":{version}}}"#));
                Some(version.parse().unwrap())
            }
            _ if answer.contains("RECORD_NOT_FOUND") => None,
            _ => panic!("{answer}"),
        }
    }
}

/// Finds every record at the version at which it was acknowledged, or a later one, and goes on from there.
fn check(client: &mut Client, versions: &mut BTreeMap<String, u64>) {
    for (name, acknowledged) in versions {
        let found = client.version(name).unwrap_or(0);
        assert!(found >= *acknowledged, "{name} was acknowledged at {acknowledged} and is at {found}");
        *acknowledged = found;
    }
}

/// Writes to records round after round, and notes which versions are acknowledged, until so many were.
fn write(client: &mut Client, versions: &mut BTreeMap<String, u64>, acknowledgements: usize) {
    for name in versions.keys() {
        client.say(&format!("R|CR|{name}+"));
        client.hear(&format!("R|A|S|{name}"));
        assert!(client.next().unwrap().starts_with(&format!("R|R|{name}|")));
    }
    let mut next = versions.clone();
    let mut heard = 0;
    loop {
        let round = next.iter_mut().map(|(name, version)| {
            *version += 1;
            format!(r#"R|U|{name}|{version}|{{"n":{version}}}|{{"writeSuccess":true}}+"#)
        });
        let round: String = round.collect();
        client.say(&round);
        for _ in 0..next.len() {
            let answer = client.next().unwrap();
            let parts: Vec<_> = answer.split('|').collect();
            let ["R", "WA", name, version, "L"] = parts[..] else { panic!("{answer}") };
            versions.insert(name.to_owned(), version.trim_matches(['[', ']']).parse().unwrap());
            heard += 1;
            if heard == acknowledgements {
                return;
            }
        }
    }
}

#[test]
fn acknowledged_records_survive_kill_9() {
    let folder = Folder::new("kill");
    let config = folder.config("");
    let mut versions: BTreeMap<_, _> = (0..40).map(|number| (format!("record/{number}"), 0)).collect();
    for acknowledgements in [1, 17, 200, 333, 1_000, 0] {
        let server = Serving::start(&config, &["--dev"]);
        let mut client = Client::connect(&server, "{}");
        client.hear("A|A");
        check(&mut client, &mut versions);
        if acknowledgements > 0 {
            write(&mut client, &mut versions, acknowledgements);
        }
        server.kill();
    }
    assert!(versions.values().sum::<u64>() >= 1_000);
}

#[test]
fn what_was_written_last_is_stored_at_the_end() {
    let folder = Folder::new("stop");
    let config = folder.config("");
    let server = Serving::start(&config, &["--dev"]);
    let mut client = Client::connect(&server, "{}");
    client.hear("A|A");
    for number in 0..500 {
        client.say(&format!(r#"R|CU|last/{number}|-1|{{"n":1}}|{{}}+R|CU|users|-1|["a"]|{{}}+"#));
    }
    client.say("R|D|last/0+");
    client.hear("R|A|D|last/0");
    server.stop();
    let server = Serving::start(&config, &["--dev"]);
    let mut client = Client::connect(&server, "{}");
    client.hear("A|A");
    assert_eq!(client.version("last/0"), None);
    assert!((1..500).all(|number| client.version(&format!("last/{number}")) == Some(1)));
    assert_eq!(client.version("users"), None, "an ephemeral list");
}

#[test]
fn users_log_in_with_the_password_that_was_hashed() {
    let mut hashing = Command::new(env!("CARGO_BIN_EXE_roomful"))
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hashing.stdin.take().unwrap().write_all(b"open sesame\n").unwrap();
    let hash = String::from_utf8(hashing.wait_with_output().unwrap().stdout).unwrap();
    let folder = Folder::new("users");
    let rules = "[[deepstream.permission]]\nnames = 'admin/**'\nroles = ['admin']\n";
    let user = format!("password = '{}'\nrole = 'admin'\nclient_data = {{ language = 'en' }}", hash.trim_end());
    let config = folder.config(&format!("otherwise = 'deny'\n{rules}[deepstream.users.ada]\n{user}"));
    let server = Serving::start(&config, &[]);

    let mut stranger = Client::connect(&server, "{}");
    stranger.hear(r#"A|E|INVALID_AUTH_DATA|O{"error":"log in with a username and a password"}"#);
    stranger.say(r#"A|REQ|{"username":"ada","password":"open  sesame"}+"#);
    stranger.hear(r#"A|E|INVALID_AUTH_DATA|O{"error":"there is no user of this name with this password"}"#);
    stranger.say(r#"A|REQ|{"username":"ada","password":"open sesame"}+"#);
    stranger.hear(r#"A|A|O{"language":"en"}"#);
    stranger.say("R|SN|other+R|SN|admin/a+");
    let denied = stranger.next().unwrap();
    assert!(denied.contains("MESSAGE_DENIED") && denied.contains("other"), "{denied}");
    let missing = stranger.next().unwrap();
    assert!(missing.contains("RECORD_NOT_FOUND"), "{missing}");
}

/// What a server that does not start says, and with what exit code.
fn refusal(config: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_roomful"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    let said: Vec<_> =
        complaints.lines().filter(|line| line.starts_with("error:") || line.starts_with("hint:")).collect();
    (output.status.code(), said.join("\n"))
}

#[test]
fn server_says_why_it_does_not_start() {
    let folder = Folder::new("refusal");
    let (code, said) = refusal(&folder.config(""));
    assert_eq!(code, Some(2));
    assert!(said.contains("none of them could log in") && said.contains("hint: add [deepstream.users]"), "{said}");

    let config = folder.config("[deepstream.users.ada]\npassword = 'open sesame'");
    let (code, said) = refusal(&config);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("hint: make a hash of the password with `roomful password`") && !said.contains("sesame"),
        "{said}"
    );

    fs::write(folder.0.join("records"), "x".repeat(10_000)).unwrap();
    let (code, said) = refusal(&folder.config("tokens = true"));
    assert_eq!(code, Some(2));
    assert!(said.contains("is no store of Roomful's"), "{said}");

    fs::remove_file(folder.0.join("records")).unwrap();
    let config = folder.config("tokens = true");
    let _first = Serving::start(&config, &[]);
    let (code, said) = refusal(&config);
    assert_eq!(code, Some(1));
    assert!(said.contains("is in use by another process") && said.contains("hint: stop the other server"), "{said}");
}
