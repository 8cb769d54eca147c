//! Fuzzes `dlstore_ingest::fuzzing::fuzz_whole`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_ingest::fuzzing::fuzz_whole(data));
