//! Writes the JavaScript side of a module: `heddle-bindgen MODULE FOLDER`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, folder] = arguments.as_slice() else {
        bail!("usage: heddle-bindgen MODULE FOLDER");
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .web(true)?
        .typescript(true)
        .keep_lld_exports(true)
        .omit_default_module_path(false)
        .generate(folder)
        .with_context(|| format!("no JavaScript for {}", module.display()))
}
