//! Definitions as claims.

use std::collections::BTreeSet;

use super::*;

/// The reference for users.
const PAGE: &str = include_str!("../../docs/definition.md");

/// A project in a temporary folder: paths and texts.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Loads `app` of a project with that one definition, the schema put before it.
fn load_text(reference: &str, text: &str) -> Result<Image, DefinitionError> {
    let folder = project(&[("images/app/image.toml", &format!("schema = 1\n{text}"))]);
    load(folder.path(), reference)
}

/// An error as a person reads it: the sentence, then the causes, each after `cause:`.
fn said(error: &DefinitionError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!("\ncause: {error}"));
        cause = error.source();
    }
    text
}

fn names(wishes: &[PackageWish]) -> Vec<&str> {
    wishes.iter().map(|wish| wish.name.as_str()).collect()
}

fn paths(image: &Image) -> Vec<String> {
    image.levels.iter().flat_map(|level| level.files.iter().map(|file| file.path.to_string())).collect()
}

mod built_in {
    use super::*;

    fn built_in(reference: &str) -> Image {
        load(Path::new("/"), reference).unwrap()
    }

    #[test]
    fn every_flavor_of_every_image_loads() {
        let all = known(Path::new("/"));
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            all,
            [
                ("glibc-dynamic".to_owned(), list(&["debian", "nonroot"])),
                ("musl-dynamic".to_owned(), list(&["debian", "alpine"])),
                ("static".to_owned(), list(&["embedded", "debian", "alpine", "debug"])),
            ]
        );
        for (name, flavors) in all {
            for (at, flavor) in flavors.iter().enumerate() {
                let image = built_in(&format!("{name}:{flavor}"));
                assert_eq!((&image.name, &image.flavor, image.is_default_flavor), (&name, flavor, at == 0));
                assert_eq!(image.architectures, Arch::ALL, "{name}:{flavor}");
                assert_eq!(image.config.env["SSL_CERT_FILE"], "/etc/ssl/certs/ca-certificates.crt");
                assert!(
                    image.config.env["PATH"]
                        .starts_with("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
                );
                assert_eq!(image.annotations["org.opencontainers.image.title"], name);
                assert_eq!(
                    image.config.entrypoint.is_empty(),
                    flavor != "debug",
                    "only the debug flavor runs something"
                );
                assert!(!image.tags.is_empty() && image.levels.iter().all(|level| level.chosen().is_ok()));
            }
        }
    }

    #[test]
    fn the_default_of_static_needs_no_package() {
        let image = built_in("static");
        assert_eq!((image.flavor.as_str(), image.format, image.levels.len()), ("embedded", None, 1));
        assert!(image.levels[0].embedded && image.levels[0].packages.is_empty());
        assert_eq!(image.config.user.as_deref(), Some("nonroot"));
    }

    #[test]
    fn glibc_dynamic_is_static_and_one_level_more() {
        let (image, below) = (built_in("glibc-dynamic"), built_in("static:debian"));
        assert_eq!(
            image.levels.iter().map(|level| level.name.as_str()).collect::<Vec<_>>(),
            ["static:debian", "glibc-dynamic:debian"]
        );
        assert_eq!(image.levels[0], below.levels[0]);
        assert_eq!(names(&image.levels[1].packages), ["libc6", "libc-bin", "libgcc-s1", "libstdc++6", "gcc-14-base"]);
        assert_eq!(image.config.user.as_deref(), Some("root"));
        assert_eq!(built_in("glibc-dynamic:nonroot").config.user.as_deref(), Some("nonroot"));
        assert_eq!(image.tags, ["latest", "{version:libc6}", "{upstream:libc6}"]);
        assert_ne!(
            image.annotations["org.opencontainers.image.licenses"],
            below.annotations["org.opencontainers.image.licenses"]
        );
    }

