//! Making a store on purpose, and saying later what was not said then.
//!
//! A store is made by the first command that needs one. Who wants more than a private store on a local disk says so
//! before: for a group, or on a file system that other hosts see. The latter can be said of a store that is there, as
//! when it was moved; who may use a store is decided once.

use std::path::Path;

use super::layout::Layout;
use super::open::{read_format, write_format};
use super::{Access, Network, OpenOptions, Sharing, Store, StoreError};
use dlstore_fsx::lock;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialized {
    /// A store was made.
    Made,
    /// There was one already, and it is as was asked for.
    There,
}

impl Store {
    /// Makes a store, or makes sure that the one that is there is as asked for.
    ///
    /// # Errors
    /// [`StoreError::Private`] when the store that is there belongs to one user and was to be shared; else as
    /// [`Store::open_with`].
    pub fn init(root: &Path, options: OpenOptions) -> Result<(Self, Initialized), StoreError> {
        let layout = Layout::new(root);
        let Some(format) = read_format(&layout)? else {
            return Ok((Self::open_with(root, OpenOptions { access: Access::Create, ..options })?, Initialized::Made));
        };
        if options.sharing == Sharing::Group && !format.shared {
            return Err(StoreError::Private(root.to_path_buf()));
        }
        // Checks whose it is before anything is changed.
        let store = Self::open_with(root, options)?;
        if options.network == Network::Force && !format.network_file_system {
            store.0.check_writable()?;
            // An open store shares the lock that is wanted here alone.
            drop(store);
            let held = lock::directory(root)?;
            if let Some(mut format) = read_format(&layout)? {
                format.network_file_system = true;
                write_format(&layout, &format)?;
            }
            drop(held);
            return Ok((Self::open_with(root, options)?, Initialized::There));
        }
        Ok((store, Initialized::There))
    }
}
