//! Bounds by meaning: what is small in an archive and large in memory, on disk or in time.
//!
//! Memory stays below 200 MiB in all, whatever `--jobs` is, and one bad package takes no other with it.

use std::process::Command;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder, TarEntry, TarWriter, compress};

use dlstore_kit::{Done, Place, finish_measured, packages, place};

/// What no input may make the program exceed.
const MEMORY: u64 = 200 << 20;

fn deb_of(name: &str, data: &str, bytes: &[u8]) -> Vec<u8> {
    packages::deb_of(&DebBuilder::new(name, "1.0", "all"), data, bytes.to_vec())
}

fn deb(name: &str, raw: &[u8]) -> Vec<u8> {
    deb_of(name, "data.tar.zst", &compress(Compression::Zstd, raw))
}

/// Runs a command and checks its memory.
fn measured(command: Command, what: &str) -> Done {
    let (done, memory) = finish_measured(command);
    println!("{what}: {} MiB of memory, {}", memory >> 20, done.err.lines().next().unwrap_or(""));
    assert!(memory < MEMORY, "{what}: {} MiB", memory >> 20);
    done
}

/// Adds everything in the place's directory of packages.
fn add(place: &Place, what: &str, more: &[&str]) -> Done {
    measured(place.command(["add", "../packages"].iter().chain(more)), what)
}

/// Adds one bad package beside five good ones, which are added, and gives its error.
fn refused(name: &str, bytes: &[u8]) -> String {
    let place = place!();
    place.package(name, bytes);
    for at in 0..5 {
        let deb = packages::deb(&format!("good{at}"), at, "amd64");
        place.package(&format!("good{at}.deb"), &deb.build());
    }
    let done = add(&place, name, &[]);
    assert_eq!(done.code(), Some(1), "{name}: {done:?}");
    assert!(done.err.contains("added 5 packages") && done.err.contains("1 failed"), "{name}: {done:?}");
    done.error()
}

#[test]
fn extended_attributes_of_hard_links_are_not_multiplied() {
    let xattrs: Vec<_> = (0..15).map(|at| (format!("user.{at}"), vec![b'x'; 60 << 10])).collect();
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry { xattrs, ..TarEntry::new(b'0', "file") }, b"content");
    for at in 0..5000 {
        tar.entry(&TarEntry::link(b'1', format!("link-{at}"), "file"), b"");
    }
    let bytes = compress(Compression::Xz, &tar.finish());
    assert!(bytes.len() < 200_000);
    let error = refused("xattrs.tar.xz", &bytes);
    assert!(error.contains("extended attributes that are kept exceeds the limit"), "{error}");
}

#[test]
fn extended_attributes_of_many_entries_are_refused_and_those_of_a_few_are_kept() {
    let package = |entries: usize| {
        let mut tar = TarWriter::default();
        for at in 0..entries {
            let xattrs = vec![("user.note".to_owned(), vec![b'x'; 60 << 10])];
            tar.entry(&TarEntry { xattrs, ..TarEntry::new(b'0', format!("{at}")) }, b"");
        }
        compress(Compression::Xz, &tar.finish())
    };
    let error = refused("many.tar.xz", &package(2000));
    assert!(error.contains("extended attributes"), "{error}");
    let place = place!();
    let path = place.package("few.tar.xz", &package(100));
    measured(place.command(["add".as_ref(), path.as_os_str()]), "few").ok();
}

#[test]
fn directories_that_nobody_lists_are_bounded() {
    let mut tar = TarWriter::default();
    for at in 0..2000 {
        let deep = format!("{at}/{}f", "d/".repeat(1900));
        tar.entry(&TarEntry::new(b'0', deep), b"");
    }
    let error = refused("deep.deb", &deb("deep", &tar.finish()));
    assert!(error.contains("directories"), "{error}");
}

/// A package of empty files in one directory, and the content of its `data.tar`.
fn of_files(name: &str, directory: &str, count: usize) -> Vec<u8> {
    let mut raw = Vec::new();
    for at in 0..count {
        raw.extend(TarWriter::default().entry(&TarEntry::new(b'0', format!("{directory}/{at:010}")), b"").segment());
    }
    raw.extend([0; 1024]);
    deb(name, &raw)
}

