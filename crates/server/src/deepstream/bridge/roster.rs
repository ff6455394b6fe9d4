//! Who is in a room, for deepstream's clients.

use std::collections::BTreeMap;

use deepstream::{Input, name::Name};
use room::id::RoomName;
use roomful::{Member, MemberId};

/// The members of a room but for the bridge. Its methods give what the engine is to be told.
#[derive(Debug)]
pub(super) struct Roster {
    /// What all names begin with: `roomful/<room>/`.
    prefix: String,
    /// As they came.
    order: Vec<MemberId>,
    names: BTreeMap<MemberId, String>,
}

impl Roster {
    pub(super) fn new(room: &RoomName) -> Roster {
        Roster { prefix: format!("{}/{room}/", super::PREFIX), order: Vec::new(), names: BTreeMap::new() }
    }

    /// Somebody came, or has another name.
    pub(super) fn enter(&mut self, member: Member) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.names.insert(member.id, member.name).is_none() {
            self.order.push(member.id);
            inputs.extend(self.user(member.id, true));
        }
        inputs.extend(self.records());
        inputs
    }

    /// Somebody left.
    pub(super) fn leave(&mut self, id: MemberId) -> Vec<Input> {
        if self.names.remove(&id).is_none() {
            return Vec::new();
        }
        self.order.retain(|other| *other != id);
        self.user(id, false).into_iter().chain(self.records()).collect()
    }

    /// Exactly these are there. Those who were stay in their order.
    pub(super) fn replace(&mut self, members: Vec<Member>) -> Vec<Input> {
        let now: BTreeMap<MemberId, String> = members.into_iter().map(|member| (member.id, member.name)).collect();
        let before = std::mem::replace(&mut self.names, now);
        self.order.retain(|id| self.names.contains_key(id));
        let new: Vec<MemberId> = self.names.keys().filter(|id| !before.contains_key(id)).copied().collect();
        let gone = before.keys().filter(|id| !self.names.contains_key(id));
        let users = gone.map(|id| (*id, false)).chain(new.iter().map(|id| (*id, true)));
        let mut inputs: Vec<Input> = users.filter_map(|(id, here)| self.user(id, here)).collect();
        self.order.extend(new);
        inputs.extend(self.records());
        inputs
    }

    fn user(&self, id: MemberId, here: bool) -> Option<Input> {
        Some(Input::User { name: self.name(&id.to_string())?, here })
    }

    /// The list of ids, and the record of names by id.
    fn records(&self) -> impl Iterator<Item = Input> {
        let ids: Vec<String> = self.order.iter().map(ToString::to_string).collect();
        let names: BTreeMap<String, &String> = self.names.iter().map(|(id, name)| (id.to_string(), name)).collect();
        let put = |name: &str, json: Result<String, serde_json::Error>| {
            Some(Input::Put { name: self.name(name)?, json: json.ok()?.into() })
        };
        let records = [put("members", serde_json::to_string(&ids)), put("names", serde_json::to_string(&names))];
        records.into_iter().flatten()
    }

    fn name(&self, last: &str) -> Option<Name> {
        Name::new(&format!("{}{last}", self.prefix)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str) -> Member {
        Member {
            id: MemberId::from(id),
            name: name.to_owned(),
            identity: None,
            attributes: Default::default(),
            mute: false,
            relay: false,
            key: None,
        }
    }

    /// In short words.
    fn told(inputs: Vec<Input>) -> Vec<String> {
        let word = |input: Input| match input {
            Input::Put { name, json } => format!("{name} {json}").replace("00000000000000", ""),
            Input::User { name, here } => format!("{name} {here}").replace("00000000000000", ""),
            other => panic!("{other:?}"),
        };
        inputs.into_iter().map(word).collect()
    }

    #[test]
    fn members_are_listed_as_they_came() {
        let mut roster = Roster::new(&"a".parse().unwrap());
        assert_eq!(told(roster.replace(Vec::new())), ["roomful/a/members []", "roomful/a/names {}"]);
        roster.enter(member(2, "bo\u{1f}b"));
        assert_eq!(
            told(roster.enter(member(1, "ada"))),
            [
                "roomful/a/01 true",
                r#"roomful/a/members ["02","01"]"#,
                r#"roomful/a/names {"01":"ada","02":"bo\u001fb"}"#,
            ]
        );
        assert_eq!(told(roster.enter(member(2, "bob")))[1], r#"roomful/a/names {"01":"ada","02":"bob"}"#);
        assert_eq!(
            told(roster.leave(MemberId::from(2))),
            ["roomful/a/02 false", r#"roomful/a/members ["01"]"#, r#"roomful/a/names {"01":"ada"}"#]
        );
        assert!(roster.leave(MemberId::from(2)).is_empty());
    }

    #[test]
    fn what_was_missed_is_made_up_for() {
        let mut roster = Roster::new(&"a".parse().unwrap());
        for id in [3, 1, 2] {
            roster.enter(member(id, "x"));
        }
        assert_eq!(
            told(roster.replace(vec![member(0, "x"), member(2, "x"), member(3, "x")])),
            [
                "roomful/a/01 false",
                "roomful/a/00 true",
                r#"roomful/a/members ["03","02","00"]"#,
                r#"roomful/a/names {"00":"x","02":"x","03":"x"}"#,
            ]
        );
    }
}
