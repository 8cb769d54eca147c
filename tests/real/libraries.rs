//! How programs find libraries: `/etc/ld.so.cache` and musl's path file.

use std::fs;
use std::path::Path;
use std::process::Command;

use dlstore_kit::images::{ARCHITECTURES, Set};
use dlstore_kit::inputs::{peer, programs, superuser};
use dlstore_kit::{Place, images, lifetime, program, roots, succeed};

const AMD64: usize = 1;

#[test]
fn the_cache_is_what_debians_ldconfig_writes() {
    let (Some(set), Some(())) = (images::debian(program!()), superuser()) else { return };
    let (_directory, root) = roots::copy(set, "glibc-dynamic", ARCHITECTURES[AMD64]);
    let cache = root.join("etc/ld.so.cache");
    let made = fs::read(&cache).unwrap();
    fs::remove_file(&cache).unwrap();
    // The image's own: a static program, and of the libc-bin whose version the cache names.
    succeed(Command::new(root.join("usr/sbin/ldconfig")).args(["-X", "-r"]).arg(&root));
    assert!(made == fs::read(&cache).unwrap(), "the cache differs from ldconfig's");
}

#[test]
fn the_cache_of_every_architecture_is_what_its_own_ldconfig_writes_and_reads() {
    let (Some(set), Some(()), Some(())) = (images::debian(program!()), superuser(), peer("qemu-s390x-static")) else {
        return;
    };
    for arch in ARCHITECTURES {
        let (_directory, root) = roots::copy(set, "glibc-dynamic", arch);
        let listed = roots::run(arch, &root, &[], &["/usr/sbin/ldconfig", "-p"]);
        let mut lines = listed.lines();
        let header = lines.next().unwrap();
        let libraries: Vec<(&str, &str)> =
            lines.filter(|line| line.contains(" => ")).filter_map(|line| line.trim().split_once(" (")).collect();
        let count: usize = header.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(libraries.len(), count, "{}: {listed}", arch.oci);
        for wanted in ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6"] {
            assert!(libraries.iter().any(|(name, _)| *name == wanted), "{}: no {wanted}: {listed}", arch.oci);
        }
        for (name, rest) in &libraries {
            let path = rest.rsplit_once(" => ").unwrap().1;
            assert!(root.join(path.trim_start_matches('/')).exists(), "{}: {name} at {path}", arch.oci);
        }
        let cache = root.join("etc/ld.so.cache");
        let made = fs::read(&cache).unwrap();
        fs::remove_file(&cache).unwrap();
        roots::run(arch, &root, &[], &["/usr/sbin/ldconfig", "-X"]);
        assert!(made == fs::read(&cache).unwrap(), "{}: the cache differs from ldconfig's", arch.oci);
    }
}

#[test]
fn a_library_in_usr_local_lib_is_found_by_musl_at_once() {
    let (Some(set), Some(()), Some(programs)) = (images::debian(program!()), superuser(), programs()) else { return };
    for arch in ARCHITECTURES {
        let (_directory, root) = roots::copy(set, "musl-dynamic", arch);
        put_answer(&programs.join(arch.debian).join("musl"), &root);
        assert_eq!(roots::run(arch, &root, &[], &["/usr/bin/answer"]), "42\n", "{}", arch.oci);
    }
}

#[test]
fn a_library_in_usr_local_lib_is_found_by_glibc_after_ldconfig() {
    let (Some(set), Some(()), Some(programs)) = (images::debian(program!()), superuser(), programs()) else { return };
    for arch in ARCHITECTURES {
        let (_directory, root) = roots::copy(set, "glibc-dynamic", arch);
        put_answer(&programs.join(arch.debian).join("glibc"), &root);
        roots::run(arch, &root, &[], &["/sbin/ldconfig"]);
        assert_eq!(roots::run(arch, &root, &[], &["/usr/bin/answer"]), "42\n", "{}", arch.oci);
    }
}

#[test]
fn a_library_that_a_definition_puts_into_usr_local_lib_is_in_the_cache_that_is_made() {
    let (Some(set), Some(()), Some(programs)) = (images::debian(program!()), superuser(), programs()) else { return };
    let place = Place::within(program!(), lifetime::directory());
    place.project_file(
        "answer.toml",
        br#"schema = 1
extends = "glibc-dynamic"
entrypoint = ["/usr/bin/answer"]
files."/usr/bin/answer" = { source = "build/{arch}/answer", mode = "0755" }
files."/usr/local/lib/libanswer.so" = { source = "build/{arch}/libanswer.so" }
"#,
    );
    for arch in ARCHITECTURES {
        for file in ["answer", "libanswer.so"] {
            roots::place(
                &programs.join(arch.debian).join("glibc").join(file),
                &place.project(),
                &format!("build/{}/{file}", arch.tag),
            );
        }
    }
    let mine = Set::compose(place, &["./answer.toml"], &set.from, &[]);
    for arch in ARCHITECTURES {
        let (_directory, root) = roots::copy(&mine, "./answer.toml", arch);
        assert_eq!(roots::run(arch, &root, &[], &["/usr/bin/answer"]), "42\n", "{}", arch.oci);
    }
}

/// Puts `answer` and its library where a user would.
fn put_answer(from: &Path, root: &Path) {
    roots::place(&from.join("answer"), root, "/usr/bin/answer");
    roots::place(&from.join("libanswer.so"), root, "/usr/local/lib/libanswer.so");
}
