//! Benchmarks of Roomful beside its peers.
