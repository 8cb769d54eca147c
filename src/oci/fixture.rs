//! Images for the tests of this module: one made of digests only, one with real layers.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::documents::documents;
use super::{BlobError, BlobFile, BlobSource, Documents, ImageContent, Layer, Platform};
use dlstore_formats::layer::Codec;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::OciDigest;

/// A config that says everything that one can say.
pub(super) fn full_config() -> Config {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Config {
        env: map(&[
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
            ("PATH", "/usr/bin:/bin"),
            ("A", "ä=\"1\""),
        ]),
        user: Some("nonroot".into()),
        workdir: Some("/".into()),
        entrypoint: vec!["/usr/bin/x".into(), "--y".into()],
        cmd: vec!["z".into()],
        stop_signal: Some("SIGQUIT".into()),
        labels: map(&[("z", "1"), ("a", "2")]),
        exposed_ports: vec!["8080/tcp".into(), "53/udp".into()],
        volumes: vec!["/var/lib/x".into()],
    }
}

/// An image of pinned digests, on amd64, arm64 and arm/v6, given in another order.
pub(super) fn pinned() -> ImageContent {
    let layer = |name: &str, size| Layer {
        codec: Codec::Gzip,
        blob: OciDigest::of(format!("{name} blob").as_bytes()),
        size,
        diff_id: OciDigest::of(name.as_bytes()),
        title: name.into(),
    };
    let platform = |arch: Arch, config| Platform {
        arch,
        layers: vec![layer("static:debian, all architectures", 1234), layer(&format!("static:debian, {arch}"), 567)],
        config,
        created: 1_735_689_600,
    };
    ImageContent {
        annotations: [("org.opencontainers.image.title".to_owned(), "static".to_owned())].into(),
        platforms: vec![
            platform(Arch::ArmV6, Config::default()),
            platform(Arch::Arm64, Config { user: Some("root".into()), ..Config::default() }),
            platform(Arch::Amd64, full_config()),
        ],
    }
}

/// An image whose layers are real gzip files in a directory.
pub(super) struct Real {
    pub(super) directory: tempfile::TempDir,
    pub(super) content: ImageContent,
}

/// Makes one layer that all architectures share and one for each.
pub(super) fn real(arches: &[Arch]) -> Real {
    let mut image = Real {
        directory: tempfile::tempdir().unwrap(),
        content: ImageContent { annotations: pinned().annotations, platforms: Vec::new() },
    };
    let shared = image.add_layer("shared", &[("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n")]);
    for &arch in arches {
        let own = image.add_layer(&arch.to_string(), &[("etc/arch", &arch.to_string())]);
        let config = Config { workdir: Some("/".into()), cmd: vec!["/x".into()], ..Config::default() };
        image.content.platforms.push(Platform { arch, created: 0, layers: vec![shared.clone(), own], config });
    }
    image
}

impl Real {
    pub(super) fn documents(&self) -> Documents {
        documents(&self.content).unwrap()
    }

    pub(super) fn file(&self, digest: &OciDigest) -> PathBuf {
        self.directory.path().join(digest.to_hex())
    }

    fn add_layer(&mut self, title: &str, files: &[(&str, &str)]) -> Layer {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind, mode, data: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(mode);
            for set in [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime] {
                set(&mut header, 0);
            }
            header.set_size(data.len() as u64);
            tar.append_data(&mut header, path, data).unwrap();
        };
        add("etc/", tar::EntryType::Directory, 0o755, b"");
        for (path, text) in files {
            add(path, tar::EntryType::Regular, 0o644, text.as_bytes());
        }
        let raw = tar.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&raw).unwrap();
        let packed = gzip.finish().unwrap();
        let layer = Layer {
            codec: Codec::Gzip,
            blob: OciDigest::of(&packed),
            size: packed.len() as u64,
            diff_id: OciDigest::of(&raw),
            title: title.into(),
        };
        fs::write(self.file(&layer.blob), &packed).unwrap();
        layer
    }
}

impl BlobSource for Real {
    fn file(&self, digest: &OciDigest) -> Result<Option<BlobFile>, BlobError> {
        let path = Real::file(self, digest);
        Ok(dlstore_fsx::file::Stamp::at(&path)?.map(|stamp| BlobFile { path, stamp }))
    }

    fn distrust(&self, _digest: &OciDigest) -> Result<(), BlobError> {
        Ok(())
    }
}

/// Puts a shell script on disk. A child writes it: were it open here for a moment, another thread's
/// child could still hold it when it is to be run ("text file busy").
pub(super) fn script(path: &Path, text: &str) {
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    assert!(Command::new("sh").arg("-c").arg(write).arg(path).arg(text).status().unwrap().success());
}
