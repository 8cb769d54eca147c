//! Where a package's raw tar comes from, whatever the format wraps around it.
//!
//! A [`Source`] gives the bytes of the tar that holds the files, and knows when the format is
//! satisfied: [`Source::finish`] is called when the tar has been read to its end.

use std::io::{self, BufReader, Read};

use super::apk::Data;
use super::deb::Archive;
use super::held::Held;
use super::{Control, Input, PackageError};
use crate::archive::decompress::Decoder;

/// A package whose control part was read, stopped in front of the files.
pub(super) struct Opened<'a> {
    pub(super) control: Control,
    pub(super) source: Source<'a>,
    /// What the tar of the files is called in errors: `data.tar.xz`.
    pub(super) archive: String,
    pub(super) held: Held,
}

/// The raw bytes of the tar that holds a package's files.
pub(super) enum Source<'a> {
    /// The data member of a `.deb`.
    Deb(Decoder<Archive<'a>>),
    /// Every byte of an `.apk` behind its control member.
    Apk(Box<Data<'a>>),
    /// A tar of its own.
    Tar(Decoder<BufReader<Input<'a>>>),
}

impl Source<'_> {
    /// Checks what can be checked only when all has been read.
    pub(super) fn finish(&self) -> Result<(), PackageError> {
        match self {
            // The tar reader has met the end of the decoder, and the decoder that of its input.
            Self::Deb(_) | Self::Tar(_) => Ok(()),
            Self::Apk(data) => data.check(),
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Deb(decoder) => decoder.read(buffer),
            Self::Apk(data) => data.read(buffer),
            Self::Tar(decoder) => decoder.read(buffer),
        }
    }
}
