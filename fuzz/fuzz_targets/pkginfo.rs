//! Fuzzes `dlstore_formats::package::fuzzing::fuzz_pkginfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlstore_formats::package::fuzzing::fuzz_pkginfo(data));
