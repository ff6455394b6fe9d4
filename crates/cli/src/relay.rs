//! `roomful relay`

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use roomful::{Event, JoinError, LinkState, Membership, Room};
use tokio::time::{Instant, sleep_until};

use crate::{
    failure::Failure,
    join::{Stop, entered, in_room},
};

/// Lend this machine to a room as a relay.
///
/// Where the room is linked as a star, members have one link each, to a relay, and it passes on what they say; in a tree or
/// a small world it is one of those that pass on. Nobody sees it in the room. It comes back by itself when the server was
/// away. At SIGTERM or Ctrl-C the room is linked without it first, and then it leaves; a second one ends it at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful relay http://127.0.0.1:7800/standup
  roomful relay https://example.org/standup --token \"$(roomful token --config roomful.toml \\
    --room standup --name relay --grant relay)\" --max-links 500

Exit codes: 0 drained and left, 1 could not join or was put out, 2 asked for something that cannot be.")]
pub struct Relay {
    /// The room's address, as opened in a browser
    address: String,
    /// What it is called in the server's log
    #[arg(long, default_value = "relay")]
    name: String,
    /// A token that grants to be a relay, where the server wants one; better given by its variable
    #[arg(long, env = "ROOMFUL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How many links it holds at most
    #[arg(long, value_name = "COUNT", default_value_t = room::limits::RELAY_LINKS,
        value_parser = clap::value_parser!(u16).range(i64::from(room::limits::MEMBER_LINKS_MIN)..))]
    max_links: u16,
}

/// How long news of links waits for more of it.
const NEWS_PAUSE: Duration = Duration::from_millis(500);

impl Relay {
    pub fn run(self) -> Result<(), Failure> {
        in_room(self.stay())
    }

    async fn stay(self) -> Result<(), Failure> {
        let Some((room, mut stop)) = entered(self.enter()).await? else { return Ok(()) };
        say(format_args!("Relaying in {}, which is a {}", self.address, room.topology()));
        relay(room, &mut stop).await
    }

    async fn enter(&self) -> Result<Room, JoinError> {
        let mut joining = roomful::join(&self.address).name(&self.name).relay(self.max_links);
        if let Some(token) = &self.token {
            joining = joining.token(token);
        }
        joining.await
    }
}

/// Tells what happens, until the room is left.
async fn relay(mut room: Room, stop: &mut Stop) -> Result<(), Failure> {
    let membership = room.membership().clone();
    let (mut open, mut due, mut draining) = (BTreeSet::new(), None, false);
    loop {
        tokio::select! {
            event = room.next() => match event {
                None => return Ok(()),
                Some(Event::Closed(closed)) if !draining => {
                    let failure = Failure::failed(format!("out of the room: {}", closed.reason));
                    return Err(if closed.hint.is_empty() { failure } else { failure.hint(closed.hint) });
                }
                Some(Event::Link(link)) => {
                    let changed = match link.state {
                        LinkState::Open => open.insert(link.member),
                        LinkState::Suspect => false,
                        _ => open.remove(&link.member),
                    };
                    if changed {
                        due.get_or_insert(Instant::now() + NEWS_PAUSE);
                    }
                }
                Some(Event::MemberJoin(_) | Event::MemberLeave { .. }) => {
                    due.get_or_insert(Instant::now() + NEWS_PAUSE);
                }
                Some(Event::Topology { from, to }) => say(format_args!("The room is a {to} now, no {from}")),
                Some(Event::Reconnecting { reason }) => say(format_args!("The server is out of reach: {reason}")),
                Some(Event::Reconnected { .. }) => say(format_args!("The server is back")),
                Some(_) => {}
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                say(format_args!("{} members, {} links", membership.members().len(), open.len()));
            }
            () = stop.asked() => {
                // Who asks twice does not want to wait for others.
                if draining {
                    return Ok(());
                }
                draining = true;
                say(format_args!("Draining"));
                drain(&membership);
            }
        }
    }
}

/// Begins to drain; the room's events end when it is done.
fn drain(membership: &Membership) {
    let membership = membership.clone();
    tokio::spawn(async move { membership.drain().await });
}

/// Nobody may be reading.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}
