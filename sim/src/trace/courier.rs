//! Traces of couriers: what one was given, and what came out of it.
//!
//! The first line makes the courier (`{"courier": id}`); each other one is a turn, as in traces of members. What came out
//! is drained in the order of the fields: events, then packets, by the links that had some. What a turn did not bring about is
//! left out.

mod garble;
mod room;
mod runs;

use ::room::{
    courier::{Beginning, Counters, Courier, Event, LinkError, LinkUp, Plan},
    id::MemberId,
    time::{Micros, Time},
    wire::{
        frame::{Head, Kind, NUMBER_MAX, PacketReader},
        hex,
    },
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(super) use self::runs::all;
use super::ReplayError;

/// How a courier's trace begins.
pub(super) const BEGINNING: &str = "{\"courier\"";

/// Bytes, as they are [written](hex).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hex(#[serde(with = "hex")] pub Bytes);

/// What is asked of a courier; see its methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum Input {
    MetAll,
    Plan { epoch: u64, relayed: bool, eager: Vec<MemberId> },
    Entered { id: MemberId, later: bool },
    Gone(MemberId),
    Forget(MemberId),
    LinkUp { peer: MemberId, vouches: bool, offer_from: Option<Time> },
    LinkDown(MemberId),
    Suspect { peer: MemberId, suspect: bool },
    Measured { peer: MemberId, rtt: Micros },
    Route { to: MemberId, path: Vec<MemberId> },
    Expect(MemberId),
    ExpectNoMore(MemberId),
    Detour(MemberId),
    Send { to: Option<MemberId>, ticket: Option<u64>, kind: Kind, channel: String, payload: Hex },
    Packet { peer: MemberId, bytes: Hex },
    Buffered { peer: MemberId, bytes: usize },
    Hold { origin: MemberId, bytes: usize },
    Consumed { origin: MemberId, bytes: usize },
    Tick,
    Close,
}

/// A courier's event, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum Said {
    Open(MemberId),
    Sent(u64),
    Unroutable(MemberId),
    Unreached(MemberId),
    Message { origin: MemberId, addressed: bool, seq: u64, hop: u8, kind: Kind, channel: String, payload: Hex },
    Gap { origin: MemberId, addressed: bool, from: u64, to: u64 },
}

/// What came out of a courier in one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcome {
    /// How the packet broke the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of messages that will not be sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<u64>,
    /// What it said, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Said>,
    /// What it sent, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packets: Vec<(MemberId, Hex)>,
    /// What is kept of what this member said, in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub kept: usize,
    /// Whether nobody who can be reached lacks any of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flushed: bool,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A line of a trace.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Line {
    /// First: the courier is made.
    Begin { courier: MemberId },
    /// A turn of the courier.
    Turn {
        at: Time,
        input: Input,
        #[serde(flatten)]
        outcome: Outcome,
        due: Option<Time>,
    },
    /// Last: what it has done.
    End { counters: [u64; 8] },
}

/// A line as it is read.
#[derive(Deserialize)]
struct Read {
    courier: Option<MemberId>,
    at: Option<Time>,
    input: Option<Input>,
    #[serde(flatten)]
    outcome: serde_json::Map<String, serde_json::Value>,
    due: Option<Time>,
    counters: Option<[u64; 8]>,
}

/// A courier and what surrounds it.
#[derive(Debug)]
struct Turning {
    courier: Courier,
}

impl Turning {
    fn new(id: MemberId) -> Turning {
        Turning { courier: Courier::new(id, Time(0)) }
    }

    /// Gives it an input, and takes what comes out.
    fn turn(&mut self, now: Time, input: &Input) -> Outcome {
        let mut outcome = Outcome::default();
        match self.take(now, input) {
            Ok(tickets) => outcome.tickets = tickets,
            Err(error) => outcome.error = Some(error.to_string()),
        }
        let courier = &mut self.courier;
        outcome.events.extend(std::iter::from_fn(|| courier.poll_event()).filter_map(Said::of));
        while let Some(peer) = courier.poll_dirty() {
            while let Some(packet) = courier.next_packet(now, peer) {
                outcome.packets.push((peer, Hex(packet)));
            }
        }
        (outcome.kept, outcome.flushed) = (courier.kept(), courier.is_flushed());
        outcome
    }

