#![no_main]

libfuzzer_sys::fuzz_target!(|packet: &[u8]| hostile::frames::run(packet));
