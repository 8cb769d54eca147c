//! What is in a package of the host, read once and forgotten.
//!
//! It is for whoever only asks: there need be no store, and nothing is written anywhere. Who a package is stands at its
//! beginning, so one that nobody asks about costs no more than that.

use std::io;
use std::path::Path;

use super::decode::decode;
use super::input::{Input, InputKind};
use super::spool::Spool;
use super::{IngestError, directory, directory_metadata_of, identity_of, open_package};
use dlstore_formats::elf::Elf;
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Format, Limits};
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;

/// Who a package is, and the ELF files in it.
pub struct Glance {
    /// Who it is.
    pub metadata: Metadata,
    /// Its ELF files in path order.
    pub elf: Vec<(TreePath, Elf)>,
}

/// Looks at a package, if it is one that is asked for: of others nothing but their identity is read.
///
/// # Errors
/// When it cannot be read, or is no package.
pub fn glance(input: &Input, is_asked: impl Fn(&Metadata) -> bool) -> Result<Option<Glance>, IngestError> {
    let metadata = match input.kind {
        InputKind::Package(format) => {
            let limits = Limits::default();
            identity_of(&open_package(&input.path, &limits)?, &input.path, format, limits)?
        }
        InputKind::Directory => directory_metadata_of(&input.path)?,
    };
    if !is_asked(&metadata) {
        return Ok(None);
    }
    let elf = match input.kind {
        InputKind::Package(format) => elf_files(&input.path, format)?,
        InputKind::Directory => directory::read_directory(&input.path, &Limits::default())?.elf,
    };
    Ok(Some(Glance { metadata, elf }))
}

fn elf_files(path: &Path, format: Format) -> Result<Vec<(TreePath, Elf)>, IngestError> {
    let limits = Limits::default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let open = || {
        let file = io::BufReader::new(open_package(path, &limits)?);
        Ok(PackageReader::open(format, &name, Box::new(file), limits)?)
    };
    // No content is wanted, so none is written anywhere.
    let mut spool = Spool::new(|| Err(io::Error::other("nothing of it is kept")));
    Ok(decode(&open, &|_| false, &mut spool)?.decoded.elf)
}
