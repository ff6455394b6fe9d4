//! A try.
use sim::{Scenario, Work, Network, Faults};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let topology = args[1].clone();
    let members: usize = args[2].parse().unwrap();
    let churn: f64 = args[3].parse().unwrap();
    let seed: u64 = args[4].parse().unwrap();
    let work = Work { messages_per_s: 0.3, ..Work::default() };
    let scenario = Scenario { seed, members, topology, seconds: 40, churn_per_min: churn, work, network: Network { loss: 0.0, burst_starts: 0.0, ..Network::default() }, faults: Faults { crashes: 0.5, ..Faults::default() }, ..Scenario::default() };
    let report = sim::run(&scenario);
    println!("{report}");
    for v in report.violations.iter().take(20) { println!("V {v}"); }
}
