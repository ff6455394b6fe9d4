//! What happens in the rooms of which traces are recorded: one thing each that a member must get right.

use std::collections::BTreeSet;

use room::{
    limits,
    time::{Micros, Time},
};

use super::{Recorder, Trace};
use crate::{
    Faults, Network, Scenario, Work,
    schedule::{Action, Saying, Schedule, To},
    world::World,
};

/// A room written by hand.
pub(super) struct Script {
    name: &'static str,
    /// Who is recorded.
    actor: usize,
    topology: &'static str,
    loss: f64,
    actions: Vec<(Time, Action)>,
}

/// All of them.
pub(super) fn all() -> Vec<Script> {
    vec![
        join(),
        parting(),
        links(),
        chunks(),
        gap(),
        resume(),
        restart(),
        suspicion(),
        relink(),
        carried(),
        sleep(),
        latest(),
        calls(),
        state(),
        relayed("small-world", "small-world", 8, 1, 4),
        relayed("tree", "tree", 7, 1, 4),
        relayed("star", "star", 6, 1, 4),
        // The server's relay comes behind all others.
        relayed("relay", "star", 6, 1, 7),
    ]
}

/// Somebody is there, somebody comes, both say something, one leaves, then the recorded one does.
fn join() -> Script {
    let mut actions = entering(3);
    for actor in 0..3 {
        actions.push((ms(600), message(actor, To::Room, 20 + actor)));
        actions.push((ms(650), message(actor, To::Actor((actor + 1) % 3), 0)));
    }
    actions.push((ms(900), Action::Leave(0)));
    actions.push((ms(1_000), message(1, To::Room, 5)));
    actions.push((ms(1_200), Action::Leave(1)));
    Script { name: "join", actor: 1, topology: "mesh", loss: 0.0, actions }
}

