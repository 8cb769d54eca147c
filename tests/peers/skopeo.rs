//! skopeo reads and copies every kind of output, on every platform.

use std::process::Command;

use serde_json::{Value, json};

use dlstore_kit::images::{self, ARCHITECTURES, Image, Names, Set, sets};
use dlstore_kit::inputs::peer;
use dlstore_kit::{Layout, lifetime, program, sha256, succeed};

fn skopeo(arguments: &[&str]) -> String {
    succeed(Command::new("skopeo").arg("--insecure-policy").args(arguments))
}

/// Arguments by which skopeo takes another platform than this machine's.
fn platform(arch: Names) -> Vec<&'static str> {
    let (architecture, variant) = arch.oci.split_once('/').unwrap_or((arch.oci, ""));
    let mut arguments = vec!["--override-arch", architecture];
    if !variant.is_empty() {
        arguments.extend(["--override-variant", variant]);
    }
    arguments
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What a config says, read from the layout.
fn config(set: &Set, image: &Image, arch: Names) -> Value {
    parsed(&std::fs::read_to_string(set.layout.file(&image.platform(arch.oci).config)).unwrap())
}

#[test]
fn skopeo_inspects_every_platform_of_a_layout() {
    let Some(()) = peer("skopeo") else { return };
    for set in sets(program!()) {
        for image in &set.images {
            let whole = format!("oci:{}:{}", set.layout.path().display(), image.name);
            assert_eq!(digest(skopeo(&["inspect", "--raw", &whole]).as_bytes()), image.digest);
            for arch in ARCHITECTURES {
                let at = format!("{} on {}", image.reference, arch.oci);
                let expected = config(set, image, arch);
                // By the tag of the platform, and by choosing from the index.
                let one = format!("{whole}-{}", arch.tag);
                let by_tag = parsed(&skopeo(&["inspect", "--config", &one]));
                let chosen = parsed(&skopeo(&[&platform(arch), &["inspect", "--config", whole.as_str()][..]].concat()));
                assert_eq!(by_tag, chosen, "{at}");
                assert_eq!(by_tag["rootfs"], expected["rootfs"], "{at}");
                assert_eq!(by_tag["config"]["Env"], expected["config"]["Env"], "{at}");
                let seen = parsed(&skopeo(&["inspect", &one]));
                assert_eq!(seen["Digest"], image.platform(arch.oci).manifest, "{at}");
                assert_eq!(seen["Architecture"], arch.oci.split('/').next().unwrap(), "{at}");
                let layers: Vec<&str> =
                    image.platform(arch.oci).layers.iter().map(|layer| layer.digest.as_str()).collect();
                assert_eq!(seen["Layers"], json!(layers), "{at}");
            }
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

#[test]
fn skopeo_copies_a_layout_whole() {
    let Some(()) = peer("skopeo") else { return };
    for set in sets(program!()) {
        for image in &set.images {
            let directory = lifetime::temporary();
            let from = format!("oci:{}:{}", set.layout.path().display(), image.name);
            let to = directory.path().join("copy");
            skopeo(&["copy", "--quiet", "--all", "--preserve-digests", &from, &format!("oci:{}:copy", to.display())]);
            same_blobs(image, &set.layout, &Layout(to));
        }
    }
}

/// All blobs of an image have been copied with their bytes.
fn same_blobs(image: &Image, from: &Layout, to: &Layout) {
    let of_platform = image.platforms.iter().flat_map(|platform| {
        let layers = platform.layers.iter().map(|layer| &layer.digest);
        layers.chain([&platform.manifest, &platform.config])
    });
    for digest in of_platform.chain([&image.digest]) {
        assert!(from.blob(digest) == to.blob(digest), "{digest}");
    }
}

#[test]
fn skopeo_copies_every_platform_of_both_archives() {
    let Some(()) = peer("skopeo") else { return };
    let some: Vec<(&Set, &Image)> =
        sets(program!()).into_iter().flat_map(|set| set.images.iter().map(move |image| (set, image))).collect();
    for (set, image) in some {
        let directory = lifetime::temporary();
        let [oci, docker, to] = ["oci.tar", "docker.tar", "copy"].map(|name| directory.path().join(name));
        let mut command = set.place.command(["compose", "--arch", "all", &image.reference]);
        command.arg("-o").arg(format!("oci-archive:{}", oci.display()));
        command.arg("-o").arg(format!("docker-archive:{}:localhost/{}:v1", docker.display(), image.name));
        succeed(command.arg("--from").args(&set.from));
        let from = format!("oci-archive:{}", oci.display());
        skopeo(&["copy", "--quiet", "--all", "--preserve-digests", &from, &format!("oci:{}:copy", to.display())]);
        same_blobs(image, &set.layout, &Layout(to.clone()));
        for arch in ARCHITECTURES {
            let at = format!("{} on {}", image.reference, arch.oci);
            let one = format!("docker-archive:{}:localhost/{}:v1-{}", docker.display(), image.name, arch.tag);
            let to = format!("oci:{}:{}", to.display(), arch.tag);
            let platform = platform(arch);
            skopeo(&[&platform, &["copy", "--quiet", one.as_str(), &to][..]].concat());
            let [there, here] = [&one, &to]
                .map(|name| parsed(&skopeo(&[&platform, &["inspect", "--config", name.as_str()][..]].concat())));
            let expected = config(set, image, arch);
            for seen in [there, here] {
                assert_eq!(seen["rootfs"], expected["rootfs"], "{at}");
                assert_eq!(seen["architecture"], expected["architecture"], "{at}");
            }
        }
    }
}

#[test]
fn skopeo_reads_layers_of_zstd() {
    let (Some(()), Some(set)) = (peer("skopeo"), images::debian(program!())) else { return };
    let directory = lifetime::temporary();
    let layout = Layout(directory.path().join("layout"));
    let made =
        images::compose(&set.place, &["static:debian"], &set.from, &layout, &["--compression", "zstd", "--arch-tags"]);
    let name = format!("oci:{}:latest", layout.path().display());
    let manifest = parsed(&skopeo(&["inspect", "--raw", &format!("{name}-amd64")]));
    for layer in manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
    // What is unpacked is the same, so the diff IDs are those of gzip.
    for (zstd, gzip) in made[0].platforms.iter().zip(&set.image("static:debian").platforms) {
        let diff_ids = |platform: &images::Platform| -> Vec<String> {
            platform.layers.iter().map(|layer| layer.diff_id.clone()).collect()
        };
        assert_eq!(diff_ids(zstd), diff_ids(gzip));
    }
    let to = directory.path().join("copy");
    skopeo(&["copy", "--quiet", "--all", "--preserve-digests", &name, &format!("oci:{}:copy", to.display())]);
    same_blobs(&made[0], &layout, &Layout(to));
}
