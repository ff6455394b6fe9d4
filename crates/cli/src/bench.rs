//! `roomful bench`

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use bench::{
    case::Case,
    deepstream,
    mesh::{self, Subject, Workload},
    signal, switch,
};
use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Measure Roomful beside its peers.
///
/// Figures are medians of runs that take turns; measure on a machine that does nothing else, with a release build.
/// bench/RESULTS.md tells what was found, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful bench mesh
  roomful bench mesh --peers bench/peers --runs 5 --json
  roomful bench signal --json
  roomful bench switch --members 40
  roomful bench deepstream")]
pub struct Bench {
    #[command(subcommand)]
    what: What,
    /// Print one JSON object a case
    #[arg(long, global = true)]
    json: bool,
    /// How often each subject runs
    #[arg(long, global = true, default_value_t = 3)]
    runs: usize,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Members linked to each other: how soon they are, and what broadcasts cost
    Mesh(Mesh),
    /// The server's side: memory of idle members, and fan-out through the hub
    Signal(Signal),
    /// A live room that moves from one topology to another: how long, what is lost, how long deliveries take meanwhile
    Switch(Switch),
    /// What deepstream's clients get: events, updates of records, memory, beside deepstream's server
    Deepstream(Deepstream),
    /// One subject's part of `mesh`
    #[command(hide = true)]
    MeshPart { members: usize, size: usize, messages: usize, rate: usize },
}

#[derive(Debug, Args)]
struct Mesh {
    /// Members
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// The folder bench/peers, where the peers are to be measured too; see its README for what has to be built
    #[arg(long, value_name = "FOLDER")]
    peers: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Switch {
    /// Members
    #[arg(long, default_value_t = 40)]
    members: usize,
    /// How often each says something, in milliseconds
    #[arg(long, default_value_t = 500)]
    every_ms: u64,
}

#[derive(Debug, Args)]
struct Signal {
    /// The program roomful-bench-raw-ws [default: beside this one]
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// The folder bench/peers/deepstream, where deepstream's server is to be measured too (`npm ci` there first)
    #[arg(long, value_name = "FOLDER")]
    deepstream: Option<PathBuf>,
    /// Idle members
    #[arg(long, default_value_t = 5_000)]
    idle: usize,
    #[command(flatten)]
    talk: Talk,
}

#[derive(Debug, Args)]
struct Deepstream {
    /// The folder bench/peers/deepstream (`npm ci` there first)
    #[arg(long, value_name = "FOLDER", default_value = "bench/peers/deepstream")]
    peer: PathBuf,
    /// The program roomful-bench-raw-ws [default: beside this one]
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Idle clients
    #[arg(long, default_value_t = 2_000)]
    idle: usize,
    /// Clients with subscriptions
    #[arg(long, default_value_t = 2_000)]
    subscribers: usize,
    /// Subscriptions of each of these
    #[arg(long, default_value_t = 50)]
    subscriptions: usize,
    #[command(flatten)]
    talk: Talk,
}

/// How much is said through a server.
#[derive(Debug, Args)]
struct Talk {
    /// Rooms of ten that talk
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Deliveries a second, of all rooms together
    #[arg(long, default_value_t = 36_000)]
    deliveries: u64,
    /// How long each run lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Sizes of broadcasts, how many each member sends, and how many a second.
const BROADCASTS: [(usize, usize, usize); 3] = [(200, 10_000, 0), (16 * 1024, 500, 0), (200, 600, 60)];

impl Bench {
    pub fn run(self) -> Result<(), Failure> {
        let me = env::current_exe().map_err(|error| Failure::failed(format!("this program is not found: {error}")))?;
        let cases = match self.what {
            What::Mesh(mesh) => mesh.run(me, self.runs),
            What::Signal(signal) => signal.run(me, self.runs),
            What::Switch(Switch { members, every_ms }) => {
                switch::run(switch::Options { members, every: Duration::from_millis(every_ms), runs: self.runs })
            }
            What::Deepstream(deepstream) => deepstream.run(me, self.runs),
            What::MeshPart { members, size, messages, rate } => {
                let outcome = mesh::play(Workload { members, size, messages, rate }).map_err(Failure::failed)?;
                return print(&serde_json::to_string(&outcome).map_err(Failure::failed)?);
            }
        }
        .map_err(|error| Failure::failed(format!("nothing was measured: {error}")))?;
        cases.iter().try_for_each(|case| {
            print(&if self.json { serde_json::to_string(case).map_err(Failure::failed)? } else { words(case) })
        })
    }
}

impl Mesh {
    fn run(self, me: PathBuf, runs: usize) -> io::Result<Vec<Case>> {
        let ours = Subject { name: "roomful", command: vec![me, "bench".into(), "mesh-part".into()] };
        let peers = self.peers.as_deref().map(peers).unwrap_or_default();
        let workloads =
            BROADCASTS.map(|(size, messages, rate)| Workload { members: self.members, size, messages, rate }).to_vec();
        mesh::run(&mesh::Options { ours, peers, workloads, runs })
    }
}

fn peers(folder: &Path) -> Vec<Subject> {
    let matchbox = folder.join("matchbox/target/release/roomful-bench-matchbox");
    let node = folder.join("node-datachannel/mesh.js");
    vec![
        Subject { name: "matchbox_socket", command: vec![matchbox] },
        Subject { name: "node-datachannel", command: vec!["node".into(), node] },
    ]
}

impl Signal {
    fn run(self, roomful: PathBuf, runs: usize) -> io::Result<Vec<Case>> {
        signal::run(&signal::Options {
            raw: self.raw.unwrap_or_else(|| roomful.with_file_name("roomful-bench-raw-ws")),
            roomful,
            deepstream: self.deepstream,
            idle: self.idle,
            rooms: self.talk.rooms,
            deliveries: self.talk.deliveries,
            time: Duration::from_secs(self.talk.seconds),
            runs,
        })
    }
}

impl Deepstream {
    fn run(self, roomful: PathBuf, runs: usize) -> io::Result<Vec<Case>> {
        deepstream::run(&deepstream::Options {
            raw: self.raw.unwrap_or_else(|| roomful.with_file_name("roomful-bench-raw-ws")),
            roomful,
            peer: self.peer,
            idle: self.idle,
            subscribers: self.subscribers,
            subscriptions: self.subscriptions,
            rooms: self.talk.rooms,
            deliveries: self.talk.deliveries,
            time: Duration::from_secs(self.talk.seconds),
            runs,
        })
    }
}

fn words(case: &Case) -> String {
    let [low, high, peer_low, peer_high] = case.spread.map(figure);
    let ours = format!("{} {} ({low} to {high})", case.subject, figure(case.value));
    let peer = match case.peer {
        "" => String::new(),
        peer => format!(", {peer} {} ({peer_low} to {peer_high}): {:.2}", figure(case.peer_value), case.ratio),
    };
    format!("{}, {}: {ours}{peer}", case.case, case.unit)
}

/// Three digits, or all before the point.
fn figure(x: f64) -> String {
    let decimals = match x.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{x:.decimals$}")
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(|error| Failure::failed(format!("nothing can be written: {error}")))
}
