//! Running other programs from the root of the repository.

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the repository").to_owned()
}

/// A program to run, shown before it runs.
pub struct Command {
    inner: process::Command,
    shown: String,
}

impl Command {
    pub fn new(program: &str) -> Command {
        let mut inner = process::Command::new(program);
        inner.current_dir(root());
        Command { inner, shown: program.to_owned() }
    }

    /// `cargo` with arguments that have no spaces in them.
    pub fn cargo(words: &str) -> Command {
        Command::new("cargo").words(words)
    }

    /// Adds arguments that have no spaces in them.
    pub fn words(self, words: &str) -> Command {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.args(&words)
    }

    pub fn args(mut self, args: &[&str]) -> Command {
        for arg in args {
            self.shown.push(' ');
            self.shown.push_str(arg);
        }
        self.inner.args(args);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Command {
        self.inner.current_dir(root().join(dir));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Command {
        self.inner.env(name, value);
        self
    }

    /// Runs it with this program's own input and output.
    pub fn run(mut self) -> Result<(), String> {
        println!("$ {}", self.shown);
        match self.inner.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}` failed: {status}", self.shown)),
            Err(error) => Err(format!("`{}` did not start: {error}", self.shown)),
        }
    }

    /// Runs it quietly; its output where it succeeded.
    pub fn output(mut self) -> Option<String> {
        let output = self.inner.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Whether a program of this name is on the path.
pub fn is_installed(program: &str) -> bool {
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).is_file())
}
