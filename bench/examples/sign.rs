//! `cargo run --release -p roomful-bench --example sign -- [MESSAGES [BYTES]]`: what signing a message and verifying it costs, in
//! batches of 1, 8 and 32, as lines of JSON.

use std::env;

use bench::sign::{Options, run};

fn main() {
    let arguments: Vec<usize> = env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let number = |place: usize, default: usize| arguments.get(place).copied().unwrap_or(default);
    for batch in [1, 8, 32] {
        let figures = run(&Options { batch, messages: number(0, 64_000), bytes: number(1, 64) });
        println!("{}", serde_json::to_string(&figures).expect("figures have a JSON form"));
    }
}
