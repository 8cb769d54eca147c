//! ko puts a Go program on an image that was pushed as it is.

use std::fs;
use std::process::Command;

use dlstore_kit::inputs::peer;
use dlstore_kit::{place, succeed};
use serde_json::Value;

use super::registry::{Registry, crane};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm/v7"];

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&crane(arguments)).unwrap()
}

/// The layers of a platform by their diff IDs, lowest first.
fn diff_ids(image: &str, platform: &str) -> Vec<Value> {
    json(&["config", "--platform", platform, image])["rootfs"]["diff_ids"].as_array().unwrap().clone()
}

#[test]
fn ko_builds_on_the_pushed_base_for_each_platform() {
    let (Some(()), Some(()), Some(())) = (peer("crane"), peer("ko"), peer("go")) else { return };
    let (place, registry) = (place!(), Registry::start());
    place.ok(["compose", "static", "--arch", "all", "-o", "oci:layout"]);
    let (base, app) = (format!("{}/base/static:1", registry.address), format!("{}/app", registry.address));
    crane(&["push", place.project().join("layout").to_str().unwrap(), &base]);
    let source = place.project().join("hello");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("go.mod"), "module example.com/hello\n\ngo 1.20\n").unwrap();
    fs::write(source.join("main.go"), "package main\n\nfunc main() { println(\"ok\") }\n").unwrap();
    let platforms = PLATFORMS.join(",");
    let mut ko = Command::new("ko");
    ko.args(["build", "--bare", "--insecure-registry", "--sbom=none", "--platform", &platforms, "."]);
    let printed = succeed(ko.current_dir(&source).env("KO_DOCKER_REPO", &app).env("KO_DEFAULTBASEIMAGE", &base));
    let made = printed.trim_end();
    crane(&["validate", "--remote", made]);
    for platform in PLATFORMS {
        let (below, whole) = (diff_ids(&base, platform), diff_ids(made, platform));
        assert!(whole.len() > below.len() && whole.starts_with(&below), "{platform}: {whole:?} is not on {below:?}");
        let config = &json(&["config", "--platform", platform, made])["config"];
        assert_eq!(config["User"], "65532:65532", "{platform}");
        assert_eq!(config["Entrypoint"], serde_json::json!(["/ko-app/hello"]), "{platform}");
    }
}
