//! Pictures of the figures, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const WIDTH: u32 = 860;
const ROW: u32 = 30;
const NAMES: u32 = 300;
const CORRAL: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const OTHERS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);

/// Bars with names, the first on top; those whose names begin with `corral` stand out. `logarithmic` where the values differ by
/// powers of ten.
///
/// # Errors
/// When the picture can't be written.
pub fn bars(path: &Path, caption: &str, rows: &[(String, f64)], logarithmic: bool) -> Result<()> {
    draw(path, caption, rows, logarithmic).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn draw(
    path: &Path,
    caption: &str,
    rows: &[(String, f64)],
    logarithmic: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let count = u32::try_from(rows.len())?;
    let area = SVGBackend::new(path, (WIDTH, ROW * count + 80)).into_drawing_area();
    area.fill(&WHITE)?;
    let scale = |value: f64| {
        if logarithmic {
            value.max(1.0).log10()
        } else {
            value
        }
    };
    let greatest = rows.iter().map(|(_, value)| scale(*value)).fold(0.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 17))
        .margin(12)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(0.0..greatest, 0..count)?;
    for (place, (name, value)) in (0..count).rev().zip(rows) {
        let color = if name.starts_with("corral") {
            CORRAL
        } else {
            OTHERS
        };
        let bar = Rectangle::new([(0.0, place), (scale(*value), place + 1)], color.filled());
        let mut bar = bar;
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series(std::iter::once(bar))?;
        let at = chart.backend_coord(&(scale(*value), place + 1));
        let text = |size: u32| TextStyle::from(("sans-serif", size).into_font());
        let middle = at.1 + i32::try_from(ROW)? / 2 - 8;
        area.draw_text(&short(*value), &text(14), (at.0 + 6, middle))?;
        area.draw_text(name, &text(14), (12, middle))?;
    }
    area.present()?;
    Ok(())
}

/// Few digits: the picture is for comparing.
fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
