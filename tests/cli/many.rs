//! Many images in one command.

use std::collections::BTreeSet;

use serde_json::Value;

use dlstore_kit::{Layout, Place, packages, place};

/// Images that extend `static` by a file of their own, and two that cannot be composed.
fn project() -> Place {
    let place = place!();
    for number in 0..70 {
        place.project_file(&format!("images/app{number}/text"), format!("{number}\n").as_bytes());
        place.image(
            &format!("app{number}"),
            "schema = 1\nextends = \"static\"\nfiles.\"/text\" = { source = \"text\" }\n",
        );
    }
    place
}

fn digests(place: &Place, arguments: &[&str]) -> Vec<String> {
    place.ok(arguments).lines().map(str::to_owned).collect()
}

#[test]
fn side_by_side_gives_what_one_after_the_other_gives() {
    let (together, alone) = (project(), project());
    let all = digests(&together, &["compose", "--all", "--arch", "amd64,arm64", "-o", "oci:out"]);
    assert_eq!(all.len(), 70);
    let names: Vec<&str> = all.iter().map(|line| line.split_once('@').unwrap().0).collect();
    for (line, name) in all.iter().zip(&names) {
        let out = alone.ok(["compose", name, "--arch", "amd64,arm64", "-o", &format!("oci:out:{name}")]);
        assert_eq!(out.trim_end(), line);
    }
    let index = |place: &Place| std::fs::read(place.project().join("out/index.json")).unwrap();
    assert_eq!(index(&together), index(&alone));
    assert_eq!(digests(&together, &["--jobs", "1", "compose", "--all", "--arch", "amd64,arm64", "-o", "oci:o1"]), all);
    Layout(together.project().join("out")).files("app42", "arm64");
}

#[test]
fn every_flavor_is_composed_when_that_is_asked_for() {
    let place = place!();
    place.image("app", "schema = 1\nextends = \"static\"\n[flavors.a]\n[flavors.b]\nuser = \"root\"\n");
    place.image("other", "schema = 1\nextends = \"static\"\n");
    assert_eq!(place.ok(["compose", "--all"]).lines().count(), 2);
    assert_eq!(place.ok(["compose", "--all", "--all-flavors"]).lines().count(), 3);
    for flags in [&["compose"][..], &["compose", "--all", "app"], &["compose", "--all-flavors", "app"]] {
        assert_eq!(place.run(flags).code(), Some(2), "{flags:?}");
    }
    let empty = place!();
    let done = empty.run(["compose", "--all"]);
    assert_eq!(done.code(), Some(2), "{done:?}");
}

#[test]
fn what_can_be_composed_is_composed_and_the_others_are_named_with_their_reasons() {
    let place = project();
    place.image("broken", "schema = 1\nextnds = \"static\"\n");
    place.image("lacking", "schema = 1\nformat = \"deb\"\npackages = [\"nowhere\"]\n");
    let all = ["compose", "--all", "--arch", "amd64", "-o", "oci:out"];
    let done = place.run(all);
    assert_ne!(done.code(), Some(0));
    assert!(!place.project().join("out").exists(), "one that fails ends the command");
    let done = place.run([&all[..], &["--keep-going"]].concat());
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert_eq!(done.out.lines().count(), 70);
    for wanted in [
        "error: broken: ",
        "error: lacking: no deb package nowhere for amd64",
        "2 images not composed: broken, lacking",
    ] {
        assert!(done.err.contains(wanted), "{wanted}: {}", done.err);
    }
    let index: Value = serde_json::from_slice(&std::fs::read(place.project().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 70);
    let done = place.run([&all[..], &["--keep-going", "--json"]].concat());
    let value: Value = serde_json::from_str(&done.out).unwrap();
    let failed: Vec<&str> =
        value["failed"].as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap()).collect();
    assert_eq!((value["images"].as_array().unwrap().len(), failed), (70, vec!["broken", "lacking"]));
}

#[test]
fn an_image_does_not_take_the_name_that_a_layout_gives_to_anothers_manifest() {
    let place = place!();
    for name in ["a", "a-amd64"] {
        place.image(name, "schema = 1\nextends = \"static\"\n");
    }
    place.ok(["compose", "a-amd64", "a", "--arch", "amd64", "-o", "oci:out"]);
    let done = place.run(["compose", "a-amd64", "a", "--arch", "amd64", "--arch-tags", "-o", "oci:out"]);
    assert_eq!(done.code(), Some(2), "{done:?}");
    assert!(done.err.contains("\"a-amd64\""), "{done:?}");
}

