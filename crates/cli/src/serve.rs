//! `roomful serve`

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process,
};

use clap::Args;
use server::{Config, Server, limits::SPARE_SOCKETS};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::{error, info, warn};

use crate::{
    failure::Failure,
    log::{self, Format},
};

/// Run a server: rooms, web app and browser SDK on one port.
///
/// Without --dev it wants a configuration with keys, and whoever joins a token signed with one of them. It prints one
/// line with the address to open. SIGTERM or Ctrl-C: tells the members, waits for their sockets to close, and exits
/// with 0; a second one exits at once. SIGHUP: reads the certificates again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful serve --dev
  roomful serve --config roomful.toml --listen 0.0.0.0:7800 --log json
  RUST_LOG=server=debug roomful serve --dev")]
pub struct Serve {
    /// Let anyone join, without a token, and from pages of any server on this machine
    #[arg(long)]
    dev: bool,
    /// Where to listen [default: 127.0.0.1:7800]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The configuration, as roomful.example.toml shows it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines are written, on standard error
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log: Format,
}

impl Serve {
    pub fn run(self) -> Result<(), Failure> {
        let mut config = match &self.config {
            Some(path) => Config::read(path).map_err(|error| {
                Failure::usage(error).hint("roomful.example.toml shows all that a configuration can say")
            })?,
            None => Config::default(),
        };
        config.dev = self.dev;
        config.listen = self.listen.unwrap_or(config.listen);
        log::start(self.log, "info");
        let runtime = Runtime::new().map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
        runtime.block_on(serve(config))
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    // Before the address is printed: whoever reads it may send a signal at once.
    let mut signals =
        Signals::listen().map_err(|error| Failure::failed(format!("signals cannot be listened to: {error}")))?;
    let (dev, connections) = (config.dev, config.limits.connections);
    let running = Server::start(config).await.map_err(|error| {
        let hint = error.hint();
        if error.is_configuration() { Failure::usage(error) } else { Failure::failed(error) }.hint(hint)
    })?;
    allow_sockets(connections);
    if dev {
        warn!("anyone who reaches this server may join any room: --dev is for trying things");
    }
    // Nobody may be reading.
    let _ = writeln!(io::stdout(), "Roomful is ready: open {}", running.url());
    loop {
        match signals.next().await {
            Asked::Stop => break,
            Asked::Reload => match running.reload_certificates() {
                Ok(()) => info!("certificates were read again"),
                Err(error) => error!(%error, "certificates stay as they were"),
            },
        }
    }
    tokio::spawn(async move {
        while signals.next().await != Asked::Stop {}
        process::exit(1);
    });
    running.shutdown().await;
    Ok(())
}

/// Raises the number of files that this process may open: shells often allow 1,024, and each member is one.
fn allow_sockets(connections: usize) {
    let wanted = u64::try_from(connections.saturating_add(SPARE_SOCKETS)).unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(allowed) if allowed >= wanted => {}
        Ok(allowed) => warn!(allowed, wanted, "fewer sockets can be open than the configuration says (ulimit -n)"),
        Err(error) => warn!(%error, "how many sockets can be open is unknown"),
    }
}

#[derive(PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }
}