    #[test]
    fn slim_leaves_out_what_it_says_and_glibc_dynamic_keeps_ldconfig() {
        let levels = [built_in("static:debian"), built_in("musl-dynamic"), built_in("glibc-dynamic")];
        let [plain, musl, glibc] = levels.map(|image| image.levels.last().unwrap().chosen().unwrap());
        let kept = |selection: &Selection, path: &str| selection.selects(&TreePath::new(path.as_bytes()).unwrap());
        for gone in [
            "usr/share/doc/libc6/changelog.Debian.gz",
            "usr/share/doc/ca-certificates/examples/ca-certificates-local/debian/copyright",
            "usr/share/man/man1/getconf.1.gz",
            "usr/share/lintian/overrides/libc6",
            "usr/lib/s390x-linux-gnu/gconv/gconv-modules.d/gconv-modules-s390.conf",
            "usr/lib/arm-linux-gnueabihf/libthread_db.so.1",
            "usr/lib/x86_64-linux-gnu/libc_malloc_debug.so.0",
            "usr/bin/ld.so",
            "usr/sbin/zic",
            "usr/share/zoneinfo/right/Europe/Berlin",
            "usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt",
            "etc/ca-certificates/update.d",
            "usr/share/gdb/auto-load/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.33-gdb.py",
            "etc/ld-musl-x86_64.d/x86_64-linux-musl.path",
        ] {
            assert!(!kept(&plain, gone) && !kept(&musl, gone) && !kept(&glibc, gone), "{gone}");
        }
        for stays in [
            "usr/share/doc/libc6/copyright",
            "usr/share/doc/libgcc-s1",
            "usr/share/man",
            "usr/share/zoneinfo/US/Eastern",
            "usr/share/common-licenses/GPL-3",
            "usr/lib/x86_64-linux-gnu/libnss_files.so.2",
            "usr/lib/x86_64-linux-musl/libc.so",
            "etc/ld-musl-x86_64.path",
            "etc/ssl/certs",
            "usr/bin/busybox",
            "usr/bin/curl",
            "usr/lib/locale/C.utf8/LC_CTYPE",
            "lib/libc.musl-x86_64.so.1",
        ] {
            assert!(kept(&plain, stays) && kept(&musl, stays) && kept(&glibc, stays), "{stays}");
        }
        assert!(kept(&glibc, "usr/sbin/ldconfig") && !kept(&plain, "usr/sbin/ldconfig"));
    }

    #[test]
    fn no_slim_pattern_is_hidden_by_an_earlier_one() {
        for (at, (_, pattern)) in SLIM.iter().enumerate() {
            let sample = pattern.trim_start_matches('/').replace("**", "x/y").replace('*', "x");
            let sample = TreePath::new(sample.as_bytes()).unwrap();
            let first = SLIM.iter().position(|(_, other)| crate::glob::Pattern::new(other).unwrap().matches(&sample));
            assert_eq!(first, Some(at), "{pattern}");
        }
    }

    #[test]
    fn debug_has_a_shell_on_top_of_debian() {
        let image = built_in("static:debug");
        assert_eq!(image.levels[0], built_in("static:debian").levels[0]);
        assert_eq!(names(&image.levels[1].packages), ["busybox-static"], "the base is in the other flavor");
        assert_eq!(image.config.entrypoint, ["/busybox/sh"]);
        assert!(image.config.env["PATH"].ends_with(":/busybox"));
        assert_eq!(image.config.user.as_deref(), Some("nonroot"));
    }
}

mod merging {
    use super::*;

    const FLAVORS: &str = r#"
        description = "base"
        format = "deb"
        packages = ["a", "b"]
        keep = ["/k1"]
        exclude = ["/e1", "!/e2"]
        slim = false
        tags = ["latest"]
        entrypoint = ["/a"]
        cmd = ["one"]
        env = { A = "1", B = "1" }
        files."/f" = { content = "base" }
        ports = ["80", "443/tcp"]
        [flavors.zeta]
        [flavors.alpha]
        description = "alpha"
        packages = ["c", "a=2"]
        keep = ["/k2"]
        exclude = ["/e3"]
        slim = true
        tags = ["own"]
        entrypoint = ["/b"]
        env = { B = "2", C = "2" }
        files."/f" = { content = "alpha" }
        ports = ["80/tcp", "81/udp"]
        [flavors.beta]
        extends = ":alpha"
        packages = ["d"]
        env = { B = "3" }
    "#;

