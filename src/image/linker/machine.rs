//! For which machine and system an ELF file is, and whether an architecture runs it.
//!
//! Machine, class and byte order are in the header of every file. On ARM it does not say for which version of the
//! architecture the code is, and a program without libraries may call functions either way; so files for 32-bit ARM
//! are taken for arm/v6 and for arm/v7. Whether those that call each other do it alike is looked at where libraries
//! are found. What names another system than Linux runs on no machine of ours.

use super::provided;
use dlstore_formats::elf::{Elf, Header, System};
use dlstore_model::arch::Arch;

/// Machines that an image may be wrongly made of, or that firmware and tools are for, by `e_machine`.
const OTHERS: [(u16, &str); 14] = [
    (2, "sparc"),
    (4, "m68k"),
    (8, "mips"),
    (20, "powerpc"),
    (21, "ppc64"),
    (22, "s390"),
    (42, "sh"),
    (43, "sparc64"),
    (50, "ia64"),
    (83, "avr"),
    (94, "xtensa"),
    (243, "riscv32"),
    (247, "bpf"),
    (258, "loongarch"),
];

/// Says whether the machines of an architecture run a file that begins so.
pub(crate) fn runs(arch: Arch, header: Header) -> bool {
    let is_arm = |arch| matches!(arch, Arch::ArmV6 | Arch::ArmV7);
    provided::arch_of_header(header).is_some_and(|of| of == arch || is_arm(of) && is_arm(arch))
}

/// Says whether the machines of an architecture, with Linux on them, run a file.
pub(crate) fn runs_file(arch: Arch, elf: &Elf) -> bool {
    elf.system == System::Linux && runs(arch, elf.header())
}

/// Gives the name of what a file is built for: its machine, after its system where that is not Linux.
pub(crate) fn name_of_file(elf: &Elf) -> String {
    let machine = name(elf.header());
    if elf.system == System::Linux { machine } else { format!("{}/{machine}", elf.system.name()) }
}

/// Gives the name of a file's machine: of an architecture of ours, else of another, else its number.
pub(crate) fn name(header: Header) -> String {
    match (provided::arch_of_header(header), header.machine) {
        // Which of the two cannot be known.
        (Some(Arch::ArmV6 | Arch::ArmV7), _) => "arm".to_owned(),
        (Some(arch), _) => arch.to_string(),
        (None, 62) => "x32".to_owned(),
        (None, 40) => "big-endian-arm".to_owned(),
        (None, 183) => "big-endian-arm64".to_owned(),
        (None, number) => {
            let known = OTHERS.iter().find(|(machine, _)| *machine == number);
            known.map_or_else(|| format!("machine-{number}"), |(_, name)| (*name).to_owned())
        }
    }
}
