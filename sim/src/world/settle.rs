//! What a room that nobody disturbs must come to.

use room::member::LinkState;

use super::{World, actor::Fate};

impl World {
    /// Why the room is not settled: at most so many reasons.
    pub(super) fn unsettled(&self, most: usize) -> Vec<String> {
        let mut reasons = Vec::new();
        let standing: Vec<usize> =
            (0..self.actors.len()).filter(|actor| self.actors[*actor].machine.is_some()).collect();
        let mut say = |reason: String| {
            reasons.push(reason);
            reasons.len() >= most
        };
        for actor in &standing {
            if self.actors[*actor].fate == Fate::Leaving && say(format!("{actor} is still leaving")) {
                return reasons;
            }
        }
        let Some(hub) = self.hub() else {
            say("the hub is down".to_owned());
            return reasons;
        };
        let present = hub.members() - hub.away();
        if (hub.members(), hub.away()) != (standing.len(), 0) {
            let reason = format!("{present} present and {} away at the hub, {} stand", hub.away(), standing.len());
            if say(reason) {
                return reasons;
            }
        }
        for actor in &standing {
            let actor = *actor;
            if let Some(reason) = self.roster_differs(actor, &standing) {
                if say(reason) {
                    return reasons;
                }
                continue;
            }
            if let Some(reason) = self.link_lacks(actor).or_else(|| self.share_differs(actor))
                && say(reason)
            {
                return reasons;
            }
        }
        let waiting = self.checks.delivery.outstanding(|actor| self.actors[actor].machine.is_some());
        let people: Vec<usize> = standing.into_iter().filter(|actor| !self.actors[*actor].is_relay()).collect();
        let waiting = waiting.or_else(|| self.checks.lossy.outstanding(&people));
        reasons.extend(waiting);
        if self.checks.calls.is_open() {
            reasons.push("a call is still open".to_owned());
        }
        reasons.truncate(most);
        reasons
    }

    /// A member's roster and its application's are those who stand, and who stand only.
    fn roster_differs(&self, actor: usize, standing: &[usize]) -> Option<String> {
        let mut known = self.known(actor);
        known.sort_unstable();
        let others: Vec<usize> =
            standing.iter().copied().filter(|other| *other != actor && !self.actors[*other].is_relay()).collect();
        if known != others {
            return Some(format!("{actor} knows {known:?}, and {others:?} stand"));
        }
        let machine = self.actors[actor].machine.as_ref()?;
        let heard: Vec<_> = self.actors[actor].app.roster.values().collect();
        (heard != machine.members().collect::<Vec<_>>()).then(|| format!("{actor} was told another roster than it has"))
    }

    /// A member has an open link to everybody whom the plan links it to, and to nobody else.
    fn link_lacks(&self, actor: usize) -> Option<String> {
        let (machine, plan) = (self.actors[actor].machine.as_ref()?, self.hub()?.planner());
        machine.members().chain(machine.relays()).find_map(|info| {
            let state = machine.link(info.id).map(|(state, _)| state);
            let other = self.numbers[&info.id];
            let wanted = plan.linked(self.actors[actor].id, info.id);
            if machine.is_carried(info.id) && !self.network.is_barred(actor, other) {
                return Some(format!("the hub still carries the link of {actor} to {other}"));
            }
            ((state == Some(LinkState::Open)) != wanted).then(|| format!("the link of {actor} to {other} is {state:?}"))
        })
    }

    /// A member's application has the hub's state and everybody's attributes.
    fn share_differs(&self, actor: usize) -> Option<String> {
        let hub = self.hub()?;
        let app = &self.actors[actor].app;
        if !app.has_joined() {
            return Some(format!("{actor} was never welcomed"));
        }
        let state = hub.state().iter().filter(|(_, entry)| !entry.value.is_null());
        if !state.map(|(key, entry)| (key, &entry.value)).eq(app.state.iter()) {
            return Some(format!("{actor} has another state than the hub"));
        }
        let lost = app
            .own_state
            .iter()
            .find(|(key, value)| hub.state().get(*key).map_or("null", |entry| entry.value.as_str()) != value.as_str());
        if let Some((key, _)) = lost {
            return Some(format!("what {actor} wrote to {key} is not there"));
        }
        hub.roster().find_map(|(member, _)| {
            if member.id == self.actors[actor].id {
                let stands = |(key, value): &(&String, &Option<String>)| member.attributes.get(*key) == value.as_ref();
                let lost = app.own_attributes.iter().find(|attribute| !stands(attribute));
                return lost.map(|(key, _)| format!("{actor} does not have its attribute {key}"));
            }
            let here = app.roster.get(&member.id)?;
            (here != member).then(|| format!("{actor} sees {} otherwise than the hub does", self.numbers[&member.id]))
        })
    }
}
