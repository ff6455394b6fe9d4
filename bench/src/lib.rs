//! Benchmarks of Roomful beside its peers.

pub mod case;
pub mod crowd;
pub mod deepstream;
pub mod forward;
mod load;
pub mod mesh;
pub mod plan;
pub mod process;
pub mod sign;
pub mod signal;
pub mod switch;
