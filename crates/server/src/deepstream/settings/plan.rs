//! Whether the section `[deepstream]` can be carried out, and what it means to the engine.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use axum::http::{HeaderName, HeaderValue};
use deepstream::{
    limits as bounds,
    name::Name,
    pattern::Pattern,
    permission::{Permissions, Rule},
};
use room::{id::RoomName, limits::CHANNEL_NAME_MAX};

use super::{Bridge, Deepstream, EPHEMERAL_IN_DEV, Limits, Otherwise, Permission, Webhook};
use crate::{config::Secret, deepstream::bridge, limits, password, token::WeakKey};

/// A section `[deepstream]` that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Nobody could log in.
    #[error("deepstream's clients are to be served, but none of them could log in")]
    NoLogin,
    /// Tokens are to be believed, but there is nothing to check them with.
    #[error("[deepstream] takes tokens, but there are no keys to check them with")]
    NoKeys,
    /// A key could be guessed.
    #[error(transparent)]
    WeakKey(#[from] WeakKey),
    /// Not the name of a user.
    #[error("\"{}\" in [deepstream.users] is no name: it has 1 to {} bytes and no control characters",
        name.escape_debug(), bounds::NAME_MAX)]
    User {
        /// Which name.
        name: String,
    },
    /// Not a hash of a password, or one that takes too much to check.
    #[error("the password of [deepstream.users.{user}] is no argon2id hash, or one that takes too long to check")]
    Password {
        /// Whose password.
        user: String,
    },
    /// Not a header, or one that cannot be sent.
    #[error("\"{}\" in [deepstream.webhook.headers] is no header that could be sent", name.escape_debug())]
    Header {
        /// Its name.
        name: String,
    },
    /// The webhook is reached by TLS, but the machine trusts no certificates.
    #[error("[deepstream.webhook] is reached by https, but this machine trusts nobody's certificates")]
    NoRoots,
    /// A number or a duration is out of its range.
    #[error("{name} in [deepstream] must be from {least} to {most}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// At least this.
        least: String,
        /// At most this.
        most: String,
    },
    /// Not a pattern that any name could fit.
    #[error("no name has 0 or more than {} bytes, so that the pattern \"{}\" fits none", bounds::NAME_MAX,
        pattern.escape_debug())]
    Pattern {
        /// Which pattern.
        pattern: String,
    },
    /// A rule that names no right or no role.
    #[error("[[deepstream.permission]] for \"{names}\" speaks of no {what}")]
    EmptyRule {
        /// The names that the rule is for.
        names: String,
        /// What it names none of.
        what: &'static str,
    },
    /// There are rules, but it is not said what holds where none speaks.
    #[error("[[deepstream.permission]] does not say what holds where no rule speaks")]
    NoOtherwise,
    /// A bridge that cannot be.
    #[error("[[deepstream.bridge]] for the room \"{room}\" {what}")]
    Bridge {
        /// The room that it is for.
        room: RoomName,
        /// What is wrong.
        what: &'static str,
    },
}

impl SettingsError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SettingsError::NoLogin => {
                "add [deepstream.users], [deepstream.webhook] or tokens = true, or set enabled = false in [deepstream]"
            }
            SettingsError::NoKeys => "put a key into [keys], or leave tokens out",
            SettingsError::WeakKey(_) => "make a longer one, for instance with `openssl rand -hex 32`",
            SettingsError::User { .. } => "choose another name",
            SettingsError::Password { .. } => "make a hash of the password with `roomful password`",
            SettingsError::Header { .. } => "headers are written as authorization = \"Bearer …\", in plain letters",
            SettingsError::NoRoots => "install the system's certificates (ca-certificates), or set SSL_CERT_FILE",
            SettingsError::OutOfRange { .. } => "leave it out for the usual value",
            SettingsError::Pattern { .. } => "write ** for every name",
            SettingsError::EmptyRule { .. } => "leave the line out where the rule is for all of them",
            SettingsError::NoOtherwise => "set otherwise = \"deny\" or \"allow\" in [deepstream]",
            SettingsError::Bridge { .. } => "see [[deepstream.bridge]] in roomful.example.toml",
        }
    }
}

