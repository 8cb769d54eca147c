//! What an image runs: that it is there, and that the image's user may run it.
//!
//! The first word of `entrypoint`, else of `cmd`, is looked for as a runtime does it (`execvp(3)`): by the image's own
//! `PATH`, or by the path that it is. It must be a file that the user may execute, an ELF file or a script; a script's
//! interpreter likewise (`execve(2)`), and what `env` is told to run. A program's libraries are where the user may read
//! them (`reading`). The working directory is there, and so are the volumes, where the user may write.

use std::cell::RefCell;
use std::collections::HashSet;

use super::CheckError;
use super::env::{self, ONE_WORD, Told};
use super::lines;
use super::problem::RunKey;
use super::reading::{self, Unread};
use super::way::{self, EXECUTE, READ, ROOT, Refused, User, WRITE_AND_SEARCH, may};
use crate::definition::Image;
use crate::linker::libraries::Libraries;
use crate::linker::machine;
use crate::rootfs::union::is_file;
use crate::rootfs::{Rootfs, View};
use dlstore_formats::elf::Elf;
use dlstore_ingest::start::Start;
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

/// Gives what is wrong with how an image runs. Of files in `foreign` it is said already that they are for another machine.
///
/// # Errors
/// When no account has the user's name.
pub(super) fn problems(
    image: &Image,
    arch: Arch,
    view: &View<'_>,
    libraries: &Libraries<'_>,
    foreign: &HashSet<TreePath>,
) -> Result<Vec<RunKey>, CheckError> {
    let config = &image.config;
    let user = match &config.user {
        Some(name) => CheckError::user_of(image, name)?,
        None => ROOT,
    };
    let unread = RefCell::default();
    let start = Starter { config, arch, view, libraries, user, foreign, unread: &unread };
    let line = |path: &[&str]| image.key_line(path)?.line().cloned();
    let mut found = Vec::new();
    let first = [("entrypoint", &config.entrypoint), ("cmd", &config.cmd)];
    if let Some((key, word)) = first.into_iter().find_map(|(key, words)| Some((key, words.first()?)))
        && let Err(why) = start.command(word.as_bytes(), 0)
    {
        let file = start.not_executable(word.as_bytes());
        let hint = match unread.take() {
            Some(library) => lines::mode(image, view, &library, "0644"),
            None => file.and_then(|file| lines::mode(image, view, &file, "0755")),
        };
        found.push(RunKey { line: line(&[key]), key, word: word.clone(), why, hint });
    }
    if let Some(word) = config.workdir.as_ref().filter(|word| word.as_str() != "/")
        && let Err(why) = start.entered(word)
    {
        // One that is there and that the user may not enter is not made by listing it.
        let hint = path_of(word).filter(|path| !view.leads(path));
        let hint = hint.and_then(|path| lines::directory(image, view, user, &path, None));
        found.push(RunKey { line: line(&["workdir"]), key: "workdir", word: word.clone(), why, hint });
    }
    for word in &config.volumes {
        let why = match start.directory(word) {
            Ok(meta) if !may(user, meta, WRITE_AND_SEARCH) => format!("{} cannot write to it", start.who()),
            Ok(meta) if !may(user, meta, READ) => format!("{} cannot list its contents", start.who()),
            Ok(_) => continue,
            Err(why) => why,
        };
        let owner = config.user.as_deref().filter(|_| user.0 != 0);
        let hint = path_of(word).and_then(|path| lines::directory(image, view, user, &path, owner));
        found.push(RunKey { line: line(&["volumes", word]), key: "volumes", word: word.clone(), why, hint });
    }
    Ok(found)
}

/// Whoever would start the image.
struct Starter<'v, 'r, 'l> {
    config: &'v Config,
    arch: Arch,
    view: &'v View<'r>,
    libraries: &'v Libraries<'l>,
    user: User,
    foreign: &'v HashSet<TreePath>,
    /// A library that the user may not read, when that is why something does not start.
    unread: &'v RefCell<Option<TreePath>>,
}