#[test]
fn packages_of_250_000_entries_are_added_one_beside_the_other() {
    // Paths of 66 bytes: just below both bounds.
    let place = place!();
    for at in 0..3 {
        let name = format!("many{at}");
        let bytes = of_files(&name, &format!("{at}{}", "p".repeat(54)), 249_990);
        place.package(&format!("{name}.deb"), &bytes);
    }
    let done = add(&place, "three of 250,000 entries", &["--jobs", "8"]).ok();
    assert!(done.err.contains("added 3 packages"), "{done:?}");
}

#[test]
fn an_image_of_many_entries_is_composed_listed_and_verified_and_one_of_more_is_refused_by_the_name_of_the_bound() {
    let place = place!();
    place.package("big.deb", &of_files("big", &"p".repeat(55), 118_000));
    place.package("more.deb", &of_files("more", "usr/share/more", 11_000));
    place.package("beyond.deb", &of_files("beyond", "usr/share/beyond", 11_000));
    let image = |packages: &str, more: &str| {
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [{packages}]\n{more}"));
    };
    let command = |words: &[&str]| {
        let from = ["--arch", "amd64", "--from", "../packages", "--jobs", "8"];
        measured(place.command(words.iter().chain(&from)), &words.join(" "))
    };
    image(r#""big", "more""#, "");
    command(&["compose", "demo"]).ok();
    command(&["compose", "demo", "--layers", "flat", "-o", "oci:flat"]).ok();
    let files = command(&["files", "demo", "--json"]).ok();
    let files: serde_json::Value = serde_json::from_str(&files.out).unwrap();
    assert_eq!((&files["schema"], &files["listings"][0]["of"]), (&1.into(), &"demo for amd64".into()));
    assert!(files["listings"][0]["files"].as_array().unwrap().len() > 129_000);
    measured(place.command(["store", "verify", "--full", "--jobs", "8"]), "verify").ok();
    image(r#""big", "more", "beyond""#, "");
    let done = command(&["compose", "demo"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    let sentence =
        "deb:beyond=1.0/all brings the image above the limit of 130000 files and directories on one architecture";
    assert!(done.error().contains(sentence) && done.err.contains("exclude = "), "{done:?}");
    image(r#""big", "more", "beyond""#, "exclude = [\"/usr/share/beyond/*7\", \"/usr/share/more\"]\n");
    command(&["compose", "demo"]).ok();
}

#[test]
fn a_store_of_packages_with_many_names_in_their_elf_files_is_verified_in_little_memory() {
    let place = place!();
    for at in 0..40 {
        let mut package = DebBuilder::new(&format!("elf{at}"), "1.0", "amd64");
        for file in 0..6 {
            let names: Vec<String> = (0..2_000).map(|name| format!("lib{at}-{file}-{name:040}.so")).collect();
            let needed: Vec<&str> = names.iter().map(String::as_str).collect();
            let elf = dlstore_kit::elf::library("amd64", "libx.so", &needed);
            package = package.file(&format!("usr/lib/elf{at}/{file}"), &elf, 0o755);
        }
        place.package(&format!("elf{at}.deb"), &package.build());
    }
    add(&place, "names of libraries", &["--jobs", "64"]).ok();
    measured(place.command(["store", "verify", "--full", "--jobs", "64"]), "verify").ok();
}

#[test]
fn a_million_entries_of_their_own_are_refused_by_the_name_of_the_bound() {
    let one = TarWriter::default().entry(&TarEntry::new(b'0', "a"), b"").segment();
    let raw = [one.repeat(1_000_000), vec![0; 1024]].concat();
    let error = refused("entries.deb", &deb("entries", &raw));
    assert!(error.contains("the number of entries exceeds the limit of 250000"), "{error}");
}

#[test]
fn large_dictionaries_at_once_share_one_budget() {
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(64 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'0', "zeros"), &vec![0; 62 << 20]);
    let mut data = Vec::new();
    let mut encoder = liblzma::read::XzEncoder::new_stream(std::io::Cursor::new(tar.finish()), stream);
    std::io::Read::read_to_end(&mut encoder, &mut data).unwrap();
    let place = place!();
    for at in 0..8 {
        let name = format!("big{at}");
        place.package(&format!("{name}.deb"), &deb_of(&name, "data.tar.xz", &data));
    }
    let done = add(&place, "eight dictionaries of 64 MiB", &["--jobs", "64"]).ok();
    assert!(done.err.contains("added 8 packages"), "{done:?}");
}

#[test]
fn a_control_member_of_twelve_megabytes_is_added() {
    let place = place!();
    let deb = DebBuilder::new("control", "1.0", "all").control_file("preinst", &vec![b'#'; 12 << 20]);
    place.package("control.deb", &deb.file("a", b"", 0o644).build());
    add(&place, "a control member of 12 MiB", &["--jobs", "64"]).ok();
}

#[test]
fn looking_for_packages_keeps_who_they_are_and_not_their_scripts() {
    let place = place!();
    for at in 0..60 {
        let name = format!("control{at}");
        let deb = DebBuilder::new(&name, "1.0", "all").control_file("preinst", &vec![b'#'; 10 << 20]);
        place.package(&format!("{name}.deb"), &deb.file("etc/x", b"x", 0o644).build());
    }
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"control7\"]\n");
    let arguments = ["compose", "demo", "--arch", "amd64", "--from", "../packages", "--jobs", "64"];
    measured(place.command(arguments), "sixty packages to choose from").ok();
}

#[test]
fn content_beyond_what_the_size_promises_fails_early_and_a_flag_takes_it() {
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'0', "zeros"), &vec![0; 300 << 20]);
    let bytes = deb("zeros", &tar.finish());
    assert!(bytes.len() < 1 << 20);
    let error = refused("zeros.deb", &bytes);
    assert!(error.contains("it unpacks to more than") && error.contains("--max-size"), "{error}");
    let place = place!();
    place.package("zeros.deb", &bytes);
    add(&place, "zeros", &["--max-size", "400MB"]).ok();
    let place = place!();
    place.package("zeros.deb", &bytes);
    assert_eq!(add(&place, "zeros", &["--max-size", "200MB"]).code(), Some(1));
}

#[test]
fn a_directory_between_two_others_that_is_not_listed_is_legal() {
    let place = place!();
    for (at, last) in [TarEntry::new(b'5', "./a/x/z/"), TarEntry::new(b'0', "./a/x/z")].into_iter().enumerate() {
        let mut tar = TarWriter::default();
        tar.entry(&TarEntry::new(b'5', "./"), b"").entry(&TarEntry::new(b'5', "./a/"), b"").entry(&last, b"");
        place.package(&format!("gap{at}.deb"), &deb(&format!("gap{at}"), &tar.finish()));
        place.package(&format!("good{at}.deb"), &packages::deb(&format!("good{at}"), 1, "amd64").build());
    }
    let done = add(&place, "gap", &[]).ok();
    assert!(done.err.contains("added 4 packages"), "{done:?}");
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"gap0\"]\n");
    place.ok(["compose", "demo", "--arch", "amd64", "--from", "store"]);
}

