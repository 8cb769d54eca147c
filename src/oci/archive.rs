//! An image as one tar: `oci-archive` and `docker-archive`.
//!
//! ```text
//! blobs/
//! blobs/sha256/
//! blobs/sha256/<64 hex>     documents and layers
//! index.json
//! manifest.json             docker-archive only: what `docker load` reads
//! oci-layout
//! ```
//!
//! The tar is canonical: members in bytewise order, directories 0755, files 0644, root's, dated 1970, plain
//! ustar, two zero blocks at the end. The same documents give the same bytes on every run. Layers are
//! hashed while they pass, so a damaged one ends in an error; a file appears under its name only when
//! all of it is right.
//!
//! An oci-archive names one thing, the image, so that skopeo and podman read it without being
//! told which, unless it is to have several names. A docker-archive is a hybrid: docker goes by `manifest.json`, tools that know OCI by
//! `index.json`, both over the same blobs. With one architecture both name that manifest `NAME:TAG`
//! (podman could not take a foreign architecture out of an index); with several, each is
//! `NAME:TAG-ARCH`, and `index.json` has their index as `NAME:TAG` too.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use oci_spec::image::Descriptor;
use serde_json::{Value, json};
use sha2::Digest as _;
use tar::{EntryType, Header};

use super::documents::{canonical, oci_layout, sorted};
use super::entries::{index_json, named};
use super::layout::{damaged, find};
use super::name::{ImageName, RefName};
use super::{BlobSource, Document, Documents, Layer, OciError, PlatformDocuments, without_space};
use dlstore_formats::layer::Codec;
use dlstore_fsx::FsError;
use dlstore_fsx::output::Temporary;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;

/// A tar goes in blocks of this size.
const BLOCK: usize = 512;
/// First size that the eleven octal digits of a ustar header cannot say.
const TOO_BIG: u64 = 1 << 33;
/// How much of a layer is in memory at a time: large enough that calls cost nothing beside hashing.
const BUFFER: usize = 256 << 10;

/// Where an archive goes.
pub(crate) enum Sink<'s> {
    /// Into a file.
    File(&'s Path),
    /// To whoever reads it: what is written there cannot be taken back.
    Stream(&'s mut dyn Write),
}

/// Writes an oci-archive: the layout of one image, by its names.
///
/// # Errors
/// When a layer is missing or damaged, or when the archive cannot be written; then a file is as it was.
pub(crate) fn write_oci(
    sink: Sink<'_>,
    names: &[RefName],
    documents: &Documents,
    source: &dyn BlobSource,
) -> Result<(), OciError> {
    let arch = documents.only().map(|only| only.arch);
    let entry = |name: &RefName| {
        let containerd = name.as_str().contains(':').then(|| name.as_str().parse::<ImageName>());
        let containerd = containerd.and_then(Result::ok).map(|name| name.containerd());
        named(documents.image(), arch, name.as_str(), containerd)
    };
    let mut members = Members::default();
    members.index(names.iter().map(entry).collect());
    members.document(documents.image());
    for platform in &documents.platforms {
        members.platform(platform)?;
    }
    members.publish(sink, source)
}

/// Writes a docker-archive of all architectures: by its names when there is one, NAME-ARCH each when
/// there are several.
///
/// # Errors
/// As [`write_oci`]; and when a layer is zstd, which this format cannot say.
pub(crate) fn write_docker(
    sink: Sink<'_>,
    names: &[ImageName],
    documents: &Documents,
    source: &dyn BlobSource,
) -> Result<(), OciError> {
    docker_members(names, documents)?.publish(sink, source)
}

/// Writes the docker-archive of one architecture, by its names, into a stream.
///
/// # Errors
/// As [`write_docker`]. What was written before an error is no whole archive.
pub(crate) fn stream_docker(
    out: &mut dyn Write,
    names: &[ImageName],
    platform: &PlatformDocuments,
    source: &dyn BlobSource,
) -> Result<(), OciError> {
    one_for_docker(names, platform)?.write(out, source)
}

fn docker_members<'a>(names: &[ImageName], documents: &'a Documents) -> Result<Members<'a>, OciError> {
    if let Some(platform) = documents.only() {
        return one_for_docker(names, platform);
    }
    let mut members = Members::default();
    let of_index = |name: &ImageName| named(&documents.index, None, &name.to_string(), Some(name.containerd()));
    let mut entries: Vec<Descriptor> = names.iter().map(of_index).collect();
    let mut images = Vec::new();
    members.document(&documents.index);
    for platform in &documents.platforms {
        let names: Vec<ImageName> = names.iter().map(|name| name.with_suffix(&platform.arch.tag())).collect();
        members.platform_for_docker(&names, platform, &mut entries, &mut images)?;
    }
    members.index(entries);
    members.add("manifest.json".into(), canonical(&images.into()));
    Ok(members)
}

