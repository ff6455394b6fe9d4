//! `cargo xtask setup`: what the tests need beside a compiler and Node.

use crate::shell::{Command, is_installed, root};

/// Programs, and the Debian packages that bring them.
const SYSTEM: &[(&str, &str)] = &[("chromium", "chromium"), ("ip", "iproute2"), ("nft", "nftables")];
/// Debian packages without a program of their own: what Chromium draws text with.
const FONTS: &[&str] = &["fonts-dejavu-core", "fonts-noto-color-emoji"];
/// Cargo's subcommands: name and the oldest version that will do, which is the one to install. Built without
/// optimisation: they are built once and mostly wait for others.
const SUBCOMMANDS: &[(&str, &str)] = &[("cargo-nextest", "0.9.143"), ("cargo-deny", "0.20.2")];
/// Folders with npm packages. Those below `bench` are installed by who measures.
pub const NPM: &[&str] =
    &["sdk", "tests/browser", "tests/deepstream", "examples/deepstream-mesh", "crates/server/tests/livekit"];
/// The oldest Node that the tests run on.
const NODE_MAJOR: u32 = 20;

pub fn run() -> Result<(), String> {
    rust_components()?;
    system_packages()?;
    node()?;
    NPM.iter().try_for_each(|folder| npm(folder))?;
    SUBCOMMANDS.iter().try_for_each(|(name, version)| subcommand(name, version))?;
    println!("setup: all there; `cargo xtask test` runs the tests");
    Ok(())
}

fn rust_components() -> Result<(), String> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if Command::cargo(subcommand).args(&["--version"]).output().is_none() {
            Command::new("rustup").args(&["component", "add", component]).run()?;
        }
    }
    Ok(())
}

fn system_packages() -> Result<(), String> {
    let programs = SYSTEM.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package);
    let is_there = |package: &&str| {
        let state = Command::new("dpkg-query").args(&["--show", "--showformat=${db:Status-Status}", package]).output();
        state.as_deref() == Some("installed")
    };
    let fonts = FONTS.iter().copied().filter(|package| !is_there(package));
    let missing: Vec<&str> =
        if is_installed("dpkg-query") { programs.chain(fonts).collect() } else { programs.collect() };
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = missing.join(" ");
    if !is_installed("apt-get") {
        return Err(format!("the tests need these (Debian's names), which you must install yourself: {wanted}"));
    }
    if Command::new("id").args(&["-u"]).output().as_deref().map(str::trim) != Some("0") {
        return Err(format!(
            "the tests need system packages, which takes root:\n  \
             sudo apt-get update && sudo apt-get install --yes --no-install-recommends {wanted}\n\
             then run `cargo xtask setup` again"
        ));
    }
    Command::new("apt-get").words("update --quiet").run()?;
    Command::new("apt-get")
        .words("install --yes --quiet --no-install-recommends")
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

fn node() -> Result<(), String> {
    let version = Command::new("node").args(&["--version"]).output().unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR && is_installed("npm") => Ok(()),
        Some(major) if major >= NODE_MAJOR => Err("the tests need npm beside Node; install it".to_owned()),
        Some(_) => Err(format!("the tests need Node {NODE_MAJOR} or newer; this is {}", version.trim())),
        None => Err(format!("the tests need Node {NODE_MAJOR} or newer, and npm; install them")),
    }
}

/// `npm ci`, unless what is installed is newer than what is wanted.
fn npm(folder: &str) -> Result<(), String> {
    let changed = |file: &str| root().join(folder).join(file).metadata().and_then(|data| data.modified()).ok();
    let wanted = changed("package-lock.json");
    if wanted.is_none() || changed("node_modules/.package-lock.json") >= wanted {
        return Ok(());
    }
    Command::new("npm").words("ci --no-audit --no-fund").dir(folder).run()
}

fn subcommand(name: &str, version: &str) -> Result<(), String> {
    let there = Command::new(name).args(&["--version"]).output().unwrap_or_default();
    if there.split_whitespace().nth(1).is_some_and(|there| numbers(there) >= numbers(version)) {
        return Ok(());
    }
    Command::cargo("install --locked --debug --config profile.dev.debug=0 --version").args(&[version, name]).run()
}

/// A version's numbers, in an order in which they can be compared.
fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("0.9.143") > numbers("0.9.99"));
        assert!(numbers("0.20.2") >= numbers("0.20.2"));
        assert!(numbers("1.0.0-rc.1") > numbers("0.99.9"));
    }
}
