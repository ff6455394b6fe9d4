//! Writes `protocol/traces` again, from what the Rust member does now: what its twins must do then, too.

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder above this package")?;
    let folder = root.join("protocol/traces");
    sim::trace::write_all(&folder).with_context(|| folder.display().to_string())
}
