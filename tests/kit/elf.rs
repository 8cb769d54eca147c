//! Programs and shared libraries of a few hundred bytes: what a loader looks at, and nothing to run.
//!
//! ```text
//! ELF header · PT_LOAD · PT_DYNAMIC · PT_INTERP · dynamic section · interpreter · versions · strings
//! ```
//! The file is mapped at address 0, so an address is an offset. Class, byte order and machine are those of the
//! architecture. References: System V gABI, chapters 4 and 5; for versions of symbols Linux Standard Base, Core, 10.7.

/// `e_machine`, `e_flags`, whether it has 64 bits, whether it is big-endian; by Debian's name of the architecture.
fn machine(arch: &str) -> (u16, u32, bool, bool) {
    match arch {
        "i386" => (3, 0, false, false),
        "amd64" => (62, 0, true, false),
        "arm64" => (183, 0, true, false),
        "armel" => (40, 0x0500_0200, false, false),
        "armhf" => (40, 0x0500_0400, false, false),
        "ppc64el" => (21, 2, true, false),
        "riscv64" => (243, 5, true, false),
        "s390x" => (22, 0, true, true),
        "xtensa" => (94, 0, false, false),
        "x32" => (62, 0, false, false),
        other => panic!("there is no small ELF file for {other}"),
    }
}

/// What a small ELF file says of itself.
#[derive(Debug, Default, Clone)]
pub struct Elf<'e> {
    /// What it calls itself.
    pub soname: Option<&'e str>,
    /// SONAMEs that it asks for.
    pub needed: &'e [&'e str],
    /// Where it has its libraries looked for first, with colons between: its run path.
    pub search: Option<&'e str>,
    /// The same in its older form, which is for what its libraries need too.
    pub inherited: Option<&'e str>,
    /// The loader; a file that has one is a program.
    pub interpreter: Option<&'e str>,
    /// Versions of symbols: library, version, whether it may be absent.
    pub requires: &'e [(&'e str, &'e str, bool)],
    /// Versions of symbols that it has.
    pub defines: &'e [&'e str],
}

/// A library that calls itself `soname` and asks for `needed`.
pub fn library(arch: &str, soname: &str, needed: &[&str]) -> Vec<u8> {
    Elf { soname: Some(soname), needed, ..Elf::default() }.build(arch)
}

/// A program that needs nothing.
pub fn program(arch: &str) -> Vec<u8> {
    Elf::default().build(arch)
}

impl Elf<'_> {
    /// Writes it for an architecture, by Debian's name of that.
    pub fn build(&self, arch: &str) -> Vec<u8> {
        let (machine, flags, is_64, is_big) = machine(arch);
        let number = |value: u64, width: usize| {
            let mut bytes = value.to_le_bytes()[..width].to_vec();
            if is_big {
                bytes.reverse();
            }
            bytes
        };
        let word = if is_64 { 8 } else { 4 };
        let (header, segment) = if is_64 { (64, 56) } else { (52, 32) };
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = strings.len() as u64;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let mut tags: Vec<(u64, u64)> = self.needed.iter().map(|library| (1, name(library))).collect();
        tags.extend(self.soname.map(|soname| (14, name(soname))));
        tags.extend(self.search.map(|search| (29, name(search))));
        tags.extend(self.inherited.map(|search| (15, name(search))));
        let mut required = Vec::new();
        for (at, (library, version, is_weak)) in self.requires.iter().enumerate() {
            let next = if at + 1 < self.requires.len() { 32 } else { 0 };
            for (value, width) in [(1, 2), (1, 2), (name(library), 4), (16, 4), (next, 4)] {
                required.extend(number(value, width));
            }
            for (value, width) in [(0, 4), (if *is_weak { 2 } else { 0 }, 2), (2, 2), (name(version), 4), (0, 4)] {
                required.extend(number(value, width));
            }
        }
        let mut defined = Vec::new();
        for (at, version) in self.defines.iter().enumerate() {
            let next = if at + 1 < self.defines.len() { 28 } else { 0 };
            let item =
                [(1, 2), (0, 2), (at as u64 + 1, 2), (1, 2), (0, 4), (20, 4), (next, 4), (name(version), 4), (0, 4)];
            for (value, width) in item {
                defined.extend(number(value, width));
            }
        }
        let interpreter = self.interpreter.map(|path| [path.as_bytes(), b"\0"].concat()).unwrap_or_default();
        let segments = 2 + usize::from(self.interpreter.is_some());
        let dynamic_at = header + segments * segment;
        let count = tags.len() + 3 + 2 * usize::from(!required.is_empty()) + 2 * usize::from(!defined.is_empty());
        let dynamic_size = count * 2 * word;
        let interpreter_at = dynamic_at + dynamic_size;
        let required_at = (interpreter_at + interpreter.len()).next_multiple_of(4);
        let defined_at = required_at + required.len();
        let strings_at = defined_at + defined.len();
        for (tag, at, count, bytes) in [
            (0x6fff_fffe, required_at, self.requires.len(), &required),
            (0x6fff_fffc, defined_at, self.defines.len(), &defined),
        ] {
            if !bytes.is_empty() {
                tags.extend([(tag, at as u64), (tag + 1, count as u64)]);
            }
        }
        tags.extend([(5, strings_at as u64), (10, strings.len() as u64), (0, 0)]);
        let end = strings_at + strings.len();

        let mut out = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(is_64), 1 + u8::from(is_big), 1];
        out.resize(16, 0);
        let kind = if self.interpreter.is_some() { 2 } else { 3 };
        // What has a name of its own is a library, which nobody runs but a loader.
        let is_run = self.soname.is_none_or(|name| name.starts_with("ld-") || name.starts_with("libc.musl-"));
        let entry = if is_run { dynamic_at as u64 } else { 0 };
        for (value, width) in
            [(kind, 2), (u64::from(machine), 2), (1, 4), (entry, word), (header as u64, word), (0, word)]
        {
            out.extend(number(value, width));
        }
        out.extend(number(u64::from(flags), 4));
        for value in [header, segment, segments, 0, 0, 0] {
            out.extend(number(value as u64, 2));
        }
        let mut all = vec![(1, 4, 0, end), (2, 6, dynamic_at, dynamic_size)];
        all.extend(self.interpreter.map(|_| (3, 4, interpreter_at, interpreter.len())));
        for (kind, flags, offset, size) in all {
            let (offset, size) = (offset as u64, size as u64);
            let fields = if is_64 {
                vec![(kind, 4), (flags, 4), (offset, 8), (offset, 8), (offset, 8), (size, 8), (size, 8), (8, 8)]
            } else {
                vec![(kind, 4), (offset, 4), (offset, 4), (offset, 4), (size, 4), (size, 4), (flags, 4), (8, 4)]
            };
            for (value, width) in fields {
                out.extend(number(value, width));
            }
        }
        for (tag, value) in tags {
            out.extend(number(tag, word));
            out.extend(number(value, word));
        }
        out.extend(interpreter);
        out.resize(required_at, 0);
        out.extend(required);
        out.extend(defined);
        out.extend(strings);
        out
    }
}
