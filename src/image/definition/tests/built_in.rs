//! The images that are built in.

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
                image.config.env["PATH"].starts_with("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            );
            assert_eq!(image.annotations["org.opencontainers.image.title"], name);
            assert_eq!(image.config.entrypoint.is_empty(), flavor != "debug", "only the debug flavor runs something");
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
        let first =
            SLIM.iter().position(|(_, other)| dlstore_model::glob::Pattern::new(other).unwrap().matches(&sample));
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
