//! What an image runs: that it is there, and that the image's user may run it.
//!
//! The first word of `entrypoint`, else of `cmd`, is looked for as a runtime does it (`execvp(3)`): by the image's own
//! `PATH`, or by the path that it is. It must be a file that the user may execute, an ELF file or a script; a script's
//! interpreter likewise (`execve(2)`), and what `env` is told to run. The working directory is there, and so are the
//! volumes, where the user may write.

use std::collections::HashSet;

use super::CheckError;
use super::env::{self, ONE_WORD, Told};
use super::problem::{Start, directory};
use crate::definition::Image;
use crate::definition::quote::{exact, quoted};
use crate::linker::machine;
use crate::rootfs::union::is_file;
use crate::rootfs::{Origin, View};
use dlstore_formats::elf::Header;
use dlstore_ingest::start::Start as Begins;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Meta, Node};

/// What runtimes search where an image says nothing.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most interpreters of interpreters, as Linux does (`exec_binprm`, `fs/exec.c`).
const MOST_SCRIPTS: usize = 5;
/// What `env` searches without `PATH`: what every C library does (`execvp(3)`).
const BARE_PATH: &str = "/bin:/usr/bin";
const WRITE_AND_SEARCH: u16 = 0o3;
const EXECUTE: u16 = 0o1;
const READ: u16 = 0o4;

/// Gives what is wrong with how an image runs. Of files in `foreign` it is said already that they are for another machine.
///
/// # Errors
/// When no account has the user's name.
pub(super) fn problems(
    image: &Image,
    arch: Arch,
    view: &View<'_>,
    foreign: &HashSet<TreePath>,
) -> Result<Vec<Start>, CheckError> {
    let config = &image.config;
    let user = match &config.user {
        Some(name) => image.ids(name).ok_or_else(|| CheckError::User(name.clone()))?,
        None => (0, 0),
    };
    let start = Starter { config, arch, view, user, foreign };
    let mut found = Vec::new();
    let first = [("entrypoint", &config.entrypoint), ("cmd", &config.cmd)];
    if let Some((key, word)) = first.into_iter().find_map(|(key, words)| Some((key, words.first()?)))
        && let Err(why) = start.command(word.as_bytes(), 0)
    {
        let file = start.not_executable(word.as_bytes());
        let hint = file.and_then(|file| executable_mode(image, view, &file));
        found.push(Start { key, word: word.clone(), why, hint });
    }
    if let Some(word) = config.workdir.as_ref().filter(|word| word.as_str() != "/")
        && let Err(why) = start.entered(word)
    {
        // One that is there and that the user may not enter is not made by listing it.
        let hint = path_of(word).filter(|path| !view.leads(path)).and_then(|path| directory(&path, None));
        found.push(Start { key: "workdir", word: word.clone(), why, hint });
    }
    for word in &config.volumes {
        let why = match start.directory(word) {
            Ok(meta) if !may(user, meta, WRITE_AND_SEARCH) => format!("{} may not write to it", start.who()),
            Ok(meta) if !may(user, meta, READ) => format!("{} may not list what is in it", start.who()),
            Ok(_) => continue,
            Err(why) => why,
        };
        let owner = config.user.as_deref().filter(|_| user.0 != 0);
        let is_reached = |path: &TreePath| view.follow(path).is_none_or(|at| start.reaches(&at));
        let hint = path_of(word).filter(is_reached).and_then(|path| directory(&path, owner));
        found.push(Start { key: "volumes", word: word.clone(), why, hint });
    }
    Ok(found)
}

/// Whoever would start the image.
struct Starter<'v, 'r> {
    config: &'v Config,
    arch: Arch,
    view: &'v View<'r>,
    user: (u32, u32),
    foreign: &'v HashSet<TreePath>,
}

