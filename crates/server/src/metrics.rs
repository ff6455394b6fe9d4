//! What the server counts, as Prometheus reads it.

use std::fmt;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use room::{hub::Counters, wire::signal::RefusalCode};

use crate::deepstream::{auth::Cause, desk::Report};

/// Counters and gauges of one server. They have a recorder of their own, so that several servers in one process keep
/// apart, and are looked up once, so that counting is one atomic addition.
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    refused: Vec<Counter>,
    http: [Counter; 6],
    connections: Gauge,
    rooms: Gauge,
    members: Gauge,
    hub: [Counter; HUB.len()],
    panics: Counter,
    relays: Gauge,
    received: Counter,
    received_bytes: Counter,
    sent: Counter,
    sent_bytes: Counter,
    tls_failed: Counter,
    deepstream: [Counter; DEEPSTREAM.len()],
    deepstream_failed: Counter,
    /// Logins that failed by no fault of a client, in the order of [`Cause::FAULTS`].
    login_faults: [Counter; Cause::FAULTS.len()],
    store_failed: Counter,
    deepstream_connections: Gauge,
    deepstream_records: Gauge,
    /// To rooms and to clients; what passed, and what was dropped.
    bridged: [[Counter; 2]; 2],
}

/// Where something goes over a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Room,
    Clients,
}

/// What hubs count: name, labels, where it is.
type HubCounter = (&'static str, &'static [(&'static str, &'static str)], fn(&Counters) -> u64);
const HUB: [HubCounter; 18] = [
    ("roomful_joins_total", &[("kind", "new")], |counters| counters.joined),
    ("roomful_joins_total", &[("kind", "resumed")], |counters| counters.resumed),
    ("roomful_gone_total", &[("reason", "left")], |counters| counters.left),
    ("roomful_gone_total", &[("reason", "crashed")], |counters| counters.crashed),
    ("roomful_gone_total", &[("reason", "unresponsive")], |counters| counters.unresponsive),
    ("roomful_gone_total", &[("reason", "timeout")], |counters| counters.timed_out),
    ("roomful_gone_total", &[("reason", "replaced")], |counters| counters.replaced),
    ("roomful_away_total", &[], |counters| counters.went_away),
    ("roomful_signals_total", &[("result", "passed_on")], |counters| counters.signals),
    ("roomful_signals_total", &[("result", "dropped")], |counters| counters.signals_dropped),
    ("roomful_state_writes_total", &[], |counters| counters.state_writes),
    ("roomful_attribute_writes_total", &[], |counters| counters.attribute_writes),
    ("roomful_pings_total", &[], |counters| counters.pings),
    ("roomful_carried_links_total", &[], |counters| counters.carriages),
    ("roomful_carried_messages_total", &[("result", "passed_on")], |counters| counters.carried),
    ("roomful_carried_messages_total", &[("result", "dropped")], |counters| counters.carried_dropped),
    ("roomful_carried_bytes_total", &[], |counters| counters.carried_bytes),
    ("roomful_topology_changes_total", &[], |counters| counters.switches),
];

/// What deepstream's engine counts: name, labels, where it is.
type EngineCounter = (&'static str, &'static [(&'static str, &'static str)], fn(&deepstream::Counters) -> u64);
const DEEPSTREAM: [EngineCounter; 11] = [
    ("roomful_deepstream_messages_total", &[("kind", "received")], |counters| counters.received),
    ("roomful_deepstream_messages_total", &[("kind", "garbage")], |counters| counters.garbage),
    ("roomful_deepstream_messages_total", &[("kind", "sent")], |counters| counters.sent),
    ("roomful_deepstream_logins_total", &[("result", "ok")], |counters| counters.logins),
    ("roomful_deepstream_logins_total", &[("result", "failed")], |counters| counters.logins_failed),
    ("roomful_deepstream_events_total", &[], |counters| counters.emitted),
    ("roomful_deepstream_writes_total", &[], |counters| counters.writes),
    ("roomful_deepstream_writes_merged_total", &[], |counters| counters.merged),
    ("roomful_deepstream_conflicts_total", &[], |counters| counters.conflicts),
    ("roomful_deepstream_calls_total", &[], |counters| counters.calls),
    ("roomful_deepstream_denied_total", &[], |counters| counters.denied),
];

