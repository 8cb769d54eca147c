//! podman loads what is composed, and programs run in it.

use std::process::Command;

use dlstore_kit::engines::Podman;
use dlstore_kit::images::{self, ARCHITECTURES, Set};
use dlstore_kit::inputs::{programs, script};
use dlstore_kit::{lifetime, program, succeed};

/// An image, and the program that shows what it gives.
const CASES: [(&str, &str); 4] =
    [("static", "static"), ("static:debian", "static"), ("musl-dynamic", "musl"), ("glibc-dynamic", "glibc")];

/// Composes for amd64 into one file.
fn archive(set: &Set, reference: &str, output: &str, more: &[&str]) {
    let mut command = set.place.command(["compose", "--arch", "amd64", reference, "-o", output]);
    succeed(command.args(more).arg("--from").args(&set.from));
}

/// Runs the example in an image that is there, as root and as a stranger.
fn hello(podman: &Podman, image: &str, kind: &str) {
    let program = programs().unwrap().join("amd64").join(kind).join("hello");
    let mount = format!("{}:/hello:ro", program.display());
    for user in [&[][..], &["--user", "1000650000:0"]] {
        let said = podman.container(&[user, &["--volume", &mount, image, "/hello"]].concat());
        assert!(
            said.lines().skip(1).all(|line| line.starts_with("ok ")) && said.lines().count() > 4,
            "{image}: {said}"
        );
    }
}

#[test]
fn podman_loads_and_runs_both_archives() {
    let (Some(podman), Some(set), Some(_)) = (Podman::new(), images::debian(program!()), programs()) else { return };
    let directory = lifetime::temporary();
    let file = directory.path().join("image.tar");
    for (at, (reference, kind)) in CASES.into_iter().enumerate() {
        for output in ["docker-archive", "oci-archive"] {
            let name = format!("localhost/{output}-{at}:v1");
            archive(set, reference, &format!("{output}:{}:{name}", file.display()), &[]);
            podman.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
            hello(&podman, &name, kind);
        }
    }
}

#[test]
fn podman_runs_layers_of_zstd() {
    let (Some(podman), Some(set), Some(_)) = (Podman::new(), images::debian(program!()), programs()) else { return };
    let directory = lifetime::temporary();
    let file = directory.path().join("image.tar");
    for (reference, kind) in CASES {
        let name = format!("localhost/{}:zstd", reference.replace(':', "-"));
        // It unpacks no layer whose diff ID it knows: its storage is empty of them.
        archive(set, reference, &format!("oci-archive:{}:{name}", file.display()), &["--compression", "zstd"]);
        podman.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
        hello(&podman, &name, kind);
    }
}

#[test]
fn podman_is_handed_the_image() {
    let (Some(podman), Some(set), Some(_)) = (Podman::new(), images::debian(program!()), programs()) else { return };
    // A program of that name, with the storage of this test, in front of the real one.
    let directory = podman.directory().join("bin");
    std::fs::create_dir(&directory).unwrap();
    let wrapper = directory.join("podman");
    let text = format!(
        "#!/bin/bash\nPATH=${{PATH#*:}} exec {} {} \"$@\"\n",
        script("podman").display(),
        podman.directory().display()
    );
    std::fs::write(&wrapper, text).unwrap();
    succeed(Command::new("chmod").arg("755").arg(&wrapper));
    let path = std::env::join_paths(
        [directory].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = set.place.command(["compose", "glibc-dynamic", "--arch", "all", "--load", "podman", "-o"]);
    let output = format!("oci:{}", podman.directory().join("layout").display());
    succeed(command.arg(output).arg("--from").args(&set.from).env("PATH", path.unwrap()));
    hello(&podman, "glibc-dynamic", "glibc");
}

#[test]
fn podman_runs_a_foreign_image() {
    let (Some(podman), Some(set), Some(programs)) = (Podman::new(), images::debian(program!()), programs()) else {
        return;
    };
    let directory = lifetime::temporary();
    let file = directory.path().join("image.tar");
    let mut command = set.place.command(["compose", "--arch", "all", "glibc-dynamic", "-o"]);
    command.arg(format!("docker-archive:{}:localhost/glibc-dynamic:v1", file.display()));
    succeed(command.arg("--from").args(&set.from));
    podman.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
    for (arch, emulator) in [(ARCHITECTURES[2], "qemu-aarch64-static"), (ARCHITECTURES[7], "qemu-s390x-static")] {
        let hello = format!("{}:/hello:ro", programs.join(arch.debian).join("glibc/hello").display());
        let qemu = format!("/usr/bin/{emulator}:/run/qemu:ro");
        let name = format!("localhost/glibc-dynamic:v1-{}", arch.tag);
        let said = podman.container(&[
            "--pull=never",
            "--arch",
            arch.oci,
            "--volume",
            &qemu,
            "--volume",
            &hello,
            &name,
            "/run/qemu",
            "/hello",
        ]);
        assert!(said.lines().skip(1).all(|line| line.starts_with("ok ")), "{}: {said}", arch.oci);
    }
}
