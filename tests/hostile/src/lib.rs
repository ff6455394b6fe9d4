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

use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps for as long as there are bytes: by itself a vector ends after two on average.
fn steps<'a, Step: Arbitrary<'a>>(bytes: &mut Unstructured<'a>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while !bytes.is_empty() && steps.len() < STEPS_MAX {
        steps.push(bytes.arbitrary()?);
    }
    Ok(steps)
}

/// Steps of a story at most.
const STEPS_MAX: usize = 400;
