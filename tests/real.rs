//! The images made of real packages, on all architectures, held against the tools that those packages
//! come with: dpkg, md5sum, Debian's ldconfig, apk. No container runtime is needed for it.

#![cfg(test)]

#[path = "real/alpine.rs"]
mod alpine;
#[path = "real/content.rs"]
mod content;
#[path = "real/debug.rs"]
mod debug;
#[path = "real/exactness.rs"]
mod exactness;
#[path = "real/identity.rs"]
mod identity;
#[path = "real/layering.rs"]
mod layering;
#[path = "real/libraries.rs"]
mod libraries;
#[path = "real/packages.rs"]
mod packages;
#[path = "real/page.rs"]
mod page;
