//! Fuzzes `dlstore::ingest::facts::fuzz_facts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore::ingest::facts::fuzz_facts(data));
