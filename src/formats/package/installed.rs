//! The packages that the database of an image says are installed.
//!
//! ```text
//! dpkg   var/lib/dpkg/status, or a file for each below var/lib/dpkg/status.d     Package, Version, Architecture, Status
//! apk    lib/apk/db/installed, or the same below usr/                            P, V, A
//! ```
//! Both are stanzas of fields with blank lines between them. This is for looking at images of others: what cannot be
//! understood is passed over, since a scanner would pass over it too.

use super::Format;

/// Packages that are read of an image; Debian has some 70,000 in all.
pub const MOST_PACKAGES: usize = 200_000;

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// In the words of its format.
    pub architecture: String,
}

/// Reads a database, or a part of one.
#[must_use]
pub fn read(format: Format, text: &[u8]) -> Vec<Installed> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim_end).chain([""]);
    let mut found = Vec::new();
    let mut stanza = Stanza::default();
    for line in lines {
        if !line.is_empty() {
            stanza.take(format, line);
            continue;
        }
        found.extend(std::mem::take(&mut stanza).package());
        if found.len() >= MOST_PACKAGES {
            break;
        }
    }
    found
}

/// What counts of a stanza.
#[derive(Default)]
struct Stanza<'t> {
    name: Option<&'t str>,
    version: Option<&'t str>,
    architecture: Option<&'t str>,
    status: Option<&'t str>,
}

impl<'t> Stanza<'t> {
    fn take(&mut self, format: Format, line: &'t str) {
        let Some((key, value)) = line.split_once(':') else { return };
        let slot = match (format, key) {
            (Format::Deb, "Package") | (Format::Apk, "P") => &mut self.name,
            (Format::Deb, "Version") | (Format::Apk, "V") => &mut self.version,
            (Format::Deb, "Architecture") | (Format::Apk, "A") => &mut self.architecture,
            (Format::Deb, "Status") => &mut self.status,
            _ => return,
        };
        slot.get_or_insert(value.trim());
    }

    /// Gives the package, unless it was removed and only its settings are left.
    fn package(self) -> Option<Installed> {
        let is_installed = self.status.is_none_or(|status| status.ends_with(" installed"));
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let (name, version) = (some(self.name)?, some(self.version)?);
        is_installed.then(|| Installed {
            name,
            version,
            architecture: self.architecture.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: Format, text: &str) -> Vec<String> {
        let all = read(format, text.as_bytes());
        all.into_iter().map(|one| format!("{}={}/{}", one.name, one.version, one.architecture)).collect()
    }

    #[test]
    fn packages_of_both_databases_are_found() {
        let dpkg = "Package: a\nStatus: install ok installed\nVersion: 1-1\nArchitecture: amd64\nDescription: x\n Version: 9\n\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 2\nArchitecture: all\n\n\
                    Package: b\nVersion: 2\nArchitecture: all\n";
        assert_eq!(shown(Format::Deb, dpkg), ["a=1-1/amd64", "b=2/all"]);
        let apk = "C:Q1x=\nP:musl\nV:1.2.5-r9\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\n\nP:no-version\n\n";
        assert_eq!(shown(Format::Apk, apk), ["musl=1.2.5-r9/x86_64"]);
        assert_eq!(shown(Format::Deb, "not a database\n\u{0}"), Vec::<String>::new());
    }
}
