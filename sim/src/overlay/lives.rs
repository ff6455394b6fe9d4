//! How long members stay: Weibull sessions, of which a room at any time shows the long ones.

use room::time::Micros;

use super::scenario::Scenario;
use crate::dice::Dice;

/// Draws the ends of members; each depends on the seed and the member's number only.
#[derive(Debug)]
pub(super) struct Lives {
    seed: u64,
    shape: f64,
    /// The scale of the distribution, in µs; `None` where everybody stays.
    scale: Option<f64>,
    crashes: f64,
}

impl Lives {
    pub(super) fn new(scenario: &Scenario) -> Lives {
        let shape = scenario.session_shape;
        let mean = (scenario.churn_per_min > 0.0).then(|| 60e6 / scenario.churn_per_min);
        let scale = mean.map(|mean| mean / gamma(1.0 + 1.0 / shape));
        Lives { seed: scenario.seed, shape, scale, crashes: scenario.crashes }
    }

    /// How long a member stays that enters.
    pub(super) fn newcomer(&self, number: u32) -> Option<Micros> {
        let mut dice = Dice::new(self.seed, number as usize, 30);
        let session = self.scale? * exponential(&mut dice).powf(1.0 / self.shape);
        Some(Micros(session as u64))
    }

    /// How long a member stays on that has been in for a while: what is left of a session that was met at random. A
    /// session is met the more likely, the longer it is.
    pub(super) fn resident(&self, number: u32) -> Option<Micros> {
        let mut dice = Dice::new(self.seed, number as usize, 30);
        let met = gamma_variate(1.0 + 1.0 / self.shape, &mut dice);
        let left = self.scale? * met.powf(1.0 / self.shape) * dice.unit();
        Some(Micros(left as u64))
    }

    /// Whether a member goes without a word.
    pub(super) fn crashes(&self, number: u32) -> bool {
        Dice::new(self.seed, number as usize, 31).chance(self.crashes)
    }
}

fn exponential(dice: &mut Dice) -> f64 {
    -(1.0 - dice.unit()).ln()
}

/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); for shapes of at least 1.
fn gamma_variate(shape: f64, dice: &mut Dice) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = (2.0 * exponential(dice)).sqrt() * (std::f64::consts::TAU * dice.unit()).cos();
        let v = (1.0 + c * normal).powi(3);
        let u = 1.0 - dice.unit();
        if v > 0.0 && u.ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// The gamma function, by Lanczos's approximation, above 1.
fn gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum = TERMS.iter().zip(1_u32..).fold(0.999_999_999_999_809_9, |sum, (term, i)| sum + term / (x + f64::from(i)));
    let t = x + 7.5;
    std::f64::consts::TAU.sqrt() * t.powf(x + 0.5) * (-t).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_loses_its_part_a_minute_from_the_start() {
        let scenario = Scenario { churn_per_min: 0.1, ..Scenario::default() };
        let lives = Lives::new(&scenario);
        let (minute, mut gone, mut next) = (Micros::from_secs(60), 0, 20_000);
        for resident in 0..20_000 {
            // Whoever comes for somebody may be gone soon, too.
            let mut end = lives.resident(resident).expect("there is churn");
            while end < minute {
                gone += 1;
                end = end + lives.newcomer(next).expect("there is churn");
                next += 1;
            }
        }
        assert!((1_900..2_100).contains(&gone), "{gone} of 2,000");
    }

    #[test]
    fn newcomers_stay_as_long_as_the_mean_and_most_much_shorter() {
        let lives = Lives::new(&Scenario { churn_per_min: 1.0, ..Scenario::default() });
        let mut sessions: Vec<u64> =
            (0..50_000).filter_map(|number| lives.newcomer(number)).map(|stay| stay.0).collect();
        sessions.sort_unstable();
        let mean = sessions.iter().sum::<u64>() / sessions.len() as u64;
        assert!((57_000_000..63_000_000).contains(&mean), "{mean}");
        assert!(sessions[25_000] < 16_000_000, "{}", sessions[25_000]);
    }

    #[test]
    fn everybody_stays_in_a_calm_room() {
        assert_eq!(Lives::new(&Scenario::default()).resident(1), None);
    }

    #[test]
    fn the_gamma_function_is_a_factorial() {
        for (x, factorial) in [(1.0, 1.0), (3.0, 2.0), (5.0, 24.0)] {
            assert!((gamma(x) - factorial).abs() < 1e-9 * factorial, "{x}");
        }
    }
}
