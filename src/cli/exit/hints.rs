//! Every error that has a hint prints it: each of them is made here.
//!
//! Which ones there are is read from the source (`tests/kit/hints.rs`), so a new one that is not made here fails. What a
//! command can be brought to is tried by commands as well (`tests/cli/error_hints.rs`).

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;

use crate::command::error::{Error, Next};
use crate::command::failure::Failure;
use dlstore_formats::layer::LayerError;
use dlstore_fsx::FsError;
use dlstore_image::check::CheckError;
use dlstore_image::check::problem::{Foreign, Gap, Privileged, Problem, Problems};
use dlstore_image::choice::{ChoiceError, Reason, Requested, Searched, Tied, Unmet, UnmetPackage};
use dlstore_image::compose::ComposeError;
use dlstore_image::definition::PackageRequirement;
use dlstore_image::definition::{self, DefinitionError, Located};
use dlstore_image::fixup::FixupError;
use dlstore_image::linker::provided::Linkage;
use dlstore_image::rootfs::RootfsError;
use dlstore_ingest::IngestError;
use dlstore_ingest::select::matter::Matter;
use dlstore_kit::hints;
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_model::format::Format;
use dlstore_model::path::TreePath;
use dlstore_oci::OciError;
use dlstore_oci::load::{LoadError, Loader};
use dlstore_oci::name::ImageName;
use dlstore_oci::output::OutputError;
use dlstore_oci::reading::ReadError;
use dlstore_store::StoreError;
use dlstore_store::index::IndexError;

/// Arms that no error can be made for, and why.
const IMPOSSIBLE: [(&str, &str); 2] = [
    ("CheckError::Linker", "errors of the linker have no hints: their sentences say it"),
    ("IngestError::Package", "nor have errors of packages"),
];

/// An error, what it is called in the source, and what its hint must say.
struct Case {
    of: String,
    error: Box<dyn StdError>,
    hint: &'static str,
}

fn case<E: StdError + 'static>(error: E, hint: &'static str) -> Case {
    let shown = format!("{error:?}");
    let variant = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    let name = std::any::type_name::<E>().rsplit("::").next().unwrap();
    let of = if variant == name { name.to_owned() } else { format!("{name}::{variant}") };
    Case { of, error: Box::new(error), hint }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text.as_bytes()).unwrap()
}

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn too_large() -> io::Error {
    io::Error::from_raw_os_error(27)
}

fn effect() -> FsError {
    FsError { attempt: "write", path: "/x".into(), source: too_large() }
}

fn unmet(searched: Searched, reason: Reason) -> ChoiceError {
    let requirement = PackageRequirement { name: "aa".into(), version: None, sha256: None, line: None };
    let (images, archs) = (vec!["demo".into()], vec![Arch::Amd64]);
    let requested = Requested { requirement, format: Format::Deb, images, archs };
    ChoiceError::Unmet(Box::new(Unmet::new(searched, vec![UnmetPackage { requested, reason }])))
}

fn missing(searched: Searched) -> ChoiceError {
    unmet(searched, Reason::Nothing { like: None })
}

fn tie() -> ChoiceError {
    let tied =
        |shown: &str| Tied { shown: shown.into(), sha256: Some(OciDigest::of(shown.as_bytes())), is_for_all: true };
    unmet(Searched::Paths, Reason::Tie { version: "1".into(), first: tied("x"), second: tied("y") })
}

fn unread(is_closed: bool) -> ChoiceError {
    unmet(Searched::Paths, Reason::Unread { path: "aa.deb".into(), why: "no".into(), is_closed })
}

fn problem(problem: Problem) -> CheckError {
    let mut problems = Problems::of(Arch::Amd64);
    problems.push(|| problem);
    CheckError::Problems(Box::new(problems))
}

fn needs(name: &str, provider: Option<&str>) -> CheckError {
    let (path, origin) = (path("usr/bin/x"), "definition:a".into());
    let (name, provider) = (name.into(), provider.map(Into::into));
    problem(Problem::Gap(Gap {
        path,
        origin,
        name,
        why: None,
        linkage: Linkage::Other,
        provider,
        left_out: None,
        elsewhere: None,
    }))
}

fn of_another_machine(source: Option<&str>) -> CheckError {
    let (path, origin) = (path("usr/bin/x"), "definition:a".into());
    let source = source.map(|source| ("/usr/bin/x".into(), source.into()));
    problem(Problem::Machine(Foreign { path, origin, machine: "arm64".into(), source }))
}