const HELP: &[(&str, &str)] = &[
    ("roomful_joins_total", "Members that entered a room, new or resuming their session."),
    ("roomful_gone_total", "Members that are no longer in their room, by reason."),
    ("roomful_away_total", "Members whose socket ended without leave."),
    ("roomful_signals_total", "Link negotiation messages between members."),
    ("roomful_state_writes_total", "Writes to rooms' shared state."),
    ("roomful_attribute_writes_total", "Changes of members' attributes."),
    ("roomful_pings_total", "Pings to members that were silent or doubted."),
    (
        "roomful_carried_links_total",
        "Links between members that WebRTC did not join, and that the server began to carry.",
    ),
    ("roomful_carried_messages_total", "Messages between such members, carried over their WebSockets."),
    ("roomful_carried_bytes_total", "Bytes of these."),
    ("roomful_topology_changes_total", "Changes of a room's topology that were begun."),
    ("roomful_refused_total", "Refusals of joins, messages and connections, by code."),
    ("roomful_http_requests_total", "HTTP requests, by class of the response's status."),
    ("roomful_tls_failures_total", "TLS handshakes that failed or took too long."),
    ("roomful_room_failures_total", "Rooms ended by a bug."),
    ("roomful_messages_received_total", "Messages from members."),
    ("roomful_received_bytes_total", "Bytes of messages from members."),
    ("roomful_messages_sent_total", "Messages to members."),
    ("roomful_sent_bytes_total", "Bytes of messages to members."),
    ("roomful_connections", "WebSockets that are open."),
    ("roomful_rooms", "Rooms that there are."),
    ("roomful_members", "Members of rooms, away ones and relays included."),
    ("roomful_relays", "The server's own relays."),
    (
        "roomful_deepstream_messages_total",
        "Messages of deepstream's protocols, from and to clients, and those that made no sense.",
    ),
    ("roomful_deepstream_logins_total", "Logins of deepstream's clients."),
    ("roomful_deepstream_events_total", "Events that somebody was subscribed to."),
    ("roomful_deepstream_writes_total", "Writes to records and lists."),
    ("roomful_deepstream_writes_merged_total", "Writes to lists that were merged with others made at the same time."),
    ("roomful_deepstream_conflicts_total", "Writes to records that were refused for others made at the same time."),
    ("roomful_deepstream_calls_total", "Calls given to providers."),
    ("roomful_deepstream_denied_total", "Requests that the permissions did not allow."),
    ("roomful_deepstream_failures_total", "Engines ended by a bug."),
    (
        "roomful_deepstream_login_faults_total",
        "Logins that failed because the webhook did not do its work, or too many logged in.",
    ),
    ("roomful_deepstream_store_failures_total", "Attempts to store records that failed."),
    ("roomful_deepstream_bridged_total", "Messages over bridges between rooms and deepstream's clients."),
    ("roomful_deepstream_connections", "Connections of deepstream's clients."),
    ("roomful_deepstream_records", "Records and lists that there are."),
];

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let recorder = PrometheusBuilder::new().build_recorder();
        for &(name, help) in HELP {
            if name.ends_with("_total") {
                recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
            } else {
                recorder.describe_gauge(KeyName::from(name), Some(Unit::Count), help.into());
            }
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |name: &'static str, labels: &[(&'static str, &'static str)]| {
            let labels: Vec<Label> = labels.iter().map(|(key, value)| Label::from_static_parts(key, value)).collect();
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        let gauge = |name: &'static str| recorder.register_gauge(&Key::from_name(name), &metadata);
        let class = |class| counter("roomful_http_requests_total", &[("status", class)]);
        Metrics {
            refused: RefusalCode::ALL
                .iter()
                .map(|code| counter("roomful_refused_total", &[("code", code.as_str())]))
                .collect(),
            http: ["other", "1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            connections: gauge("roomful_connections"),
            rooms: gauge("roomful_rooms"),
            members: gauge("roomful_members"),
            hub: HUB.map(|(name, labels, _)| counter(name, labels)),
            relays: gauge("roomful_relays"),
            panics: counter("roomful_room_failures_total", &[]),
            received: counter("roomful_messages_received_total", &[]),
            received_bytes: counter("roomful_received_bytes_total", &[]),
            sent: counter("roomful_messages_sent_total", &[]),
            sent_bytes: counter("roomful_sent_bytes_total", &[]),
            tls_failed: counter("roomful_tls_failures_total", &[]),
            deepstream: DEEPSTREAM.map(|(name, labels, _)| counter(name, labels)),
            deepstream_failed: counter("roomful_deepstream_failures_total", &[]),
            login_faults: Cause::FAULTS
                .map(|(_, cause)| counter("roomful_deepstream_login_faults_total", &[("cause", cause)])),
            store_failed: counter("roomful_deepstream_store_failures_total", &[]),
            deepstream_connections: gauge("roomful_deepstream_connections"),
            deepstream_records: gauge("roomful_deepstream_records"),
            bridged: ["room", "clients"].map(|to| {
                let result = |result| counter("roomful_deepstream_bridged_total", &[("to", to), ("result", result)]);
                ["passed_on", "dropped"].map(result)
            }),
            handle: recorder.handle(),
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// A message from a member came.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.increment(1);
        self.received_bytes.increment(bytes as u64);
    }

    /// Messages to members were queued.
    pub(crate) fn sent(&self, messages: u64, bytes: usize) {
        if messages > 0 {
            self.sent.increment(messages);
            self.sent_bytes.increment(bytes as u64);
        }
    }

    /// Somebody was refused something.
    pub(crate) fn refused(&self, code: RefusalCode) {
        if let Some(counter) = self.refused.get(code as usize) {
            counter.increment(1);
        }
    }

    /// A room was opened (1) or closed (−1).
    pub(crate) fn rooms(&self, change: i8) {
        self.rooms.increment(f64::from(change));
    }

    /// A WebSocket is open, until what is returned is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.connections.increment(1.0);
        OpenConnection(self.connections.clone())
    }

    /// A relay of the server's own runs, until what is returned is dropped.
    pub(crate) fn relay(&self) -> OpenConnection {
        self.relays.increment(1.0);
        OpenConnection(self.relays.clone())
    }

    /// A room ended by a bug.
    pub(crate) fn panicked(&self) {
        self.panics.increment(1);
    }

    /// A TLS handshake failed.
    pub(crate) fn tls_failed(&self) {
        self.tls_failed.increment(1);
    }

    /// A request was answered.
    pub(crate) fn http(&self, status: u16) {
        let class = self.http.get(usize::from(status / 100)).unwrap_or(&self.http[0]);
        class.increment(1);
    }

    /// A hub has gone on: its counters, and how many members it has.
    pub(crate) fn hub(&self, (counters, members): &(Counters, usize), now: &(Counters, usize)) {
        for (counter, (_, _, read)) in self.hub.iter().zip(HUB) {
            let more = read(&now.0) - read(counters);
            if more > 0 {
                counter.increment(more);
            }
        }
        if members != &now.1 {
            self.members.increment(now.1 as f64 - *members as f64);
        }
    }
}

impl Metrics {
    /// deepstream's engine has gone on.
    pub(crate) fn deepstream(&self, before: &Report, now: &Report) {
        for (counter, (_, _, read)) in self.deepstream.iter().zip(DEEPSTREAM) {
            counter.increment(read(&now.counters).saturating_sub(read(&before.counters)));
        }
        self.deepstream_connections.set(now.connections as f64);
        self.deepstream_records.set(now.records as f64);
    }

    /// A message went over a bridge, or was dropped.
    pub(crate) fn bridged(&self, to: Side, is_passed_on: bool) {
        self.bridged[to as usize][usize::from(!is_passed_on)].increment(1);
    }

    /// A login failed by no fault of the client.
    pub(crate) fn login_faulty(&self, cause: Cause) {
        if let Some(at) = Cause::FAULTS.iter().position(|(known, _)| *known == cause) {
            self.login_faults[at].increment(1);
        }
    }

    /// Records could not be stored.
    pub(crate) fn store_failed(&self) {
        self.store_failed.increment(1);
    }

    /// deepstream's engine ended by a bug.
    pub(crate) fn deepstream_failed(&self) {
        self.deepstream_failed.increment(1);
    }
}

/// Counts an open WebSocket, or a relay.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
