//! What the committed XDP object was built from and by what: kept beside it, so that drift shows even where another
//! compiler would build other bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Origin of an object, as text of three lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// What the compiler says of itself.
    pub(crate) compiler: String,
    /// The linker and its version.
    pub(crate) linker: String,
    /// SHA-256 over names and contents of all source files.
    pub(crate) sources: String,
}

impl Provenance {
    /// Of an object that would be built now.
    pub(crate) fn now(compiler: &Path, linker: String, source: &Path) -> Result<Self> {
        let output = Command::new(compiler).arg("-V").output();
        let output = output.with_context(|| format!("cannot run {}", compiler.display()))?;
        ensure!(output.status.success(), "{} -V failed", compiler.display());
        let compiler = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { compiler, linker, sources: digest(source)? })
    }

    /// As recorded in a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::to_owned).with_context(|| format!("{} lacks {name}", path.display()))
        };
        Ok(Self { compiler: value("compiler")?, linker: value("linker")?, sources: value("sources")? })
    }

    /// Records it in a file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let Self { compiler, linker, sources } = self;
        let text = format!("compiler: {compiler}\nlinker: {linker}\nsources: {sources}\n");
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The crates whose source the program shares with the daemon, beside its own.
const SHARED: [&str; 2] = ["../flow", "../wire"];

/// SHA-256 over the manifest, the lock file, the settings and everything below `src`, and the same of the crates that the program
/// shares with the daemon (they have no lock file), in the order of their names.
fn digest(source: &Path) -> Result<String> {
    let mut files = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"].map(|name| source.join(name)).to_vec();
    collect(&source.join("src"), &mut files)?;
    for folder in SHARED.map(|folder| source.join(folder)) {
        files.push(folder.join("Cargo.toml"));
        collect(&folder.join("src"), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(source)?.to_string_lossy().into_owned();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(format!("{name} {}\n", bytes.len()));
        hash.update(bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