impl Deepstream {
    /// What the engine is to be like; `None` where there is to be none. Checks everything else that can be wrong with
    /// the section, too.
    pub(crate) fn engine(&self, dev: bool, has_keys: bool) -> Result<Option<deepstream::Config>, SettingsError> {
        let somebody = self.tokens || !self.users.is_empty() || self.webhook.is_some();
        let is_on = self.enabled.unwrap_or(dev || somebody || *self != Deepstream::default());
        if !is_on {
            return Ok(None);
        }
        if !somebody && !dev {
            return Err(SettingsError::NoLogin);
        }
        if self.tokens && !has_keys {
            return Err(SettingsError::NoKeys);
        }
        self.check_users()?;
        if let Some(webhook) = &self.webhook {
            webhook.headers()?;
        }
        self.check_ranges()?;
        self.check_bridges()?;
        Ok(Some(deepstream::Config {
            heartbeat: self.heartbeat.into(),
            login_timeout: self.login_timeout.into(),
            login_attempts: self.login_attempts,
            ephemeral: self.ephemeral(dev)?,
            permissions: self.permissions()?,
            reserved: (!self.bridge.is_empty()).then(|| Pattern::new(bridge::RESERVED)),
            taps: self.taps(),
            persist: self.store.is_some(),
            subscriptions_max: self.limits.subscriptions,
            records_max: self.limits.records,
            records_bytes_max: self.limits.records_bytes,
            record_max: self.limits.record_bytes,
            ..deepstream::Config::default()
        }))
    }

    fn check_users(&self) -> Result<(), SettingsError> {
        for (name, user) in &self.users {
            Name::new(name).map_err(|_| SettingsError::User { name: name.clone() })?;
            password::Hash::new(user.password.reveal()).map_err(|_| SettingsError::Password { user: name.clone() })?;
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), SettingsError> {
        let Limits { subscriptions, records, records_bytes, record_bytes } = self.limits;
        duration("heartbeat", self.heartbeat, limits::DEEPSTREAM_TIMES)?;
        duration("login_timeout", self.login_timeout, limits::DEEPSTREAM_TIMES)?;
        if let Some(webhook) = &self.webhook {
            duration("webhook.timeout", webhook.timeout, limits::WEBHOOK_TIMEOUTS)?;
        }
        number("login_attempts", self.login_attempts as usize, 1..=limits::LOGIN_ATTEMPTS)?;
        number("limits.subscriptions", subscriptions, 1..=u32::MAX as usize)?;
        number("limits.records", records, 1..=u32::MAX as usize)?;
        number("limits.records_bytes", records_bytes, 1..=usize::MAX)?;
        number("limits.record_bytes", record_bytes, 2..=bounds::RECORD_MAX)
    }

    fn check_bridges(&self) -> Result<(), SettingsError> {
        let mut rooms = BTreeSet::new();
        for Bridge { room, channels } in &self.bridge {
            let wrong = |what| SettingsError::Bridge { room: room.clone(), what };
            if channels.is_empty() {
                return Err(wrong("names no channels"));
            }
            if channels.iter().any(|channel| channel.len() > CHANNEL_NAME_MAX || Name::new(channel).is_err()) {
                return Err(wrong("names a channel whose name is empty, too long, or has control characters"));
            }
            if !rooms.insert(room) {
                return Err(wrong("is there twice"));
            }
        }
        Ok(())
    }

    /// The events that are messages in a room, too.
    fn taps(&self) -> BTreeSet<Name> {
        let events =
            |of: &Bridge| of.channels.iter().filter_map(|channel| bridge::event(of, channel)).collect::<Vec<_>>();
        self.bridge.iter().flat_map(events).collect()
    }

    fn ephemeral(&self, dev: bool) -> Result<Vec<Pattern>, SettingsError> {
        match &self.ephemeral {
            Some(patterns) => patterns.iter().map(|text| pattern(text)).collect(),
            None if dev => Ok(EPHEMERAL_IN_DEV.map(Pattern::new).into()),
            None => Ok(Vec::new()),
        }
    }

    fn permissions(&self) -> Result<Permissions, SettingsError> {
        let otherwise = match self.otherwise {
            None if !self.permission.is_empty() => return Err(SettingsError::NoOtherwise),
            otherwise => otherwise != Some(Otherwise::Deny),
        };
        let rule = |Permission { names, rights, roles, allow }: &Permission| {
            let empty = |what| SettingsError::EmptyRule { names: names.clone(), what };
            // To the engine, no rights are all rights: nobody who writes an empty list means that.
            if rights.as_ref().is_some_and(Vec::is_empty) {
                return Err(empty("rights"));
            }
            if roles.as_ref().is_some_and(Vec::is_empty) {
                return Err(empty("roles"));
            }
            Ok(Rule {
                names: pattern(names)?,
                rights: rights.iter().flatten().flat_map(|rights| rights.each()).copied().collect(),
                roles: roles.iter().flatten().cloned().collect(),
                allow: *allow,
            })
        };
        Ok(Permissions { rules: self.permission.iter().map(rule).collect::<Result<_, _>>()?, otherwise })
    }
}

impl Webhook {
    /// Its headers, ready to be sent.
    pub(crate) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
        let header = |(name, value): (&String, &Secret)| {
            let wrong = || SettingsError::Header { name: name.clone() };
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value))
        };
        self.headers.iter().map(header).collect()
    }
}

