//! What reading one package holds of the memory that all packages of the process share.
//!
//! A share is waited for before the memory is taken, and goes back when it is dropped. `memory` says in which order
//! shares are waited for, so that nobody waits for somebody who waits for him.

use std::io::BufRead;

use super::memory::{self, Share};
use super::{Limits, PackageError};
use crate::archive::decompress::{Compression, Decoder, memory_of};

/// The shares of the process's memory that reading a package holds.
#[derive(Default)]
pub struct Held {
    pub(super) control: Option<Share>,
    pub(super) decoder: Option<Share>,
    pub(super) large: Option<Share>,
}

impl Held {
    /// Waits for the memory that the decompressor of this input needs, and starts it.
    pub(super) fn decode<R: BufRead>(
        &mut self,
        archive: &str,
        compression: Compression,
        mut input: R,
        limits: &Limits,
    ) -> Result<Decoder<R>, PackageError> {
        let start = input.fill_buf().map_err(|source| PackageError::Read { what: archive.to_owned(), source })?;
        let memory =
            memory_of(compression, start).map_or(limits.decoder_memory, |found| found.min(limits.decoder_memory));
        self.decoder = Some(memory::decoder(memory));
        Decoder::new(compression, input, memory).map_err(|error| PackageError::archive(archive, error))
    }
}
