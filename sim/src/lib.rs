//! A deterministic simulator of rooms: network, faults, workload and checkers.
//!
//! The hub and the members are the real machines of the `room` crate; only their surroundings are made up. A
//! [`Scenario`] determines everything, so that a run that went wrong goes wrong again:
//!
//! ```
//! let scenario = sim::Scenario { members: 4, seconds: 5, ..sim::Scenario::default() };
//! let report = sim::run(&scenario);
//! assert!(report.is_good(), "{report}");
//! assert_eq!(report.delivered, report.deliveries_expected);
//! assert_eq!(report.hash, sim::run(&scenario).hash);
//! ```
//!
//! It says nothing of CPU, of real sockets, or of str0m and browsers: those have tests of their own.

mod check;
mod dice;
mod fingerprint;
mod network;
pub mod overlay;
mod payload;
mod queue;
mod report;
mod run;
mod scenario;
mod schedule;
pub mod trace;
mod world;

pub use report::Report;
pub use run::run;
pub use scenario::{Faults, Mischief, Network, Scenario, Work};
