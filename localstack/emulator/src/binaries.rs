//! The functions' executables: built with Cargo, or taken from a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::deployment::Function;

/// The source of the executables.
#[derive(Debug, Clone)]
pub enum Source {
    /// `cargo build` in the workspace of this folder.
    Build {
        /// The folder of the workspace's `Cargo.toml`.
        workspace: PathBuf,
        /// Builds with `--release`.
        release: bool,
    },
    /// Executables in this folder: `<binary>`, `<binary>/bootstrap` as of `cargo lambda build`, or
    /// `<LogicalId>/bootstrap` as of `sam build`.
    Folder(PathBuf),
}

/// An error of the build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo cannot be run.
    #[error("cannot run {cargo}: {source}")]
    Cargo {
        /// The command.
        cargo: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The template names binaries that no package of the workspace has.
    #[error("the template names binaries that no package of the workspace has: {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// The build failed; Cargo has written its errors to standard error.
    #[error("the build of the functions failed; see the errors of cargo above")]
    Failed,
    /// The folder has no executable for a binary.
    #[error("--executables {}: no executable for {binary} (tried {tried})", folder.display())]
    Missing {
        /// The binary.
        binary: String,
        /// The folder.
        folder: PathBuf,
        /// The paths in the folder that do not exist.
        tried: String,
    },
}

/// Returns the path of each function's executable, by the binary's name.
///
/// # Errors
///
/// When an executable cannot be built or is missing.
pub async fn executables(
    source: &Source,
    functions: &[Function],
) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    match source {
        Source::Build { workspace, release } => {
            let binaries = functions.iter().map(|function| function.binary.clone()).collect();
            build(workspace, *release, &binaries).await
        }
        Source::Folder(folder) => {
            functions.iter().map(|function| Ok((function.binary.clone(), find(folder, function)?))).collect()
        }
    }
}

fn find(folder: &Path, function: &Function) -> Result<PathBuf, BuildError> {
    let candidates = [
        format!("{}{}", function.binary, std::env::consts::EXE_SUFFIX),
        format!("{}/bootstrap", function.binary),
        format!("{}/bootstrap", function.logical_id),
    ];
    candidates.iter().map(|candidate| folder.join(candidate)).find(|path| path.is_file()).ok_or_else(|| {
        BuildError::Missing {
            binary: function.binary.clone(),
            folder: folder.to_owned(),
            tried: candidates.join(", "),
        }
    })
}

/// A message of `cargo build --message-format=json`.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

async fn build(
    workspace: &Path,
    release: bool,
    binaries: &BTreeSet<String>,
) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    if binaries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut command = cargo(workspace, "build");
    // Diagnostics go to standard error; standard output has the paths of the executables.
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    for binary in binaries {
        command.args(["--bin", binary]);
    }
    if release {
        command.arg("--release");
    }
    let failed = |source| BuildError::Cargo { cargo: program(), source };
    let mut child = command.spawn().map_err(failed)?;
    let mut built = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(failed)? {
            if let Some((name, path)) = executable(&line).filter(|(name, _)| binaries.contains(name)) {
                built.insert(name, path);
            }
        }
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() && built.len() == binaries.len() {
        return Ok(built);
    }
    let known = known_binaries(workspace).await.map_err(failed)?;
    let unknown: Vec<String> = binaries.difference(&known).cloned().collect();
    Err(if unknown.is_empty() { BuildError::Failed } else { BuildError::Unknown(unknown) })
}

/// The name and path of a built binary, from a line of Cargo's messages.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
    (message.reason == "compiler-artifact").then_some((target.name, message.executable?))
}

async fn known_binaries(workspace: &Path) -> std::io::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        targets: Vec<Target>,
    }
    let mut command = cargo(workspace, "metadata");
    command.args(["--no-deps", "--format-version=1"]).stderr(Stdio::null());
    let output = command.output().await?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    Ok(targets.filter(|t| t.kind.iter().any(|kind| kind == "bin")).map(|t| t.name).collect())
}

/// The Cargo that runs this program, or else the one on the path.
#[expect(clippy::disallowed_methods, reason = "cargo sets it for the programs that it runs")]
fn program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn cargo(workspace: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(program());
    command.arg(subcommand).arg("--manifest-path").arg(workspace.join("Cargo.toml"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_built_binaries_are_read_from_cargos_messages() {
        let bin = r#"{"reason":"compiler-artifact","target":{"name":"relay","kind":["bin"]},"executable":"/t/relay"}"#;
        assert_eq!(executable(bin), Some(("relay".to_owned(), PathBuf::from("/t/relay"))));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"relay","kind":["lib"]},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not json",
        ] {
            assert_eq!(executable(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn an_unknown_binary_is_named() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let wanted = BTreeSet::from(["no-such-binary".to_owned()]);
        let error = build(&workspace, false, &wanted).await.unwrap_err();
        assert!(matches!(&error, BuildError::Unknown(names) if names == &["no-such-binary"]), "{error}");
    }

    #[tokio::test]
    async fn executables_in_a_folder_are_found_by_each_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let function = |id: &str, binary: &str| Function {
            logical_id: id.to_owned(),
            name: binary.to_owned(),
            binary: binary.to_owned(),
            environment: BTreeMap::new(),
            memory_size: 128,
            timeout: std::time::Duration::from_secs(3),
            alias: None,
            reserved_concurrency: None,
            statements: Vec::new(),
        };
        let functions = [function("One", "one"), function("Two", "two"), function("Three", "three")];
        for path in
            [format!("one{}", std::env::consts::EXE_SUFFIX), "two/bootstrap".into(), "Three/bootstrap".into()]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let source = Source::Folder(folder.path().to_owned());
        assert_eq!(executables(&source, &functions).await.unwrap().len(), 3);
        let error = executables(&source, &[function("Four", "four")]).await.unwrap_err();
        assert!(error.to_string().contains("no executable for four"), "{error}");
    }
}
