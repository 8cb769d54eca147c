//! STUB
pub mod fixup;
