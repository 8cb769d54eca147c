//! How a command fails: the sentence, the chain of causes, one hint.
//!
//! The exit code says who has to act: 2 when it is what was typed, 1 for all else. A hint is given only
//! where one thing to do next is known.

use std::path::Path;
use std::process::ExitCode;

use super::diagnose;
use super::output::Output;
pub(super) use super::usage::Usage;
use dlstore_model::diagnose::Kind;
pub(super) use dlstore_model::diagnose::one_line;
use dlstore_model::escape::Escaped;

/// What helps where the store has no room left.
pub(super) const MAKE_ROOM: &str =
    "dlstore store gc deletes what nothing keeps; or free space on the disk of the store";

/// Prints an error and gives the exit code; `store` is where the store of the command lies, `of` what the error is
/// about where there are several things.
pub(super) fn report(out: &Output, error: &anyhow::Error, store: Option<&Path>, of: &str) -> ExitCode {
    for (at, (word, line)) in lines(error, store).into_iter().enumerate() {
        out.error(word, &if at == 0 { format!("{of}{line}") } else { line });
    }
    ExitCode::from(diagnose::kinds(error).next().map_or(1, Kind::exit_code))
}

/// Says that the store has no room left.
pub(super) fn no_space(store: &Path) -> String {
    format!("no space left for the store {}", Escaped::path(store))
}

/// Everything that is said of an error, each with the word before it.
fn lines(error: &anyhow::Error, store: Option<&Path>) -> Vec<(&'static str, String)> {
    let words = std::iter::once("error:").chain(std::iter::repeat("cause:"));
    // Whatever was written to it: what is full is the store's disk, and not what the command was about.
    let is_full = diagnose::kinds(error).any(|kind| kind == Kind::StoreFull);
    let full = store.filter(|_| is_full).map(no_space);
    let mut lines: Vec<_> = words.zip(full.into_iter().chain(sentences(error))).collect();
    let hint = diagnose::hint(error).map(|hint| hint.to_string());
    lines.extend(hint.or_else(|| is_full.then(|| MAKE_ROOM.to_owned())).map(|hint| ("hint:", hint)));
    lines
}

