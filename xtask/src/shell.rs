//! Running other programs from the root of the repository.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
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

    /// Runs a test runner, passing on what it writes; how many tests it says have passed.
    pub fn count(mut self) -> Result<u32, String> {
        println!("$ {}", self.shown);
        let failed = |error| format!("`{}` did not start: {error}", self.shown);
        let mut child = self.inner.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let err = thread::spawn(move || err.map_or(0, |err| pass_on(err, std::io::stderr())));
        let passed = out.map_or(0, |out| pass_on(out, std::io::stdout())) + err.join().unwrap_or(0);
        match child.wait() {
            Ok(status) if status.success() => Ok(passed),
            Ok(status) => Err(format!("`{}` failed: {status}", self.shown)),
            Err(error) => Err(format!("`{}` was lost: {error}", self.shown)),
        }
    }

    /// Runs it quietly; its output where it succeeded.
    pub fn output(mut self) -> Option<String> {
        let output = self.inner.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Copies lines, and sums up the tests that they say have passed.
fn pass_on(from: impl Read, mut to: impl Write) -> u32 {
    let lines = BufReader::new(from).split(b'\n').map_while(Result::ok);
    lines
        .map(|line| {
            // Nobody may be reading.
            let _ = to.write_all(&line).and_then(|()| to.write_all(b"\n"));
            passed(&String::from_utf8_lossy(&line))
        })
        .sum()
}

/// The number in a runner's closing line: of cargo-nextest, libtest or Node.
fn passed(line: &str) -> u32 {
    let number = |text: &str| text.split_whitespace().next_back().and_then(|word| word.parse().ok()).unwrap_or(0);
    let line = line.trim();
    if let Some(count) = line.strip_prefix("# pass ").or_else(|| line.strip_prefix("ℹ pass ")) {
        number(count)
    } else if line.starts_with("Summary [") || line.starts_with("test result: ok.") {
        line.split_once(" passed").map_or(0, |(before, _)| number(before))
    } else {
        0
    }
}

/// Whether a program of this name is on the path.
pub fn is_installed(program: &str) -> bool {
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn runners_say_how_many_tests_passed() {
        assert_eq!(passed("     Summary [  59.412s] 312 tests run: 312 passed (1 slow), 0 skipped"), 312);
        assert_eq!(passed("test result: ok. 7 passed; 0 failed; 0 ignored"), 7);
        assert_eq!((passed("# pass 34"), passed("ℹ pass 5")), (34, 5));
        assert_eq!((passed("# fail 3"), passed("ok 12 - it passed")), (0, 0));
    }
}
