//! Random edits of a definition on two levels: whatever a store remembers of what was composed before, it
//! gives the digest that a fresh store gives.
//!
//! A project has an image `base` and an image `app` that extends it, and a few tiny packages, some of which
//! have an older version or bring an account, a certificate or a library. Each round edits a definition, a
//! file of the project or a package; then `app` and `base` are composed on the store that has seen all rounds
//! before, and on one that has seen nothing. Values come from few, so that edits are taken back and remembered
//! outcomes are met again. An edit that is refused must be refused by both, for the same reason, and is undone.
//!
//! `DLSTORE_MODEL_SEED` starts other rounds, `DLSTORE_MODEL_EDITS` is their number.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use dlstore_kit::{Dice, Done, Place, elf, finish, place, program};

const EDITS: u32 = 250;
const SEED: u64 = 6;

/// Packages that a level can name; `lib` comes in two versions.
const PACKAGES: [&str; 7] = ["alpha", "beta", "gamma", "delta", "lib", "lib=1.0-1", "lib=1.1-1"];

/// Values of keys, as they stand in a definition; the key is said once, with one of these or not at all.
const SINGLE: [(&str, &[&str]); 14] = [
    ("description", &["\"one\"", "\"two\""]),
    ("user", &["\"nonroot\"", "\"1234:5678\"", "\"nobody\""]),
    ("workdir", &["\"/srv\"", "\"/etc\""]),
    ("entrypoint", &["[\"/bin/one\"]", "[\"/bin/two\", \"-v\"]"]),
    ("cmd", &["[\"serve\"]", "[]"]),
    ("stop-signal", &["\"SIGQUIT\"", "\"9\""]),
    ("slim", &["true", "false"]),
    ("layers", &["\"package\"", "\"flat\"", "\"grouped\""]),
    ("compression", &["\"zstd\"", "\"gzip\""]),
    ("tags", &["[\"one\"]", "[\"two\", \"{date}\"]"]),
    ("embedded", &["true", "false"]),
    ("certificates", &["[\"one.pem\"]", "[\"one.pem\", \"two.pem\"]"]),
    ("ports", &["[\"80\"]", "[\"53/udp\", \"80\"]"]),
    ("volumes", &["[\"/srv\"]"]),
];

/// Values of which any number can be said, with the tables or lists that they belong to.
const MANY: [(&str, &[&str]); 11] = [
    ("labels", &["a = \"1\"", "b = \"2\"", "c = \"3\""]),
    ("annotations", &["a = \"1\"", "\"org.opencontainers.image.version\" = \"7\""]),
    ("env", &["A = \"1\"", "B = \"2\"", "PATH = \"/bin\""]),
    ("os-release", &["NAME = \"Own\"", "VARIANT_ID = \"v\""]),
    (
        "files",
        &[
            "\"/etc/own\" = { content = \"own\\n\" }",
            "\"/etc/owned\" = { content = \"own\\n\", owner = \"nonroot\", mode = \"0600\" }",
            "\"/srv/data/\" = { source = \"data/\" }",
            "\"/srv/program\" = { source = \"program\" }",
            "\"/var/lib/own/\" = { owner = \"12:34\", mode = \"0700\" }",
            "\"/usr/share/alpha/text\" = { content = \"mine\\n\" }",
        ],
    ),
    ("links", &["\"/etc/link\" = \"own\"", "\"/usr/bin/alpha\" = \"/srv/program\""]),
    (
        "accounts",
        &[
            "{ name = \"app\", uid = 1000 }",
            "{ name = \"web\", uid = 1001, gid = 2000, group = \"www\", home = \"/srv\", description = \"Web\" }",
        ],
    ),
    (
        "exclude",
        &[
            "\"/usr/share/alpha/**\"",
            "\"/etc/*.conf\"",
            "\"!/usr/share/beta/text\"",
            "\"/usr/share/*/text\"",
            "\"/usr/lib\"",
        ],
    ),
    ("keep", &["\"/usr/share/doc/**\"", "\"/usr/share/gamma/**\"", "\"/usr/share/man/man1/beta.1\""]),
    ("skip", &["\"nsswitch\"", "\"ca-bundle\"", "\"ld-so-cache\"", "\"dpkg-database\"", "\"os-release\""]),
    ("overrides", &["\"/usr/share/alpha/text\"", "\"/etc/shared\""]),
];

/// Files of the project that definitions name, and what they can hold.
const FILES: [(&str, &[&str]); 4] = [
    ("data/first", &["1", "one", ""]),
    ("data/deep/second", &["2", "two"]),
    ("program", &["#!/bin/one\n", "#!/bin/two\n"]),
    ("two.pem", &[]),
];

/// What one `image.toml` says: numbers of values in the tables above.
#[derive(Clone, Default)]
struct Level {
    packages: BTreeSet<usize>,
    /// Packages for arm64 alone.
    foreign: BTreeSet<usize>,
    single: BTreeMap<usize, usize>,
    many: BTreeSet<(usize, usize)>,
}

