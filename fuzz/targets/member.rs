#![no_main]

libfuzzer_sys::fuzz_target!(|story: hostile::member::Story| hostile::member::run(story));
