//! An image that is planned on the base that it extends is the image that is planned as a whole.
//!
//! Random bases, and on each of them images that only add files and say what is run: plain ones, and ones that meet
//! whatever could make a difference (a path of the base, a directory of another mode, a link, a loader's directory, a
//! command that is searched, a library, another machine). Each is composed in two stores, one of which plans it as a
//! whole (`DLSTORE_TEST_WHOLE`): output, notes, errors and exit code must be equal. That some stand on their base is
//! counted, so that this does not compare a thing with itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use crate::template::index;
use dlstore_kit::{Dice, Done, Place, elf, finish, place, program};

const ROUNDS: usize = 240;

/// Lines of a base, each there or not.
const BASE: [&str; 18] = [
    "files.\"/srv/app/\" = { mode = \"0755\" }",
    "files.\"/srv/closed/\" = { mode = \"0700\" }",
    "files.\"/opt/tool/data/text\" = { content = \"base\" }",
    "links.\"/opt/link\" = \"tool\"",
    "links.\"/opt/open\" = \"/srv/app/later\"",
    "waive = [\"/opt/open -> /srv/app/later: comes later\"]",
    "user = \"nonroot\"",
    "env.PATH = \"/usr/local/bin:/opt/tool/bin\"",
    "env.PATH = \"/usr/local//bin:/opt/tool/bin\"",
    "env.PATH = \"/opt/link/bin:/opt/tool/bin\"",
    "exclude = [\"/opt/near/text\"]",
    "exclude = [\"/usr/share/alpha/text\"]",
    "skip = [\"nsswitch\"]",
    "accounts.app = { uid = 1500, home = \"/srv/home\" }",
    "entrypoint = [\"run\"]",
    "cmd = [\"/opt/tool/bin/run\"]",
    "workdir = \"/srv/app\"",
    "os-release.VARIANT_ID = \"based\"",
];

/// Lines of an image on it.
const IMAGE: [&str; 40] = [
    "files.\"/srv/app/word\" = { content = \"one\" }",
    "files.\"/srv/app/other\" = { content = \"two\", mode = \"0600\", owner = \"nonroot\" }",
    "files.\"/srv/app/later\" = { content = \"it came\" }",
    "files.\"/srv/app/\" = { mode = \"0755\" }",
    "files.\"/srv/app/\" = { mode = \"0750\" }",
    "files.\"/srv/closed/program\" = { source = \"program\" }",
    "files.\"/srv\" = { content = \"a file\" }",
    "files.\"/app/program\" = { source = \"program\" }",
    "files.\"/app/program\" = { source = \"{arch}/program\" }",
    "files.\"/app/script\" = { source = \"script\" }",
    "files.\"/app/library\" = { source = \"library\" }",
    "files.\"/app/text.so\" = { content = \"INPUT(libc.so.6)\" }",
    "files.\"/app/\" = { mode = \"1777\" }",
    "files.\"/app/\" = { mode = \"0777\" }",
    "files.\"/usr/local/bin/run\" = { source = \"program\" }",
    "files.\"/usr/lib/own/text\" = { content = \"x\" }",
    "files.\"/lib/own\" = { content = \"x\" }",
    "files.\"/etc/own.conf\" = { content = \"x\" }",
    "files.\"/etc/ld.so.conf.d/own.conf\" = { content = \"/app\\n\" }",
    "files.\"/etc/passwd\" = { content = \"x\" }",
    "files.\"/usr/share/alpha/text\" = { content = \"mine\" }",
    "files.\"/opt/tool/\" = { mode = \"0711\" }",
    "files.\"/opt/link/below\" = { content = \"x\" }",
    "files.\"/opt/tool/data\" = { content = \"in the way\" }",
    "files.\"/opt/near/text\" = { content = \"mine\" }",
    "files.\"/opt/tool/bin/other\" = { source = \"program\" }",
    "files.\"/srv/home/\" = { mode = \"0700\", owner = \"1500:1500\" }",
    "files.\"/srv/home/text\" = { content = \"x\" }",
    "files.\"/etc/nsswitch.conf\" = { content = \"hosts: files\\n\" }",
    "files.\"/etc/own/conf\" = { content = \"x\" }",
    "files.\"/usr/local/lib/glibc-hwcaps/x86-64-v3/libx.a\" = { content = \"x\" }",
    "files.\"/usr/local/bin/run\" = { content = \"text\", mode = \"0755\" }",
    "files.\"/opt/link/bin/run\" = { content = \"text\", mode = \"0755\" }",
    "cmd = [\"other\"]",
    "links.\"/app/link\" = \"program\"",
    "entrypoint = [\"/app/program\"]",
    "entrypoint = [\"/app/script\", \"-v\"]",
    "cmd = [\"run\"]",
    "workdir = \"/app\"",
    "user = \"1234:5678\"",
];

