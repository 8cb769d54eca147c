//! `list`, `show`, `files`, `tree`, `needs`.

use std::path::Path;
use std::process::Command;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use serde_json::json;

use dlstore_kit::elf::Elf;
use dlstore_kit::{Place, packages, place};

fn with_packages() -> Place {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.package("two.deb", &packages::deb("two", 2, "arm64").build());
    place.package("two.apk", &packages::apk("two", 3, "x86_64").build());
    place.ok(["add", "../packages"]);
    place
}

#[test]
fn list_and_show_find_packages_and_images() {
    let place = with_packages();
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().take(4).map(ToOwned::to_owned).collect()).collect()
    };
    assert_eq!(
        rows(&place.ok(["list"])),
        [["apk", "two", "1.3-r0", "x86_64"], ["deb", "one", "1.1-1", "amd64"], ["deb", "two", "1.2-1", "arm64"]]
    );
    assert_eq!(rows(&place.ok(["list", "on*"])), [["deb", "one", "1.1-1", "amd64"]]);
    assert_eq!(place.ok(["list", "nothing"]), "");
    assert!(place.ok(["list", "--images"]).contains("static  embedded debian alpine debug\n"));

    let two = place.json(&["show", "two"]);
    assert_eq!(two["packages"].as_array().unwrap().len(), 2);
    let one = place.json(&["show", "one=1.1-1/amd64"]);
    let one = &one["packages"][0];
    assert_eq!((&one["name"], &one["version"], &one["origin"]), (&json!("one"), &json!("1.1-1"), &json!("one")));
    assert_eq!(one["control_members"], json!(["conffiles", "control", "md5sums"]));
    for digest in ["tree", "source"] {
        let digest = one[digest].as_str().unwrap();
        let short = &digest.strip_prefix("sha256:").unwrap_or(digest)[..12];
        assert_eq!(place.json(&["show", short])["packages"][0], *one, "{digest}");
    }
    assert_eq!(place.json(&["show", "static:debian"])["flavor"], "debian");
    for command in ["show", "files", "tree"] {
        let expected = "no package one=9; available versions of one: 1.1-1 (amd64)";
        let done = place.run([command, "one=9"]);
        assert_eq!((done.code(), done.lines("error:")), (Some(2), vec![expected]));
    }
}

#[test]
fn a_name_of_a_package_and_of_an_image_is_never_guessed_in_silence() {
    let place = with_packages();
    place.image("one", "schema = 1\narchitectures = [\"amd64\"]\nformat = \"deb\"\npackages = [\"one\"]\n");
    for command in ["show", "files"] {
        let done = place.run([command, "one"]).ok();
        assert!(done.err.contains("there is an image of that name too"), "{done:?}");
        assert!(!place.run([command, "two"]).ok().err.contains("image"), "{command}");
    }
    let image = place.json(&["files", "one", "--arch", "amd64", "--from", "store"]);
    assert_eq!(image["listings"][0]["of"], "one for amd64");
}

#[test]
fn files_tell_everything_of_a_path() {
    let place = with_packages();
    let answer = place.json(&["files", "one"]);
    let files = answer["listings"][0]["files"].as_array().unwrap();
    let of = |path: &str| files.iter().find(|file| file["path"] == path).unwrap_or_else(|| panic!("{path}"));
    let small = of("/usr/share/one/small");
    assert_eq!(
        (&small["mode"], &small["uid"], &small["gid"], &small["size"], &small["origin"]),
        (&json!("0640"), &json!(0), &json!(42), &json!(300), &json!("deb:one=1.1-1/amd64"))
    );
    assert_eq!(of("/usr/share/one/zweit")["target"], "/usr/share/one/small");
    assert_eq!(of("/usr/share/one/link")["target"], "data");
    assert_eq!(of("/usr/share/one")["type"], "directory");
    let text = place.ok(["files", "one"]);
    assert!(text.contains("/usr/share/one/zweit = /usr/share/one/small"), "{text}");
    assert!(text.contains("/usr/share/one/link -> data"), "{text}");
    assert_eq!(text.lines().count(), files.len());

    let image = place.json(&["files", "static", "--arch", "amd64"]);
    let files = image["listings"][0]["files"].as_array().unwrap();
    assert!(files.iter().all(|file| !file["origin"].as_str().unwrap().is_empty()));
    let tree = place.ok(["tree", "one", "--depth", "9"]);
    assert!(tree.contains("usr/") && tree.contains("small"), "{tree}");
}

