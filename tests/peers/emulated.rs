//! Programs of all eight architectures run in the roots of their images, the seven foreign ones under
//! emulation. Debian's and Alpine's own programs, and the C examples: each of their lines says `ok`.

use std::path::Path;

use dlstore_kit::images::{self, ARCHITECTURES, Names};
use dlstore_kit::inputs::{peer, programs, superuser};
use dlstore_kit::{program, roots};

/// Somebody whom no image knows.
const STRANGER: [&str; 2] = ["-u", "1000650000:0"];

/// Runs `KIND/NAME` of an architecture's programs in a copy of an image.
fn run(reference: &str, arch: Names, kind: &str, options: &[&str], program: &[&str]) -> Option<String> {
    let set = images::of(program!(), reference)?;
    let from = programs()?.join(arch.debian).join(kind).join(program[0]);
    let (_directory, root) = roots::copy(set, reference, arch);
    // A busybox goes by its name.
    let path = format!("/usr/bin/{}", program[0]);
    roots::place(&from, &root, &path);
    Some(roots::run(arch, &root, options, &[&[path.as_str()], &program[1..]].concat()))
}

fn ready() -> Option<&'static Path> {
    superuser()?;
    peer("qemu-s390x-static")?;
    programs()
}

/// Runs an example as root and as a stranger; it fails when a line does not say `ok`.
fn hello(reference: &str, kind: &str, arch: Names) {
    for options in [&[][..], &STRANGER] {
        let Some(said) = run(reference, arch, kind, options, &["hello"]) else { return };
        let lines: Vec<&str> = said.lines().skip(1).collect();
        assert!(
            lines.len() >= 4 && lines.iter().all(|line| line.starts_with("ok ")),
            "{reference} {}: {said}",
            arch.oci
        );
    }
}

#[test]
fn the_static_program_finds_all_of_it_in_static() {
    if ready().is_some() {
        for reference in ["static", "static:debian"] {
            for arch in ARCHITECTURES {
                hello(reference, "static", arch);
            }
        }
    }
}

#[test]
fn the_static_program_finds_accounts_in_glibc_dynamic() {
    if ready().is_some() {
        for arch in ARCHITECTURES {
            hello("glibc-dynamic", "static", arch);
        }
    }
}

#[test]
fn the_musl_program_finds_all_of_it_in_musl_dynamic() {
    if ready().is_some() {
        for arch in ARCHITECTURES {
            hello("musl-dynamic", "musl", arch);
        }
    }
}

#[test]
fn the_glibc_program_finds_all_of_it_in_glibc_dynamic() {
    if ready().is_some() {
        for arch in ARCHITECTURES {
            hello("glibc-dynamic", "glibc", arch);
        }
    }
}

#[test]
fn debians_busybox_runs_in_static() {
    let Some(_) = ready() else { return };
    let cases: [(&[&str], &[&str], &str); 3] = [
        (&[], &["busybox", "sh", "-c", "echo $((6 * 7))"], "42\n"),
        (&["-e", "TZ=US/Eastern"], &["busybox", "date", "-d", "@0", "+%T %Z"], "19:00:00 EST\n"),
        (&STRANGER, &["busybox", "stat", "-c", "%a %u:%g", "/tmp"], "1777 0:0\n"),
    ];
    for arch in ARCHITECTURES {
        for (options, program, expected) in cases {
            let Some(said) = run("static:debian", arch, "static", options, program) else { return };
            assert_eq!(said, expected, "{}", arch.oci);
        }
    }
}

#[test]
fn debians_getent_and_locale_run_in_glibc_dynamic() {
    let Some(_) = ready() else { return };
    for arch in ARCHITECTURES {
        let run = |options: &[&str], program: &[&str]| run("glibc-dynamic", arch, "glibc", options, program);
        let Some(said) = run(&[], &["getent", "passwd", "nonroot"]) else { return };
        assert!(said.starts_with("nonroot:x:65532:65532:"), "{}: {said}", arch.oci);
        assert_eq!(run(&["-e", "LC_ALL=C.UTF-8"], &["locale", "charmap"]).unwrap(), "UTF-8\n", "{}", arch.oci);
        assert_eq!(run(&["-e", "LC_ALL=C.UTF-8"], &["locale", "-a"]).unwrap(), "C\nC.utf8\nPOSIX\n", "{}", arch.oci);
    }
}

#[test]
fn alpines_busybox_runs_in_musl_dynamic_of_alpine() {
    let Some(_) = ready() else { return };
    for arch in ARCHITECTURES {
        let program = ["busybox", "sh", "-c", "echo $((6 * 7))"];
        let Some(said) = run("musl-dynamic:alpine", arch, "alpine", &STRANGER, &program) else { return };
        assert_eq!(said, "42\n", "{}", arch.oci);
    }
}

#[test]
fn the_debug_flavor_has_a_shell_with_its_tools() {
    let (Some(set), Some(_)) = (images::debian(program!()), ready()) else { return };
    for arch in ARCHITECTURES {
        let root = roots::of(set, "static:debug", arch);
        let said = roots::run(arch, &root, &STRANGER, &["/busybox/sh", "-c", "echo $((6 * 7))"]);
        assert_eq!(said, "42\n", "{}", arch.oci);
    }
}

#[test]
fn openssl_itself_takes_all_roots() {
    let (Some(_), Some(set)) = (ready(), images::debian(program!())) else { return };
    for (reference, least) in [("static", 100), ("static:debian", 150), ("musl-dynamic", 150), ("glibc-dynamic", 150)] {
        let arch = ARCHITECTURES[1];
        let count: usize = run(reference, arch, "static", &[], &["roots"]).unwrap().trim().parse().unwrap();
        let bundle = std::fs::read_to_string(roots::of(set, reference, arch).join("etc/ssl/certs/ca-certificates.crt"));
        assert_eq!(count, bundle.unwrap().matches("-----BEGIN CERTIFICATE-----").count(), "{reference}");
        assert!(count >= least, "{reference}: {count}");
    }
}
