//! Figures as Markdown, with pictures beside it.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Writes a report, and has its pictures drawn into the folder of its name beside it.
///
/// # Errors
/// When something can't be written.
pub fn write(output: &Path, text: &str, draw: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let pictures = output.with_extension("");
    fs::create_dir_all(&pictures)?;
    draw(&pictures)?;
    fs::write(output, text)?;
    Ok(())
}
