//! Which topology a room needs, with hysteresis: what has to hold for a topology to be entered is more than what it is
//! left for, it has to hold for a while, and a room stays for a while where it has moved to.

use super::{Members, Stats, Topology, star::Star};
use crate::{
    limits,
    time::{Micros, Time},
};

/// When a room moves. Shares are in percent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A mesh has at most so many members when it is entered.
    pub mesh_enter_members: u32,
    /// A mesh is left beyond so many members.
    pub mesh_leave_members: u32,
    /// A mesh of at most so many members is kept whatever they send: another topology would hardly save a copy.
    pub mesh_kept_members: u32,
    /// A mesh is left beyond so many members without waiting: each newcomer would be linked to all of them.
    pub mesh_crowd_members: u32,
    /// A mesh is entered where the busiest publisher, sending to everybody, uses at most this share of an uplink.
    pub mesh_enter_uplink: u64,
    /// A mesh is left where it uses more than this.
    pub mesh_leave_uplink: u64,
    /// A tree is entered with at most so many publishers.
    pub tree_enter_publishers: u32,
    /// A tree is left with more than this.
    pub tree_leave_publishers: u32,
    /// A tree is entered where passing all that is published on to all links but one uses more than this share of an
    /// uplink.
    pub tree_enter_uplink: u64,
    /// A tree is entered where the members' uplinks come to this share of what is published, times the members.
    pub tree_enter_supply: u64,
    /// A tree is left, for a star where there is a relay, where they come to less.
    pub tree_leave_supply: u64,
    /// A star is left for want of any reason where the members' uplinks come to this share.
    pub star_leave_supply: u64,
    /// A star is entered for audio and video with more members than this.
    pub star_enter_media: u32,
    /// A star for audio and video is left with at most so many.
    pub star_leave_media: u32,
    /// A star is entered where more than this share of the links goes over TURN.
    pub star_enter_turn: u32,
    /// Whether a star is always wanted where there is a relay.
    pub star_preferred: bool,
    /// How long a reason to go up has to hold (mesh, small world, tree, star: in this order).
    pub hold_up: Micros,
    /// How long a reason to go down has to hold.
    pub hold_down: Micros,
    /// How long the reason to enter a tree has to hold.
    pub hold_tree: Micros,
    /// How long the reasons for a star have to be gone.
    pub hold_star: Micros,
    /// How long a room stays where it moved to.
    pub dwell: Micros,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            mesh_enter_members: 8,
            mesh_leave_members: 12,
            mesh_kept_members: 4,
            mesh_crowd_members: 24,
            mesh_enter_uplink: 50,
            mesh_leave_uplink: 70,
            tree_enter_publishers: 4,
            tree_leave_publishers: 8,
            tree_enter_uplink: 50,
            tree_enter_supply: 130,
            tree_leave_supply: 110,
            star_leave_supply: 150,
            star_enter_media: 6,
            star_leave_media: 4,
            star_enter_turn: 30,
            star_preferred: false,
            hold_up: Micros::from_secs(10),
            hold_down: Micros::from_secs(30),
            hold_tree: Micros::from_secs(20),
            hold_star: Micros::from_secs(60),
            dwell: Micros::from_secs(30),
        }
    }
}

/// The choice as it stands.
#[derive(Debug)]
pub(super) struct Choice {
    thresholds: Thresholds,
    pub(super) stats: Stats,
    pub(super) pin: Option<Topology>,
    now: Time,
    /// Where the room should go, and since when.
    candidate: Option<(Topology, Time)>,
    /// Since when a star would fit, though there may be no relay for it yet.
    star_since: Option<Time>,
    /// Since when it is, or tries no more to be another than, what it is.
    settled: Option<Time>,
    /// Whether it ever moved, or tried to.
    has_moved: bool,
}

impl Choice {
    pub(super) fn new(thresholds: Thresholds) -> Choice {
        let (stats, pin, now) = (Stats::default(), None, Time::default());
        Choice { thresholds, stats, pin, now, candidate: None, star_since: None, settled: None, has_moved: false }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, members: &Members, current: Topology, degree: usize, now: Time) {
        self.now = now;
        self.settled.get_or_insert(now);
        let Fit { ideal, otherwise } = self.fit(members, current, degree);
        self.star_since = (ideal == Topology::Star).then(|| self.star_since.unwrap_or(now));
        let fit = if offers(members, ideal, current) { ideal } else { otherwise };
        match self.candidate {
            _ if fit == current => self.candidate = None,
            Some((candidate, _)) if candidate == fit => {}
            _ => self.candidate = Some((fit, now)),
        }
    }

