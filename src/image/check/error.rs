//! What it means that a rootfs cannot be an image.
//!
//! All that is wrong with it is one error, with what to do about it (`problem`).

use super::problem::Problems;
use crate::definition::{Image, KeyLine, Located};
use crate::linker::LinkerError;
use crate::rootfs::RootfsError;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};

/// Tells why a rootfs cannot be an image.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It holds what it may not, or would not run, or not on its machine.
    #[error("{0}")]
    Problems(Box<Problems>),
    /// A user that no account has.
    #[error("{0:?} is neither an account of this image nor a numeric UID or UID:GID")]
    User(String),
    /// What a definition says, with its line.
    #[error(transparent)]
    Located(Box<Located<CheckError>>),
    /// A loader would take another libc than the image's.
    #[error(transparent)]
    Rootfs(Box<RootfsError>),
    /// Nobody can say what a loader finds.
    #[error(transparent)]
    Linker(#[from] LinkerError),
}

impl From<RootfsError> for CheckError {
    fn from(error: RootfsError) -> Self {
        Self::Rootfs(Box::new(error))
    }
}

impl CheckError {
    /// Finds the numbers of the user that an image runs as.
    ///
    /// # Errors
    /// When no account has that name.
    pub(crate) fn user_of(image: &Image, name: &str) -> Result<(u32, u32), Self> {
        image.user_ids(name).ok_or_else(|| Self::User(name.to_owned()).at(image.key_line(&["user"])))
    }

    /// Says where a definition says what it is about.
    pub(super) fn at(self, key: Option<KeyLine>) -> Self {
        match key {
            Some(key) => Self::Located(Box::new(Located::new(key, self))),
            None => self,
        }
    }
}

impl Diagnose for CheckError {
    fn kind(&self) -> Kind {
        match self {
            Self::Problems(_) | Self::User(_) => Kind::Input,
            Self::Located(error) => error.error().kind(),
            Self::Rootfs(error) => error.kind(),
            Self::Linker(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Problems(problems) => problems.hint().map(Hint::new),
            Self::User(_) | Self::Located(_) => None,
            Self::Rootfs(error) => error.hint(),
            Self::Linker(error) => error.hint(),
        }
    }
}
