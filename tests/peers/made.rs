//! What other tools make on top of the images is read as they mean it: layouts and archives of umoci, skopeo, docker and
//! podman, with whiteouts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::buildkit::BuildKit;
use dlstore_kit::engines::{Podman, docker};
use dlstore_kit::handmade::layer;
use dlstore_kit::inputs::{peer, superuser};
use dlstore_kit::layers::{Item, Kind, Tree};
use dlstore_kit::{Place, place, program, roots, succeed};

/// A place with `static` for amd64 in the layout `base`, under the tag `base`.
fn based() -> Place {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64", "--copy", "-o", "oci:base:base"]);
    place
}

/// Puts a layer with whiteouts on `base` with umoci: the tag `top`.
fn on_top(place: &Place) {
    place.project_file(
        "layer.tar",
        &layer(&[
            "app/",
            "app/run: text",
            "app/again = app/run",
            "etc/",
            "etc/.wh.mime.types",
            "etc/passwd: changed",
            "usr/share/zoneinfo/",
            "usr/share/zoneinfo/.wh..wh..opq",
            "usr/share/zoneinfo/UTC: mine",
        ]),
    );
    let mut command = Command::new("umoci");
    command.args(["raw", "add-layer", "--image", "base:base", "--tag", "top", "layer.tar"]);
    place.surround(&mut command);
    succeed(&mut command);
    let mut command = Command::new("umoci");
    command.args(["config", "--image", "base:top", "--config.env", "A=b", "--config.label", "l=m", "--no-history"]);
    command.args(["--config.entrypoint", "/app/run"]);
    place.surround(&mut command);
    succeed(&mut command);
}

fn skopeo(place: &Place, arguments: &[&str]) {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--quiet"]).args(arguments);
    place.surround(&mut command);
    succeed(&mut command);
}

/// What `files` says, as the items of a tree.
fn files(place: &Place, what: &str) -> Tree {
    let answer = place.json(&["files", what, "--arch", "amd64"]);
    let item = |file: &Value| {
        let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
        let kind = match file["type"].as_str().unwrap() {
            "directory" => Kind::Directory,
            "file" => Kind::File { size: file["size"].as_u64().unwrap(), blake3: text("blake3") },
            "symlink" => Kind::Link(text("target")),
            "hard link" => Kind::HardLink(text("target")),
            other => panic!("{other}"),
        };
        let number = |key: &str| file[key].as_u64().unwrap();
        let mode = u32::from_str_radix(file["mode"].as_str().unwrap(), 8).unwrap();
        let (uid, gid, mtime, extra) = (number("uid"), number("gid"), number("mtime"), BTreeMap::new());
        (text("path"), Item { kind, mode, uid, gid, mtime, extra })
    };
    answer["listings"][0]["files"].as_array().unwrap().iter().map(item).collect()
}

/// Links of both kinds are what they lead to on a disk, and dates of directories and links those of the unpacking.
fn comparable(tree: &Tree) -> Tree {
    let entries = tree.iter().map(|(path, item)| {
        let mut item = match &item.kind {
            Kind::HardLink(target) => tree[target].clone(),
            _ => item.clone(),
        };
        if !matches!(item.kind, Kind::File { .. }) {
            item.mtime = 0;
        }
        (path.clone(), item)
    });
    entries.collect()
}

#[test]
fn what_umoci_makes_is_listed_as_umoci_unpacks_it() {
    let (Some(()), Some(())) = (peer("umoci"), superuser()) else { return };
    let place = based();
    on_top(&place);
    let mut command = Command::new("umoci");
    command.args(["unpack", "--image", "base:top", "bundle"]);
    place.surround(&mut command);
    succeed(&mut command);
    let unpacked = roots::walk(&place.project().join("bundle/rootfs"));
    let listed = files(&place, "oci:base:top");
    assert!(!listed.contains_key("/etc/mime.types") && listed.contains_key("/usr/share/zoneinfo/UTC"));
    assert!(!listed.contains_key("/usr/share/zoneinfo/Europe"));
    dlstore_kit::layers::assert_same(&comparable(&unpacked), &comparable(&listed), "umoci");
    let shown = place.json(&["show", "oci:base:top"]);
    let platform = &shown["platforms"][0];
    assert_eq!((&platform["env"]["A"], &platform["labels"]["l"]), (&"b".into(), &"m".into()));
    assert_eq!(platform["entrypoint"], serde_json::json!(["/app/run"]));
    let diff = place.ok(["diff", "oci:base:base", "oci:base:top"]);
    for line in ["config   + env.A  b", "file     + /app/run", "file     - /etc/mime.types"] {
        assert!(diff.lines().any(|found| found == line), "{line}: {diff}");
    }
}

#[test]
fn every_form_in_which_skopeo_writes_an_image_has_the_same_files() {
    let (Some(()), Some(())) = (peer("umoci"), peer("skopeo")) else { return };
    let place = based();
    on_top(&place);
    let expected = files(&place, "oci:base:top");
    for (to, flags) in [
        ("oci:copy:a", &[][..]),
        ("oci:zstd:a", &["--dest-compress-format", "zstd", "--dest-compress"]),
        ("oci:raw:a", &["--dest-decompress"]),
        ("oci-archive:copy.tar:a", &[]),
        ("oci-archive:nameless.tar", &[]),
        ("docker-archive:docker.tar:localhost/app:v1", &[]),
        ("docker-archive:untagged.tar", &[]),
    ] {
        skopeo(&place, &[flags, &["oci:base:top", to]].concat());
        assert!(files(&place, to) == expected, "{to}");
        assert_eq!(place.ok(["diff", "oci:base:top", to]), "no differences\n", "{to}");
    }
    // docker's own types of documents, in a layout.
    skopeo(&place, &["--format", "v2s2", "oci:base:top", "docker-archive:types.tar:localhost/app:v1"]);
    assert!(files(&place, "types.tar") == expected);
}

