#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| hostile::deepstream::run(script));
