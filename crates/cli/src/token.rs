//! `roomful token`

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use room::{
    id::RoomName,
    limits::{IDENTITY_MAX, NAME_MAX},
};
use server::{
    Config,
    config::Secret,
    token::{Claims, Video},
};

use crate::{failure::Failure, join::Topology};

/// Make a token that lets somebody into a room.
///
/// It is signed with a key of the configuration, or with the one given. LiveKit's server SDKs make the same tokens, for
/// applications to do it themselves. Prints the token and nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful token --config roomful.toml --room standup --name Ada
  roomful token --config roomful.toml --room standup --name Guest --grant subscribe --ttl 30m
  roomful token --config roomful.toml --room standup --name Ada --role admin
  roomful token --config roomful.toml --room lecture --name Ada --grant data,admin --topology tree
  ROOMFUL_KEY=site ROOMFUL_SECRET=… roomful token --room standup --name Ada --identity ada@example.org")]
pub struct Token {
    /// The room that it is for
    #[arg(long)]
    room: RoomName,
    /// The member's display name
    #[arg(long)]
    name: String,
    /// Who the member is to the application [default: the name]
    #[arg(long)]
    identity: Option<String>,
    /// What the member may do
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Grant::Publish, Grant::Data, Grant::Subscribe])]
    grant: Vec<Grant>,
    /// How the room is to be linked from when the member enters [default: the token does not say]
    #[arg(long, value_enum, value_name = "TOPOLOGY")]
    topology: Option<Topology>,
    /// The role of deepstream's clients that log in with it, for [[deepstream.permission]]
    #[arg(long)]
    role: Option<String>,
    /// How long it may be used
    #[arg(long, value_parser = humantime::parse_duration, default_value = "6h")]
    ttl: Duration,
    /// The configuration that the key is in
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The name of the key [default: the only one of the configuration]
    #[arg(long, env = "ROOMFUL_KEY")]
    key: Option<String>,
    /// The key's secret, where it is not in a configuration; better given by its variable
    #[arg(long, env = "ROOMFUL_SECRET", hide_env_values = true, conflicts_with = "config")]
    secret: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Grant {
    /// Publish media
    Publish,
    /// Send data, write the room's state and the member's own attributes
    Data,
    /// Receive media
    Subscribe,
    /// Pin the room's topology and remove members
    Admin,
    /// Be a relay (`roomful relay`)
    Relay,
}

impl Token {
    pub fn run(self) -> Result<(), Failure> {
        let identity = self.identity.as_ref().unwrap_or(&self.name);
        if identity.is_empty() || identity.len() > IDENTITY_MAX {
            return Err(
                Failure::usage(format!("an identity has 1 to {IDENTITY_MAX} bytes")).hint("give one with --identity")
            );
        }
        if self.name.chars().count() > NAME_MAX {
            return Err(Failure::usage(format!("a name has at most {NAME_MAX} characters")));
        }
        let may = |grant| self.grant.contains(&grant);
        let claims = Claims::to_join(&self.room, identity, self.ttl);
        let claims = Claims {
            name: Some(self.name.clone()),
            video: Video {
                can_publish: Some(may(Grant::Publish)),
                can_publish_data: Some(may(Grant::Data)),
                can_subscribe: Some(may(Grant::Subscribe)),
                room_admin: may(Grant::Admin).then_some(true),
                can_relay: may(Grant::Relay).then_some(true),
                topology: self.topology.map(|topology| topology.name().to_owned()),
                ..claims.video
            },
            attributes: self.role.as_ref().map(|role| BTreeMap::from([("role".to_owned(), role.clone().into())])),
            ..claims
        };
        let (key, secret) = self.key()?;
        let token = claims.sign(&key, &secret).map_err(|error| {
            Failure::usage(error).hint("make a longer one, for instance with `openssl rand -hex 32`")
        })?;
        writeln!(io::stdout(), "{token}")
            .map_err(|error| Failure::failed(format!("the token cannot be written: {error}")))
    }

    /// The key to sign with.
    fn key(&self) -> Result<(String, Secret), Failure> {
        let nothing = || {
            Failure::usage("there is no key to sign with")
                .hint("give the server's --config, or ROOMFUL_KEY and ROOMFUL_SECRET")
        };
        let Some(path) = &self.config else {
            let key = self.key.clone().ok_or_else(nothing)?;
            return Ok((key, Secret::from(self.secret.clone().ok_or_else(nothing)?)));
        };
        let mut keys = Config::read(path)
            .map_err(|error| Failure::usage(error).hint("roomful.example.toml shows all that a configuration can say"))?
            .keys;
        match &self.key {
            Some(name) => keys.remove_entry(name).ok_or_else(|| {
                Failure::usage(format!("{} has no key \"{name}\"", path.display())).hint("see its section [keys]")
            }),
            None if keys.len() > 1 => {
                let names: Vec<_> = keys.into_keys().collect();
                Err(Failure::usage(format!("{} has several keys", path.display()))
                    .hint(format!("choose one with --key: {}", names.join(", "))))
            }
            None => keys.pop_first().ok_or_else(|| {
                Failure::usage(format!("{} has no keys", path.display())).hint("see [keys] in roomful.example.toml")
            }),
        }
    }
}