/// The sentence and its causes, none of them twice: SQLite's errors say what their codes mean once more.
fn sentences(error: &anyhow::Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let line = cause.to_string();
        if lines.last().is_none_or(|last| !line.ends_with(last.as_str())) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;
    use dlstore_formats::package::Format;
    use dlstore_image::compose::{
        ComposeError, Foreign, Gap, Package, Place, Problem, Problems, Reason, Requested, Tied, Unchosen,
    };
    use dlstore_image::definition::PackageWish;
    use dlstore_image::fixup::FixupError;
    use dlstore_image::rootfs::RootfsError;

    use dlstore_formats::layer::LayerError;
    use dlstore_fsx::FsError;
    use dlstore_ingest::IngestError;
    use dlstore_model::arch::Arch;
    use dlstore_model::digest::OciDigest;
    use dlstore_model::path::TreePath;
    use dlstore_oci::OciError;
    use dlstore_oci::load::{LoadError, Loader};
    use dlstore_oci::output::OutputError;
    use dlstore_store::StoreError;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn unchosen(place: Place, reason: Reason) -> anyhow::Error {
        let wish = PackageWish { name: "aa".into(), version: None, sha256: None, line: None };
        let (images, archs) = (vec!["demo".into()], vec![Arch::Amd64]);
        let requested = Requested { wish, format: Format::Deb, images, archs, is_every: false };
        ComposeError::Unchosen(Box::new(Unchosen::new(place, vec![Package { requested, reason }]))).into()
    }

    fn missing(place: Place) -> anyhow::Error {
        unchosen(place, Reason::Nothing { like: None })
    }

    fn tie() -> anyhow::Error {
        let tied =
            |shown: &str| Tied { shown: shown.into(), sha256: Some(OciDigest::of(shown.as_bytes())), is_for_all: true };
        unchosen(Place::Paths, Reason::Tie { version: "1".into(), first: tied("x"), second: tied("y") })
    }

    fn unread(is_closed: bool) -> anyhow::Error {
        unchosen(Place::Paths, Reason::Unread { path: "aa.deb".into(), why: "no".into(), is_closed })
    }

    fn problem(problem: Problem) -> ComposeError {
        let mut problems = Problems::of(Arch::Amd64);
        problems.push(|| problem);
        ComposeError::Problems(problems)
    }

    fn needs(name: &str, provider: Option<&str>) -> ComposeError {
        let (path, origin) = (path("usr/bin/x"), "definition:a".into());
        problem(Problem::Gap(Gap {
            path,
            origin,
            name: name.into(),
            provider: provider.map(Into::into),
            left_out: None,
        }))
    }

    fn foreign(source: Option<&str>) -> ComposeError {
        let (path, origin) = (path("usr/bin/x"), "definition:a".into());
        let source = source.map(|source| ("/usr/bin/x".into(), source.into()));
        problem(Problem::Machine(Foreign { path, origin, machine: "arm64".into(), source }))
    }

    /// Every error that has a hint, with what the hint must say.
    fn with_hints() -> Vec<(anyhow::Error, &'static str)> {
        let blob = OciDigest::of(b"x");
        vec![
            (missing(Place::Nowhere { in_store: false }), "--from PATH"),
            (missing(Place::Nowhere { in_store: true }), "--from store"),
            (missing(Place::Store), "dlstore add aa_*_amd64.deb"),
            (missing(Place::Paths), "add aa for amd64 to the directories given with --from"),
            (tie(), "packages = [\"aa@sha256:"),
            (unread(true), "make aa.deb readable"),
            (unread(false), "replace aa.deb by a whole package"),
            (
                ComposeError::from(RootfsError::Conflict {
                    path: path("etc/a"),
                    first: "x".into(),
                    second: "y".into(),
                })
                .into(),
                "overrides = ",
            ),
            (
                ComposeError::Privileged { path: path("bin/su"), origin: "x".into(), what: "setuid" }.into(),
                "privileged = ",
            ),
            (needs("libaa.so.1", Some("libaa1")).into(), "add \"libaa1\" to packages"),
            (needs("/lib64/ld-linux-x86-64.so.2", None).into(), "glibc-dynamic"),
            (needs("libc.musl-x86_64.so.1", None).into(), "musl-dynamic"),
            (needs("libown.so", None).into(), "waive = [\"/usr/bin/x -> libown.so: WHY\"]"),
            (foreign(Some("build/{arch}/x")).into(), "source = \"build/{arch}/x\""),
            (foreign(None).into(), "waive = [\"/usr/bin/x -> machine:arm64: WHY\"]"),
            (ComposeError::Gone("aa".into()).into(), "dlstore store verify --full"),
            (ComposeError::from(FixupError::Facts("aa".into())).into(), "dlstore store verify --full"),
            (
                ComposeError::Add { path: "x".into(), source: IngestError::Unknown("x".into()) }.into(),
                "dlstore add --help",
            ),
            (ComposeError::Ingest(IngestError::Unknown("x".into())).into(), "dlstore add --help"),
            (IngestError::Unknown("x".into()).into(), "dlstore add --help"),
            (OciError::TooManyLayers { arch: Arch::Amd64, count: 200 }.into(), "--layers grouped"),
            (OciError::Zstd(blob).into(), "--compression gzip"),
            (OciError::Damaged { digest: blob, path: "x".into() }.into(), "dlstore store verify --full"),
            (OciError::NotAnIndex { path: "x".into(), source: None }.into(), "choose another folder"),
            (ComposeError::Oci(OciError::Zstd(blob)).into(), "--compression gzip"),
            (LoadError::NoProgram(Loader::Auto).into(), "install docker or podman"),
            (LoadError::NoPlatform { host: Some(Arch::Arm64), has: "amd64".into() }.into(), "--arch arm64"),
            (LoadError::NoDaemon { program: "x".into(), said: "no".into() }.into(), "start the daemon"),
            (LoadError::Archive(OciError::Zstd(blob)).into(), "--compression gzip"),
            (OutputError::Bare("out".into()).into(), "-o oci:out"),
            (OutputError::Bare("out.tar".into()).into(), "-o oci-archive:out.tar"),
            (OutputError::Unknown { kind: "ocy".into(), text: "ocy:out".into() }.into(), "-o oci:out"),
            (OutputError::Registry("docker://x".into()).into(), "copy that"),
            (OutputError::NoPath("oci".into()).into(), "-o oci:out/image"),
            (OutputError::Several { output: "oci-archive:x".into(), count: 2 }.into(), "-o oci:DIR"),
        ]
    }

    #[test]
    fn every_error_with_a_hint_shows_it_once_however_deep_it_lies() {
        for (error, expected) in with_hints() {
            let sentence = error.to_string();
            let below = error.context("while something was done").context("and more");
            let hints: Vec<String> =
                lines(&below, None).into_iter().filter(|(word, _)| *word == "hint:").map(|(_, text)| text).collect();
            assert!(matches!(hints.as_slice(), [hint] if hint.contains(expected)), "{sentence}: {hints:?}");
        }
    }

    #[test]
    fn a_kind_decides_the_exit_code_and_whether_the_work_is_done_again() {
        let gone = || StoreError::Gone(dlstore_store::ObjectRef::Source(OciDigest::of(b"x")));
        let missing = |path: &str| FsError {
            attempt: "open",
            path: PathBuf::from(path),
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        for (error, expected) in [
            (anyhow::Error::from(Usage("x".into())), Some(Kind::Usage)),
            (OutputError::Bare("x".into()).into(), Some(Kind::Usage)),
            (LoadError::Unknown("x".into()).into(), Some(Kind::Usage)),
            (gone().into(), Some(Kind::Gone)),
            (StoreError::File(missing("/store/packs/x")).into(), Some(Kind::Gone)),
            (IngestError::Store(gone()).into(), Some(Kind::Gone)),
            (ComposeError::Ingest(IngestError::Store(gone())).into(), Some(Kind::Gone)),
            (ComposeError::Add { path: "x".into(), source: IngestError::Store(gone()) }.into(), Some(Kind::Gone)),
            (ComposeError::Oci(OciError::MissingBlob(OciDigest::of(b"x"))).into(), Some(Kind::Gone)),
            (OciError::Place(missing("/out/x")).into(), Some(Kind::Environment)),
            (ComposeError::from(FixupError::Facts("aa".into())).into(), Some(Kind::Damaged)),
            (IngestError::Unknown("x".into()).into(), Some(Kind::Input)),
            (anyhow::anyhow!("of nobody"), None),
        ] {
            let sentence = error.to_string();
            let error = error.context("while something was done");
            assert_eq!(diagnose::kinds(&error).next(), expected, "{sentence}");
        }
    }

    #[test]
    fn a_full_disk_is_the_store_s_or_an_output_s() {
        let full = || io::Error::from_raw_os_error(28);
        let effect = |path: &str| FsError { attempt: "write", path: PathBuf::from(path), source: full() };
        for (error, first) in [
            (anyhow::Error::from(StoreError::File(effect("/s/reserve"))), "no space left for the store /s"),
            (IngestError::Stage(full()).into(), "no space left for the store /s"),
            (ComposeError::Layer(LayerError::Write(full())).into(), "no space left for the store /s"),
            (
                ComposeError::Add { path: "x".into(), source: IngestError::Stage(full()) }.into(),
                "no space left for the store /s",
            ),
            (ComposeError::Oci(OciError::Place(effect("/out/x"))).into(), "cannot write /out/x"),
        ] {
            let lines = lines(&error, Some(Path::new("/s")));
            assert_eq!(lines[0], ("error:", first.to_owned()));
            assert!(lines.iter().any(|(_, line)| line.contains("No space left")), "{lines:?}");
            let hints = lines.iter().filter(|(word, _)| *word == "hint:").count();
            assert_eq!(hints, usize::from(first.contains("store")), "{lines:?}");
        }
    }

    #[test]
    fn what_a_cause_says_counts_where_the_error_above_does_not_know() {
        let source = Box::new(StoreError::Gone(dlstore_store::ObjectRef::Source(OciDigest::of(b"x"))));
        let error = OciError::Source { digest: OciDigest::of(b"x"), source };
        let error = Err::<(), _>(error).context("composing").unwrap_err();
        assert!(diagnose::kinds(&error).any(|kind| kind == Kind::Gone), "the cause says that it is gone");
    }
}
