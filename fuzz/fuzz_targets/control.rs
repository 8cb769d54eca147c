//! Fuzzes `dlstore_formats::package::fuzzing::fuzz_control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_formats::package::fuzzing::fuzz_control(data));
