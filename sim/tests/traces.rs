//! The traces of protocol/traces/ are what the member does today, and it does the same again.

use std::{fs, path::PathBuf};

use sim::trace;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces")
}

#[test]
fn traces_are_up_to_date_and_few() {
    let mut bytes = 0;
    for recorded in trace::record_all() {
        let path = folder().join(recorded.name).with_extension("jsonl");
        let committed = fs::read_to_string(&path).unwrap_or_default();
        bytes += committed.len();
        assert!(committed == recorded.text(), "{} is not up to date: run `cargo xtask golden`", path.display());
    }
    assert!(bytes < 1024 * 1024, "{bytes} B of traces");
    let files = fs::read_dir(folder()).expect("the folder is there").count();
    assert_eq!(files, trace::record_all().len(), "a file in protocol/traces that nothing writes");
}

#[test]
fn the_member_repeats_its_traces() {
    for file in fs::read_dir(folder()).expect("the folder is there") {
        let path = file.expect("its entries can be read").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        if let Err(error) = trace::replay(&text) {
            panic!("{}: {error}", path.display());
        }
    }
}

#[test]
fn a_member_that_differs_is_noticed() {
    let text = trace::record_all().swap_remove(0).text();
    trace::replay(&text).expect("as recorded");
    let other = text.replacen("\"due\":", "\"due\":1", 9);
    assert!(matches!(trace::replay(&other), Err(trace::ReplayError::Differs { .. })));
    let swapped: Vec<&str> = text.lines().rev().collect();
    assert!(matches!(trace::replay(&swapped.join("\n")), Err(trace::ReplayError::Order(1))));
    assert!(matches!(trace::replay("nonsense"), Err(trace::ReplayError::Line { line: 1, .. })));
}