#[test]
fn a_hard_link_group_whose_first_name_is_not_selected_has_its_content() {
    let place = place!();
    let content = b"the content of all names\n";
    let deb = DebBuilder::new("links", "1.0", "amd64")
        .file("opt/a/first", content, 0o644)
        .hard_link("opt/b/second", "opt/a/first")
        .hard_link("opt/c/third", "opt/a/first");
    place.package("links.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"links\"]\nexclude = [\"/opt/a/**\"]\n");
    place.ok(["compose", "demo", "--arch", "amd64", "--from", "../packages", "-o", "oci:../layout:demo"]);
    let files = place.json(&["files", "demo", "--arch", "amd64", "--from", "../packages"]).to_string();
    assert!(!files.contains("/opt/a"), "{files}");
    assert!(files.contains("/opt/b/second") && files.contains("/opt/c/third"), "{files}");
}

#[test]
fn a_fifo_a_socket_or_a_device_where_a_file_is_expected_is_an_error_at_once() {
    let place = place!();
    let fifo = place.packages().join("pipe.deb");
    let status = Command::new("mkfifo").arg(&fifo).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo is needed");
    let socket = place.packages().join("socket.deb");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let device = place.packages().join("zero.deb");
    std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
    for (path, word) in [(&fifo, "a fifo"), (&socket, "a socket"), (&device, "a device")] {
        for command in ["add", "needs"] {
            let done = place.run([command.as_ref(), path.as_os_str()]);
            assert_eq!(done.code(), Some(1), "{done:?}");
            assert!(done.error().contains(&format!("is {word}, not a regular file")), "{done:?}");
        }
    }
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"x\"]\n");
    for path in [&fifo, &socket, &device] {
        let arguments = ["compose".as_ref(), "demo".as_ref(), "--arch".as_ref(), "amd64".as_ref(), "--from".as_ref()];
        let done = place.run(arguments.into_iter().chain([path.as_os_str()]));
        assert_eq!(done.code(), Some(1), "{done:?}");
    }
}

