//! Hostile input: what the fuzz targets in `fuzz` do with what they are given, and what must hold whatever that is.
//!
//! They stand here, in the workspace, so that they are built with what they test, and a test lives through some stories
//! drawn at random; looking for those that break something is the fuzzer's.

pub mod deepstream;
pub mod frames;
pub mod hub;
pub mod member;
pub mod values;
pub mod wire;
