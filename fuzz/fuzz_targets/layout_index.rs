//! Fuzzes `dlstore_oci::fuzz_layout_index`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_oci::fuzz_layout_index(data));
