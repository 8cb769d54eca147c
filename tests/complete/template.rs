//! One small store, copied for each damage, and the claim that each damage must meet.
//!
//! The store holds a package in two versions, so that losing the newer one would be another image; texts and
//! libraries, so that losing a fact would be; an apk; and the image built into the program. A copy has its stamps
//! recorded anew, as if it had been used where it lies: what looks changed was changed by the damage.
//!
//! A cell of the matrix is a copy, a damage, and images composed in some order into fresh layouts:
//! - exit 0 must come with the digest of a fresh store and blobs that hash to their names;
//! - any other exit needs a sentence, and then `store verify --full` names a finding, or cannot open the store and
//!   says so;
//! - nothing ends by a signal, and nothing hangs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;
use serde_json::Value;

use dlstore_kit::{Place, packages, place, sha256};

/// How long a command may take before it is said to hang: far beyond what the slowest machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An image of the template with its digest of a fresh store.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    pub(crate) image: &'static str,
    /// What `compose` prints.
    pub(crate) line: String,
}

/// Composed in the template: remembered.
pub(crate) const WARM: &str = "demo";
/// The same packages with another os-release: planned anew, so that facts are read.
pub(crate) const COLD: &str = "cold";
/// Packages of the other format.
pub(crate) const APK: &str = "alp";
/// The image built into the program.
pub(crate) const EMBEDDED: &str = "static";

pub(crate) const IMAGES: [&str; 4] = [WARM, COLD, APK, EMBEDDED];

/// Whose accounts an image of the packages has, and where its loader looks.
pub(crate) const WORDS: &str =
    "accounts-from = \"one\"\nfiles.\"/etc/ld.so.conf\" = { content = \"/usr/lib/one\\n\" }\n";

/// The store that is copied.
pub(crate) struct Template {
    place: Place,
    right: Vec<Right>,
}

/// A minimal shared library for amd64: a `PT_LOAD` of all of it, and a dynamic section.
pub(crate) fn library(soname: &str, needed: &[&str]) -> Vec<u8> {
    const BASE: u64 = 0x10000;
    let mut strings = b"\0".to_vec();
    let mut dynamic: Vec<(u64, u64)> = Vec::new();
    for (tag, text) in needed.iter().map(|name| (1, *name)).chain([(14, soname)]) {
        dynamic.push((tag, strings.len() as u64));
        strings.extend(text.as_bytes());
        strings.push(0);
    }
    let start = 64 + 2 * 56;
    let strings_at = start + 16 * (dynamic.len() as u64 + 3);
    dynamic.extend([(5, BASE + strings_at), (10, strings.len() as u64), (0, 0)]);
    let end = strings_at + strings.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([3u16, 62].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(1u32.to_le_bytes());
    file.extend([0u64, 64, 0].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 2, 0, 0, 0].iter().flat_map(|value| value.to_le_bytes()));
    for (kind, at, size) in [(1u32, 0, end), (2, start, strings_at - start)] {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        file.extend([at, BASE + at, BASE + at, size, size, 8].iter().flat_map(|value| value.to_le_bytes()));
    }
    file.extend(dynamic.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()]).flatten());
    file.extend(strings);
    file
}

fn deb(name: &str, version: &str) -> DebBuilder {
    DebBuilder::new(name, version, "amd64")
        .compression(Compression::Gzip)
        .file(&format!("usr/share/{name}/data"), &packages::text(version.len() as u64, 3_000), 0o644)
        .file(&format!("usr/share/doc/{name}/copyright"), b"free\n", 0o644)
        .md5sums()
}

/// Writes the packages and definitions of the template.
fn furnish(place: &Place) {
    let one = deb("one", "1.1-1")
        .file("usr/lib/os-release", b"ID=made\nNAME=\"Made for a test\"\n", 0o644)
        .file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nmade:x:77:77::/:/bin/false\n", 0o644)
        .file("usr/lib/one/libone.so.1", &library("libone.so.1", &[]), 0o644);
    place.package("one.deb", &one.build());
    for version in ["1.1-1", "1.2-10"] {
        let two = deb("two", version).file("usr/lib/one/libtwo.so.1", &library("libtwo.so.1", &["libone.so.1"]), 0o644);
        place.package(&format!("two-{version}.deb"), &two.build());
    }
    place.package("other.deb", &deb("other", "3-1").build());
    place.package("three.apk", &packages::apk("three", 3, "x86_64").build());
    let overrides = "overrides = [\"/etc/passwd\", \"/usr/lib/os-release\"]\n";
    let head = format!("schema = 1\nformat = \"deb\"\npackages = [\"one\", \"two\"]\n{overrides}{WORDS}");
    place.image(WARM, &head);
    place.image(COLD, &format!("{head}[os-release]\nVARIANT_ID = \"cold\"\n"));
    place.image(APK, "schema = 1\nformat = \"apk\"\npackages = [\"three\"]\n");
}