fn one_for_docker<'a>(names: &[ImageName], platform: &'a PlatformDocuments) -> Result<Members<'a>, OciError> {
    let mut members = Members::default();
    let (mut entries, mut images) = (Vec::new(), Vec::new());
    members.platform_for_docker(names, platform, &mut entries, &mut images)?;
    members.index(entries);
    members.add("manifest.json".into(), canonical(&images.into()));
    Ok(members)
}

/// What an archive holds, by name; directories end in a slash and so come before what they hold.
struct Members<'a>(BTreeMap<String, Content<'a>>);

enum Content<'a> {
    Directory,
    Bytes(Cow<'a, [u8]>),
    Layer(&'a Layer),
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Content::Directory => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Layer(layer) => layer.size,
        }
    }
}

impl Default for Members<'_> {
    fn default() -> Self {
        let directories = ["blobs/", "blobs/sha256/"].map(|name| (name.to_owned(), Content::Directory));
        let file = ("oci-layout".to_owned(), Content::Bytes(canonical(&sorted(&oci_layout())).into()));
        Self(directories.into_iter().chain([file]).collect())
    }
}

impl<'a> Members<'a> {
    fn add(&mut self, name: String, bytes: impl Into<Cow<'a, [u8]>>) {
        self.0.insert(name, Content::Bytes(bytes.into()));
    }

    fn index(&mut self, entries: Vec<Descriptor>) {
        self.add("index.json".into(), index_json(entries));
    }

    fn document(&mut self, document: &'a Document) {
        self.add(blob_name(&document.digest), document.data.as_slice());
    }

    fn platform(&mut self, platform: &'a PlatformDocuments) -> Result<(), OciError> {
        self.document(&platform.config);
        self.document(&platform.manifest);
        for layer in &platform.layers {
            if layer.size >= TOO_BIG {
                return Err(OciError::TooBig(layer.blob));
            }
            self.0.insert(blob_name(&layer.blob), Content::Layer(layer));
        }
        Ok(())
    }

