//! The binary `roomful`: one file a command.

mod bench;
mod failure;
mod join;
mod key;
mod log;
mod password;
mod relay;
mod serve;
mod simulate;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Many-to-many WebRTC rooms: join a room by its address and reach everyone in it.
///
/// Exit codes: 0 done, 1 failed, 2 asked for something that cannot be.
#[derive(Debug, Parser)]
#[command(name = "roomful", version, arg_required_else_help = true, max_term_width = 100)]
struct Roomful {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Bench),
    Join(join::Join),
    Key(key::Key),
    Password(password::Password),
    Relay(relay::Relay),
    Serve(serve::Serve),
    Simulate(simulate::Simulate),
    Token(token::Token),
}

fn main() -> ExitCode {
    let done = match Roomful::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Join(join) => join.run(),
        Command::Key(key) => key.run(),
        Command::Password(password) => password.run(),
        Command::Relay(relay) => relay.run(),
        Command::Serve(serve) => serve.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Token(token) => token.run(),
    };
    done.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Roomful::command().debug_assert();
    }
}