    #[test]
    fn the_first_flavor_of_the_file_is_the_default_and_the_base_is_below() {
        let image = load_text("app", FLAVORS).unwrap();
        assert_eq!((image.flavor.as_str(), image.is_default_flavor), ("zeta", true));
        assert_eq!(image.levels[0].name, "app:zeta");
        assert_eq!(names(&image.levels[0].packages), ["a", "b"]);
        assert_eq!(image.tags, ["latest"]);
        assert_eq!(image.annotations["org.opencontainers.image.description"], "base");
        assert_eq!(image.config.exposed_ports, ["80/tcp", "443/tcp"]);
    }

    #[test]
    fn a_flavor_overrides_values_appends_to_lists_and_wins_in_tables() {
        let image = load_text("app:alpha", FLAVORS).unwrap();
        let level = &image.levels[0];
        assert_eq!(names(&level.packages), ["a", "b", "c"]);
        assert_eq!(level.packages[0].version.as_deref(), Some("2"), "a flavor pins");
        let rules: Vec<_> = level.selection.iter().map(|(keeps, pattern)| (*keeps, pattern.as_str())).collect();
        assert_eq!(rules, [(true, "/k1"), (true, "/k2"), (false, "/e1"), (true, "/e2"), (false, "/e3")]);
        assert!(level.slim);
        assert_eq!(image.description.as_deref(), Some("alpha"));
        assert_eq!(image.tags, ["latest-alpha", "own"]);
        assert_eq!((image.config.entrypoint.join(" "), image.config.cmd.len()), ("/b".into(), 0));
        assert_eq!(image.config.env.values().map(String::as_str).collect::<Vec<_>>(), ["1", "2", "2"]);
        assert_eq!(level.files.len(), 1);
        assert_eq!(level.files[0].content.as_deref(), Some("alpha"));
        assert_eq!(image.config.exposed_ports, ["80/tcp", "443/tcp", "81/udp"]);
    }

    #[test]
    fn a_flavor_on_a_flavor_brings_only_its_own_words() {
        let image = load_text("app:beta", FLAVORS).unwrap();
        assert_eq!(image.levels.len(), 2);
        assert_eq!(names(&image.levels[0].packages), ["a", "b", "c"]);
        assert_eq!((image.levels[1].name.as_str(), names(&image.levels[1].packages)), ("app:beta", vec!["d"]));
        assert_eq!(image.config.env.values().map(String::as_str).collect::<Vec<_>>(), ["1", "3", "2"]);
        assert_eq!(image.description.as_deref(), Some("base"));
        assert_eq!(image.tags, ["latest-beta"]);
    }

