//! Users of the configuration, and their passwords.

use std::{collections::BTreeMap, sync::Arc};

use deepstream::{Identity, name::Name};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use tracing::error;

use super::Refusal;
use crate::{
    config::deepstream::{SettingsError, User},
    limits,
    password::Hash,
};

/// Who may log in with a password.
#[derive(Debug)]
pub(super) struct Users {
    users: BTreeMap<Name, Account>,
    /// What the password of somebody who does not exist is compared with: the hash that takes longest.
    decoy: Arc<Hash>,
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Account {
    hash: Arc<Hash>,
    identity: Identity,
}

impl Users {
    /// `None` where there are none.
    pub(super) fn new(users: &BTreeMap<String, User>) -> Result<Option<Users>, SettingsError> {
        let account = |(name, user): (&String, &User)| {
            let name = Name::new(name).map_err(|_| SettingsError::User { name: name.clone() })?;
            let hash =
                Hash::new(user.password.reveal()).map_err(|_| SettingsError::Password { user: name.to_string() })?;
            let identity = Identity {
                user: Some(name.clone()),
                role: user.role.clone(),
                client_data: user.client_data.as_ref().map(ToString::to_string),
                lifetime: None,
            };
            Ok((name, Account { hash: Arc::new(hash), identity }))
        };
        let users = users.iter().map(account).collect::<Result<BTreeMap<_, _>, SettingsError>>()?;
        let slowest = users.values().map(|account| &account.hash).max_by_key(|hash| hash.cost()).cloned();
        let turns = Arc::new(Semaphore::new(limits::PASSWORD_CHECKS));
        Ok(slowest.map(|decoy| Users { users, decoy, turns }))
    }

    /// Who has this name and this password. It takes no less time to find that nobody has this name than that the
    /// password is another. Whoever shares `turns` waits in a line of its own, so that it does not keep others waiting.
    pub(super) async fn check(
        &self,
        name: &str,
        password: &str,
        turns: Option<Arc<Semaphore>>,
    ) -> Result<Option<Identity>, Refusal> {
        if password.len() > limits::PASSWORD_BYTES {
            return Ok(None);
        }
        let account = self.users.get(name);
        let hash = account.map_or(&self.decoy, |account| &account.hash).clone();
        let turn = async {
            let of_address = match turns {
                Some(turns) => Some(turns.acquire_owned().await.ok()?),
                None => None,
            };
            Some((of_address, self.turns.clone().acquire_owned().await.ok()?))
        };
        let Ok(Some(turn)) = timeout(limits::LOGIN_TURN, turn).await else { return Err(Refusal::busy()) };
        let password = password.to_owned();
        let check = spawn_blocking(move || {
            // Held by what takes the processor, not by who waits for it and may be gone.
            let _turn = turn;
            hash.is_of(&password)
        });
        match check.await {
            Ok(is_right) => Ok(account.filter(|_| is_right).map(|account| account.identity.clone())),
            Err(error) => {
                error!(%error, "a password could not be checked");
                Err(Refusal::busy())
            }
        }
    }
}