fn privileged(paths: &[&str]) -> CheckError {
    let mut problems = Problems::of(Arch::Amd64);
    for at in paths {
        problems.push(|| Problem::Privileged(Privileged { path: path(at), origin: "x".into(), what: "setuid" }));
    }
    CheckError::Problems(Box::new(problems))
}

/// Says of an error that a definition brought it about.
fn located<E>(error: E) -> Located<E> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    std::fs::write(&file, "schema = 1\ntags = [\"a\"]\n").unwrap();
    let image = definition::load(directory.path(), file.to_str().unwrap()).unwrap();
    Located::new(image.tag_line("a").unwrap(), error)
}

fn shipped(matter: Matter, may: &[&str]) -> RootfsError {
    RootfsError::Foreign {
        path: path("etc/x"),
        origin: "deb:x".into(),
        package: "x".into(),
        matter,
        may: may.iter().map(|name| ((*name).to_owned(), true)).collect(),
    }
}

fn owner() -> DefinitionError {
    DefinitionError::Owner { path: "/p/images".into(), project: "/p".into(), owner: 7 }
}

/// What extends a definition that must not be read.
fn extends() -> DefinitionError {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("one.toml");
    std::fs::write(&file, "schema = 1\nextends = \"nowhere\"\n").unwrap();
    match definition::load(directory.path(), file.to_str().unwrap()) {
        Err(DefinitionError::Extends { place, reference, .. }) => {
            DefinitionError::Extends { place, reference, source: Box::new(owner()) }
        }
        other => panic!("{other:?}"),
    }
}

fn of_compose() -> Vec<Case> {
    let blob = OciDigest::of(b"x");
    let unknown = || IngestError::Unknown("x".into());
    vec![
        case(missing(Searched::Nowhere { in_store: false }), "--from PATH"),
        case(missing(Searched::Nowhere { in_store: true }), "--from store"),
        case(missing(Searched::Store), "dlstore add aa_*_amd64.deb"),
        case(missing(Searched::Paths), "add aa for amd64 to the directories given with --from"),
        case(ComposeError::Choice(missing(Searched::Store)), "dlstore add aa_*_amd64.deb"),
        case(tie(), "packages = [\"aa@sha256:"),
        case(unread(true), "make aa.deb readable"),
        case(unread(false), "replace aa.deb with an intact package"),
        case(RootfsError::Entries("x".into()), "exclude = "),
        case(RootfsError::Conflict { path: path("etc/a"), first: "x".into(), second: "y".into() }, "overrides = "),
        case(shipped(Matter::Certificates, &["ca-certificates"]), "certificates-from = [\"ca-certificates\", \"x\"]"),
        case(shipped(Matter::Accounts, &[]), "accounts-from = \"x\""),
        case(shipped(Matter::Loader, &["libc6"]), "overrides = [\"/etc/x\"]"),
        case(
            RootfsError::Replaced {
                path: path("lib/ld.so"),
                loser: "deb:libc6".into(),
                package: "libc6".into(),
                winner: "deb:x".into(),
                reason: "Replaces",
            },
            "overrides = [\"libc6: /lib/ld.so\"]",
        ),
        case(privileged(&["bin/su"]), "if the image needs it, list it in the definition: privileged = [\"/bin/su\"]"),
        case(privileged(&["bin/a", "bin/b"]), "list them in the definition: privileged = [\"/bin/a\", \"/bin/b\"]"),
        case(needs("libaa.so.1", Some("libaa1")), "add \"libaa1\" to packages"),
        case(needs("/lib64/ld-linux-x86-64.so.2", None), "glibc-dynamic"),
        case(needs("libc.musl-x86_64.so.1", None), "musl-dynamic"),
        case(needs("libown.so", None), "waive = [\"/usr/bin/x -> libown.so: WHY\"]"),
        case(of_another_machine(Some("build/{arch}/x")), "source = \"build/{arch}/x\""),
        case(of_another_machine(None), "waive = [\"/usr/bin/x -> machine:arm64: WHY\"]"),
        case(ComposeError::Gone("aa".into()), "dlstore store verify --full"),
        case(FixupError::Facts("aa".into()), "dlstore store verify --full"),
        case(ComposeError::Fixup(FixupError::Facts("aa".into())), "dlstore store verify --full"),
        case(
            RootfsError::Through {
                path: path("bin/x"),
                origin: "definition:x".into(),
                parent: path("bin"),
                holder: "embedded".into(),
                link: Some(("usr/bin".into(), path("usr/bin/x"))),
            },
            "use the path \"/usr/bin/x\"",
        ),
        case(
            RootfsError::Conflict {
                path: path("etc/os-release"),
                first: "fixup:os-release".into(),
                second: "definition:x".into(),
            },
            "skip = [\"os-release\"]",
        ),
        case(RootfsError::Gone("aa".into()), "dlstore store verify --full"),
        case(RootfsError::Definition(owner()), "--project /p"),
        case(RootfsError::Located(Box::new(located(RootfsError::Gone("aa".into())))), "dlstore store verify --full"),
        case(RootfsError::Ingest(unknown()), "dlstore add --help"),
        case(RootfsError::Store(StoreError::Absent("/s".into())), "dlstore add PATH"),
        case(ComposeError::Rootfs(RootfsError::Gone("aa".into())), "dlstore store verify --full"),
        case(CheckError::Rootfs(Box::new(RootfsError::Gone("aa".into()))), "dlstore store verify --full"),
        case(ComposeError::Check(needs("liba.so.1", Some("aa"))), "add \"aa\" to packages"),
        case(ChoiceError::Gone("aa".into()), "dlstore store verify --full"),
        case(ChoiceError::Ingest(unknown()), "dlstore add --help"),
        case(ChoiceError::Add { path: "x".into(), source: unknown() }, "dlstore add --help"),
        case(ComposeError::Ingest(unknown()), "dlstore add --help"),
        case(ComposeError::Layer(LayerError::Write(too_large())), "ulimit -f"),
        case(ComposeError::Store(StoreError::Absent("/s".into())), "dlstore add PATH"),
        case(ChoiceError::Store(StoreError::Absent("/s".into())), "dlstore add PATH"),
        case(ComposeError::Oci(OciError::Zstd(blob)), "--compression gzip"),
        case(owner(), "--project /p"),
        case(extends(), "--project /p"),
    ]
}