/// Writes a context of a Dockerfile that changes and removes what is in a base.
fn dockerfile(place: &Place, base: &str) {
    place.project_file("context/file", b"text");
    let text = format!("FROM {base}\nCOPY file /app/\nCOPY file /etc/passwd\nENV A=b\nUSER 5\n");
    place.project_file("context/Dockerfile", text.as_bytes());
}

/// What is built says of itself what the Dockerfile says.
fn is_built(place: &Place, what: &str) {
    let expected = files(place, "oci:base:base");
    let found = files(place, what);
    let added: Vec<&String> = found.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert_eq!(added, ["/app", "/app/file"], "{what}");
    assert!(expected.keys().all(|path| found.contains_key(path)), "{what}");
    assert!(matches!(found["/etc/passwd"].kind, Kind::File { size: 4, .. }), "{what}");
    let shown = place.json(&["show", what]);
    let platform = &shown["platforms"][0];
    assert_eq!((&platform["env"]["A"], &platform["user"]), (&"b".into(), &"5".into()), "{what}");
}

fn archive_of_base(place: &Place, name: &str) -> String {
    let output = format!("docker-archive:base.tar:{name}");
    place.ok(["compose", "static", "--arch", "amd64", "-o", &output]);
    place.project().join("base.tar").to_str().unwrap().to_owned()
}

#[test]
fn what_docker_builds_and_saves_is_read() {
    let Some(docker) = docker() else { return };
    let place = based();
    let name = "localhost/made-base:v1";
    let archive = archive_of_base(&place, name);
    docker.run(&["load", "--quiet", "--input", &archive]);
    dockerfile(&place, name);
    docker.build("localhost/made-top:v1", &place.project().join("context"));
    let saved = place.project().join("saved.tar");
    docker.run(&["save", "--output", saved.to_str().unwrap(), "localhost/made-top:v1"]);
    for what in ["saved.tar", "docker-archive:saved.tar", "docker-archive:saved.tar:localhost/made-top:v1"] {
        is_built(&place, what);
    }
    docker.run(&["save", "--output", saved.to_str().unwrap(), "localhost/made-top:v1", name]);
    let several = place.run(["show", "docker-archive:saved.tar"]);
    assert_eq!(several.code(), Some(2), "{several:?}");
    is_built(&place, "docker-archive:saved.tar:localhost/made-top:v1");
}

#[test]
fn what_podman_builds_and_saves_is_read() {
    let Some(podman) = Podman::new() else { return };
    let place = based();
    let name = "localhost/made-base:v1";
    let archive = archive_of_base(&place, name);
    podman.run(&["load", "--quiet", "--input", &archive]);
    dockerfile(&place, name);
    let context = place.project().join("context");
    podman.run(&["build", "--quiet", "--tag", "localhost/made-top:v1", context.to_str().unwrap()]);
    let save = |format: &str, to: &Path| {
        podman.run(&["save", "--quiet", "--format", format, "--output", to.to_str().unwrap(), "localhost/made-top:v1"]);
    };
    let at = |name: &str| place.project().join(name);
    for (format, file, named) in [
        ("docker-archive", "docker.tar", "docker-archive:docker.tar:localhost/made-top:v1"),
        ("oci-archive", "oci.tar", "oci-archive:oci.tar:localhost/made-top:v1"),
        ("oci-dir", "layout", "oci:layout"),
    ] {
        save(format, &at(file));
        let bare = format!("./{file}");
        is_built(&place, &bare);
        is_built(&place, named);
        assert_eq!(fs::metadata(at(file)).unwrap().is_dir(), format == "oci-dir");
    }
}

#[test]
fn what_buildkit_builds_for_two_platforms_and_attests_is_read() {
    let Some(buildkit) = BuildKit::start() else { return };
    let place = based();
    place.ok(["compose", "static", "--arch", "amd64,arm64", "-o", "oci:two:base"]);
    dockerfile(&place, "base");
    let context = format!("base=oci-layout://{}:base", place.project().join("two").display());
    for compression in ["gzip", "zstd", "uncompressed", "estargz"] {
        let to =
            format!("type=oci,dest=built.tar,name=localhost/app:v1,force-compression=true,compression={compression}");
        let mut command = Command::new("docker");
        command.args(["buildx", "build", "--platform", "linux/amd64,linux/arm64", "--provenance=true"]);
        command.args(["--build-context", &context, "--output", &to, "context"]);
        place.surround(&mut command);
        succeed(buildkit.aim(&mut command));
        for what in ["built.tar", "oci-archive:built.tar:v1", "oci-archive:built.tar:localhost/app:v1"] {
            is_built(&place, what);
            let shown = place.json(&["show", what, "--arch", "all"]);
            assert_eq!(shown["architectures"], serde_json::json!(["amd64", "arm64"]), "{what}");
        }
    }
}

#[test]
fn every_built_in_image_lists_as_a_layout_what_its_definition_lists() {
    for set in dlstore_kit::images::sets(program!()) {
        for image in &set.images {
            let what = format!("oci:{}:{}", set.layout.path().display(), image.name);
            let mut command = set.place.command(["diff", &image.reference, &what, "--arch", "all", "--from"]);
            assert_eq!(succeed(command.args(&set.from)), "no differences\n", "{what}");
        }
    }
}
