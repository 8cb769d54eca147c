//! The fix-up `ca-bundle`: all certificates in one file, `/etc/ssl/certs/ca-certificates.crt`.
//!
//! The same bytes as Debian's `update-ca-certificates` makes of the same files: each file as it is, with
//! a line end added where the last one is missing, in *bytewise* path order. (A shell's glob follows the
//! locale, and one path of ca-certificates is not ASCII: two hosts, two bundles.) Certificates of the
//! definition follow in the order of their names; they also lie in `/usr/local/share/ca-certificates`,
//! where `update-ca-certificates` would look for them.
//!
//! Every file is checked to be what it claims: PEM blocks of certificates, of well-formed base64, each
//! one DER sequence and nothing behind it. Anything else between `BEGIN` and `END` is refused, a private
//! key above all. That a certificate is to be trusted is not checked: whoever gives it says so.
//!
//! A bundle that a package ships whole (Alpine's `ca-certificates-bundle`) counts as one file.
//! Reference: RFC 7468, section 5.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::OfKey;
use super::inputs::Inputs;
use crate::definition::KeyLine;
use crate::embedded;
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};
use crate::rootfs::own::OwnCertificate;
use crate::rootfs::part::PackageView;
use dlstore_model::digest::KeyBuilder;
use dlstore_model::path::TreePath;

/// Where the bundle lies: what `SSL_CERT_FILE` of every image says.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Tells what is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    /// One that a package ships.
    #[error("{path}: {problem}")]
    Shipped {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// One of a definition.
    #[error("{problem}")]
    Own {
        /// Where the definition names it.
        key: Option<KeyLine>,
        /// What is wrong with it.
        problem: Problem,
    },
}

impl CertificateError {
    /// A bundle that a package ships and that could not be read.
    fn unreadable() -> Self {
        Self::Shipped { path: format!("/{BUNDLE}"), problem: Problem::Unreadable }
    }
}

impl OfKey for CertificateError {
    fn key(&self, _: &Inputs<'_>) -> Option<KeyLine> {
        match self {
            Self::Shipped { .. } => None,
            Self::Own { key, .. } => key.clone(),
        }
    }
}

/// Tells what is wrong, without where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// Not one PEM block.
    #[error("it contains no certificate (expected PEM text)")]
    Empty,
    /// A private key.
    #[error("it contains a private key, which must not go into an image")]
    PrivateKey,
    /// Another kind of block.
    #[error("\"BEGIN {0}\" where only certificates are allowed")]
    Label(String),
    /// A block that does not end.
    #[error("it has a BEGIN CERTIFICATE line without an END line")]
    Unfinished,
    /// Text that is not base64, or is not what DER of a certificate looks like.
    #[error("certificate {0} in it is damaged")]
    Damaged(usize),
    /// A link, or a file that is too large.
    #[error("it is not a regular file of at most 1 MiB")]
    Unreadable,
    /// A name that cannot be a file's, or one that another certificate has.
    #[error("its file name cannot be used for a certificate, or another certificate has it")]
    Name,
}

/// Makes the bundle from files of packages and from extra ones.
///
/// Names of extra certificates become `NAME.crt`; an ending `.pem`, `.crt` or `.cer` is left out first.
/// Line ends of extra ones are made `\n`. Without any certificate there is no bundle.
///
/// # Errors
/// When a file is not PEM text of certificates, or a name is unusable.
fn ca_bundle(
    certificates: &BTreeMap<&TreePath, &[u8]>,
    extra: &[OwnCertificate],
    date: u64,
) -> Result<Generated, CertificateError> {
    let mut bundle = Vec::new();
    for (path, text) in certificates {
        check(text).map_err(|problem| CertificateError::Shipped { path: path.to_string(), problem })?;
        append(&mut bundle, text);
    }
    let mut own: BTreeMap<TreePath, Vec<u8>> = BTreeMap::new();
    for OwnCertificate { name, pem: text, key } in extra {
        let error = |problem| CertificateError::Own { key: key.clone(), problem };
        let stem = [".pem", ".crt", ".cer"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        if stem.is_empty() || stem.contains('/') {
            return Err(error(Problem::Name));
        }
        let path = fixed("usr/local/share/ca-certificates").join(format!("{stem}.crt").as_bytes());
        let path = path.map_err(|_| error(Problem::Name))?;
        check(text).map_err(error)?;
        let mut lines = Vec::with_capacity(text.len() + 1);
        append(&mut lines, text);
        lines.retain(|byte| *byte != b'\r');
        if own.insert(path, lines).is_some() {
            return Err(error(Problem::Name));
        }
    }
    let mut generated = Generated::default();
    for (path, text) in own {
        append(&mut bundle, &text);
        generated.file(path, plain(date), text);
    }
    if !bundle.is_empty() {
        generated.file(fixed(BUNDLE), plain(date), bundle);
    }
    Ok(generated)
}

fn append(bundle: &mut Vec<u8>, text: &[u8]) {
    bundle.extend_from_slice(text);
    if !text.ends_with(b"\n") {
        bundle.push(b'\n');
    }
}

/// Checks that every block of a text is a certificate, and says how many there are.
fn check(text: &[u8]) -> Result<usize, Problem> {
    let mut count = 0;
    let mut block: Option<Vec<u8>> = None;
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if let Some(label) = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----")) {
            if block.is_some() {
                return Err(Problem::Unfinished);
            }
            if label.ends_with(b"PRIVATE KEY") {
                return Err(Problem::PrivateKey);
            }
            if label != b"CERTIFICATE" {
                return Err(Problem::Label(label.escape_ascii().to_string()));
            }
            block = Some(Vec::new());
        } else if line.starts_with(b"-----END ") {
            let encoded = block.take().filter(|_| line == b"-----END CERTIFICATE-----").ok_or(Problem::Unfinished)?;
            count += 1;
            let der = STANDARD.decode(encoded).map_err(|_| Problem::Damaged(count))?;
            if !is_one_sequence(&der) {
                return Err(Problem::Damaged(count));
            }
        } else if let Some(encoded) = &mut block {
            encoded.extend_from_slice(line);
        }
    }
    match (block, count) {
        (Some(_), _) => Err(Problem::Unfinished),
        (None, 0) => Err(Problem::Empty),
        (None, count) => Ok(count),
    }
}

