//! Which users are here. A user is here as long as one of its connections is; who has no name is nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    outbox::{Outbox, Peer},
    registry::{Recipients, Registry},
};
use crate::{message::Reply, name::Name, wire::Wire};

/// Users, and who watches them.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Users and how many connections each has.
    users: BTreeMap<Name, usize>,
    /// Those of whom the server says that they are there.
    own: BTreeSet<Name>,
    /// Who watches everybody.
    pub(crate) watchers: Recipients,
    /// Who watches whom.
    pub(crate) watching: Registry,
}

impl Presence {
    /// A connection of a user is there.
    pub(crate) fn joined(&mut self, user: &Name, out: &mut Outbox) {
        let connections = self.users.entry(user.clone()).or_default();
        *connections += 1;
        if *connections == 1 && !self.own.contains(user) {
            self.tell(user, true, out);
        }
    }

    /// A connection is gone, and with it perhaps a user.
    pub(crate) fn closed(&mut self, peer: Peer, user: Option<&Name>, out: &mut Outbox) {
        self.watchers.remove(peer);
        for name in self.watching.names_of(peer.conn) {
            self.watching.remove(peer, &name);
        }
        let Some(user) = user else { return };
        let Some(connections) = self.users.get_mut(user) else { return };
        *connections -= 1;
        if *connections == 0 {
            self.users.remove(user);
            if !self.own.contains(user) {
                self.tell(user, false, out);
            }
        }
    }

    /// Somebody is there without a connection, or is not.
    pub(crate) fn set_own(&mut self, user: &Name, here: bool, out: &mut Outbox) {
        let has_changed = if here { self.own.insert(user.clone()) } else { self.own.remove(user) };
        if has_changed && !self.users.contains_key(user) {
            self.tell(user, here, out);
        }
    }

    /// Takes over from `before` who is there without a connection.
    pub(crate) fn go_on_from(&mut self, before: &Presence) {
        self.own.clone_from(&before.own);
    }

    /// Everybody but one.
    pub(crate) fn users(&self, but: Option<&Name>) -> Vec<Name> {
        let all: BTreeSet<&Name> = self.users.keys().chain(&self.own).collect();
        all.into_iter().filter(|user| Some(*user) != but).cloned().collect()
    }

    pub(crate) fn is_here(&self, user: &str) -> bool {
        self.users.contains_key(user) || self.own.contains(user)
    }

    fn tell(&self, user: &Name, here: bool, out: &mut Outbox) {
        let changed = |all| Reply::UserChanged { name: user, here, all };
        let watching = self.watching.recipients(user);
        // A text client has one message for both, and acts on it for both.
        let mut all = self.watchers.clone();
        let mut one = Recipients::default();
        for peer in watching.into_iter().flat_map(Recipients::peers) {
            if peer.wire == Wire::Text {
                all.insert(peer)
            } else {
                one.insert(peer)
            };
        }
        out.tell(&all, None, &changed(true));
        out.tell(&one, None, &changed(false));
    }

    #[cfg(test)]
    pub(crate) fn check(&self, users: &BTreeMap<Name, usize>) {
        self.watching.check();
        assert_eq!(self.users, *users);
    }
}
