//! Fuzzes `dlstore_formats::layer::fuzz_pack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_formats::layer::fuzz_pack(data));
