//! What README.md shows can be typed: its first image is made and started as it is pasted, its other commands are ones that
//! there are, and what it says happens if something is not as it should be happens.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use dlstore_kit::{Done, Layout, Place, elf, finish, place, program, workspace};
use dlstore_model::arch::Arch;

/// The blocks of a section of README.md that a shell reads.
fn blocks(section: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace::own("README.md")).unwrap();
    let section = format!("\n## {section}\n");
    let (_, text) = text.split_once(&section).unwrap_or_else(|| panic!("README.md has {section}"));
    let text = text.split("\n## ").next().unwrap();
    text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A directory for `PATH` with the program in it, and perhaps a docker that unpacks what it is handed and starts it.
fn programs(place: &Place, has_docker: bool) -> PathBuf {
    let directory = place.path().join("bin");
    fs::create_dir_all(&directory).unwrap();
    symlink(program!(), directory.join("dlstore")).unwrap();
    if has_docker {
        let docker = directory.join("docker");
        let script = "#!/bin/sh
cd \"$HOME\"
case $1 in
    load) mkdir image && tar -xf - -C image && echo 'Loaded image: hello:latest' ;;
    run) [ \"$3\" = hello ]; for file in $(find image -type f); do tar -xf $file 2>/dev/null || :; done; exec usr/bin/hello ;;
esac
";
        fs::write(&docker, script).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn shell(place: &Place, text: &str, has_docker: bool) -> Done {
    let mut command = Command::new("/bin/sh");
    command.args(["-ec", text]);
    place.surround(&mut command);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", programs(place, has_docker).display()));
    finish(command)
}

#[test]
fn the_first_image_is_made_and_says_hello_as_it_is_pasted() {
    let Some(host) = Arch::host() else { return };
    let place = place!();
    let block = blocks("Your first image")[0].replace("arch=amd64", &format!("arch={}", host.tag()));
    let done = shell(&place, &block, true).ok();
    assert!(done.out.ends_with("Hello from almost nothing\n"), "{done:?}");
}

#[test]
fn every_command_that_is_shown_is_one_that_there_is() {
    let place = place!();
    place.image("hello", "schema = 1\nextends = \"static\"\n");
    let mut tried = 0;
    for section in ["Two commands", "Your first image", "With packages"] {
        for line in blocks(section).iter().flat_map(|block| block.lines()) {
            let line = line.split(" #").next().unwrap();
            let line = line.replace("cargo run --release -- ", "dlstore ");
            let Some(arguments) = line.strip_prefix("dlstore ") else { continue };
            // There is nothing in the directories that it names, and no package for any image.
            let done = place.run(arguments.split_whitespace().filter(|word| *word != "--load"));
            let lacks_packages = ["./debs", "./apks", " package "].iter().any(|what| done.err.contains(what));
            assert!(done.code() == Some(0) || done.code() == Some(1) && lacks_packages, "{line}: {done:?}");
            tried += 1;
        }
    }
    assert!(tried >= 7, "{tried}");
}

#[test]
fn what_if_there_is_no_store_docker_or_package_and_a_program_is_for_another_machine() {
    let place = place!();
    let compose = |place: &Place| place.run(["compose", "app", "--arch", "amd64"]);
    place.image("app", "schema = 1\nextends = \"static\"\ncertificates = [\"certs/corp-root.pem\"]\n");
    let certificate = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    place.project_file("images/app/certs/corp-root.pem", certificate.as_bytes());
    // No store: the first command makes one. A private CA is in the bundle that the variable names.
    assert!(!place.store().exists());
    compose(&place).ok();
    assert!(place.store().join("format.json").exists());
    let layout = Layout(place.project().join("out/app"));
    let (_, config) = layout.image("latest", "amd64");
    let variable = "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt";
    assert!(config["config"]["Env"].as_array().unwrap().iter().any(|one| one == variable), "{config}");
    let bundle = layout.files("latest", "amd64")["etc/ssl/certs/ca-certificates.crt"].1.clone();
    assert!(String::from_utf8(bundle).unwrap().ends_with(certificate));
    // Another machine: the file and both architectures are named, and what to write.
    let file =
        |source: &str| format!("schema = 1\nextends = \"static\"\nfiles.\"/app\" = {{ source = \"{source}\" }}\n");
    place.image("app", &file("app"));
    place.project_file("images/app/app", &elf::program("arm64"));
    let failed = compose(&place);
    assert!(
        failed.error().contains("/app of ")
            && failed.error().ends_with("was built for arm64, but the image is for amd64")
    );
    place.image("app", &file("build/{arch}/app"));
    for arch in ["amd64", "arm64"] {
        place.project_file(&format!("images/app/build/{arch}/app"), &elf::program(arch));
    }
    place.ok(["compose", "app", "--arch", "amd64,arm64"]);
    // A package that is nowhere: its name and the line.
    place.image("app", "schema = 1\nformat = \"deb\"\npackages = [\"zz\"]\n");
    assert!(compose(&place).error().starts_with("no deb package zz for amd64 (app, images/app/image.toml:3)"));
    // No docker and no podman: one is asked for, and without being asked for there is none needed.
    let mut command = place.command(["compose", "static", "--load"]);
    command.env("PATH", place.path().join("home"));
    let failed = finish(command);
    assert_eq!(failed.lines("cause:"), ["there is no docker and no podman on PATH"]);
    let mut command = place.command(["compose", "static", "-o", "docker-archive:static.tar"]);
    command.env("PATH", place.path().join("home"));
    finish(command).ok();
}
