//! The fix-up `nsswitch`: `/etc/nsswitch.conf`, which sends every question to files, and hosts to DNS too.
//!
//! It must say `files`. With `compat` a static glibc program sees no user at all in an image without
//! glibc, and dies in one with another glibc, because it loads that one's `libnss_compat`. Without any
//! file, glibc would ask the right ones by itself, but Go's resolver and others read the file.
//!
//! Reference: nsswitch.conf(5).

use super::inputs::Inputs;
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};

const TEXT: &str = "\
passwd:     files
group:      files
shadow:     files
hosts:      files dns
networks:   files
protocols:  files
services:   files
ethers:     files
rpc:        files
";

/// Makes `/etc/nsswitch.conf`. It has no input, so its date is 0.
pub(super) fn nsswitch() -> Generated {
    let mut generated = Generated::default();
    generated.file(fixed("etc/nsswitch.conf"), plain(0), TEXT.into());
    generated
}

/// Makes it unless somebody ships one.
pub(super) fn run(inputs: &Inputs<'_>) -> Generated {
    if inputs.has("etc/nsswitch.conf") { Generated::default() } else { nsswitch() }
}

#[cfg(test)]
mod tests {
    use crate::fixup::tests::fingerprint;

    #[test]
    fn the_bytes_do_not_move() {
        assert_eq!(
            fingerprint(&super::nsswitch()),
            "972777773a7b7dcc4e857be584073380ba3fdea30d385ffadcc30a5845b81877",
            "raise the version in definition/fixup.rs when this changes"
        );
    }
}
