//! The executables of the functions, built on first use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use erp_local::binaries::{self, Source};
use tokio::runtime::Runtime;

use crate::template::{Template, workspace};

/// Returns the executable of each function, by the name of its binary.
pub(crate) fn executables() -> &'static BTreeMap<String, PathBuf> {
    static EXECUTABLES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    EXECUTABLES.get_or_init(|| {
        let build = || {
            let source = Source::Build { workspace: workspace().to_owned(), release: false };
            let built = binaries::executables(&source, &Template::committed().deployment.functions);
            Runtime::new().unwrap().block_on(built).unwrap_or_else(|error| panic!("{error}"))
        };
        // On a thread without a runtime, because a runtime cannot block on another one.
        thread::spawn(build).join().unwrap()
    })
}

/// Returns the folder of the executables.
pub(crate) fn folder() -> &'static Path {
    executables().values().next().unwrap().parent().unwrap()
}