impl Template {
    /// Gives the template, made once for a test binary.
    pub(crate) fn get() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        TEMPLATE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let right = IMAGES
            .map(|image| {
                let fresh = place!();
                furnish(&fresh);
                fresh.ok(["add", "../packages"]);
                Right { image, line: fresh.ok(["compose", image, "--arch", "amd64", "--from", "store"]) }
            })
            .to_vec();
        assert_ne!(right[0].line, right[1].line);
        let place = place!();
        furnish(&place);
        place.ok(["add", "../packages"]);
        place.ok(["compose", WARM, APK, EMBEDDED, "--arch", "amd64", "--from", "store", "-o", "oci:out"]);
        // Nothing of the store is shared with an output: a damage stays in its copy.
        fs::remove_dir_all(place.project().join("out")).unwrap();
        // The log is folded into the index: what is flipped there is what is read.
        index(&place.store()).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        Self { place, right }
    }

    /// Gives the packages and definitions alone, with an empty store.
    pub(crate) fn furnished() -> Place {
        let place = place!();
        furnish(&place);
        place
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.place.store()
    }

    pub(crate) fn right(&self, image: &str) -> &Right {
        self.right.iter().find(|right| right.image == image).unwrap()
    }

    /// Gives a place with a copy of the store, its stamps recorded.
    pub(crate) fn copy(&self) -> Place {
        let place = place!();
        for name in ["store", "project", "packages"] {
            copy(&self.place.path().join(name), &place.path().join(name));
        }
        restamp(&place.store());
        place
    }
}

/// Copies a directory; what is copied has other inodes and times.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for item in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Opens the index beside the program.
pub(crate) fn index(store: &Path) -> rusqlite::Connection {
    let index = rusqlite::Connection::open(store.join("index.db")).unwrap();
    index.busy_timeout(PATIENCE).unwrap();
    index.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    index
}

/// Records what the files of a store look like where they lie now.
fn restamp(store: &Path) {
    let index = index(store);
    for (number, name) in [(1, "packs"), (2, "sources")] {
        for item in fs::read_dir(store.join(name)).unwrap().map(Result::unwrap) {
            let meta = item.metadata().unwrap();
            let sha256 = item.file_name().into_string().unwrap().to_uppercase();
            let sql = "UPDATE file SET device = ?3, inode = ?4, mtime_ns = ?5, mode = ?6, uid = ?7, gid = ?8
                WHERE directory = ?1 AND hex(sha256) = ?2";
            let mtime = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
            let (device, inode) = (meta.dev().cast_signed(), meta.ino().cast_signed());
            let row =
                rusqlite::params![number, sha256, device, inode, mtime, meta.mode() & 0o7777, meta.uid(), meta.gid()];
            assert_eq!(index.execute(sql, row).unwrap(), 1);
        }
    }
}

/// How a command ended, with a limit of time.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program; `None` when it hangs.
pub(crate) fn run(place: &Place, arguments: &[&str]) -> Option<Ended> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let [out, err] = ["out", "err"].map(|name| place.path().join(format!("said-{number}.{name}")));
    let mut command = place.command(arguments.iter().copied());
    let file = |path: &Path| Stdio::from(fs::File::create(path).unwrap());
    let mut child = command.stdout(file(&out)).stderr(file(&err)).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let read = |path: &Path| String::from_utf8(fs::read(path).unwrap()).unwrap();
    Some(Ended { code: status.code(), out: read(&out), err: read(&err) })
}

/// What a step of a cell came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The image of a fresh store.
    Right,
    /// It failed with a sentence.
    Failed(String),
}

/// Composes into a fresh layout and looks at all that came out; `Err` says what must never be.
pub(crate) fn compose(place: &Place, image: &str) -> Result<Step, String> {
    let out = place.project().join("fresh");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    let arguments = ["--jobs", "1", "compose", image, "--arch", "amd64", "--from", "store", "-o", "oci:fresh:t"];
    let Some(done) = run(place, &arguments) else { return Err(format!("compose {image} hangs")) };
    match done.code {
        Some(0) => {}
        Some(1) if done.err.lines().any(|line| line.starts_with("error:")) => return Ok(Step::Failed(done.err)),
        code => return Err(format!("compose {image} ends with {code:?}: {}", done.err)),
    }
    let right = &Template::get().right(image).line;
    if done.out != *right {
        return Err(format!("compose {image} gives {:?}, not {right:?}, and exit 0: {}", done.out, done.err));
    }
    sound(&out, right.trim_end().split_once('@').unwrap().1)
        .map_err(|what| format!("compose {image} leaves a bad layout: {what}"))?;
    Ok(Step::Right)
}