#[test]
fn a_definition_that_is_no_file_is_an_error_at_once() {
    let place = place!();
    place.package("good.deb", &packages::deb("good", 1, "amd64").build());
    let pipe = place.project().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()), "mkfifo is needed");
    let done = place.run(["compose", "./pipe.toml", "--arch", "amd64"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.error().contains("pipe.toml is not a regular file"), "{done:?}");
    place.image("demo", "schema = 1\nextends = \"../../pipe.toml\"\nformat = \"deb\"\npackages = [\"good\"]\n");
    assert_eq!(place.run(["compose", "demo", "--arch", "amd64"]).code(), Some(1));
    // Other commands read definitions only to know more.
    assert!(place.run(["add", "../packages"]).code().is_some());
}

#[test]
fn the_first_name_of_many_hard_links_counts_as_often_as_it_is_kept() {
    let first = format!("a/{}", "n".repeat(200)).repeat(18);
    let mut tar = TarWriter::default();
    tar.entry(&TarEntry::new(b'0', "zz"), b"x");
    tar.entry(&TarEntry::link(b'1', first.replace("na/", "n/a/").as_bytes(), "zz"), b"");
    for at in 0..9000 {
        tar.entry(&TarEntry::link(b'1', format!("h{at}"), "zz"), b"");
    }
    let error = refused("links.deb", &deb("links", &tar.finish()));
    assert!(error.contains("what hard links lead to"), "{error}");
}

#[test]
fn a_package_that_replaces_thousands_is_refused_alone() {
    let line = format!("a0{}", "\n ,a0".repeat(50_000));
    let deb = DebBuilder::new("many", "1.0", "all").control_field("Replaces", &line);
    let error = refused("many.deb", &deb.file("a", b"", 0o644).build());
    assert!(error.contains("what the package replaces"), "{error}");
}