impl Starter<'_, '_> {
    /// Checks that a command can be run; else says why not.
    fn command(&self, word: &[u8], scripts: usize) -> Result<(), String> {
        if word.contains(&b'/') {
            return self.program(&self.below_workdir(word).ok_or("it is not in the image")?, scripts);
        }
        let path = search_path(self.config);
        let mut why = format!("not found in PATH {}", Escaped::text(path));
        let mut is_first = true;
        for directory in path.split(':') {
            let at = self.below_workdir(&[directory.as_bytes(), b"/./", word].concat());
            let Some(at) = at.filter(|at| self.view.follow(at).is_some()) else { continue };
            // What may not be executed is passed over.
            match self.executable(&at) {
                Ok(file) => return self.content(&file, scripts),
                Err(what) if is_first => (why, is_first) = (format!("{at} {what}"), false),
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Finds the file that a command would be, were the user allowed to execute it.
    fn not_executable(&self, word: &[u8]) -> Option<TreePath> {
        let path = if word.contains(&b'/') { "" } else { search_path(self.config) };
        let places = path.split(':').map(|directory| match directory {
            "" => self.below_workdir(word),
            directory => self.below_workdir(&[directory.as_bytes(), b"/", word].concat()),
        });
        places.flatten().filter_map(|at| self.view.follow(&at)).find(|file| {
            let Some(slot) = self.view.rootfs().get(file) else { return false };
            let meta = slot.entry.meta;
            is_file(slot.entry) && (!may(self.user, meta, EXECUTE | READ) || meta.mode & 0o111 == 0)
        })
    }

    fn program(&self, at: &TreePath, scripts: usize) -> Result<(), String> {
        let file = self.executable(at).map_err(|what| format!("{at} {what}"))?;
        self.content(&file, scripts)
    }

    /// Finds the file that a path leads to, which the user may execute; else what is wrong with it.
    fn executable(&self, at: &TreePath) -> Result<TreePath, &'static str> {
        let file = self.view.follow(at).ok_or("is not in the image")?;
        let slot = self.view.rootfs().get(&file).ok_or("is a directory")?;
        match &slot.entry.node {
            Node::File { .. } | Node::HardLink { .. } => {}
            Node::Directory => return Err("is a directory"),
            _ => return Err("is not a file"),
        }
        // Root may do all but execute what nobody may execute.
        if !may(self.user, slot.entry.meta, EXECUTE) || slot.entry.meta.mode & 0o111 == 0 {
            return Err("cannot be executed by the user of the image");
        }
        if !self.reaches(&file) {
            return Err("is in a directory that the user of the image may not enter");
        }
        Ok(file)
    }

    /// Checks that a kernel can run what a file holds.
    fn content(&self, file: &TreePath, scripts: usize) -> Result<(), String> {
        if let Some(elf) = self.view.elf(file) {
            self.machine(file, elf.header())?;
            // One that is not there is missing like a library.
            let interpreter = elf.interpreter.as_deref().and_then(|name| self.below_workdir(name));
            let Some(at) = interpreter.filter(|at| self.view.follow(at).is_some()) else { return Ok(()) };
            let loader = self.executable(&at).map_err(|what| format!("its interpreter {at} {what}"))?;
            return self.loader(&loader).map_err(|why| format!("its interpreter {why}"));
        }
        let line = match self.view.starts().get(self.view.name_of_file(file)) {
            Some(Begins::Script(line)) => line,
            Some(Begins::Elf { why, .. }) => return Err(format!("{file} cannot be run: {why}")),
            None => return Err(format!("{file} is neither an ELF program nor a script starting with #!")),
        };
        // The kernel needs no permission to read a script; whoever interprets it does.
        if self.view.rootfs().get(file).is_some_and(|slot| !may(self.user, slot.entry.meta, READ)) {
            return Err(format!("{file} is a script that the user of the image may not read"));
        }
        let (interpreter, argument) = words_of(line);
        if interpreter.is_empty() {
            return Err(format!("{file} has no interpreter after #!"));
        }
        if scripts == MOST_SCRIPTS {
            return Err(format!("{file} needs more than {MOST_SCRIPTS} interpreters, one for the other"));
        }
        let shown = Escaped::bytes(interpreter);
        let at = self
            .below_workdir(interpreter)
            .ok_or_else(|| format!("{file} needs {shown}, which is not in the image"))?;
        self.program(&at, scripts + 1).map_err(|why| format!("{file} needs {shown}: {why}"))?;
        if at.name() != b"env" {
            return Ok(());
        }
        if env::is_split(argument) && self.view.follow(&at).is_some_and(|file| file.name() == b"busybox") {
            return Err(format!("{file} needs env -S, which busybox does not have"));
        }
        let Told { program, path, directory } = env::told(argument).map_err(|why| format!("{file} {why}"))?;
        let Some(program) = program else { return Ok(()) };
        let mut config = self.config.clone();
        if let Some(path) = path {
            let path = if path.is_empty() { BARE_PATH.to_owned() } else { String::from_utf8_lossy(&path).into_owned() };
            config.env.insert("PATH".to_owned(), path);
        }
        if let Some(directory) = directory.and_then(|word| self.below_workdir(&word)) {
            config.workdir = Some(directory.to_string());
        }
        let is_spaced = program.contains(&b' ') && program == argument;
        let hint = if is_spaced { format!(" ({ONE_WORD})") } else { String::new() };
        let then = Starter { config: &config, ..*self };
        then.command(&program, scripts + 1)
            .map_err(|why| format!("{file} needs {}: {why}{hint}", Escaped::bytes(&program)))
    }

    /// Checks that a kernel can load a file as the interpreter of another.
    fn loader(&self, file: &TreePath) -> Result<(), String> {
        if let Some(elf) = self.view.elf(file) {
            return self.machine(file, elf.header());
        }
        match self.view.starts().get(self.view.name_of_file(file)) {
            Some(Begins::Elf { why, .. }) => Err(format!("{file} cannot be loaded: {why}")),
            _ => Err(format!("{file} is not an ELF file")),
        }
    }

    /// Checks that a file which was read is for the machine, unless that is said of it already: whoever waived that
    /// said that the image does not run it.
    fn machine(&self, file: &TreePath, header: Header) -> Result<(), String> {
        if machine::runs(self.arch, header) || self.foreign.contains(self.view.name_of_file(file)) {
            return Ok(());
        }
        Err(format!("{file} is built for {}", machine::name(header)))
    }

    /// Says whether the user may search all directories above a path that has no links in it.
    fn reaches(&self, path: &TreePath) -> bool {
        let is_searched = |directory: TreePath| {
            self.view.rootfs().get(&directory).is_none_or(|slot| may(self.user, slot.entry.meta, EXECUTE))
        };
        path.ancestors().all(is_searched)
    }

    /// Checks that the user may make a directory the working one; else says why not.
    fn entered(&self, word: &str) -> Result<(), String> {
        let meta = self.directory(word)?;
        if may(self.user, meta, EXECUTE) { Ok(()) } else { Err(format!("{} may not enter it", self.who())) }
    }

    fn who(&self) -> Escaped<'_> {
        Escaped::text(self.config.user.as_deref().unwrap_or("root"))
    }

    /// Gives the metadata of a directory that the user reaches; else says what is wrong with it.
    fn directory(&self, word: &str) -> Result<Meta, String> {
        let path = path_of(word).filter(|path| self.view.leads(path)).ok_or("it is not in the image")?;
        // A link may lead to the root.
        let Some(at) = self.view.follow(&path) else { return Ok(Meta::DIRECTORY) };
        if !self.reaches(&at) {
            return Err(format!("it is in a directory that {} may not enter", self.who()));
        }
        match self.view.rootfs().get(&at) {
            // Nobody lists it, and something lies in it.
            None => Ok(Meta::DIRECTORY),
            Some(slot) if slot.entry.is_directory() => Ok(slot.entry.meta),
            Some(_) => Err("it is not a directory".to_owned()),
        }
    }

    /// Gives the path of a word that has a slash in it.
    fn below_workdir(&self, word: &[u8]) -> Option<TreePath> {
        let directory = self.config.workdir.as_deref().unwrap_or("/").as_bytes();
        let whole = if word.starts_with(b"/") { word.to_vec() } else { [directory, b"/", word].concat() };
        path_of_bytes(&whole)
    }
}

/// Takes the interpreter and its argument out of what stands behind `#!`, as a kernel does: blanks are spaces and tabs.
fn words_of(line: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let without = |line: &'_ [u8]| line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let line = &line[without(line)..];
    let line = &line[..line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |at| at + 1)];
    let (interpreter, rest) = line.split_at(line.iter().position(is_blank).unwrap_or(line.len()));
    (interpreter, &rest[without(rest)..])
}

