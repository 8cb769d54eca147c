//! How a command ends: the sentence, the chain of causes, one hint, and the exit code.
//!
//! The exit code says who has to act: 2 when it is what was typed, 1 for all else. A hint is given only
//! where one thing to do next is known.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use super::output::Output;
use crate::command::add::no_space;
use crate::command::diagnose;
use dlstore_model::diagnose::Kind;

/// What helps where the store has no room left.
pub(super) const MAKE_ROOM: &str = "run `dlstore store gc` to delete unused objects, or free space on the store's disk";

/// Prints an error and gives the exit code; `store` is where the store of the command lies, `of` what the error is
/// about where there are several things.
pub(super) fn report(out: &Output, error: &(dyn Error + 'static), store: Option<&Path>, of: &str) -> ExitCode {
    for (at, (word, line)) in lines(error, store).into_iter().enumerate() {
        out.error(word, &if at == 0 { format!("{of}{line}") } else { line });
    }
    ExitCode::from(diagnose::kinds(error).next().map_or(1, Kind::exit_code))
}

/// Everything that is said of an error, each with the word before it.
fn lines(error: &(dyn Error + 'static), store: Option<&Path>) -> Vec<(&'static str, String)> {
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
fn sentences(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in diagnose::chain(error) {
        let line = cause.to_string();
        if lines.last().is_none_or(|last| !line.ends_with(last.as_str())) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod hints;

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;
    use dlstore_formats::layer::LayerError;
    use dlstore_fsx::FsError;
    use dlstore_image::choice::ChoiceError;
    use dlstore_image::compose::ComposeError;
    use dlstore_ingest::IngestError;
    use dlstore_model::digest::OciDigest;
    use dlstore_oci::OciError;
    use dlstore_oci::load::LoadError;
    use dlstore_oci::output::OutputError;
    use dlstore_store::StoreError;

    #[test]
    fn a_kind_decides_the_exit_code_and_whether_the_work_is_done_again() {
        let gone = || StoreError::Gone(dlstore_store::ObjectRef::Source(OciDigest::of(b"x")));
        let missing = |path: &str| FsError {
            attempt: "open",
            path: PathBuf::from(path),
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        for (error, expected) in [
            (anyhow::Error::from(crate::command::error::Error::Usage("x".into())), Some(Kind::Usage)),
            (OutputError::Bare("x".into()).into(), Some(Kind::Usage)),
            (LoadError::Unknown("x".into()).into(), Some(Kind::Usage)),
            (gone().into(), Some(Kind::Gone)),
            (StoreError::File(missing("/store/packs/x")).into(), Some(Kind::Gone)),
            (IngestError::Store(gone()).into(), Some(Kind::Gone)),
            (ComposeError::Ingest(IngestError::Store(gone())).into(), Some(Kind::Gone)),
            (ChoiceError::Add { path: "x".into(), source: IngestError::Store(gone()) }.into(), Some(Kind::Gone)),
            (ComposeError::Oci(OciError::MissingBlob(OciDigest::of(b"x"))).into(), Some(Kind::Gone)),
            (OciError::Place(missing("/out/x")).into(), Some(Kind::Environment)),
            (ComposeError::from(dlstore_image::fixup::FixupError::Facts("aa".into())).into(), Some(Kind::Damaged)),
            (IngestError::Unknown("x".into()).into(), Some(Kind::Input)),
            (anyhow::anyhow!("of nobody"), None),
        ] {
            let sentence = error.to_string();
            let error = error.context("while something was done");
            assert_eq!(diagnose::kinds(&*error).next(), expected, "{sentence}");
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
                ChoiceError::Add { path: "x".into(), source: IngestError::Stage(full()) }.into(),
                "no space left for the store /s",
            ),
            (ComposeError::Oci(OciError::Place(effect("/out/x"))).into(), "cannot write /out/x"),
        ] {
            let lines = lines(&*error, Some(Path::new("/s")));
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
        assert!(diagnose::kinds(&*error).any(|kind| kind == Kind::Gone), "the cause says that it is gone");
    }
}