#[test]
fn a_directory_of_a_thousand_levels_is_refused_and_the_rest_is_added() {
    let place = place!();
    place.package("good.deb", &packages::deb("good", 1, "amd64").build());
    std::fs::create_dir_all(place.path().join("deep").join("a/".repeat(1000))).unwrap();
    let done = place.run(["add", "../packages", "../deep"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.err.contains("added 1 package") && done.error().contains("directories in one another"), "{done:?}");
}

#[test]
fn an_elf_file_that_cannot_be_read_and_attributes_that_are_dropped_are_notes_the_first_twenty_of_them() {
    let place = place!();
    let mut deb = DebBuilder::new("notes", "1.0", "amd64").file("usr/bin/cut", b"\x7fELF\x02\x01\x01", 0o755);
    for at in 0..100 {
        deb = deb.file(&format!("usr/share/{at}"), b"", 0o644).xattr("security.selinux", b"system_u");
    }
    place.package("notes.deb", &deb.build());
    let done = add(&place, "notes", &["--json"]).ok();
    let found: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let notes: Vec<&str> =
        found["added"][0]["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 21, "{notes:?}");
    assert!(notes[0].starts_with("/usr/bin/cut: the ELF file cannot be read"), "{notes:?}");
    assert_eq!(notes[20], "81 more notes");
}

#[test]
fn control_characters_in_control_files_are_refused_and_a_name_of_one_letter_is_taken() {
    let error = refused("escape.deb", &DebBuilder::new("bad", "1.0", "all").control_field("X", "a\x1b[2Jb").build());
    assert!(error.contains("the control character U+001B"), "{error}");
    let error = refused("bell.apk", &ApkBuilder::new("bad", "1.0-r0", "noarch").info("x", "a\x07b").build());
    assert!(error.contains("the control character U+0007"), "{error}");
    let place = place!();
    place.package("r.deb", &DebBuilder::new("r", "1.0", "all").file("a", b"", 0o644).build());
    add(&place, "r", &[]).ok();
}

#[test]
fn control_files_of_millions_of_lines_fields_or_names_are_refused_before_they_take_memory() {
    let deb = |field: &str, value: &str| DebBuilder::new("bad", "1.0", "all").control_field(field, value).build();
    let apk = |key: &str, value: &str| ApkBuilder::new("bad", "1.0-r0", "noarch").info(key, value).build();
    let fields = |count: u32| (0..count).map(|at| format!("x\n{at:x}: ")).collect::<Vec<_>>().concat() + "x";
    for (name, bytes, bound) in [
        ("fields.deb", deb("First", &fields(1_200_000)), "the number of lines of a control file"),
        ("some.deb", deb("First", &fields(5_000)), "the number of fields of control"),
        ("provides.deb", deb("Provides", &format!("a0{}", ",\n a0".repeat(99_000))), "packages that its control file"),
        ("lines.apk", apk("a", &"\na=".repeat(5_000_000)), "the number of lines of a control file"),
        ("depend.apk", apk("depend", &format!("a{}", "\ndepend=a".repeat(99_000))), "packages that its control file"),
    ] {
        let error = refused(name, &bytes);
        assert!(error.contains(bound) && error.contains("exceeds the limit of"), "{name}: {error}");
    }
}

#[test]
fn a_file_that_claims_a_tebibyte_is_refused_by_its_length_and_nothing_else_is() {
    let place = place!();
    place.package("good.deb", &packages::deb("good", 1, "amd64").build());
    let sparse = |path: &std::path::Path, size: u64| std::fs::File::create(path).unwrap().set_len(size).unwrap();
    let begun = std::time::Instant::now();
    sparse(&place.packages().join("big.deb"), 1 << 40);
    sparse(&place.packages().join("zeros.deb"), 6 << 30);
    let directory = place.path().join("directory");
    std::fs::create_dir(&directory).unwrap();
    sparse(&directory.join("huge"), 1 << 40);
    let done = place.run(["add", "../packages", "../directory"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.err.contains("added 1 package") && done.err.contains("3 failed"), "{done:?}");
    for sentence in [
        "big.deb has 1.10 TB, which exceeds the limit of 8.59 GB for a package (`add --max-size` allows",
        "zeros.deb: not a .deb",
        "directory/huge has 1.10 TB, which exceeds the limit of 8.59 GB for a file",
    ] {
        assert!(done.err.contains(sentence), "{sentence}: {}", done.err);
    }
    // What a flag allows is read, and is no package.
    let done = place.run(["add", "../packages/big.deb", "--max-size", "2TiB"]);
    assert!(done.error().contains("not a .deb"), "{done:?}");
    let compose = |definition: &str| {
        place.image("demo", definition);
        place.run(["compose", "demo", "--arch", "amd64", "--from", "../packages"])
    };
    compose("schema = 1\nformat = \"deb\"\npackages = [\"good\"]\n").ok();
    sparse(&place.project().join("images/demo/huge"), 1 << 40);
    for definition in ["files.\"/x\" = { source = \"huge\" }", "files.\"/x/\" = { source = \"./\" }"] {
        let done = compose(&format!("schema = 1\n{definition}\n"));
        assert_eq!(done.code(), Some(1), "{done:?}");
        assert!(done.error().contains("huge has 1.10 TB, which exceeds the limit of"), "{done:?}");
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn patterns_and_waivers_of_a_megabyte_are_held_against_a_hundred_thousand_paths_in_seconds() {
    let place = place!();
    let mut raw = Vec::new();
    for at in 0..100_000 {
        raw.extend(TarWriter::default().entry(&TarEntry::link(b'2', format!("l/{at}"), "n"), b"").segment());
    }
    raw.extend([0; 1024]);
    place.package("gaps.deb", &deb("gaps", &raw));
    let list = |one: &dyn Fn(u32) -> String, count: u32| (0..count).map(one).collect::<String>();
    let exclude = list(&|at| format!("\"/e/{at}\","), 40_000);
    let waive = list(&|at| format!("\"/l/{at} -> n: r\","), 20_000);
    let compose = |exclude: &str| {
        let more = format!("exclude = [{exclude}]\nwaive = [{waive}\"gaps -> n: r\"]\n");
        place.image("demo", &format!("schema = 1\nformat = \"deb\"\npackages = [\"gaps\"]\n{more}"));
        measured(place.command(["compose", "demo", "--arch", "amd64", "--from", "../packages"]), "patterns")
    };
    let begun = std::time::Instant::now();
    compose(&exclude).ok();
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let done = compose(&list(&|at| format!("\"/**/{at}\","), 40_000));
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.error().contains("a list has at most 512 patterns with wildcards"), "{done:?}");
}

#[test]
fn a_definition_of_a_megabyte_takes_the_time_of_its_length() {
    // With a step that takes the square of any of these counts it takes minutes.
    let place = place!();
    let list = |one: &dyn Fn(u32) -> String, count: u32| (0..count).map(one).collect::<String>();
    let accounts = list(&|at| format!("{{name=\"u{at}\",uid={}}},", at + 1000), 10_000);
    let owned = list(&|at| format!("files.\"/f/{at}\"={{content=\"\",owner=\"u{at}:u{}\"}}\n", 9_999 - at), 10_000);
    let files = |of: &'static str| list(&|at| format!("files.\"/{of}/{at}\"={{content=\"x\"}}\n"), 12_000);
    let ports = list(&|at| format!("\"{}\",", at + 1), 60_000);
    let fields = list(&|at| format!("A{at}=\"x\","), 40_000);
    let packages = list(&|at| format!("\"p{at}\","), 60_000);
    let links = list(&|at| format!("links.\"/l{at}\"=\"f\"\n"), 20_000);
    let compose = |text: &str| {
        place.image("demo", &format!("schema = 1\n{text}"));
        measured(place.command(["compose", "demo", "--arch", "amd64", "-o", "oci:out:demo"]), "a long definition")
    };
    let layout = dlstore_kit::Layout(place.project().join("out"));
    let made = || layout.files("demo", "amd64");

    compose(&format!("accounts=[{accounts}]\n{owned}")).ok();
    let (last, _) = &made()["f/9999"];
    assert_eq!((last.uid().unwrap(), last.gid().unwrap()), (10_999, 1_000));
    compose(&format!("{}[flavors.more]\n{}", files("a"), files("b"))).ok();
    assert!(made().contains_key("b/11999") && made().contains_key("a/11999"));
    compose(&format!("ports=[{ports}]\n")).ok();
    let (_, config) = layout.image("demo", "amd64");
    assert_eq!(config["config"]["ExposedPorts"].as_object().unwrap().len(), 60_000);
    compose(&format!("os-release={{{fields}}}\n")).ok();
    assert_eq!(made()["usr/lib/os-release"].1.split(|byte| *byte == b'\n').count(), 40_000 + 4);
    compose(&format!("{links}files.\"/f\"={{content=\"\"}}\n")).ok();
    assert!(made().contains_key("l19999"));
    let failed = compose(&format!("format=\"deb\"\npackages=[{packages}]\n"));
    assert!(failed.err.contains("\nand 59,980 more\n"), "{failed:?}");
}

#[test]
fn a_library_that_is_named_thousands_of_times_is_looked_for_once_and_its_paths_are_not_written_out() {
    // Every path of every name would be 6 GB, and every link followed for every name a thousand million steps.
    let place = place!();
    let spelled = |at: usize| {
        let (left, right) = ("/./".repeat(at), "/.".repeat(850 - at));
        format!("$ORIGIN/../lib{left}{right}")
    };
    let search = (0..256).map(spelled).collect::<Vec<_>>().join(":");
    let interpreter = Some("/lib64/ld-linux-x86-64.so.2");
    let program = dlstore_kit::elf::Elf {
        needed: &vec!["libx.so"; 13_000],
        search: Some(&search),
        interpreter,
        ..dlstore_kit::elf::Elf::default()
    };
    let library = dlstore_kit::elf::library("amd64", "libx.so", &[]);
    let mut tar = TarWriter::default();
    for (path, mode, bytes) in [
        ("opt/bin/run", 0o755, program.build("amd64")),
        ("opt/lib/libx.so", 0o644, library),
        ("lib64/ld-linux-x86-64.so.2", 0o755, dlstore_kit::elf::program("amd64")),
    ] {
        tar.entry(&TarEntry { mode, ..TarEntry::new(b'0', path) }, &bytes);
    }
    for at in 0..30_000 {
        tar.entry(&TarEntry::link(b'2', format!("srv/{at}/libx.so"), "/opt/lib/libx.so"), b"");
    }
    place.package("app.deb", &deb("app", &tar.finish()));
    let compose = |more: &str| {
        let definition = format!("schema = 1\nformat = \"deb\"\npackages = [\"app\"]\n{more}");
        place.image("demo", &format!("{definition}user = \"65532:65532\"\nentrypoint = [\"/opt/bin/run\"]\n"));
        measured(place.command(["compose", "demo", "--arch", "amd64", "--from", "../packages"]), "duplicates")
    };
    let begun = std::time::Instant::now();
    compose("").ok();
    let failed = compose("files.\"/opt/\" = { mode = \"0711\" }\nfiles.\"/opt/lib/\" = { mode = \"0700\" }\n");
    let closed = "/opt/bin/../lib/libx.so is in a directory that the image's user cannot enter";
    assert_eq!(failed.sentence(), format!("entrypoint /opt/bin/run: /opt/bin/run needs libx.so: {closed}"));
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
