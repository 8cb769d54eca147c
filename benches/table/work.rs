//! The commands of the table, each with the state that it needs, and the floors beside them.
//!
//! A *cold* command gets a store and an output that do not exist. A *warm* one uses the store that
//! [`State::prepare`] filled with all the images. Where something must be new in a project (a label,
//! an own file), it is written before the clock starts, with another word each time.
//!
//! Nothing is removed between rounds: a file system may make new files slowly for a while after many
//! were removed (ext4 passes over inodes that were freed a short time ago). What a step has written
//! is emptied instead, and everything goes at the end.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::floors::{Decoding, Output, Recompression, hash};
use crate::inputs::{Inputs, Set};
use crate::large;
use crate::program::{Call, Program};
use crate::rounds::Work;

/// Starts of processes in each round: they are short and vary much.
const STARTS: usize = 9;
/// The definition that is copied and changed.
const GLIBC: &str = include_str!("../../images/glibc-dynamic/image.toml");

/// Bytes by name, of peaks and of layers.
pub(crate) type Bytes = Vec<(String, u64)>;

/// What is there before the first round.
pub(crate) struct State<'s> {
    program: &'s Program,
    inputs: &'s Inputs,
    warm: PathBuf,
    outputs: Vec<(String, Output)>,
    flat_layers: Vec<Vec<u8>>,
    recompression: Recompression,
    decodings: Vec<(String, Decoding)>,
    counter: Cell<u32>,
}

/// T0, V and the start of a Rust program without libraries.
pub(crate) fn starts(program: &Program) -> Vec<Work<'_>> {
    let call = Call::of("/bin/true", vec![]);
    let mut works = vec![Work::new("T0", move || call.run()).times(STARTS)];
    if let Some(empty) = empty_program(program.directory()) {
        let call = Call::of(empty, vec![]);
        works.push(Work::new("T0 of a static Rust program", move || call.run()).times(STARTS));
    }
    let call = program.on(&program.directory().join("absent"), words(&["--version"]));
    works.push(Work::new("V", move || call.run()).times(STARTS));
    works
}

/// X of every set of `.deb` files and of the C library.
pub(crate) fn decoding(inputs: &Inputs) -> anyhow::Result<Vec<Work<'static>>> {
    let works = decodings(inputs)?.into_iter().map(|(name, decoding)| Work::new(name, move || decoding.run()));
    Ok(works.collect())
}

fn decodings(inputs: &Inputs) -> anyhow::Result<Vec<(String, Decoding)>> {
    let mut found = vec![("X libc6".to_owned(), Decoding::of(std::slice::from_ref(&inputs.libc))?)];
    for set in &inputs.debian {
        found.push((format!("X {}", set.name), Decoding::of(&set.files)?));
    }
    Ok(found)
}

/// Compiles `fn main() {}` without shared libraries; none where that does not work.
fn empty_program(directory: &Path) -> Option<PathBuf> {
    let (source, program) = (directory.join("empty.rs"), directory.join("empty"));
    fs::write(&source, "fn main() {}\n").ok()?;
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = std::process::Command::new(compiler)
        .args(["-O", "-C", "target-feature=+crt-static", "-C", "panic=abort", "-o"])
        .args([&program, &source])
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success()).then_some(program)
}

impl<'s> State<'s> {
    /// Fills the warm store, and makes every output once: the floors write, hash and deflate the
    /// same bytes.
    pub(crate) fn prepare(program: &'s Program, inputs: &'s Inputs) -> anyhow::Result<Self> {
        let warm = program.directory().join("warm");
        let mut outputs = Vec::new();
        let mut made = |name: &str, call: Call, place: &Path| -> anyhow::Result<()> {
            call.run_once()?;
            outputs.push((name.to_owned(), Output::of(place)?));
            Ok(())
        };
        for set in inputs.debian.iter().chain([&inputs.alpine]) {
            let place = program.directory().join("prepared").join(set.name);
            made(&format!("F {}", set.name), compose(program, &warm, set, &set.directory, &place), &place)?;
        }
        let place = program.directory().join("prepared/flat");
        made("F flat", flat(program, &warm, &place), &place)?;
        let store = program.directory().join("libc");
        made("F libc6", add(program, &store, [&inputs.libc]), &store)?;
        // What is measured warm ran once before.
        add(program, &warm, [&inputs.libc]).run_once()?;
        program.on(&warm, words(&["compose", "static", "--arch", "all"])).run_once()?;

        let layers_of = |name: &str| -> anyhow::Result<Vec<Vec<u8>>> {
            let output = outputs.iter().find(|(known, _)| known == name).context("an output was not made")?;
            output.1.layers()
        };
        let recompression = Recompression::of(&inputs.alpine.files, layers_of("F apk")?)?;
        let flat_layers = layers_of("F flat")?;
        let decodings = decodings(inputs)?;
        Ok(Self { program, inputs, warm, outputs, flat_layers, recompression, decodings, counter: Cell::new(0) })
    }

