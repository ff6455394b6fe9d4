//! `cargo run --release -p roomful-bench --example plan -- TOPOLOGY MEMBERS [CHURN [STRIPES]]`: what planning a room
//! costs, and how good the plan is, as one line of JSON.

use std::env;

use bench::plan::{Options, run};
use room::plan::Topology;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number =
        |place: usize, default: u64| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    let topology: Option<Topology> = arguments.first().and_then(|word| word.parse().ok());
    let topology = topology.expect("a topology: mesh, small-world, tree or star");
    let members = number(1, 10_000);
    let (churn, stripes) = (number(2, members), number(3, 1) as usize);
    let figures =
        run(&Options { topology, stripes, members, churn, samples: 16 }).expect("Linux says how much memory is used");
    println!("{}", serde_json::to_string(&figures).expect("figures have a JSON form"));
}