impl Starter<'_, '_, '_> {
    /// Checks that a command can be run; else says why not.
    fn command(&self, word: &[u8], scripts: usize) -> Result<(), String> {
        if word.contains(&b'/') {
            return self.program(&self.below_workdir(word), scripts);
        }
        let path = search_path(self.config);
        let mut why = format!("not found in PATH {}", Escaped::text(path));
        let mut is_first = true;
        for directory in path.split(':') {
            // Nothing between two colons is the working directory.
            let directory = if directory.is_empty() { "." } else { directory };
            let at = self.below_workdir(&[directory.as_bytes(), b"/", word].concat());
            // What may not be executed is passed over.
            match self.executable(&at) {
                Ok(file) => return self.content(&file, scripts),
                Err(Refused::Nowhere) => {}
                Err(what) if is_first => (why, is_first) = (format!("{} {what}", at.shown()), false),
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
        places.filter_map(|at| way::go(self.view, ROOT, &at.0).ok()?).find(|file| {
            let Some(slot) = self.view.rootfs().get(file) else { return false };
            let meta = slot.entry.meta;
            is_file(slot.entry) && (!may(self.user, meta, EXECUTE | READ) || meta.mode & 0o111 == 0)
        })
    }

    fn program(&self, at: &Word, scripts: usize) -> Result<(), String> {
        let file = self.executable(at).map_err(|what| format!("{} {what}", at.shown()))?;
        self.content(&file, scripts)
    }

    /// Finds the file that a path leads to, which the user may execute; else what is wrong with it.
    fn executable(&self, at: &Word) -> Result<TreePath, Refused> {
        let file = self.go(&at.0)?.ok_or(Refused::Directory)?;
        let slot = self.view.rootfs().get(&file).ok_or(Refused::Directory)?;
        match &slot.entry.node {
            Node::File { .. } | Node::HardLink { .. } => {}
            Node::Directory => return Err(Refused::Directory),
            _ => return Err(Refused::NoFile),
        }
        // Root may do all but execute what nobody may execute.
        if !may(self.user, slot.entry.meta, EXECUTE) || slot.entry.meta.mode & 0o111 == 0 {
            return Err(Refused::Mode);
        }
        Ok(file)
    }

    /// Goes where the user goes from the root along a path; none is the root.
    fn go(&self, path: &[u8]) -> Result<Option<TreePath>, Refused> {
        way::go(self.view, self.user, path)
    }

    /// Checks that a kernel can run what a file holds.
    fn content(&self, file: &TreePath, scripts: usize) -> Result<(), String> {
        if let Some(elf) = self.view.elf(file) {
            self.machine(file, elf)?;
            if !elf.has_entry {
                return Err(format!("{file} cannot be run: it has no entry point"));
            }
            let Some(at) = elf.interpreter.as_deref().map(|name| self.below_workdir(name)) else { return Ok(()) };
            // One that is not there, or is no loader, is missing like a library.
            return match self.executable(&at) {
                Err(Refused::Nowhere) => Ok(()),
                Err(what) => Err(format!("its interpreter {} {what}", at.shown())),
                Ok(_) => self.loaded(file),
            };
        }
        let line = match self.view.starts().get(self.view.name_of_file(file)) {
            Some(Start::Script(line)) => line,
            Some(Start::Elf { why, .. }) => return Err(format!("{file} cannot be run: {why}")),
            None => return Err(format!("{file} is neither an ELF program nor a script starting with #!")),
        };
        // The kernel needs no permission to read a script; whoever interprets it does.
        if self.view.rootfs().get(file).is_some_and(|slot| !may(self.user, slot.entry.meta, READ)) {
            return Err(format!("{file} is a script that the image's user cannot read"));
        }
        let (interpreter, argument) = words_of(line);
        if interpreter.is_empty() {
            return Err(format!("{file} has no interpreter after #!"));
        }
        if scripts == MOST_SCRIPTS {
            return Err(format!("{file} has more than {MOST_SCRIPTS} nested interpreters"));
        }
        let shown = Escaped::bytes(interpreter);
        let at = self.below_workdir(interpreter);
        self.program(&at, scripts + 1).map_err(|why| format!("{file} needs {shown}: {why}"))?;
        match interpreter.rsplit(|byte| *byte == b'/').next() {
            Some(b"env") => {}
            Some(name) if name.starts_with(b"busybox") => {
                return env::applet(argument).map_err(|why| format!("{file} {why}"));
            }
            _ => return Ok(()),
        }
        if env::is_split(argument)
            && self.go(&at.0).is_ok_and(|file| file.is_some_and(|file| file.name() == b"busybox"))
        {
            return Err(format!("{file} needs env -S, which busybox does not have"));
        }
        let Told { program, path, directory } = env::told(argument).map_err(|why| format!("{file} {why}"))?;
        let Some(program) = program else { return Ok(()) };
        let mut config = self.config.clone();
        if let Some(path) = path {
            let path = if path.is_empty() { BARE_PATH.to_owned() } else { String::from_utf8_lossy(&path).into_owned() };
            config.env.insert("PATH".to_owned(), path);
        }
        if let Some(word) = directory {
            let at = self.below_workdir(&word).shown();
            self.entered(&at)
                .map_err(|why| format!("{file} changes to the directory {}: {why}", Escaped::bytes(&word)))?;
            config.workdir = Some(at);
        }
        let is_spaced = program.contains(&b' ') && program == argument;
        let hint = if is_spaced { format!(" ({ONE_WORD})") } else { String::new() };
        let then = Starter { config: &config, ..*self };
        then.command(&program, scripts + 1)
            .map_err(|why| format!("{file} needs {}: {why}{hint}", Escaped::bytes(&program)))
    }

    /// Checks that the loader of a program may read the libraries that are loaded with it.
    fn loaded(&self, file: &TreePath) -> Result<(), String> {
        let unread = reading::unread(self.view, self.libraries, self.user, file);
        let unread = unread.map_err(|spent| format!("loading the libraries of {file} {spent}"))?;
        let Some(Unread { by, name, place, why }) = unread else { return Ok(()) };
        if why == Refused::Unread {
            self.unread.replace(way::go(self.view, ROOT, &place).ok().flatten());
        }
        Err(format!("{by} needs {}: {} {why}", Escaped::bytes(&name), Escaped::bytes(&place)))
    }

    /// Checks that a file which was read is for the machine, unless that is said of it already: whoever waived that
    /// said that the image does not run it.
    fn machine(&self, file: &TreePath, elf: &Elf) -> Result<(), String> {
        if machine::runs_file(self.arch, elf) || self.foreign.contains(self.view.name_of_file(file)) {
            return Ok(());
        }
        Err(format!("{file} was built for {}", machine::name_of_file(elf)))
    }

    /// Checks that the user may make a directory the working one; else says why not.
    fn entered(&self, word: &str) -> Result<(), String> {
        let meta = self.directory(word)?;
        if may(self.user, meta, EXECUTE) { Ok(()) } else { Err(format!("{} cannot enter it", self.who())) }
    }

    fn who(&self) -> Escaped<'_> {
        Escaped::text(self.config.user.as_deref().unwrap_or("root"))
    }

    /// Gives the metadata of a directory that the user reaches; else says what is wrong with it.
    fn directory(&self, word: &str) -> Result<Meta, String> {
        let found = self.go(word.as_bytes()).map_err(|what| match what {
            Refused::Closed => format!("it is in a directory that {} cannot enter", self.who()),
            Refused::NoDirectory => "it is not a directory".to_owned(),
            what => format!("it {what}"),
        });
        let Some(at) = found? else { return Ok(Meta::DIRECTORY) };
        match self.view.rootfs().get(&at) {
            // Nobody lists it, and something lies in it.
            None => Ok(Meta::DIRECTORY),
            Some(slot) if slot.entry.is_directory() => Ok(slot.entry.meta),
            Some(_) => Err("it is not a directory".to_owned()),
        }
    }

    /// Gives where a word with a slash in it leads from the working directory.
    fn below_workdir(&self, word: &[u8]) -> Word {
        let directory = self.config.workdir.as_deref().unwrap_or("/").as_bytes();
        Word(if word.starts_with(b"/") { word.to_vec() } else { [directory, b"/", word].concat() })
    }
}

/// A path from the root, as it is written.
struct Word(Vec<u8>);

impl Word {
    /// Gives it without what says nothing.
    fn shown(&self) -> String {
        path_of_bytes(&self.0).map_or_else(|| "/".to_owned(), |path| path.to_string())
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

/// Says whether a script tells `env` more than a name, so that what it runs may be looked for where the image says nothing
/// of it.
pub(crate) fn may_look_elsewhere(rootfs: &Rootfs) -> bool {
    let is_told = |line: &[u8]| {
        let (interpreter, argument) = words_of(line);
        interpreter.ends_with(b"/env") && (argument.starts_with(b"-") || argument.contains(&b'='))
    };
    View::new(rootfs).starts().values().any(|start| matches!(start, Start::Script(line) if is_told(line)))
}

/// Gives the directories in which a command is looked for, with colons between them.
pub(crate) fn search_path(config: &Config) -> &str {
    config.env.get("PATH").map_or(USUAL_PATH, String::as_str)
}

/// Says whether a user with a group may execute a file that anybody may, or search a directory.
pub(crate) fn may_execute(user: User, meta: Meta) -> bool {
    may(user, meta, EXECUTE)
}
