//! STUB: what matters of an ELF file.
use crate::encoding::DecodeError;
use crate::path::TreePath;

/// What an ELF file says of itself and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    pub is_64: bool,
    pub is_big_endian: bool,
    /// e_machine
    pub machine: u16,
    /// e_type: 2 ET_EXEC, 3 ET_DYN
    pub kind: u16,
    /// e_flags
    pub flags: u32,
    pub soname: Option<Vec<u8>>,
    pub needed: Vec<Vec<u8>>,
    /// DT_RUNPATH, else DT_RPATH, split at colons.
    pub search: Vec<Vec<u8>>,
    pub interpreter: Option<Vec<u8>>,
}

impl Elf {
    /// Reads an ELF file. None: it is not one, or not well-formed enough to be loaded.
    pub fn parse(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }
}

/// The fact "elf 1" of a tree: every ELF file in path order.
pub fn encode_facts(_facts: &[(TreePath, Elf)]) -> Vec<u8> {
    todo!()
}
pub fn decode_facts(_bytes: &[u8]) -> Result<Vec<(TreePath, Elf)>, DecodeError> {
    todo!()
}
