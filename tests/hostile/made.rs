//! Layouts and archives that somebody else made, and not well: each is an error in one line that names what is wrong, in
//! bounded memory, and nothing outside of them is looked at.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use dlstore_formats::package::fixture::{TarEntry, TarWriter};
use dlstore_kit::handmade::{Handmade, INDEX, MANIFEST, Packing, archive, layer, tagged};
use dlstore_kit::{Place, finish_measured, place, sha256};

/// What no image may make the program exceed.
const MEMORY: u64 = 200 << 20;

/// Writes an image of one layer in the layout `made`, and gives its blobs and its entry.
fn made(place: &Place, raw: &[u8], packing: Packing) -> (Handmade, Value) {
    let mut made = Handmade::default();
    let image = made.image("amd64", &[raw.to_vec()], packing, &json!({}));
    made.write(&place.project().join("made"), std::slice::from_ref(&image));
    (made, image)
}

/// What `files` says of the layout `made`.
#[track_caller]
fn refused(place: &Place) -> String {
    let done = place.run(["files", "./made"]);
    assert_eq!(done.out, "", "nothing is printed of what is not right");
    let causes: Vec<&str> = [done.lines("error:"), done.lines("cause:")].concat();
    assert_eq!(done.code(), Some(1), "{done:?}");
    causes.join(": ")
}

/// The same of an image whose only layer has these lines.
#[track_caller]
fn refused_layer(lines: &[&str]) -> String {
    let place = place!();
    made(&place, &layer(lines), Packing::Gzip);
    refused(&place)
}

fn blob(place: &Place, digest: &str) -> PathBuf {
    place.project().join("made/blobs").join(digest.replace(':', "/"))
}

#[test]
fn a_changed_blob_is_named_with_its_digest_whatever_was_changed() {
    let raw = layer(&["a: some text", "b: more text"]);
    for packing in [Packing::Raw, Packing::Gzip, Packing::Zstd] {
        let place = place!();
        let (blobs, _) = made(&place, &raw, packing);
        for (digits, bytes) in &blobs.blobs {
            let file = blob(&place, &format!("sha256:{digits}"));
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                fs::write(&file, &changed).unwrap();
                let expected = format!("./made/blobs/sha256/{digits} does not hold the bytes of sha256:{digits}");
                assert_eq!(refused(&place), expected, "{packing:?} {at}");
            }
            fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
            let (has, says) = (bytes.len() - 1, bytes.len());
            let expected = format!("./made/blobs/sha256/{digits} has {has} bytes, but sha256:{digits} has {says}");
            assert_eq!(refused(&place), expected, "{packing:?}");
            fs::remove_file(&file).unwrap();
            assert!(
                [format!("./made does not contain sha256:{digits}"), "made has no image".to_owned()]
                    .contains(&refused(&place)),
                "{packing:?}"
            );
            fs::write(&file, bytes).unwrap();
        }
        place.ok(["files", "./made"]);
    }
}

#[test]
fn a_layer_that_unpacks_to_something_else_than_its_diff_id_is_refused() {
    let place = place!();
    let mut blobs = Handmade::default();
    let other = format!("sha256:{}", sha256(b"other"));
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [other.as_str()]}});
    let config = blobs.document("application/vnd.oci.image.config.v1+json", &config);
    let one = blobs.blob(Packing::Gzip.media_type(), Packing::Gzip.pack(&layer(&["a"])));
    let digits = one["digest"].as_str().unwrap().replace("sha256:", "");
    let manifest = blobs.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": [one]}));
    blobs.write(&place.project().join("made"), &[manifest]);
    let expected = format!("./made/blobs/sha256/{digits} does not unpack to {other}, its diff ID in the configuration");
    assert_eq!(refused(&place), expected);
}

