//! How a command ends: what is said of an error, and the exit code.
//!
//! People read lines on stderr. With `--json` stdout has the same as one object, so that a program that started the
//! command has an answer to read in any case.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use super::output::Output;
use crate::command::failure::{Failure, Report};

/// Prints an error and gives the exit code; `store` is where the store of the command lies, `of` what the error is
/// about where there are several things.
pub(super) fn report(out: &Output, error: &(dyn Error + 'static), store: Option<&Path>, of: &str) -> ExitCode {
    let failure = Failure::of(error, store);
    print(out, &failure, of);
    ExitCode::from(failure.exit_code)
}

/// Ends a command that failed as a whole, before its answer was printed.
pub(super) fn end(out: &Output, error: &(dyn Error + 'static), store: Option<&Path>, as_json: bool) -> ExitCode {
    let failure = Failure::of(error, store);
    print(out, &failure, "");
    if as_json { answer(out, failure) } else { ExitCode::from(failure.exit_code) }
}

/// Prints what went wrong as the answer of a command.
pub(super) fn answer(out: &Output, error: Failure) -> ExitCode {
    let code = ExitCode::from(error.exit_code);
    // It failed already, and who cannot be told so on stdout is told by the exit code.
    let _ = out.json(&Report { error });
    code
}

fn print(out: &Output, failure: &Failure, of: &str) {
    for (at, (word, line)) in lines(failure).into_iter().enumerate() {
        out.error(word, &if at == 0 { format!("{of}{line}") } else { line.to_owned() });
    }
}

/// Everything that is said of an error, each with the word before it.
fn lines(failure: &Failure) -> Vec<(&'static str, &str)> {
    let mut lines = vec![("error:", failure.message.as_str())];
    lines.extend(failure.causes.iter().map(|cause| ("cause:", cause.as_str())));
    lines.extend(failure.hint.iter().map(|hint| ("hint:", hint.as_str())));
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
    use crate::command::diagnose;
    use dlstore_formats::layer::LayerError;
    use dlstore_fsx::FsError;
    use dlstore_image::choice::ChoiceError;
    use dlstore_image::compose::ComposeError;
    use dlstore_ingest::IngestError;
    use dlstore_model::diagnose::Kind;
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
            let failure = Failure::of(&*error, Some(Path::new("/s")));
            let lines = lines(&failure);
            assert_eq!(lines[0], ("error:", first));
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
