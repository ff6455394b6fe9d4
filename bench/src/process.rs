//! A server that is measured: a process of its own, so that nothing of the load is counted as its work.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A server that prints a line with its address when it is ready. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Process {
    /// Starts a program and waits for its address.
    ///
    /// # Errors
    /// Where it cannot be started, or prints no `http://` or `ws://` address.
    pub fn start<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[A]) -> io::Result<Process> {
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.split_whitespace().find_map(address));
        Ok(Process { child, address: address.ok_or_else(|| io::Error::other("it printed no address"))? })
    }

    /// The processor time that all its threads have used.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// The memory that it has for itself, in bytes.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no RssAnon"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Host and port of a URL.
fn address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"))?;
    rest.split('/').next().map(str::to_owned)
}
