//! What of a package is left out unless a definition says `slim = false`.
//!
//! Documentation but copyright files, sources of translations and tables that only build tools read,
//! helpers of debuggers, converters of old character sets, and the programs of the packages that the
//! images are made of. Programs are listed by name: what a user adds by a package of his own stays.
//! The list is the same for every format; on Alpine it touches no file of the packages of our images.
//! What is kept against it is said in a definition by `keep`, which goes before it.
//!
//! The list is part of the key of every layer (see [`Selection::key`](dlstore_model::glob::Selection::key)):
//! a change here makes new layers, nothing stale.

/// The rules in order: whether the pattern keeps, and the pattern.
pub(crate) const SLIM: &[(bool, &str)] = &[
    // Licences stay, and so do the links by which one package's directory stands for another's.
    (true, "/usr/share/doc/*/copyright"),
    (false, "/usr/share/doc/*/**"),
    (false, "/usr/share/man/**"),
    (false, "/usr/share/info/**"),
    // For Debian's own tools: its checker, its bug reporter, its boot images.
    (false, "/usr/share/lintian/**"),
    (false, "/usr/share/bug"),
    (false, "/usr/share/initramfs-tools"),
    // Converters of character sets: 8 to 20 MB. iconv(3) then knows UTF-8, UCS and ASCII.
    (false, "/usr/lib/*/gconv"),
    (false, "/usr/lib/gconv"),
    // Sources of locales.
    (false, "/usr/share/i18n"),
    // Helpers of debuggers and profilers, and libraries for what nobody runs any more.
    (false, "/usr/lib/*/libmemusage.so"),
    (false, "/usr/lib/*/libpcprofile.so"),
    (false, "/usr/lib/*/libc_malloc_debug.so.*"),
    (false, "/usr/lib/*/libthread_db.so.*"),
    (false, "/usr/lib/*/libBrokenLocale.so.*"),
    (false, "/usr/lib/*/libnss_hesiod.so.*"),
    (false, "/usr/share/gdb"),
    (false, "/usr/share/gcc/python"),
    // Programs of libc-bin, and `ld.so`, a second name of the loader.
    (false, "/usr/bin/getconf"),
    (false, "/usr/bin/getent"),
    (false, "/usr/bin/iconv"),
    (false, "/usr/bin/ld.so"),
    (false, "/usr/bin/ldd"),
    (false, "/usr/bin/locale"),
    (false, "/usr/bin/localedef"),
    (false, "/usr/bin/pldd"),
    (false, "/usr/bin/tzselect"),
    (false, "/usr/bin/zdump"),
    (false, "/usr/sbin/iconvconfig"),
    (false, "/usr/sbin/ldconfig"),
    (false, "/usr/sbin/zic"),
    (false, "/usr/share/libc-bin"),
    // Debian's musl: a shell script, and what only it reads.
    (false, "/usr/bin/ld-musl-config"),
    (false, "/etc/ld-musl-*.d"),
    // The zones with leap seconds and the second copy without; and a link to /etc/localtime, which
    // an image does not have.
    (false, "/usr/share/zoneinfo/right"),
    (false, "/usr/share/zoneinfo/posix"),
    (false, "/usr/share/zoneinfo/localtime"),
    // The single certificates and the script that makes the bundle of them: the bundle is made here.
    (false, "/usr/share/ca-certificates"),
    (false, "/usr/sbin/update-ca-certificates"),
    (false, "/etc/ca-certificates"),
    // Templates that maintainer scripts copy, and a script that runs at log-in.
    (false, "/usr/share/base-files"),
    (false, "/etc/update-motd.d"),
];