fn pattern(text: &str) -> Result<Pattern, SettingsError> {
    if text.is_empty() || text.len() > bounds::NAME_MAX {
        return Err(SettingsError::Pattern { pattern: text.to_owned() });
    }
    Ok(Pattern::new(text))
}

fn number(name: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<(), SettingsError> {
    let (least, most) = (range.start().to_string(), range.end().to_string());
    if range.contains(&value) { Ok(()) } else { Err(SettingsError::OutOfRange { name, least, most }) }
}

fn duration(name: &'static str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), SettingsError> {
    let (least, most) = (format!("{:?}", range.start()), format!("{:?}", range.end()));
    if range.contains(&value) { Ok(()) } else { Err(SettingsError::OutOfRange { name, least, most }) }
}

#[cfg(test)]
mod tests {
    use deepstream::permission::Right;

    use super::*;
    use crate::config::Config;

    fn settings(text: &str) -> Deepstream {
        text.parse::<Config>().unwrap_or_else(|error| panic!("{error}")).deepstream
    }

    /// The engine of a server with keys.
    fn engine(text: &str) -> Result<Option<deepstream::Config>, SettingsError> {
        settings(text).engine(false, true)
    }

    fn error(text: &str) -> SettingsError {
        let error = engine(text).unwrap_err();
        assert!(!error.hint().is_empty() && !error.to_string().is_empty());
        error
    }

    #[test]
    fn example_can_be_carried_out() {
        let example: Config = include_str!("../../../../../roomful.example.toml").parse().unwrap();
        let engine = example.deepstream.engine(false, true).unwrap().unwrap();
        assert!(engine.persist && !engine.permissions.otherwise);
        assert_eq!(engine.ephemeral, EPHEMERAL_IN_DEV.map(Pattern::new));
        assert_eq!(engine.taps, [Name::new("roomful/standup/chat").unwrap()].into());
        assert!(engine.reserved.unwrap().matches("roomful/standup/members", None));
        let rules = &engine.permissions.rules;
        assert_eq!((rules.len(), rules[0].rights.len(), rules[1].rights.len()), (3, 0, 6));
        assert!(rules.iter().all(|rule| rule.allow) && rules[0].roles.contains("admin"));
        let user = &example.deepstream.users["ada"];
        assert_eq!(user.client_data.as_ref().unwrap().to_string(), r#"{"language":"en"}"#);
        assert_eq!(example.deepstream.webhook.unwrap().headers().unwrap().len(), 1);
    }

    #[test]
    fn it_is_on_where_somebody_can_log_in() {
        let is_on = |text: &str, dev| settings(text).engine(dev, true).unwrap().is_some();
        assert!(!is_on("", false), "servers that never heard of it do not serve it");
        assert!(is_on("", true));
        assert!(is_on("deepstream.tokens = true", false));
        assert!(is_on("deepstream.webhook.url = 'http://127.0.0.1/login'", false));
        assert!(!is_on("deepstream.enabled = false", true));
        assert!(!is_on("deepstream = { enabled = false, tokens = true }", false));
        for half in ["deepstream.enabled = true", "deepstream.store = 'records'", "deepstream.otherwise = 'deny'"] {
            assert_eq!(error(half), SettingsError::NoLogin);
        }
        assert_eq!(settings("deepstream.tokens = true").engine(true, false).unwrap_err(), SettingsError::NoKeys);
    }

    #[test]
    fn lists_are_ephemeral_for_trying_things_only() {
        let ephemeral = |text: &str, dev| settings(text).engine(dev, true).unwrap().unwrap().ephemeral;
        assert_eq!(ephemeral("", true), ["users".into(), "rooms/*".into()]);
        assert_eq!(ephemeral("deepstream.tokens = true", false), []);
        assert_eq!(ephemeral("deepstream.ephemeral = []", true), []);
        assert_eq!(ephemeral("deepstream.ephemeral = ['a/*']", true), ["a/*".into()]);
        let empty = settings("deepstream.ephemeral = ['']").engine(true, true).unwrap_err();
        assert_eq!(empty, SettingsError::Pattern { pattern: String::new() });
    }

    #[test]
    fn rules_say_what_they_mean() {
        let with = |rules: &str| format!("[deepstream]\ntokens = true\notherwise = 'deny'\n{rules}");
        let rule = "[[deepstream.permission]]\nnames = 'a'\n";
        let parsed =
            engine(&with(&format!("{rule}rights = ['rpc', 'event.publish']\nallow = false"))).unwrap().unwrap();
        let rights = BTreeSet::from([Right::RpcProvide, Right::RpcRequest, Right::EventPublish]);
        let expected = Rule { names: "a".into(), rights, roles: BTreeSet::new(), allow: false };
        assert_eq!(parsed.permissions, Permissions { rules: vec![expected], otherwise: false });

        let empty = |what| SettingsError::EmptyRule { names: "a".to_owned(), what };
        assert_eq!(error(&with(&format!("{rule}rights = []"))), empty("rights"));
        assert_eq!(error(&with(&format!("{rule}roles = []"))), empty("roles"));
        assert_eq!(error(&with(rule).replace("otherwise = 'deny'", "")), SettingsError::NoOtherwise);
        let nameless = with(rule).replace("'a'", "''");
        assert_eq!(error(&nameless), SettingsError::Pattern { pattern: String::new() });

        let unknown = with(&format!("{rule}rights = ['record.erase']")).parse::<Config>().unwrap_err().to_string();
        assert!(unknown.contains("record.erase") && unknown.contains("record.delete"), "{unknown}");
        assert!(with("[[deepstream.permission]]\nrights = ['rpc']").parse::<Config>().is_err(), "a rule has names");
    }

    #[test]
    fn passwords_are_hashes_and_not_repeated() {
        let plain = "[deepstream.users.ada]\npassword = 'open sesame'";
        assert_eq!(error(plain), SettingsError::Password { user: "ada".to_owned() });
        let said = format!("{} {} {:?}", error(plain), error(plain).hint(), settings(plain));
        assert!(said.contains("ada") && said.contains("roomful password") && !said.contains("sesame"), "{said}");
        let odd = "[deepstream.users.\"a\\nb\"]\npassword = 'open sesame'";
        assert!(matches!(error(odd), SettingsError::User { .. }));
    }

    #[test]
    fn numbers_are_within_their_ranges() {
        for (text, setting) in [
            ("heartbeat = '10ms'", "heartbeat"),
            ("heartbeat = '1day'", "heartbeat"),
            ("login_timeout = '0s'", "login_timeout"),
            ("login_attempts = 0", "login_attempts"),
            ("webhook = { url = 'http://a', timeout = '0s' }", "webhook.timeout"),
            ("limits = { subscriptions = 0 }", "limits.subscriptions"),
            ("limits = { records = 0 }", "limits.records"),
            ("limits = { record_bytes = 2_000_000 }", "limits.record_bytes"),
        ] {
            match error(&format!("[deepstream]\ntokens = true\n{text}")) {
                SettingsError::OutOfRange { name, .. } => assert_eq!(name, setting),
                other => panic!("{text}: {other}"),
            }
        }
        let text = error("[deepstream]\ntokens = true\nheartbeat = '10ms'").to_string();
        assert_eq!(text, "heartbeat in [deepstream] must be from 1s to 3600s");
    }

    #[test]
    fn webhooks_have_addresses_and_headers() {
        let with = |url: &str| format!("deepstream.webhook.url = '{url}'").parse::<Config>();
        for url in ["http://127.0.0.1:8080/login?a=b", "https://app.example"] {
            assert!(with(url).is_ok(), "{url}");
        }
        for url in ["app.example", "ftp://app.example", "https://ada:secret@app.example", "https://app.example/#top"] {
            assert!(with(url).unwrap_err().to_string().contains("written as https://"), "{url}");
        }
        let header = |name: &str, value: &str| {
            error(&format!("[deepstream.webhook]\nurl = 'http://a'\nheaders = {{ '{name}' = \"{value}\" }}"))
        };
        assert!(matches!(header("a b", "c"), SettingsError::Header { .. }));
        assert!(!header("a", "in-nobodys-log\\n").to_string().contains("nobody"));
    }

    #[test]
    fn bridges_have_rooms_and_channels() {
        let what = |bridges: &str| match error(&format!("[deepstream]\ntokens = true\nbridge = [{bridges}]")) {
            SettingsError::Bridge { what, .. } => what,
            other => panic!("{other}"),
        };
        assert_eq!(what("{ room = 'standup', channels = [] }"), "names no channels");
        let twice = "{ room = 'standup', channels = ['chat'] }, { room = 'standup', channels = ['draw'] }";
        assert_eq!(what(twice), "is there twice");
        for channel in ["", "a\\nb", &"x".repeat(CHANNEL_NAME_MAX + 1)] {
            assert!(
                what(&format!("{{ room = 'standup', channels = [\"{channel}\"] }}")).contains("a channel whose name")
            );
        }
        assert!("deepstream.bridge = [{ room = 'a/b', channels = ['chat'] }]".parse::<Config>().is_err());
    }
}