#[test]
fn documents_that_contradict_themselves_are_refused() {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let with = |change: &dyn Fn(&mut Handmade, &mut Value)| {
        let place = place!();
        let mut blobs = Handmade::default();
        let config = blobs.document("application/vnd.oci.image.config.v1+json", &config);
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        change(&mut blobs, &mut manifest);
        let entry = blobs.document(MANIFEST, &manifest);
        blobs.write(&place.project().join("made"), &[entry]);
        refused(&place)
    };
    for (change, expected) in [
        (
            &(|_: &mut Handmade, one: &mut Value| one["manifests"] = json!([])) as &dyn Fn(&mut Handmade, &mut Value),
            "it is an index and a manifest at once",
        ),
        (&|_, one| one["mediaType"] = json!(INDEX), "it has another media type than the descriptor that leads to it"),
        (&|_, one| one["layers"] = json!(null), "it is neither an index nor the manifest of an image"),
        (
            &|_, one| one["config"]["digest"] = json!("sha256:../../../../etc/passwd"),
            "not a digest (64 lowercase hex digits expected)",
        ),
        (
            &|_, one| one["config"]["digest"] = json!(format!("sha256:{}", "A".repeat(64))),
            "not a digest (64 lowercase hex digits expected)",
        ),
        (&|_, one| one["config"]["digest"] = json!("sha512:00"), "not a digest (64 lowercase hex digits expected)"),
        (&|_, one| one["config"]["size"] = json!(-1), "invalid value"),
        (&|_, one| one["config"]["size"] = json!(u64::MAX), "bytes, but sha256:"),
        (
            &|blobs, one| {
                let layer = blobs.blob(Packing::Raw.media_type(), layer(&["a"]));
                one["layers"] = json!([layer]);
            },
            "it has 0 diff IDs for 1 layers",
        ),
    ] {
        let found = with(change);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn indexes_are_followed_to_a_bounded_depth_and_number() {
    let place = place!();
    let mut blobs = Handmade::default();
    let image = blobs.image("amd64", &[layer(&["a"])], Packing::Gzip, &json!({}));
    let mut deep = image.clone();
    for _ in 0..5 {
        deep = blobs.index(&[deep]);
    }
    blobs.write(&place.project().join("made"), &[deep]);
    assert!(refused(&place).ends_with("the depth of indexes within indexes exceeds the limit of 4"));

    // Each level names the one below it a hundred times: ten million manifests in a few kilobytes.
    let mut wide = image;
    for _ in 0..4 {
        wide = blobs.index(&vec![wide; 100]);
    }
    blobs.write(&place.project().join("made"), &[wide]);
    assert!(refused(&place).ends_with("the number of its documents exceeds the limit of 1000"));
}

#[test]
fn documents_beyond_their_length_are_not_read() {
    let place = place!();
    let mut blobs = Handmade::default();
    let long = blobs.blob(MANIFEST, [b"{}", &b" ".repeat(4 << 20)[..]].concat());
    blobs.write(&place.project().join("made"), &[long]);
    assert!(refused(&place).ends_with("the length of a document exceeds the limit of 4194304"));
    let many = blobs.blob(MANIFEST, [b"[", &b"0,".repeat(1_500_000)[..], b"0]"].concat());
    blobs.write(&place.project().join("made"), &[many]);
    assert!(refused(&place).contains("it has more than a million values"));
    let nested = blobs.blob(MANIFEST, b"[".repeat(100_000));
    blobs.write(&place.project().join("made"), &[nested]);
    assert!(refused(&place).contains("cannot read ./made/blobs/sha256/"));
    fs::write(place.project().join("made/index.json"), b" ".repeat((16 << 20) + 1)).unwrap();
    assert!(refused(&place).ends_with("the length of a document exceeds the limit of 16777216"));
}

#[test]
fn links_of_a_layout_lead_nowhere_else_and_what_is_no_file_is_not_opened() {
    let place = place!();
    let (_, image) = made(&place, &layer(&["a"]), Packing::Gzip);
    let manifest = blob(&place, image["digest"].as_str().unwrap());
    let outside = place.path().join("outside");
    fs::rename(&manifest, &outside).unwrap();
    symlink(&outside, &manifest).unwrap();
    assert!(refused(&place).ends_with("leads out of the layout"));
    fs::remove_file(&manifest).unwrap();
    dlstore_kit::succeed(std::process::Command::new("mkfifo").arg(&manifest));
    assert!(refused(&place).contains("is a fifo, not a regular file"));
    fs::remove_file(&manifest).unwrap();
    fs::rename(&outside, &manifest).unwrap();

    let blobs = place.project().join("made/blobs");
    fs::rename(&blobs, &outside).unwrap();
    symlink(&outside, &blobs).unwrap();
    assert!(refused(&place).ends_with("leads out of the layout"));
    // One that stays inside is as good as the file.
    fs::remove_file(&blobs).unwrap();
    fs::rename(&outside, place.project().join("made/other")).unwrap();
    symlink("other", &blobs).unwrap();
    place.ok(["files", "./made"]);
    fs::remove_file(place.project().join("made/index.json")).unwrap();
    symlink("/etc/hostname", place.project().join("made/index.json")).unwrap();
    assert!(refused(&place).ends_with("made/index.json leads out of the layout"));
}

#[test]
fn names_of_a_saved_image_do_not_leave_the_archive() {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [
        format!("sha256:{}", sha256(b"")),
    ]}});
    let config = config.to_string().into_bytes();
    let saved = |config_name: &str, layer: &str, links: &[(&str, &str)]| {
        let place = place!();
        fs::write(place.project().join("secret"), b"").unwrap();
        let mut tar = TarWriter::default();
        let manifest = json!([{"Config": config_name, "Layers": [layer]}]);
        tar.entry(&TarEntry::new(b'0', "manifest.json"), manifest.to_string().as_bytes());
        tar.entry(&TarEntry::new(b'0', "config.json"), &config);
        for (path, target) in links {
            tar.entry(&TarEntry::link(b'2', *path, *target), b"");
        }
        place.project_file("saved.tar", &tar.finish());
        place.run(["files", "saved.tar"]).error()
    };
    let absent = "saved.tar: /manifest.json: it names \"secret\", which is not there";
    for (layer, links, expected) in [
        ("../secret", &[][..], "saved.tar: /manifest.json: the path ../secret leads outside"),
        ("a/../../secret", &[], "saved.tar: /manifest.json: the path a/../../secret leads outside"),
        ("secret", &[], absent),
        ("/secret", &[], "saved.tar: /manifest.json: it names \"/secret\", which is not there"),
        ("x", &[("x", "../secret")], "saved.tar: /x: a link that leads out of the archive"),
        ("x", &[("x", "/secret")], "saved.tar: /x: a link that leads out of the archive"),
        ("x", &[("x", "secret")], "saved.tar: /manifest.json: it names \"x\", which is not there"),
        ("x", &[("x", "y"), ("y", "x")], "saved.tar: /x: links that lead to links"),
    ] {
        assert_eq!(saved("config.json", layer, links), expected, "{layer}");
    }
    let other = "0".repeat(64);
    let damaged = saved(&format!("{other}.json"), "x", &[(&format!("{other}.json"), "config.json")]);
    assert_eq!(damaged, format!("saved.tar: /{other}.json does not hold the bytes of sha256:{other}"));
}

