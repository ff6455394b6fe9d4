//! Who may do what, by the names that it is done to.

use std::collections::BTreeSet;

use crate::{name::Name, pattern::Pattern};

/// Something that can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Emit an event.
    EventPublish,
    /// Receive an event.
    EventSubscribe,
    /// Learn which events are subscribed to.
    EventListen,
    /// Create a record, or a list.
    RecordCreate,
    /// Read a record, and subscribe to it.
    RecordRead,
    /// Change a record.
    RecordWrite,
    /// Delete a record.
    RecordDelete,
    /// Learn which records are subscribed to.
    RecordListen,
    /// Answer calls.
    RpcProvide,
    /// Make calls.
    RpcRequest,
    /// Learn which users are there. The name is the user's; for all users at once it is `*`.
    Presence,
}

/// A rule: what it says holds for the names, rights and roles that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For which names. For listeners these are their pattern, and each name that they are offered.
    pub names: Pattern,
    /// For which rights. Empty: for all.
    pub rights: BTreeSet<Right>,
    /// For clients in which roles. Empty: for all.
    pub roles: BTreeSet<String>,
    /// Whether it allows or denies.
    pub allow: bool,
}

/// Rules. The first that speaks of a case decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// What holds where no rule speaks.
    pub otherwise: bool,
}

impl Permissions {
    /// Everybody may do everything.
    pub fn open() -> Permissions {
        Permissions { rules: Vec::new(), otherwise: true }
    }

    pub(crate) fn allow(&self, user: Option<&Name>, role: Option<&str>, right: Right, name: &str) -> bool {
        let speaks = |rule: &&Rule| {
            (rule.rights.is_empty() || rule.rights.contains(&right))
                && (rule.roles.is_empty() || role.is_some_and(|role| rule.roles.contains(role)))
                && rule.names.matches(name, user.map(Name::as_str))
        };
        self.rules.iter().find(speaks).map_or(self.otherwise, |rule| rule.allow)
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Permissions::open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, names: &str, rights: &[Right], roles: &[&str]) -> Rule {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Rule { names: names.into(), rights: rights.iter().copied().collect(), roles, allow }
    }

    #[test]
    fn the_first_rule_that_speaks_decides() {
        let permissions = Permissions {
            rules: vec![
                rule(true, "**", &[], &["admin"]),
                rule(true, "users/$user", &[Right::RecordWrite, Right::RecordRead], &[]),
                rule(false, "users/*", &[Right::RecordWrite], &[]),
                rule(true, "**", &[Right::RecordRead, Right::RecordWrite], &[]),
            ],
            otherwise: false,
        };
        let ada = Name::new("ada").unwrap();
        let may = |user: Option<&Name>, role, right, name| permissions.allow(user, role, right, name);
        assert!(may(Some(&ada), None, Right::RecordWrite, "users/ada"));
        assert!(!may(Some(&ada), None, Right::RecordWrite, "users/bob"));
        assert!(!may(None, None, Right::RecordWrite, "users/ada"));
        assert!(may(None, None, Right::RecordRead, "users/ada"));
        assert!(may(Some(&ada), Some("admin"), Right::RecordDelete, "users/bob"));
        assert!(!may(Some(&ada), Some("guest"), Right::RecordDelete, "users/ada"), "nothing speaks of deleting");
        assert!(Permissions::open().allow(None, None, Right::Presence, "*"));
    }
}
