//! `cargo xtask build-xdp`: builds the XDP objects from `crates/xdp`, or checks that the committed ones are what their source
//! builds to.
//!
//! The eBPF target is not among those that rustup ships, so Debian's compiler builds it: `rustc-web` comes with a
//! prebuilt core library for bpfel. bpf-linker links with the LLVM of that very compiler.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;
use crate::xdp_provenance::Provenance;

/// Debian's packages: compiler and core library.
const PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// Debian's compiler, which rustup's stands before on the PATH.
const RUSTC: &str = "/usr/bin/rustc";

const TARGET: &str = "bpfel-unknown-none";

/// The version of bpf-linker, and its feature for the LLVM of Debian's compiler.
const LINKER: &str = "0.13.0";
const LINKER_LLVM: &str = "llvm-22";
const LLVM: &str = "libLLVM.so.22.1";

/// The programs of users, and where each built object is committed.
const OBJECTS: [(&str, &str); 2] =
    [("ipvsd", "crates/datapath/src/bpf/ipvsd.o"), ("generator", "crates/bench/src/bpf/generator.o")];

/// What they were built from and by what.
const PROVENANCE: &str = "crates/datapath/src/bpf/ipvsd.o.txt";

/// Arguments of `build-xdp`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if the committed object is not what the source builds to
    #[arg(long)]
    check: bool,
}

/// Builds or checks; whether the committed object is, or was, what the source builds to.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    install_compiler()?;
    let source = workspace::root().join("crates/xdp");
    let provenance = Provenance::now(Path::new(RUSTC), format!("bpf-linker {LINKER}"), &source)?;
    let record = workspace::root().join(PROVENANCE);
    if arguments.check {
        let recorded = Provenance::read(&record)?;
        if recorded.sources != provenance.sources {
            println!(
                "crates/xdp, flow or wire changed since the objects were built: run `cargo xtask build-xdp` and commit them"
            );
            return Ok(false);
        }
        if recorded != provenance {
            // Debian moves to newer compilers, which build other bytes.
            println!(
                "the objects were built from these sources by {} and {};",
                recorded.compiler, recorded.linker
            );
            println!("this machine has {}: the bytes are NOT compared", provenance.compiler);
            return Ok(true);
        }
    }
    let linker = install_linker()?;
    let built = build(&linker)?;
    let mut good = true;
    for (program, object) in OBJECTS {
        good &= compare(&built.join(program), object, arguments.check)?;
    }
    if good && !arguments.check {
        provenance.write(&record)?;
    }
    Ok(good)
}

/// Compares a built object with the committed one, or puts it in its place.
fn compare(built: &Path, object: &str, check: bool) -> Result<bool> {
    let new = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    let committed = workspace::root().join(object);
    let old = fs::read(&committed).unwrap_or_default();
    if old == new {
        println!("{object} is what crates/xdp builds to ({} bytes)", new.len());
    } else if check {
        println!(
            "{object} ({} bytes) is not what crates/xdp builds to ({} bytes): run `cargo xtask build-xdp` and commit it",
            old.len(),
            new.len()
        );
        return Ok(false);
    } else {
        fs::write(&committed, &new).with_context(|| format!("cannot write {}", committed.display()))?;
        println!("{object}: {} bytes, before {}", new.len(), old.len());
    }
    Ok(true)
}

fn install_compiler() -> Result<()> {
    let library = Path::new("/usr/lib/rustlib").join(TARGET);
    if Path::new(RUSTC).exists() && library.exists() {
        return Ok(());
    }
    println!("installing {} by apt", PACKAGES.join(" and "));
    done(Command::new("apt-get").args(["update", "-q"]))?;
    done(Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(PACKAGES))
}

/// Installs bpf-linker into the target folder; the folder of its binary.
fn install_linker() -> Result<PathBuf> {
    let tools = workspace::root().join("target/xdp-tools");
    let folder = tools.join("linker/bin");
    let version = Command::new(folder.join("bpf-linker")).arg("--version").output();
    if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(LINKER)) {
        return Ok(folder);
    }
    // The linker's build looks for libLLVM.so under a prefix; the compiler's package has it under its full name only.
    let library = find_llvm()?;
    let prefix = tools.join("llvm");
    fs::create_dir_all(prefix.join("lib"))?;
    for name in ["libLLVM.so", "libLLVM-22.so", LLVM] {
        let link = prefix.join("lib").join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&library, &link)?;
    }
    println!("installing bpf-linker {LINKER} by cargo");
    done(
        cargo()
            .args(["install", "--quiet", "--locked", "bpf-linker", "--version", LINKER])
            .args(["--no-default-features", "--features", LINKER_LLVM, "--root"])
            .arg(tools.join("linker"))
            .env("LLVM_PREFIX", &prefix)
            .current_dir(&tools),
    )?;
    Ok(folder)
}

/// The LLVM library that Debian's compiler uses.
fn find_llvm() -> Result<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let Some(path) = folders.iter().map(|folder| Path::new(folder).join(LLVM)).find(|path| path.exists())
    else {
        let version = Command::new(RUSTC).arg("-vV").output().map(|output| output.stdout).unwrap_or_default();
        bail!(
            "no {LLVM}: {RUSTC} uses another LLVM; set LINKER_LLVM in crates/xtask/src/build_xdp.rs to it\n{}",
            String::from_utf8_lossy(&version)
        );
    };
    Ok(path)
}

/// Builds the programs; the folder of their objects.
fn build(linker: &Path) -> Result<PathBuf> {
    let source = workspace::root().join("crates/xdp");
    let target = workspace::root().join("target/xdp");
    let path = match env::var_os("PATH") {
        Some(path) => env::join_paths(std::iter::once(linker.to_owned()).chain(env::split_paths(&path)))?,
        None => linker.into(),
    };
    done(
        cargo()
            .args(["build", "--quiet", "--release", "--locked", "--target", TARGET])
            .current_dir(source)
            .env("PATH", path)
            .env("RUSTC", RUSTC)
            // The target is one of nightly's tier 3, and the standard library's source is not used.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;
    Ok(target.join(TARGET).join("release"))
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn done(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(status.success(), "{:?} failed: {status}", command);
    Ok(())
}
