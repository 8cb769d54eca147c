//! What an image is called where it goes: by the command line, else by its definition.
//!
//! A definition's tags may have the versions of its packages in them, so the names are known once the image is composed.

use super::{Error, Job};
use crate::command::request::Ready;
use crate::command::value::Date;
use dlstore_image::definition::Image;
use dlstore_image::definition::tags::{self, Values};
use dlstore_oci::name::{ImageName, NameError};
use dlstore_oci::output::Names;

/// A name that was said on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tag {
    /// `NAME[:TAG]`.
    Full(ImageName),
    /// `:TAG`, of the repository that the definition names.
    Bare(String),
}

impl std::str::FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(match text.strip_prefix(':') {
            Some(tag) => {
                ImageName::check_tag(tag)?;
                Self::Bare(tag.to_owned())
            }
            None => Self::Full(text.parse()?),
        })
    }
}

/// Names a composed image.
///
/// # Errors
/// When a tag of its definition comes to none.
pub(super) fn of(job: &Job<'_>, said: &[Tag]) -> Result<Names, Error> {
    let image = &job.ready.image;
    let short = job.ready.short_name();
    let repository = image.repository.as_deref();
    let full = if said.is_empty() {
        // Tags of a definition tell its flavors apart.
        let local = if image.tags.is_empty() { &short } else { &image.name };
        let name = |tag: String| tagged(repository.unwrap_or(local), &tag);
        defined(job)?.into_iter().map(name).collect::<Result<Vec<_>, _>>()?
    } else {
        full_names(job.ready, said)?
    };
    let mut names: Vec<ImageName> = Vec::new();
    for name in full {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let said = said.iter().find_map(|tag| if let Tag::Full(name) = tag { Some(name.repository()) } else { None });
    let printed = said.or(repository).unwrap_or(&short).to_owned();
    Ok(Names { reference: reference(image), printed, short, full: names })
}

/// Gives the full names that the command line says of an image, which need no composing.
///
/// # Errors
/// When a tag makes no name with the definition's repository.
pub(super) fn full_names(ready: &Ready, said: &[Tag]) -> Result<Vec<ImageName>, NameError> {
    let short = ready.short_name();
    let repository = ready.image.repository.as_deref().unwrap_or(&short);
    let name = |tag: &Tag| match tag {
        Tag::Full(name) => Ok(name.clone()),
        Tag::Bare(tag) => tagged(repository, tag),
    };
    said.iter().map(name).collect()
}

fn tagged(repository: &str, tag: &str) -> Result<ImageName, NameError> {
    format!("{repository}:{tag}").parse()
}

/// Says of which definition it is, as layouts note it: the name, with the project in front where that has one. The path of a
/// project says nothing on another machine, and flavors of one definition may take turns under one tag.
fn reference(image: &Image) -> String {
    let project = image.project.as_deref().filter(|project| !project.starts_with('/'));
    let project = project.map_or_else(String::new, |project| format!("{project}/"));
    format!("{project}{}", image.name)
}

/// The definition's tags with their values, or `latest`.
fn defined(job: &Job<'_>) -> Result<Vec<String>, Error> {
    let image = &job.ready.image;
    if image.tags.is_empty() {
        return Ok(vec!["latest".to_owned()]);
    }
    let date = Date(job.composed.date).to_string()[..10].replace('-', "");
    let versions = &job.composed.versions;
    let arch = job.ready.architectures.iter().map(|arch| arch.tag()).collect::<Vec<_>>().join("-");
    let values = Values { version: &|name| versions.get(name).cloned(), date: &date, arch: &arch };
    let expand = |template: &String| {
        tags::expand(template, &values).map_err(|error| Error::Tag { key: image.tag_line(template), error })
    };
    image.tags.iter().map(expand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_said_with_a_name_or_alone() {
        let full = |text: &str| Ok(Tag::Full(text.parse().unwrap()));
        for (text, tag) in [
            ("app", full("app:latest")),
            ("ghcr.io/acme/app:1.2", full("ghcr.io/acme/app:1.2")),
            (":1.2", Ok(Tag::Bare("1.2".to_owned()))),
        ] {
            assert_eq!(text.parse::<Tag>(), tag);
        }
        for bad in ["", "A", "a:b c", "a@sha256:00"] {
            assert_eq!(bad.parse::<Tag>(), Err(NameError::Image(bad.to_owned())));
        }
    }

    #[test]
    fn a_tag_that_is_none_is_named_as_it_was_typed() {
        for bad in ["", "-x", ".x", "a/b", "5000/a", "a:b", "a b"] {
            assert_eq!(format!(":{bad}").parse::<Tag>(), Err(NameError::Tag(bad.to_owned())));
        }
    }
}
