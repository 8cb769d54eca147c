//! Tables and terms: files of `src/image/data`, taken as they are.
//!
//! `services` and `protocols` are for `getservbyname` and `getprotobyname` and for what resolvers of other languages
//! read; `mime.types` is what servers name the type of a file by. All are selections of what is in use, and keep
//! what their readers silently assume: one port per name and protocol, one number per protocol, one type per
//! extension.
//!
//! Beside the zones lie the texts that they are compiled of and that C++20's `<chrono>` reads (`tzdata.zi`; libc++ asks for
//! `leap-seconds.list`, libstdc++ for `leapseconds`), and what programs list places by (`zone1970.tab`, `iso3166.tab`).

/// Where each file lies, and its bytes.
pub(super) const FILES: [(&str, &[u8]); 10] = [
    ("etc/mime.types", include_bytes!("../data/mime.types")),
    ("etc/protocols", include_bytes!("../data/protocols")),
    ("etc/services", include_bytes!("../data/services")),
    ("usr/share/doc/ca-certificates/copyright", include_bytes!("../data/CDLA-Permissive-2.0")),
    ("usr/share/doc/tzdata/copyright", include_bytes!("../data/tzdata-terms")),
    ("usr/share/zoneinfo/iso3166.tab", include_bytes!("../data/iso3166.tab")),
    ("usr/share/zoneinfo/leap-seconds.list", include_bytes!("../data/leap-seconds.list")),
    ("usr/share/zoneinfo/leapseconds", include_bytes!("../data/leapseconds")),
    ("usr/share/zoneinfo/tzdata.zi", include_bytes!("../data/tzdata.zi")),
    ("usr/share/zoneinfo/zone1970.tab", include_bytes!("../data/zone1970.tab")),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The lines of a table without comments, as fields.
    fn rows(path: &str) -> Vec<Vec<&'static str>> {
        let (_, bytes) = FILES.iter().find(|(own, _)| *own == path).unwrap();
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.is_ascii() && text.ends_with('\n') && !text.contains('\r'), "{path}");
        let lines = text.lines().map(|line| line.split('#').next().unwrap());
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| !row.is_empty()).collect()
    }

    fn is_word(text: &str, others: &str) -> bool {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    }

    #[test]
    fn a_service_is_one_port_and_a_port_one_service() {
        let (mut names, mut ports) = (BTreeMap::new(), BTreeSet::new());
        for row in rows("etc/services") {
            let (port, protocol) = row[1].split_once('/').unwrap();
            let number: u16 = port.parse().unwrap();
            assert!(number > 0 && ["tcp", "udp"].contains(&protocol), "{row:?}");
            assert!(ports.insert((number, protocol)), "{row:?}: the port twice");
            for name in row[..1].iter().chain(&row[2..]) {
                assert!(is_word(name, "-") && name.len() <= 20, "{row:?}");
                assert!(names.insert((*name, protocol), number).is_none(), "{row:?}: {name} twice");
            }
        }
        assert!(ports.len() > 200, "{}", ports.len());
        let known = [
            ("ftp", "tcp", 21),
            ("ssh", "tcp", 22),
            ("domain", "udp", 53),
            ("www", "tcp", 80),
            ("ntp", "udp", 123),
            ("https", "tcp", 443),
            ("syslog", "udp", 514),
            ("submission", "tcp", 587),
            ("imaps", "tcp", 993),
            ("mysql", "tcp", 3306),
            ("postgres", "tcp", 5432),
            ("mdns", "udp", 5353),
            ("redis", "tcp", 6379),
        ];
        for (name, protocol, port) in known {
            assert_eq!(names.get(&(name, protocol)), Some(&port), "{name}");
        }
    }

    #[test]
    fn a_protocol_is_one_number() {
        let (mut names, mut numbers) = (BTreeMap::new(), BTreeSet::new());
        for row in rows("etc/protocols") {
            let number: u8 = row[1].parse().unwrap();
            assert!(numbers.insert(number), "{row:?}: the number twice");
            for name in row[..1].iter().chain(&row[2..]) {
                assert!(is_word(name, "-."), "{row:?}");
                assert!(names.insert(*name, number).is_none(), "{row:?}: {name} twice");
            }
        }
        assert!(numbers.len() >= 60, "{}", numbers.len());
        for (name, number) in [("ip", 0), ("icmp", 1), ("tcp", 6), ("UDP", 17), ("ipv6-icmp", 58), ("sctp", 132)] {
            assert_eq!(names.get(name), Some(&number), "{name}");
        }
    }

    #[test]
    fn an_extension_has_one_type() {
        let (mut types, mut extensions) = (Vec::new(), BTreeMap::new());
        for row in rows("etc/mime.types") {
            let (top, sub) = row[0].split_once('/').unwrap();
            let tops =
                ["application", "audio", "chemical", "font", "image", "message", "model", "multipart", "text", "video"];
            assert!(tops.contains(&top) && is_word(sub, "+-."), "{row:?}");
            types.push(row[0]);
            assert!(row.len() > 1, "{row:?}: no extension");
            for extension in &row[1..] {
                assert!(is_word(extension, "-") && *extension == extension.to_lowercase(), "{row:?}");
                assert!(extensions.insert(*extension, row[0]).is_none(), "{row:?}: {extension} twice");
            }
        }
        assert!(types.is_sorted_by(|a, b| a < b), "the types are not in order, or one comes twice");
        assert!(types.len() >= 350, "{}", types.len());
        let known = [
            ("html", "text/html"),
            ("htm", "text/html"),
            ("css", "text/css"),
            ("js", "text/javascript"),
            ("mjs", "text/javascript"),
            ("json", "application/json"),
            ("wasm", "application/wasm"),
            ("svg", "image/svg+xml"),
            ("png", "image/png"),
            ("jpg", "image/jpeg"),
            ("avif", "image/avif"),
            ("webp", "image/webp"),
            ("ico", "image/vnd.microsoft.icon"),
            ("woff2", "font/woff2"),
            ("pdf", "application/pdf"),
            ("zip", "application/zip"),
            ("tar", "application/x-tar"),
            ("gz", "application/gzip"),
            ("zst", "application/zstd"),
            ("mp4", "video/mp4"),
            ("webm", "video/webm"),
            ("mp3", "audio/mpeg"),
            ("txt", "text/plain"),
            ("csv", "text/csv"),
            ("xml", "application/xml"),
            ("yaml", "application/yaml"),
        ];
        for (extension, kind) in known {
            assert_eq!(extensions.get(extension), Some(&kind), "{extension}");
        }
    }
}