    /// The room begins to move, or gives that up.
    pub(super) fn moved(&mut self) {
        self.candidate = None;
        self.settled = Some(self.now);
        self.has_moved = true;
    }

    /// Where the room should go now, if anywhere else.
    pub(super) fn due(&self, members: &Members, current: Topology) -> Option<Topology> {
        let wanted = match self.pin {
            Some(pin) if offers(members, pin, current) => Some(pin),
            Some(_) => Some(Topology::Tree),
            None if !offers(members, current, current) => Some(Topology::Tree),
            None => {
                let (fit, since) = self.candidate?;
                let crowd = current == Topology::Mesh && members.supply.count > self.thresholds.mesh_crowd_members;
                // A room that has just been opened is not bound to what it opened as.
                let dwelt = !self.has_moved && crowd
                    || self.settled.is_some_and(|settled| self.now.since(settled) >= self.thresholds.dwell);
                let held = crowd || self.now.since(since) >= self.hold(current, fit);
                (dwelt && held).then_some(fit)
            }
        };
        wanted.filter(|wanted| *wanted != current)
    }

    /// Whether the room is to be a star, if only there were a relay.
    pub(super) fn lacks_relay(&self) -> bool {
        let since = self.star_since.filter(|_| self.pin.is_none());
        since.is_some_and(|since| self.now.since(since) >= self.thresholds.hold_up)
    }

    /// Whether time alone may move the room.
    pub(super) fn is_restless(&self, members: &Members, current: Topology, degree: usize) -> bool {
        match self.pin {
            Some(pin) => pin != current,
            None => self.candidate.is_some() || self.fit(members, current, degree).ideal != current,
        }
    }

    fn hold(&self, from: Topology, to: Topology) -> Micros {
        match (from, to) {
            (_, Topology::Tree) if from < to => self.thresholds.hold_tree,
            (Topology::Star, _) => self.thresholds.hold_star,
            _ if from < to => self.thresholds.hold_up,
            _ => self.thresholds.hold_down,
        }
    }

    /// The topology that fits the room as it is; where it is in doubt, the present one.
    fn fit(&self, members: &Members, current: Topology, degree: usize) -> Fit {
        let of = &self.thresholds;
        let stats = &self.stats;
        let count = u64::from(members.supply.count);
        let (stay, median) = (|topology| current == topology, members.supply.median_kbps());
        let wanted = |share: u64| u128::from(share) * u128::from(count) * u128::from(stats.rate_kbps);
        let supply = 100 * u128::from(members.supply.total_kbps);
        let scarce = if stay(Topology::Star) {
            supply < wanted(of.star_leave_supply)
        } else {
            supply < wanted(of.tree_leave_supply)
        };
        let media_members = if stay(Topology::Star) { of.star_leave_media } else { of.star_enter_media };
        let star = of.star_preferred
            || stats.media && count > u64::from(media_members)
            || count > 2 && stats.turn_percent > of.star_enter_turn;
        let (mesh_members, mesh_share) = if stay(Topology::Mesh) {
            (of.mesh_leave_members, of.mesh_leave_uplink)
        } else {
            (of.mesh_enter_members, of.mesh_enter_uplink)
        };
        let fan_out = u64::from(stats.busiest_kbps) * count.saturating_sub(1);
        let mesh = count <= u64::from(mesh_members)
            && (count <= u64::from(of.mesh_kept_members) || fan_out * 100 <= median * mesh_share);
        let relayed = u64::from(stats.rate_kbps) * (degree as u64 - 1);
        let tree = if stay(Topology::Tree) {
            stats.publishers <= of.tree_leave_publishers && stats.rate_kbps > 0
        } else {
            stats.publishers <= of.tree_enter_publishers
                && relayed * 100 > median * of.tree_enter_uplink
                && supply >= wanted(of.tree_enter_supply)
        };
        let otherwise = if mesh {
            Topology::Mesh
        } else if scarce || tree {
            Topology::Tree
        } else {
            Topology::SmallWorld
        };
        let ideal = if star || !mesh && scarce { Topology::Star } else { otherwise };
        Fit { ideal, otherwise }
    }
}

