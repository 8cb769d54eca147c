//! What a definition decides, written into keys.
//!
//! Field by field, and each type is taken apart by name: a new field that decides bytes does not compile until
//! somebody says where it goes. The page is `store-schema/KEYS.md`.

use super::{Account, Level, Waiver};
use dlstore_model::digest::KeyBuilder;

impl Level {
    /// Adds all that decides a rootfs beside packages, selection and own files, which have keys of their own.
    pub fn add_to_key(&self, key: &mut KeyBuilder) {
        let Self {
            name: _,
            root: _,
            embedded: _,
            packages: _,
            arch_packages: _,
            files: _,
            links: _,
            certificates: _,
            selection: _,
            slim: _,
            waivers,
            certificates_from,
            accounts,
            accounts_from,
            skip,
            overrides,
            privileged,
            os_release,
            key_lines: _,
        } = self;
        key.list(waivers, |key, Waiver { from, to, reason }| {
            key.text(from).text(to).text(reason);
        });
        key.list(accounts, |key, account| {
            let Account { name, uid, gid, group, home, shell, description } = account;
            key.text(name).number(u64::from(*uid)).number(u64::from(*gid)).text(group);
            key.bytes(home.as_bytes()).text(shell).text(description);
        });
        key.list(skip, |key, fixup| {
            key.text(fixup.name());
        });
        for list in [overrides, privileged] {
            key.list(list, |key, text| {
                key.text(text);
            });
        }
        key.pairs(os_release);
        key.option(certificates_from.as_ref(), |key, names| {
            key.list(names, |key, name| {
                key.text(name);
            });
        });
        key.option(accounts_from.as_deref(), |key, name| {
            key.text(name);
        });
    }
}
