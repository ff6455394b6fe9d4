//! Tokens: JSON Web Tokens (RFC 7519) signed with HS256, with the claims that LiveKit's server SDKs write.
//!
//! ```json
//! {"iss": "site", "sub": "ada", "name": "Ada", "exp": 1790000000,
//!  "video": {"room": "standup", "roomJoin": true, "canPublishData": true}}
//! ```
//!
//! `iss` names one of the configuration's keys. Claims that Roomful does not know are ignored.

use std::{collections::BTreeMap, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous::insecure_decode_claims, decode,
    errors::ErrorKind, get_current_timestamp,
};
use room::{
    hub::Grant,
    id::RoomName,
    limits::{IDENTITY_MAX, NAME_MAX},
    plan::Topology,
    wire::signal::{RefusalCode, Refused, Token},
};
use serde::{Deserialize, Serialize};

use crate::{config::Secret, limits};

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The name of the key that it is signed with.
    #[serde(default)]
    pub iss: String,
    /// Who the member is to the application.
    #[serde(default)]
    pub sub: String,
    /// Its display name, above the one that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Until when it may be used, in seconds since 1970.
    #[serde(default)]
    pub exp: u64,
    /// From when on, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// What it allows.
    #[serde(default)]
    pub video: Video,
    /// What the application says of whom it is for. `role` is a role that deepstream's permissions know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, serde_json::Value>>,
}

/// What a token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Video {
    /// In which room.
    pub room: String,
    /// To enter it.
    pub room_join: bool,
    /// To publish media; may if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// To send data, write state and attributes; may if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// To receive media; may if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// To pin the topology and remove members; may not if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_admin: Option<bool>,
    /// To enter as a relay; may not if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_relay: Option<bool>,
    /// How the room is to be linked from when the member enters: `mesh`, `small-world`, `tree` or `star`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
}

impl Claims {
    /// The claims of a token that lets a member in, until `ttl` from now.
    pub fn to_join(room: &RoomName, identity: &str, ttl: Duration) -> Claims {
        Claims {
            sub: identity.to_owned(),
            exp: get_current_timestamp().saturating_add(ttl.as_secs()),
            video: Video { room: room.to_string(), room_join: true, ..Video::default() },
            ..Claims::default()
        }
    }

    /// How long it takes until the token is not good any more, with what clocks may be off. Up to a second more, as
    /// the time is looked at in whole seconds.
    pub(crate) fn left(&self) -> Duration {
        let over = self.exp.saturating_add(limits::TOKEN_LEEWAY_S + 1);
        Duration::from_secs(over.saturating_sub(get_current_timestamp()))
    }

    /// The token, signed.
    ///
    /// # Errors
    /// Where the secret is too short.
    pub fn sign(&self, key: &str, secret: &Secret) -> Result<String, WeakKey> {
        WeakKey::check(key, secret)?;
        let claims = Claims { iss: key.to_owned(), ..self.clone() };
        let key = EncodingKey::from_secret(secret.reveal().as_bytes());
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("claims are JSON, and any bytes are a key for HS256"))
    }
}

/// A key whose secret could be guessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of key \"{name}\" has {length} characters, fewer than {}", limits::KEY_SECRET_BYTES)]
pub struct WeakKey {
    /// Which key.
    pub name: String,
    /// How long its secret is.
    pub length: usize,
}

impl WeakKey {
    fn check(name: &str, secret: &Secret) -> Result<(), WeakKey> {
        let length = secret.reveal().len();
        if length < limits::KEY_SECRET_BYTES { Err(WeakKey { name: name.to_owned(), length }) } else { Ok(()) }
    }
}

/// Decides who may join.
#[derive(Debug)]
pub(crate) struct Gate {
    keys: BTreeMap<String, DecodingKey>,
    /// Whether anyone may join without a token.
    open: bool,
}

impl Gate {
    pub(crate) fn new(keys: &BTreeMap<String, Secret>, open: bool) -> Result<Gate, WeakKey> {
        let keys = keys.iter().map(|(name, secret)| {
            WeakKey::check(name, secret)?;
            Ok((name.clone(), DecodingKey::from_secret(secret.reveal().as_bytes())))
        });
        Ok(Gate { keys: keys.collect::<Result<_, _>>()?, open })
    }

    /// What a token allows in a room. `None`: it was good but its time is over, which is enough to resume.
    pub(crate) fn admit(&self, token: Option<&Token>, room: &RoomName) -> Result<Option<Grant>, Refused> {
        match token {
            Some(Token(token)) if !self.keys.is_empty() => self.check(token, room),
            _ if self.open => Ok(Some(Grant::open())),
            _ => Err(Refused::fatal(
                RefusalCode::TokenRequired,
                "this server wants a token",
                "get one from the application, or from `roomful token`",
            )),
        }
    }

    /// Whether a token says that it was signed with one of the keys, rightly or not.
    pub(crate) fn knows(&self, token: &str) -> bool {
        token.len() <= limits::TOKEN_BYTES
            && insecure_decode_claims(token).is_ok_and(|Issuer { iss }| self.keys.contains_key(&iss))
    }