/// Follows an image index through a layout, down to the bytes of each layer.
pub(crate) fn sound(layout: &Path, digest: &str) -> Result<(), String> {
    let blob = |digest: &str| -> Result<Vec<u8>, String> {
        let name = digest.strip_prefix("sha256:").ok_or("a digest")?;
        let bytes = fs::read(layout.join("blobs/sha256").join(name)).map_err(|error| format!("{name}: {error}"))?;
        if sha256(&bytes) == name { Ok(bytes) } else { Err(format!("{name} has other bytes")) }
    };
    let json = |digest: &Value| -> Result<Value, String> {
        serde_json::from_slice(&blob(digest.as_str().unwrap_or(""))?).map_err(|error| error.to_string())
    };
    let top = fs::read(layout.join("index.json")).map_err(|error| format!("index.json: {error}"))?;
    let top: Value = serde_json::from_slice(&top).map_err(|error| error.to_string())?;
    let named = top["manifests"].as_array().into_iter().flatten().any(|one| one["digest"] == digest);
    if !named {
        return Err(format!("index.json does not name {digest}"));
    }
    let image = json(&Value::from(digest))?;
    let manifests = match image["manifests"].as_array() {
        Some(manifests) => manifests.iter().map(|one| json(&one["digest"])).collect::<Result<Vec<_>, _>>()?,
        None => vec![image],
    };
    for manifest in manifests {
        json(&manifest["config"]["digest"])?;
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            blob(layer["digest"].as_str().unwrap_or(""))?;
        }
    }
    Ok(())
}

/// What `store verify --full` says.
pub(crate) enum Verified {
    /// It looked at everything: findings.
    Looked(Vec<String>),
    /// It could not open the store, and said why.
    Refused(String),
}

/// Verifies; `Err` says what must never be.
pub(crate) fn verify(place: &Place) -> Result<Verified, String> {
    let Some(done) = run(place, &["--jobs", "1", "store", "verify", "--full", "--json"]) else {
        return Err("verify hangs".to_owned());
    };
    // What fails as a whole answers with `error` alone.
    let report = serde_json::from_str::<Value>(&done.out).unwrap_or_default();
    if let (Some(0 | 1), Some(findings)) = (done.code, report["findings"].as_array()) {
        let text = |one: &Value| format!("{}: {}", one["kind"].as_str().unwrap_or(""), one["detail"]);
        return Ok(Verified::Looked(findings.iter().map(text).collect()));
    }
    match done.code {
        Some(1) if done.err.lines().any(|line| line.starts_with("error:")) => Ok(Verified::Refused(done.err)),
        code => Err(format!("verify ends with {code:?}: {}", done.err)),
    }
}

/// What may be otherwise in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing.
    Strict,
    /// The bytes of a pack changed under an intact stamp: the one thing that only `verify --full` sees.
    IntactStamp,
}

/// Does a cell: the images in their order, each once more when it failed, then `verify --full`.
pub(crate) fn cell(place: &Place, images: &[&str], claim: Claim) -> Result<(), String> {
    if claim == Claim::IntactStamp {
        return intact(place, images);
    }
    let mut failed = Vec::new();
    for image in images {
        if let (Step::Failed(_), Step::Failed(said)) = (compose(place, image)?, compose(place, image)?) {
            failed.push((*image, said));
        }
    }
    if is_whole() {
        // What a collector takes from a damaged store is made again, or missed with a sentence.
        let gc = run(place, &["store", "gc", "--grace", "0"]).ok_or("gc hangs")?;
        if !matches!(gc.code, Some(0 | 1)) {
            return Err(format!("gc ends with {:?}: {}", gc.code, gc.err));
        }
        for image in images {
            compose(place, image).map_err(|what| format!("after a collection, {what}"))?;
        }
    }
    match verify(place)? {
        Verified::Looked(findings) if !failed.is_empty() && findings.is_empty() => {
            Err(format!("{failed:?} cannot be composed, and verify --full finds nothing"))
        }
        Verified::Refused(said) if failed.is_empty() => Err(format!("all is composed, and verify says: {said}")),
        _ => Ok(()),
    }
}

/// Damage under an intact stamp: `verify --full` names it, and what is composed after that is right.
fn intact(place: &Place, images: &[&str]) -> Result<(), String> {
    match verify(place)? {
        Verified::Looked(findings) if findings.is_empty() => return Err("verify --full does not see it".to_owned()),
        Verified::Looked(_) => {}
        Verified::Refused(said) => return Err(format!("verify says: {said}")),
    }
    for image in images {
        if let Step::Failed(said) = compose(place, image)? {
            return Err(format!("{image} cannot be composed after verify --full: {said}"));
        }
    }
    Ok(())
}

/// Does many cells on all processors; gives what went wrong, by name.
pub(crate) fn all<C: Sync>(
    cells: &[C],
    name: impl Fn(&C) -> String + Sync,
    one: impl Fn(&C) -> Result<(), String> + Sync,
) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = one(cell) {
                        let said = format!("{}: {what}", name(cell));
                        println!("WRONG {said}");
                        wrong.lock().unwrap().push(said);
                    }
                }
            });
        }
    });
    println!("{} cells in {:.1} s", cells.len(), begun.elapsed().as_secs_f64());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
}

/// Says whether everything is asked for, not only a sample: every row, and a collection in every cell.
pub(crate) fn is_whole() -> bool {
    std::env::var_os("DLSTORE_MATRIX").is_some_and(|value| value == "all")
}