/// What fits a room.
struct Fit {
    ideal: Topology,
    /// What comes nearest to it, as long as there are no relays.
    otherwise: Topology,
}

/// Whether a room can be linked in a way: a star needs relays with room for everybody, and one that is there is kept as
/// long as there is any.
pub(super) fn offers(members: &Members, topology: Topology, current: Topology) -> bool {
    if topology != Topology::Star {
        return true;
    }
    let mut present = members.relays().filter(|relay| members.present(*relay)).take(limits::RELAYS_COMPARED).peekable();
    if current == Topology::Star {
        return present.peek().is_some();
    }
    let room: u64 = present.map(|relay| u64::from(Star::capacity(members, relay))).sum();
    room > 0 && room >= u64::from(members.supply.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::MemberId, plan::Profile};

    /// A room of which the hub looks at once a second.
    struct Room {
        members: Members,
        choice: Choice,
        topology: Topology,
        second: u64,
    }

    impl Room {
        fn new(count: u64) -> Room {
            let mut room = Room {
                members: Members::default(),
                choice: Choice::new(Thresholds::default()),
                topology: Topology::Mesh,
                second: 0,
            };
            room.grow(count);
            room.wait(31);
            room
        }

        fn grow(&mut self, count: u64) {
            for _ in 0..count {
                let id = MemberId::from(self.members.live.len() as u64);
                self.members.join(id, Profile::default());
            }
        }

        fn size(&self) -> u64 {
            self.members.live.len() as u64
        }

        /// The last to enter leave, until so many are left.
        fn shrink(&mut self, count: u64) {
            for left in count..self.size() {
                self.members.leave(self.members.slot(MemberId::from(left)).expect("it is in"));
            }
        }

        fn relay(&mut self, max_links: u16) {
            let id = MemberId::from(u64::from(max_links) << 32);
            self.members.join(id, Profile { relay: true, max_links, ..Profile::default() });
        }

        fn publish(&mut self, publishers: u32, kbps: u32, media: bool) {
            let (rate_kbps, busiest_kbps) = (publishers * kbps, kbps);
            self.choice.stats = Stats { publishers, rate_kbps, busiest_kbps, media, turn_percent: 0 };
        }

        /// Waits, and moves where the choice says; after how many seconds it did.
        fn wait(&mut self, seconds: u64) -> Option<u64> {
            for waited in 0..seconds {
                self.second += 1;
                let now = Time::default() + Micros::from_secs(self.second);
                self.choice.tick(&self.members, self.topology, limits::SMALL_WORLD_DEGREE, now);
                if let Some(to) = self.choice.due(&self.members, self.topology) {
                    self.topology = to;
                    self.choice.moved();
                    return Some(waited);
                }
            }
            None
        }
    }

    #[test]
    fn a_growing_room_leaves_the_mesh_beyond_twelve_and_comes_back_at_eight() {
        let mut room = Room::new(12);
        assert_eq!((room.wait(60), room.topology), (None, Topology::Mesh));
        room.grow(1);
        assert_eq!((room.wait(60), room.topology), (Some(10), Topology::SmallWorld));
        room.shrink(12);
        assert_eq!(room.wait(100), None, "twelve are too many for a new mesh");
        room.shrink(8);
        assert_eq!((room.wait(100), room.topology), (Some(30), Topology::Mesh));
    }

    #[test]
    fn a_crowd_does_not_stay_in_a_mesh_for_a_second() {
        let mut room = Room::new(2);
        room.grow(22);
        assert_eq!(room.wait(9), None);
        room.grow(1);
        assert_eq!((room.wait(9), room.topology), (Some(0), Topology::SmallWorld));
        // Where its links did not open it stays a mesh, and tries again a while later.
        room.topology = Topology::Mesh;
        assert_eq!(room.wait(60), Some(29));
    }

    #[test]
    fn a_room_at_a_threshold_stays_as_it_is() {
        // Each time members come, and go again before it has lasted.
        let flap = |room: &mut Room, members: u64| {
            for _ in 0..60 {
                room.shrink(members);
                assert_eq!(room.wait(9), None);
                room.grow(1);
                assert_eq!(room.wait(9), None);
            }
        };
        let mut room = Room::new(12);
        flap(&mut room, 12);
        assert_eq!(room.topology, Topology::Mesh);
        room.grow(25 - room.size());
        room.wait(1);
        assert_eq!(room.topology, Topology::SmallWorld, "a crowd");
        flap(&mut room, 24);
        room.shrink(9);
        flap(&mut room, 8);
        assert_eq!(room.topology, Topology::SmallWorld);
    }

    #[test]
    fn small_rooms_stay_meshes_whoever_comes_and_goes_and_a_handful_whatever_they_say() {
        let mut room = Room::new(2);
        for count in [8, 2, 5, 8, 3, 12, 2] {
            room.shrink(count.min(room.size()));
            room.grow(count - room.size());
            assert_eq!((room.wait(20), room.topology), (None, Topology::Mesh));
        }
        room.grow(2);
        room.publish(4, 900_000, false);
        assert_eq!((room.wait(120), room.topology), (None, Topology::Mesh));
        room.grow(1);
        assert!(room.wait(120).is_some(), "a copy for each of five is too much for what they say");
    }

    #[test]
    fn a_relay_is_lacked_when_a_star_has_been_wanted_for_a_while() {
        let mut room = Room::new(10);
        room.choice.stats = Stats { turn_percent: 80, ..Stats::default() };
        room.wait(10);
        assert!(!room.choice.lacks_relay());
        room.wait(1);
        assert!(room.choice.lacks_relay());
        room.choice.pin = Some(Topology::Mesh);
        assert!(!room.choice.lacks_relay());
    }

    #[test]
    fn few_who_send_a_lot_get_a_tree_as_long_as_uplinks_suffice() {
        let mut room = Room::new(40);
        assert_eq!((room.wait(20), room.topology), (None, Topology::SmallWorld));
        room.wait(31);
        room.publish(2, 500, false);
        assert_eq!((room.wait(60), room.topology), (Some(20), Topology::Tree));
        room.publish(9, 100, false);
        assert_eq!((room.wait(90), room.topology), (Some(30), Topology::SmallWorld));
        room.publish(4, 2_000, false);
        assert_eq!((room.wait(90), room.topology), (Some(29), Topology::Tree), "no relay: a tree has to do");
        room.relay(100);
        assert_eq!((room.wait(90), room.topology), (Some(29), Topology::Star));
        room.publish(1, 0, false);
        assert_eq!((room.wait(90), room.topology), (Some(60), Topology::SmallWorld));
    }

    #[test]
    fn what_comes_and_goes_moves_nobody() {
        let mut room = Room::new(40);
        room.relay(100);
        room.wait(40);
        for _ in 0..10 {
            room.publish(1, 100, true);
            assert_eq!(room.wait(9), None);
            room.publish(1, 100, false);
            assert_eq!(room.wait(9), None);
        }
    }

    #[test]
    fn a_pin_is_followed_at_once_and_a_star_without_relays_is_a_tree() {
        let mut room = Room::new(5);
        room.choice.pin = Some(Topology::SmallWorld);
        assert_eq!((room.wait(2), room.topology), (Some(0), Topology::SmallWorld));
        room.choice.pin = Some(Topology::Star);
        assert_eq!((room.wait(2), room.topology), (Some(0), Topology::Tree));
        room.relay(8);
        assert_eq!((room.wait(2), room.topology), (None, Topology::Tree), "it has room for three");
        room.relay(20);
        assert_eq!((room.wait(2), room.topology), (Some(0), Topology::Star));
        room.choice.pin = None;
        assert_eq!((room.wait(99), room.topology), (Some(60), Topology::Mesh));
    }

    #[test]
    fn a_star_that_loses_its_relays_becomes_a_tree_without_waiting() {
        let mut room = Room::new(5);
        room.relay(20);
        room.choice.pin = Some(Topology::Star);
        room.wait(1);
        room.choice.pin = None;
        let relay = room.members.relays().next().expect("there is one");
        room.members.drain(relay);
        assert_eq!((room.wait(1), room.topology), (Some(0), Topology::Tree));
    }
}