/// Says whether bytes are exactly one DER sequence (X.690, section 8.1).
fn is_one_sequence(der: &[u8]) -> bool {
    let (length, head) = match der {
        [0x30, length @ 0..=0x7f, ..] => (usize::from(*length), 2),
        [0x30, 0x81, length, ..] => (usize::from(*length), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        [0x30, 0x83, a, b, c, ..] => (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c), 5),
        _ => return false,
    };
    length > 0 && der.len() == head + length
}

/// Makes it out of the bundle or the files of packages that may ship them, and of the definition's.
pub(super) fn run(inputs: &Inputs<'_>) -> Result<Generated, CertificateError> {
    let below = fixed("usr/share/ca-certificates");
    let bundle = fixed(BUNDLE);
    let extra = inputs.certificates;
    let may = |package: &PackageView| inputs.shippers.certificates.contains(&&*package.control.metadata.name);
    let packages: Vec<_> = inputs.rootfs.packages().filter(|(_, _, package)| may(package)).collect();
    let named = |mut made: Generated, of: BTreeSet<String>| {
        made.packages = BTreeMap::from([(fixed(BUNDLE), of)]);
        made
    };
    // A bundle that a package ships and that stands in the image is only added to.
    let shipped = inputs.rootfs.get(&bundle).map(|slot| slot.owner);
    if let Some((_, part, package)) = packages.iter().find(|(at, _, _)| shipped == Some(*at)) {
        if extra.is_empty() {
            return Ok(Generated::default());
        }
        let text = package.texts.get(&bundle).ok_or_else(CertificateError::unreadable)?;
        let certificates = BTreeMap::from([(&bundle, text.as_slice())]);
        let made = ca_bundle(&certificates, extra, package.record.date)?;
        return Ok(named(made, BTreeSet::from([part.origin.to_string()])));
    }
    let mut certificates: BTreeMap<&TreePath, &[u8]> = BTreeMap::new();
    let (mut date, mut of) = (0, BTreeSet::new());
    for (_, part, package) in &packages {
        for (path, text) in package.texts.iter().filter(|(path, _)| path.is_below(&below)) {
            certificates.insert(path, text);
            date = date.max(package.record.date);
            of.insert(part.origin.to_string());
        }
    }
    let embedded;
    if certificates.is_empty() {
        let mut left_out = packages.iter().rev();
        let left_out = left_out.find_map(|(_, part, package)| Some((package.texts.get(&bundle)?, part, package)));
        if let Some((text, part, package)) = left_out {
            certificates.insert(&bundle, text);
            date = package.record.date;
            of.insert(part.origin.to_string());
        } else if inputs.levels.iter().any(|level| level.embedded) {
            embedded = embedded::certificates();
            certificates.insert(&bundle, &embedded);
            date = embedded::DATE;
        }
    }
    if certificates.is_empty() && extra.is_empty() {
        return Ok(Generated::default());
    }
    // All that decides it: what one package ships may be left out of one image and not of another.
    let mut key = KeyBuilder::new("ca-bundle");
    key.list(&certificates, |key, (path, text)| {
        key.bytes(path.as_bytes()).bytes(text);
    });
    key.list(extra, |key, OwnCertificate { name, pem, key: _ }| {
        key.text(name).bytes(pem);
    });
    let key = key.number(date).finish();
    if let Some(known) = inputs.bundles.get(&key) {
        return Ok(named(known, of));
    }
    let made = ca_bundle(&certificates, extra, date)?;
    inputs.bundles.keep(key, &made);
    Ok(named(made, of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::{fingerprint, text};
    use dlstore_model::digest::OciDigest;

    /// Writes one certificate as PEM, in lines of 64 characters (RFC 7468, section 2).
    fn pem(der: &[u8]) -> String {
        let encoded = STANDARD.encode(der);
        let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 64);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
        text
    }

    fn certificate(seed: u8) -> String {
        let mut der = vec![0x30, 0x81, 200];
        der.resize(203, seed);
        pem(&der)
    }

    fn own(name: &str, pem: &str) -> OwnCertificate {
        OwnCertificate { name: name.to_owned(), pem: pem.as_bytes().to_vec(), key: None }
    }

    fn unusable() -> CertificateError {
        CertificateError::Own { key: None, problem: Problem::Name }
    }

    fn files(list: &[(&str, String)]) -> BTreeMap<TreePath, Vec<u8>> {
        list.iter().map(|(path, text)| (fixed(path), text.clone().into_bytes())).collect()
    }

    fn borrowed(files: &BTreeMap<TreePath, Vec<u8>>) -> BTreeMap<&TreePath, &[u8]> {
        files.iter().map(|(path, text)| (path, text.as_slice())).collect()
    }

    #[test]
    fn files_come_in_bytewise_order_and_extra_ones_behind() {
        let (a, b, c) = (certificate(1), certificate(2), certificate(3));
        let directory = "usr/share/ca-certificates/mozilla";
        let certs = files(&[
            (&format!("{directory}/Főt.crt"), a.clone()),
            (&format!("{directory}/Fz.crt"), b.trim_end().into()),
        ]);
        let extra = [own("corp.pem", &c.replace('\n', "\r\n"))];
        let made = ca_bundle(&borrowed(&certs), &extra, 5).unwrap();
        assert_eq!(text(&made, BUNDLE), format!("{b}{a}{c}"));
        assert_eq!(text(&made, "usr/local/share/ca-certificates/corp.crt"), c);
        assert_eq!(
            fingerprint(&made),
            "46a637377181deac39dddf27331d61842f6850c33cb8f8185194a85dabd91445",
            "raise the version in definition/fixup.rs when this changes"
        );
        assert_eq!(ca_bundle(&BTreeMap::new(), &[], 0), Ok(Generated::default()));
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let good = certificate(1);
        for (bad, problem) in [
            (String::new(), Problem::Empty),
            ("<html>".into(), Problem::Empty),
            (good.replace("CERTIFICATE", "RSA PRIVATE KEY"), Problem::PrivateKey),
            (good.replace("CERTIFICATE", "X509 CRL"), Problem::Label("X509 CRL".into())),
            (good.replace("END", "BEGIN"), Problem::Unfinished),
            (good[..100].to_owned(), Problem::Unfinished),
            (format!("{good}{}", good.replacen("AQEB", "AQ!B", 1)), Problem::Damaged(2)),
            (pem(&[0x30, 3, 1]), Problem::Damaged(1)),
            (pem(&[0x31, 1, 1]), Problem::Damaged(1)),
        ] {
            assert_eq!(check(bad.as_bytes()), Err(problem), "{bad}");
        }
        for name in ["", ".pem", "a/b", "..", ".wh.x"] {
            let outcome = ca_bundle(&BTreeMap::new(), &[own(name, &good)], 0);
            assert!(name == ".." && outcome.is_ok() || outcome == Err(unusable()), "{name:?}: {outcome:?}");
        }
        let twice = [own("a.pem", &good), own("a.crt", &good)];
        assert_eq!(ca_bundle(&BTreeMap::new(), &twice, 0), Err(unusable()));
    }

    /// `DLSTORE_DEBS` names a directory with `ca-certificates_20250419_all.deb`.
    #[test]
    fn debians_bundle_comes_out_to_the_byte() {
        let Some(debs) = std::env::var_os("DLSTORE_DEBS") else {
            eprintln!("DLSTORE_DEBS is not set: nothing is proved on the real ca-certificates");
            return;
        };
        let deb = std::path::Path::new(&debs).join("ca-certificates_20250419_all.deb");
        let output = std::process::Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).output().unwrap();
        assert!(output.status.success());
        let mut certs = BTreeMap::new();
        for entry in tar::Archive::new(output.stdout.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = TreePath::from_archive(&entry.path_bytes()).unwrap();
            let Some(path) = path.filter(|path| path.is_below(&fixed("usr/share/ca-certificates"))) else { continue };
            if entry.header().entry_type().is_file() {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                certs.insert(path, bytes);
            }
        }
        let made = ca_bundle(&borrowed(&certs), &[], 0).unwrap();
        let bundle = made.bytes(&fixed(BUNDLE)).unwrap();
        assert_eq!((certs.len(), bundle.len(), check(bundle)), (150, 224_449, Ok(150)));
        let expected = "714d457d580922dbf1d0be8bd35ba236a842b50b0072ae791582a19adef772a5";
        assert_eq!(OciDigest::of(bundle).to_hex(), expected);
    }
}
