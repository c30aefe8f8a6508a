#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| consign::fuzz::run("oss", data));
