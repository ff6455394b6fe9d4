//! A deterministic simulator of rooms: network, faults, workload and checkers.
