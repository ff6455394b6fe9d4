//! Hands the files of `protocol/golden`, and what deepstream's clients were heard to say, to the fuzz targets as their
//! first inputs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Longer seeds teach a fuzzer nothing that a shorter one does not.
const SEED_MAX: usize = 2_048;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder above this package")?;
    let seeds = root.join("fuzz/corpus");
    let mut written = 0;
    for entry in fs::read_dir(root.join("protocol/golden"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let golden: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            let (target, bytes) = seed(&golden).with_context(|| path.display().to_string())?;
            if bytes.len() <= SEED_MAX {
                write(&seeds.join(target), &path, &bytes)?;
                written += 1;
            }
        }
    }
    for (wire, name) in [(Wire::Text, "text"), (Wire::Protobuf, "protobuf")] {
        let path = root.join(format!("crates/deepstream/tests/wire/{name}.jsonl"));
        let text = fs::read_to_string(&path)?;
        let said = client_frames(&text, wire).with_context(|| path.display().to_string())?;
        for (at, frames) in said.chunks(FRAMES_EACH).enumerate() {
            write(&seeds.join("deepstream"), Path::new(&format!("{name}-{at}.jsonl")), &script(wire, frames))?;
            written += 1;
        }
    }
    println!("{written} seeds in {}", seeds.display());
    Ok(())
}

/// Frames of a client in one seed.
const FRAMES_EACH: usize = 8;

/// A protocol of deepstream's clients, by the number that the script of the fuzz target gives it.
#[derive(Clone, Copy)]
enum Wire {
    Text = 0,
    Protobuf = 1,
}

/// What a client said after its login, in a recording.
fn client_frames(recording: &str, wire: Wire) -> Result<Vec<Vec<u8>>> {
    let lines = recording.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let said = lines.iter().filter(|line| {
        line["from"] == "client" && line["about"].as_str().is_some_and(|about| !about.starts_with("login"))
    });
    said.map(|line| match wire {
        Wire::Text => Ok(line["frame"].as_str().context("no frame")?.as_bytes().to_vec()),
        Wire::Protobuf => hex(&line["frame"]),
    })
    .collect()
}

/// A script for the target `deepstream`, whose steps are numbered there: a client of each protocol enters, twice the one
/// that speaks; the last of them and the one before it say the same, and time passes.
fn script(wire: Wire, frames: &[Vec<u8>]) -> Vec<u8> {
    const ENTER: u8 = 1;
    const WAIT: u8 = 3;
    const TEXT: u8 = 8;
    const BINARY: u8 = 12;
    let other = 1 - wire as u8;
    let mut script = vec![0, ENTER, other, ENTER, wire as u8, ENTER, wire as u8];
    for conn in [0, 1] {
        for frame in frames.iter().filter(|frame| frame.len() < 255) {
            let step = if let Wire::Text = wire { TEXT } else { BINARY };
            script.extend_from_slice(&[step, conn, frame.len() as u8]);
            script.extend_from_slice(frame);
        }
    }
    script.extend_from_slice(&[WAIT, 0xff, 0xff]);
    script
}

/// The fuzz target that a golden file is for, and what it would be given.
fn seed(golden: &Value) -> Result<(&'static str, Vec<u8>)> {
    let kind = golden["kind"].as_str().context("no kind")?;
    let text = || golden["text"].as_str().map(str::to_owned).context("no text");
    Ok(match kind {
        "client" => ("wire_client", golden["message"].to_string().into_bytes()),
        "server" => ("wire_server", golden["message"].to_string().into_bytes()),
        "bad_client" => ("wire_client", text()?.into_bytes()),
        "bad_server" => ("wire_server", text()?.into_bytes()),
        // The target reads packets: a frame after its length.
        "frame" | "bad_frame" => ("frames", with_length(&hex(&golden["hex"])?)),
        "packet" | "bad_packet" => ("frames", hex(&golden["hex"])?),
        "value" | "value_decode" | "bad_value" | "seal" | "bad_seal" => ("values", hex(&golden["hex"])?),
        other => bail!("a golden file of unknown kind {other}"),
    })
}

fn hex(value: &Value) -> Result<Vec<u8>> {
    let text = value.as_str().context("no hex")?;
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).context("half a byte")?, 16).context("no hex digit");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn with_length(frame: &[u8]) -> Vec<u8> {
    let mut length = frame.len();
    let mut packet = Vec::new();
    while length >= 0x80 {
        packet.push(length as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(frame);
    packet
}

fn write(folder: &Path, golden: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = PathBuf::from(golden.file_stem().context("no name")?);
    fs::write(folder.join(name), bytes)?;
    Ok(())
}