#[test]
fn a_package_is_listed_for_the_architectures_that_are_asked_for() {
    let place = place!();
    for arch in ["amd64", "arm64", "all"] {
        place.package(&format!("same_{arch}.deb"), &packages::deb("same", 1, arch).build());
    }
    place.package("same.apk", &packages::apk("same", 1, "aarch64").build());
    place.ok(["add", "../packages"]);
    let listed = |more: &[&str]| -> Vec<String> {
        let answer = place.json(&[&["files", "same"], more].concat());
        answer["listings"].as_array().unwrap().iter().map(|one| one["of"].as_str().unwrap().to_owned()).collect()
    };
    let (amd64, arm64, all) = ("deb:same=1.1-1/amd64", "deb:same=1.1-1/arm64", "deb:same=1.1-1/all");
    let apk = "apk:same=1.1-r0/aarch64";
    let host = listed(&["--arch", "host"]);
    assert_eq!(listed(&[]), host);
    assert_eq!(listed(&["--arch", "all"]), [apk, all, amd64, arm64]);
    assert_eq!(listed(&["--arch", "arm64"]), [apk, all, arm64]);
    assert_eq!(listed(&["--arch", "linux/amd64"]), [all, amd64]);
    let trees = place.ok(["tree", "same", "--arch", "arm64", "--depth", "0"]);
    let headings: Vec<&str> = trees.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(headings, [apk, all, arm64]);

    let none = place.run(["files", "same=1.1-1/amd64", "--arch", "s390x"]);
    assert_eq!(none.error(), "package same=1.1-1/amd64 is not available for s390x, only for amd64", "{none:?}");
    assert_eq!(place.run(["files", "same", "--arch", "armhf"]).code(), Some(2));
}

#[test]
fn a_tree_names_the_flavor_and_dates_are_rfc_3339() {
    let place = with_packages();
    let tree = place.ok(["tree", "static", "--arch", "amd64,arm64", "--depth", "0"]);
    let headings: Vec<&str> =
        tree.lines().map(|line| line.trim_start().splitn(4, ' ').last().unwrap().trim()).collect();
    assert_eq!(headings, ["static:embedded for amd64", "static:embedded for arm64"]);
    place.image("plain", "schema = 1\nfiles.\"/x\" = { content = \"x\" }\n");
    assert!(place.ok(["tree", "plain", "--arch", "amd64"]).lines().next().unwrap().ends_with("  plain for amd64"));
    let date = place.json(&["show", "one"])["packages"][0]["date"].as_str().unwrap().to_owned();
    assert!(humantime::parse_rfc3339(&date).is_ok(), "{date}");
    assert!(place.ok(["show", "one"]).lines().any(|line| line == format!("date             {date}")));
    assert_eq!(place.json(&["list", "one"])["packages"][0]["date"], json!(date));
}

#[test]
fn definitions_that_cannot_be_read_are_named() {
    let place = place!();
    place.image("good", "schema = 1\nfiles.\"/x\" = { content = \"x\" }\n");
    place.image("misspelt", "schema = 1\npackage = [\"one\"]\n");
    place.image("orphan", "schema = 1\nextends = \"nowhere\"\n");
    let done = place.run(["list", "--images"]).ok();
    let names: Vec<&str> = done.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"good") && names.contains(&"static") && !names.contains(&"misspelt"), "{done:?}");
    let warnings = done.lines("warning:");
    assert_eq!(warnings.len(), 2, "{done:?}");
    assert!(warnings[0].starts_with("misspelt cannot be read: ") && warnings[0].contains("package"), "{done:?}");
    assert!(warnings[1].starts_with("orphan cannot be read: ") && warnings[1].contains("nowhere"), "{done:?}");
    let answer = place.json(&["list", "--images"]);
    assert_eq!(answer["unreadable"][0]["name"], "misspelt");
    assert_eq!(place.run(["list", "--images", "-q"]).ok().err, "");
}

