//! `cargo run --release -p roomful-bench --example signal -- FOLDER`: the signalling benchmark with the programs in
//! that folder.

use std::{env, path::PathBuf, time::Duration};

use bench::signal::{Options, run};

fn main() {
    let folder = PathBuf::from(env::args().nth(1).expect("the folder of the programs"));
    let number = |name: &str, default: usize| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let options = Options {
        roomful: folder.join("roomful"),
        raw: folder.join("roomful-bench-raw-ws"),
        deepstream: env::var_os("DEEPSTREAM").map(Into::into),
        idle: number("IDLE", 5_000),
        rooms: number("ROOMS", 10),
        deliveries: number("DELIVERIES", 36_000) as u64,
        time: Duration::from_secs(number("SECONDS", 5) as u64),
        runs: number("RUNS", 3),
    };
    for case in run(&options).expect("the servers do what they should") {
        println!("{}", serde_json::to_string(&case).expect("figures have a JSON form"));
    }
}
