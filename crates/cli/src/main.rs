//! The binary `roomful`.

fn main() {}
