//! syft finds in a layout of one architecture the packages that are in it, and the distribution they are from.

use std::collections::BTreeSet;
use std::process::Command;

use dlstore_kit::inputs::{apks, debs, peer};
use dlstore_kit::{Place, place, succeed};
use serde_json::Value;

/// What syft says of the layout at `out`.
fn scanned(place: &Place) -> Value {
    let layout = format!("oci-dir:{}", place.project().join("out").display());
    let mut command = Command::new("syft");
    // It would look for a newer one of itself, and keeps a cache.
    command.env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("XDG_CACHE_HOME", place.project());
    serde_json::from_str(&succeed(command.args(["scan", &layout, "--quiet", "--output", "json"]))).unwrap()
}

/// The packages of a scan, as `KIND:NAME=VERSION`.
fn found(scan: &Value) -> BTreeSet<String> {
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages = scan["artifacts"].as_array().unwrap().iter();
    packages
        .map(|package| format!("{}:{}={}", text(package, "type"), text(package, "name"), text(package, "version")))
        .collect()
}

/// The packages that `files` names as origins, written the same way.
fn brought(place: &Place, image: &str, arch: &str, from: &str) -> BTreeSet<String> {
    let listed = place.json(&["files", image, "--arch", arch, "--from", from]);
    let files = listed["listings"][0]["files"].as_array().unwrap();
    let origins = files.iter().map(|file| file["origin"].as_str().unwrap());
    let packages = origins.filter(|origin| origin.starts_with("deb:") || origin.starts_with("apk:"));
    packages.map(|origin| origin.split('/').next().unwrap().to_owned()).collect()
}

fn assert_is_seen(place: &Place, image: &str, from: &str, distribution: (&str, &str)) {
    for arch in ["amd64", "s390x"] {
        place.ok(["compose", image, "--arch", arch, "--from", from, "-o", "oci:out", "--force"]);
        let scan = scanned(place);
        assert_eq!(scan["distro"]["id"], distribution.0, "{image} for {arch}");
        assert_eq!(scan["distro"]["versionID"], distribution.1, "{image} for {arch}");
        let expected = brought(place, image, arch, from);
        assert!(expected.len() >= 3, "{image} for {arch}: {expected:?}");
        assert_eq!(found(&scan), expected, "{image} for {arch}");
    }
}

#[test]
fn syft_finds_the_packages_and_the_distribution_of_debian_images() {
    let (Some(()), Some(debs)) = (peer("syft"), debs()) else { return };
    for image in ["static:debian", "musl-dynamic", "glibc-dynamic"] {
        assert_is_seen(&place!(), image, debs.to_str().unwrap(), ("debian", "13"));
    }
}

#[test]
fn syft_finds_the_packages_and_the_branch_of_alpine_images() {
    let (Some(()), Some(apks)) = (peer("syft"), apks()) else { return };
    let place = place!();
    place.image("app", "schema = 1\nextends = \"musl-dynamic:alpine\"\nos-release.VERSION_ID = \"3.20.0\"\n");
    assert_is_seen(&place, "app", apks.to_str().unwrap(), ("alpine", "3.20.0"));
}
