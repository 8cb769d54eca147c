//! crane pushes a layout as it is, and what lies in the registry then is what was printed.

use dlstore_kit::inputs::peer;
use dlstore_kit::{Place, place};

use super::registry::{Registry, crane};

/// Composes, and gives the printed digest.
fn digest(place: &Place, arguments: &[&str]) -> String {
    let printed = place.ok([&["compose"], arguments].concat());
    printed.trim_end().rsplit('@').next().unwrap().to_owned()
}

#[test]
fn crane_pushes_a_layout_of_one_image_under_the_printed_digest() {
    let Some(()) = peer("crane") else { return };
    let (place, registry) = (place!(), Registry::start());
    let words = "repository = \"ghcr.io/acme/app\"\ntags = [\"1.2\", \"latest\"]\nlabels.a = \"b\"\n";
    place.image("app", &format!("schema = 1\nextends = \"static\"\n{words}"));
    for (image, more) in [
        ("static", &["--arch", "all"][..]),
        ("static", &["--arch", "arm/v7"]),
        ("app", &["--arch", "amd64,s390x"]),
        ("app", &["--arch", "riscv64"]),
    ] {
        let layout = place.project().join("layout");
        let _ = std::fs::remove_dir_all(&layout);
        let made = digest(&place, &[&[image, "-o", "oci:layout"], more].concat());
        let name = format!("{}/{image}:{}", registry.address, more.len());
        let pushed = crane(&["push", layout.to_str().unwrap(), &name]);
        assert!(pushed.trim_end().ends_with(&made), "{image} {more:?}: {pushed} is not {made}");
        assert_eq!(crane(&["digest", &name]).trim_end(), made, "{image} {more:?}");
        crane(&["validate", "--remote", &name]);
    }
}

#[test]
fn crane_pushes_a_docker_archive_of_one_architecture() {
    let Some(()) = peer("crane") else { return };
    let (place, registry) = (place!(), Registry::start());
    place.ok(["compose", "static", "--arch", "ppc64le", "-o", "docker-archive:image.tar"]);
    let name = format!("{}/static:archive", registry.address);
    crane(&["push", place.project().join("image.tar").to_str().unwrap(), &name]);
    crane(&["validate", "--remote", &name]);
    let config: serde_json::Value = serde_json::from_str(&crane(&["config", &name])).unwrap();
    assert_eq!(config["architecture"], "ppc64le");
}
