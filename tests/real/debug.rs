//! The flavor for debugging: every applet of its busybox answers to its name.

use std::collections::{BTreeMap, BTreeSet};

use dlstore_kit::images::{self, ARCHITECTURES};
use dlstore_kit::inputs::{peer, superuser};
use dlstore_kit::layers::{Kind, flatten};
use dlstore_kit::{program, roots};

/// On every architecture, for each may have been built with other applets.
#[test]
fn the_links_in_busybox_are_what_the_packaged_program_lists() {
    let (Some(set), Some(()), Some(())) = (images::debian(program!()), superuser(), peer("qemu-s390x-static")) else {
        return;
    };
    for arch in ARCHITECTURES {
        let tree = flatten(set, set.image("static:debug"), arch.oci);
        let links: BTreeMap<&str, &Kind> =
            tree.iter().filter_map(|(path, item)| Some((path.strip_prefix("/busybox/")?, &item.kind))).collect();
        let target = Kind::Link("/usr/bin/busybox".to_owned());
        assert!(links.values().all(|kind| **kind == target), "{}: {links:?}", arch.oci);
        let root = roots::of(set, "static:debug", arch);
        let listed = roots::run(arch, &root, &[], &["/usr/bin/busybox", "--list"]);
        assert_eq!(links.into_keys().collect::<BTreeSet<_>>(), listed.lines().collect(), "{}", arch.oci);
    }
}

/// By the path of the link alone, as `docker run --entrypoint` or a script's first line has it.
#[test]
fn applets_answer_to_their_names() {
    let (Some(set), Some(())) = (images::debian(program!()), superuser()) else { return };
    let arch = ARCHITECTURES[1];
    let root = roots::of(set, "static:debug", arch);
    let run = |program: &[&str]| roots::run(arch, &root, &["-u", "65532:65532"], program);
    assert_eq!(run(&["/busybox/basename", "/usr/bin/app"]), "app\n");
    assert_eq!(run(&["/busybox/expr", "6", "*", "7"]), "42\n");
    assert_eq!(run(&["/busybox/[", "1", "-lt", "2", "]"]), "");
    // In the image's own PATH they stand last, and are found by a shell.
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox";
    let script = "ls /etc/os-release | wc -l && echo one two | awk '{print $2}'";
    let said = roots::run(arch, &root, &["-e", &format!("PATH={path}")], &["/busybox/sh", "-c", script]);
    assert_eq!(said, "1\ntwo\n");
}
