//! Layouts as they are written, changed by others, and written again.

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex};
use serde_json::Value;

use super::super::fixture::{Real, real};
use super::*;
use crate::Documents;
use dlstore_model::arch::Arch;

fn image<'i>(tag: &'i str, documents: &'i Documents, source: &'i Real) -> Image<'i> {
    Image { named: Named { tag, full: None, image: "x:y", has_arch_tags: true, documents }, source }
}

fn write_one(
    dir: &Path,
    name: &str,
    documents: &Documents,
    source: &Real,
    placement: Placement,
) -> Result<Written, OciError> {
    write(dir, &[image(name, documents, source)], placement, Takeover::Refused)
}

fn is_there(dir: &Path, name: &str, documents: &Documents, source: &Real, placement: Placement) -> bool {
    are_current(dir, &[image(name, documents, source)], placement)
}

fn put(dir: &Path, name: &str, image: &Real) -> Written {
    let documents = image.documents();
    let written = write_one(dir, name, &documents, image, Placement::Link).unwrap();
    assert!(is_there(dir, name, &documents, image, Placement::Link));
    written
}

fn names(dir: &Path) -> Vec<(String, String)> {
    let index = ImageIndex::from_file(dir.join("index.json")).unwrap();
    let name = |entry: &Descriptor| entry.annotations().clone().unwrap()[ANNOTATION_REF_NAME].clone();
    index.manifests().iter().map(|entry| (name(entry), entry.digest().to_string())).collect()
}

fn expected(tag: &str, image: &Real) -> Vec<(String, String)> {
    let documents = image.documents();
    let mut names = vec![(tag.to_owned(), documents.image().digest.to_string())];
    for platform in &documents.platforms {
        names.push((format!("{tag}-{}", platform.arch.tag()), platform.manifest.digest.to_string()));
    }
    names
}

#[test]
fn a_layout_has_every_blob_and_a_second_writing_writes_nothing() {
    let image = real(&Arch::ALL);
    let dir = tempfile::tempdir().unwrap();
    let first = put(dir.path(), "latest", &image);
    assert_eq!(first, Written { linked: 9, documents: 19, ..Written::default() });
    assert_eq!(names(dir.path()), expected("latest", &image));
    for entry in fs::read_dir(blobs(dir.path())).unwrap().map(Result::unwrap) {
        let digest = OciDigest::of(&fs::read(entry.path()).unwrap());
        assert_eq!(entry.file_name().to_str().unwrap(), digest.to_hex());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    let before = fs::metadata(dir.path().join("index.json")).unwrap().ino();
    assert_eq!(put(dir.path(), "latest", &image), Written { kept: 9, ..Written::default() });
    assert_eq!(fs::metadata(dir.path().join("index.json")).unwrap().ino(), before);
}

#[test]
fn other_tags_stay_and_the_same_tag_is_replaced_wholly() {
    let dir = tempfile::tempdir().unwrap();
    let (two, one, other) = (real(&[Arch::Amd64, Arch::ArmV6]), real(&[Arch::Arm64]), real(&[Arch::S390x]));
    put(dir.path(), "latest", &two);
    put(dir.path(), "a", &other);
    put(dir.path(), "latest.1", &other);
    assert_eq!(
        names(dir.path()),
        [expected("a", &other), expected("latest", &two), expected("latest.1", &other)].concat()
    );
    put(dir.path(), "latest", &one);
    assert_eq!(
        names(dir.path()),
        [expected("a", &other), expected("latest", &one), expected("latest.1", &other)].concat()
    );
    assert!(!is_there(dir.path(), "latest", &two.documents(), &two, Placement::Link));
}

#[test]
fn many_at_once_give_what_one_after_the_other_gives() {
    let images: Vec<Real> = Arch::ALL.into_iter().map(|arch| real(&[arch])).collect();
    // One tag twice, and tags that own each other's names.
    let names = ["a", "b", "a-amd64", "c", "b", "a", "c-arm64", "d"];
    let [at_once, in_turn] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    put(at_once.path(), "old", &images[0]);
    put(in_turn.path(), "old", &images[0]);
    let documents: Vec<Documents> = images.iter().map(Real::documents).collect();
    let all: Vec<Image<'_>> = names
        .iter()
        .zip(&documents)
        .zip(&images)
        .map(|((tag, documents), source)| image(tag, documents, source))
        .collect();
    write(at_once.path(), &all, Placement::Link, Takeover::Refused).unwrap();
    for image in &all {
        write(in_turn.path(), &[*image], Placement::Link, Takeover::Refused).unwrap();
    }
    let files = |dir: &tempfile::TempDir| -> Vec<(std::ffi::OsString, Vec<u8>)> {
        let blobs = fs::read_dir(blobs(dir.path())).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = blobs.map(|blob| (blob.file_name(), fs::read(blob.path()).unwrap())).collect();
        files.push(("index.json".into(), fs::read(dir.path().join("index.json")).unwrap()));
        files.sort();
        files
    };
    assert_eq!(files(&at_once), files(&in_turn));
}

#[test]
fn the_order_of_writing_leaves_no_trace() {
    let (one, other) = (real(&[Arch::Amd64]), real(&[Arch::Arm64]));
    let [forth, back] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    put(forth.path(), "x", &one);
    put(forth.path(), "y", &other);
    put(back.path(), "y", &other);
    put(back.path(), "x", &one);
    let index = |dir: &tempfile::TempDir| fs::read(dir.path().join("index.json")).unwrap();
    assert_eq!(index(&forth), index(&back));
}

#[test]
fn what_others_wrote_into_the_index_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    // A digest that cannot be read, a field that nobody knows, and two that `oci-spec` calls otherwise.
    let foreign = r#"{"annotations":{"x":"y"},"manifests":[{"digest":"sha256:00","mediaType":"m","own":[null],
        "platform":{"architecture":"amd64","os":"windows","os.features":["f"],"os.version":"10.0"},
        "size":1,"urls":["u"]}],"schemaVersion":2}"#;
    fs::write(dir.path().join("index.json"), foreign).unwrap();
    put(dir.path(), "latest", &real(&[Arch::Amd64]));
    let index: Value = serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap();
    let before: Value = serde_json::from_str(foreign).unwrap();
    assert_eq!((&index["manifests"][0], &index["annotations"]), (&before["manifests"][0], &before["annotations"]));
}