    /// Gives everything that takes part in a round: floors, then commands.
    pub(crate) fn works(&self) -> anyhow::Result<Vec<Work<'_>>> {
        let mut works = starts(self.program);
        works.extend(self.decodings.iter().map(|(name, decoding)| Work::new(name, || decoding.run())));
        works.push(Work::new("H", || {
            hash(&self.flat_layers);
            Ok(())
        }));
        works.push(Work::new("C", || self.recompression.run()));
        for (name, output) in &self.outputs {
            works.push(self.fresh(name, |_| Ok(()), move |directory| output.write(&directory.join("copy"))));
        }
        works.extend(self.warm_commands()?);
        works.extend(self.cold_commands());
        works.extend(self.dpkg());
        Ok(works)
    }

    fn warm_commands(&self) -> anyhow::Result<Vec<Work<'_>>> {
        let program = self.program;
        let known = program.on(&self.warm, words(&["compose", "static", "--arch", "all"]));
        let again = add(program, &self.warm, [&self.inputs.libc]);
        let glibc = self.inputs.debian.last().context("there are three sets")?;
        let place = program.directory().join("prepared").join(glibc.name);
        let unchanged = compose(program, &self.warm, glibc, &glibc.directory, &place);
        let definition = self.definition();
        fs::create_dir_all(definition.parent().context("it lies in a directory")?)?;
        let labelled = |_: &Path| self.define(&format!("labels.round = \"{}\"\n{GLIBC}", self.next()));
        let planned = |_: &Path| self.define(&self.with_own_file());
        let grouped =
            |directory: &Path| from_store(program, &self.warm, "glibc-dynamic", &directory.join("output"), &[]).run();
        let merged = |directory: &Path| flat(program, &self.warm, &directory.join("output")).run();
        Ok(vec![
            Work::new("warm", move || known.run()).times(STARTS),
            Work::new("re-add", move || again.run()).times(STARTS),
            Work::new("warm from", move || unchanged.run()).times(STARTS),
            self.fresh("label", labelled, grouped).times(3),
            self.fresh("plan", planned, grouped).times(3),
            self.fresh("flat", planned, merged),
        ])
    }

    /// Gives a work that gets a directory of its own each time, which `prepare` sees before the clock
    /// starts.
    fn fresh<'w>(
        &'w self,
        name: &str,
        prepare: impl Fn(&Path) -> anyhow::Result<()> + 'w,
        run: impl Fn(&Path) -> anyhow::Result<()> + 'w,
    ) -> Work<'w> {
        let make = move |before: &Path| {
            // Not the output: its layers may be those of the warm store by another name.
            if before.is_absolute() {
                empty(&before.join("store"))?;
                empty(&before.join("copy"))?;
            }
            let made = self.program.directory().join(format!("run-{}", self.next()));
            fs::create_dir(&made)?;
            prepare(&made)?;
            Ok(made)
        };
        Work::in_fresh(name, make, run)
    }

    fn definition(&self) -> PathBuf {
        self.program.project().join("images/glibc-dynamic/image.toml")
    }

    fn define(&self, text: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.definition(), text)?)
    }

    /// The definition with an own file that was in no image before.
    fn with_own_file(&self) -> String {
        let number = self.next();
        let (path, rest) = (format!("/etc/round-{number}"), GLIBC.replacen("schema = 1", "", 1));
        format!("schema = 1\nfiles.\"{path}\" = {{ content = \"{number}\" }}\n{rest}")
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    fn cold_commands(&self) -> Vec<Work<'_>> {
        let (program, inputs) = (self.program, self.inputs);
        let adding = |name: String, path| {
            self.fresh(&name, |_| Ok(()), move |directory| add(program, &directory.join("store"), [path]).run())
        };
        let composing = |name: String, set, from| {
            let run = move |directory: &Path| {
                compose(program, &directory.join("store"), set, from, &directory.join("output")).run()
            };
            self.fresh(&name, |_| Ok(()), run)
        };
        let mut works = vec![adding("add libc6".to_owned(), &inputs.libc)];
        for set in &inputs.debian {
            let name = set.name;
            works.push(adding(format!("add {name}"), &set.directory));
            works.push(composing(format!("compose {name}"), set, &set.directory));
            works.push(composing(format!("compose {name} from all"), set, &inputs.all_debs));
        }
        works.push(composing("compose apk".to_owned(), &inputs.alpine, &inputs.all_apks));
        works
    }

    /// `dpkg-deb --fsys-tarfile` of each file, to nowhere; nothing where there is no dpkg-deb.
    fn dpkg(&self) -> Vec<Work<'_>> {
        let reads = |file: &PathBuf| Call::of("dpkg-deb", vec!["--fsys-tarfile".into(), file.into()]);
        if Call::of("dpkg-deb", words(&["--version"])).run().is_err() {
            return Vec::new();
        }
        let sets = self.inputs.debian.iter().map(|set| {
            let calls: Vec<Call> = set.files.iter().map(reads).collect();
            Work::new(format!("dpkg-deb {}", set.name), move || calls.iter().try_for_each(Call::run))
        });
        sets.collect()
    }

    /// Gives the highest peak of memory of some runs of each kind.
    pub(crate) fn peaks(&self, runs: usize) -> anyhow::Result<Bytes> {
        let (program, inputs) = (self.program, self.inputs);
        let (store, place) = (program.directory().join("cold"), program.directory().join("output"));
        let glibc = inputs.debian.last().context("there are three sets")?;
        let large = large::packages(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let calls = [
            ("compose, .debs to layout", compose(program, &store, glibc, &glibc.directory, &place)),
            ("compose, packs known, flat", flat(program, &self.warm, &place)),
            (
                "compose, packages known, as zstd",
                from_store(program, &self.warm, "glibc-dynamic", &place, &["--compression", "zstd"]),
            ),
            ("add, the .debs of glibc-dynamic", add(program, &store, [&glibc.directory])),
            ("add, two packages of 400 MB at once", add(program, &store, &large)),
        ];
        let mut found = Vec::new();
        for (name, call) in calls {
            let mut peak = 0;
            for _ in 0..runs {
                remove(&store)?;
                remove(&place)?;
                self.define(&self.with_own_file())?;
                peak = peak.max(call.peak()?);
            }
            found.push((name.to_owned(), peak));
        }
        remove(&store)?;
        Ok(found)
    }

    /// Gives the sum of the sizes of the layers of each image for amd64, as its manifest says.
    pub(crate) fn layer_sizes(&self) -> anyhow::Result<Bytes> {
        self.inputs
            .debian
            .iter()
            .map(|set| {
                let layout = self.program.directory().join("prepared").join(set.name);
                let size = layers_of_amd64(&layout).with_context(|| format!("cannot read {}", layout.display()))?;
                Ok((set.name.to_owned(), size))
            })
            .collect()
    }
}

