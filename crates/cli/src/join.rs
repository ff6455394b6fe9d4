//! `roomful join`

mod input;
mod links;
mod screen;

use std::{
    future::Future,
    io::{self, IsTerminal},
    time::Duration,
};

use clap::{Args, ValueEnum};
use roomful::{Event, JoinError, Room};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::{
    failure::Failure,
    log::{self, Format},
};
use input::Input;
use links::Links;
use screen::{Json, Screen, Text};

/// Take part in a room from the terminal.
///
/// Each line typed, or piped in, is a message on channel "chat", as in the web app; what the others say is shown, with
/// the channel's name where it is another. It leaves at the end of its input, at Ctrl-C and at SIGTERM, after what was
/// said has arrived. Two lines are not messages: `/topology WORD` has the room linked in another way, for all (auto, mesh,
/// small-world, tree, star), where this member may; `/topology` alone shows how it is linked.
///
/// The others are told whom it is linked to, on channel "links", for the web app's drawing of the room.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful join http://127.0.0.1:7800/standup --name Ada
  tail -f build.log | roomful join https://example.org/builds --name builder --channel log
  echo '{\"send\":{\"channel\":\"cursor\",\"mode\":\"latest\",\"data\":[1,2]}}' | \\
    roomful join http://127.0.0.1:7800/standup --json --json-input --linger 5

With --json, one object a line, with \"event\": joined, memberjoin, memberleave, memberupdate, link, message, state,
topology, pin, gap, unreadable, called, pinned, linked, notsent, refused, missed, reconnecting, reconnected, close.

