//! Lists the built pages for `http/pages.rs` to hold: the compressed files in `web/dist`, made by `npm run build`.
//!
//! That folder is in the repository, empty but for its `.gitignore`, so that Cargo sees when pages come into it. Without
//! pages the program builds all the same, and says at `/` how to have them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_folder = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let pages = Path::new(&crate_folder).join("../../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = vec![];
    if pages.is_dir() {
        println!("cargo::rerun-if-changed={}", pages.display());
        collect(&pages, &mut files)?;
    }
    files.sort();
    // Copied, so that pages built anew while the compiler runs do not pull files away from under it.
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let mut list = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&pages).map_err(io::Error::other)?;
        let name = name.with_extension("").to_string_lossy().replace('\\', "/");
        let copy = out.join(format!("page-{number}.gz"));
        fs::copy(file, &copy)?;
        writeln!(list, "    ({name:?}, include_bytes!({copy:?})),").map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(out.join("pages.rs"), list)
}

/// All compressed files of a folder and those in it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "gz") {
            files.push(path);
        }
    }
    Ok(())
}
