//! Containers and compressions that packages are made of: `ar`, `tar`, and the decompressors.
