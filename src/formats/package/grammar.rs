//! Fields of control files become proofs here: names, versions, architectures.
//!
//! The grammar itself is the model's ([`dlstore_model::name`], [`dlstore_model::version`]). What is added
//! is the sentence: which field of which file is not valid, and what stands there.

use super::{Format, PackageError};
use dlstore_model::escape::Escaped;
use dlstore_model::name::{Architecture, InvalidWord, PackageName};
use dlstore_model::version::Version;

/// Takes a field as a name.
pub(super) fn name(format: Format, what: &str, value: &str) -> Result<PackageName, PackageError> {
    PackageName::new(format, value).map_err(|error| refused(what, &error))
}

/// Takes a field as a version.
pub(super) fn version(format: Format, what: &str, value: &str) -> Result<Version, PackageError> {
    Version::new(format, value).map_err(|error| refused(what, &error))
}

/// Takes a field as an architecture.
pub(super) fn architecture(what: &str, value: &str) -> Result<Architecture, PackageError> {
    Architecture::new(value).map_err(|error| refused(what, &error))
}

fn refused(what: &str, error: &InvalidWord) -> PackageError {
    PackageError::Content(format!("{what} is not valid: \"{}\"", Escaped::text(&error.text)))
}
