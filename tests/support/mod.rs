//! What the tests on real packages and with real peers have in common.
//!
//! The program runs as its users run it, in temporary directories with a store of their own. Images are
//! composed once for a test binary ([`images`]), their layers read once ([`layers`]) and unpacked
//! once ([`roots`]); all of it lies in one directory that a caretaker removes when the binary ends
//! ([`lifetime`]). What may be missing on a machine is asked for in [`inputs`].

// Each test binary takes what it needs of this.
#![allow(dead_code, reason = "two binaries share this, and neither uses all of it")]

pub(crate) mod engines;
pub(crate) mod images;
pub(crate) mod inputs;
pub(crate) mod layers;
pub(crate) mod lifetime;
pub(crate) mod program;
pub(crate) mod roots;
pub(crate) mod tzdata;
