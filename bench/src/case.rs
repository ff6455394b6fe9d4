//! What a benchmark found, as it is printed: one JSON object a case.

use serde::Serialize;

/// One figure of ours beside a peer's.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What was measured.
    pub case: String,
    /// Who is measured.
    pub subject: &'static str,
    /// Beside whom; empty where there is nobody to compare with.
    pub peer: &'static str,
    /// What one of the values is.
    pub unit: &'static str,
    /// The subject's, the median of its runs.
    pub value: f64,
    /// The peer's, likewise.
    pub peer_value: f64,
    /// The subject's by the peer's.
    pub ratio: f64,
    /// Repetitions of each, one after the other in turn.
    pub runs: usize,
    /// The subject's lowest and highest, then the peer's.
    pub spread: [f64; 4],
}

impl Case {
    /// A case of runs that were made in turn.
    pub fn of(
        case: impl Into<String>,
        unit: &'static str,
        (subject, values): (&'static str, &[f64]),
        (peer, peer_values): (&'static str, &[f64]),
    ) -> Case {
        let ([low, value, high], [peer_low, peer_value, peer_high]) = (summary(values), summary(peer_values));
        let ratio = value / peer_value;
        let spread = [low, high, peer_low, peer_high];
        Case { case: case.into(), subject, peer, unit, value, peer_value, ratio, runs: values.len(), spread }
    }
}

/// The lowest, the median and the highest.
fn summary(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
}