    fn platform_for_docker(
        &mut self,
        names: &[ImageName],
        platform: &'a PlatformDocuments,
        entries: &mut Vec<Descriptor>,
        images: &mut Vec<Value>,
    ) -> Result<(), OciError> {
        if let Some(layer) = platform.layers.iter().find(|layer| layer.codec != Codec::Gzip) {
            return Err(OciError::Zstd(layer.blob));
        }
        self.platform(platform)?;
        let layers: Vec<String> = platform.layers.iter().map(|layer| blob_name(&layer.blob)).collect();
        entries.extend(
            names
                .iter()
                .map(|name| named(&platform.manifest, Some(platform.arch), &name.to_string(), Some(name.containerd()))),
        );
        // Docker's own: no type of OCI says this.
        images.push(json!({
            "Config": blob_name(&platform.config.digest),
            "Layers": layers,
            "RepoTags": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
        Ok(())
    }

    /// Writes the archive to where it goes; into a file whole or not at all.
    fn publish(&self, sink: Sink<'_>, source: &dyn BlobSource) -> Result<(), OciError> {
        match sink {
            Sink::File(file) => {
                let place = format_args!("the archive {}", Escaped::path(file));
                self.write_file(file, source).map_err(|error| without_space(error, place, || self.size()))
            }
            Sink::Stream(out) => {
                self.stream(out, source).map_err(|error| without_space(error, "stdout", || self.size()))
            }
        }
    }

    /// Gives the bytes of the whole archive.
    fn size(&self) -> u64 {
        let blocks = |content: &Content<'_>| 1 + content.size().div_ceil(BLOCK as u64);
        (self.0.values().map(blocks).sum::<u64>() + 2) * BLOCK as u64
    }

    fn write_file(&self, file: &Path, source: &dyn BlobSource) -> Result<(), OciError> {
        let fail = |attempt| move |source| FsError { attempt, path: file.to_owned(), source };
        // A link is followed, so that `/dev/stdout` is not replaced by a file.
        let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        if fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let mut out = File::options().write(true).open(&target).map_err(fail("write"))?;
            return self.write(&mut out, source);
        }
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut temporary = Temporary::new(directory)?;
        self.write(temporary.file(), source)?;
        Ok(temporary.publish(&target)?)
    }

    /// Writes the archive to a stream, once all layers are proven: nothing that begins it may be tried again.
    fn stream(&self, out: &mut dyn Write, source: &dyn BlobSource) -> Result<(), OciError> {
        let mut buffer = vec![0; BUFFER];
        for content in self.0.values() {
            if let Content::Layer(layer) = content {
                copy_layer(&mut io::sink(), layer, source, &mut buffer)?;
            }
        }
        self.write(out, source).map_err(|error| OciError::Half(Box::new(error)))
    }

    fn write(&self, out: &mut dyn Write, source: &dyn BlobSource) -> Result<(), OciError> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let mut buffer = vec![0; BUFFER];
        for (name, content) in &self.0 {
            let size = content.size();
            out.write_all(header(name, size).as_bytes()).map_err(OciError::Stream)?;
            match content {
                Content::Directory => {}
                Content::Bytes(bytes) => out.write_all(bytes).map_err(OciError::Stream)?,
                Content::Layer(layer) => copy_layer(&mut out, layer, source, &mut buffer)?,
            }
            out.write_all(padding(size)).map_err(OciError::Stream)?;
        }
        out.write_all(&[0; 2 * BLOCK]).map_err(OciError::Stream)?;
        out.flush().map_err(OciError::Stream)
    }
}

/// Copies a layer and proves it.
fn copy_layer(out: &mut dyn Write, layer: &Layer, source: &dyn BlobSource, buffer: &mut [u8]) -> Result<(), OciError> {
    let path = find(layer, source)?.path;
    let fail = |source| FsError { attempt: "read", path: path.clone(), source };
    let mut file = File::open(&path).map_err(|error| OciError::of_blob(layer.blob, &path, fail(error)))?;
    let mut hasher = sha2::Sha256::new();
    let mut rest = layer.size;
    while rest > 0 {
        let want = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let count = match file.read(&mut buffer[..want]) {
            Ok(0) => return Err(damaged(layer, source, path)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fail(error).into()),
        };
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(OciError::Stream)?;
        rest -= count as u64;
    }
    if OciDigest::from_hasher(hasher) != layer.blob {
        return Err(damaged(layer, source, path));
    }
    Ok(())
}

fn blob_name(digest: &OciDigest) -> String {
    format!("blobs/sha256/{}", digest.to_hex())
}

/// Fills a ustar header (POSIX.1-1988): numeric fields in octal, ended by NUL, no names of owners, dated 1970.
///
/// `name` has at most 77 bytes and `size` is below 8 GiB, so every field fits.
fn header(name: &str, size: u64) -> Header {
    let (mode, kind) = if name.ends_with('/') { (0o755, EntryType::Directory) } else { (0o644, EntryType::Regular) };
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_cksum();
    // Six digits, NUL, blank, as everybody else writes it: seven and NUL are the crate's own form.
    let sum = &mut header.as_old_mut().cksum;
    sum.rotate_left(1);
    sum[7] = b' ';
    header
}

/// Zeros up to the next block.
fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    &ZEROS[..(BLOCK - over) % BLOCK]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use oci_spec::image::{ANNOTATION_REF_NAME, ImageIndex};

