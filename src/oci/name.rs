//! The two kinds of names that outputs give to images.
//!
//! A [`RefName`] is what a layout's `index.json` calls an entry: a plain tag (`latest`) or a full name.
//! An [`ImageName`] is what docker and podman call an image: repository and tag. Both are checked when
//! they are made, so that an output is never written under a name that its readers refuse.
//!
//! Specification: image-spec `annotations.md` (`org.opencontainers.image.ref.name`);
//! <https://github.com/distribution/reference/blob/v0.6.0/reference.go> (the grammar of docker's names).
use std::fmt;
use std::str::FromStr;

/// Longest repository name that registries and engines take.
const MAX_REPOSITORY: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// Tells why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a reference name of a layout.
    #[error("{0:?} is not a valid tag for a layout: letters and digits, joined by single . _ - + : @ or /")]
    Reference(String),
    /// Not a tag of docker's.
    #[error("{0:?} is not a valid tag: letters, digits, _ . and -, not . or - at the beginning, at most {MAX_TAG}")]
    Tag(String),
    /// Not a name of docker's.
    #[error("{0:?} is not a valid image name: expected [HOST[:PORT]/]name/of/it[:TAG] in lower case")]
    Image(String),
}

/// The name of an entry in a layout's `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// Gives the name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the tag of a full name. Separators that are only docker's (`__`, `---`) stay: readers compare the text.
    pub(crate) fn of_tag(name: &ImageName) -> Self {
        Self(name.tag.clone())
    }

    /// Gives the short name of an image, which has the grammar of a repository's part.
    pub(crate) fn of_short_name(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl FromStr for RefName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // component ::= alphanum (separator alphanum)*, separator ::= [-._:@+] | "--"
        let is_component = |component: &str| {
            component
                .replace("--", "-")
                .split(['-', '.', '_', ':', '@', '+'])
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        let is_name = !text.contains("---") && text.split('/').all(is_component);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError::Reference(text.to_owned())) }
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image's name as docker and podman have it: repository and tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    repository: String,
    tag: String,
}

impl ImageName {
    /// Gives the name without its tag.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Gives the tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Checks a tag that stands alone.
    ///
    /// # Errors
    /// [`NameError::Tag`].
    pub fn check_tag(tag: &str) -> Result<(), NameError> {
        if is_tag(tag) { Ok(()) } else { Err(NameError::Tag(tag.to_owned())) }
    }

    /// Says whether it has the place of a registry in front: what has none is a name of this machine, or of docker's own
    /// registry.
    #[must_use]
    pub fn has_registry(&self) -> bool {
        self.repository.contains('/')
    }

    /// Gives the same name on this machine, `localhost/NAME`: what podman calls an image that has no registry.
    pub(crate) fn on_localhost(&self) -> Self {
        Self { repository: format!("localhost/{}", self.repository), tag: self.tag.clone() }
    }

    /// Gives the same repository with `-SUFFIX` behind the tag.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self { repository: self.repository.clone(), tag: format!("{}-{suffix}", self.tag) }
    }

    /// Gives the full form that containerd keeps: `static:latest` is `docker.io/library/static:latest`.
    #[must_use]
    pub fn containerd(&self) -> String {
        match self.repository.split_once('/') {
            None => format!("docker.io/library/{self}"),
            Some((host, _)) if is_host(host) => self.to_string(),
            Some(_) => format!("docker.io/{self}"),
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    /// Reads `NAME[:TAG]`; without a tag it is `latest`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (text, "latest"),
        };
        let path = match repository.split_once('/') {
            Some((host, path)) if is_host(host) && is_host_name(host) => path,
            _ => repository,
        };
        if repository.len() <= MAX_REPOSITORY && path.split('/').all(is_path_component) && is_tag(tag) {
            Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
        } else {
            Err(NameError::Image(text.to_owned()))
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl From<&ImageName> for RefName {
    /// Every name of docker's can stand in a layout, but for separators that are only docker's
    /// (`__`, `---`): readers of layouts take those too, as they compare the text.
    fn from(name: &ImageName) -> Self {
        Self(name.to_string())
    }
}

/// Docker's rule for what tells a host from the first part of a path.
fn is_host(component: &str) -> bool {
    component == "localhost" || component.contains(['.', ':'])
}

fn is_host_name(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    name.split('.').all(is_label) && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let is_separator = |run: &[u8]| matches!(run, b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-');
    bytes.first().copied().is_some_and(is_word)
        && bytes.last().copied().is_some_and(is_word)
        && bytes.split(|byte| is_word(*byte)).all(is_separator)
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layouts_follow_the_specification() {
        for good in ["latest", "1.2.5-r9", "a--b", "localhost/x/y:1", "a@b", "1_0"] {
            assert_eq!(good.parse::<RefName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "-a", "a-", "a---b", "a..b", "a//b", "/a", "a\n", "ä"] {
            assert_eq!(bad.parse::<RefName>(), Err(NameError::Reference(bad.to_owned())));
        }
    }

    #[test]
    fn names_of_images_have_a_repository_and_a_tag_and_a_full_form() {
        for (written, repository, tag, full) in [
            ("static", "static", "latest", "docker.io/library/static:latest"),
            ("static:1.2", "static", "1.2", "docker.io/library/static:1.2"),
            ("acme/static:_x", "acme/static", "_x", "docker.io/acme/static:_x"),
            ("localhost/a/b:T", "localhost/a/b", "T", "localhost/a/b:T"),
            ("127.0.0.1:5000/a__b/c---d", "127.0.0.1:5000/a__b/c---d", "latest", "127.0.0.1:5000/a__b/c---d:latest"),
            ("ghcr.io/acme/x", "ghcr.io/acme/x", "latest", "ghcr.io/acme/x:latest"),
        ] {
            let name: ImageName = written.parse().unwrap();
            assert_eq!((name.repository(), name.tag(), name.containerd()), (repository, tag, full.to_owned()));
        }
        for bad in ["", ":a", "A", "a:", "a:-b", "a/", "/a", "a..b", "a___b", "a@sha256:00", "host:port/a", "a:b:c"] {
            assert_eq!(bad.parse::<ImageName>(), Err(NameError::Image(bad.to_owned())), "{bad}");
        }
    }
}
