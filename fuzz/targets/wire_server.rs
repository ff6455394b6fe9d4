#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| hostile::wire::server(text));
