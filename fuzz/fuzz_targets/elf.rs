//! Fuzzes `dlstore_formats::elf::fuzz_elf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_formats::elf::fuzz_elf(data));