With --json-input, one object a line, with one of:
  {\"send\": {\"data\": …, \"channel\": \"chat\", \"to\": ID, \"mode\": \"reliable|latest|datagram\"}}
  {\"call\": {\"to\": ID, \"method\": …, \"data\": …}}
  {\"state\": {\"key\": …, \"value\": …}}    {\"attributes\": {KEY: VALUE or null, …}}
  {\"topology\": \"auto|mesh|small-world|tree|star\"}    {\"leave\": {}}

Of what JSON lacks, bytes are {\"$bytes\": base64}, typed arrays {\"$float32\": […]} and so on, dates {\"$date\": ms},
big integers {\"$bigint\": \"…\"}; also {\"$number\": \"NaN\"}, {\"$undefined\": true} and {\"$map\": [[key, value], …]}.

Exit codes: 0 left, 1 could not join or was put out, 2 asked for something that cannot be.")]
pub struct Join {
    /// The room's address, as opened in a browser; with #key=… at its end the room is secret
    address: String,
    /// The room's key, where it is not in the address; better given by its variable, which others on this machine do not see
    #[arg(long, value_name = "KEY", env = "ROOMFUL_ROOM_KEY", hide_env_values = true)]
    key: Option<String>,
    /// What the others call this member
    #[arg(long, env = "USER", hide_env = true, default_value = "guest")]
    name: String,
    /// A token, where the server wants one; better given by its variable
    #[arg(long, env = "ROOMFUL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The topology to ask the room for
    #[arg(long, value_enum)]
    topology: Option<Topology>,
    /// The channel that lines go to
    #[arg(long, default_value = "chat")]
    channel: String,
    /// Something that this member says of itself, for all to see; may be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// How long to stay after the end of the input
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    linger: Duration,
    /// Write one JSON object a line, for scripts
    #[arg(long)]
    json: bool,
    /// Read one JSON object a line, for scripts
    #[arg(long)]
    json_input: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Topology {
    /// What fits the members and what they say
    Auto,
    /// Everybody linked to everybody
    Mesh,
    /// Few links each, few hops
    SmallWorld,
    /// Members with spare bandwidth pass on
    Tree,
    /// Everybody linked to a relay
    Star,
}

impl Topology {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Topology::Auto => "auto",
            Topology::Mesh => "mesh",
            Topology::SmallWorld => "small-world",
            Topology::Tree => "tree",
            Topology::Star => "star",
        }
    }
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write it as a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Join {
    pub fn run(self) -> Result<(), Failure> {
        in_room(self.stay())
    }

    async fn stay(self) -> Result<(), Failure> {
        let Some((mut room, mut stop)) = entered(self.enter()).await? else { return Ok(()) };
        let shown = self.show(&mut room, &mut stop).await;
        if shown.is_err() {
            // Where nothing can be shown any more, the room still is to be left. Already out: nothing to be done.
            let _ = room.leave().await;
        }
        shown
    }

    async fn enter(&self) -> Result<Room, JoinError> {
        // The one in the address is meant for this room; the variable may be a leftover of another.
        let address = match &self.key {
            Some(key) if !self.address.contains('#') => format!("{}#key={key}", self.address.trim()),
            _ => self.address.clone(),
        };
        let mut joining = roomful::join(address).name(&self.name).attributes(self.attributes.clone());
        if let Some(token) = &self.token {
            joining = joining.token(token);
        }
        if let Some(topology) = self.topology {
            joining = joining.topology(topology.name());
        }
        let mut joining = joining.into_future();
        if let Ok(joined) = timeout(SAY_WAITING, &mut joining).await {
            return joined;
        }
        if io::stderr().is_terminal() {
            eprintln!("The server does not answer; trying on.");
        }
        joining.await
    }

    /// Shows what happens and does what the input says, until the room is left.
    async fn show(self, room: &mut Room, stop: &mut Stop) -> Result<(), Failure> {
        let mut screen: Box<dyn Screen> =
            if self.json { Box::new(Json {}) } else { Box::new(Text::new(&self.channel)) };
        screen.joined(room).map_err(|error| unwritable(&error))?;
        let (answers, mut answered) = mpsc::channel(input::ANSWERS_MAX);
        let membership = room.membership().clone();
        let input = Input { membership, channel: self.channel, json: self.json_input, answers };
        let mut input = tokio::spawn(async move {
            input.read().await?;
            sleep(self.linger).await;
            Ok(())
        });
        let mut outcome = Ok(());
        let mut leaving = false;
        let mut links = Links::new(Instant::now());
        loop {
            tokio::select! {
                event = room.next() => {
                    let Some(event) = event else { return outcome };
                    links.event(&event, room.membership(), Instant::now());
                    screen.event(&event).map_err(|error| unwritable(&error))?;
                    if let Event::Closed(closed) = event
                        && !leaving
                    {
                        let failure = Failure::failed(format!("out of the room: {}", closed.reason));
                        outcome = Err(if closed.hint.is_empty() { failure } else { failure.hint(closed.hint) });
                    }
                }
                () = links.due(), if !leaving => links.publish(room.membership()).await,
                Some(answer) = answered.recv() => screen.answer(&answer).map_err(|error| unwritable(&error))?,
                done = &mut input, if !leaving => {
                    leaving = true;
                    leave(room);
                    outcome = done.unwrap_or_else(|error| Err(Failure::failed(error)));
                }
                () = stop.asked() => {
                    // Who asks twice does not want to wait for what is on its way.
                    if leaving {
                        return Ok(());
                    }
                    leaving = true;
                    leave(room);
                }
            }
        }
    }
}

/// How long somebody at a terminal is left without a word.
const SAY_WAITING: Duration = Duration::from_secs(2);

/// Begins to leave; the room's events end when it is done.
fn leave(room: &Room) {
    let membership = room.membership().clone();
    tokio::spawn(async move { membership.leave().await });
}

fn not_joined(error: &JoinError) -> Failure {
    let failure = match error {
        JoinError::Address(_) => Failure::usage(error),
        _ => Failure::failed(format!("could not join: {error}")),
    };
    let hint = error.hint();
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::failed(format!("nothing can be written any more: {error}"))
}

/// Does what a member does in a room, until that is over.
pub fn in_room(stay: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    log::start(Format::Text, "warn");
    let runtime = Runtime::new().map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
    let done = runtime.block_on(stay);
    // Not waiting for what a second signal cut short.
    runtime.shutdown_background();
    done
}

/// Enters a room; nothing where that is not wanted any more before it is done. Signals are heard from the beginning: whoever
/// reads what is printed may send one at once.
pub async fn entered(enter: impl Future<Output = Result<Room, JoinError>>) -> Result<Option<(Room, Stop)>, Failure> {
    let mut stop = Stop::listen().map_err(|error| Failure::failed(format!("no signals can be heard: {error}")))?;
    tokio::select! {
        joined = enter => Ok(Some((joined.map_err(|error| not_joined(&error))?, stop))),
        () = stop.asked() => Ok(None),
    }
}

/// Ctrl-C and SIGTERM.
pub struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    pub fn listen() -> io::Result<Stop> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
