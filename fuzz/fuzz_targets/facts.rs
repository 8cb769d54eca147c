//! Fuzzes `dlstore_ingest::facts::fuzz_facts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_ingest::facts::fuzz_facts(data));
