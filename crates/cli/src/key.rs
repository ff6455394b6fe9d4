//! `roomful key`

use std::io::{self, Write};

use clap::Args;
use roomful::RoomKey;

use crate::failure::Failure;

/// Make the address of a secret room.
///
/// Prints the address with a new key at its end, and nothing else. Whoever has all of it can read and write in the room;
/// the server, which never sees the part behind the #, cannot. Members who come without it hear nothing of what is said.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful key https://example.org/standup
  roomful join \"$(roomful key http://127.0.0.1:7800/standup | tee address.txt)\" --name Ada")]
pub struct Key {
    /// The room's address, as opened in a browser
    address: String,
}

impl Key {
    pub fn run(self) -> Result<(), Failure> {
        if self.address.contains('#') {
            let failure = Failure::usage("the address has something behind a # already");
            return Err(failure.hint("give the address without it, to have a new key made"));
        }
        let key = RoomKey::random().map_err(|error| Failure::failed(format!("there is no randomness: {error}")))?;
        writeln!(io::stdout(), "{}#{}", self.address, key.fragment())
            .map_err(|error| Failure::failed(format!("the address cannot be written: {error}")))
    }
}
