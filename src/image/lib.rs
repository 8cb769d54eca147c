//! Images: from a definition and packages to layers and documents.
//!
//! ```text
//! definition ► rootfs ► linker ► fixup ► check ► compose     each uses only what stands before it
//!         │                        ▲               ▲
//!         │                     embedded           │           the data in the program
//!         └──► choice ─────────────────────────────┘           which packages
//! ```
//!
//! A definition says what an image is to be. A rootfs is what its packages and own files make together; the linker
//! knows who finds which library in it; fix-ups make what the scripts of packages would have left behind; checks say
//! whether it runs. Composing is all of it, with what is remembered, cut into layers and written as documents by
//! `dlstore_oci`.

#![forbid(unsafe_code)]

pub mod check;
pub mod choice;
pub mod compose;
pub mod definition;
pub mod embedded;
pub mod fixup;
pub mod linker;
pub mod rootfs;