/// Some of the lines, of which each key is said once.
fn some(dice: &mut Dice, lines: &[&str], most: usize) -> String {
    let mut said = BTreeMap::new();
    for _ in 0..dice.pick(most + 1) {
        let line = lines[dice.pick(lines.len())];
        said.insert(line.split(" = ").next().unwrap(), line);
    }
    // Tables of one key come before those of the next, and plain keys before all of them.
    let mut text = String::new();
    for line in said.values() {
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn furnish(place: &Place) {
    let deb = |name: &str, arch: &str| DebBuilder::new(name, "1-1", arch).compression(Compression::Gzip).md5sums();
    for (arch, key) in [("amd64", "amd64"), ("arm64", "arm64")] {
        let alpha = deb("alpha", arch)
            .file("usr/share/alpha/text", b"alpha", 0o644)
            .file("opt/near/text", b"near", 0o644)
            .file("opt/tool/bin/run", &elf::program(arch), 0o755)
            .file("usr/lib/libalpha.so.1", &elf::library(arch, "libalpha.so.1", &[]), 0o644);
        place.package(&format!("alpha_{arch}.deb"), &alpha.build());
        let conf = b"include /etc/ld.so.conf.d/*.conf\n";
        place.package(
            &format!("libc-bin_{arch}.deb"),
            &deb("libc-bin", arch).file("etc/ld.so.conf", conf, 0o644).build(),
        );
        let program = place.project().join("images/app").join(key);
        fs::create_dir_all(&program).unwrap();
        write(&program.join("program"), &elf::program(arch), 0o755);
    }
    let app = place.project().join("images/app");
    write(&app.join("program"), &elf::program("amd64"), 0o755);
    write(&app.join("library"), &elf::library("amd64", "libown.so.1", &["libalpha.so.1"]), 0o644);
    write(&app.join("script"), b"#!/opt/tool/bin/run\n", 0o755);
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn compose(place: &Place, arch: &str, is_whole: bool) -> Done {
    let output = if is_whole { "oci:whole" } else { "oci:out" };
    let mut command = place.command(["compose", "app", "--arch", arch, "--from", "../packages", "-q", "-o", output]);
    if is_whole {
        command.env("DLSTORE_ROOT", place.path().join("whole")).env("DLSTORE_TEST_WHOLE", "1");
    }
    finish(command)
}

/// What is said, but for where the output lies.
fn said(done: &Done) -> (Option<i32>, &str, String) {
    (done.code(), &done.out, done.err.replace("oci:whole", "oci:out"))
}

#[test]
fn a_base_whose_loader_has_others_included_is_no_base_for_what_they_may_be() {
    for (text, stands) in [
        ("include /etc/ld.so.conf.d/*.conf\\n", true),
        ("  include\\t/etc/ld.so.conf.d/*.conf # usual\\n/opt/libs\\n", true),
        ("included\\n", true),
        ("\\u000Binclude /opt/conf/*.conf\\n", false),
        ("\\u000Cinclude /opt/conf/a.conf\\n", false),
        ("include /etc/ld.so.conf.d/*.conf /opt/conf/*.conf\\n", false),
    ] {
        let place = place!();
        furnish(&place);
        let library = place.project().join("images/base/library");
        fs::create_dir_all(library.parent().unwrap()).unwrap();
        write(&library, &elf::library("amd64", "libx.so.1", &[]), 0o644);
        let configuration = format!("files.\"/etc/ld.so.conf\" = {{ content = \"{text}\" }}");
        let library = "files.\"/opt/libs/libx.so.1\" = { source = \"library\" }";
        place.image("base", &format!("schema = 1\n{configuration}\n{library}\n"));
        place.image(
            "app",
            "schema = 1\nextends = \"base\"\nfiles.\"/opt/conf/a.conf\" = { content = \"/opt/libs\\n\" }\n",
        );
        let (one, whole) = (compose(&place, "amd64", false), compose(&place, "amd64", true));
        assert_eq!(said(&one), said(&whole), "{text}");
        one.ok();
        let count = "SELECT count(*) FROM edge JOIN action AS root ON root.object = src
            JOIN action AS base ON base.object = dst WHERE root.kind = 'root' AND base.kind = 'base'";
        let standing: i64 = index(&place.store()).query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(standing > 0, stands, "{text}");
    }
}

#[test]
fn a_base_whose_script_tells_env_where_to_look_is_no_base_for_what_lies_there() {
    for (line, stands) in [("#!/usr/bin/env -S PATH=/opt/x:/opt/y prog", false), ("#!/opt/y/prog -x", true)] {
        let place = place!();
        furnish(&place);
        let program = place.project().join("images/base/prog");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        write(&program, &elf::program("amd64"), 0o755);
        let file = |path: &str| format!("files.\"{path}\" = {{ source = \"prog\" }}\n");
        let script = format!("files.\"/app.sh\" = {{ content = '{line}', mode = \"0755\" }}\n");
        let files = [file("/opt/y/prog"), file("/usr/bin/env"), script].concat();
        place.image("base", &format!("schema = 1\nentrypoint = [\"/app.sh\"]\n{files}"));
        let bad = "files.\"/opt/x/prog\" = { content = \"#!/opt/nowhere\", mode = \"0755\" }\n";
        place.image("app", &format!("schema = 1\nextends = \"base\"\n{bad}"));
        let (one, whole) = (compose(&place, "amd64", false), compose(&place, "amd64", true));
        assert_eq!(said(&one), said(&whole), "{line}");
        assert_eq!(one.code() == Some(0), stands, "{line}: {one:?}");
    }
}

#[test]
fn an_image_on_its_base_is_the_image_as_a_whole() {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { Place::within(program!(), memory) } else { place!() };
    furnish(&place);
    let on_base = || -> i64 {
        // A rootfs that stands on a base names it.
        let count = "SELECT count(*) FROM edge JOIN action AS root ON root.object = src
            JOIN action AS base ON base.object = dst WHERE root.kind = 'root' AND base.kind = 'base'";
        index(&place.store()).query_row(count, [], |row| row.get(0)).unwrap()
    };
    let mut dice = Dice::new(0x2026_1122);
    let (mut good, mut bad) = (0, 0);
    let mut base = String::new();
    for round in 0..ROUNDS {
        if round % 8 == 0 {
            let packages = ["[]", "[\"alpha\"]", "[\"alpha\", \"libc-bin\"]"][dice.pick(3)];
            let layers = ["grouped", "grouped", "package", "flat"][dice.pick(4)];
            let head = format!("schema = 1\nformat = \"deb\"\npackages = {packages}\nlayers = \"{layers}\"");
            base = format!("{head}\nembedded = {}\n{}", dice.pick(2) == 1, some(&mut dice, &BASE, 3));
            place.image("base", &base);
        }
        let app = format!("schema = 1\nextends = \"base\"\n{}", some(&mut dice, &IMAGE, 3));
        place.image("app", &app);
        let arch = ["amd64", "arm64,amd64"][dice.pick(2)];
        let (one, whole) = (compose(&place, arch, false), compose(&place, arch, true));
        assert_eq!(said(&one), said(&whole), "round {round}, {arch}\n{base}\n{app}");
        *(if one.code() == Some(0) { &mut good } else { &mut bad }) += 1;
    }
    let standing = on_base();
    println!("{good} images, {bad} refused; {standing} rootfs on a base");
    assert!(good > 40 && bad > 20 && standing > 30, "{good} images, {bad} refused; {standing} rootfs on a base");
    assert_eq!(place.verified().0, Vec::<String>::new());
}

#[test]
fn no_image_has_the_name_of_another_that_was_planned_before_it() {
    let place = place!();
    let names: Vec<String> = (0..41).map(|at| format!("p{at}")).collect();
    for name in &names {
        let deb = DebBuilder::new(name, "1-1", "all").compression(Compression::Gzip);
        let deb = deb.file(&format!("opt/{name}"), name.as_bytes(), 0o644);
        place.package(&format!("{name}_all.deb"), &deb.build());
    }
    let head = "schema = 1\nformat = \"deb\"\nlayers = \"package\"";
    place.image("base", &format!("{head}\npackages = {names:?}"));
    // The name of the image is in the title of the last layer, which the configuration has.
    for (name, words) in [("before", "labels.a = \"1\""), ("app", "labels.a = \"2\"")] {
        place.image(name, &format!("schema = 1\nextends = \"base\"\n{words}"));
    }
    let before = place.run(["compose", "before", "--arch", "amd64", "--from", "../packages", "-q", "-o", "oci:before"]);
    assert_eq!(before.code(), Some(0), "{}", before.err);
    let (one, whole) = (compose(&place, "amd64", false), compose(&place, "amd64", true));
    assert_eq!(one.code(), Some(0), "{}", one.err);
    assert_eq!(said(&one), said(&whole));
}
