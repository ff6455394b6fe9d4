fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    for seed in args[0]..*args.get(1).unwrap_or(&(args[0] + 1)) {
        let s = sim::Scenario::random(seed);
        let r = sim::run(&s);
        if args.len() < 2 { println!("{s:#?}\n{r}"); }
        else { println!("{seed} {} ev {} set {:.0} wall {:.2} deliv {}/{} gaps {} ghost {} {:?}", if r.is_good() {"ok "} else {"BAD"}, r.events, r.settled_s, r.wall_s, r.delivered, r.deliveries_expected, r.gaps, r.ghost_ms_max, r.violations.iter().take(2).collect::<Vec<_>>()); }
    }
}
