//! What the server itself does: it takes part without a connection, under names that are its own.

use std::{borrow::Cow, sync::Arc};

use super::{Engine, Output};
use crate::{json, limits, message::Reply, name::Name, payload::Payload, permission::Right};

impl Engine {
    /// An event from the server, to everybody who is subscribed to it.
    pub(super) fn emit_own(&mut self, name: &Name, json: Option<&str>) {
        let fits = json.is_none_or(|json| json.len() <= limits::FRAME_MAX);
        let Some(payload) = Payload::json(json).ok().filter(|_| fits) else {
            self.out.counters.garbage += 1;
            return;
        };
        if let Some(to) = self.events.recipients(name) {
            self.out.counters.emitted += 1;
            self.out.tell(to, None, &Reply::Event { name, payload: &payload });
        }
    }

    /// A record of the server's is from now on this, whatever it was.
    pub(super) fn put_own(&mut self, name: &Name, json: Arc<str>) {
        let is_record = json.len() <= limits::RECORD_MAX && json::check_record(&json).is_ok();
        if !is_record || !self.is_own(name) {
            self.out.counters.garbage += 1;
            return;
        }
        self.records.put(name, json, &mut self.out);
    }

    /// Somebody whom the server knows is there, or is not.
    pub(super) fn user_own(&mut self, name: &Name, here: bool) {
        self.presence.set_own(name, here, &mut self.out);
    }

    /// Gives the server an event of a client that it wants to know of.
    pub(super) fn tap(&mut self, name: &Name, payload: &Payload) {
        if self.config.taps.contains(name) {
            let json = payload.to_json().map(Cow::into_owned);
            self.out.push(Output::Emitted { name: name.clone(), json });
        }
    }

    /// Whether a name is the server's.
    pub(super) fn is_own(&self, name: &str) -> bool {
        self.config.reserved.as_ref().is_some_and(|pattern| pattern.matches(name, None))
    }

    /// Whether a client may do something with a name, for all that the server itself does with it: under its names
    /// clients look and listen, and emit what it wants to know of.
    pub(super) fn leaves(&self, right: Right, name: &str) -> bool {
        match right {
            Right::EventSubscribe | Right::EventListen | Right::RecordRead | Right::RecordListen | Right::Presence => {
                true
            }
            Right::EventPublish => self.config.taps.contains(name) || !self.is_own(name),
            Right::RecordCreate | Right::RecordWrite | Right::RecordDelete | Right::RpcProvide | Right::RpcRequest => {
                !self.is_own(name)
            }
        }
    }
}
