//! Which image is meant, as a person says it: `oci:DIR[:TAG]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME:TAG]`,
//! or a path alone.
//!
//! The words are those of `--output` and skopeo: what was written is read under the same words. A path alone is looked at: a
//! directory with an `index.json` is a layout, a file an archive whose members say of which kind.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ReadError;

/// What holds the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A layout in a directory.
    Layout,
    /// A layout in a tar.
    OciArchive,
    /// What `docker save` writes, in a tar.
    DockerArchive,
    /// A tar whose members say which of the two it is.
    Archive,
}

/// Where an image is that is already made, and which one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) form: Form,
    pub(super) path: PathBuf,
    pub(super) name: Option<String>,
}

/// The words before a path.
const WORDS: [(&str, Form); 3] =
    [("oci", Form::Layout), ("oci-archive", Form::OciArchive), ("docker-archive", Form::DockerArchive)];

impl Source {
    /// Reads what a person typed; `None` when it begins with none of the three words.
    ///
    /// # Errors
    /// When there is no path behind the word.
    pub fn parse(text: &str) -> Result<Option<Self>, ReadError> {
        let Some((word, rest)) = text.split_once(':') else { return Ok(None) };
        let Some((_, form)) = WORDS.into_iter().find(|(known, _)| *known == word) else { return Ok(None) };
        let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
        if path.is_empty() {
            return Err(ReadError::NoPath(text.to_owned()));
        }
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Some(Self { form, path: PathBuf::from(path), name }))
    }

    /// Looks at a path alone; `None` when neither a layout nor a file lies there.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        let form = if found.is_dir() {
            ["index.json", "oci-layout"].iter().any(|name| path.join(name).exists()).then_some(Form::Layout)?
        } else {
            return found.is_file().then(|| Self::archive(path));
        };
        Some(Self { form, path: path.to_owned(), name: None })
    }

    /// Looks at a path to a layout with a tag behind it, `DIR:TAG`; `None` when no layout lies there.
    #[must_use]
    pub fn tagged(text: &str) -> Option<Self> {
        let (path, name) = text.split_once(':').filter(|(_, name)| !name.is_empty())?;
        let found = Self::at(Path::new(path)).filter(|found| found.form == Form::Layout)?;
        Some(Self { name: Some(name.to_owned()), ..found })
    }

    /// The archive at a path, whether or not it is there.
    #[must_use]
    pub fn archive(path: &Path) -> Self {
        Self { form: Form::Archive, path: path.to_owned(), name: None }
    }

    /// The same place with the name of an image, as a person can type it.
    pub(super) fn named(&self, name: &str) -> String {
        Self { name: Some(name.to_owned()), ..self.clone() }.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.into_iter().find(|(_, form)| *form == self.form).map(|(word, _)| word);
        match (word, &self.name) {
            (Some(word), Some(name)) => write!(f, "{word}:{}:{name}", self.path.display()),
            (None, Some(name)) => write!(f, "oci-archive:{}:{name}", self.path.display()),
            (_, None) => write!(f, "{}", self.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_outputs_are_written() {
        let read = |text: &str| Source::parse(text).unwrap().map(|source| source.to_string());
        for (text, expected) in [
            ("oci:out/x", Some("out/x")),
            ("oci:out/x:1.2", Some("oci:out/x:1.2")),
            ("oci-archive:/a.tar:ghcr.io/a/b:1", Some("oci-archive:/a.tar:ghcr.io/a/b:1")),
            ("docker-archive:a.tar:x:1", Some("docker-archive:a.tar:x:1")),
            ("static:debian", None),
            ("musl", None),
            ("./oci:x", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
        let error = Source::parse("oci::x").unwrap_err().to_string();
        assert_eq!(error, "`oci::x` names no file or directory");
    }
}
