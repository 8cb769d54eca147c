//! Fuzzes `dlstore::layer::fuzz_pack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore::layer::fuzz_pack(data));
