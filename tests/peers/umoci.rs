//! umoci unpacks every platform, and what it unpacks is what the layers say.

use std::process::Command;

use dlstore_kit::images::{ARCHITECTURES, sets};
use dlstore_kit::inputs::{peer, superuser};
use dlstore_kit::layers::{Kind, Tree, assert_same, flatten};
use dlstore_kit::{finish, lifetime, place, program, roots, succeed};

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

/// What README.md says of it: which tag it takes, and what there has to be of an image for several architectures.
#[test]
fn umoci_takes_the_tag_latest_or_one_of_an_architecture() {
    let Some(()) = peer("umoci") else { return };
    let place = place!();
    place.image("hello", "schema = 1\nextends = \"static\"\n");
    place.ok(["compose", "hello", "--arch", "amd64"]);
    place.ok(["compose", "static", "--arch", "all", "--arch-tags"]);
    let unpack = |image: &str, bundle: &str| {
        let mut command = Command::new("umoci");
        command.args(["unpack", "--rootless", "--image", image, bundle]);
        place.surround(&mut command);
        finish(command)
    };
    for (at, image) in ["out/hello", "out/static:embedded-amd64", "out/static:embedded-s390x"].iter().enumerate() {
        unpack(image, &format!("bundle{at}")).ok();
        assert!(place.project().join(format!("bundle{at}/rootfs/etc/passwd")).exists(), "{image}");
    }
    for (image, why) in [("out/static", "tag is not found: latest"), ("out/static:embedded", "tag is ambiguous")] {
        let failed = unpack(image, "none");
        assert!(!failed.status.success() && failed.err.contains(why), "{image}: {failed:?}");
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
