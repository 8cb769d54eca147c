//! Fuzzes `dlstore_image::definition::fuzz_definition`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_image::definition::fuzz_definition(data));
