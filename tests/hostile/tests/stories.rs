//! Some hostile input of each kind, drawn at random: the targets themselves work, and the nearest mistakes show at once.

use std::{fs, path::Path};

use arbitrary::{Arbitrary, Unstructured};
use hostile::{deepstream, frames, hub, member, values, wire};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};

/// Stories of each kind.
const STORIES: u64 = 3_000;

/// So many bytes, of small numbers more than of large ones: they meet each other more often.
fn drawn(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes.chunks_mut(2).filter(|pair| pair[0] % 2 == 0).for_each(|pair| pair.iter_mut().for_each(|byte| *byte %= 12));
    bytes
}

fn told<Story: for<'a> Arbitrary<'a>>(run: fn(Story)) {
    for seed in 0..STORIES {
        let bytes = drawn(seed, 4_096);
        let story = Story::arbitrary_take_rest(Unstructured::new(&bytes)).expect("enough bytes for a story");
        run(story);
    }
}

/// What the golden files of these kinds hold, as it is and with a byte that is another.
fn around_golden(kinds: &[&str], of: fn(&serde_json::Value) -> Vec<u8>, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/golden");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder of golden files") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("a text");
        let golden: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if !golden["kind"].as_str().is_some_and(|kind| kinds.contains(&kind)) {
            continue;
        }
        let whole = of(&golden);
        run(&whole);
        for _ in 0..64.min(whole.len()) {
            let mut other = whole.clone();
            let at = rng.next_u32() as usize % other.len();
            other[at] = rng.next_u32() as u8;
            run(&other);
        }
        count += 1;
    }
    assert!(count > 0, "no golden file of {kinds:?}");
}

fn hex(golden: &serde_json::Value) -> Vec<u8> {
    let text = golden["hex"].as_str().expect("hex digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn message(golden: &serde_json::Value) -> Vec<u8> {
    golden["message"].to_string().into_bytes()
}

#[test]
fn hubs_survive() {
    told(hub::run);
}

#[test]
fn members_survive() {
    told(member::run);
}

#[test]
fn deepstream_survives() {
    (0..STORIES).for_each(|seed| deepstream::run(&drawn(seed, 2_048)));
}

#[test]
fn packets_are_read_in_one_form_only() {
    around_golden(&["packet", "bad_packet"], hex, frames::run);
}

#[test]
fn values_are_read_or_refused() {
    around_golden(&["value", "value_decode", "bad_value"], hex, values::run);
}

#[test]
fn messages_are_read_or_refused() {
    let text = |run: fn(&str)| move |bytes: &[u8]| run(&String::from_utf8_lossy(bytes));
    around_golden(&["client"], message, text(wire::client));
    around_golden(&["server"], message, text(wire::server));
}
