//! Where images are written.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use dlstore_kit::layers::contents;
use dlstore_kit::{Layout, packages, place};

/// Names and contents of an archive.
fn archive(path: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    contents(fs::File::open(path).unwrap())
}

#[test]
fn a_tag_is_replaced_and_its_neighbours_stay() {
    let place = place!();
    let digest = |out: String| out.trim_end().split_once('@').unwrap().1.to_owned();
    let two = digest(place.ok(["compose", "static", "--arch", "amd64,arm64", "-o", "oci:dir:a", "-o", "oci:dir:b"]));
    let one = digest(place.ok(["compose", "static", "--arch", "amd64", "-o", "oci:dir:b"]));
    assert_ne!(one, two);
    let layout = Layout(place.project().join("dir"));
    assert_eq!((layout.index("a").0, layout.index("b").0), (two.clone(), one.clone()));
    assert_eq!(digest(place.ok(["compose", "static", "--arch", "amd64,arm64", "-o", "oci:dir:b"])), two);
    assert_eq!(layout.index("b").0, two);
    layout.files("a", "arm64");
}

#[test]
fn an_archive_is_written_over_a_longer_file_and_never_half() {
    let place = place!();
    for kind in ["oci-archive", "docker-archive"] {
        let file = place.project().join("image.tar");
        let output = format!("{kind}:{}", file.display());
        let compose = ["compose", "static", "--arch", "amd64", "-o", &output];
        place.ok(compose);
        let bytes = fs::read(&file).unwrap();
        let longer = vec![b'x'; bytes.len() * 2];
        fs::write(&file, longer).unwrap();
        place.ok(compose);
        assert!(fs::read(&file).unwrap() == bytes, "{kind}: the same bytes, and no more");
        let names = archive(&file);
        let wanted = if kind == "oci-archive" { "index.json" } else { "manifest.json" };
        let _: Value = serde_json::from_slice(&names[wanted]).unwrap();
        assert_eq!(dlstore_kit::names(&place.project()), ["image.tar"], "nothing temporary stays");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn several_images_and_outputs_are_written_at_once() {
    let place = place!();
    place.image("other", "schema = 1\nfiles.\"/x\" = { content = \"x\" }\n");
    let done = place.run(["compose", "static", "other", "--arch", "amd64", "-o", "oci:both", "-o", "oci:more"]).ok();
    let names: Vec<_> = done.out.lines().map(|line| line.split('@').next().unwrap()).collect();
    assert_eq!(names, ["static", "other"]);
    let layout = Layout(place.project().join("both"));
    let top: Value = serde_json::from_slice(&fs::read(layout.0.join("index.json")).unwrap()).unwrap();
    let refs: Vec<_> = top["manifests"].as_array().unwrap().iter().collect();
    let refs: Vec<_> = refs.iter().map(|one| &one["annotations"]["org.opencontainers.image.ref.name"]).collect();
    assert_eq!(refs, ["other", "static"]);
    assert_eq!(dlstore_kit::snapshot(&place.project().join("more")), dlstore_kit::snapshot(&layout.0));
    let done = place.run(["compose", "static", "other", "--arch", "amd64", "-o", "oci-archive:both.tar"]);
    assert_eq!((done.code(), place.project().join("both.tar").exists()), (Some(2), false), "{done:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = place!();
    place.project_file("file", b"in the way");
    for output in ["oci:file", "oci-archive:file/below.tar", "oci:file/below"] {
        let done = place.run(["compose", "static", "--arch", "amd64", "-o", output]);
        assert!(done.error().contains("file"), "{output}: {done:?}");
        assert_eq!(done.out, "", "{output}");
    }
    assert_eq!(fs::read(place.project().join("file")).unwrap(), b"in the way");
    // A directory with foreign things in it is not made a layout.
    place.project_file("full/of/things", b"x");
    let before = dlstore_kit::snapshot(&place.project().join("full"));
    let done = place.run(["compose", "static", "--arch", "amd64", "-o", "oci-archive:full"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert_eq!(dlstore_kit::snapshot(&place.project().join("full")), before);
}

#[test]
fn copied_outputs_share_nothing_with_the_store() {
    use std::os::unix::fs::MetadataExt as _;
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64", "--copy"]);
    let blobs = place.project().join("out/static/blobs/sha256");
    for name in dlstore_kit::names(&blobs) {
        assert_eq!(fs::metadata(blobs.join(&name)).unwrap().nlink(), 1, "{name}");
    }
}

#[test]
fn a_docker_archive_of_zstd_layers_is_refused_before_any_package_is_read() {
    let place = place!();
    // Reading it would be an error of its own.
    let deb = place.package("hello.deb", b"no package at all");
    place.image("one", "schema = 1\nformat = \"deb\"\npackages = [\"hello\"]\ncompression = \"zstd\"\n");
    let from = ["compose", "one", "--arch", "amd64", "--from", deb.to_str().unwrap()];
    for (more, what) in [
        (&["-o", "docker-archive:one.tar"][..], "docker-archive:one.tar"),
        (&["-o", "oci:out", "-o", "docker-archive:one.tar:a:b"], "docker-archive:one.tar:a:b"),
        (&["--load"], "--load"),
        (&["--load=podman"], "--load"),
    ] {
        let done = place.run(from.iter().chain(more));
        assert_eq!((done.code(), done.out.as_str()), (Some(2), ""), "{more:?}: {done:?}");
        assert_eq!(done.lines("error:"), [format!("{what} does not support zstd layers")]);
        assert_eq!(done.lines("hint:"), ["--compression gzip, or -o oci-archive:FILE"]);
        assert!(!place.store().exists(), "{more:?}: the store was touched");
        assert_eq!(dlstore_kit::names(&place.project()), ["images"], "{more:?}");
    }
    let done = place.run(["compose", "static", "--arch", "amd64", "--compression", "zstd", "-o", "docker-archive:x"]);
    assert_eq!((done.code(), place.store().exists()), (Some(2), false), "{done:?}");
    place.ok(["compose", "static", "--arch", "amd64", "--compression", "zstd", "-o", "oci-archive:x.tar"]);
}

#[test]
fn a_dry_run_says_what_would_be_made_and_makes_nothing() {
    let place = place!();
    place.package("hello.deb", &packages::deb("hello", 1, "amd64").build());
    place.image("one", "schema = 1\nformat = \"deb\"\npackages = [\"hello\"]\nfiles.\"/own\" = { content = \"x\" }\n");
    let planned = ["compose", "one", "--arch", "amd64", "--from", "../packages", "--dry-run"];
    let said = place.ok(planned);
    assert!(said.starts_with("one amd64: "), "{said}");
    assert!(
        said.contains("new ") && said.contains("deb:hello=") && said.contains("definition:one (1 file, 1 B)"),
        "{said}"
    );
    assert!(!place.project().join("out").exists(), "nothing is written");
    assert_eq!(place.left(), BTreeMap::new(), "and nothing kept");
    assert_eq!(place.json(&["list"])["packages"].as_array().map(Vec::len), Some(0));
    let layers = |plan: &Value| plan["images"][0]["platforms"][0]["layers"].as_array().unwrap().clone();
    let before = layers(&place.json(&planned));
    assert!(before.iter().all(|layer| layer["is_known"] == false), "{before:?}");

    let made = place.json(&planned[..6]);
    let after = layers(&place.json(&planned));
    assert!(after.iter().all(|layer| layer["is_known"] == true), "{after:?}");
    let titles = |layers: &[Value]| layers.iter().map(|layer| layer["title"].clone()).collect::<Vec<_>>();
    assert_eq!(titles(&after), titles(&layers(&made)), "the layers that were made");
    assert_eq!(place.run(planned.iter().chain(&["-o", "oci:x"])).code(), Some(2));
    place.image("two", "schema = 1\nformat = \"deb\"\npackages = [\"gone\"]\n");
    let mut failing = planned;
    failing[1] = "two";
    assert!(place.run(failing).error().contains("no deb package gone"));
}

/// The entries of a layout: name, image, media type and digest.
fn entries(layout: &std::path::Path) -> Vec<[String; 3]> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entry = |one: &Value| {
        let name = one["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        let kind = one["mediaType"].as_str().unwrap().trim_start_matches("application/vnd.oci.image.");
        [name, kind, one["digest"].as_str().unwrap()].map(str::to_owned)
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn a_layout_of_one_image_has_one_entry_which_is_what_was_printed() {
    let place = place!();
    let tags = "tags = [\"{date}-{arch}\", \"latest\"]\n";
    place.image("app", &format!("schema = 1\nextends = \"static\"\nrepository = \"ghcr.io/acme/app\"\n{tags}"));
    let digest = |done: &str| done.trim_end().rsplit('@').next().unwrap().to_owned();
    for (arch, kind) in [("all", "index"), ("arm64", "manifest")] {
        let out = place.project().join("out/app");
        let _ = fs::remove_dir_all(&out);
        let printed = place.ok(["compose", "app", "--arch", arch]);
        assert!(printed.starts_with("ghcr.io/acme/app@sha256:"), "{printed}");
        let [[name, found, entry]] = &entries(&out)[..] else { panic!("{:?}", entries(&out)) };
        assert_eq!((found.starts_with(kind), entry), (true, &digest(&printed)), "{arch}: {found}");
        assert!(name.ends_with(if arch == "all" { "s390x" } else { "-arm64" }), "the first tag: {name}");
        let json = place.json(&["compose", "app", "--arch", arch]);
        assert_eq!(json["images"][0]["digest"], *entry);
        // All tags when asked, and each architecture.
        place.ok(["compose", "app", "--arch", arch, "--all-tags", "-o", "oci:all"]);
        let all = entries(&place.project().join("all"));
        assert_eq!(all.iter().map(|[name, ..]| name.as_str()).collect::<Vec<_>>(), [name, "latest"]);
        place.ok(["compose", "app", "--arch", arch, "--arch-tags", "-t", ":1", "-o", "oci:each"]);
        let each = entries(&place.project().join("each"));
        assert_eq!(each.len(), if arch == "all" { 9 } else { 2 }, "{each:?}");
        fs::remove_dir_all(place.project().join("all")).unwrap();
        fs::remove_dir_all(place.project().join("each")).unwrap();
    }
}

#[test]
fn names_of_the_definition_and_of_the_command_line_count_for_every_output() {
    let place = place!();
    place.image(
        "app",
        "schema = 1\nextends = \"static\"\nrepository = \"ghcr.io/acme/app\"\ntags = [\"1.2\", \"latest\"]\n",
    );
    let names = |more: &[&str]| {
        let outputs = ["-o", "oci:o", "-o", "oci-archive:a.tar", "-o", "docker-archive:d.tar"];
        let printed = place.ok([&["compose", "app", "--arch", "amd64"][..], &outputs, more].concat());
        let of_layout = entries(&place.project().join("o"));
        let [oci, docker] = ["a.tar", "d.tar"].map(|file| archive(&place.project().join(file)));
        let index: Value = serde_json::from_slice(&oci["index.json"]).unwrap();
        let images: Value = serde_json::from_slice(&docker["manifest.json"]).unwrap();
        let names = [
            printed.split('@').next().unwrap().to_owned(),
            of_layout.iter().map(|[name, ..]| name.as_str()).collect::<Vec<_>>().join(" "),
            index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned(),
            images[0]["RepoTags"].to_string(),
        ];
        fs::remove_dir_all(place.project().join("o")).unwrap();
        names
    };
    let app = "ghcr.io/acme/app";
    let of_definition = [app, "1.2", "ghcr.io/acme/app:1.2", "[\"ghcr.io/acme/app:1.2\",\"ghcr.io/acme/app:latest\"]"];
    assert_eq!(names(&[]), of_definition);
    assert_eq!(names(&["-t", ":9"]), [app, "9", "ghcr.io/acme/app:9", "[\"ghcr.io/acme/app:9\"]"]);
    assert_eq!(names(&["-t", "mine/x:2"]), ["mine/x", "2", "mine/x:2", "[\"mine/x:2\"]"]);
    let refused = place.run(["compose", "app", "static", "--arch", "amd64", "-t", "x"]);
    assert!(refused.code() == Some(2) && refused.err.contains("--tag names one image"), "{refused:?}");
}

#[test]
fn a_tag_that_belongs_to_another_image_is_not_taken_without_force() {
    let place = place!();
    place.image("one", "schema = 1\nextends = \"static\"\n");
    place.image("two", "schema = 1\nextends = \"static\"\nlabels.x = \"y\"\n");
    let compose = |image: &str, more: &[&str]| {
        place.run([&["compose", image, "--arch", "amd64", "-o", "oci:out"][..], more].concat())
    };
    compose("one", &[]).ok();
    place.image("one", "schema = 1\nextends = \"static\"\nlabels.changed = \"1\"\n");
    compose("one", &[]).ok();
    let before = entries(&place.project().join("out"));
    let refused = compose("two", &[]);
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.error().contains("the tag `latest` in out belongs to the image one"), "{refused:?}");
    assert!(refused.err.contains("--force"), "{refused:?}");
    assert_eq!(entries(&place.project().join("out")), before);
    compose("two", &["--force"]).ok();
    assert_ne!(entries(&place.project().join("out")), before);
}

#[test]
fn an_archive_goes_to_stdout_and_nothing_else_does() {
    let place = place!();
    for kind in ["oci-archive", "docker-archive"] {
        let output = format!("{kind}:-");
        let mut command = place.command(["compose", "static", "--arch", "amd64", "-o", &output]);
        let piped = command.output().unwrap();
        assert!(piped.status.success(), "{piped:?}");
        let output = format!("{kind}:file.tar");
        let printed = place.ok(["compose", "static", "--arch", "amd64", "-o", &output]);
        assert!(piped.stdout == fs::read(place.project().join("file.tar")).unwrap(), "{kind}");
        assert!(String::from_utf8_lossy(&piped.stderr).contains(printed.trim_end()), "the digest is on stderr");
    }
    for (more, answer) in [(&["--json"][..], "{\n  \"schema\": 1,\n  \"error\": {"), (&["-o", "docker-archive:-"], "")]
    {
        let refused = place.run([&["compose", "static", "--arch", "amd64", "-o", "oci-archive:-"][..], more].concat());
        assert_eq!(refused.code(), Some(2), "{refused:?}");
        assert!(refused.out.starts_with(answer) && refused.out.is_empty() == answer.is_empty(), "{refused:?}");
    }
}

#[test]
fn labels_annotations_and_variables_of_the_command_line_are_in_the_image_and_that_is_said() {
    let place = place!();
    let plain = place.ok(["compose", "static", "--arch", "amd64", "-o", "oci:plain"]);
    let flags = ["--label", "org.example.a=b=c", "--annotation", "org.example.n=1", "-e", "TZ=UTC", "-o", "oci:out"];
    let done = place.run([&["compose", "static", "--arch", "amd64"][..], &flags].concat()).ok();
    assert_ne!(done.out, plain);
    assert!(done.err.contains("command-line flags changed the digest"), "{done:?}");
    let (manifest, config) = Layout(place.project().join("out")).image("embedded", "amd64");
    assert_eq!(config["config"]["Labels"]["org.example.a"], "b=c");
    assert_eq!(manifest["annotations"]["org.example.n"], "1");
    let env = config["config"]["Env"].as_array().unwrap();
    assert!(env.contains(&"TZ=UTC".into()) && env.len() > 1, "{env:?}");
    for bad in [["--label", "a"], ["--annotation", "=b"], ["-e", "=x"]] {
        let refused = place.run([&["compose", "static"][..], &bad].concat());
        assert!(refused.code() == Some(2) && refused.err.contains(bad[0]), "{refused:?}");
    }
}

#[test]
fn the_last_line_fits_what_was_made_and_is_a_command_of_a_shell() {
    let place = place!();
    let program = |more: &str| {
        let words = "entrypoint = [\"/bin/app\"]\nwaive = [\"entrypoint -> /bin/app: a test\"]\n";
        place.image("app", &format!("schema = 1\nextends = \"static\"\n{words}{more}"));
    };
    let last = |arguments: &[&str]| {
        let done = place.run([&["compose", "--arch", "amd64"], arguments].concat()).ok();
        done.err.lines().last().unwrap().to_owned()
    };
    let project = place.project().display().to_string();
    let base = last(&["static"]);
    let layout = format!("static=oci-layout://{project}/out/static:embedded");
    assert_eq!(base, format!("next: docker buildx build --build-context {layout} .   # FROM static"));
    program("");
    assert_eq!(last(&["app"]), "next: podman run --rm oci:out/app:latest");
    assert_eq!(last(&["app", "-o", "oci:a b:c"]), "next: podman run --rm 'oci:a b:c'");
    program("repository = \"ghcr.io/acme/app\"\ntags = [\"1\"]\n");
    assert_eq!(last(&["app", "-o", "oci:a b"]), "next: skopeo copy --all 'oci:a b:1' docker://ghcr.io/acme/app:1");
}

#[test]
fn only_a_name_that_was_asked_for_is_pushed_in_the_last_line() {
    let place = place!();
    let words = "entrypoint = [\"/bin/app\"]\nwaive = [\"entrypoint -> /bin/app: a test\"]\n";
    place.image("app", &format!("schema = 1\nextends = \"static\"\n{words}"));
    let names = ["-t", "app:1", "-t", "ghcr.io/x/y:3", "-o", "oci:out", "--all-tags"];
    let done = place.run([&["compose", "app", "--arch", "amd64"][..], &names].concat()).ok();
    let next: Vec<&str> = done.err.lines().filter(|line| line.starts_with("next:")).collect();
    assert_eq!(next, ["next: podman run --rm oci:out:1", "next: skopeo copy --all oci:out:3 docker://ghcr.io/x/y:3"]);
}

#[test]
fn two_names_with_one_tag_are_refused_where_a_layout_would_drop_one() {
    let place = place!();
    place.image("app", "schema = 1\nextends = \"static\"\nrepository = \"ghcr.io/acme/app\"\n");
    let compose = |tags: [&str; 2], more: &[&str]| {
        let names = ["compose", "app", "--arch", "amd64", "-t", tags[0], "-t", tags[1]];
        place.run([&names[..], more].concat())
    };
    let foreign = ["ghcr.io/x/y:3", "ghcr.io/z/w:3"];
    for (tags, more, output, names) in [
        (foreign, &["-o", "oci:out", "--all-tags"][..], "oci:out", "ghcr.io/x/y:3 and ghcr.io/z/w:3"),
        (foreign, &["--all-tags"], "oci:out/app", "ghcr.io/x/y:3 and ghcr.io/z/w:3"),
        ([":3", "x/y:3"], &["-o", "oci:out", "--all-tags"], "oci:out", "ghcr.io/acme/app:3 and x/y:3"),
    ] {
        let refused = compose(tags, more);
        assert_eq!((refused.code(), refused.out.as_str()), (Some(2), ""), "{refused:?}");
        assert_eq!(refused.lines("error:"), [format!("output \"{output}\" would have one tag for {names}")]);
        assert_eq!(refused.lines("hint:"), ["-o oci-archive:FILE, which holds full names"]);
        assert!(!place.project().join("out").exists(), "{more:?}");
    }
    // One name said twice, the first tag only, and an archive of full names drop nothing.
    compose([":3", "ghcr.io/acme/app:3"], &["-o", "oci:same", "--all-tags"]).ok();
    compose(foreign, &["-o", "oci:first"]).ok();
    compose(foreign, &["-o", "oci:own:9", "-o", "oci-archive:out.tar", "--all-tags"]).ok();
}

#[test]
fn an_archive_on_stdout_is_whole_though_a_layer_was_damaged() {
    for damage in ["flip", "remove"] {
        let place = place!();
        place.ok(["compose", "static", "--arch", "amd64", "-o", "oci-archive:whole.tar"]);
        for name in dlstore_kit::names(&place.store().join("packs")) {
            let path = place.store().join("packs").join(name);
            let mut bytes = fs::read(&path).unwrap();
            let stamp = fs::metadata(&path).unwrap().modified().unwrap();
            fs::remove_file(&path).unwrap();
            if damage == "flip" {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&path, &bytes).unwrap();
                fs::File::options().append(true).open(&path).unwrap().set_modified(stamp).unwrap();
            }
        }
        let piped = place.command(["compose", "static", "--arch", "amd64", "-o", "oci-archive:-"]).output().unwrap();
        assert!(piped.status.success(), "{damage}: {piped:?}");
        assert!(piped.stdout == fs::read(place.project().join("whole.tar")).unwrap(), "{damage}");
    }
}

#[test]
fn nothing_is_on_stdout_when_an_engine_refuses_the_image() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place!();
    let engine = place.project().join("bin/docker");
    place.project_file("bin/docker", b"#!/bin/sh\ncat >/dev/null\nexit 1\n");
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let output = ["-o", "oci-archive:-", "--load", "docker"];
    let mut command = place.command([&["compose", "static", "--arch", "amd64"][..], &output].concat());
    let path = format!("{}:/usr/bin:/bin", engine.parent().unwrap().display());
    let done = command.env("PATH", path).output().unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("load failed"), "{done:?}");
}