#[derive(Clone)]
struct Model {
    base: Level,
    app: Level,
    /// What each file of each level holds, and whether its owner may execute it.
    files: BTreeMap<(&'static str, usize), (usize, bool)>,
    /// Whether the newer `lib` lies among the packages.
    has_newer: bool,
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, value: T) {
    if let Some(value) = set.replace(value) {
        set.remove(&value);
    }
}

impl Level {
    /// Changes one thing and says which.
    fn edit(&mut self, dice: &mut Dice) -> String {
        match dice.pick(10) {
            0 | 1 => {
                let package = dice.pick(PACKAGES.len());
                toggle(&mut self.packages, package);
                format!("packages: {}", PACKAGES[package])
            }
            2 => {
                let package = dice.pick(4);
                toggle(&mut self.foreign, package);
                format!("arch.arm64.packages: {}", PACKAGES[package])
            }
            3..6 => {
                let key = dice.pick(SINGLE.len());
                let value = dice.pick(SINGLE[key].1.len() + 1);
                if value == SINGLE[key].1.len() {
                    self.single.remove(&key);
                } else {
                    self.single.insert(key, value);
                }
                format!("{}: {value}", SINGLE[key].0)
            }
            _ => {
                let key = dice.pick(MANY.len());
                let value = dice.pick(MANY[key].1.len());
                toggle(&mut self.many, (key, value));
                format!("{}: {}", MANY[key].0, MANY[key].1[value])
            }
        }
    }

    fn text(&self, extends: Option<&str>) -> String {
        let mut text = String::from("schema = 1\nformat = \"deb\"\n");
        let names = |set: &BTreeSet<usize>| {
            set.iter().map(|number| format!("\"{}\"", PACKAGES[*number])).collect::<Vec<_>>().join(", ")
        };
        if let Some(name) = extends {
            writeln!(text, "extends = \"{name}\"").unwrap();
        } else {
            text.push_str("architectures = [\"amd64\", \"arm64\"]\n");
            // What is run is in none of the packages; that it is not is said in notes.
            let keys = ["entrypoint", "cmd", "workdir", "volumes"];
            let waivers = keys.map(|key| format!("\"{key} -> *: in no package\"")).join(", ");
            writeln!(text, "waive = [{waivers}]").unwrap();
        }
        writeln!(text, "packages = [{}]", names(&self.packages)).unwrap();
        writeln!(text, "arch.arm64.packages = [{}]", names(&self.foreign)).unwrap();
        for (key, value) in &self.single {
            writeln!(text, "{} = {}", SINGLE[*key].0, SINGLE[*key].1[*value]).unwrap();
        }
        for (key, (name, values)) in MANY.iter().enumerate() {
            let said = self.many.iter().filter(|(of, _)| *of == key).map(|(_, value)| values[*value]);
            if values[0].starts_with(['"', '{']) && !values[0].contains(" = {") && !values[0].contains("\" = \"") {
                writeln!(text, "{name} = [{}]", said.collect::<Vec<_>>().join(", ")).unwrap();
            } else {
                said.for_each(|value| writeln!(text, "{name}.{value}").unwrap());
            }
        }
        text
    }
}

impl Model {
    fn new() -> Self {
        let level = |packages: &[usize]| Level { packages: packages.iter().copied().collect(), ..Level::default() };
        let mut files = BTreeMap::new();
        for image in ["base", "app"] {
            files.extend((0..FILES.len()).map(|file| ((image, file), (0, false))));
        }
        Self { base: level(&[0, 4]), app: level(&[1]), files, has_newer: true }
    }

    fn edit(&mut self, dice: &mut Dice) -> String {
        match dice.pick(8) {
            0..3 => format!("base, {}", self.base.edit(dice)),
            3..6 => format!("app, {}", self.app.edit(dice)),
            6 => {
                let image = ["base", "app"][dice.pick(2)];
                let file = dice.pick(3);
                let value = (dice.pick(FILES[file].1.len()), dice.pick(2) == 1);
                self.files.insert((image, file), value);
                format!("{image}, {} is {value:?}", FILES[file].0)
            }
            _ => {
                self.has_newer ^= true;
                format!("the newer lib: {}", self.has_newer)
            }
        }
    }