    /// Whom a token is for, whatever the room, and until when.
    pub(crate) fn identify(&self, token: &str) -> Result<Claims, Refused> {
        let claims = self.claims(token)?;
        check_identity(&claims)?;
        if is_over(&claims) {
            let hint = "ask the application for a new token";
            return Err(Refused::fatal(RefusalCode::TokenExpired, "the token's time (exp) is over", hint));
        }
        Ok(claims)
    }

    fn check(&self, token: &str, room: &RoomName) -> Result<Option<Grant>, Refused> {
        grant(self.claims(token)?, room)
    }

    /// What a token says, once its signature is checked.
    fn claims(&self, token: &str) -> Result<Claims, Refused> {
        if token.len() > limits::TOKEN_BYTES {
            return Err(invalid(format!("the token has more than {} bytes", limits::TOKEN_BYTES)));
        }
        // Which key: nothing else is believed before the signature is checked.
        let unproven: Issuer =
            insecure_decode_claims(token).map_err(|_| invalid("the token is not a JSON Web Token"))?;
        let key =
            self.keys.get(&unproven.iss).ok_or_else(|| invalid("the token's key (iss) is not one of the server's"))?;
        let token = decode::<Claims>(token, key, &validation()).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => invalid("the token's signature is not that of the key it names (iss)"),
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
                invalid("the token is not signed with HS256")
            }
            ErrorKind::MissingRequiredClaim(_) => invalid("the token has no end (exp)"),
            ErrorKind::ImmatureSignature => Refused::fatal(
                RefusalCode::TokenExpired,
                "the token's time (nbf) has not come",
                "wait, or check the clock of the machine that made it",
            ),
            _ => invalid("the token's claims are not of the shape that they should have"),
        })?;
        Ok(token.claims)
    }
}

/// The part of the claims that says which key to check the rest with.
#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// HS256 only: an algorithm that the token could choose would let it choose none.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    // The end is checked by `grant`: a token whose time is over still resumes a session.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp"]);
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.leeway = limits::TOKEN_LEEWAY_S;
    validation
}

fn grant(claims: Claims, room: &RoomName) -> Result<Option<Grant>, Refused> {
    let video = &claims.video;
    if video.room != room.as_str() {
        return Err(Refused::fatal(
            RefusalCode::TokenOtherRoom,
            "the token is for another room",
            format!("ask for a token whose video.room is \"{room}\""),
        ));
    }
    if !video.room_join {
        return Err(Refused::fatal(
            RefusalCode::NotAllowed,
            "the token does not allow to join",
            "ask for a token with video.roomJoin",
        ));
    }
    check_identity(&claims)?;
    let topology = video.topology.as_deref().filter(|word| *word != "auto").map(str::parse::<Topology>).transpose();
    let topology = topology.map_err(|error| invalid(format!("the token's video.topology is not one: {error}")))?;
    if is_over(&claims) {
        return Ok(None);
    }
    let Claims { sub, name, video, .. } = claims;
    Ok(Some(Grant {
        identity: Some(sub),
        // LiveKit's SDKs write an empty name where none was set.
        name: name.filter(|name| !name.is_empty()),
        publish: video.can_publish.unwrap_or(true),
        publish_data: video.can_publish_data.unwrap_or(true),
        subscribe: video.can_subscribe.unwrap_or(true),
        admin: video.room_admin.unwrap_or(false),
        relay: video.can_relay.unwrap_or(false),
        topology,
    }))
}

fn check_identity(Claims { sub, name, .. }: &Claims) -> Result<(), Refused> {
    if sub.is_empty() || sub.len() > IDENTITY_MAX {
        return Err(invalid(format!("the token's identity (sub) has not 1 to {IDENTITY_MAX} bytes")));
    }
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_MAX) {
        return Err(invalid(format!("the token's name has more than {NAME_MAX} characters")));
    }
    Ok(())
}