    fn take(&mut self, now: Time, input: &Input) -> Result<Vec<u64>, LinkError> {
        let courier = &mut self.courier;
        match input.clone() {
            Input::MetAll => courier.met_all(),
            Input::Plan { epoch, relayed, eager } => {
                courier.plan(now, Plan { epoch, relayed, eager: eager.into_iter().collect() });
            }
            Input::Entered { id, later } => {
                let beginning = if later { Beginning::At(1) } else { Beginning::Before };
                courier.entered(now, id, beginning);
            }
            Input::Gone(id) => courier.gone(now, id),
            Input::Forget(id) => return Ok(courier.forget(now, id)),
            Input::LinkUp { peer, vouches, offer_from } => courier.link_up(now, peer, LinkUp { vouches, offer_from }),
            Input::LinkDown(peer) => courier.link_down(now, peer),
            Input::Suspect { peer, suspect } => courier.suspect(now, peer, suspect),
            Input::Measured { peer, rtt } => courier.measured(peer, rtt),
            Input::Route { to, path } => {
                courier.route(now, to, &path);
            }
            Input::Expect(peer) => courier.expect(now, peer),
            Input::ExpectNoMore(peer) => courier.expect_no_more(now, peer),
            Input::Detour(origin) => courier.detour(now, origin),
            Input::Send { to, ticket, kind, channel, payload } => {
                if courier.has_room_for(to, payload.0.len()) {
                    courier.send(now, to, ticket, Head { kind, channel }, payload.0);
                }
            }
            Input::Packet { peer, bytes } => {
                for frame in PacketReader::new(bytes.0)?.raw() {
                    courier.frame(now, peer, frame?)?;
                }
            }
            Input::Buffered { peer, bytes } => courier.buffered(peer, bytes),
            Input::Hold { origin, bytes } => courier.hold(origin, bytes),
            Input::Consumed { origin, bytes } => courier.consumed(now, origin, bytes),
            Input::Tick => courier.tick(now),
            Input::Close => return Ok(courier.close()),
        }
        Ok(Vec::new())
    }

    fn counters(&self) -> [u64; 8] {
        let Counters { fresh, duplicates, early, pushed, grafts, prunes, told, lost, .. } = *self.courier.counters();
        // Who lies about numbers brings about losses beyond what JavaScript counts.
        [fresh, duplicates, early, pushed, grafts, prunes, told, lost.min(NUMBER_MAX)]
    }
}

impl Said {
    fn of(event: Event) -> Option<Said> {
        Some(match event {
            Event::Open { peer } => Said::Open(peer),
            Event::Sent { ticket } => Said::Sent(ticket),
            Event::Unroutable { to } => Said::Unroutable(to),
            Event::Unreached { origin } => Said::Unreached(origin),
            Event::Message { origin, addressed, seq, hop, head: Head { kind, channel }, payload } => {
                Said::Message { origin, addressed, seq, hop, kind, channel, payload: Hex(payload) }
            }
            Event::Gap { origin, addressed, from, to } => Said::Gap { origin, addressed, from, to },
            _ => return None,
        })
    }
}

/// Gives a courier what a trace gave the recorded one.
pub(super) fn replay(text: &str) -> Result<(), ReplayError> {
    let mut turning: Option<Turning> = None;
    for (line, text) in (1..).zip(text.lines()) {
        let unreadable = |error| ReplayError::Line { line, error };
        let read: Read = serde_json::from_str(text).map_err(unreadable)?;
        let (seen, recorded) = match (read.courier, read.at, read.input, read.counters, &mut turning) {
            (Some(id), None, None, None, None) => {
                turning = Some(Turning::new(id));
                continue;
            }
            (None, Some(at), Some(input), None, Some(turning)) => {
                let recorded = serde_json::from_value::<Outcome>(read.outcome.into()).map_err(unreadable)?;
                let seen = turning.turn(at, &input);
                let due = turning.courier.poll_timeout();
                (format!("{:?}", (seen, due)), format!("{:?}", (recorded, read.due)))
            }
            (None, None, None, Some(counters), Some(turning)) => {
                (format!("{:?}", turning.counters()), format!("{counters:?}"))
            }
            _ => return Err(ReplayError::Order(line)),
        };
        if seen != recorded {
            return Err(ReplayError::Differs { line, seen, recorded });
        }
    }
    Ok(())
}
