//! Latencies, and the curve of deliveries over time that they make.

use room::time::Micros;

/// What is not told apart.
const STEP: Micros = Micros(100);
/// Latencies beyond so many steps are kept as one: 60 s.
const STEPS: usize = 600_000;

/// How many deliveries took how long.
#[derive(Debug, Default)]
pub(super) struct Curve {
    counts: Vec<u64>,
    total: u64,
}

impl Curve {
    pub(super) fn add(&mut self, latency: Micros) {
        let step = ((latency.0 / STEP.0) as usize).min(STEPS);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] += 1;
        self.total += 1;
    }

    /// The latency that this part of all deliveries does not exceed.
    pub(super) fn percentile(&self, part: f64) -> Micros {
        let rank = ((self.total as f64 * part).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0;
        let step = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        STEP.times(step.unwrap_or(0) as u64)
    }

    /// Which part of `all` deliveries took at most so long.
    pub(super) fn part_within(&self, latency: Micros, all: u64) -> f64 {
        let steps = (latency.0 / STEP.0) as usize + 1;
        let within: u64 = self.counts.iter().take(steps).sum();
        within as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut curve = Curve::default();
        for ms in (1..=1_000).rev() {
            curve.add(Micros::from_millis(ms));
        }
        assert_eq!(curve.percentile(0.5), Micros::from_millis(500));
        assert_eq!(curve.percentile(0.999), Micros::from_millis(999));
        assert_eq!(curve.percentile(1.0), Micros::from_secs(1));
        assert!((curve.part_within(Micros::from_millis(250), 2_000) - 0.125).abs() < 1e-9);
        assert_eq!(Curve::default().percentile(0.99), Micros(0));
    }
}
