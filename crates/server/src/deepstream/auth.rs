//! Who deepstream's clients are.
//!
//! Every way to log in that is configured is asked in turn, and the first that knows a client lets it in:
//!
//! 1. **A token of this server**, as `token` or `jwt` in what the client says about itself. The user is the token's
//!    `sub` and the role its `attributes.role`; it is closed when the token's time is over. Which room it is for (`video`) does not matter: a token says who
//!    somebody is, and names are not in rooms. One that claims to be signed with a key of this server and is not good
//!    is refused without asking any further.
//! 2. **A user of the configuration**, with `username` and `password`.
//! 3. **The webhook**, which is given all that the client says about itself.
//! 4. **Anybody**, on a server for trying things without users and webhook: as `username`, or as nobody whom others
//!    would see.

mod users;
mod webhook;

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, Uri, header};
use deepstream::{Identity, Rejection, name::Name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    config::Config,
    deepstream::settings::SettingsError,
    token::{Claims, Gate},
};
use users::Users;
use webhook::Webhook;

/// Finds out who clients are.
#[derive(Debug)]
pub(crate) struct Auth {
    tokens: Option<Gate>,
    users: Option<Users>,
    webhook: Option<Webhook>,
    /// Whether anybody may log in.
    open: bool,
}

/// What is known of a connection before it says anything, for webhooks. To be dropped once it is logged in.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionData {
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_address: Option<IpAddr>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    /// Path and query of the address that was asked for.
    url: String,
}

impl ConnectionData {
    /// Of the request that the connection began with, whose head bounds it.
    pub(crate) fn new(address: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> ConnectionData {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let joined = |name| {
            let values: Vec<_> = headers.get_all(name).iter().map(|value| text(value.as_bytes())).collect();
            values.join(if name == header::COOKIE { "; " } else { ", " })
        };
        ConnectionData {
            remote_address: address,
            headers: headers.keys().map(|name| (name.as_str().to_owned(), joined(name))).collect(),
            referer: headers.get(header::REFERER).map(|value| text(value.as_bytes())),
            url: uri.path_and_query().map_or_else(String::new, ToString::to_string),
        }
    }
}

impl fmt::Debug for ConnectionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cookies and keys are in it.
        f.write_str("ConnectionData(…)")
    }
}

/// What a client says about itself, as far as this server understands it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: Value,
    password: Value,
    token: Value,
    jwt: Value,
}

impl Login {
    fn token(&self) -> Option<&str> {
        self.token.as_str().or(self.jwt.as_str())
    }

    fn credentials(&self) -> Option<(&str, &str)> {
        Some((self.username.as_str()?, self.password.as_str()?))
    }
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For it to read.
    pub(crate) rejection: Rejection,
    pub(crate) cause: Cause,
}

/// What it comes of that a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Of what it says about itself.
    Client,
    /// The webhook does not do its work.
    Webhook,
    /// The server has too much to do.
    Busy,
}

impl Cause {
    /// Those that are no client's fault, with their names.
    pub(crate) const FAULTS: [(Cause, &'static str); 2] = [(Cause::Webhook, "webhook"), (Cause::Busy, "busy")];
}

impl Refusal {
    /// So many log in that this one cannot.
    pub(crate) fn busy() -> Refusal {
        let rejection = refuse("too many clients log in at this time: try again later");
        Refusal { rejection, cause: Cause::Busy }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal { rejection, cause: Cause::Client }
    }
}

impl Auth {
    /// # Errors
    /// Where the configuration has keys, hashes, or headers that cannot be used, or the machine trusts no certificates
    /// that the webhook could have.
    pub(crate) fn new(config: &Config) -> Result<Auth, SettingsError> {
        let settings = &config.deepstream;
        let users = Users::new(&settings.users)?;
        let webhook = settings.webhook.as_ref().map(Webhook::new).transpose()?;
        let tokens = settings.tokens.then(|| Gate::new(&config.keys, false)).transpose()?;
        let open = config.dev && users.is_none() && webhook.is_none();
        Ok(Auth { tokens, users, webhook, open })
    }

    /// Whether what is known of a connection is of any use.
    pub(crate) fn wants_data(&self) -> bool {
        self.webhook.is_some()
    }

    /// Finds out who a client is that says this about itself (a JSON object). `turns` are those of its address to have a
    /// password checked. Takes as long as a webhook may take, and as a login may wait for its turn. May be dropped at any
    /// time.
    pub(crate) async fn authenticate(
        &self,
        data: &str,
        connection: Option<&ConnectionData>,
        turns: Option<Arc<Semaphore>>,
    ) -> Result<Identity, Refusal> {
        let login: Login = serde_json::from_str(data).map_err(|_| refuse("a login is a JSON object"))?;
        let mut refused = None;
        if let (Some(gate), Some(token)) = (&self.tokens, login.token()) {
            match gate.identify(token) {
                Ok(claims) => return Ok(of_claims(claims)?),
                Err(error) if gate.knows(token) => return Err(refuse(&error.message).into()),
                Err(error) => refused = Some(refuse(&error.message)),
            }
        }
        if let (Some(users), Some((name, password))) = (&self.users, login.credentials()) {
            match users.check(name, password, turns).await? {
                Some(identity) => return Ok(identity),
                None => refused = Some(refuse("there is no user of this name with this password")),
            }
        }
        if let Some(webhook) = &self.webhook {
            return webhook.ask(data, connection).await;
        }
        match refused {
            Some(refused) => Err(refused.into()),
            None if self.open => Ok(anybody(&login.username)?),
            None => Err(refuse(self.wanted()).into()),
        }
    }

    /// What a client should have said.
    fn wanted(&self) -> &'static str {
        match (&self.tokens, &self.users) {
            (Some(_), Some(_)) => "log in with a username and a password, or with a token",
            (Some(_), None) => "log in with a token",
            (None, _) => "log in with a username and a password",
        }
    }
}

fn of_claims(claims: Claims) -> Result<Identity, Rejection> {
    let lifetime = claims.left().into();
    let role = claims.attributes.unwrap_or_default().remove("role");
    Ok(Identity {
        user: Some(name(&claims.sub)?),
        role: role.and_then(|role| role.as_str().map(str::to_owned)),
        client_data: None,
        lifetime: Some(lifetime),
    })
}

/// Whoever it says that it is. Numbers are names, too, as with deepstream.
fn anybody(username: &Value) -> Result<Identity, Rejection> {
    let user = match username {
        Value::String(text) if !text.is_empty() => Some(name(text)?),
        Value::Number(number) => Some(name(&number.to_string())?),
        Value::String(_) | Value::Null => None,
        _ => return Err(refuse("a username is a text")),
    };
    Ok(Identity { user, ..Identity::default() })
}

fn name(text: &str) -> Result<Name, Rejection> {
    Name::new(text).map_err(|error| refuse(&error.to_string()))
}

/// Why somebody may not log in, in the shape that deepstream has for it.
fn refuse(why: &str) -> Rejection {
    Rejection(Some(json!({ "error": why }).to_string()))
}

#[cfg(test)]
mod tests;
