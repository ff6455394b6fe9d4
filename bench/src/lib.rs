//! Benchmarks of Roomful beside its peers.

pub mod case;
pub mod process;
pub mod signal;