    use super::super::fixture::{Real, real};
    use super::*;
    use dlstore_model::arch::Arch;
    use dlstore_model::diagnose::Diagnose as _;

    fn name() -> ImageName {
        "acme/static:1".parse().unwrap()
    }

    fn docker(file: &Path, image: &Real) -> Result<(), OciError> {
        write_docker(Sink::File(file), &[name()], &image.documents(), image)
    }

    fn oci(file: &Path, image: &Real) -> Result<(), OciError> {
        write_oci(Sink::File(file), &[RefName::from(&name())], &image.documents(), image)
    }

    fn read(file: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(File::open(file).unwrap());
        let mut members = BTreeMap::new();
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let header = entry.header();
            let mode = if entry.header().entry_type().is_dir() { 0o755 } else { 0o644 };
            assert_eq!((header.mode().unwrap(), header.mtime().unwrap()), (mode, 0));
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert!(header.as_ustar().is_some());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            names.push(name.clone());
            assert_eq!(members.insert(name, bytes), None);
        }
        assert!(names.is_sorted());
        members
    }

    fn json(members: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
        serde_json::from_slice(&members[name]).unwrap()
    }

    #[test]
    fn a_header_is_these_bytes() {
        for (name, size, mode, kind) in [("oci-layout", 0o1234, "0000644\0", "0"), ("blobs/", 0, "0000755\0", "5")] {
            let mut expected = [0; BLOCK];
            for (at, text) in [
                (0, name),
                (100, mode),
                (108, "0000000\x000000000\0"),
                (124, &format!("{size:011o}\0")),
                (136, "00000000000\0"),
                (148, "        "),
                (156, kind),
                (257, "ustar\x0000"),
            ] {
                expected[at..at + text.len()].copy_from_slice(text.as_bytes());
            }
            let sum: u32 = expected.iter().map(|byte| u32::from(*byte)).sum();
            expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            assert_eq!(header(name, size).as_bytes(), &expected, "{name}");
        }
        assert_eq!(&header("x", TOO_BIG - 1).as_bytes()[124..136], b"77777777777\0");
    }

    #[test]
    fn two_runs_give_the_same_bytes_whatever_the_umask() {
        let image = real(&Arch::ALL);
        let dir = tempfile::tempdir().unwrap();
        for write in [oci as fn(&Path, &Real) -> Result<(), OciError>, docker] {
            let files = ["one.tar", "other.tar"].map(|name| dir.path().join(name));
            for (file, mask) in files.iter().zip([0o077, 0o022]) {
                let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
                let outcome = write(file, &image);
                rustix::process::umask(before);
                outcome.unwrap();
            }
            assert!(fs::read(&files[0]).unwrap() == fs::read(&files[1]).unwrap());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_oci_archive_holds_every_blob_and_names_the_index() {
        let image = real(&[Arch::Amd64, Arch::ArmV6]);
        let documents = image.documents();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.tar");
        oci(&file, &image).unwrap();
        let members = read(&file);
        let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for document in documents.all() {
            expected.insert(blob_name(&document.digest), document.data.clone());
        }
        for digest in documents.layers().keys() {
            expected.insert(blob_name(digest), fs::read(image.file(digest)).unwrap());
        }
        let blobs = members.iter().filter(|(name, bytes)| name.starts_with("blobs/") && !bytes.is_empty());
        assert_eq!(blobs.map(|(name, bytes)| (name.clone(), bytes.clone())).collect::<BTreeMap<_, _>>(), expected);
        let index: ImageIndex = serde_json::from_slice(&members["index.json"]).unwrap();
        let names = [
            ("io.containerd.image.name", "docker.io/acme/static:1"),
            ("org.opencontainers.image.ref.name", "acme/static:1"),
        ];
        let mut entry = documents.index.descriptor();
        entry.set_annotations(Some(names.map(|(key, name)| (key.into(), name.into())).into()));
        assert_eq!(index.manifests(), &[entry]);
        assert_eq!(members["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
        assert!(!members.contains_key("manifest.json"));
    }

    #[test]
    fn a_docker_archive_names_one_architecture_exactly_and_several_each() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.tar");
        for (arches, tags, names) in [
            (vec![Arch::ArmV7], vec!["acme/static:1"], vec!["acme/static:1"]),
            (
                vec![Arch::ArmV7, Arch::Amd64],
                vec!["acme/static:1-amd64", "acme/static:1-armv7"],
                vec!["acme/static:1", "acme/static:1-amd64", "acme/static:1-armv7"],
            ),
        ] {
            let image = real(&arches);
            docker(&file, &image).unwrap();
            let members = read(&file);
            let images = json(&members, "manifest.json");
            let images = images.as_array().unwrap();
            assert_eq!(images.iter().map(|image| image["RepoTags"][0].as_str().unwrap()).collect::<Vec<_>>(), tags);
            for (image, platform) in images.iter().zip(&image.documents().platforms) {
                assert_eq!(image["Config"], blob_name(&platform.config.digest));
                assert_eq!(members[image["Config"].as_str().unwrap()], platform.config.data);
                let layers: Vec<String> = platform.layers.iter().map(|layer| blob_name(&layer.blob)).collect();
                assert!(layers.iter().all(|layer| members.contains_key(layer)));
                assert_eq!(image["Layers"], json!(layers));
            }
            let index: ImageIndex = serde_json::from_slice(&members["index.json"]).unwrap();
            let name = |entry: &Descriptor| entry.annotations().clone().unwrap()[ANNOTATION_REF_NAME].clone();
            let named: Vec<String> = index.manifests().iter().map(name).collect();
            assert_eq!(named, names);
        }
    }

    #[test]
    fn a_damaged_layer_leaves_the_old_file_and_nothing_else() {
        let image = real(&[Arch::Amd64]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.tar");
        fs::write(&file, "before").unwrap();
        let layer = image.file(image.documents().layers().keys().next_back().unwrap());
        let mut bytes = fs::read(&layer).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&layer, &bytes).unwrap();
        for outcome in [oci(&file, &image), docker(&file, &image)] {
            assert!(matches!(outcome, Err(OciError::Damaged { .. })), "{outcome:?}");
        }
        fs::remove_file(&layer).unwrap();
        assert!(matches!(oci(&file, &image), Err(OciError::MissingBlob(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_longer_file_is_replaced_and_a_link_is_followed() {
        let image = real(&[Arch::Amd64]);
        let dir = tempfile::tempdir().unwrap();
        let [file, link] = ["image.tar", "link.tar"].map(|name| dir.path().join(name));
        docker(&file, &image).unwrap();
        let right = fs::read(&file).unwrap();
        fs::write(&file, vec![b'x'; right.len() + 1]).unwrap();
        let before = fs::metadata(&file).unwrap().ino();
        symlink(&file, &link).unwrap();
        docker(&link, &image).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read(&file).unwrap() == right);
        assert_ne!(fs::metadata(&file).unwrap().ino(), before);
        docker(Path::new("/dev/null"), &image).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn zstd_has_no_place_in_a_docker_archive() {
        let mut image = real(&[Arch::Amd64]);
        image.content.platforms[0].layers[1].codec = Codec::Zstd;
        let dir = tempfile::tempdir().unwrap();
        let error = docker(&dir.path().join("image.tar"), &image).unwrap_err();
        assert!(matches!(error, OciError::Zstd(_)));
        assert!(error.hint().is_some());
        oci(&dir.path().join("image.tar"), &image).unwrap();
    }
}
