//! The figures of each measurement are kept, so that each number of custom resources can have a call of its own: a report has
//! all that there are of the same program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Measured;

const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-operator");

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Which program was measured, by its content.
    program: String,
    measured: Measured,
}

/// Keeps what was measured of that program, in place of what was kept for its number.
pub(crate) fn keep(program: &Path, measured: Measured) -> Result<()> {
    let name = format!(
        "{}-{}.json",
        measured.subject.replace(' ', "-"),
        measured.scale.count
    );
    let kept = Kept {
        program: digest(program)?,
        measured,
    };
    fs::create_dir_all(FOLDER)?;
    let path = Path::new(FOLDER).join(name);
    fs::write(&path, serde_json::to_vec_pretty(&kept)?).with_context(|| path.display().to_string())
}

/// All that was measured of that program, the smallest number first.
pub(crate) fn all(program: &Path) -> Result<Vec<Measured>> {
    let wanted = digest(program)?;
    let mut all = Vec::new();
    for file in fs::read_dir(FOLDER).into_iter().flatten() {
        let path: PathBuf = file?.path();
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        // What an earlier version of this benchmark kept may have another form.
        let kept = serde_json::from_slice::<Kept>(&text).ok();
        all.extend(
            kept.filter(|kept| kept.program == wanted)
                .map(|kept| kept.measured),
        );
    }
    all.sort_by_key(|measured| measured.scale.count);
    Ok(all)
}

fn digest(program: &Path) -> Result<String> {
    let content = fs::read(program).with_context(|| program.display().to_string())?;
    Ok(hex::encode(Sha256::digest(content)))
}