    fn write(&self, place: &Place, newer: &[(String, Vec<u8>)]) {
        place.image("base", &self.base.text(None));
        place.image("app", &self.app.text(Some("base")));
        for ((image, file), (value, is_program)) in &self.files {
            let path = format!("images/{image}/{}", FILES[*file].0);
            if let Some(text) = FILES[*file].1.get(*value) {
                place.project_file(&path, text.as_bytes());
                let mode = if *is_program { 0o755 } else { 0o644 };
                fs::set_permissions(place.project().join(path), fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        for (name, bytes) in newer {
            if self.has_newer {
                place.package(name, bytes);
            } else {
                let _ = fs::remove_file(place.packages().join(name));
            }
        }
    }
}

fn deb(name: &str, version: &str, arch: &str) -> DebBuilder {
    let deb = DebBuilder::new(name, version, arch)
        .compression(Compression::Gzip)
        .file(&format!("etc/{name}.conf"), format!("{name} {version}\n").as_bytes(), 0o644)
        .file(&format!("usr/share/{name}/text"), format!("{name} {version} {arch}\n").as_bytes(), 0o644)
        .file(&format!("usr/share/doc/{name}/copyright"), b"free\n", 0o644)
        .file(&format!("usr/share/man/man1/{name}.1"), b"manual\n", 0o644)
        .md5sums();
    match name {
        "lib" => deb.file("usr/lib/liblib.so.1", &elf::library(arch, "liblib.so.1", &[]), 0o644),
        "gamma" => deb.file("usr/lib/libgamma.so.2", &elf::library(arch, "libgamma.so.2", &["liblib.so.1"]), 0o644),
        // Two want this path, and with another file each.
        "beta" | "delta" => deb.file("etc/shared", name.as_bytes(), 0o644).mtime(1_650_000_000),
        _ => deb,
    }
}

/// Writes all packages but the newer `lib`, and gives that.
fn packages(place: &Place) -> Vec<(String, Vec<u8>)> {
    let mut newer = Vec::new();
    for arch in ["amd64", "arm64"] {
        for name in ["alpha", "beta", "gamma", "delta", "lib"] {
            place.package(&format!("{name}_{arch}.deb"), &deb(name, "1.0-1", arch).build());
        }
        newer.push((format!("lib_1.1_{arch}.deb"), deb("lib", "1.1-1", arch).mtime(1_700_000_000).build()));
    }
    newer
}

fn certificates(place: &Place) {
    for (name, certificate) in ["one", "two"].into_iter().zip(webpki_root_certs::TLS_SERVER_ROOT_CERTS) {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        for image in ["base", "app"] {
            place.project_file(&format!("images/{image}/{name}.pem"), pem.as_bytes());
        }
    }
}

fn compose(place: &Place, store: &Path, output: &str, is_whole: bool) -> Done {
    let mut command = place.command(["compose", "app", "base", "--arch", "all", "--from", "../packages", "-q", "-o"]);
    command.arg(format!("oci:{output}")).env("DLSTORE_ROOT", store);
    if is_whole {
        command.env("DLSTORE_TEST_WHOLE", "1");
    }
    finish(command)
}

/// The digests, or what is wrong. Who else has a missing library, `(package lib has it)`, is known to the older store alone, and
/// which architecture is the first to find what is wrong with both is a matter of threads.
fn result(done: &Done) -> (Option<i32>, &str, Vec<String>) {
    let errors = done.lines("error:").into_iter().map(|line| line.split(" (").next().unwrap_or(line));
    (done.code(), &done.out, errors.map(|line| line.replace("/arm64", "/amd64")).collect())
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn random_edits_of_two_levels_give_what_a_fresh_store_gives() {
    let (seed, edits) = (setting("DLSTORE_MODEL_SEED", SEED), setting("DLSTORE_MODEL_EDITS", EDITS.into()));
    // In memory where there is such a place: what a disk has to do with it is shown elsewhere.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { Place::within(program!(), memory) } else { place!() };
    let newer = packages(&place);
    certificates(&place);
    let mut dice = Dice::new(seed);
    let (mut model, mut refused, mut digests) = (Model::new(), 0, BTreeSet::new());
    let mut history = Vec::new();
    for edit in 0..edits {
        let before = model.clone();
        history.push(model.edit(&mut dice));
        model.write(&place, &newer);
        if dice.pick(20) == 0 {
            // What is remembered may go at any time.
            place.run(["store", "gc", "--grace", "0"]);
            history.push("gc".into());
        }
        let old = compose(&place, &place.store(), "out", false);
        let fresh_store = place.path().join("fresh");
        // Nothing of it is planned on a base.
        let fresh = compose(&place, &fresh_store, "fresh-out", true);
        let _ = fs::remove_dir_all(&fresh_store);
        let _ = fs::remove_dir_all(place.project().join("fresh-out"));
        assert_eq!(
            result(&old),
            result(&fresh),
            "edit {edit} of seed {seed}, left the old store: {}\n{}\n{}",
            history.join("\n"),
            model.base.text(None),
            model.app.text(Some("base"))
        );
        if old.code() == Some(0) {
            digests.insert(old.out);
        } else {
            assert_eq!(old.code(), Some(1), "edit {edit} of seed {seed}: {old:?}");
            refused += 1;
            history.push("refused".into());
            model = before;
        }
    }
    println!("{edits} edits, {} different outcomes, {refused} refused", digests.len());
    assert!(digests.len() as u64 > edits / 3 && refused < edits / 2, "{} outcomes, {refused} refused", digests.len());
    assert_eq!(place.verified().0, Vec::<String>::new(), "seed {seed}");
}
