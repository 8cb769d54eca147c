//! Fuzzes `dlstore_image::fixup::ld_so_cache::read::fuzz_ld_so_cache`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_image::fixup::ld_so_cache::read::fuzz_ld_so_cache(data));
