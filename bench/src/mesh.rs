//! Members linked to each other, all in one process: how soon they are, and what broadcasts cost.
//!
//! Each subject is a program of its own that does the same [`Workload`] and prints an [`Outcome`]: ours is
//! [`play`], the peers' are in `bench/peers/`. They take turns, so that what else the machine does hits all alike.

use std::{
    io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use roomful::{Event, Link, LinkState, Payload, Room};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use server::{Config, Server};
use tokio::{
    runtime::Runtime,
    sync::Barrier,
    task::JoinSet,
    time::{Interval, interval_at, timeout},
};

use crate::case::Case;

/// What every subject does: so many members enter together; when all are linked, each sends so many messages of that
/// size to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Members.
    pub members: usize,
    /// Bytes in a message.
    pub size: usize,
    /// Messages that each member sends.
    pub messages: usize,
    /// Messages that each member sends a second, members taking turns; 0 is as fast as it may.
    pub rate: usize,
}

impl Workload {
    fn name(&self) -> String {
        let Workload { members, size, rate, .. } = self;
        match rate {
            0 => format!("broadcast {size} B among {members}"),
            _ => format!("broadcast {size} B among {members}, {rate} a second each"),
        }
    }
}

/// What a subject says of one workload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// From the first member's entering until all are linked to all, in ms.
    pub open_ms: f64,
    /// Messages that should have arrived.
    pub expected: u64,
    /// Messages that did.
    pub delivered: u64,
    /// Processor time of the whole process for it, in s.
    pub cpu_s: f64,
    /// Time from the first message to the last, in s.
    pub wall_s: f64,
}

/// Somebody to compare with.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// The program and its first arguments; the workload's four numbers follow.
    pub command: Vec<PathBuf>,
}

/// What is measured, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// This project's.
    pub ours: Subject,
    /// The others.
    pub peers: Vec<Subject>,
    /// What they do.
    pub workloads: Vec<Workload>,
    /// How often each does it.
    pub runs: usize,
}

/// How much of what was sent has to arrive for a figure to count.
const DELIVERED: f64 = 0.999;
/// How long a subject may take for one workload.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs all workloads with all subjects in turn.
///
/// # Errors
/// Where ours cannot be started, or loses messages. A peer's run that fails is left out, and said on standard error.
pub fn run(options: &Options) -> io::Result<Vec<Case>> {
    let subjects: Vec<&Subject> = [&options.ours].into_iter().chain(&options.peers).collect();
    let mut opens = vec![Vec::new(); subjects.len()];
    let mut cases = Vec::new();
    for workload in &options.workloads {
        let mut runs = vec![Vec::new(); subjects.len()];
        for _ in 0..options.runs {
            for (at, subject) in subjects.iter().enumerate() {
                match measure(subject, *workload) {
                    Ok(outcome) => {
                        opens[at].push(outcome.open_ms);
                        runs[at].push(outcome);
                    }
                    // A peer that loses messages, or hangs, is compared by its other runs.
                    Err(error) if at > 0 => eprintln!("{}: {error}", workload.name()),
                    Err(error) => return Err(error),
                }
            }
        }
        let figures = |at: usize, figure: fn(&Outcome) -> f64| runs[at].iter().map(figure).collect::<Vec<f64>>();
        let mib = workload.size as f64 / (1024.0 * 1024.0);
        let per_cpu_second = |outcome: &Outcome| outcome.delivered as f64 / outcome.cpu_s;
        let per_second = |outcome: &Outcome| outcome.delivered as f64 / outcome.wall_s;
        type Figure = fn(&Outcome) -> f64;
        let mut units: Vec<(_, Figure, _)> = vec![("messages a CPU-second", per_cpu_second, 1.0)];
        if workload.rate == 0 {
            units.push(("MiB a CPU-second", per_cpu_second, mib));
            units.push(("messages a second", per_second, 1.0));
        }
        for (unit, figure, factor) in units {
            let scaled = |at: usize| figures(at, figure).into_iter().map(|x| x * factor).collect::<Vec<f64>>();
            compare(&mut cases, &workload.name(), unit, &subjects, scaled);
        }
    }
    let members = options.workloads.first().map_or(0, |workload| workload.members);
    compare(&mut cases, &format!("open {members}"), "ms", &subjects, |at| opens[at].clone());
    Ok(cases)
}