    #[test]
    fn configuration_comes_down_and_content_stays_where_it_was_said() {
        let folder = project(&[
            (
                "images/below/image.toml",
                r#"
                schema = 1
                description = "below"
                repository = "example.org/below"
                architectures = ["amd64", "arm64"]
                format = "apk"
                packages = ["a"]
                compression = "zstd"
                layers = "flat"
                tags = ["x"]
                user = "nonroot"
                workdir = "/w"
                entrypoint = ["/e"]
                cmd = ["c"]
                stop-signal = "SIGINT"
                volumes = ["/v"]
                labels = { a = "1", b = "1" }
                annotations = { "org.opencontainers.image.licenses" = "MIT", "x" = "1" }
                "#,
            ),
            (
                "images/above.toml",
                "schema = 1\nextends = \"below\"\narchitectures = [\"arm64\"]\ncmd = [\"d\"]\nlabels.b = \"2\"\nvolumes = [\"/v\", \"/w\"]\n",
            ),
        ]);
        let image = load(folder.path(), "above").unwrap();
        let expected = Config {
            user: Some("nonroot".into()),
            workdir: Some("/w".into()),
            entrypoint: vec!["/e".into()],
            cmd: vec!["d".into()],
            stop_signal: Some("SIGINT".into()),
            labels: [("a".into(), "1".into()), ("b".into(), "2".into())].into(),
            volumes: vec!["/v".into(), "/w".into()],
            ..Config::default()
        };
        assert_eq!(image.config, expected);
        assert_eq!((image.layers, image.compression), (Layering::Flat, Compression::Zstd));
        assert_eq!((image.architectures, image.format), (vec![Arch::Arm64], Some(Format::Apk)));
        assert_eq!((image.description, image.repository, image.tags), (None, None, vec![]));
        let annotations = [("org.opencontainers.image.title", "above"), ("x", "1")];
        assert_eq!(image.annotations, annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(image.levels.iter().map(|level| level.name.as_str()).collect::<Vec<_>>(), ["below", "above"]);
        assert!(image.levels[1].packages.is_empty());
    }

    #[test]
    fn everything_that_can_be_said_arrives() {
        let text = r#"
            format = "deb"
            packages = ["libc6=2.41-12"]
            arch."arm/v6".packages = ["libatomic1"]
            files."/usr/bin/app" = { source = "../build/{arch}/app", mode = "0755", owner = "app:staff" }
            files."/var/lib/app/" = { owner = "1000:1000", mode = "1777" }
            files."/etc/app/" = { source = "config/" }
            links."/app" = "usr/bin/app"
            certificates = ["certs/root.pem"]
            accounts = [{ name = "app", uid = 1000 }]
            waive = ["libc6 -> libgcc-s1: named"]
            skip = ["nsswitch"]
            overrides = ["/etc/*"]
            privileged = ["/usr/bin/ping"]
            os-release.ID = "acme"
            embedded = true
            user = "app"
        "#;
        let folder = project(&[("images/app/image.toml", &format!("schema = 1\n{text}"))]);
        let image = load(folder.path(), "app").unwrap();
        let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
        let here = |text: &str| folder.path().join(text).to_str().unwrap().to_owned();
        let file = |at: &str, source: Option<&str>, is_folder, mode, owner: Option<&str>| FileSpec {
            path: path(at),
            source: source.map(here),
            content: None,
            is_folder,
            mode,
            owner: owner.map(str::to_owned),
        };
        let wish = |name: &str, version: Option<&str>| PackageWish {
            name: name.into(),
            version: version.map(Into::into),
            sha256: None,
        };
        let expected = Level {
            name: "app".into(),
            root: Some(folder.path().to_owned()),
            embedded: true,
            packages: vec![wish("libc6", Some("2.41-12"))],
            arch_packages: [(Arch::ArmV6, vec![wish("libatomic1", None)])].into(),
            files: vec![
                file("usr/bin/app", Some("images/build/{arch}/app"), false, Some(0o755), Some("app:staff")),
                file("var/lib/app", None, true, Some(0o1777), Some("1000:1000")),
                file("etc/app", Some("images/app/config"), true, None, None),
            ],
            links: vec![(path("app"), "usr/bin/app".into())],
            certificates: vec![here("images/app/certs/root.pem").into()],
            selection: vec![],
            slim: true,
            waivers: vec![Waiver { from: "libc6".into(), to: "libgcc-s1".into(), reason: "named".into() }],
            accounts: vec![Account {
                name: "app".into(),
                uid: 1000,
                gid: 1000,
                group: "app".into(),
                home: path("home/app"),
                shell: "/sbin/nologin".into(),
                description: String::new(),
            }],
            skip: vec!["nsswitch".into()],
            overrides: vec!["/etc/*".into()],
            privileged: vec!["/usr/bin/ping".into()],
            os_release: [("ID".into(), "acme".into())].into(),
        };
        assert_eq!(image.levels, [expected]);
        assert_eq!(image.config.user.as_deref(), Some("app"));
    }
}

mod locating {
    use super::*;

    const EMPTY: &str = "schema = 1\n";

    #[test]
    fn the_project_comes_first_also_from_a_folder_within() {
        let folder = project(&[
            ("images/static/image.toml", "schema = 1\ndescription = \"ours\"\n"),
            ("images/file.toml", EMPTY),
            ("images/broken.toml", "schema = 2\n"),
            ("images/Not An Image.toml", EMPTY),
            ("src/deep/x", ""),
        ]);
        let below = folder.path().join("src/deep");
        assert_eq!(load(&below, "static").unwrap().description.as_deref(), Some("ours"));
        assert_eq!(load(&below, "file").unwrap().name, "file");
        assert_eq!(load(&below, "musl-dynamic").unwrap().flavor, "debian");
        let known: Vec<_> = known(&below).into_iter().map(|(name, flavors)| (name, flavors.len())).collect();
        let list = [("broken", 0), ("file", 1), ("glibc-dynamic", 2), ("musl-dynamic", 2), ("static", 1)];
        assert_eq!(known, list.map(|(name, flavors)| (name.to_owned(), flavors)));
    }

