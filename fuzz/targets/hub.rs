#![no_main]

libfuzzer_sys::fuzz_target!(|story: hostile::hub::Story| hostile::hub::run(story));