fn layers_of_amd64(layout: &Path) -> anyhow::Result<u64> {
    let read = |path: PathBuf| -> anyhow::Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().context("a descriptor without digest")?;
        read(layout.join("blobs").join(digest.replace(':', "/")))
    };
    let index = blob(&read(layout.join("index.json"))?["manifests"][0])?;
    let manifests = index["manifests"].as_array().context("an index without manifests")?;
    let is_amd64 = |one: &&Value| one["platform"]["architecture"] == "amd64";
    let manifest = blob(manifests.iter().find(is_amd64).context("no manifest for amd64")?)?;
    let layers = manifest["layers"].as_array().context("a manifest without layers")?;
    Ok(layers.iter().filter_map(|layer| layer["size"].as_u64()).sum())
}

fn compose(program: &Program, store: &Path, set: &Set, from: &Path, place: &Path) -> Call {
    let mut arguments = words(&["compose", set.image, "--arch", "all", "--from"]);
    arguments.push(from.into());
    arguments.extend(output(place));
    program.on(store, arguments)
}

fn from_store(program: &Program, store: &Path, image: &str, place: &Path, more: &[&str]) -> Call {
    let mut arguments = words(&["compose", image, "--arch", "all", "--from", "store"]);
    arguments.extend(words(more));
    arguments.extend(output(place));
    program.on(store, arguments)
}

fn flat(program: &Program, store: &Path, place: &Path) -> Call {
    from_store(program, store, "glibc-dynamic", place, &["--layers", "flat"])
}

fn add<'p>(program: &Program, store: &Path, paths: impl IntoIterator<Item = &'p PathBuf>) -> Call {
    let mut arguments = words(&["add"]);
    arguments.extend(paths.into_iter().map(OsString::from));
    program.on(store, arguments)
}

fn output(place: &Path) -> [OsString; 2] {
    let mut target = OsString::from("oci:");
    target.push(place);
    ["--output".into(), target]
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Gives the room of all files beneath a directory back, but not the files. One that cannot be written
/// keeps its room.
fn empty(directory: &Path) -> anyhow::Result<()> {
    let Ok(items) = fs::read_dir(directory) else { return Ok(()) };
    for item in items {
        let item = item?;
        if item.file_type()?.is_dir() {
            empty(&item.path())?;
        } else if let Ok(file) = File::options().write(true).open(item.path()) {
            file.set_len(0)?;
        }
    }
    Ok(())
}

/// Removes a directory, if there is one.
fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
    } else {
        Ok(())
    }
}
