//! umoci unpacks every platform, and what it unpacks is what the layers say.

use std::process::Command;

use dlstore_kit::images::{ARCHITECTURES, sets};
use dlstore_kit::inputs::{peer, superuser};
use dlstore_kit::layers::{Kind, Tree, assert_same, flatten};
use dlstore_kit::{lifetime, program, roots, succeed};

#[test]
fn umoci_unpacks_every_platform() {
    let (Some(()), Some(())) = (peer("umoci"), superuser()) else { return };
    // The other flavors have other users and a shell, and the same ways of making layers.
    let wanted = ["static", "static:debian", "musl-dynamic", "musl-dynamic:alpine", "glibc-dynamic"];
    for set in sets(program!()) {
        for image in set.images.iter().filter(|image| wanted.contains(&image.reference.as_str())) {
            for arch in ARCHITECTURES {
                let bundle = lifetime::temporary();
                let bundle = bundle.path().join("bundle");
                let from = format!("{}:{}-{}", set.layout.path().display(), image.name, arch.tag);
                succeed(Command::new("umoci").args(["unpack", "--image", &from]).arg(&bundle));
                let at = format!("{} on {}", image.reference, arch.oci);
                assert_same(
                    &comparable(roots::walk(&bundle.join("rootfs"))),
                    &comparable(flatten(set, image, arch.oci)),
                    &at,
                );
            }
        }
    }
}

/// Directories and links get the dates of the unpacking; what is a hard link is a file on the disk.
fn comparable(tree: Tree) -> Tree {
    let files = tree.clone();
    let entries = tree.into_iter().map(|(path, mut item)| {
        if let Kind::HardLink(target) = &item.kind {
            item = files[target].clone();
        }
        if !matches!(item.kind, Kind::File { .. }) {
            item.mtime = 0;
        }
        (path, item)
    });
    entries.collect()
}
