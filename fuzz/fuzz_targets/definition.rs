//! Fuzzes `dlstore::definition::fuzz_definition`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore::definition::fuzz_definition(data));
