//! The runs of which traces are recorded.

use ::room::time::Micros;

use super::{
    Line,
    room::{Odds, Room, Weather},
};

/// All of them, by name; with so much added to their seeds.
pub(in super::super) fn all(seed: u64) -> Vec<(&'static str, Vec<Line>)> {
    let run = |weather: Weather| {
        let weather = Weather { seed: weather.seed + seed, ..weather };
        (weather.name, Room::new(weather).run())
    };
    [tree(), mesh(), flood(), routes(), strange()].map(run).into()
}

const CALM: Odds = Odds {
    say: 20,
    say_long: 2,
    tell: 4,
    link: 4,
    unlink: 2,
    suspect: 2,
    plan: 0,
    crash: 1,
    enter: 1,
    expect: 0,
    garble: 0,
};

const FAIR: Weather = Weather {
    name: "",
    seed: 1,
    members: 7,
    relayed: true,
    events: 110,
    every: Micros::from_millis(60),
    odds: CALM,
    long: 40_000,
    rate: 10_000_000,
    sluggish: false,
};

/// Streams along trees whose links come and go, and members that do.
fn tree() -> Weather {
    Weather { name: "courier-tree", odds: Odds { plan: 1, ..CALM }, ..FAIR }
}

/// A mesh that loses links, and is relayed for a while.
fn mesh() -> Weather {
    let odds = Odds { link: 6, unlink: 6, plan: 1, expect: 3, ..CALM };
    Weather { name: "courier-mesh", seed: 2, relayed: false, members: 5, odds, events: 110, ..FAIR }
}

/// Long messages over slow links to one who takes his time: credit, full logs, laggards, gaps.
fn flood() -> Weather {
    let odds = Odds { say: 2, say_long: 20, tell: 4, link: 1, unlink: 1, suspect: 1, crash: 0, enter: 0, ..CALM };
    let rate = 2_000_000;
    Weather {
        name: "courier-flood",
        seed: 3,
        members: 4,
        odds,
        long: 700_000,
        rate,
        sluggish: true,
        events: 20,
        ..FAIR
    }
}

/// What is said to one member only, over others that come and go.
fn routes() -> Weather {
    let odds = Odds { say: 4, tell: 30, link: 3, unlink: 3, ..CALM };
    Weather { name: "courier-routes", seed: 4, members: 8, events: 130, odds, ..FAIR }
}

/// Members that break the rules.
fn strange() -> Weather {
    let odds = Odds { say: 10, garble: 12, link: 12, expect: 1, plan: 1, ..CALM };
    Weather { name: "courier-strange", seed: 5, members: 6, events: 120, odds, ..FAIR }
}
