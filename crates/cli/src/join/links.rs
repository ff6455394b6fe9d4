//! Tells the others whom this member is linked to, as the web app does: its drawing of a room is made of what every
//! member says about its own links.

use std::{collections::BTreeMap, future::pending, time::Duration};

use roomful::{Event, Link, LinkState, MemberId, Membership, Mode, Payload};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

/// Where the web app publishes and reads links; see `app/links.js`.
const CHANNEL: &str = "links";
/// Links that are told of: they fit into one message of mode `latest`.
const LINKS_PUBLISHED: usize = 300;
/// How long news waits for more of it: that a link changed its state, and that only round-trip times changed.
const STATES_PAUSE: Duration = Duration::from_millis(150);
const TIMES_PAUSE: Duration = Duration::from_secs(2);

/// This member's links, and what the others know of them.
pub struct Links {
    /// Those to members that are in the room, and not closed.
    open: BTreeMap<MemberId, Row>,
    told: Option<Report>,
    due: Option<Instant>,
}

/// `{links: [[id, state, path, rtt_ms], …]}`; no path where unknown is `""`, no round-trip time `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Report {
    links: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row(MemberId, LinkState, String, Option<f64>);

impl Links {
    /// Of a member that has just entered: that it has no links yet is worth telling too.
    pub fn new(now: Instant) -> Links {
        Links { open: BTreeMap::new(), told: None, due: Some(now + STATES_PAUSE) }
    }

    /// Learns from what happens in the room.
    pub fn event(&mut self, event: &Event, membership: &Membership, now: Instant) {
        match event {
            Event::Link(link) => self.changed(link, now),
            Event::MemberLeave { member, .. } => self.retain(|id| id != member.id, now),
            // Departures may have been among them. States are told again with the next round-trip times.
            Event::Missed { .. } => self.retain(|id| membership.member(id).is_some(), now),
            _ => {}
        }
    }

    fn changed(&mut self, link: &Link, now: Instant) {
        let before = self.open.get(&link.member).map(|row| row.1);
        let pause = if before == Some(link.state) { TIMES_PAUSE } else { STATES_PAUSE };
        if link.state == LinkState::Closed {
            self.open.remove(&link.member);
        } else {
            let rtt_ms = link.rtt.map(coarse);
            self.open.insert(link.member, Row(link.member, link.state, link.path.clone().unwrap_or_default(), rtt_ms));
        }
        self.publish_by(now + pause);
    }

    fn retain(&mut self, is_here: impl Fn(MemberId) -> bool, now: Instant) {
        self.open.retain(|id, _| is_here(*id));
        self.publish_by(now + STATES_PAUSE);
    }

    fn publish_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Waits until [`Links::publish`] is due.
    pub async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// Tells the others, unless they know. Waits for the driver at most, never for the network.
    pub async fn publish(&mut self, membership: &Membership) {
        if let Some(report) = self.news() {
            let report = Payload::value(&report).expect("a list of short rows is neither deep nor long");
            // A member that may not speak is not drawn with links of its own; one that is out has none.
            let _ = membership.channel(CHANNEL).mode(Mode::Latest).send(report).await;
        }
    }

    /// What the others do not know yet, where there is such a thing.
    fn news(&mut self) -> Option<Report> {
        self.due = None;
        let report = Report { links: self.open.values().take(LINKS_PUBLISHED).cloned().collect() };
        if self.told.as_ref() == Some(&report) {
            return None;
        }
        self.told = Some(report.clone());
        Some(report)
    }
}

/// Whole milliseconds, so that a trembling clock is not news.
fn coarse(rtt: Duration) -> f64 {
    let ms = rtt.as_secs_f64() * 1_000.0;
    if ms < 1.0 { 0.5 } else { ms.round() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn member(id: u64) -> MemberId {
        format!("{id:016x}").parse().expect("sixteen digits")
    }

    fn link(id: u64, state: LinkState, rtt_us: u64) -> Link {
        let rtt = (rtt_us > 0).then(|| Duration::from_micros(rtt_us));
        let path = (state == LinkState::Open).then(|| "host".to_owned());
        Link { member: member(id), state, path, rtt, reason: None }
    }

    fn told(links: &mut Links) -> Option<Value> {
        links.news().map(|report| Payload::value(&report).expect("a value").to_json().expect("JSON"))
    }

    #[test]
    fn links_are_told_as_the_web_app_reads_them() {
        let now = Instant::now();
        let mut links = Links::new(now);
        assert_eq!(told(&mut links), Some(json!({ "links": [] })));
        links.changed(&link(2, LinkState::Open, 1_600), now);
        links.changed(&link(1, LinkState::Connecting, 0), now);
        links.changed(&link(3, LinkState::Open, 90), now);
        links.changed(&link(4, LinkState::Failed, 0), now);
        links.changed(&link(4, LinkState::Closed, 0), now);
        let rows = json!([
            ["0000000000000001", "connecting", "", null],
            ["0000000000000002", "open", "host", 2],
            ["0000000000000003", "open", "host", 0.5],
        ]);
        assert_eq!(told(&mut links), Some(json!({ "links": rows })));
    }

    #[test]
    fn nothing_is_told_twice_and_times_wait_longer_than_states() {
        let now = Instant::now();
        let mut links = Links::new(now);
        links.changed(&link(1, LinkState::Open, 1_900), now);
        assert_eq!(links.due, Some(now + STATES_PAUSE));
        assert!(told(&mut links).is_some());
        assert_eq!(links.due, None);

        links.changed(&link(1, LinkState::Open, 2_100), now);
        assert_eq!(links.due, Some(now + TIMES_PAUSE));
        assert_eq!(told(&mut links), None, "the same in whole milliseconds");

        links.changed(&link(1, LinkState::Open, 9_000), now);
        let later = now + Duration::from_secs(1);
        links.changed(&link(1, LinkState::Suspect, 0), later);
        assert_eq!(links.due, Some(later + STATES_PAUSE));
        links.changed(&link(1, LinkState::Suspect, 0), later);
        assert_eq!(links.due, Some(later + STATES_PAUSE), "news does not put off news");
        assert!(told(&mut links).is_some());
    }

    #[test]
    fn a_report_of_the_most_links_fits_into_one_message() {
        let mut links = Links::new(Instant::now());
        for id in 0..1_000 {
            let link =
                Link { path: Some("reflexive".to_owned()), ..link(u64::MAX - id, LinkState::Connecting, 599_000_000) };
            links.changed(&link, Instant::now());
        }
        let report = links.news().expect("news");
        assert_eq!(report.links.len(), LINKS_PUBLISHED);
        let bytes = Payload::value(&report).expect("a value").into_cbor().len();
        assert!(bytes <= room::limits::LOSSY_MAX, "{bytes}");
    }
}
