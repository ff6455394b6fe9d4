//! The room's shared state.

use std::collections::BTreeMap;

use room::{
    limits::{STATE_KEY_MAX, STATE_VALUE_MAX},
    wire::signal::Json,
};
use serde::Serialize;

use crate::{ChangeError, Membership, secrecy::entry_bytes};

/// The room's shared state: a small map that everybody sees, late joiners too. Values are JSON.
///
/// The server orders changes: the last one wins, for everybody. A change is seen here when the server has taken it
/// ([`Event::State`](crate::Event::State)), which is after [`State::set`] returned.
#[derive(Clone)]
pub struct State {
    membership: Membership,
}

impl State {
    pub(crate) fn new(membership: Membership) -> State {
        State { membership }
    }

    /// An entry.
    pub fn get(&self, key: &str) -> Option<Json> {
        self.membership.shared().view().state.get(key).cloned()
    }

    /// All entries, as they are now.
    pub fn entries(&self) -> BTreeMap<String, Json> {
        self.membership.shared().view().state.clone()
    }

    /// All entries, as they are now.
    pub fn iter(&self) -> impl Iterator<Item = (String, Json)> + use<> {
        self.entries().into_iter()
    }

    /// Writes an entry. Out of reach of the server, it is written when the server is back.
    ///
    /// # Errors
    /// If it is too large or has no JSON form, or the room is closed.
    pub async fn set<T: Serialize + ?Sized>(&self, key: impl Into<String>, value: &T) -> Result<(), ChangeError> {
        let value = Json::from(value).map_err(|error| ChangeError::Value(error.to_string()))?;
        self.write(key.into(), value).await
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// If its key is too long, or the room is closed.
    pub async fn delete(&self, key: impl Into<String>) -> Result<(), ChangeError> {
        self.write(key.into(), Json::null()).await
    }

    async fn write(&self, key: String, value: Json) -> Result<(), ChangeError> {
        if key.len() > STATE_KEY_MAX {
            return Err(ChangeError::TooLarge("the entry's key", key.len(), STATE_KEY_MAX));
        }
        let is_secret = self.membership.shared().is_secret && !value.is_null();
        let bytes = entry_bytes(is_secret, value.as_str().len());
        if bytes > STATE_VALUE_MAX {
            return Err(ChangeError::TooLarge("the entry's value", bytes, STATE_VALUE_MAX));
        }
        self.membership.set_state(key, value).await
    }
}

impl IntoIterator for &State {
    type Item = (String, Json);
    type IntoIter = std::collections::btree_map::IntoIter<String, Json>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries().into_iter()
    }
}
