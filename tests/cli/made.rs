//! `show`, `files` and `tree` of built images: by the program itself, and by hand as other tools make them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use dlstore_formats::package::fixture::{TarEntry, TarWriter};
use dlstore_kit::handmade::{Handmade, Packing, archive, layer, tagged};
use dlstore_kit::{Place, packages, place, sha256};

/// What `files` says of each architecture, but for whose word it is.
fn listed(place: &Place, arguments: &[&str]) -> Vec<(String, Vec<Value>)> {
    let mut answer = place.json(&[&["files"], arguments].concat());
    let listings = answer["listings"].as_array_mut().unwrap().iter_mut();
    let of = |listing: &mut Value| {
        let arch = listing["of"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
        let mut files = listing["files"].take().as_array().unwrap().clone();
        for file in &mut files {
            let file = file.as_object_mut().unwrap();
            assert!(!file.remove("origin").unwrap().as_str().unwrap().is_empty());
            file.remove("made_of");
        }
        (arch, files)
    };
    listings.map(of).collect()
}

/// Path and origin of each line of `files`, for the first architecture.
fn paths(place: &Place, what: &str) -> Vec<String> {
    let answer = place.json(&["files", what]);
    let files = answer["listings"][0]["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let target = file["target"].as_str().map(|target| format!(" -> {target}")).unwrap_or_default();
            format!("{}{target} ({})", file["path"].as_str().unwrap(), file["origin"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn files_of_a_definition_and_of_what_is_made_of_it_are_the_same() {
    let place = place!();
    for arch in ["amd64", "arm64"] {
        place.package(&format!("one-{arch}.deb"), &packages::deb("one", 1, arch).build());
    }
    place.ok(["add", "../packages"]);
    place.image(
        "app",
        "schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one\"]\narchitectures = [\"amd64\", \"arm64\"]\n\
         files.\"/srv/own\" = { content = \"x\", mode = \"0640\", owner = \"7:8\" }\nlinks.\"/srv/link\" = \"own\"\n",
    );
    for image in ["static", "app"] {
        let from: &[&str] = if image == "app" { &["--from", "store"] } else { &[] };
        let expected = listed(&place, &[&[image, "--arch", "all"], from].concat());
        let hard_links = expected[0].1.iter().filter(|file| file["type"] == "hard link").count();
        assert!(hard_links > 0);
        for layers in ["grouped", "package", "flat"] {
            for compression in ["gzip", "zstd"] {
                let mut outputs = vec!["oci:made", "oci-archive:oci.tar"];
                if compression == "gzip" {
                    outputs.push("docker-archive:docker.tar");
                }
                let flags = ["--arch", "all", "--force", "--layers", layers, "--compression", compression];
                let mut command = place.command(["compose", image]);
                command.args(flags).args(outputs.iter().flat_map(|output| ["-o", output])).args(from);
                dlstore_kit::succeed(&mut command);
                for output in outputs {
                    let bare = output.split_once(':').unwrap().1;
                    let bare = if bare == "made" { "./made" } else { bare };
                    // What a path alone is depends on none of the flags.
                    let forms = if layers == "flat" && compression == "gzip" { &[output, bare][..] } else { &[output] };
                    for what in forms.iter().copied() {
                        let at = format!("{what}: {image}, {layers}, {compression}");
                        let found = listed(&place, &[what, "--arch", "all"]);
                        assert!(found == expected, "{at}");
                        let diff = [&["diff", image, what, "--arch", "all"], from].concat();
                        assert_eq!(place.ok(diff), "no differences\n", "{at}");
                    }
                }
                fs::remove_dir_all(place.project().join("made")).unwrap();
            }
        }
    }
}

#[test]
fn show_says_what_a_made_image_starts_and_which_packages_it_names() {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.image(
        "app",
        "schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [\"one\"]\nenv = { A = \"b\" }\n\
         labels = { l = \"m\" }\nworkdir = \"/tmp\"\nports = [\"80\"]\nvolumes = [\"/data\"]\nstop-signal = \"SIGINT\"\n\
         files.\"/data/\" = { owner = \"nonroot\", mode = \"0750\" }\n",
    );
    let done = place.run(["compose", "app", "--arch", "amd64", "--from", "../packages", "-o", "oci:out/app"]).ok();
    let shown = place.json(&["show", "out/app"]);
    let digest = done.out.trim_end().split_once('@').unwrap().1;
    assert_eq!((&shown["digest"], &shown["architectures"]), (&json!(digest), &json!(["amd64"])));
    let platform = &shown["platforms"][0];
    for (key, expected) in [
        ("user", json!("65532:65532")),
        ("workdir", json!("/tmp")),
        ("ports", json!(["80/tcp"])),
        ("volumes", json!(["/data"])),
        ("stop_signal", json!("SIGINT")),
        ("labels", json!({"l": "m"})),
        ("packages", json!([{"format": "deb", "name": "one", "version": "1.1-1", "architecture": "amd64"}])),
    ] {
        assert_eq!(platform[key], expected, "{key}");
    }
    assert_eq!(platform["env"]["A"], "b");
    let text = place.ok(["show", "oci:out/app"]);
    assert!(text.lines().any(|line| line == "package          deb:one=1.1-1/amd64"), "{text}");
}

#[test]
fn whiteouts_hide_what_lies_below_and_nothing_of_their_own_layer() {
    let place = place!();
    let below = layer(&[
        "etc/",
        "etc/a: 1",
        "etc/b: 1",
        "keep/",
        "keep/x: 1",
        "gone/",
        "gone/deep/",
        "gone/deep/x: 1",
        "opaque/",
        "opaque/old: 1",
        "opaque/sub/",
        "opaque/sub/old: 1",
        "was-file: 1",
        "was-dir/",
        "was-dir/x: 1",
    ]);
    // A whiteout stands before or after what its own layer has.
    let above = layer(&[
        "etc/",
        "etc/.wh.a",
        "etc/c: 2",
        "keep/",
        ".wh.gone",
        "opaque/",
        "opaque/new: 2",
        "opaque/.wh..wh..opq",
        "opaque/sub/new: 2",
        "was-file/",
        "was-file/y: 2",
        "was-dir: 2",
        "etc/b: 2",
        "etc/.wh.b",
        ".wh.nothing",
    ]);
    let mut made = Handmade::default();
    let image = made.image("amd64", &[below, above], Packing::Gzip, &json!({}));
    made.write(&place.project().join("made"), &[tagged(image, "x")]);
    assert_eq!(
        paths(&place, "./made"),
        [
            "/etc (layer 2)",
            "/etc/b (layer 2)",
            "/etc/c (layer 2)",
            "/keep (layer 2)",
            "/keep/x (layer 1)",
            "/opaque (layer 2)",
            "/opaque/new (layer 2)",
            "/opaque/sub (layer 2)",
            "/opaque/sub/new (layer 2)",
            "/was-dir (layer 2)",
            "/was-file (layer 2)",
            "/was-file/y (layer 2)",
        ]
    );
}

#[test]
fn whiteouts_in_a_directory_that_takes_the_place_of_a_link_do_not_reach_where_the_link_led() {
    let place = place!();
    let mut made = Handmade::default();
    let below = layer(&["usr/", "usr/lib/", "usr/lib/a: 1", "usr/lib/q/", "usr/lib/q/b: 1", "lib -> usr/lib"]);
    let above = layer(&["lib/", "lib/.wh.a", "lib/q/", "lib/q/.wh..wh..opq", "lib/own"]);
    let image = made.image("amd64", &[below, above], Packing::Gzip, &json!({}));
    made.write(&place.project().join("made"), &[tagged(image, "x")]);
    let expected = ["/lib (layer 2)", "/lib/own (layer 2)", "/lib/q (layer 2)", "/usr (layer 1)", "/usr/lib (layer 1)"];
    let expected =
        [&expected[..], &["/usr/lib/a (layer 1)", "/usr/lib/q (layer 1)", "/usr/lib/q/b (layer 1)"]].concat();
    assert_eq!(paths(&place, "./made"), expected);
}

#[test]
fn a_whiteout_of_what_cannot_be_there_hides_nothing() {
    let place = place!();
    let layers = [
        layer(&["a: file", "b -> b", "keep"]),
        layer(&[
            "a/",
            "a/.wh..wh..opq",
            "a/sub/",
            "a/sub/.wh..wh..opq",
            "a/sub/.wh.x",
            "b/.wh.x",
            "none/.wh.x",
            ".wh..wh.aufs",
        ]),
    ];
    let mut made = Handmade::default();
    let image = made.image("amd64", &layers, Packing::Gzip, &json!({}));
    made.write(&place.project().join("made"), &[tagged(image, "x")]);
    assert_eq!(paths(&place, "./made"), ["/a (layer 2)", "/a/sub (layer 2)", "/b -> b (layer 1)", "/keep (layer 1)"]);
}

#[test]
fn layers_with_what_lazy_pullers_append_are_read() {
    let place = place!();
    // eStargz has its index behind the end blocks, where no runtime reads on.
    let raw = [layer(&["a: text"]), layer(&["stargz.index.json: {}"])].concat();
    // zstd:chunked ends in frames that decoders skip (RFC 8878, 3.1.2), eStargz in an empty member with a field of its own.
    let skipped = [&0x184d_2a50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"toc!"].concat();
    let empty = flate2::GzBuilder::new().extra(*b"SG\x04\0toc!").write(Vec::new(), flate2::Compression::none());
    for (packing, more) in [(Packing::Zstd, skipped), (Packing::Gzip, empty.finish().unwrap())] {
        let mut blobs = Handmade::default();
        let diff_ids = [format!("sha256:{}", sha256(&raw))];
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = blobs.document("application/vnd.docker.container.image.v1+json", &config);
        let one = blobs.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", [packing.pack(&raw), more].concat());
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": docker, "config": config, "layers": [one]});
        let manifest = blobs.document(docker, &manifest);
        blobs.write(&place.project().join("made"), &[manifest]);
        assert_eq!(paths(&place, "./made"), ["/a (layer 1)"], "{packing:?}");
    }
}

#[test]
fn links_are_followed_within_the_image_and_hard_links_outlive_their_targets() {
    let place = place!();
    let layers = [
        layer(&["usr/lib/", "lib -> usr/lib", "up -> ../../../usr", "b: text", "a = b", "/c = b"]),
        layer(&["lib/x: 1", "up/lib/y: 1", ".wh.b", "./made//by/hand: 1"]),
        layer(&["d = c"]),
    ];
    let mut made = Handmade::default();
    let image = made.image("amd64", &layers, Packing::Raw, &json!({}));
    made.write(&place.project().join("made"), &[tagged(image, "x")]);
    assert_eq!(
        paths(&place, "oci:made:x"),
        [
            "/a (layer 1)",
            "/c -> /a (layer 1)",
            "/d -> /a (layer 3)",
            "/lib -> usr/lib (layer 1)",
            "/made (layer 2)",
            "/made/by (layer 2)",
            "/made/by/hand (layer 2)",
            "/up -> ../../../usr (layer 1)",
            "/usr (layer 1)",
            "/usr/lib (layer 1)",
            "/usr/lib/x (layer 2)",
            "/usr/lib/y (layer 2)",
        ]
    );
}

#[test]
fn one_of_several_images_has_to_be_named() {
    let place = place!();
    let mut made = Handmade::default();
    let one = made.image("amd64", &[layer(&["one"])], Packing::Zstd, &json!({}));
    let two = made.image("amd64", &[layer(&["two"])], Packing::Gzip, &json!({}));
    let entries = [tagged(one.clone(), "one"), tagged(two.clone(), "two")];
    made.write(&place.project().join("made"), &entries);
    fs::write(place.project().join("made.tar"), archive(&made.files(&entries))).unwrap();
    for (what, named) in [("oci:made", "oci:made:two"), ("made.tar", "oci-archive:made.tar:two")] {
        let done = place.run(["files", what]);
        assert_eq!(done.code(), Some(2));
        let path = what.trim_start_matches("oci:");
        assert_eq!(done.lines("error:"), [format!("{path} has several images: one, two")]);
        assert_eq!(done.lines("hint:"), [format!("name one of them: {}", named.replace(":two", ":one"))]);
        assert_eq!(paths(&place, named), ["/two (layer 1)"]);
        let unknown = place.run(["show", &named.replace("two", "three")]);
        assert_eq!(unknown.code(), Some(2));
        assert_eq!(unknown.lines("error:"), [format!("{path} has no image named `three`; it has one, two")]);
    }
    // A layout is named with its tag as it is elsewhere.
    assert_eq!(paths(&place, "./made:two"), ["/two (layer 1)"]);
    // Two tags of one image are one image, and what an index has belongs to it.
    let index = made.index(std::slice::from_ref(&one));
    made.write(
        &place.project().join("same"),
        &[tagged(index.clone(), "1"), tagged(index, "2"), tagged(one, "1-amd64")],
    );
    assert_eq!(paths(&place, "./same"), ["/one (layer 1)"]);
    made.write(&place.project().join("none"), &[]);
    assert_eq!(place.run(["show", "oci:none"]).error(), "none has no image");
}

#[test]
fn indexes_of_builders_are_read_without_what_they_attest() {
    let place = place!();
    let mut made = Handmade::default();
    let amd64 = made.image("amd64", &[layer(&["amd64"])], Packing::Gzip, &json!({}));
    let s390x = made.image("s390x", &[layer(&["s390x"])], Packing::Gzip, &json!({}));
    let mut attested = made.document("application/vnd.oci.image.manifest.v1+json", &json!({"layers": []}));
    attested["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    let mut absent = amd64.clone();
    absent["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    absent["platform"] = json!({"architecture": "arm64", "os": "linux", "variant": "v8"});
    let inner = made.index(&[amd64, s390x, attested, absent]);
    let outer = made.index(&[inner]);
    made.write(&place.project().join("made"), &[outer]);
    let done = place.run(["files", "./made", "--arch", "all"]).ok();
    assert_eq!(
        done.out.lines().filter(|line| line.ends_with(':')).collect::<Vec<_>>(),
        ["./made for amd64:", "./made for s390x:"]
    );
    assert_eq!(place.json(&["show", "./made", "--arch", "s390x"])["platforms"][0]["architecture"], "s390x");
    assert!(place.run(["show", "static", "--arch", "s390x"]).ok().lines("note:")[0].starts_with("--arch is ignored"));
    let other = place.run(["files", "./made", "--arch", "arm64"]);
    assert_eq!(other.lines("error:"), ["image ./made does not support arm64"]);
    assert_eq!(other.lines("hint:"), ["--arch amd64,s390x"]);
    let one = place.run(["files", "./made", "--arch", "s390x"]).ok();
    assert!(one.out.ends_with("/s390x\n"), "{one:?}");
}

#[test]
fn archives_of_older_dockers_are_read_by_their_names() {
    let place = place!();
    let (lower, upper) = (layer(&["lower"]), layer(&["upper", ".wh.lower"]));
    let diff_ids = [&lower, &upper, &upper].map(|raw| format!("sha256:{}", sha256(raw)));
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"], "Entrypoint": null, "Env": null},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "ADD file"}, {"created_by": "ENV x", "empty_layer": true}, {"created_by": "RUN  a\\\n b"},
            {"created_by": "again"}]});
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", sha256(&config));
    let saved = |tags: Value| {
        json!([{"Config": name, "RepoTags": tags,
        "Layers": ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"]}])
    };
    let write = |tags: Value| {
        let mut tar = TarWriter::default();
        tar.entry(&TarEntry::new(b'0', name.as_str()), &config);
        tar.entry(&TarEntry::new(b'5', "aa/"), b"").entry(&TarEntry::new(b'0', "aa/layer.tar"), &lower);
        tar.entry(&TarEntry::new(b'0', "bb/layer.tar"), &upper);
        tar.entry(&TarEntry::link(b'2', "cc/layer.tar", "../bb/layer.tar"), b"");
        tar.entry(&TarEntry::new(b'0', "manifest.json"), saved(tags).to_string().as_bytes());
        fs::write(place.project().join("saved.tar"), tar.finish()).unwrap();
    };
    write(json!(["app:1", "ghcr.io/a/b:2"]));
    for what in [
        "saved.tar",
        "docker-archive:saved.tar",
        "docker-archive:saved.tar:app:1",
        "docker-archive:saved.tar:ghcr.io/a/b:2",
    ] {
        assert_eq!(paths(&place, what), ["/upper (layer 3: again)"], "{what}");
    }
    let shown = place.json(&["show", "saved.tar"]);
    assert_eq!(shown["platforms"][0]["layers"][1]["title"], "RUN a\\ b");
    assert_eq!((&shown["digest"], &shown["platforms"][0]["cmd"]), (&json!(null), &json!(["/x"])));
    let unknown = place.run(["show", "docker-archive:saved.tar:app"]);
    assert_eq!(unknown.lines("error:"), ["saved.tar has no image named `app`; it has app:1, ghcr.io/a/b:2"]);
    assert!(place.run(["show", "oci-archive:saved.tar"]).error().contains("it has no index.json"));
    write(json!(null));
    assert_eq!(paths(&place, "saved.tar").len(), 1);
    let image =
        |name: &str| json!({"Config": format!("{name}.json"), "RepoTags": [name], "Layers": [format!("{name}.tar")]});
    let mut tar = TarWriter::default();
    for name in ["one:1", "two:2"] {
        let raw = layer(&[name]);
        let config = json!({"architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&raw))]}});
        tar.entry(&TarEntry::new(b'0', format!("{name}.json").as_str()), config.to_string().as_bytes());
        tar.entry(&TarEntry::new(b'0', format!("{name}.tar").as_str()), &raw);
    }
    let both = json!([image("one:1"), image("two:2")]).to_string();
    tar.entry(&TarEntry::new(b'0', "manifest.json"), both.as_bytes());
    fs::write(place.project().join("two.tar"), tar.finish()).unwrap();
    let several = place.run(["show", "two.tar"]);
    assert_eq!(several.lines("hint:"), ["name one of them: docker-archive:two.tar:one:1"]);
    assert_eq!(paths(&place, "docker-archive:two.tar:one:1"), ["/one:1 (layer 1)"]);
}

#[test]
fn a_definition_stays_one_and_what_is_no_image_is_said() {
    let place = place!();
    place.image("app", "schema = 1\nfiles.\"/own\" = { content = \"x\" }\n");
    place.project_file("images/app/index.json", b"{}");
    assert!(place.ok(["files", "./images/app", "--arch", "amd64"]).contains("/own\n"));
    assert!(place.ok(["files", "images/app/image.toml", "--arch", "amd64"]).contains("/own\n"));
    place.project_file("plain.tar", &archive(&BTreeMap::from([("a".to_owned(), vec![1])])));
    place.project_file("text.tar", b"text");
    place.project_file("packed.tar", &Packing::Gzip.pack(b"text"));
    for (what, error) in [
        ("plain.tar", "plain.tar is not an archive of an image: it has neither index.json nor manifest.json"),
        ("docker-archive:plain.tar", "plain.tar is not a docker-archive: it has no manifest.json"),
        ("text.tar", "text.tar is not an archive of an image"),
        ("packed.tar", "packed.tar is compressed, which an archive of an image must not be"),
        ("oci:images/app", "images/app has no image"),
        ("oci:images", "images is not an image in the OCI format: it has no index.json"),
    ] {
        assert_eq!(place.run(["show", what]).error(), error);
    }
    assert_eq!(place.run(["show", "packed.tar"]).lines("hint:"), ["decompress packed.tar first"]);
    assert_eq!(place.run(["show", "oci:"]).code(), Some(2));
    assert!(place.run(["show", "absent.tar"]).error().starts_with("cannot open absent.tar"));
    fs::create_dir(place.project().join("empty")).unwrap();
    let empty = place.run(["show", "./empty"]);
    assert_eq!(empty.error(), "./empty has neither an index.json, as a layout has, nor an image.toml");
    fs::create_dir(place.project().join("made")).unwrap();
    place.project_file("made/index.json", b"{}");
    let bare = place.run(["show", "made"]);
    assert_eq!(bare.lines("error:"), ["no package or image is named `made`"]);
    assert_eq!(bare.lines("hint:"), ["./made"]);
    assert!(place.run(["show", "oci:absent"]).error().starts_with("cannot open absent"));
}

#[test]
fn a_made_image_needs_no_store() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64", "-o", "oci:made", "--copy"]);
    fs::remove_dir_all(place.store()).unwrap();
    for command in ["show", "files", "tree"] {
        place.ok([command, "oci:made"]);
    }
    place.ok(["diff", "oci:made", "./made"]);
    assert!(!place.store().exists());
}