#[test]
fn an_index_that_is_none_is_not_replaced_but_an_empty_one_is() {
    let image = real(&[Arch::Amd64]);
    for foreign in ["{", "[]", r#"{"manifests":1}"#] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.json"), foreign).unwrap();
        let outcome = write_one(dir.path(), "latest", &image.documents(), &image, Placement::Link);
        assert!(matches!(outcome, Err(OciError::NotAnIndex { .. })), "{outcome:?}");
        assert_eq!(fs::read_to_string(dir.path().join("index.json")).unwrap(), foreign);
    }
    for nothing in ["", "\0\0\0"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.json"), nothing).unwrap();
        put(dir.path(), "latest", &image);
    }
}

#[test]
fn an_index_that_nobody_could_read_is_an_error_at_once() {
    type Make = Box<dyn Fn(&Path)>;
    let image = real(&[Arch::Amd64]);
    let fifo = |path: &Path| {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RWXU, 0).unwrap();
    };
    let large = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
    let text = |text: String| move |path: &Path| fs::write(path, &text).unwrap();
    let cases: [(&str, Make); 6] = [
        ("a fifo", Box::new(fifo)),
        ("a directory", Box::new(|path| fs::create_dir(path).unwrap())),
        ("a device", Box::new(|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap())),
        ("1 GiB", Box::new(large)),
        ("nested", Box::new(text(format!("{{\"manifests\":{}", "[".repeat(1_000_000))))),
        ("many values", Box::new(text(format!("{{\"manifests\":[{}0]}}", "0,".repeat(2_000_000))))),
    ];
    for (what, make) in cases {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join("index.json"));
        let begun = std::time::Instant::now();
        let outcome = write_one(dir.path(), "latest", &image.documents(), &image, Placement::Link);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("index.json"), "{what}: {error}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{what}: {:?}", begun.elapsed());
        assert!(!dir.path().join("blobs").exists(), "{what}: nothing was written");
    }
}

#[test]
fn an_index_of_a_thousand_images_for_eight_architectures_is_read_again() {
    let image = real(&Arch::ALL);
    let documents = image.documents();
    let dir = tempfile::tempdir().unwrap();
    let tags: Vec<String> = (0..1000).map(|at| format!("image-{at}")).collect();
    let entries = tags.iter().flat_map(|tag| {
        let named = Named { tag, full: None, image: "x:y", has_arch_tags: true, documents: &documents };
        super::super::entries::entries_of(&named)
    });
    fs::write(dir.path().join("index.json"), super::super::entries::index_json(entries.collect())).unwrap();
    put(dir.path(), "latest", &image);
    assert_eq!(names(dir.path()).len(), 1001 * 9);
}

