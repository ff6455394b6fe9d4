//! Writes `protocol/traces` again, from what the Rust member and courier do now: what their twins must do then, too.
//!
//! `golden FOLDER SEED` writes traces of other runs of couriers, for whoever looks for a difference:
//! `ROOMFUL_TRACES=FOLDER npm test` in `sdk/` repeats them.

use std::{env, path::Path};

use anyhow::{Context as _, Result, bail};
use sim::trace;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder above this package")?;
    let (traces, folder) = match &words[..] {
        [] => (trace::record_all(), root.join("protocol/traces")),
        [folder, seed] => (trace::record_couriers(seed.parse().context("a seed is a number")?), folder.into()),
        _ => bail!("golden, or golden FOLDER SEED"),
    };
    trace::write(&traces, &folder).with_context(|| folder.display().to_string())
}
