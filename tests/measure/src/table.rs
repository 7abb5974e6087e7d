//! Figures as Markdown.

/// The rows of a table.
pub fn rows<const COLUMNS: usize>(rows: impl Iterator<Item = [String; COLUMNS]>) -> String {
    rows.map(|columns| format!("| {} |\n", columns.join(" | ")))
        .collect()
}

/// Bytes as megabytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A figure, or a dash where there is none.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".into())
}
