//! STUB
use std::io::Read;

use super::{Control, Format, Header, Limits, PackageError};

/// Reads one package from its first byte to its last, in one pass.
pub struct PackageReader<'a> {
    _input: Box<dyn Read + 'a>,
}

impl<'a> PackageReader<'a> {
    /// Opens a package and reads its control part.
    pub fn open(
        _format: Format,
        _file_name: &str,
        _input: Box<dyn Read + 'a>,
        _limits: Limits,
    ) -> Result<Self, PackageError> {
        todo!()
    }
    /// What the package says of itself.
    pub fn control(&self) -> &Control {
        todo!()
    }
    /// Steps to the next entry, skipping what is left of the current content.
    pub fn next_entry(&mut self) -> Result<Option<Header>, PackageError> {
        todo!()
    }
    /// Reads content of the current entry; 0 at its end.
    pub fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, PackageError> {
        todo!()
    }
}
