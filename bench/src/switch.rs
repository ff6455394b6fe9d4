//! A live room that moves from one topology to another: how long that takes, what it loses, and what it does to deliveries.

use std::{
    io,
    time::{Duration, Instant},
};

use server::{Config, Server};
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    case::Case,
    crowd::{Crowd, now_us},
};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Members, all in this process.
    pub members: usize,
    /// How often each says something.
    pub every: Duration,
    /// How often the room goes the whole way.
    pub runs: usize,
}

/// The way: each step from one topology to another is taken once.
const WAY: [&str; 13] = [
    "mesh",
    "small-world",
    "mesh",
    "tree",
    "small-world",
    "tree",
    "mesh",
    "star",
    "small-world",
    "star",
    "tree",
    "star",
    "mesh",
];
/// How long it is quiet between two moves, to have something to compare with.
const CALM: Duration = Duration::from_secs(3);
/// How often is looked how far a move has got.
const LOOK: Duration = Duration::from_millis(10);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Links of a hundred members of a small world or a tree when the old ones are gone: six each, and those that take the place of a
/// relay's which is let go beside. With the links of a star, which are one each, there are more.
const FEW: usize = 625;

/// A move, in µs since 1970.
#[derive(Clone, Copy)]
struct Move {
    to: &'static str,
    began: u64,
    /// All members knew.
    taken_over: u64,
    /// The old links were gone.
    ended: u64,
}

/// Plays it.
///
/// # Errors
/// Where the room cannot be entered, a move takes too long, or nothing was heard.
pub fn run(options: Options) -> io::Result<Vec<Case>> {
    let mut found = Found::default();
    for _ in 0..options.runs {
        Runtime::new()?.block_on(play(options, &mut found))?;
    }
    let Options { members, every, .. } = options;
    let what = format!("room of {members}, each says something every {} ms", every.as_millis());
    let case = |case: String, unit, values: &[f64]| Case::of(case, unit, ("roomful", values), ("", &[]));
    let mut cases = Vec::new();
    for ((from, to), times) in &found.moves {
        let (taken, ended): (Vec<f64>, Vec<f64>) = times.iter().copied().unzip();
        cases.push(case(format!("{from} to {to}, decided to taken over"), "s", &taken));
        cases.push(case(format!("{from} to {to}, decided to retired"), "s", &ended));
    }
    cases.push(case(format!("{what}: lost, doubled or out of order"), "messages", &found.wrong));
    for (name, values) in [("calm", &found.calm), ("while it moves", &found.moving)] {
        let (p50, p99): (Vec<f64>, Vec<f64>) = values.iter().copied().unzip();
        cases.push(case(format!("{what}: delivery p50, {name}"), "ms", &p50));
        cases.push(case(format!("{what}: delivery p99, {name}"), "ms", &p99));
    }
    Ok(cases)
}

/// A value for each run.
#[derive(Default)]
struct Found {
    /// Seconds from the decision to the takeover and to the end, by step.
    moves: std::collections::BTreeMap<(&'static str, &'static str), Vec<(f64, f64)>>,
    wrong: Vec<f64>,
    /// Median and 99th percentile of deliveries in ms.
    calm: Vec<(f64, f64)>,
    moving: Vec<(f64, f64)>,
}

async fn play(options: Options, found: &mut Found) -> io::Result<()> {
    let config = Config { dev: true, listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let server = Server::start(config).await.map_err(io::Error::other)?;
    let address = format!("{}switch", server.url());
    let mut crowd = Crowd::default();
    let names = (0..options.members).map(|at| format!("member {at}"));
    crowd.enter(&address, names).await.map_err(io::Error::other)?;
    // So many would be no mesh by themselves.
    crowd.pin(WAY[0]).await.map_err(io::Error::other)?;
    until("everybody is linked", || crowd.is_linked_as(WAY[0]) && is_settled(&crowd, WAY[0])).await?;

    crowd.talk(Some(options.every));
    let started = now_us();
    let mut moves: Vec<Move> = Vec::new();
    for step in WAY.windows(2) {
        let &[from, to] = step else { continue };
        sleep(CALM).await;
        let began = now_us();
        crowd.pin(to).await.map_err(io::Error::other)?;
        until(&format!("the room has moved from {from} to {to}"), || crowd.is_linked_as(to)).await?;
        let taken_over = now_us();
        until(&format!("the links of {from} are gone"), || is_settled(&crowd, to)).await?;
        let one = Move { to, began, taken_over, ended: now_us() };
        let seconds = |until: u64| until.saturating_sub(one.began) as f64 / 1e6;
        found.moves.entry((from, one.to)).or_default().push((seconds(one.taken_over), seconds(one.ended)));
        moves.push(one);
    }
    sleep(CALM).await;
    crowd.talk(None);
    until("what was said has arrived", || missing(&crowd) == 0).await.or_else(|error| {
        eprintln!("{error}: {} missing", missing(&crowd));
        Ok::<_, io::Error>(())
    })?;
    let reports = crowd.report();
    let faults = reports.iter().flat_map(|report| &report.book.faults);
    faults.for_each(|fault| eprintln!("{fault}"));
    let faulty: u64 = reports.iter().map(|report| report.book.faulty).sum();
    found.wrong.push((faulty + missing(&crowd)) as f64);

    // A delivery belongs to a move if any part of it does.
    let is_moving = |sent: u64, came: u64| moves.iter().any(|one| sent <= one.ended && came >= one.began);
    let (mut calm, mut moving) = (Vec::new(), Vec::new());
    for (came, took) in reports.into_iter().flat_map(|report| report.book.samples).filter(|(came, _)| *came > started) {
        if is_moving(came - took, came) { moving.push(took) } else { calm.push(took) }
    }
    found.calm.push(quantiles(calm)?);
    found.moving.push(quantiles(moving)?);
    crowd.leave(options.members).await;
    server.shutdown().await;
    Ok(())
}

/// Whether all links of this topology are open and those of others gone. The relay of a star may be one of those that pass on in
/// what follows, until the server lets it go: its links are then no old ones.
fn is_settled(crowd: &Crowd, topology: &str) -> bool {
    let (members, ends) = (crowd.len(), crowd.links().sum::<usize>());
    match topology {
        "mesh" => ends == members * (members - 1),
        "star" => ends == members,
        _ => ends * 100 <= members * FEW,
    }
}

/// Messages that somebody has not got.
fn missing(crowd: &Crowd) -> u64 {
    let reports = crowd.report();
    let said = reports.iter().map(|report| report.book.sent).sum::<u64>() * (reports.len() as u64 - 1);
    let heard = reports.iter().flat_map(|report| report.book.heard.values()).map(|heard| heard.last).sum();
    said.saturating_sub(heard)
}

/// The median and the 99th percentile, in ms.
fn quantiles(mut times_us: Vec<u64>) -> io::Result<(f64, f64)> {
    times_us.sort_unstable();
    let at = |share: f64| times_us.get((times_us.len() as f64 * share) as usize).map(|us| *us as f64 / 1e3);
    at(0.5).zip(at(0.99)).ok_or_else(|| io::Error::other("nothing was heard"))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> io::Result<()> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{what}: not within {} s", PATIENCE.as_secs())));
        }
        sleep(LOOK).await;
    }
    Ok(())
}
