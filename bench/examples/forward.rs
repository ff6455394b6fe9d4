//! `cargo run --release -p roomful-bench --example forward -- [MESSAGES [LINKS [BYTES]]]`: what passing messages on costs a
//! member without links and system calls, as one line of JSON.

use std::env;

use bench::forward::{Options, run};

fn main() {
    let arguments: Vec<u64> = env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let number = |place: usize, default: u64| arguments.get(place).copied().unwrap_or(default);
    let options = Options { messages: number(0, 200_000), links: number(1, 6), bytes: number(2, 1_024) as usize };
    let figures = run(&options).expect("the neighbours keep to the protocol");
    println!("{}", serde_json::to_string(&figures).expect("figures have a JSON form"));
}