#[test]
fn an_image_has_its_name_in_a_layout_whether_or_not_the_others_can_be_read() {
    let place = place!();
    let app = |name: &str, word: &str| {
        let words = format!("files.\"/word\" = {{ content = \"{word}\" }}\n");
        place.image(name, &format!("schema = 1\nextends = \"static\"\n{words}"));
    };
    let tags = || -> Vec<String> {
        let index = std::fs::read(place.project().join("out/index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let name =
            |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned();
        index["manifests"].as_array().unwrap().iter().map(name).filter(|name| !name.contains("amd64")).collect()
    };
    app("a", "first");
    app("b", "first");
    let all = ["compose", "--all", "--keep-going", "--arch", "amd64", "-o", "oci:out"];
    place.ok(all);
    assert_eq!(tags(), ["a", "b"]);
    let before = std::fs::read(place.project().join("out/index.json")).unwrap();
    app("a", "second");
    place.image("b", "schema = 1\nextends = \"nosuch\"\n");
    let done = place.run(all);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert_eq!(tags(), ["a", "b"], "not `latest` beside what `a` was before");
    assert_ne!(std::fs::read(place.project().join("out/index.json")).unwrap(), before);
    let refused =
        place.run(["compose", "a", "nosuch", "--keep-going", "--arch", "amd64", "-o", "docker-archive:out.tar"]);
    assert_eq!(refused.code(), Some(2), "{refused:?}");
}

#[test]
fn one_of_several_images_that_cannot_be_composed_is_named() {
    let place = place!();
    for name in ["a", "b", "c"] {
        let entrypoint = if name == "b" { "entrypoint = [\"/start\"]\n" } else { "" };
        place.image(name, &format!("schema = 1\nextends = \"static\"\n{entrypoint}"));
    }
    let done = place.run(["compose", "--all", "--arch", "amd64", "-o", "oci:out"]);
    assert_eq!((done.code(), done.error()), (Some(1), "cannot compose b".to_owned()), "{done:?}");
    assert!(
        done.err.contains("cause: images/b/image.toml:3: entrypoint /start: /start is not in the image\nhint: "),
        "{done:?}"
    );
    let done = place.run(["compose", "b", "--arch", "amd64", "-o", "oci:out"]);
    assert!(done.error().contains("/start is not in the image"), "{done:?}");
}

/// Images that share layers, and of which one has a layer that is a piece of another's.
fn sharing() -> Place {
    let place = place!();
    for name in ["one", "two"] {
        place.package(&format!("{name}.deb"), &packages::deb(name, 1, "all").build());
    }
    let image = |name: &str, layers: &str, packages: &str| {
        place.image(name, &format!("schema = 1\nformat = \"deb\"\nlayers = \"{layers}\"\npackages = [{packages}]\n"));
    };
    image("piece", "package", "\"one\"");
    image("whole", "grouped", "\"one\", \"two\"");
    for name in ["x", "y"] {
        let file = format!("files.\"/{name}\" = {{ content = \"{name}\" }}\n");
        place.image(name, &format!("schema = 1\nextends = \"whole\"\n{file}"));
    }
    place.ok(["add", "../packages"]);
    place
}

#[test]
fn in_a_new_store_each_layer_is_made_once_and_for_the_first_image_whatever_the_threads_do() {
    for images in [["piece", "whole", "x", "y"], ["y", "x", "whole", "piece"]] {
        for jobs in ["1", "8", "8", "8", "8"] {
            let place = sharing();
            // What `add` packs ahead is gzip: none of these layers is there.
            let flags = ["--arch", "amd64,arm64", "--compression", "zstd", "--from", "store", "--jobs", jobs];
            let answer = place.json(&[&["compose"], &images[..], &flags].concat());
            let mut seen = BTreeSet::new();
            for image in answer["images"].as_array().unwrap() {
                let platforms = image["platforms"].as_array().unwrap().iter();
                let layers = platforms.flat_map(|platform| platform["layers"].as_array().unwrap());
                let layers: BTreeSet<&str> = layers.map(|layer| layer["digest"].as_str().unwrap()).collect();
                let made = layers.iter().filter(|layer| seen.insert((**layer).to_owned())).count();
                let counts = serde_json::json!({"made": made, "reused": layers.len() - made});
                assert_eq!(image["layers"], counts, "{} of {images:?} with {jobs} jobs", image["reference"]);
            }
        }
    }
}

#[test]
fn with_keep_going_what_cannot_be_written_of_one_image_is_its_own_failure() {
    let place = place!();
    for name in ["a", "b", "c", "other"] {
        let file = format!("files.\"/{name}\" = {{ content = \"{name}\" }}\n");
        place.image(name, &format!("schema = 1\nextends = \"static\"\n{file}"));
    }
    let failed = |answer: &Value| -> Vec<(String, String)> {
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        answer["failed"].as_array().unwrap().iter().map(|one| (text(one, "reference"), text(one, "error"))).collect()
    };
    let written = |answer: &Value| {
        let references: Vec<Value> =
            answer["images"].as_array().unwrap().iter().map(|one| one["reference"].clone()).collect();
        (references, answer["outputs"].clone())
    };
    let run = |arguments: &[&str]| {
        let done = place.run([&["compose", "--arch", "amd64"], arguments].concat());
        let answer: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
        (done, answer)
    };

    // A tag that belongs to another definition.
    place.ok(["compose", "other", "--arch", "amd64", "-o", "oci:out:b"]);
    let before = std::fs::read(place.project().join("out/index.json")).unwrap();
    let all = ["a", "b", "c", "-o", "oci:out", "-o", "oci:more", "--json"];
    let (done, _) = run(&all);
    assert_eq!((done.code(), std::fs::read(place.project().join("out/index.json")).unwrap()), (Some(1), before));
    let (done, answer) = run(&[&all[..], &["--keep-going"]].concat());
    assert_eq!(done.code(), Some(1), "{done:?}");
    let sentence = "the tag `b` in out belongs to the image other".to_owned();
    assert_eq!(failed(&answer), [("b".to_owned(), sentence.clone())]);
    let outputs = serde_json::json!(["oci:out:a", "oci:out:c", "oci:more:a", "oci:more:b", "oci:more:c"]);
    assert_eq!(written(&answer), (vec!["a".into(), "c".into()], outputs));
    assert_eq!(done.lines("error:"), [format!("b: {sentence}")], "{done:?}");
    assert!(
        done.lines("hint:")[0].contains("--force")
            && done.err.contains("\n1 image composed, but not delivered to all places: b\n"),
        "{done:?}"
    );
    assert!(!done.err.contains("not composed"), "{done:?}");
    let written_of_b = answer["failed"][0]["digest"].clone();
    let out = Layout(place.project().join("out"));
    for name in ["a", "b", "c"] {
        out.files(name, "amd64");
    }
    let (done, answer) = run(&[&all[..], &["--keep-going", "--force"]].concat());
    assert_eq!((done.code(), failed(&answer)), (Some(0), vec![]), "{done:?}");
    assert_eq!(answer["images"][1]["digest"], written_of_b, "what `oci:more:b` was");

    // A place that cannot be one, each image in its own.
    std::fs::remove_dir_all(place.project().join("out")).unwrap();
    place.project_file("out/b", b"a file");
    let (done, answer) = run(&["a", "b", "c", "--keep-going", "--json"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    let [(reference, error)] = failed(&answer).try_into().unwrap();
    assert!(reference == "b" && error.starts_with("cannot make the directory out/b"), "{error}");
    let outputs = serde_json::json!(["oci:out/a:latest", "oci:out/c:latest"]);
    assert_eq!(written(&answer), (vec!["a".into(), "c".into()], outputs));

    // One place for all of them: each fails.
    let (done, answer) = run(&["a", "b", "--keep-going", "--json", "-o", "oci:out/b/x"]);
    let references: Vec<String> = failed(&answer).into_iter().map(|(reference, _)| reference).collect();
    assert_eq!((done.code(), references), (Some(1), vec!["a".to_owned(), "b".to_owned()]), "{done:?}");
}