    #[test]
    fn a_path_works_anywhere_and_names_the_image() {
        let folder = project(&[
            ("elsewhere/app/image.toml", "schema = 1\n[flavors.a]\n[flavors.b]\n"),
            ("elsewhere/other.toml", "schema = 1\nextends = \"./app/image.toml:b\"\n"),
        ]);
        for (reference, name, flavor) in [
            ("elsewhere/app", "app", "a"),
            ("./elsewhere/app/:b", "app", "b"),
            ("elsewhere/app/image.toml:b", "app", "b"),
            ("elsewhere/other.toml", "other", "default"),
        ] {
            let image = load(folder.path(), reference).unwrap();
            assert_eq!((image.name.as_str(), image.flavor.as_str()), (name, flavor), "{reference}");
        }
        let image = load(&folder.path().join("elsewhere"), "other.toml").unwrap();
        assert_eq!(image.levels[0].name, "app:b");
    }

    #[test]
    fn a_chain_of_eight_steps_is_read_and_nine_are_not() {
        let mut files: Vec<(String, String)> = vec![("images/i9.toml".into(), EMPTY.into())];
        for at in 0..9 {
            files.push((format!("images/i{at}.toml"), format!("schema = 1\nextends = \"i{}\"\n", at + 1)));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let folder = project(&files);
        assert_eq!(load(folder.path(), "i1").unwrap().levels.len(), 9);
        let error = load(folder.path(), "i0").unwrap_err().to_string();
        let chain = (0..10).map(|at| format!("i{at}")).collect::<Vec<_>>().join(" -> ");
        assert_eq!(error, format!("more than 8 definitions extend each other: {chain}"));
    }

    #[test]
    fn a_file_that_is_too_large_or_not_text_is_refused() {
        let folder = project(&[("a.toml", &"#".repeat((1 << 20) + 1)), ("b.toml", "schema = 1\n")]);
        std::fs::write(folder.path().join("c.toml"), b"schema = 1 # \xff").unwrap();
        assert!(matches!(load(folder.path(), "a.toml"), Err(DefinitionError::Large { .. })));
        assert!(load(folder.path(), "b.toml").is_ok());
        assert!(matches!(load(folder.path(), "c.toml"), Err(DefinitionError::Io { .. })));
    }

    #[test]
    fn nothing_outside_the_project_is_reached() {
        let outside = project(&[("secret.toml", EMPTY), ("data", "x")]);
        let folder = project(&[
            ("images/a.toml", "schema = 1\nextends = \"../../x.toml\"\n"),
            ("images/b.toml", "schema = 1\nextends = \"./link.toml\"\n"),
            ("images/c.toml", "schema = 1\nfiles.\"/x\" = { source = \"{arch}\" }\n"),
            ("images/amd64", "fine"),
        ]);
        let link = |from: &str, to: &str| {
            std::os::unix::fs::symlink(outside.path().join(to), folder.path().join(from)).unwrap();
        };
        link("images/link.toml", "secret.toml");
        link("images/named.toml", "secret.toml");
        link("images/arm64", "data");
        for reference in ["a", "b"] {
            let error = load(folder.path(), reference).unwrap_err();
            assert!(
                matches!(&error, DefinitionError::Extends { source, .. } if matches!(**source, DefinitionError::Path { .. })),
                "{error}"
            );
        }
        assert!(matches!(load(folder.path(), "named"), Err(DefinitionError::Path { .. })));
        let image = load(folder.path(), "c").unwrap();
        let (root, source) = (image.levels[0].root.clone().unwrap(), image.levels[0].files[0].source.clone().unwrap());
        assert_eq!(std::fs::read(host_path(&root, &source, Arch::Amd64).unwrap()).unwrap(), b"fine");
        assert!(matches!(host_path(&root, &source, Arch::Arm64), Err(DefinitionError::Path { .. })));
        assert!(matches!(host_path(&root, &source, Arch::S390x), Err(DefinitionError::Io { .. })));
    }

    #[test]
    fn an_own_passwd_may_know_more_users() {
        let text = "user = \"app\"\nfiles.\"/etc/passwd\" = { content = \"app:x:1:1::/:/x\\n\" }\n";
        assert_eq!(paths(&load_text("app", text).unwrap()), ["/etc/passwd"]);
        assert!(load_text("app", "format = \"apk\"\npackages = [\"a\"]\nuser = \"guest\"\n").is_ok());
        assert!(load_text("app", "user = \"guest\"\n").is_err());
    }
}

mod page {
    use super::*;

