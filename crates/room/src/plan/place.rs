//! Where members are: places on a map of the room, on which what lies between two is the way between them.
//!
//! The idea is Vivaldi's (Dabek, Cox, Kaashoek, Morris, "Vivaldi: A Decentralized Network Coordinate System", SIGCOMM 2004):
//! each measured way is a spring, and a member rests where its springs do. Here the hub looks for that place, of one
//! member at a time, from what that member measured of its own links, while all others stay where they are. So nobody's
//! word moves anybody else; and a way of which the two ends say different things moves neither.

use smallvec::SmallVec;

use crate::{limits, time::Micros};

/// A way that was measured: the time that a message takes, in sixteenths of a ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way(pub(super) u16);

impl Way {
    /// Not measured.
    pub(super) const NONE: Way = Way(0);
    /// The longest that is believed.
    pub(super) const MOST: u16 = (limits::DISTANCE_MAX.0 * 16 / 1_000) as u16;

    /// What somebody says, within reason.
    pub(super) fn of(way: Micros) -> Way {
        let sixteenths = way.0.min(limits::DISTANCE_MAX.0) * 16 / 1_000;
        Way(u16::try_from(sixteenths).unwrap_or(u16::MAX).max(1))
    }

    /// Whether the two ends of a link measured much the same; also where one of them has not said.
    fn agrees(self, other: Way) -> bool {
        let (more, less) = (self.max(other).0, self.min(other).0);
        less == 0 || u32::from(more) <= 2 * u32::from(less) + ALLOWANCE
    }
}

/// What two ends may always differ by: 20 ms.
const ALLOWANCE: u32 = 20 * 16;

/// A link as one of its ends measured it: where the other end is, and how far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tie {
    x: f32,
    y: f32,
    way: f32,
    doubt: f32,
    /// The less it is known where the other end is, the less this counts.
    weight: f32,
}

impl Tie {
    /// `None` where it says nothing: the other end is nowhere yet, or the ends disagree.
    pub(super) fn new(place: Place, mine: Way, theirs: Way) -> Option<Tie> {
        let useful = place.is_known() && mine != Way::NONE && mine.agrees(theirs);
        useful.then(|| {
            let (x, y) = place.point();
            let doubt = f32::from(place.doubt);
            Tie { x, y, way: f32::from(mine.0), doubt, weight: 1.0 / (4.0 + doubt) }
        })
    }
}

/// The ties that a place is found from.
pub(super) type Ties = SmallVec<[Tie; limits::DISTANCES_TOLD]>;

/// Where a member is, in sixteenths of a ms, and how many ms of that are in doubt. Five bytes in all, aligned to none, since it
/// stands where each of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    x: [u8; 2],
    y: [u8; 2],
    doubt: u8,
}

const NOWHERE: u8 = u8::MAX;
/// Somewhere, to begin with: others find their places by it, but nobody is taken to be near it.
const SOMEWHERE: u8 = NOWHERE - 1;
/// A place of which so many ms are in doubt cannot be relied on.
const DOUBT_MAX: u8 = 64;
/// Ties that tell where a member is: two leave a doubt.
const TIES_MIN: usize = 3;
/// Steps towards the place where all pulls cancel out.
const STEPS: usize = 24;
/// No tie pulls more than one that is wrong by this: 20 ms. Few that are far off do not outweigh many that fit.
const PULL_MAX: f32 = 20.0 * 16.0;
/// Ties that are wrong by more than one part in so many of their length are reason to look elsewhere.
const DOUBTFUL: f32 = 16.0;
/// Turns after which it begins anew.
const TURNS: u64 = 7 * 11 * 13 * 16;
/// Directions in which a member is looked for, from a neighbour.
const AROUND: [(f32, f32); 8] = [
    (1.0, 0.0),
    (0.707, 0.707),
    (0.0, 1.0),
    (-0.707, 0.707),
    (-1.0, 0.0),
    (-0.707, -0.707),
    (0.0, -1.0),
    (0.707, -0.707),
];

