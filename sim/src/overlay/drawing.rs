//! A run as a picture (SVG): the room at its end, and which part of the deliveries had happened after how long.

use std::fmt::Write as _;

use room::time::Micros;

use super::{curve::Curve, ids, protocol::Protocol, space::Place, world::World};

/// Width of the map and of the panel beside it, and height of both.
const SIDE: f64 = 600.0;
const MARGIN: f64 = 24.0;
/// Links of each kind that are drawn; of more, some.
const LINKS_DRAWN: usize = 4_000;
const MEMBERS_DRAWN: usize = 10_000;
/// Points of a curve.
const POINTS: u64 = 240;
/// Dashes show what lies below: flooding and GossipSub often fare alike.
const STYLES: [(&str, &str); 3] = [("#2563eb", "none"), ("#d97706", "6 5"), ("#059669", "none")];

#[derive(Debug)]
pub(super) struct Drawing {
    svg: String,
}

impl Drawing {
    /// The map: members at their coordinates, tree links strong, the others faint.
    pub(super) fn new<P: Protocol>(world: &World<'_, P>) -> Drawing {
        let mut svg = String::new();
        let (width, height) = (2.0 * SIDE + 3.0 * MARGIN, SIDE + 3.0 * MARGIN);
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" \
             font-size=\"13\" fill=\"#334155\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        let living: Vec<u32> = (0..world.members.len() as u32)
            .filter(|member| world.members[*member as usize].machine.is_some())
            .collect();
        let places: Vec<Place> = living.iter().map(|member| world.space.place(*member)).collect();
        let scale = Scale::of(&places);
        let (mut eager, mut lazy) = (Vec::new(), Vec::new());
        for member in &living {
            let tree = world.hub.plan.of(*member).eager;
            for (peer, _) in world.members[*member as usize].links.iter().filter(|(peer, _)| peer > member) {
                let kind = if tree.contains(&ids::id(*peer)) { &mut eager } else { &mut lazy };
                kind.push((*member, *peer));
            }
        }
        let all = eager.len() + lazy.len();
        let mut drawn = 0;
        for (links, style) in [
            (lazy, "stroke=\"#94a3b8\" stroke-opacity=\"0.25\" stroke-width=\"0.6\""),
            (eager, "stroke=\"#2563eb\" stroke-opacity=\"0.7\" stroke-width=\"1\""),
        ] {
            let _ = write!(svg, "<path fill=\"none\" {style} d=\"");
            for (a, b) in links.iter().step_by(links.len().div_ceil(LINKS_DRAWN).max(1)) {
                let ((ax, ay), (bx, by)) = (scale.at(world.space.place(*a)), scale.at(world.space.place(*b)));
                let _ = write!(svg, "M{ax:.1} {ay:.1}L{bx:.1} {by:.1}");
                drawn += 1;
            }
            svg.push_str("\"/>\n");
        }
        let radius = if living.len() > 1_000 { 1.2 } else { 2.5 };
        let _ = writeln!(svg, "<g fill=\"#0f172a\">");
        for member in living.iter().step_by(living.len().div_ceil(MEMBERS_DRAWN).max(1)) {
            let (x, y) = scale.at(world.space.place(*member));
            let is_relay = (*member as usize) < world.scenario.relays;
            let radius = if is_relay { 4.0 * radius } else { radius };
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
        }
        let some = if drawn < all { format!(", {drawn} drawn") } else { String::new() };
        let _ = writeln!(
            svg,
            "</g>\n<text x=\"{MARGIN}\" y=\"{}\">{} members, {all} links{some}; the plan’s tree in blue</text>",
            SIDE + 2.2 * MARGIN,
            living.len()
        );
        Drawing { svg }
    }

    /// The curves of deliveries: name, latencies, and how many deliveries were owed.
    pub(super) fn curves(&mut self, curves: &[(&str, Curve, u64)]) {
        let svg = &mut self.svg;
        let (left, right, top, bottom) = (SIDE + 2.0 * MARGIN + 30.0, 2.0 * SIDE + MARGIN, MARGIN, SIDE);
        let longest = curves.iter().map(|(_, curve, _)| curve.percentile(0.999)).max().unwrap_or_default();
        let end = Micros((longest.0 * 5 / 4).clamp(100_000, 4_000_000));
        let x = |at: Micros| left + (right - left) * at.0 as f64 / end.0 as f64;
        let y = |part: f64| bottom - (bottom - top) * part;
        let _ = writeln!(svg, "<g stroke=\"#cbd5e1\" text-anchor=\"end\">");
        for tenth in (0..=10).step_by(2) {
            let (part, at) = (f64::from(tenth) / 10.0, y(f64::from(tenth) / 10.0));
            let _ = writeln!(svg, "<path d=\"M{left} {at:.1}H{right}\"/>");
            let _ = writeln!(
                svg,
                "<text stroke=\"none\" x=\"{}\" y=\"{:.1}\">{:.0} %</text>",
                left - 6.0,
                at + 4.0,
                part * 100.0
            );
        }
        let step = [50, 100, 200, 500, 1_000].into_iter().find(|ms| end.0 / (ms * 1_000) <= 10).unwrap_or(1_000);
        for ms in (0..=end.as_millis()).step_by(step as usize) {
            let at = x(Micros::from_millis(ms));
            let _ = writeln!(svg, "<path d=\"M{at:.1} {top}V{bottom}\"/>");
            let _ = writeln!(
                svg,
                "<text stroke=\"none\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{}\">{ms}</text>",
                bottom + 16.0
            );
        }
        svg.push_str("</g>\n");
        // Ours last, on top.
        for (line, ((name, curve, owed), (colour, dashes))) in curves.iter().zip(STYLES).enumerate().rev() {
            let _ = write!(
                svg,
                "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" d=\""
            );
            for point in 0..=POINTS {
                let at = Micros(end.0 * point / POINTS);
                let command = if point == 0 { 'M' } else { 'L' };
                let _ = write!(svg, "{command}{:.1} {:.1}", x(at), y(curve.part_within(at, *owed).min(1.0)));
            }
            svg.push_str("\"/>\n");
            let (key, line) = (right - 290.0, bottom - 70.0 + 22.0 * line as f64);
            let _ = writeln!(
                svg,
                "<path stroke=\"{colour}\" stroke-width=\"3\" d=\"M{key} {:.1}h24\"/>\
                 <text x=\"{}\" y=\"{line:.1}\">{name}: p50 {:.0} ms, p99 {:.0} ms</text>",
                line - 4.0,
                key + 32.0,
                curve.percentile(0.5).0 as f64 / 1e3,
                curve.percentile(0.99).0 as f64 / 1e3
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\">deliveries that had happened, ms after they were published</text>",
            SIDE + 2.2 * MARGIN
        );
    }

    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

/// From the map's coordinates to the picture's.
struct Scale {
    left: f64,
    top: f64,
    factor: f64,
}

impl Scale {
    fn of(places: &[Place]) -> Scale {
        let low = |of: fn(Place) -> f64| places.iter().copied().map(of).fold(f64::INFINITY, f64::min);
        let high = |of: fn(Place) -> f64| places.iter().copied().map(of).fold(f64::NEG_INFINITY, f64::max);
        let (left, top) = (low(|place| place.x), low(|place| place.y));
        let span = (high(|place| place.x) - left).max(high(|place| place.y) - top).max(1.0);
        Scale { left, top, factor: SIDE / span }
    }

    fn at(&self, place: Place) -> (f64, f64) {
        (MARGIN + (place.x - self.left) * self.factor, MARGIN + (place.y - self.top) * self.factor)
    }
}