fn of_images() -> Vec<Case> {
    let blob = OciDigest::of(b"x");
    let stalled =
        LoadError::Stalled { program: "x".into(), patience: std::time::Duration::from_secs(1), said: String::new() };
    vec![
        case(OciError::TooManyLayers { arch: Arch::Amd64, count: 200 }, "--layers grouped"),
        case(OciError::Zstd(blob), "--compression gzip"),
        case(OciError::Damaged { digest: blob, path: "x".into() }, "dlstore store verify --full"),
        case(OciError::Taken { dir: "d".into(), tag: "t".into(), owner: "x:y".into() }, "--force"),
        case(OciError::NotAnIndex { path: "x".into(), source: None }, "choose another"),
        case(ReadError::Several { path: "d".into(), has: vec!["a".into()], first: Some("oci:d:a".into()) }, "oci:d:a"),
        case(ReadError::Compressed("a.tar.gz".into()), "decompress a.tar.gz first"),
        case(LoadError::NoProgram(Loader::Auto), "install docker or podman"),
        case(LoadError::NoPlatform { host: Some(Arch::Arm64), has: "amd64".into() }, "--arch arm64"),
        case(LoadError::NoDaemon { program: "x".into(), said: "no".into() }, "start the daemon"),
        case(stalled, "DLSTORE_LOAD_TIMEOUT=SECONDS"),
        case(LoadError::Archive(OciError::Zstd(blob)), "--compression gzip"),
        case(OutputError::Bare("out".into()), "-o oci:out"),
        case(OutputError::Bare("out.tar".into()), "-o oci-archive:out.tar"),
        case(OutputError::Unknown { kind: "ocy".into(), text: "ocy:out".into() }, "-o oci:out"),
        case(OutputError::Registry("docker://x".into()), "copy that"),
        case(OutputError::NoPath("oci".into()), "-o oci:out/image"),
        case(OutputError::Zstd("docker-archive:x".into()), "--compression gzip"),
        case(
            OutputError::SameTag { output: "oci:x".into(), first: name("a:1"), second: name("b:1") },
            "-o oci-archive:FILE",
        ),
        case(OutputError::Several { output: "oci-archive:x".into(), count: 2 }, "-o oci:DIR"),
    ]
}