#[test]
fn an_archive_that_two_readers_would_take_apart_differently_is_refused() {
    let place = place!();
    let mut blobs = Handmade::default();
    let image = blobs.image("amd64", &[layer(&["a"])], Packing::Gzip, &json!({}));
    let good = archive(&blobs.files(&[tagged(image, "x")]));
    place.project_file("good.tar", &good);
    place.ok(["files", "good.tar"]);
    let with = |path: &str, kind: u8| {
        let mut tar = TarWriter::default();
        tar.entry(&TarEntry { link: b"index.json".to_vec(), ..TarEntry::new(kind, path) }, b"");
        [tar.segment(), good.clone()].concat()
    };
    for (bytes, expected) in [
        (with("index.json", b'0'), "/index.json occurs twice"),
        (with("./index.json", b'0'), "/index.json occurs twice"),
        (with("../index.json", b'0'), "the path ../index.json leads outside"),
        (with("x", b'1'), "x is not a file, a directory or a link"),
        (with("x", b'3'), "x is not a file, a directory or a link"),
        (good[..good.len() - 1024].to_vec(), "its end blocks are missing"),
        (good[..good.len() / 2].to_vec(), "the input ends inside"),
        ([good.clone(), b"more".repeat(128)].concat(), "data follow the end of the tar"),
    ] {
        place.project_file("bad.tar", &bytes);
        let done = place.run(["files", "bad.tar"]);
        assert_eq!(done.error(), "cannot read bad.tar");
        assert!(done.err.contains(expected), "{expected}: {done:?}");
    }
}

