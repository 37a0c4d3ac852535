//! The functions' binaries, built when they are first asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use erp_local::binaries::{self, Source};
use tokio::runtime::Runtime;

use crate::world::{deployment, workspace};

/// The executable of each function, by the name of its binary.
pub(crate) fn executables() -> &'static BTreeMap<String, PathBuf> {
    static EXECUTABLES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    EXECUTABLES.get_or_init(|| {
        let build = || {
            let source = Source::Build { workspace: workspace().to_owned(), release: false };
            let built = binaries::executables(&source, &deployment().functions);
            Runtime::new().unwrap().block_on(built).unwrap_or_else(|error| panic!("{error}"))
        };
        // A thread that is in no runtime: one must not wait for another.
        thread::spawn(build).join().unwrap()
    })
}

/// The folder that they are in.
pub(crate) fn folder() -> &'static Path {
    executables().values().next().unwrap().parent().unwrap()
}
