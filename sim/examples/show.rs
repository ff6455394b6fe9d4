fn main() {
    for a in std::env::args().skip(1) {
        let s = sim::Scenario::random(a.parse().unwrap());
        println!("{} m{} s{} churn{} flash{} conf{} f{:?}", s.seed, s.members, s.seconds, s.churn_per_min, s.flash, s.network.connect_failures, s.faults);
    }
}
