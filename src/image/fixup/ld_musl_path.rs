//! The fix-up `ld-musl-path`: `/etc/ld-musl-ARCH.path` for Debian's musl.
//!
//! The file *replaces* musl's built-in path (`/lib:/usr/local/lib:/usr/lib`), and Debian's lists the
//! multiarch directories only, so a library in `/usr/local/lib` or `/usr/lib` is not found. This one lists
//! both. Alpine's musl has no such file and needs none.
//!
//! musl takes colons and newlines as separators (ldso/dynlink.c, `path_open`), so the newline at the end
//! is not part of a directory's name.

use super::inputs::Inputs;
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;

/// Makes `/etc/ld-musl-ARCH.path` with the `ARCH` that Debian's musl has in its name. It has no input
/// but the architecture, so its date is 0.
fn ld_musl_path(arch: Arch) -> Generated {
    let triplet = arch.musl_triplet();
    let mut generated = Generated::default();
    generated.file(
        fixed(&format!("etc/ld-musl-{}.path", arch.musl_debian())),
        plain(0),
        format!("/lib/{triplet}:/usr/lib/{triplet}:/lib:/usr/local/lib:/usr/lib\n").into_bytes(),
    );
    generated
}

/// Makes it where Debian's musl is.
pub(super) fn run(inputs: &Inputs<'_>) -> Generated {
    let is_debian = inputs.image.format == Some(Format::Deb);
    let has_loader = || inputs.rootfs.iter().any(|(path, _)| path.name().starts_with(b"ld-musl-"));
    if is_debian && has_loader() { ld_musl_path(inputs.arch) } else { Generated::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::text;

    #[test]
    fn every_architecture_has_its_own_name_and_directory() {
        assert_eq!(
            crate::definition::Fixup::LdMuslPath.version(),
            1,
            "raise the version in definition/fixup.rs when this changes"
        );
        let made = ld_musl_path(Arch::ArmV7);
        assert_eq!(made.entries.len(), 1);
        let expected = "/lib/arm-linux-musleabihf:/usr/lib/arm-linux-musleabihf:/lib:/usr/local/lib:/usr/lib\n";
        assert_eq!(text(&made, "etc/ld-musl-armhf.path"), expected);
        assert!(text(&ld_musl_path(Arch::ArmV6), "etc/ld-musl-arm.path").starts_with("/lib/arm-linux-musleabi:"));
        assert!(text(&ld_musl_path(Arch::I386), "etc/ld-musl-i386.path").starts_with("/lib/i386-linux-musl:"));
    }
}