/// The first subject beside each of the others, or alone.
fn compare(
    cases: &mut Vec<Case>,
    case: &str,
    unit: &'static str,
    subjects: &[&Subject],
    figures: impl Fn(usize) -> Vec<f64>,
) {
    let ours = figures(0);
    if subjects.len() == 1 {
        cases.push(Case::of(case, unit, (subjects[0].name, &ours), ("", &[])));
    }
    for (at, subject) in subjects.iter().enumerate().skip(1) {
        cases.push(Case::of(case, unit, (subjects[0].name, &ours), (subject.name, &figures(at))));
    }
}

fn measure(subject: &Subject, workload: Workload) -> io::Result<Outcome> {
    let (program, arguments) = subject.command.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let numbers = [workload.members, workload.size, workload.messages, workload.rate].map(|number| number.to_string());
    let output = Command::new(program).args(arguments).args(numbers).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = |why: String| io::Error::other(format!("{}: {why}", subject.name));
    let line = text.lines().last().ok_or_else(|| failed(format!("printed nothing, {}", output.status)))?;
    let outcome: Outcome = serde_json::from_str(line).map_err(|error| failed(format!("printed {line}: {error}")))?;
    if (outcome.delivered as f64) < DELIVERED * outcome.expected as f64 {
        return Err(failed(format!("{} of {} delivered", outcome.delivered, outcome.expected)));
    }
    Ok(outcome)
}

/// Our own part: a server and its members in this process.
///
/// # Errors
/// Where the room cannot be entered, or it takes too long.
pub fn play(workload: Workload) -> io::Result<Outcome> {
    Runtime::new()?.block_on(async { timeout(PATIENCE, meet(workload)).await.map_err(io::Error::other)? })
}

async fn meet(workload: Workload) -> io::Result<Outcome> {
    let config = Config { dev: true, listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let server = Server::start(config).await.map_err(io::Error::other)?;
    let address = format!("{}bench", server.url());

    let started = Instant::now();
    let mut entering = JoinSet::new();
    for n in 0..workload.members {
        let joining = roomful::join(&address).name(format!("member {n}"));
        entering.spawn(async move { linked(joining.await.map_err(io::Error::other)?, workload.members - 1).await });
    }
    let rooms: Vec<Room> = entering.join_all().await.into_iter().collect::<io::Result<_>>()?;
    let open_ms = started.elapsed().as_secs_f64() * 1e3;

    let ready = Arc::new(Barrier::new(workload.members));
    let (cpu, started) = (cpu_seconds(), Instant::now());
    let mut talking = JoinSet::new();
    for (at, room) in rooms.into_iter().enumerate() {
        talking.spawn(talk(at, room, workload, Arc::clone(&ready)));
    }
    let heard = talking.join_all().await;
    let (cpu_s, wall_s) = (cpu_seconds() - cpu, started.elapsed().as_secs_f64());
    let delivered = heard.iter().map(|(_, heard)| heard).sum();
    let expected = (workload.members * (workload.members - 1) * workload.messages) as u64;
    Ok(Outcome { open_ms, expected, delivered, cpu_s, wall_s })
}

/// The room, once it has so many open links.
async fn linked(mut room: Room, others: usize) -> io::Result<Room> {
    let mut open = std::collections::BTreeSet::new();
    while open.len() < others {
        match room.next().await {
            Some(Event::Link(Link { member, state: LinkState::Open, .. })) => drop(open.insert(member)),
            Some(_) => {}
            None => return Err(io::Error::other("the room was closed")),
        }
    }
    Ok(room)
}

/// Sends and hears everything; gives the room back, so that nobody leaves while others still talk.
async fn talk(at: usize, room: Room, workload: Workload, ready: Arc<Barrier>) -> (Room, u64) {
    let channel = room.channel("bench");
    let mut messages = channel.open();
    ready.wait().await;
    let sending = tokio::spawn(async move {
        let bytes = vec![7; workload.size];
        let mut pace = pace(at, workload);
        for _ in 0..workload.messages {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            // Made anew each time, as an application would.
            if channel.send(Payload::from(&bytes[..])).await.is_err() {
                return;
            }
        }
    });
    let expected = (workload.members - 1) * workload.messages;
    let mut heard = 0;
    while heard < expected as u64 {
        match messages.next().await {
            Some(message) if message.data.bytes().is_some_and(|bytes| bytes.len() == workload.size) => heard += 1,
            _ => break,
        }
    }
    // What it sent is what the others hear.
    let _ = sending.await;
    (room, heard)
}

/// When the member of this number sends, where there is a rate.
fn pace(at: usize, workload: Workload) -> Option<Interval> {
    let period = (workload.rate > 0).then(|| Duration::from_secs(1) / workload.rate as u32)?;
    let first = period.mul_f64(at as f64 / workload.members as f64);
    Some(interval_at(tokio::time::Instant::now() + first, period))
}

/// The processor time that this process has used.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