fn of_store() -> Vec<Case> {
    let root = || "/s".into();
    let malformed = || IndexError::Malformed("x");
    let absent = || StoreError::Absent(root());
    let not_json = serde_json::from_str::<u8>("{").unwrap_err();
    let lost = StoreError::IndexLost { root: root(), source: Box::new(malformed()) };
    vec![
        case(effect(), "ulimit -f"),
        case(LayerError::Write(too_large()), "ulimit -f"),
        case(IngestError::Unknown("x".into()), "dlstore add --help"),
        case(IngestError::Store(absent()), "dlstore add PATH"),
        case(IngestError::Layer(LayerError::Write(too_large())), "ulimit -f"),
        case(IngestError::Stage(too_large()), "ulimit -f"),
        case(StoreError::Owner(root()), "--trust-owner"),
        case(StoreError::OneUser(root()), "chown -R"),
        case(absent(), "dlstore add PATH"),
        case(StoreError::Network { root: root(), kind: "NFS" }, "--network-file-system"),
        case(StoreError::Temporary { directory: root(), source: Box::new(absent()) }, "TMPDIR"),
        case(StoreError::TemporaryFull { directory: root(), needed: 1, source: Box::new(absent()) }, "TMPDIR"),
        case(StoreError::DamagedName { format: Format::Deb, name: "aa".into() }, "dlstore store verify --repair"),
        case(
            StoreError::Forgotten { format: Format::Deb, name: "aa".into(), root: "package/x".into() },
            "dlstore store roots remove package/x",
        ),
        case(StoreError::Behind { format: Format::Deb, name: "aa".into() }, "dlstore store verify --repair"),
        case(StoreError::Format { path: "/s/format.json".into(), source: not_json }, "remove /s/format.json"),
        case(StoreError::Index(malformed()), "dlstore store rebuild"),
        case(StoreError::File(effect()), "ulimit -f"),
        // What no arm names is asked whether the index is lost.
        Case { of: "StoreError::_".into(), ..case(lost, "dlstore store rebuild") },
    ]
}

fn of_use_cases() -> Vec<Case> {
    let no_engine = || LoadError::NoProgram(Loader::Auto);
    vec![
        case(Error::Load { reference: "x".into(), source: no_engine() }, "install docker or podman"),
        case(
            Error::Neither { what: "gcc".into(), package: None, image: None, next: Next::Containing },
            "dlstore list '*gcc*'",
        ),
        case(
            Error::Neither { what: "gcc".into(), package: None, image: None, next: Next::NoStore },
            "dlstore add PATH makes one",
        ),
        case(Error::NotFor { image: "x".into(), arch: Arch::Amd64, offered: "arm64,386".into() }, "--arch arm64,386"),
        case(Error::Neither { what: "made".into(), package: None, image: None, next: Next::Path }, "./made"),
        case(Error::Unmade(StoreError::File(effect())), "--store DIR"),
        case(Error::Loader(no_engine()), "install docker or podman"),
        case(Error::Store(StoreError::Absent("/s".into())), "dlstore add PATH"),
        case(Error::Ingest(IngestError::Unknown("x".into())), "dlstore add --help"),
        case(Error::Definition(owner()), "--project /p"),
        case(Error::Compose(ComposeError::Gone("aa".into())), "dlstore store verify --full"),
        case(Error::Read(ReadError::Compressed("x".into())), "decompress x"),
        case(Error::Oci(OciError::Zstd(OciDigest::of(b"x"))), "--compression gzip"),
        case(Error::Output(OutputError::Bare("out".into())), "-o oci:out"),
    ]
}

/// Something above an error, as other modules put theirs.
#[derive(Debug, thiserror::Error)]
#[error("while something was done")]
struct Above(#[source] Box<dyn StdError>);

#[test]
fn every_error_with_a_hint_shows_it_once_however_deep_it_lies() {
    let cases: Vec<Case> = [of_compose(), of_images(), of_store(), of_use_cases()].into_iter().flatten().collect();
    let mut made: BTreeSet<String> = cases.iter().map(|case| case.of.clone()).collect();
    made.extend(IMPOSSIBLE.iter().map(|(of, _)| (*of).to_owned()));
    assert_eq!(made, hints::bearing(), "each arm of a `fn hint` is tried here, and nothing else");
    for of in hints::bearing() {
        assert!(!of.starts_with("PackageError") && !of.starts_with("LinkerError"), "{of}: {IMPOSSIBLE:?}");
    }
    for Case { of, error, hint } in cases {
        let deep = Above(Box::new(Above(error)));
        let hints = |error: &(dyn StdError + 'static)| -> Vec<String> {
            let failure = Failure::of(error, None);
            super::lines(&failure)
                .into_iter()
                .filter(|(word, _)| *word == "hint:")
                .map(|(_, text)| text.to_owned())
                .collect()
        };
        for hints in [hints(&deep), hints(&*deep.0)] {
            assert!(matches!(hints.as_slice(), [found] if found.contains(hint)), "{of}: {hints:?}");
        }
    }
}
