//! What an operator can set for deepstream's clients: the section `[deepstream]`.

mod plan;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use deepstream::{limits as bounds, permission::Right};
use room::id::RoomName;
use serde::Deserialize;
use url::Url;

use crate::{config::Secret, limits};

pub use plan::SettingsError;

/// How deepstream's clients are served.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deepstream {
    /// Whether they are. If it does not say: where anyone may log in, or somebody can.
    pub enabled: Option<bool>,
    /// The file that records are kept in. Without it they go with the server.
    pub store: Option<PathBuf>,
    /// Time between heartbeats.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// Time between connecting and a successful login.
    #[serde(with = "humantime_serde")]
    pub login_timeout: Duration,
    /// Logins that may fail, a connection.
    pub login_attempts: u32,
    /// Patterns of the lists whose entries go with the connections that added them. If it does not say: none, and for
    /// trying things [`EPHEMERAL_IN_DEV`].
    pub ephemeral: Option<Vec<String>>,
    /// Whether somebody with a token of this server may log in, as the token's `sub`. Which room it is for does not
    /// matter.
    pub tokens: bool,
    /// Who may log in with a password, by name.
    pub users: BTreeMap<String, User>,
    /// Where to ask who may log in.
    pub webhook: Option<Webhook>,
    /// Who may do what. The first rule that speaks of a case decides it.
    pub permission: Vec<Permission>,
    /// What holds where no rule speaks. Must be said where there are rules; without any, everything is allowed.
    pub otherwise: Option<Otherwise>,
    /// Rooms whose channels are events, too.
    pub bridge: Vec<Bridge>,
    /// How much of everything.
    pub limits: Limits,
}

/// The ephemeral lists of a server for trying things.
pub const EPHEMERAL_IN_DEV: [&str; 2] = ["users", "rooms/*"];

impl Default for Deepstream {
    fn default() -> Self {
        Deepstream {
            enabled: None,
            store: None,
            heartbeat: bounds::HEARTBEAT.into(),
            login_timeout: bounds::LOGIN_TIMEOUT.into(),
            login_attempts: bounds::LOGIN_ATTEMPTS,
            ephemeral: None,
            tokens: false,
            users: BTreeMap::new(),
            webhook: None,
            permission: Vec::new(),
            otherwise: None,
            bridge: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Somebody who may log in with a password.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The password's argon2id hash, as `roomful password` prints it.
    pub password: Secret,
    /// The role that permissions know.
    pub role: Option<String>,
    /// What the client is given when it has logged in.
    pub client_data: Option<serde_json::Value>,
}

/// Where to ask who may log in: deepstream's `http` authentication.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where what a client says about itself is posted to.
    pub url: WebhookUrl,
    /// How long the answer may take.
    #[serde(with = "humantime_serde", default = "Webhook::usual_timeout")]
    pub timeout: Duration,
    /// Headers to send with it, for it to know this server by.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
}

impl Webhook {
    fn usual_timeout() -> Duration {
        limits::WEBHOOK_TIMEOUT
    }
}

/// An address of the web without a user or a fragment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// The address itself.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = WebhookUrlError;

    fn try_from(text: String) -> Result<Self, WebhookUrlError> {
        let url = Url::parse(&text).map_err(|_| WebhookUrlError)?;
        let fits = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if fits { Ok(WebhookUrl(url)) } else { Err(WebhookUrlError) }
    }
}

/// A text that is no address of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's address is written as https://example.org/login; what it knows this server by goes into headers")]
pub struct WebhookUrlError;

/// A rule: what it says holds for the names, rights and roles that it names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// For which names: `*` stands for anything but `/`, `**` for anything, `$user` for the client's own name.
    pub names: String,
    /// For which rights. If it does not say: for all.
    pub rights: Option<Vec<Rights>>,
    /// For clients in which roles. If it does not say: for all.
    pub roles: Option<Vec<String>>,
    /// Whether it allows or denies.
    #[serde(default = "Permission::usually_allows")]
    pub allow: bool,
}

impl Permission {
    fn usually_allows() -> bool {
        true
    }
}

/// What holds where no rule speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// What no rule denies is allowed.
    Allow,
    /// What no rule allows is denied.
    Deny,
}

/// Rights that a rule can name: one, or all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "what they say is what the engine's rights say, which has the words")]
pub enum Rights {
    #[serde(rename = "event")]
    Event,
    #[serde(rename = "event.publish")]
    EventPublish,
    #[serde(rename = "event.subscribe")]
    EventSubscribe,
    #[serde(rename = "event.listen")]
    EventListen,
    #[serde(rename = "record")]
    Record,
    #[serde(rename = "record.create")]
    RecordCreate,
    #[serde(rename = "record.read")]
    RecordRead,
    #[serde(rename = "record.write")]
    RecordWrite,
    #[serde(rename = "record.delete")]
    RecordDelete,
    #[serde(rename = "record.listen")]
    RecordListen,
    #[serde(rename = "rpc")]
    Rpc,
    #[serde(rename = "rpc.provide")]
    RpcProvide,
    #[serde(rename = "rpc.request")]
    RpcRequest,
    #[serde(rename = "presence")]
    Presence,
}

impl Rights {
    fn each(self) -> &'static [Right] {
        use Right::{
            EventListen, EventPublish, EventSubscribe, Presence, RecordCreate, RecordDelete, RecordListen, RecordRead,
            RecordWrite, RpcProvide, RpcRequest,
        };
        match self {
            Rights::Event => &[EventPublish, EventSubscribe, EventListen],
            Rights::EventPublish => &[EventPublish],
            Rights::EventSubscribe => &[EventSubscribe],
            Rights::EventListen => &[EventListen],
            Rights::Record => &[RecordCreate, RecordRead, RecordWrite, RecordDelete, RecordListen],
            Rights::RecordCreate => &[RecordCreate],
            Rights::RecordRead => &[RecordRead],
            Rights::RecordWrite => &[RecordWrite],
            Rights::RecordDelete => &[RecordDelete],
            Rights::RecordListen => &[RecordListen],
            Rights::Rpc => &[RpcProvide, RpcRequest],
            Rights::RpcProvide => &[RpcProvide],
            Rights::RpcRequest => &[RpcRequest],
            Rights::Presence => &[Presence],
        }
    }
}

/// A room whose channels are events, too: `roomful/<room>/<channel>`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Which room.
    pub room: RoomName,
    /// Which of its channels.
    pub channels: Vec<String>,
}

/// How much of everything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Records.
    pub records: usize,
    /// Bytes in all records together.
    pub records_bytes: usize,
    /// Bytes in one record.
    pub record_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            subscriptions: bounds::SUBSCRIPTIONS,
            records: bounds::RECORDS,
            records_bytes: bounds::RECORDS_BYTES,
            record_bytes: bounds::RECORD_MAX,
        }
    }
}