    /// The TOML blocks of a text.
    fn blocks(text: &str) -> Vec<&str> {
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }

    /// Reads a block, with the schema when it is not there.
    fn read(block: &str) -> toml::Table {
        let text = if block.contains("schema") { block.to_owned() } else { format!("schema = 1\n{block}") };
        parse::definition(&text).unwrap_or_else(|bad| panic!("{}\n{block}", bad.at("page", &text)));
        text.parse().unwrap()
    }

    #[test]
    fn every_key_is_documented_with_an_example_that_parses_and_no_other_key_is() {
        let sections: Vec<(&str, &str)> =
            PAGE.split("\n### `").skip(1).map(|section| section.split_once("`\n").unwrap()).collect();
        let documented: BTreeSet<&str> = sections.iter().map(|(key, _)| *key).collect();
        let known: BTreeSet<&str> = parse::KEYS.iter().copied().chain(["schema", "flavors"]).collect();
        assert_eq!(documented, known);
        for (key, section) in sections {
            let section = section.split("\n#").next().unwrap();
            let examples: Vec<toml::Table> = blocks(section).into_iter().map(read).collect();
            assert!(examples.iter().any(|example| example.contains_key(key)), "{key} has an example");
            let inner = match key {
                "files" => parse::FILE_KEYS,
                "accounts" => parse::ACCOUNT_KEYS,
                "arch" => parse::ARCH_KEYS,
                "skip" => FIXUPS,
                _ => continue,
            };
            for inner in inner {
                assert!(section.contains(inner), "{key}: {inner}");
            }
        }
        blocks(PAGE).into_iter().for_each(|block| drop(read(block)));
    }

    #[test]
    fn every_known_key_is_read() {
        for key in parse::KEYS {
            for text in
                [format!("schema = 1\n{key} = 1979-05-27\n"), format!("schema = 1\n[flavors.a]\n{key} = 1979-05-27\n")]
            {
                let bad = parse::definition(&text).unwrap_err();
                assert!(bad.sentence.starts_with("expected "), "{key}: {}", bad.sentence);
            }
        }
    }
}

#[test]
fn mistakes_are_said_with_their_place() {
    let cases = include_str!("golden.txt");
    let mut now = String::new();
    for case in cases.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("--- says\n").unwrap();
        let folder = project(&[
            ("images/app/image.toml", text),
            ("images/arm.toml", "schema = 1\narchitectures = [\"arm/v6\", \"arm/v7\"]\n"),
            ("images/back.toml", "schema = 1\nextends = \"app\"\n"),
        ]);
        let answer = match load(folder.path(), "app") {
            Ok(_) => panic!("{title}: no mistake was found"),
            Err(error) => said(&error),
        };
        now.push_str(&format!("=== {title}\n{text}--- says\n{answer}\n"));
    }
    let before = &cases[cases.find("=== ").unwrap()..];
    if let Ok(file) = std::env::var("DLSTORE_GOLDEN") {
        std::fs::write(file, &now).unwrap();
    }
    for (now, before) in now.split("=== ").zip(before.split("=== ")) {
        assert_eq!(now, before);
    }
    assert_eq!(now, before);
}

#[test]
fn a_line_with_hostile_characters_is_shown_harmlessly() {
    let error = load_text("app", "\"a\u{202e}b\" = \"\u{9b}\"\t# \u{202e}\r\n").unwrap_err();
    let shown = r#"images/app/image.toml:2:1: unknown key `a\u{202e}b`
  |
2 | "a\u{202e}b" = "\u{9b}"\u{9}# \u{202e}
  | ^^^^^^^^^^^^"#;
    assert_eq!(error.to_string(), shown);
    let error = load_text("app:\u{1b}[31m", "").unwrap_err();
    assert_eq!(error.to_string(), "`app` has no flavor `\\u{1b}[31m`; it has default");
}
