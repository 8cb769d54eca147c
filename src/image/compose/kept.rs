//! The name of the root that keeps an image: what is asked for, so that two projects do not overwrite each other's
//! root.
//!
//! ```text
//! image/NAME/FLAVOR/ARCHITECTURES[+LAYERING][+COMPRESSION][+date][/PROJECT]
//!                   all, or amd64+arm64
//! ```
//!
//! What is composed again under the same name replaces what was kept: a new state of the same image. What differs in
//! the name is kept beside it: another project's image of that name, the architectures of another job of a matrix,
//! other flags. Flags are named only where they say something else than the definition. Labels, annotations and variables
//! of the command line are not named: a build that labels each image with its commit would leave a root for every commit,
//! and images that differ in nothing else have the same layers, which the last one keeps.
//!
//! A project's name may be a path. It is percent-encoded (RFC 3986, section 2.1) to be one word, and what would be too
//! long for a word is named by its BLAKE3.

use std::fmt::Write as _;

use crate::definition::{Compression, Image, Layering};
use dlstore_formats::layer::Codec;
use dlstore_model::arch::Arch;
use dlstore_model::digest::Digest;

/// Longest encoded name of a project: with the longest names of images and flavors the root's name stays valid.
const LONGEST: usize = 320;

/// Gives the name of the root that keeps what is asked for.
pub(super) fn root_name(image: &Image, wanted: &[Arch], layering: Layering, codec: Codec, date: Option<u64>) -> String {
    let mut name = format!("image/{}/{}/{}", image.name, image.flavor, architectures(image, wanted));
    if layering != image.layers {
        name.push_str(match layering {
            Layering::Grouped => "+grouped",
            Layering::Package => "+package",
            Layering::Flat => "+flat",
        });
    }
    match (codec, image.compression) {
        (Codec::Gzip, Compression::Gzip) | (Codec::Zstd, Compression::Zstd) => {}
        (Codec::Gzip, Compression::Zstd) => name.push_str("+gzip"),
        (Codec::Zstd, Compression::Gzip) => name.push_str("+zstd"),
    }
    if date.is_some() {
        name.push_str("+date");
    }
    if let Some(project) = &image.project {
        name.push('/');
        name.push_str(&word(project));
    }
    name
}

fn architectures(image: &Image, wanted: &[Arch]) -> String {
    if wanted == image.architectures {
        return "all".to_owned();
    }
    wanted.iter().map(|arch| arch.tag()).collect::<Vec<_>>().join("+")
}

/// Writes a text as one word of a root's name: letters, digits and `-._~` as they are, the rest percent-encoded.
fn word(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte == b'.' && !encoded.is_empty() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing into a string cannot fail");
        }
    }
    if encoded.len() <= LONGEST { encoded } else { format!("%{}", Digest::of(text.as_bytes()).to_hex()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_one_word_and_no_two_are_the_same() {
        for (project, encoded) in [
            ("acme", "acme"),
            ("acme/web", "acme%2Fweb"),
            ("/srv/über web", "%2Fsrv%2F%C3%BCber%20web"),
            ("..", "%2E."),
            ("a%2Fb", "a%252Fb"),
            ("v1.2_~-", "v1.2_~-"),
        ] {
            assert_eq!(word(project), encoded);
        }
        let (long, other) = (format!("/{}a", "long/".repeat(200)), format!("/{}b", "long/".repeat(200)));
        assert_eq!(word(&long).len(), 65);
        assert_ne!(word(&long), word(&other));
    }
}