#[test]
fn a_definition_with_a_name_that_no_image_has_and_a_link_that_leads_nowhere_are_not_passed_over() {
    let place = place!();
    let text = "schema = 1\nextends = \"static\"\n";
    place.image("fine", text);
    place.image("MyService", text);
    place.project_file("images/a:b.toml", text.as_bytes());
    place.project_file("images/.draft.toml", b"not yet");
    place.project_file("images/Notes/readme.txt", b"no definition");
    std::os::unix::fs::symlink("gone", place.project().join("images/lost.toml")).unwrap();
    let rule = |name: &str| {
        format!(
            "`{name}` is not a valid image name: lowercase letters, digits and `.-_`, a letter or digit at both ends, \
             at most 128"
        )
    };

    let listed = place.run(["list", "--images"]).ok();
    assert!(listed.out.lines().any(|line| line.starts_with("fine ")), "{listed:?}");
    let mut warned: Vec<&str> = listed.lines("warning:");
    let lost = warned.pop().unwrap();
    assert!(lost.starts_with("lost cannot be read: cannot find "), "{lost}");
    let wrong = |name: &str| format!("{name} cannot be read: {}", rule(name));
    assert_eq!(warned, [wrong("MyService"), wrong("a:b")]);

    assert!(place.run(["compose", "--all", "--arch", "amd64"]).error().contains(&rule("MyService")));
    let gone_on = place.run(["compose", "--all", "--arch", "amd64", "--keep-going", "--json"]);
    assert_eq!(gone_on.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_str(&gone_on.out).unwrap();
    let names = |key: &str| -> Vec<String> {
        answer[key].as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (names("images"), names("failed")),
        (vec!["fine".into()], ["MyService", "a:b", "lost"].map(Into::into).into())
    );
    let typed = |name: &str| {
        let done = place.run(["compose", name]);
        assert_eq!(done.code(), Some(2), "{done:?}");
        done.lines("error:").join("\n")
    };
    assert_eq!(typed("MyService"), rule("MyService"));
    assert!(place.run(["compose", "lost"]).error().starts_with("cannot find "));
    assert_eq!(typed("Static"), format!("{}; did you mean `static`?", rule("Static")));
}

#[test]
fn an_error_in_one_line_has_no_drawing() {
    let place = place!();
    place.image("wrong", "schema = 1\nextends = \"nope\"\n");
    let error = "images/wrong/image.toml:2:11: cannot extend `nope`: there is no image `nope`; \
                 known images: glibc-dynamic, musl-dynamic, static, wrong";
    assert_eq!(place.run(["list", "--images"]).lines("warning:"), [format!("wrong cannot be read: {error}")]);
    assert_eq!(place.json(&["list", "--images"])["unreadable"][0]["error"], error);
    let failed = place.run(["compose", "wrong", "--keep-going", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!(answer["failed"][0]["error"], error);
    // For people it is drawn.
    assert!(failed.err.contains("\n2 | extends = \"nope\"\n"), "{failed:?}");
}

#[test]
fn files_of_an_image_are_those_of_its_layers() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64"]);
    let listed = place.json(&["files", "static", "--arch", "amd64"]);
    let mut listed: Vec<String> = listed["listings"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().trim_start_matches('/').to_owned())
        .collect();
    listed.sort();
    let layout = dlstore_kit::Layout(place.project().join("out/static"));
    let found: Vec<String> = layout.files("embedded", "amd64").into_keys().collect();
    assert_eq!(listed, found);
}

#[test]
fn needs_knows_static_dynamic_and_no_programs() {
    let place = place!();
    let script = place.package("script.sh", b"#!/bin/sh\necho\n");
    let failed = place.run(["needs".as_ref(), script.as_os_str()]);
    assert!(failed.error().contains("is not an ELF file"), "{failed:?}");
    let source = place.package("main.c", b"int main(void) { return 0; }\n");
    let program = place.packages().join("static-program");
    let compiler = Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source).status();
    assert!(compiler.is_ok_and(|status| status.success()), "a C compiler is needed");
    let answer = place.json(&["needs", program.to_str().unwrap()]);
    let one = &answer["programs"][0];
    assert_eq!((&one["linkage"], &one["loader"]), (&json!("static"), &json!(null)));
    assert!(one["images"].as_array().unwrap().contains(&json!("static")), "{one}");
    let truth = if Path::new("/usr/bin/true").exists() { "/usr/bin/true" } else { "/bin/true" };
    let answer = place.json(&["needs", truth]);
    let one = &answer["programs"][0];
    assert_eq!(
        (&one["linkage"], &one["images"]),
        (&json!("glibc"), &json!(["glibc-dynamic", "glibc-dynamic:nonroot"]))
    );
    let libc = one["needs"].as_array().unwrap().iter().find(|need| need["library"] == "libc.so.6").unwrap();
    assert_eq!(libc["in_image"], true);
    assert!(place.ok(["needs", truth]).contains("needs   libc.so.6"));
}

#[test]
fn needs_says_the_lowest_glibc_and_libstdcxx_that_a_program_runs_on() {
    let place = place!();
    let requires = &[
        ("libc.so.6", "GLIBC_2.14", false),
        ("libc.so.6", "GLIBC_2.38", false),
        ("libc.so.6", "GLIBC_2.40", true),
        ("libstdc++.so.6", "GLIBCXX_3.4.9", false),
        ("libstdc++.so.6", "CXXABI_1.3.13", false),
    ];
    let needed = &["libstdc++.so.6", "libc.so.6"];
    let program = Elf { needed, interpreter: Some("/lib64/ld-linux-x86-64.so.2"), requires, ..Elf::default() };
    let program = place.package("program", &program.build("amd64"));
    let program = program.to_str().unwrap();
    let answer = place.json(&["needs", program]);
    assert_eq!(answer["programs"][0]["oldest"], json!({"glibc": "2.38", "libstdcxx": "libstdc++.so.6.0.29"}));
    let text = place.ok(["needs", program]);
    assert!(text.contains("  runs on glibc 2.38 or newer\n  runs on libstdc++.so.6.0.29 or newer\n"), "{text}");
    let still = place.package("static", &dlstore_kit::elf::program("amd64"));
    let answer = place.json(&["needs", still.to_str().unwrap()]);
    assert_eq!(answer["programs"][0]["oldest"], json!({"glibc": null, "libstdcxx": null}));
}

#[test]
fn needs_looks_in_packages_of_from_that_no_store_has_and_forgets_them() {
    let place = place!();
    let library = |arch| dlstore_kit::elf::library(arch, "libzz.so.1", &["libc.so.6"]);
    let deb = |name: &str, arch: &str| DebBuilder::new(name, "1.0", arch).compression(Compression::Gzip);
    let at = "usr/lib/x86_64-linux-gnu/libzz.so.1";
    // It says of itself nowhere that it has a library.
    place.package("right.deb", &deb("right", "amd64").file(at, &library("amd64"), 0o644).build());
    place.package("other.deb", &deb("other", "arm64").file(at, &library("arm64"), 0o644).build());
    place.package("broken.deb", b"no package");
    let program = Elf { needed: &["libzz.so.1"], interpreter: Some("/lib64/ld-linux-x86-64.so.2"), ..Elf::default() };
    place.project_file("program", &program.build("amd64"));
    let nowhere = place.ok(["needs", "program"]);
    assert!(nowhere.contains("any package of the store (--from PATH looks in other packages)"), "{nowhere}");
    let done = place.run(["needs", "program", "--from", "../packages"]).ok();
    assert!(done.out.contains("add package deb:right\n") && !done.out.contains("other"), "{done:?}");
    assert!(done.lines("note:").iter().any(|note| note.contains("broken.deb is skipped")), "{done:?}");
    let answer = place.json(&["needs", "program", "--from", "../packages"]);
    assert_eq!(answer["programs"][0]["needs"][0]["packages"], json!(["deb:right"]));
    assert!(!place.store().exists(), "no store is made for it");
    let other = place.ok(["needs", "program", "--from", "../packages/other.deb"]);
    assert!(other.contains("not in any built-in image, package of the store or package of --from"), "{other}");
    assert_eq!(place.run(["needs", "program", "--from", "absent"]).code(), Some(1));
    // The store is looked at beside them, and by itself.
    place.ok(["add", "../packages/right.deb"]);
    for from in ["store", "../packages/other.deb"] {
        assert!(place.ok(["needs", "program", "--from", from]).contains("add package deb:right"), "{from}");
    }
}

#[test]
fn a_name_that_is_misspelt_is_answered_with_the_one_that_was_meant() {
    let place = place!();
    for name in ["musl", "libssl3", "statics"] {
        place.package(&format!("{name}.deb"), &packages::deb(name, 1, "amd64").build());
    }
    place.ok(["add", "../packages"]);
    for command in ["show", "files", "tree"] {
        for (what, expected) in [
            ("libsl3", "no package or image is named `libsl3`; did you mean the package `libssl3`?"),
            (
                "libsl3=1.0/amd64",
                "no package or image is named `libsl3=1.0/amd64`; did you mean the package `libssl3`?",
            ),
            (
                "musll",
                "no package or image is named `musll`; did you mean the package `musl` or the image `musl-dynamic`?",
            ),
            (
                "statik",
                "no package or image is named `statik`; did you mean the package `statics` or the image `static`?",
            ),
            ("zzz", "no package or image is named `zzz`"),
            ("ssl", "no package or image is named `ssl`"),
            ("zz*", "no package has a name like zz*"),
            ("musl-dynamic:debien", "`musl-dynamic` has no flavor `debien`; did you mean `debian`?"),
        ] {
            let done = place.run([command, what]);
            let error = format!("error: {expected}");
            assert!(done.code() == Some(2) && done.err.starts_with(&error), "{command} {what}: {done:?}");
        }
    }
    let part = place.run(["show", "ssl"]);
    assert_eq!(part.lines("hint:"), ["dlstore list '*ssl*' lists packages that contain it"]);
    assert!(place.ok(["list", "*ssl*"]).contains("libssl3"));
    let none = place.run(["list", "musll"]).ok();
    let expected =
        "no package is named musll (did you mean musl?); `dlstore list '*musll*'` lists names that contain it";
    assert_eq!((none.out.as_str(), none.err.trim_end()), ("", expected));
    assert_eq!(place.json(&["list", "musll"])["packages"], json!([]));
    let none = place.run(["list", "zzz"]).ok();
    assert!(none.err.starts_with("no package is named zzz; "), "{none:?}");
}

#[test]
fn a_project_has_a_static_of_its_own_on_the_built_in_one() {
    let place = place!();
    let built_in = place.run(["compose", "static", "--arch", "amd64", "-o", "oci:theirs"]).ok();
    place.image("static", "schema = 1\nextends = \"builtin:static\"\nlabels.own = \"1\"\nenv.OWN = \"1\"\n");
    place.image("app", "schema = 1\nextends = \"static\"\n");
    place.image("other", "schema = 1\nextends = \"builtin:static:embedded\"\n");
    let own = place.run(["compose", "static", "--arch", "amd64", "-o", "oci:own"]).ok();
    assert_ne!(own.out, built_in.out);
    assert!(!own.err.contains("hides"), "{own:?}");
    let labels = |image: &str, out: &str| {
        place.ok(["compose", image, "--arch", "amd64", "-o", out]);
        let (_, config) =
            dlstore_kit::Layout(place.project().join(out.strip_prefix("oci:").unwrap())).image("latest", "amd64");
        (config["config"]["Labels"]["own"] == "1", config["config"]["Env"].to_string().contains("OWN=1"))
    };
    assert_eq!((labels("app", "oci:app").1, labels("other", "oci:other")), (true, (false, false)));
    // By hand too, beside the project's own.
    let asked = place.run(["compose", "builtin:static", "--arch", "amd64", "-o", "oci:asked"]).ok();
    assert_eq!(asked.out, built_in.out);
    for (extends, sentence) in [
        ("builtin:nosuch", "there is no image `builtin:nosuch`"),
        ("builtin:", "`builtin:` needs the name of an image"),
        ("builtin:static:nosuch", "no flavor `nosuch`"),
    ] {
        place.image("wrong", &format!("schema = 1\nextends = \"{extends}\"\n"));
        let done = place.run(["compose", "wrong", "--arch", "amd64"]);
        assert!(done.err.contains(sentence) && done.code() == Some(1), "{extends}: {done:?}");
    }
    // Who does not stand on it is told of what it hides.
    place.image("static", "schema = 1\nfiles.\"/x\" = { content = \"x\" }\n");
    assert!(place.run(["compose", "static", "--arch", "amd64"]).ok().err.contains("hides the built-in image"));
}

#[test]
fn needs_looks_at_all_of_a_directory_and_goes_on_after_a_bad_argument() {
    let place = place!();
    let truth = if Path::new("/usr/bin/true").exists() { "/usr/bin/true" } else { "/bin/true" };
    let program = std::fs::read(truth).unwrap();
    for path in ["build/bin/b", "build/a", "build/lib/deep/c"] {
        place.project_file(path, &program);
    }
    place.project_file("build/readme.txt", b"text");
    place.project_file("texts/readme.txt", b"text");
    std::os::unix::fs::symlink("/", place.project().join("build/root")).unwrap();
    let done = place.run(["needs", "absent", "build", "texts", truth, "--json"]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    let answer: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let paths = |key: &str| {
        answer[key].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("programs"), ["build/a", "build/bin/b", "build/lib/deep/c", truth]);
    assert_eq!(paths("failed"), ["absent", "texts"]);
    assert!(done.err.contains("error: texts has no ELF files") && done.err.contains("absent"), "{done:?}");
}

#[test]
fn files_of_a_package_are_those_of_one_architecture_unless_all_are_asked_for() {
    let place = place!();
    for arch in ["amd64", "arm64", "s390x"] {
        let built = packages::deb("many", 1, arch).build();
        place.package(&format!("many_{arch}.deb"), &built);
    }
    place.ok(["add", "../packages"]);
    let origins = |arguments: &[&str]| {
        let done = place.run([&["files", "many"], arguments].concat()).ok();
        let found: std::collections::BTreeSet<&str> = ["amd64", "arm64", "s390x"]
            .into_iter()
            .filter(|arch| done.out.contains(&format!("/{arch} ")) || done.out.contains(&format!("/{arch}\n")))
            .collect();
        (found.into_iter().map(str::to_owned).collect::<Vec<_>>(), done.err)
    };
    let (one, said) = origins(&[]);
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(said.contains("--arch all shows them"), "{said}");
    assert_eq!(origins(&["--arch", "all"]).0, ["amd64", "arm64", "s390x"]);
    assert_eq!(origins(&["--arch", "s390x"]), (vec!["s390x".to_owned()], String::new()));
}

#[test]
fn show_prints_the_effective_definition_and_which_level_brings_what() {
    let place = place!();
    place.project_file("app", b"#!/bin/sh\n");
    place.image("base", "schema = 1\nextends = \"static\"\nlabels.of = \"base\"\nenv.A = \"1\"\nenv.B = \"1\"\n");
    let own = "files.\"/bin/app\" = { content = \"x\", mode = \"0755\" }\nlinks.\"/bin/too\" = \"app\"\n";
    let runs = "entrypoint = [\"/bin/app\", \"-x\"]\nenv.B = \"2\"\nports = [\"80/tcp\"]\nuser = \"nonroot\"\n";
    let accounts = "accounts = [{ name = \"svc\", uid = 1000, gid = 0 }]\n";
    place.image("app", &format!("schema = 1\nextends = \"base\"\n{own}{runs}{accounts}"));
    let text = place.ok(["show", "app"]);
    for line in [
        "entrypoint       /bin/app -x",
        "env              A=1",
        "env              B=2",
        "label            of=base",
        "ports            80/tcp",
        "level            static:embedded\n  embedded       data built into the program",
        "level            app\n  files          /bin/app\n  link           /bin/too -> app\n  accounts       svc",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = place.json(&["show", "app"]);
    assert_eq!(
        (&json["entrypoint"][0], &json["levels"][2]["links"][0]),
        (&json!("/bin/app"), &json!("/bin/too -> app"))
    );
}
