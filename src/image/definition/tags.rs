//! Tags of an image: templates such as `{version:libc6}` that versions and dates are put into.
//!
//! A tag of a registry has letters, digits and `._-` only, at most 128 of them (distribution
//! specification, "tag"). Versions have more: an epoch goes, `~` and `+` become `_`. Two templates may
//! then come to the same tag; that is found where an image is made, not here.

use dlstore_model::escape::Escaped;

/// Placeholders as people write them, with what stands for a package's name.
const PLACEHOLDERS: [&str; 6] =
    ["{version:PACKAGE}", "{upstream:PACKAGE}", "{minor:PACKAGE}", "{major:PACKAGE}", "{date}", "{arch}"];

/// Longest tag that a registry takes.
const MAX_TAG: usize = 128;

/// What the placeholders of a tag stand for.
pub struct Values<'a> {
    /// Gives the version of a package of the image.
    pub version: &'a dyn Fn(&str) -> Option<String>,
    /// The date of the image, `20260821`.
    pub date: &'a str,
    /// The architecture as [`Arch::tag`](dlstore_model::arch::Arch::tag) writes it; empty for an image of several.
    pub arch: &'a str,
}

/// Tells why a text is not a tag, or does not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A brace without its partner.
    #[error("`{{` and `}}` must enclose a placeholder")]
    Brace,
    /// A placeholder that there is not.
    #[error("unknown placeholder `{{{}}}`; known placeholders: {known}", Escaped::text(.0), known = PLACEHOLDERS.join(" "))]
    Placeholder(String),
    /// A package that the image does not have.
    #[error("the image has no package `{0}`")]
    Package(String),
    /// What comes out is not a tag.
    #[error("`{}` is not a valid tag: at most 128 letters, digits and `._-`, not beginning with a dot or hyphen", Escaped::text(.0))]
    Tag(String),
}

/// One part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// How much of a version, and of which package.
    Version(Extent, &'a str),
    Date,
    Arch,
}

/// How much of a version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All but the epoch.
    Full,
    /// Without the packager's revision: `1.2.5` of `1.2.5-r9`.
    Upstream,
    /// The first two numbers: `1.2`.
    Minor,
    /// The first number: `1`.
    Major,
}

/// Checks a template; gives the packages whose versions it names.
///
/// # Errors
/// When it has a placeholder that there is not, or can only become something that is no tag.
pub fn check(template: &str) -> Result<Vec<&str>, TagError> {
    let pieces = pieces(template)?;
    let sample = |_: &str| Some("1".to_owned());
    fill(template, &pieces, &Values { version: &sample, date: "1", arch: "1" })?;
    let package = |piece: &Piece<'_>| matches!(piece, Piece::Version(..));
    Ok(pieces
        .into_iter()
        .filter(package)
        .filter_map(|piece| if let Piece::Version(_, name) = piece { Some(name) } else { None })
        .collect())
}

/// Puts values into a template.
///
/// # Errors
/// When a package is not there, or what comes out is not a tag.
pub fn expand(template: &str, values: &Values<'_>) -> Result<String, TagError> {
    fill(template, &pieces(template)?, values)
}

/// Splits a template into its parts.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>, TagError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let inner = rest[start..].strip_prefix('{').ok_or(TagError::Brace)?;
        let end = inner.find(['{', '}']).filter(|at| inner[*at..].starts_with('}')).ok_or(TagError::Brace)?;
        pieces.push(placeholder(&inner[..end])?);
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Reads what stands between braces.
fn placeholder(text: &str) -> Result<Piece<'_>, TagError> {
    let unknown = || TagError::Placeholder(text.to_owned());
    let (word, package) = text.split_once(':').map_or((text, None), |(word, package)| (word, Some(package)));
    let extent = match (word, package) {
        ("date", None) => return Ok(Piece::Date),
        ("arch", None) => return Ok(Piece::Arch),
        ("version", Some(_)) => Extent::Full,
        ("upstream", Some(_)) => Extent::Upstream,
        ("minor", Some(_)) => Extent::Minor,
        ("major", Some(_)) => Extent::Major,
        _ => return Err(unknown()),
    };
    let package = package.filter(|name| super::syntax::is_package_name(name)).ok_or_else(unknown)?;
    Ok(Piece::Version(extent, package))
}

/// Puts the parts together.
fn fill(template: &str, pieces: &[Piece<'_>], values: &Values<'_>) -> Result<String, TagError> {
    let mut tag = String::with_capacity(template.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => tag.push_str(text),
            Piece::Date => tag.push_str(values.date),
            Piece::Arch => tag.push_str(values.arch),
            Piece::Version(extent, package) => {
                let version = (values.version)(package).ok_or_else(|| TagError::Package((*package).to_owned()))?;
                tag.push_str(&shortened(*extent, &version).replace(['~', '+'], "_"));
            }
        }
    }
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let inner = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if first && inner && tag.len() <= MAX_TAG { Ok(tag) } else { Err(TagError::Tag(tag)) }
}

/// Takes what is meant of a version.
fn shortened(extent: Extent, version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    let numbers = match extent {
        Extent::Full => return version.to_owned(),
        Extent::Upstream => return upstream.to_owned(),
        Extent::Minor => 2,
        Extent::Major => 1,
    };
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading: Vec<&str> = upstream.split(['.', '~', '+', '-', '_']).take_while(number).take(numbers).collect();
    if leading.is_empty() { upstream.to_owned() } else { leading.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_what_a_registry_takes() {
        let version = |name: &str| match name {
            "musl" => Some("1.2.5-r9".to_owned()),
            "libc6" => Some("2.41-12+deb13u4".to_owned()),
            "zlib1g" => Some("1:1.3.dfsg+really1.3.1-1+b1".to_owned()),
            _ => None,
        };
        let values = Values { version: &version, date: "20260821", arch: "armv6" };
        for (template, tag) in [
            ("latest", Ok("latest")),
            ("{version:musl}", Ok("1.2.5-r9")),
            ("{upstream:musl}", Ok("1.2.5")),
            ("{minor:musl}", Ok("1.2")),
            ("{major:musl}", Ok("1")),
            ("{version:libc6}-{arch}", Ok("2.41-12_deb13u4-armv6")),
            ("{minor:libc6}-{date}", Ok("2.41-20260821")),
            ("{version:zlib1g}", Ok("1.3.dfsg_really1.3.1-1_b1")),
            ("{minor:zlib1g}", Ok("1.3")),
            ("{version:glibc}", Err(TagError::Package("glibc".into()))),
            ("-a", Err(TagError::Tag("-a".into()))),
            ("", Err(TagError::Tag(String::new()))),
        ] {
            assert_eq!(expand(template, &values), tag.map(str::to_owned), "{template}");
        }
    }

    #[test]
    fn a_template_is_refused_before_anything_is_known() {
        for (template, error) in [
            ("{", TagError::Brace),
            ("}", TagError::Brace),
            ("{a{b}}", TagError::Brace),
            ("{dat}", TagError::Placeholder("dat".into())),
            ("{version}", TagError::Placeholder("version".into())),
            ("{version:}", TagError::Placeholder("version:".into())),
            ("a b", TagError::Tag("a b".into())),
        ] {
            assert_eq!(check(template), Err(error), "{template}");
        }
        assert_eq!(check("{version:a}-{minor:b}-{date}"), Ok(vec!["a", "b"]));
    }
}
