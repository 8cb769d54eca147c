//! Paths that belong to fix-ups: who else may ship something there.
//!
//! Accounts, certificates, the loader's configuration and the databases of packages say what an image is and whom it
//! trusts. Fix-ups make them out of what a few packages ship, so no other package may speak there: not in a path that
//! a fix-up would read or replace, and not in one that the fix-up leaves free today.
//!
//! | paths | who may ship them |
//! |---|---|
//! | `/etc/passwd`, `group`, `shadow` | the package of `accounts-from` |
//! | `/etc/gshadow` | nobody: no fix-up reads it |
//! | below `/etc/ssl/certs`, `/usr/share/ca-certificates` and `/usr/local/share/ca-certificates` | the packages of `certificates-from` |
//! | `/etc/ssl/cert.pem`, `/etc/pki/tls/certs/ca-bundle.crt` | the same |
//! | `/etc/ld.so.*` and below | the debs `libc6` and `libc-bin`, the apk `glibc` |
//! | `/etc/ld-musl-*` | the deb and the apk `musl` |
//! | below `/var/lib/dpkg` | the deb `dpkg` |
//! | below `/lib/apk` and `/usr/lib/apk` | the apk `apk-tools` |
//!
//! A name counts in the format of the distribution that has given it: a tar takes its name from its file, and no tar is
//! anybody's libc. Whether a package of the right format is what it calls itself only signatures of repositories say.
//!
//! Directories are nobody's. A link in the place of a directory of these paths counts as what it leads to. What the
//! package's definition leaves out by `overrides` or `exclude` is not in the image, and is nobody's word (`selection`);
//! what `slim` leaves out by itself is one all the same, for certificates are read before that.

use super::RootfsError;
use super::selection::OwnWords;
use crate::definition::{self, Level};
use dlstore_formats::package::Format;
use dlstore_ingest::landed::Claim;
use dlstore_ingest::select::matter::Matter;

/// The packages that may ship what belongs to fix-ups of an image.
pub(crate) struct Shippers<'l> {
    levels: &'l [Level],
    /// That of the image's packages.
    format: Option<Format>,
    /// The package whose account files are the first ones.
    pub(crate) accounts: Option<&'l str>,
    /// The packages whose certificates are taken, in the image or not.
    pub(crate) certificates: Vec<&'l str>,
    /// Those of them that are in the image.
    present: Vec<&'l str>,
}

impl<'l> Shippers<'l> {
    /// Reads it from the levels of an image; `has` says whether a package is in it.
    pub(crate) fn of(levels: &'l [Level], format: Option<Format>, has: impl Fn(&str) -> bool) -> Self {
        let certificates = definition::certificates_from(levels, format);
        let present = certificates.iter().copied().filter(|name| has(name)).collect();
        Self { levels, format, accounts: definition::accounts_from(levels, format, has), certificates, present }
    }

    /// Gives the packages that may ship what is about something.
    pub(crate) fn may(&self, matter: Matter) -> Vec<&'l str> {
        match matter {
            Matter::Accounts => self.accounts.into_iter().collect(),
            Matter::Certificates => self.certificates.clone(),
            Matter::Loader if self.format == Some(Format::Deb) => vec!["libc6", "libc-bin"],
            Matter::Loader if self.format == Some(Format::Apk) => vec!["glibc"],
            Matter::MuslLoader if self.format != Some(Format::Tar) => vec!["musl"],
            Matter::DpkgDatabase if self.format == Some(Format::Deb) => vec!["dpkg"],
            Matter::ApkDatabase if self.format == Some(Format::Apk) => vec!["apk-tools"],
            Matter::GroupPasswords
            | Matter::Loader
            | Matter::MuslLoader
            | Matter::DpkgDatabase
            | Matter::ApkDatabase => Vec::new(),
        }
    }

    /// Checks what a package ships, before anything is selected of it but what `level` leaves out in words of its own.
    ///
    /// # Errors
    /// When it ships what is others' to say.
    pub(crate) fn check<'t>(
        &self,
        package: &str,
        origin: &dyn std::fmt::Display,
        level: usize,
        claims: impl IntoIterator<Item = &'t Claim>,
    ) -> Result<(), RootfsError> {
        let Some(level) = self.levels.get(level) else { return Ok(()) };
        let mut words: Option<OwnWords> = None;
        for Claim { path, matter, .. } in claims {
            let may = self.may(*matter);
            if may.contains(&package) {
                continue;
            }
            // Few packages have such a path, and most of those may.
            if words.get_or_insert_with(|| OwnWords::of(level)).leave_out(path) {
                continue;
            }
            return Err(RootfsError::Foreign {
                path: path.clone(),
                origin: origin.to_string(),
                package: package.to_owned(),
                matter: *matter,
                may: may.into_iter().map(|name| (name.to_owned(), self.present.contains(&name))).collect(),
            });
        }
        Ok(())
    }
}
