//! `roomful serve` and `roomful token` as somebody at a terminal sees them.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn roomful(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomful"));
    command.args(arguments).env_remove("ROOMFUL_KEY").env_remove("ROOMFUL_SECRET").env_remove("RUST_LOG");
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = roomful(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server that is stopped when the test is over, however it ends.
struct Serving {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Serving {
    fn start(arguments: &[&str]) -> Serving {
        let mut process = roomful(&["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address to open");
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Serving { process, output, address }
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// The exit code, and what else was printed.
    fn end(&mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(5), "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prints_one_line_and_ends_well_when_asked() {
    for signal in ["TERM", "INT"] {
        let mut server = Serving::start(&["--dev"]);
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        server.signal("HUP");
        server.signal(signal);
        assert_eq!(server.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn second_signal_does_not_wait() {
    let mut server = Serving::start(&["--dev"]);
    // A WebSocket that answers nothing: it would be waited for.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let ask = "GET /standup HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    server.signal("TERM");
    thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    let start = Instant::now();
    assert_eq!(server.end().0, Some(1));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn refuses_to_start_where_nobody_could_join() {
    let (code, output, error) = run(&["serve"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(
        error.contains("error: there are no keys") && error.contains("hint: ") && error.contains("--dev"),
        "{error}"
    );
}

#[test]
fn tells_a_taken_port_in_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, _, error) = run(&["serve", "--dev", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("cannot be listened at") && error.contains("hint: another program has this port"),
        "{error}"
    );
}

#[test]
fn tells_a_wrong_configuration() {
    let file = File::new("wrong.toml", "listne = '127.0.0.1:1'");
    let (code, _, error) = run(&["serve", "--config", file.path()]);
    assert_eq!(code, Some(2));
    assert!(error.contains("listne") && error.contains("hint: roomful.example.toml"), "{error}");
    let (code, _, error) = run(&["serve", "--config", "nowhere.toml"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("nowhere.toml cannot be read"), "{error}");
}

#[test]
fn every_command_has_an_example() {
    let (_, help, _) = run(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help");
    let mut count = 0;
    for command in commands {
        let (code, help, _) = run(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(help.contains("Example") && help.contains(&format!("roomful {command}")), "{command}: {help}");
        count += 1;
    }
    assert!(count >= 2, "{help}");
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const KEYS: &str = "[keys]\nsite = '0123456789abcdef0123456789abcdef'\n";

/// The claims of a printed token.
fn claims(output: &str) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = output.strip_suffix('\n').expect("one line");
    assert!(!token.contains(char::is_whitespace), "nothing but the token");
    let [_, claims, _] = token.split('.').collect::<Vec<_>>().try_into().expect("a JSON Web Token");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[test]
fn makes_tokens_with_the_keys_of_the_configuration() {
    let file = File::new("keys.toml", KEYS);
    let (code, output, error) = run(&["token", "--config", file.path(), "--room", "standup", "--name", "Ada"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let made = claims(&output);
    assert_eq!((&made["iss"], &made["sub"], &made["name"]), (&"site".into(), &"Ada".into(), &"Ada".into()));
    assert_eq!((&made["video"]["room"], &made["video"]["roomJoin"]), (&"standup".into(), &true.into()));
    assert_eq!((&made["video"]["canPublishData"], made["video"].get("roomAdmin")), (&true.into(), None));

    assert_eq!(made.get("attributes"), None);

    let more = ["--identity", "ada@example.org", "--grant", "subscribe,admin", "--ttl", "30m", "--role", "editor"];
    let (_, output, _) =
        run(&[&["token", "--config", file.path(), "--room", "standup", "--name", "Ada"], &more[..]].concat());
    let made = claims(&output);
    assert_eq!(made["sub"], "ada@example.org");
    assert_eq!((&made["video"]["canPublishData"], &made["video"]["roomAdmin"]), (&false.into(), &true.into()));
    assert_eq!(made["attributes"], serde_json::json!({ "role": "editor" }));
}

#[test]
fn makes_tokens_with_a_key_of_the_environment() {
    let make = |key: &str, secret: &str| {
        let mut command = roomful(&["token", "--room", "standup", "--name", "Ada"]);
        let Output { status, stdout, stderr } =
            command.env("ROOMFUL_KEY", key).env("ROOMFUL_SECRET", secret).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let (code, output, _) = make("site", "0123456789abcdef0123456789abcdef");
    assert_eq!((code, &claims(&output)["iss"]), (Some(0), &"site".into()));
    let (code, output, error) = make("site", "short");
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(error.contains("hint: make a longer one") && !error.contains("short"), "{error}");
}

#[test]
fn says_what_is_missing_for_a_token() {
    let (code, _, error) = run(&["token", "--room", "standup", "--name", "Ada"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("no key") && error.contains("ROOMFUL_SECRET"), "{error}");
    let (code, _, error) = run(&["token", "--room", "sdk", "--name", "Ada"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("reserved"), "{error}");
    let file = File::new("several.toml", &format!("{KEYS}other = '0123456789abcdef0123456789abcdef'\n"));
    let (code, _, error) = run(&["token", "--config", file.path(), "--room", "standup", "--name", "Ada"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("several keys") && error.contains("other, site"), "{error}");
}
