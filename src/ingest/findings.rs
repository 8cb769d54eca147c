//! What later steps need to know of a package's files, taken from each file as it passes.
//!
//! There is one way for all inputs: a member of an archive and a file of the host go through
//! [`Findings::take`], so the same content gives the same facts however it came. [`Findings::rename`]
//! brings them under the names that a tree gives the files of a hard-link group.
//!
//! A package is foreign, so what is kept has budgets for the package as a whole: beyond them it is
//! refused. What is not understood is said in a note, and notes have a bound too.

use std::collections::BTreeMap;

use super::IngestError;
use super::facts::{MAX_TEXT, Texts, is_text};
use super::start::{Look, Start, Starts};
use dlstore_formats::elf::{Elf, Source};
use dlstore_formats::package::PackageError;
use dlstore_model::path::TreePath;

/// Bytes of all texts of one package: the bundle of all certificates and each by itself are 0.5 MB.
pub const TEXT_BYTES: u64 = 4 << 20;
/// Memory of all names in the ELF files of one package: those of the largest take about 1 MB.
pub const ELF_NAMES: usize = 8 << 20;
/// Memory of how the files of one package begin: for a package with all names of `/usr/bin` some MB.
pub const START_BYTES: usize = 16 << 20;
/// Memory that one of them takes beside its bytes.
const START_COST: usize = 96;
/// Memory of the extended attributes that a package keeps, those of hard links counted for each name.
pub const XATTR_COST: usize = 8 << 20;
/// Notes of one package that are said; the others are counted.
pub const NOTES: usize = 20;

/// What was left out or not understood, for people: the first few, and how many more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    first: Vec<String>,
    more: usize,
}

impl Notes {
    /// Adds one; it is made only when it will be said.
    pub fn add(&mut self, note: impl FnOnce() -> String) {
        if self.first.len() < NOTES {
            self.first.push(note());
        } else {
            self.more += 1;
        }
    }

    /// Gives them as lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        let mut lines = self.first;
        match self.more {
            0 => {}
            1 => lines.push("1 more note".to_owned()),
            more => lines.push(format!("{more} more notes")),
        }
        lines
    }
}

/// What was found in the files of one package.
#[derive(Default)]
pub struct Findings {
    /// Its ELF files.
    pub elf: BTreeMap<TreePath, Elf>,
    /// Its texts that fix-ups read.
    pub texts: Texts,
    /// How those begin that a kernel may run and that are none which were read.
    pub starts: Starts,
    /// What was not understood.
    pub notes: Notes,
    names: usize,
    text_bytes: u64,
    start_bytes: usize,
}

impl Findings {
    /// Looks at one file of `size` bytes; `also_text` says that another name of it is one of a text.
    ///
    /// # Errors
    /// When a budget of the package is spent, or a text cannot be read.
    pub fn take(
        &mut self,
        path: &TreePath,
        size: u64,
        also_text: bool,
        source: &dyn Source,
    ) -> Result<(), IngestError> {
        match Look::at(source, size) {
            Look::Elf(found) => {
                for problem in found.problems {
                    self.notes.add(|| format!("{path}: {problem}"));
                }
                self.names += found.elf.names_cost();
                if self.names > ELF_NAMES {
                    return Err(limit("the length of all names in ELF files", ELF_NAMES as u64));
                }
                self.elf.insert(path.clone(), found.elf);
            }
            Look::Start(start) => {
                if let Start::Elf { why, is_damaged: true, .. } = &start {
                    let note = || format!("{path}: the ELF file cannot be read, so what it needs is not known: {why}");
                    self.notes.add(note);
                }
                self.start_bytes += path.as_bytes().len() + start.text_length() + START_COST;
                if self.start_bytes > START_BYTES {
                    return Err(limit("the total length of the scripts' first lines", START_BYTES as u64));
                }
                self.starts.insert(path.clone(), start);
            }
            Look::Other => {}
        }
        if !is_text(path) && !also_text {
            return Ok(());
        }
        if size > MAX_TEXT {
            self.notes
                .add(|| format!("{path}: not read, its {size} bytes exceed the limit of {MAX_TEXT} for such a text"));
            return Ok(());
        }
        self.text_bytes += size;
        if self.text_bytes > TEXT_BYTES {
            return Err(limit("the length of all texts that are read for images", TEXT_BYTES));
        }
        let text = source.bytes(0, size).ok_or_else(|| {
            let message = format!("{path} changed while it was read");
            IngestError::Package(PackageError::Content(message))
        })?;
        self.texts.insert(path.clone(), text.into_owned());
        Ok(())
    }