#[test]
fn paths_of_layers_lead_nowhere_else() {
    for (lines, expected) in [
        (&["../x"][..], "the path ../x leads outside"),
        (&["a/../../x"], "the path a/../../x leads outside"),
        (&["../.wh.x"], "the path ../x leads outside"),
        (&["a/.wh...: "], "has a whiteout name"),
        (&["a/.wh."], "has a whiteout name"),
        (&["a/.wh.b/c"], "has a whiteout name"),
        (&["a: text", "a/b"], "/a/b is below /a, which is not a directory"),
        (&["a -> b", "b -> a", "a/x"], "/a/x: more than 40 links are on the way to it"),
        (&["a = b"], "/a is a hard link to /b, which is not a file that comes before it"),
        (&["a", "a = a"], "/a is a hard link to /a, which is not a file that comes before it"),
        (&["d/", "a = d"], "/a is a hard link to /d, which is not a file that comes before it"),
        (&["a = ../../etc/passwd"], "the path ../../etc/passwd leads outside"),
        (&["a = /etc/passwd"], "/a is a hard link to /etc/passwd, which is not a file that comes before it"),
    ] {
        let found = refused_layer(lines);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn directories_that_nobody_lists_and_ways_through_links_are_bounded() {
    let deep = |first: &str| format!("{first}{}", "/a".repeat(2_000));
    let place = place!();
    let implied: Vec<String> = (0..20).map(|at| deep(&format!("{at}"))).collect();
    made(&place, &layer(&implied.iter().map(String::as_str).collect::<Vec<_>>()), Packing::Gzip);
    let (done, most) = finish_measured(place.command(["files", "./made"]));
    assert!(done.error().ends_with("too many of its parent directories are in no layer"), "{done:?}");
    assert!(most < MEMORY, "{most}");
    // Forty links through hundreds of directories each, or through none, on the way to each of many files.
    let through = format!("d{}", "/a".repeat(700));
    let back = "../".repeat(700);
    for (top, way) in [(through.clone(), format!("{through}/{back}")), ("d".to_owned(), "./".repeat(2_000))] {
        let mut lines = vec![format!("{top}/")];
        lines.push(format!("l0 -> {top}"));
        lines.extend((1..39).map(|at| format!("l{at} -> {way}l{}", at - 1)));
        lines.extend((0..4_000).map(|at| format!("l38/{at}")));
        made(&place, &layer(&lines.iter().map(String::as_str).collect::<Vec<_>>()), Packing::Gzip);
        let (done, most) = finish_measured(place.command(["files", "./made"]));
        assert!(done.error().ends_with("the links on the way to it are too long"), "{done:?}");
        assert!(most < MEMORY, "{most}");
    }
}

#[test]
fn what_each_file_of_a_layer_bears_is_small_however_long_it_was_written() {
    let place = place!();
    let mut blobs = Handmade::default();
    let names: Vec<String> = (0..20_000).map(|at| at.to_string()).collect();
    let raw = layer(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let image = blobs.image("amd64", &[raw], Packing::Gzip, &json!({}));
    let digits = image["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let mut manifest: Value = serde_json::from_slice(&blobs.blobs[digits]).unwrap();
    manifest["layers"][0]["annotations"] = json!({"org.opencontainers.image.title": "x".repeat(60_000)});
    let image = blobs.document(MANIFEST, &manifest);
    blobs.write(&place.project().join("made"), &[image]);
    let (done, most) = finish_measured(place.command(["files", "./made"]));
    let title = format!("layer 1: {}...", "x".repeat(60));
    assert!(done.status.success() && done.out.lines().all(|line| line.contains(&title)), "{}", done.err);
    assert!(most < MEMORY, "{most}");
    let refused = refused_layer(&[&format!("a -> {}", "x/".repeat(33_000))]);
    assert!(refused.ends_with("/a is a symbolic link whose target has more than 4095 bytes"), "{refused}");
    // The longest name there can be, padded or not.
    let long = format!("{}/x", "y".repeat(200));
    made(&place, &layer(&[&long]), Packing::Gzip);
    assert!(place.ok(["files", "./made"]).contains(&format!("/{long}")));
}

#[test]
fn configurations_that_are_named_again_and_again_are_counted() {
    let place = place!();
    let label = "x".repeat(3 << 20);
    let config = json!({"architecture": "amd64", "config": {"Labels": {"a": label}}}).to_string();
    let saved: Vec<Value> = (0..900).map(|at| json!({"Config": "c", "RepoTags": [format!("a:{at}")]})).collect();
    let files = [("c".to_owned(), config.into_bytes()), ("manifest.json".to_owned(), json!(saved).to_string().into())];
    place.project_file("saved.tar", &archive(&files.into()));
    let (done, most) = finish_measured(place.command(["show", "saved.tar"]));
    assert!(done.error().ends_with("the length of its configurations exceeds the limit of 16777216"), "{done:?}");
    assert!(most < MEMORY, "{most}");
}

#[test]
fn links_to_the_host_are_only_text() {
    let place = place!();
    let secret = place.path().join("secret");
    fs::create_dir(&secret).unwrap();
    let lines =
        [format!("up -> {}", secret.display()), "up/file: text".to_owned(), "far -> ../../../../../..".to_owned()];
    made(&place, &layer(&lines.each_ref().map(String::as_str)), Packing::Gzip);
    let listed = place.ok(["files", "./made"]);
    assert!(listed.contains(&format!("{}/file\n", secret.display())), "{listed}");
    assert_eq!(dlstore_kit::names(&secret), Vec::<String>::new());
}

#[test]
fn layers_that_unpack_to_more_than_they_are_worth_are_refused_in_bounded_memory() {
    let zeros = 1_u64 << 30;
    let mut raw = TarWriter::default();
    raw.header(&TarEntry::new(b'0', "zeros"), zeros);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let place = place!();
        // Many members or frames with the same zeros.
        let part = packing.pack(&vec![0; 16 << 20]);
        let bytes = [packing.pack(&raw.segment()), part.repeat(64), packing.pack(&[0; 1024])].concat();
        let mut blobs = Handmade::default();
        let config = json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(b""))]}});
        let config = blobs.document("application/vnd.oci.image.config.v1+json", &config);
        let one = blobs.blob(packing.media_type(), bytes);
        let manifest = blobs.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": [one]}));
        blobs.write(&place.project().join("made"), &[manifest]);
        for command in ["files", "show"] {
            let (done, most) = finish_measured(place.command([command, "./made"]));
            assert_eq!(done.code(), Some(1), "{packing:?}: {done:?}");
            assert!(done.err.contains("the content is longer than"), "{packing:?}: {done:?}");
            assert!(most < MEMORY, "{packing:?}: {most}");
        }
    }
}