impl Place {
    /// Not known.
    pub(super) const UNKNOWN: Place = Place { x: [0; 2], y: [0; 2], doubt: NOWHERE };
    /// Where the first of a room is.
    pub(super) const MIDDLE: Place = Place { x: [0; 2], y: [0; 2], doubt: SOMEWHERE };

    /// Whether anything is known of it.
    pub(super) fn is_known(self) -> bool {
        self.doubt != NOWHERE
    }

    /// Whether it can be relied on.
    pub(super) fn is_found(self) -> bool {
        self.doubt < DOUBT_MAX
    }

    fn point(self) -> (f32, f32) {
        (f32::from(i16::from_ne_bytes(self.x)), f32::from(i16::from_ne_bytes(self.y)))
    }

    /// The way between two places, as far as both are known well.
    pub(super) fn way(self, other: Place) -> Option<Micros> {
        let known = self.is_found() && other.is_found();
        known.then(|| {
            let ((ax, ay), (bx, by)) = (self.point(), other.point());
            Micros((((ax - bx) * (ax - bx) + (ay - by) * (ay - by)).sqrt() * (1_000.0 / 16.0)) as u64)
        })
    }

    /// Where a member is that was here and has these ties. `turn`, another one each time, says where it is looked for first.
    pub(super) fn settled(self, ties: &[Tie], turn: u64) -> Place {
        let Some(nearest) = ties.iter().min_by(|a, b| a.way.total_cmp(&b.way)) else { return self };
        if self.is_found() && ties.len() < TIES_MIN {
            return self;
        }
        let mut best = self.is_known().then(|| descend(self.point(), ties));
        let mean = ties.iter().map(|tie| tie.way).sum::<f32>() / ties.len() as f32;
        if best.is_none_or(|(_, error)| error * DOUBTFUL > mean) {
            // It may be caught on the wrong side of its neighbours.
            let turn = (turn % TURNS) as usize;
            let about = if best.is_none() { nearest } else { &ties[turn % ties.len()] };
            for side in 0..AROUND.len() {
                let (x, y) = AROUND[(side + turn) % AROUND.len()];
                let found = descend((about.x + x * about.way, about.y + y * about.way), ties);
                if best.is_none_or(|(_, error)| found.1 < error) {
                    best = Some(found);
                }
            }
        }
        let Some(((x, y), error)) = best else { return self };
        // Half of it is what others are in doubt about: where all are lost at first, nobody is sure before many are.
        let theirs = ties.iter().map(|tie| tie.doubt).sum::<f32>() / ties.len() as f32;
        let doubt = ((error / 16.0 + theirs) / 2.0).min(f32::from(SOMEWHERE - 1)) as u8;
        let doubt = if ties.len() < TIES_MIN { SOMEWHERE } else { doubt };
        Place { x: (x as i16).to_ne_bytes(), y: (y as i16).to_ne_bytes(), doubt }
    }
}

/// Goes where ties pull; gives the place, and by how much they are wrong there.
fn descend(start: (f32, f32), ties: &[Tie]) -> ((f32, f32), f32) {
    let (mut x, mut y) = start;
    let mut wrong = 0.0;
    for step in 0..=STEPS {
        let (mut pull, mut sum) = ((0.0, 0.0), 0.0);
        wrong = 0.0;
        for (turn, tie) in ties.iter().enumerate() {
            let (dx, dy) = (x - tie.x, y - tie.y);
            let apart = (dx * dx + dy * dy).sqrt();
            let (ux, uy) = if apart > 1.0 { (dx / apart, dy / apart) } else { AROUND[turn % AROUND.len()] };
            let off = tie.way - apart;
            let by = off.clamp(-PULL_MAX, PULL_MAX) * tie.weight;
            (pull.0, pull.1, sum) = (pull.0 + ux * by, pull.1 + uy * by, sum + tie.weight);
            wrong += off.abs() * tie.weight;
        }
        wrong /= sum;
        if step < STEPS {
            x = (x + pull.0 / sum).clamp(-EDGE, EDGE);
            y = (y + pull.1 / sum).clamp(-EDGE, EDGE);
        }
    }
    ((x, y), wrong)
}

/// The map ends here, two seconds from its middle.
const EDGE: f32 = 2_000.0 * 16.0;