fn is_over(claims: &Claims) -> bool {
    claims.exp.saturating_add(limits::TOKEN_LEEWAY_S) < get_current_timestamp()
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::fatal(RefusalCode::TokenInvalid, message, "ask the application for a new token")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "a secret of thirty-two characters";

    fn gate() -> Gate {
        let keys = [("site".to_owned(), Secret::from(SECRET.to_owned()))];
        Gate::new(&BTreeMap::from(keys), false).unwrap()
    }

    fn room() -> RoomName {
        "standup".parse().unwrap()
    }

    /// A token of any claims, with or without a change to the usual ones.
    fn token(change: &Value) -> Token {
        token_by(Algorithm::HS256, SECRET, change)
    }

    fn token_by(algorithm: Algorithm, secret: &str, change: &Value) -> Token {
        let mut claims = json!({
            "iss": "site", "sub": "ada", "name": "Ada", "exp": get_current_timestamp() + 60,
            "video": {"room": "standup", "roomJoin": true},
            "metadata": "{}", "attributes": {"a": "b"}, "sha256": "", "kind": "standard",
        });
        for (name, value) in change.as_object().into_iter().flatten() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let key = EncodingKey::from_secret(secret.as_bytes());
        Token(jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap())
    }

    fn code(token: &Token) -> RefusalCode {
        gate().admit(Some(token), &room()).unwrap_err().code
    }

    #[test]
    fn good_token_gives_its_grant() {
        let grant = gate().admit(Some(&token(&json!({}))), &room()).unwrap().unwrap();
        assert_eq!((grant.identity.as_deref(), grant.name.as_deref()), (Some("ada"), Some("Ada")));
        assert!(grant.publish && grant.publish_data && grant.subscribe && !grant.admin);

        let video = json!({"room": "standup", "roomJoin": true, "canPublish": false, "canPublishData": false,
            "canSubscribe": false, "roomAdmin": true, "hidden": true});
        let grant = gate().admit(Some(&token(&json!({"video": video}))), &room()).unwrap().unwrap();
        assert!(!grant.publish && !grant.publish_data && !grant.subscribe && grant.admin);
    }

    #[test]
    fn minted_token_is_accepted() {
        let claims = Claims::to_join(&room(), "ada", Duration::from_secs(60));
        let token = claims.sign("site", &Secret::from(SECRET.to_owned())).unwrap();
        let grant = gate().admit(Some(&Token(token)), &room()).unwrap().unwrap();
        assert_eq!(grant.identity.as_deref(), Some("ada"));
    }

    #[test]
    fn wrong_tokens_are_told_apart() {
        use RefusalCode::{NotAllowed, TokenExpired, TokenInvalid, TokenOtherRoom, TokenRequired};
        assert_eq!(gate().admit(None, &room()).unwrap_err().code, TokenRequired);
        for nonsense in ["", "a.b.c", "a.b", &"x".repeat(limits::TOKEN_BYTES + 1)] {
            assert_eq!(code(&Token(nonsense.to_owned())), TokenInvalid);
        }
        let later = get_current_timestamp() + 60;
        for (change, expected) in [
            (json!({"iss": "other"}), TokenInvalid),
            (json!({"iss": null}), TokenInvalid),
            (json!({"sub": null}), TokenInvalid),
            (json!({"sub": ""}), TokenInvalid),
            (json!({"sub": "a".repeat(129)}), TokenInvalid),
            (json!({"sub": 7}), TokenInvalid),
            (json!({"name": "a".repeat(65)}), TokenInvalid),
            (json!({"exp": null}), TokenInvalid),
            (json!({"exp": "tomorrow"}), TokenInvalid),
            (json!({"nbf": later}), TokenExpired),
            (json!({"video": {"room": "retro", "roomJoin": true}}), TokenOtherRoom),
            (json!({"video": {"roomJoin": true}}), TokenOtherRoom),
            (json!({"video": null}), TokenOtherRoom),
            (json!({"video": {"room": "standup"}}), NotAllowed),
            (json!({"exp": 1, "video": {"room": "retro", "roomJoin": true}}), TokenOtherRoom),
        ] {
            assert_eq!(code(&token(&change)), expected, "{change}");
        }
    }

    #[test]
    fn expired_token_gives_no_grant_but_is_known_as_good() {
        assert!(gate().admit(Some(&token(&json!({"exp": 1}))), &room()).unwrap().is_none());
        assert_eq!(code(&token_by(Algorithm::HS256, &"x".repeat(32), &json!({"exp": 1}))), RefusalCode::TokenInvalid);
    }

    #[test]
    fn only_hs256_and_the_right_secret() {
        assert_eq!(code(&token_by(Algorithm::HS512, SECRET, &json!({}))), RefusalCode::TokenInvalid);
        assert_eq!(code(&token_by(Algorithm::HS256, &SECRET.to_uppercase(), &json!({}))), RefusalCode::TokenInvalid);
        // {"alg":"none"}
        let Token(good) = token(&json!({}));
        let claims = good.split('.').nth(1).unwrap();
        assert_eq!(code(&Token(format!("eyJhbGciOiJub25lIn0.{claims}."))), RefusalCode::TokenInvalid);
    }

    #[test]
    fn open_gate_checks_tokens_where_it_can() {
        let keys = BTreeMap::from([("site".to_owned(), Secret::from(SECRET.to_owned()))]);
        let gate = Gate::new(&keys, true).unwrap();
        assert_eq!(gate.admit(None, &room()).unwrap().unwrap().identity, None);
        assert!(gate.admit(Some(&Token("x".to_owned())), &room()).is_err());
        let gate = Gate::new(&BTreeMap::new(), true).unwrap();
        assert!(gate.admit(Some(&Token("x".to_owned())), &room()).unwrap().is_some());
    }

    #[test]
    fn short_secrets_are_refused() {
        let keys = BTreeMap::from([("site".to_owned(), Secret::from("x".repeat(31)))]);
        let weak = Gate::new(&keys, false).unwrap_err();
        assert_eq!(weak, WeakKey { name: "site".to_owned(), length: 31 });
    }
}