/// Links that their other ends close: of one that leaves, and of one that leaves while its socket is dead, so that the hub
/// has to find out.
fn parting() -> Script {
    let mut actions = vec![(ms(0), Action::Enter(1)), (ms(100), Action::Enter(0))];
    actions.extend([(ms(200), Action::Enter(2)), (ms(300), Action::Enter(3))]);
    actions.push((ms(700), Action::Leave(1)));
    actions.push((ms(900), Action::Cut { actor: 2, member_notices: None, hub_notices: None }));
    actions.push((ms(1_000), Action::Leave(2)));
    Script { name: "parting", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A link that does not open at first, loses its path and is mended by ICE; then its peer hangs.
fn links() -> Script {
    let mut actions = vec![(ms(0), Action::Enter(0)), (ms(100), partition(&[0], false, 2_000))];
    actions.push((ms(200), Action::Enter(1)));
    actions.push((ms(300), message(0, To::Room, 30)));
    actions.push((ms(12_000), Action::Rebind { a: 0, b: 1 }));
    actions.push((ms(12_100), message(1, To::Room, 30)));
    actions.push((ms(12_200), message(0, To::Room, 30)));
    actions.push((ms(17_000), Action::Crash { actor: 1, hangs: true }));
    Script { name: "links", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// Messages of several chunks, each way.
fn chunks() -> Script {
    let mut actions = entering(2);
    actions.push((ms(500), message(0, To::Room, limits::CHUNK + 100)));
    actions.push((ms(600), message(1, To::Actor(0), limits::CHUNK + 100)));
    Script { name: "chunks", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A member is cut off for so long that it is given up, and comes back: what was said meanwhile is a gap.
fn gap() -> Script {
    let mut actions = entering(3);
    actions.push((ms(700), message(1, To::Room, 10)));
    actions.push((ms(1_000), partition(&[0], true, 6_000)));
    actions.push((ms(6_000), message(1, To::Room, 11)));
    actions.push((ms(6_100), message(0, To::Room, 12)));
    actions.push((ms(9_500), message(1, To::Room, 13)));
    Script { name: "gap", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// The socket is cut while messages and changes are under way; the session goes on.
fn resume() -> Script {
    let mut actions = entering(3);
    actions.push((ms(600), write(0, 1, false)));
    let soon = Some(Micros::from_millis(1));
    actions.push((ms(700), Action::Cut { actor: 0, member_notices: soon, hub_notices: soon }));
    actions.push((ms(705), write(0, 2, false)));
    actions.push((ms(706), pin(0, "mesh")));
    actions.push((ms(710), write(1, 3, false)));
    actions.push((ms(720), message(0, To::Room, 10)));
    actions.push((ms(730), message(1, To::Room, 10)));
    actions.push((ms(740), Action::Enter(3)));
    actions.push((ms(1_500), message(3, To::Room, 10)));
    Script { name: "resume", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// The hub restarts, with a word and without; one member does not survive it.
fn restart() -> Script {
    let mut actions = entering(3);
    actions.push((ms(500), write(0, 1, false)));
    actions.push((ms(800), Action::Restart { tells: true, down: Micros::from_millis(300) }));
    actions.push((ms(900), message(1, To::Room, 10)));
    actions.push((ms(950), message(0, To::Room, 10)));
    actions.push((ms(2_500), Action::Restart { tells: false, down: Micros::from_millis(500) }));
    actions.push((ms(2_550), Action::Crash { actor: 2, hangs: false }));
    actions.push((ms(2_600), write(0, 2, false)));
    Script { name: "restart", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A link falls silent for a moment.
fn suspicion() -> Script {
    let mut actions = entering(2);
    actions.push((ms(700), partition(&[0], false, 2_300)));
    actions.push((ms(1_000), message(0, To::Room, 10)));
    actions.push((ms(1_100), message(1, To::Room, 10)));
    Script { name: "suspicion", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A link falls silent for so long that another is made.
fn relink() -> Script {
    let mut actions = entering(2);
    actions.push((ms(700), partition(&[0], false, 9_000)));
    actions.push((ms(1_000), message(0, To::Room, 10)));
    actions.push((ms(1_100), message(1, To::Room, 10)));
    Script { name: "relink", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// No connection joins a member to another before long: the hub carries, loses its own socket in between, and carries again;
/// then a connection comes up and takes over.
fn carried() -> Script {
    let mut actions = vec![(ms(0), Action::Enter(1)), (ms(50), partition(&[0], false, 9_000))];
    actions.push((ms(100), Action::Enter(0)));
    let latest = |actor| Action::Say { actor, saying: Saying::Latest { channel: 1, bytes: 10 } };
    for (at, actor) in [(500, 0), (4_000, 1), (4_010, 0), (7_000, 1)] {
        actions.push((ms(at), message(actor, To::Room, 20)));
        actions.push((ms(at + 10), message(actor, To::Actor(1 - actor), 15)));
        actions.push((ms(at + 20), latest(actor)));
    }
    actions.push((ms(4_200), message(1, To::Room, 600)));
    let soon = Some(Micros::from_millis(1));
    actions.push((ms(5_000), Action::Cut { actor: 0, member_notices: soon, hub_notices: soon }));
    actions.push((ms(5_050), message(0, To::Room, 30)));
    actions.push((ms(30_000), message(0, To::Room, 40)));
    Script { name: "carried", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A member gets no turns for three seconds.
fn sleep() -> Script {
    let mut actions = entering(2);
    actions.push((ms(700), Action::Sleep { actor: 0, length: Micros::from_secs(3) }));
    actions.push((ms(1_000), message(1, To::Room, 10)));
    Script { name: "sleep", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// Values that supersede each other over a bad line, and datagrams.
fn latest() -> Script {
    let mut actions = entering(2);
    for number in 0..12 {
        let actor = number % 2;
        let latest = Saying::Latest { channel: 1, bytes: 10 };
        actions.push((ms(500 + 20 * number as u64), Action::Say { actor, saying: latest }));
        let datagram = Saying::Datagram { bytes: 10 };
        actions.push((ms(505 + 20 * number as u64), Action::Say { actor, saying: datagram }));
    }
    actions.push((ms(900), Action::Enter(2)));
    Script { name: "latest", actor: 0, topology: "mesh", loss: 0.3, actions }
}

/// Calls each way, and one that its callee's end overtakes.
fn calls() -> Script {
    let mut actions = entering(2);
    let call = |actor, to| Action::Say { actor, saying: Saying::Call { to: To::Actor(to), bytes: 12 } };
    actions.push((ms(500), call(0, 1)));
    actions.push((ms(600), call(1, 0)));
    actions.push((ms(700), Action::Crash { actor: 1, hangs: false }));
    actions.push((ms(710), call(0, 1)));
    Script { name: "calls", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// The room's state and attributes, written by both, and wishes how the room should be linked.
fn state() -> Script {
    let mut actions = vec![(ms(0), Action::Enter(1)), (ms(50), write(1, 0, false)), (ms(200), Action::Enter(0))];
    for (place, (actor, key, remove)) in (0..).zip([(0, 1, false), (1, 1, false), (0, 0, true), (1, 2, true)]) {
        actions.push((ms(500 + 50 * place), write(actor, key, remove)));
        let saying = Saying::Attribute { key, remove };
        actions.push((ms(510 + 50 * place), Action::Say { actor, saying }));
    }
    // Answered, refused, and closed before the answer comes.
    actions.extend([(ms(800), pin(0, "mesh")), (ms(850), pin(0, "ring")), (ms(900), pin(0, "auto"))]);
    actions.push((ms(901), Action::Leave(0)));
    Script { name: "state", actor: 0, topology: "mesh", loss: 0.0, actions }
}

/// A room in which members pass on what others say, on all channels, to the room and to one; some crash, some come.
fn relayed(name: &'static str, topology: &'static str, members: usize, rounds: u64, actor: usize) -> Script {
    let mut actions = entering(members);
    for round in 0..rounds {
        let at = 1_500 + 1_600 * round;
        for (place, actor) in [1, 4, members / 2].into_iter().enumerate() {
            let at = at + 90 * place as u64;
            actions.push((ms(at), message(actor, To::Room, 20)));
            actions.push((ms(at + 10), message(actor, To::Actor((actor + 4) % members), 15)));
            let latest = Saying::Latest { channel: 1, bytes: 10 };
            actions.push((ms(at + 20), Action::Say { actor, saying: latest }));
            actions.push((ms(at + 30), Action::Say { actor, saying: Saying::Datagram { bytes: 10 } }));
        }
    }
    let call = Saying::Call { to: To::Actor(members - 1), bytes: 12 };
    actions.push((ms(2_000), Action::Say { actor: 4, saying: call }));
    actions.push((ms(2_700), Action::Crash { actor: 0, hangs: false }));
    actions.push((ms(3_500), Action::Enter(members)));
    actions.push((ms(4_000), message(4, To::Room, 300)));
    actions.push((ms(4_500), Action::Leave(1)));
    Script { name, actor, topology, loss: 0.0, actions }
}

impl Script {
    /// Plays it and gives what the recorded actor went through.
    pub(super) fn record(self) -> Trace {
        let scenario = Scenario {
            seed: 7,
            members: 0,
            seconds: 0,
            topology: self.topology.to_owned(),
            network: Network {
                span_ms: 20,
                jitter_ms: 2,
                loss: self.loss,
                burst_starts: 0.0,
                close_notices: 1.0,
                ..Network::default()
            },
            work: Work::default(),
            faults: Faults { partitions_per_min: 1.0, ..Faults::default() },
            ..Scenario::default()
        };
        let mut world = World::of(&scenario, 0, Schedule::of(self.actions));
        world.recorder = Some(Recorder::of(self.actor));
        world.run();
        let violations = &world.checks.violations;
        assert!(violations.is_empty(), "the script `{}` goes wrong: {violations:#?}", self.name);
        let lines = world.recorder.take().map(|recorder| recorder.lines).unwrap_or_default();
        Trace { name: self.name, lines }
    }
}

fn ms(ms: u64) -> Time {
    Time(ms * 1_000)
}

/// Some enter, a tenth of a second apart.
fn entering(count: usize) -> Vec<(Time, Action)> {
    (0..count).map(|actor| (ms(100 * actor as u64), Action::Enter(actor))).collect()
}

fn partition(side: &[usize], hub: bool, length_ms: u64) -> Action {
    let side: BTreeSet<usize> = side.iter().copied().collect();
    Action::Partition { side, hub, length: Micros::from_millis(length_ms) }
}

fn message(actor: usize, to: To, bytes: usize) -> Action {
    Action::Say { actor, saying: Saying::Message { to, bytes } }
}

fn pin(actor: usize, topology: &'static str) -> Action {
    Action::Say { actor, saying: Saying::Pin(topology) }
}

fn write(actor: usize, key: u64, remove: bool) -> Action {
    Action::Say { actor, saying: Saying::State { key, own: false, remove, bytes: 8 } }
}