#[test]
fn each_single_change_is_noticed_and_mended() {
    let image = real(&[Arch::Amd64, Arch::Arm64]);
    let documents = image.documents();
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "latest", &image);
    let files: Vec<PathBuf> = fs::read_dir(blobs(dir.path())).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 8);
    let others = [dir.path().join("index.json"), dir.path().join("oci-layout")];
    let whole: Vec<Vec<u8>> = files.iter().chain(&others).map(|file| fs::read(file).unwrap()).collect();
    for file in files.iter().chain(&others) {
        let changes: [&dyn Fn(); 3] =
            [&|| fs::remove_file(file).unwrap(), &|| output::write(dir.path(), file, b"{}").unwrap(), &|| {
                fs::rename(file, dir.path().join("aside")).unwrap();
                std::os::unix::fs::symlink(dir.path().join("aside"), file).unwrap();
            }];
        for change in changes {
            change();
            // These two are read, and may be read through a link; all else is to be a file.
            let is_read = others.contains(file) && fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink());
            assert_eq!(is_there(dir.path(), "latest", &documents, &image, Placement::Link), is_read);
            put(dir.path(), "latest", &image);
        }
    }
    assert_eq!(whole, files.iter().chain(&others).map(|file| fs::read(file).unwrap()).collect::<Vec<_>>());
}

#[test]
fn each_change_of_an_entry_is_noticed() {
    let image = real(&[Arch::Amd64, Arch::Arm64]);
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "latest", &image);
    let path = dir.path().join("index.json");
    let whole = fs::read_to_string(&path).unwrap();
    let hex = image.documents().platforms[1].manifest.digest.to_hex();
    let twice = whole.replace(
        "\"manifests\":[",
        "\"manifests\":[{\"annotations\":{\"dev.dlstore.tag\":\"latest\",\"org.opencontainers.image.ref.name\":\"latest-s390x\"}},",
    );
    let changed = [
        whole.replace(&hex, &"0".repeat(64)),
        whole.replace("\"latest-arm64\"", "\"latest-armv6\""),
        whole.replace("\"latest\"", "\"newest\""),
        whole.replace("\"variant\":\"v8\"", "\"variant\":\"v9\""),
        whole.replacen("\"size\":", "\"size\":1", 1),
        twice,
    ];
    for text in changed {
        assert_ne!(text, whole);
        fs::write(&path, &text).unwrap();
        assert!(!is_there(dir.path(), "latest", &image.documents(), &image, Placement::Link), "{text}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(is_there(dir.path(), "latest", &image.documents(), &image, Placement::Link));
    assert!(!is_there(dir.path(), "other", &image.documents(), &image, Placement::Link));
    assert!(!is_there(&dir.path().join("nowhere"), "latest", &image.documents(), &image, Placement::Link));
}

#[test]
fn a_copied_layout_shares_no_file_with_the_store() {
    let image = real(&[Arch::Amd64]);
    let documents = image.documents();
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "latest", &image);
    assert!(!is_there(dir.path(), "latest", &documents, &image, Placement::Copy));
    let written = write_one(dir.path(), "latest", &documents, &image, Placement::Copy).unwrap();
    assert_eq!((written.copied + written.reflinked, written.documents), (2, 0));
    assert!(is_there(dir.path(), "latest", &documents, &image, Placement::Copy));
    for layer in documents.layers().keys() {
        assert_eq!(fs::metadata(image.file(layer)).unwrap().nlink(), 1);
    }
}

#[test]
fn a_missing_or_cut_layer_names_no_tag() {
    let image = real(&[Arch::Amd64]);
    let documents = image.documents();
    let file = image.file(documents.layers().keys().next().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let outcome = || write_one(dir.path(), "latest", &documents, &image, Placement::Link);
    fs::write(&file, b"short").unwrap();
    assert!(matches!(outcome(), Err(OciError::Damaged { .. })));
    fs::remove_file(&file).unwrap();
    assert!(matches!(outcome(), Err(OciError::MissingBlob(_))));
    assert!(!dir.path().join("index.json").exists());
}

#[test]
fn writers_side_by_side_lose_no_tag() {
    let images: Vec<Real> = Arch::ALL.iter().map(|arch| real(&[*arch])).collect();
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for (at, image) in images.iter().enumerate() {
            let dir = dir.path();
            scope.spawn(move || put_blindly(dir, at, image));
        }
    });
    let all: Vec<_> = images.iter().enumerate().flat_map(|(at, image)| expected(&at.to_string(), image)).collect();
    assert_eq!(names(dir.path()), all);
}

fn put_blindly(dir: &Path, at: usize, image: &Real) {
    write_one(dir, &at.to_string(), &image.documents(), image, Placement::Link).unwrap();
}
