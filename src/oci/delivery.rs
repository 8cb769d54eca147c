//! Images on their way out: into layouts, each written once, then into archives.
//!
//! Everything is decided before: what goes where ([`Target`]), what it is called ([`Names`]), and how outputs are written
//! ([`Manner`]).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::archive::{self, Sink};
use super::entries::Named;
use super::layout::{self, Takeover};
use super::output::{Names, Target, is_stdout};
use super::{BlobSource, Documents, OciError};
use dlstore_fsx::output::Placement;

/// How outputs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Whether a layout shares its blobs with the store.
    pub placement: Placement,
    /// What happens to a tag of a layout that belongs to another image.
    pub takeover: Takeover,
    /// Whether each architecture has an entry of its own in a layout too, `TAG-ARCH`.
    pub has_arch_tags: bool,
}

/// An image and where it goes.
pub struct Delivery<'d> {
    /// Where.
    pub target: &'d Target,
    /// What it is called.
    pub names: &'d Names,
    /// What it is.
    pub documents: &'d Documents,
    /// Where its layers are.
    pub source: &'d (dyn BlobSource + Sync),
}

/// Writes images, each whole or not at all: those that go into one layout at once, so that however many there are its
/// `index.json` is read and written one time.
///
/// # Errors
/// As `layout::write`, `archive::write_oci` and `archive::write_docker`.
pub fn write_all(deliveries: &[Delivery<'_>], manner: Manner, stdout: &mut dyn Write) -> Result<(), OciError> {
    let mut layouts: BTreeMap<&Path, Vec<layout::Image<'_>>> = BTreeMap::new();
    let mut archives: Vec<&Delivery<'_>> = Vec::new();
    for delivery in deliveries {
        let Delivery { target, names, documents, source } = delivery;
        let Target::Layout { dir, tag } = target else {
            archives.push(delivery);
            continue;
        };
        let full = names.full.iter().find(|name| name.has_registry() && name.tag() == tag.as_str());
        let (image, has_arch_tags) = (names.reference.as_str(), manner.has_arch_tags);
        let named = Named { tag: tag.as_str(), full, image, has_arch_tags, documents };
        layouts.entry(dir).or_default().push(layout::Image { named, source: *source });
    }
    for (dir, images) in layouts {
        layout::write(dir, &images, manner.placement, manner.takeover)?;
    }
    archives.into_iter().try_for_each(|delivery| delivery.archive(stdout))
}

/// Writes images as [`write_all`] does, and goes on after one that cannot be written; outcomes come in the order of the
/// deliveries. What cannot be written together is written one by one, so that an image fails by what is wrong with it.
pub fn write_each(deliveries: &[Delivery<'_>], manner: Manner, stdout: &mut dyn Write) -> Vec<Result<(), OciError>> {
    // What one alone wrote into a stream would be written twice.
    if deliveries.len() > 1 && write_all(deliveries, manner, stdout).is_ok() {
        return deliveries.iter().map(|_| Ok(())).collect();
    }
    deliveries.iter().map(|one| write_all(std::slice::from_ref(one), manner, stdout)).collect()
}

impl Delivery<'_> {
    /// Writes an archive.
    fn archive(&self, stdout: &mut dyn Write) -> Result<(), OciError> {
        match self.target {
            Target::Layout { .. } => Ok(()),
            Target::OciArchive { file, names } => {
                archive::write_oci(sink(file, stdout), names, self.documents, self.source)
            }
            Target::DockerArchive { file, names } => {
                archive::write_docker(sink(file, stdout), names, self.documents, self.source)
            }
        }
    }
}

fn sink<'s>(file: &'s Path, stdout: &'s mut dyn Write) -> Sink<'s> {
    if is_stdout(file) { Sink::Stream(stdout) } else { Sink::File(file) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::real;
    use super::super::output::{Output, Tags};
    use super::*;
    use dlstore_model::arch::Arch;
    use dlstore_model::diagnose::Diagnose as _;

    fn names(short: &str, full: &[&str]) -> Names {
        let full = full.iter().map(|name| name.parse().unwrap()).collect();
        Names { reference: format!("{short}:debian"), printed: short.to_owned(), short: short.to_owned(), full }
    }

    #[test]
    fn a_tag_of_another_image_is_taken_by_force_only() {
        let image = real(&[Arch::Amd64, Arch::Arm64]);
        let documents = image.documents();
        let dir = tempfile::tempdir().unwrap();
        let write = |short: &str, takeover, has_arch_tags| {
            let target = Target::Layout { dir: dir.path().to_owned(), tag: "latest".parse().unwrap() };
            let names = names(short, &[short]);
            let delivery = Delivery { target: &target, names: &names, documents: &documents, source: &image };
            write_all(&[delivery], Manner { placement: Placement::Link, takeover, has_arch_tags }, &mut std::io::sink())
        };
        let entries = || {
            let index: serde_json::Value =
                serde_json::from_slice(&std::fs::read(dir.path().join("index.json")).unwrap()).unwrap();
            let entries = index["manifests"].as_array().unwrap().iter();
            entries
                .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        write("static", Takeover::Refused, true).unwrap();
        assert_eq!(entries(), ["latest", "latest-amd64", "latest-arm64"]);
        write("static", Takeover::Refused, false).unwrap();
        assert_eq!(entries(), ["latest"], "one's own is replaced, with what belongs to it");
        let error = write("other", Takeover::Refused, false).unwrap_err();
        let sentence = format!("the tag `latest` in {} belongs to the image static:debian", dir.path().display());
        assert_eq!((error.to_string(), error.hint().unwrap().contains("--force")), (sentence, true));
        write("other", Takeover::Forced, false).unwrap();
        assert_eq!(entries(), ["latest"]);
    }

    #[test]
    fn a_target_is_written_and_only_a_layout_is_known_again() {
        use std::os::unix::fs::MetadataExt as _;
        let image = real(&[Arch::Amd64, Arch::Arm64]);
        let documents = image.documents();
        let dir = tempfile::tempdir().unwrap();
        let manner = Manner { placement: Placement::Link, takeover: Takeover::Refused, has_arch_tags: false };
        for (kind, is_known) in [("oci", true), ("oci-archive", false), ("docker-archive", false)] {
            let path = dir.path().join(kind);
            let output: Output = format!("{kind}:{}", path.display()).parse().unwrap();
            let names = names("static", &["static"]);
            let [target] = &output.targets(&names, 1, Tags::First)[..] else { panic!("{output}") };
            let inode = || {
                let delivery = Delivery { target, names: &names, documents: &documents, source: &image };
                write_all(&[delivery], manner, &mut std::io::sink()).unwrap();
                let file = if is_known { path.join("index.json") } else { path.clone() };
                std::fs::metadata(file).unwrap().ino()
            };
            assert_eq!(inode() == inode(), is_known, "{kind}: an archive is written anew");
        }
    }
}