    /// Brings what was found at the name of a file in its archive under the names that count: an ELF
    /// file and a script under the first name of its hard-link group, a text under each of them that a fix-up reads.
    ///
    /// # Errors
    /// When the budget of texts is spent.
    pub fn rename(&mut self, file: &TreePath, names: &[TreePath]) -> Result<(), IngestError> {
        let Some(first) = names.first() else { return Ok(()) };
        if let Some(elf) = self.elf.remove(file) {
            self.elf.insert(first.clone(), elf);
        }
        if let Some(start) = self.starts.remove(file) {
            self.starts.insert(first.clone(), start);
        }
        if let Some(text) = self.texts.remove(file) {
            self.text_bytes -= text.len() as u64;
            for name in names.iter().filter(|name| is_text(name)) {
                self.text_bytes += text.len() as u64;
                if self.text_bytes > TEXT_BYTES {
                    return Err(limit("the length of all texts that are read for images", TEXT_BYTES));
                }
                self.texts.insert(name.clone(), text.clone());
            }
        }
        Ok(())
    }
}

/// Makes the error of a budget that is spent.
#[must_use]
pub fn limit(what: &'static str, limit: u64) -> IngestError {
    PackageError::Limit { what, limit }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_twenty_notes_are_said_and_the_others_counted() {
        let mut notes = Notes::default();
        for at in 0..NOTES {
            notes.add(|| at.to_string());
        }
        assert_eq!(notes.clone().into_lines().len(), NOTES);
        for _ in 0..5 {
            notes.add(|| unreachable!("a note that is not said is not made"));
        }
        let lines = notes.into_lines();
        assert_eq!((lines.len(), lines[NOTES].as_str()), (NOTES + 1, "5 more notes"));
    }

    #[test]
    fn a_text_is_whole_or_a_note_that_names_path_and_limit() {
        let mut found = Findings::default();
        let text = vec![b'x'; 1 << 20];
        found.take(&path("etc/passwd"), MAX_TEXT, false, &text.as_slice()).unwrap();
        assert_eq!(found.texts[&path("etc/passwd")].len(), 1 << 20);
        found.take(&path("etc/group"), MAX_TEXT + 1, false, &text.as_slice()).unwrap();
        assert_eq!(found.texts.len(), 1);
        let note = "/etc/group: not read, its 1048577 bytes exceed the limit of 1048576 for such a text";
        assert_eq!(found.notes.into_lines(), [note]);
    }

    #[test]
    fn texts_and_elf_names_have_a_budget_for_the_package() {
        let mut found = Findings::default();
        let text = vec![b'x'; 1 << 20];
        let mut take =
            |at: usize| found.take(&path(&format!("etc/ld.so.conf.d/{at}")), MAX_TEXT, false, &text.as_slice());
        assert!((0..4).all(|at| take(at).is_ok()));
        let long = take(4).unwrap_err().to_string();
        assert_eq!(long, "the length of all texts that are read for images exceeds the limit of 4194304");
    }

    #[test]
    fn an_elf_file_that_cannot_be_read_is_a_note_and_an_object_is_none() {
        let mut found = Findings::default();
        let mut object = vec![0; 64];
        object[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        object[16] = 1;
        object[20] = 1;
        let mut program = object.clone();
        program[16] = 2;
        for (at, bytes) in [
            ("a.o", object.as_slice()),
            ("cut.o", &object[..20]),
            ("cut", &program[..20]),
            ("text", b"hello"),
            ("bare", b"\x7fELF"),
        ] {
            found.take(&path(at), bytes.len() as u64, false, &bytes).unwrap();
        }
        assert!(found.elf.is_empty());
        let notes = found.notes.into_lines();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].starts_with("/cut: the ELF file cannot be read") && notes[1].starts_with("/bare: "),
            "{notes:?}"
        );
    }
}