#[test]
fn large_files_pass_through_in_bounded_memory() {
    let place = place!();
    let mut raw = TarWriter::default();
    raw.entry(&TarEntry::new(b'0', "large"), &dlstore_kit::packages::text(1, 300 << 20));
    made(&place, &raw.finish(), Packing::Raw);
    let (done, most) = finish_measured(place.command(["files", "./made"]));
    assert!(done.status.success() && done.out.contains("314.57 MB"), "{done:?}");
    assert!(most < MEMORY, "{most}");
}

#[test]
fn a_package_database_that_is_too_large_is_not_held() {
    let place = place!();
    let mut raw = TarWriter::default();
    raw.entry(&TarEntry::new(b'0', "var/lib/dpkg/status"), &b"Package: a\n".repeat((64 << 20) / 11 + 1));
    made(&place, &raw.finish(), Packing::Raw);
    let (done, most) = finish_measured(place.command(["show", "./made"]));
    assert!(done.error().ends_with("the length of its package databases exceeds the limit of 67108864"), "{done:?}");
    assert!(most < MEMORY, "{most}");
}

#[test]
fn words_of_an_image_cannot_steer_a_terminal_or_begin_a_line() {
    let place = place!();
    let mut blobs = Handmade::default();
    let bad = "\u{1b}[31m\n::error::x\u{202e}";
    let run = json!({"Env": [format!("A={bad}")], "Labels": {bad: bad}, "Cmd": [bad], "User": bad});
    let status = "Package: a\u{1b}[31m\nVersion: 1\n";
    let lines = [format!("a{}b -> {bad}", "\u{1b}"), "d/".into()];
    let mut raw = TarWriter::default();
    raw.entry(&TarEntry::new(b'0', "var/lib/dpkg/status"), status.as_bytes());
    let layers = [layer(&lines.each_ref().map(String::as_str)), raw.finish()];
    let mut image = blobs.image("amd64", &layers, Packing::Gzip, &run);
    image["annotations"] = json!({"org.opencontainers.image.ref.name": bad});
    let other = blobs.image("amd64", &layers[..1], Packing::Gzip, &json!({}));
    blobs.write(&place.project().join("two"), &[image.clone(), tagged(other.clone(), "x")]);
    blobs.write(&place.project().join("made"), &[image]);
    blobs.write(&place.project().join("other"), &[other]);
    for arguments in [
        &["show", "./made"][..],
        &["show", "./made", "--json"],
        &["files", "./made"],
        &["tree", "./made"],
        &["diff", "./made", "./other"],
        &["diff", "./made", "./other", "--json"],
        &["show", "./two"],
    ] {
        let done = place.run(arguments);
        for text in [&done.out, &done.err] {
            let is_harmless = text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}');
            assert!(
                is_harmless && !text.lines().any(|line| line.trim_start().starts_with("::")),
                "{arguments:?}: {done:?}"
            );
        }
    }
}

#[test]
fn an_empty_directory_and_files_of_all_kinds_are_no_images_and_hang_nobody() {
    let place = place!();
    fs::create_dir(place.project().join("empty")).unwrap();
    dlstore_kit::succeed(std::process::Command::new("mkfifo").arg(place.project().join("fifo")));
    for what in ["oci:empty", "oci-archive:fifo", "docker-archive:/dev/zero", "oci-archive:empty"] {
        assert_eq!(place.run(["files", what]).code(), Some(1), "{what}");
    }
    let none: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    place.project_file("none.tar", &archive(&none));
    assert_eq!(place.run(["files", "none.tar"]).error(), "none.tar is not an archive of an image");
}