/// Gives what a definition would say so that its own file can be run; what a directory brings has its mode from the host.
fn executable_mode(image: &Image, view: &View<'_>, file: &TreePath) -> Option<String> {
    let part = &view.rootfs().parts()[view.rootfs().get(file)?.owner];
    let Origin::Definition(_) = part.origin else { return None };
    let spec = image.levels[part.level].files.iter().find(|spec| spec.path == *file)?;
    let key = quoted(&exact(&spec.path)?);
    Some(format!("write mode = \"0755\" into files.{key}"))
}

fn path_of(word: &str) -> Option<TreePath> {
    path_of_bytes(word.as_bytes())
}

/// Gives an absolute path; `None` when that is the root.
fn path_of_bytes(bytes: &[u8]) -> Option<TreePath> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    TreePath::new(&names.join(&b'/')).ok()
}

/// Gives the directories in which a command is looked for, with colons between them.
pub(crate) fn search_path(config: &Config) -> &str {
    config.env.get("PATH").map_or(USUAL_PATH, String::as_str)
}

/// Says whether a user with a group may execute a file that anybody may, or search a directory.
pub(crate) fn may_execute(user: (u32, u32), meta: Meta) -> bool {
    may(user, meta, EXECUTE)
}

/// Says whether a user with a group may do all of `bits`; root may.
fn may((uid, gid): (u32, u32), meta: Meta, bits: u16) -> bool {
    let shift = match () {
        () if uid == 0 => return true,
        () if meta.uid == uid => 6,
        () if meta.gid == gid => 3,
        () => 0,
    };
    (meta.mode >> shift) & bits == bits
}
