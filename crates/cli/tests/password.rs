//! `roomful password` as somebody at a terminal, and a script, see it.

#![allow(clippy::unwrap_used, reason = "what fails fails the test")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use server::password::Hash;

/// The exit code, what was printed, and what was complained of.
fn run(input: &[u8]) -> (Option<i32>, String, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_roomful"))
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let Output { status, stdout, stderr } = process.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_prints_the_hash_and_nothing_else() {
    let (code, hash, complaint) = run(b"open sesame\n");
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert_eq!(hash.lines().count(), 1);
    let hash = Hash::new(hash.trim_end()).unwrap();
    assert!(hash.is_of("open sesame") && !hash.is_of("open sesame\n"));
}

#[test]
fn no_password_has_no_hash() {
    for input in [&b""[..], b"\n", &[b'x'; 2_000]] {
        let (code, hash, complaint) = run(input);
        assert_eq!((code, hash.as_str()), (Some(2), ""));
        assert_eq!(complaint, "error: a password has 1 to 1024 bytes\n");
    }
}
